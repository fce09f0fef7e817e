"""Official clients pointed at an engine's address: what the engine tests share."""

from __future__ import annotations

from typing import Any

import grpc
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

PROJECT = "sandbox-project"


def grpc_client(kind: Any, address: str) -> Any:
    """A client of class ``kind`` over an insecure channel, as the product builds them in a sandbox."""
    transport = kind.get_transport_class("grpc")
    return kind(transport=transport(host=address, channel=grpc.insecure_channel(address)))


def storage_client(address: str, project: str = PROJECT) -> Any:
    """A client of Cloud Storage that asks for no credentials."""
    return storage.Client(project=project, credentials=AnonymousCredentials(), client_options={"api_endpoint": address})
