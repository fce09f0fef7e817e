"""One call of the JSON API, apart from how it arrived: over a connection of its own, or inside a batch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from sandbox.engines.storage_errors import ApiError, invalid, not_emulated

EVERYWHERE = frozenset(
    {"alt", "fields", "key", "prettyPrint", "projection", "quotaUser", "userProject", "userIp", "uploadType"}
)
"""Parameters that any call may carry. ``projection`` only concerns access control lists, which do not exist here."""
UNKNOWN_HEADERS = ("X-Goog-Encryption-Algorithm", "X-Goog-Copy-Source-Encryption-Algorithm")
"""What a client sends along with encryption keys of its own."""


@dataclass
class Request:
    """A call: ``segments`` is the decoded path, ``chunks`` yields the body once."""

    method: str
    target: str
    find_header: Callable[[str], str | None]
    chunks: Callable[[], Iterator[bytes]]
    origin: str
    segments: list[str] = field(init=False)
    parameters: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.target)
        self.segments = [unquote(segment) for segment in parts.path.strip("/").split("/")]
        # An object's name may end with "/", quoted or not; only the leading slash is punctuation.
        self.parameters = dict(parse_qsl(parts.query, keep_blank_values=True))

    def header(self, name: str) -> str:
        """A header's value, empty when absent."""
        return self.find_header(name) or ""

    def body(self) -> bytes:
        """The whole body; for small ones."""
        return b"".join(self.chunks())

    def json(self) -> dict[str, Any]:
        """The body as a JSON object, empty when there is no body. Raises 400."""
        raw = self.body()
        if not raw:
            return {}
        try:
            value = json.loads(raw)
        except ValueError:
            raise ApiError(400, "parseError", "Parse Error") from None
        if not isinstance(value, dict):
            raise invalid("The body should be a JSON object.")
        return value

    def allow(self, *names: str) -> None:
        """Raises 501 when the call carries a parameter, or a header, that the engine would have to ignore."""
        for name in UNKNOWN_HEADERS:
            if self.find_header(name):
                raise not_emulated(f"encryption keys of the caller (the header {name})")
        for name in self.parameters.keys() - EVERYWHERE - set(names):
            if self.parameters[name].lower() not in ("", "false"):
                raise not_emulated(f"the parameter {name}={self.parameters[name]} of {self.method} {self.target}")


@dataclass
class Response:
    """An answer. ``content`` None means an empty body; an iterator is streamed, ``size_bytes`` long if known."""

    status: int = 200
    content: bytes | Iterator[bytes] | None = None
    size_bytes: int | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)


def json_response(value: Any, status: int = 200) -> Response:
    """An answer with a JSON body."""
    return Response(status, json.dumps(value).encode(), None, [("Content-Type", "application/json; charset=UTF-8")])


def error_response(error: ApiError) -> Response:
    """The answer that reports ``error``; 304 has no body."""
    response = Response(304) if error.code == 304 else json_response(error.body(), error.code)
    if error.retry_after_seconds is not None:
        response.headers.append(("Retry-After", f"{error.retry_after_seconds:g}"))
    return response
