"""A web server that receives pushes and answers as a test wants."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Push:
    """One request as it came, and when (``time.monotonic``)."""

    at: float
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def data(self) -> bytes:
        return base64.b64decode(self.body["message"].get("data", ""))


class PushEndpoint:
    """``answer(push)`` returns the HTTP status; it may take its time. ``pushes`` holds what came, in order."""

    def __init__(self, answer: Callable[[Push], int] = lambda push: 204) -> None:
        self.answer = answer
        self.pushes: list[Push] = []
        self._arrived = threading.Condition()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *arguments: Any) -> None:
                """Quiet."""

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                push = Push(time.monotonic(), dict(self.headers), body)
                with endpoint._arrived:
                    endpoint.pushes.append(push)
                    endpoint._arrived.notify_all()
                try:
                    self.send_response(endpoint.answer(push))
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except ConnectionError:
                    return  # the pusher did not wait

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"

    def wait_for(self, count: int, timeout_seconds: float = 60) -> list[Push]:
        """The pushes, once there are ``count``; fails after ``timeout_seconds``."""
        with self._arrived:
            enough = self._arrived.wait_for(lambda: len(self.pushes) >= count, timeout_seconds)
        assert enough, f"{len(self.pushes)} of {count} pushes came: {self.pushes}"
        return list(self.pushes)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
