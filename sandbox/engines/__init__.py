"""One engine per cloud service. Each serves the protocol that the unmodified official Python client speaks."""
