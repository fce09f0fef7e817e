"""Outgoing HTTP requests of the engines: pushes of Pub/Sub, calls of the scheduler."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

TokenSource = Callable[[str, str], str]
"""Called with a service account's e-mail and an audience; returns the OIDC token (a JWT) to send as bearer."""

USER_AGENT = "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)"


def send(method: str, url: str, body: bytes, headers: Mapping[str, str], timeout_seconds: float) -> int:
    """Sends one request and returns the answer's status; redirects are not followed.

    Raises OSError (refused, timed out) and http.client.HTTPException (no HTTP answer).
    """
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout_seconds)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body, {"User-Agent": USER_AGENT, **headers})
        return connection.getresponse().status
    finally:
        connection.close()
