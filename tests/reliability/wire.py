"""The wire between a function and an engine, on which faults happen.

A function is deployed with a wire's address in the place of the engine's. Every request then passes through here in both
directions, so a fault can be put before or after any of them: that is between any two steps of the function.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote, urlsplit

from sandbox.front import HOP_BY_HOP, QuietServer

UPSTREAM_SECONDS = 120.0
SHOWN_BYTES = 2000


@dataclass(frozen=True, slots=True)
class Call:
    """A request of a function. ``port``: the caller's end of the connection, by which
    its process can be found."""

    function: str
    service: str
    method: str
    what: str
    """Path and query, and the beginning of the body: an upload names its object there."""
    port: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to a call.

    ``status``: answered so, and not passed on. ``cut``: the connection breaks before the engine hears of the call.
    ``lost``: the engine does what was asked, and the connection breaks before the caller hears of it. ``and_then`` runs when
    the call is cut or the answer lost: there the caller is killed.
    """

    status: int | None = None
    cut: bool = False
    lost: bool = False
    and_then: Callable[[], None] = lambda: None


PASS = Verdict()
Judge = Callable[[Call], Verdict]


class Wire:
    """One function's way to one engine. ``judge`` is asked about every call; :attr:`address` is known at once."""

    def __init__(self, function: str, service: str, judge: Judge) -> None:
        self.function, self.service, self.judge = function, service, judge
        self.engine = ""
        """Where the engine listens; set before the first call."""
        self._server = QuietServer(("127.0.0.1", 0), _handler(self))
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(wire: Wire) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = 1 << 16
        upstream: http.client.HTTPConnection | None = None

        def handle_any(self) -> None:
            body = b"".join(self.chunks())
            what = f"{unquote(self.path)} {body[:SHOWN_BYTES].decode('utf-8', errors='replace')}"
            verdict = wire.judge(Call(wire.function, wire.service, self.command, what, self.client_address[1]))
            if verdict.status is not None:
                self.refuse(verdict.status)
                return
            if not verdict.cut:
                status, headers, content = self.forward(body)
            if verdict.cut or verdict.lost:
                self.close_connection = True
                verdict.and_then()
                return
            self.answer(status, headers, content)

        def chunks(self) -> Iterator[bytes]:
            if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
                yield self.rfile.read(int(self.headers.get("Content-Length") or 0))
                return
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass

        def forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            if self.upstream is None:
                parts = urlsplit(wire.engine)
                self.upstream = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=UPSTREAM_SECONDS)
            # The Host header stays the wire's: upload sessions are then told to come through the wire as well.
            self.upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    self.upstream.putheader(name, value)
            self.upstream.putheader("Content-Length", str(len(body)))
            self.upstream.endheaders(body)
            response = self.upstream.getresponse()
            content = response.read()
            if "json" in response.headers.get("Content-Type", ""):
                # Links to media, which the client follows.
                content = content.replace(wire.engine.encode(), wire.address.encode())
            return response.status, response.getheaders(), content

        def answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            if status not in (204, 304):
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)
            self.wfile.flush()

        def refuse(self, status: int) -> None:
            reason = "rateLimitExceeded" if status == 429 else "backendError"
            error = {"code": status, "message": "by a fault", "errors": [{"reason": reason, "message": "by a fault"}]}
            self.answer(status, [("Content-Type", "application/json")], json.dumps({"error": error}).encode())

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.handle_any)
    return Handler
