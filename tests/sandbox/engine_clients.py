"""Official clients pointed at an engine's address: what the engine tests share."""

from __future__ import annotations

from typing import Any

import grpc


def grpc_client(kind: Any, address: str) -> Any:
    """A client of class ``kind`` over an insecure channel, as the product builds them in a sandbox."""
    transport = kind.get_transport_class("grpc")
    return kind(transport=transport(host=address, channel=grpc.insecure_channel(address)))
