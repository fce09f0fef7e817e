"""The HTTP server in front of the Storage engine: one thread per connection, bodies streamed both ways."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sandbox.engines import storage_batch
from sandbox.engines.storage_errors import ApiError
from sandbox.engines.storage_faults import ConnectionCut, Handler
from sandbox.engines.storage_requests import Request, Response, error_response

logger = logging.getLogger(__name__)

READ_BYTES = 1 << 18


class StorageServer(ThreadingHTTPServer):
    """Serves ``calls``. ``close_all`` also ends the connections that clients keep open."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, calls: Handler) -> None:
        self.calls = calls
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        super().__init__(("127.0.0.1", port), StorageHandler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._connections_lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._connections_lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("a client of the Storage engine went away", exc_info=True)

    def close_all(self) -> None:
        """Stops listening and cuts every connection."""
        self.shutdown()
        self.server_close()
        with self._connections_lock:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # it is gone already


class StorageHandler(BaseHTTPRequestHandler):
    """Turns HTTP requests into :class:`Request` and :class:`Response` back into HTTP."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    rbufsize = 1 << 18
    server: StorageServer

    def log_message(self, format: str, *arguments: Any) -> None:
        """No line per request; the journal tells what happened."""

    def _chunks(self) -> Iterator[bytes]:
        self._body_taken = True
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            while left := int(self.rfile.readline().split(b";")[0], 16):
                while left:
                    chunk = self._read(min(left, READ_BYTES))
                    left -= len(chunk)
                    yield chunk
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass  # trailers
        else:
            left = int(self.headers.get("Content-Length") or 0)
            while left:
                chunk = self._read(min(left, READ_BYTES))
                left -= len(chunk)
                yield chunk
        self._body_read = True

    def _read(self, size_bytes: int) -> bytes:
        chunk = self.rfile.read(size_bytes)
        if not chunk:
            raise ConnectionError("the client went away in the middle of a body")
        return chunk

    def _serve(self) -> None:
        self._body_taken = self._body_read = False
        origin = f"http://{self.headers.get('Host') or '127.0.0.1'}"
        request = Request(self.command, self.path, self.headers.get, self._chunks, origin)
        try:
            if request.segments[:2] == ["batch", "storage"]:
                response = storage_batch.handle(self.server.calls, request)
            else:
                response = self.server.calls.handle(request)
        except ApiError as error:
            response = error_response(error)
            if error.code == 501:
                logger.error("%s", error.message)
        except ConnectionCut:
            self._cut()
            return
        except ConnectionError:
            raise
        except Exception as error:  # a fault of the engine must reach the caller as one, not as a closed connection
            logger.exception("the Storage engine failed at %s %s", self.command, self.path)
            response = error_response(ApiError(500, "internalError", f"{type(error).__name__}: {error}"))
        if not self._body_taken:
            for _ in self._chunks():
                pass
        elif not self._body_read:
            self.close_connection = True  # half a body is still under way: the connection cannot be used again
        try:
            self._send(response)
        except ConnectionCut:  # in the middle of a download
            self._cut()

    def _cut(self) -> None:
        """Ends the connection as a broken network would: the client sees it close without a (whole) answer."""
        self.wfile.flush()
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - names given by http.server

    def _send(self, response: Response) -> None:
        content = response.content
        self.send_response(response.status, {308: "Resume Incomplete"}.get(response.status))
        for name, value in response.headers:
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        if isinstance(content, bytes) or content is None:
            if response.status not in (204, 304):
                self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            if content and self.command != "HEAD":
                self.wfile.write(content)
        elif response.size_bytes is not None:
            self.send_header("Content-Length", str(response.size_bytes))
            self.end_headers()
            self._stream(content, chunked=False)
        else:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self._stream(content, chunked=True)
        self.wfile.flush()

    def _stream(self, content: Iterator[bytes], *, chunked: bool) -> None:
        if self.command == "HEAD":
            return
        for chunk in content:
            if chunked:
                self.wfile.write(b"%x\r\n" % len(chunk))
            self.wfile.write(chunk)
            if chunked:
                self.wfile.write(b"\r\n")
        if chunked:
            self.wfile.write(b"0\r\n\r\n")
