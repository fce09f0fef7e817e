"""The local sandbox: the cloud services that the pipeline uses, on this computer, behind the official clients."""
