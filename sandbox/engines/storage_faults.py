"""Faults in front of the Storage engine's calls; see :mod:`sandbox.engines.faults`.

Methods, for rules to match: ``buckets.get`` and so on; ``objects.get`` (metadata), ``objects.download`` (bytes),
``objects.list``, ``objects.patch``, ``objects.update``, ``objects.delete``, ``objects.compose``, ``objects.rewrite``,
``objects.copy``; ``objects.insert`` (upload in one request), ``objects.insert.begin`` and ``objects.insert.chunk``
(resumable); ``notifications.…``. The calls inside of a batch meet their own faults. The name of an object
call is ``bucket/object``, of a listing ``bucket/prefix``. An upload's ``detail`` has ``upload`` (its type); a chunk's also
``range``.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Protocol

from sandbox.engines.faults import Call, Corrupt, Cut, Delay, Duplicate, Faults, Refuse, Truncate, meet
from sandbox.engines.storage_calls import Calls
from sandbox.engines.storage_errors import ApiError
from sandbox.engines.storage_requests import Request, Response

OBJECT_METHODS = {"GET": "get", "HEAD": "get", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}
LISTED_METHODS = {"GET": "list", "POST": "insert"}
METHODS = (
    *(f"buckets.{verb}" for verb in ("list", "insert", "get", "patch", "delete")),
    *(f"objects.{verb}" for verb in ("list", "get", "patch", "update", "delete", "compose", "rewrite", "copy")),
    *("objects.insert.begin", "objects.insert.cancel"),
    *(f"notifications.{verb}" for verb in ("list", "insert", "get", "delete")),
    "projects.serviceAccount.get",
)
METHODS_WITH_BODIES = ("objects.insert", "objects.insert.chunk", "objects.download")


def storage_faults() -> Faults:
    """The faults that the engine knows."""
    faults = Faults()
    faults.offer(METHODS, Refuse, Cut, Delay, Duplicate)
    faults.offer(METHODS_WITH_BODIES, Refuse, Cut, Delay, Duplicate, Truncate, Corrupt)
    return faults


class ConnectionCut(Exception):
    """The connection shall end here, without an answer."""


class Handler(Protocol):
    """Whatever carries out one request: the calls themselves, or the faults in front of them."""

    def handle(self, request: Request) -> Response: ...


class FaultyCalls:
    """Carries out requests with :class:`Calls`, unless a fault forbids it or bends it."""

    def __init__(self, calls: Calls, faults: Faults) -> None:
        self._calls = calls
        self._faults = faults

    def handle(self, request: Request) -> Response:
        """The answer to ``request``; raises :class:`ApiError` and :class:`ConnectionCut`."""
        if not self._faults:
            return self._calls.handle(request)
        effect = meet(self._faults, self._call(request))
        match effect:
            case Refuse(after=False):
                raise _refusal(effect)
            case Cut(after=False):
                raise ConnectionCut
            case Truncate() | Corrupt() if request.method in ("POST", "PUT"):
                chunks, request.chunks = request.chunks, lambda: _bent(chunks(), effect)
                return self._calls.handle(request)
            case Duplicate():
                body = list(request.chunks())
                request.chunks = lambda: iter(body)
                for _ in range(effect.times - 1):
                    _read_through(self._calls.handle(request))
        response = self._calls.handle(request)
        match effect:
            case Refuse() | Cut():
                _read_through(response)
                raise ConnectionCut if isinstance(effect, Cut) else _refusal(effect)
            case Truncate() | Corrupt() if response.content:
                content = iter([response.content]) if isinstance(response.content, bytes) else response.content
                size_bytes = len(response.content) if isinstance(response.content, bytes) else response.size_bytes
                return Response(response.status, _bent(content, effect), size_bytes, response.headers)
        return response

    def _call(self, request: Request) -> Call:
        verb = request.method
        match request.segments:
            case ["upload", "storage", "v1", "b", bucket, "o"]:
                upload = request.parameters.get("uploadType", "")
                if "upload_id" in request.parameters:
                    detail = {"upload": "resumable", "range": request.header("Content-Range")}
                    method = "objects.insert.cancel" if verb == "DELETE" else "objects.insert.chunk"
                    return Call(method, self._calls.upload_target(request.parameters["upload_id"]), detail)
                method = "objects.insert.begin" if upload == "resumable" else "objects.insert"
                return Call(method, f"{bucket}/{_uploaded_name(request)}", {"upload": upload})
            case ["download", "storage", "v1", "b", bucket, "o", name]:
                return Call("objects.download", f"{bucket}/{name}")
            case ["storage", "v1", "b"]:
                return Call(f"buckets.{LISTED_METHODS.get(verb, verb)}")
            case ["storage", "v1", "b", bucket]:
                return Call(f"buckets.{OBJECT_METHODS.get(verb, verb)}", bucket)
            case ["storage", "v1", "b", bucket, "notificationConfigs", *rest]:
                methods = OBJECT_METHODS if rest else LISTED_METHODS
                return Call(f"notifications.{methods.get(verb, verb)}", "/".join([bucket, *rest]))
            case ["storage", "v1", "b", bucket, "o"]:
                return Call("objects.list", f"{bucket}/{request.parameters.get('prefix', '')}")
            case ["storage", "v1", "b", bucket, "o", name]:
                if verb in ("GET", "HEAD") and request.parameters.get("alt") == "media":
                    return Call("objects.download", f"{bucket}/{name}")
                return Call(f"objects.{OBJECT_METHODS.get(verb, verb)}", f"{bucket}/{name}")
            case ["storage", "v1", "b", bucket, "o", name, "compose"]:
                return Call("objects.compose", f"{bucket}/{name}")
            case ["storage", "v1", "b", _, "o", _, "rewriteTo" | "copyTo" as kind, "b", bucket, "o", name]:
                return Call(f"objects.{kind.removesuffix('To')}", f"{bucket}/{name}")
            case ["storage", "v1", "projects", project, "serviceAccount"] if verb == "GET":
                return Call("projects.serviceAccount.get", project)
        return Call(f"{verb} {request.target}")


def _uploaded_name(request: Request) -> str:
    """The object's name: a parameter, or in the JSON at the head of the body, which is put back for the call itself."""
    if name := request.parameters.get("name"):
        return name
    chunks = request.chunks()
    head = next(chunks, b"")
    request.chunks = lambda: itertools.chain([head], chunks)
    start = head.find(b"{")
    try:
        metadata, _ = json.JSONDecoder().raw_decode(head[start:].decode(errors="replace")) if start >= 0 else ({}, 0)
    except ValueError:
        return ""  # the call itself will say what is wrong with it
    return str(metadata.get("name", ""))


def _read_through(response: Response) -> None:
    """Take in an answer that nobody gets: a download that is not read would keep its file open."""
    if response.content is not None and not isinstance(response.content, bytes):
        for _ in response.content:
            pass


def _refusal(refuse: Refuse) -> ApiError:
    return ApiError(refuse.http_status, refuse.usual_reason, refuse.message, retry_after_seconds=refuse.retry_after_seconds)


def _bent(chunks: Iterator[bytes], effect: Truncate | Corrupt) -> Iterator[bytes]:
    """The body as the fault makes it. A truncated one ends in :class:`ConnectionCut`."""
    if isinstance(effect, Corrupt):
        head = next((chunk for chunk in chunks if chunk), b"")
        if head:
            # In a multipart body two blocks of headers come first; they stay readable.
            data = head.find(b"\r\n\r\n", head.find(b"\r\n\r\n") + 4) + 4 if head.startswith(b"--") else 0
            yield head[:data] + bytes([head[data] ^ 1]) + head[data + 1 :]
        yield from chunks
        return
    left = effect.size_bytes
    for chunk in chunks:
        if len(chunk) >= left:
            yield chunk[:left]
            break
        yield chunk
        left -= len(chunk)
    raise ConnectionCut
