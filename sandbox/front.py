"""The door of a function: its URL, with the IAM check in front and whatever Cloud Run adds to a request."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

OPENING_SECONDS = 60.0
"""How long a request waits for a world that is still starting."""

HOP_BY_HOP = frozenset({"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length"})
"""Headers of one connection (RFC 9110, 7.6.1), not to be passed on; the length is set anew."""

Check = Callable[[str | None], tuple[int, str] | None]
"""Judges a request's ``Authorization`` header; ``None`` lets it in, else (HTTP status, reason)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer as a whole."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


Handle = Callable[[str, str, Sequence[tuple[str, str]], bytes], Answer]
"""Answers a request: method, path with query, headers, body."""


def text(status: int, message: str) -> Answer:
    """An answer for people."""
    return Answer(status, [("Content-Type", "text/plain; charset=utf-8")], message.encode() + b"\n")


def json_answer(value: Any, status: int = 200) -> Answer:
    """An answer for programs."""
    return Answer(status, [("Content-Type", "application/json")], json.dumps(value).encode())


class Front:
    """The URL of a function. ``check`` is the IAM check in front of it; ``added_headers`` are put on every request."""

    def __init__(
        self,
        handle: Handle,
        port: int = 0,
        check: Check | None = None,
        added_headers: Callable[[], Mapping[str, str]] | None = None,
        opened: threading.Event | None = None,
    ) -> None:
        self.closing = False
        """Set: new requests get 503, as from a service that is being stopped."""
        handler = _handler(self, handle, check, added_headers, opened)
        try:
            self._server = QuietServer(("127.0.0.1", port), handler)
        except OSError:
            # The port of the last run was only a wish: another program may have it by now.
            self._server = QuietServer(("127.0.0.1", 0), handler)
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, name=f"front-{self.port}", daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class QuietServer(ThreadingHTTPServer):
    """A server of many callers, any of whom may go away."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that went away is no event worth a traceback on the terminal."""


def _handler(
    front: Front,
    handle: Handle,
    check: Check | None,
    added_headers: Callable[[], Mapping[str, str]] | None,
    opened: threading.Event | None,
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            added = {name.lower(): value for name, value in (added_headers() if added_headers else {}).items()}
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if opened is not None and not opened.wait(OPENING_SECONDS):
                self.answer(text(503, "The world is still starting."))
                return
            if front.closing:
                self.answer(text(503, "The world is being stopped."))
                return
            refused = check(self.headers.get("Authorization")) if check else None
            if refused is not None:
                self.answer(text(*refused))
                return
            headers = [
                (name, value)
                for name, value in self.headers.items()
                if name.lower() not in HOP_BY_HOP and name.lower() not in added
            ]
            headers += added.items()
            if "X-Cloud-Trace-Context" not in self.headers:
                headers.append(("X-Cloud-Trace-Context", f"{secrets.token_hex(16)}/1;o=0"))
            self.answer(handle(self.command, self.path, headers, body))

        def answer(self, answer: Answer) -> None:
            self.send_response_only(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        setattr(Handler, f"do_{method}", Handler.handle_any)
    return Handler
