"""Bytes in and out: uploads (media, multipart, resumable) and downloads (ranges, gzip)."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Iterator
from typing import Any

from sandbox.engines import storage_conditions as conditions
from sandbox.engines.storage_errors import ApiError, invalid, not_emulated
from sandbox.engines.storage_objects import ObjectStore, Resource, check_metadata
from sandbox.engines.storage_requests import Request, Response, json_response
from sandbox.engines.storage_uploads import Incoming, Session, Sessions, expected_checksums

UPLOAD_PARAMETERS = (*conditions.TARGET_PARAMETERS, "name", "contentEncoding", "upload_id")
CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+|\*)|\*)/(\d+|\*)")
BYTE_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
CHUNK_BYTES = 1 << 20


def upload(store: ObjectStore, sessions: Sessions, request: Request, bucket: str) -> Response:
    """``storage.objects.insert`` in its three forms."""
    request.allow(*UPLOAD_PARAMETERS)
    if "upload_id" in request.parameters:
        return _resume(store, sessions, request, request.parameters["upload_id"])
    store.bucket(bucket)
    kind = request.parameters.get("uploadType")
    if request.method != "POST":
        raise not_emulated(f"{request.method} {request.target}")
    if kind == "media":
        return json_response(_media(store, request, bucket))
    if kind == "multipart":
        return json_response(_multipart(store, request, bucket))
    if kind == "resumable":
        return _begin(store, sessions, request, bucket)
    raise invalid(f"Invalid uploadType: {kind}")


def _media(store: ObjectStore, request: Request, bucket: str) -> Resource:
    incoming = Incoming(store.incoming_root)
    try:
        for chunk in request.chunks():
            incoming.write(chunk)
    except BaseException:
        incoming.discard()
        raise
    encoding = request.parameters.get("contentEncoding")
    metadata = {"contentType": request.header("Content-Type") or None, "contentEncoding": encoding}
    promised = expected_checksums({}, request.header("X-Goog-Hash"))
    return store.commit(bucket, request.parameters.get("name", ""), incoming, metadata, request.parameters, promised)


def _multipart(store: ObjectStore, request: Request, bucket: str) -> Resource:
    """Metadata part, then data part. The data is streamed: only as much is held back as the last boundary needs."""
    boundary = re.search(r'boundary=(?:"([^"]+)"|([^;\s]+))', request.header("Content-Type"))
    if boundary is None:
        raise invalid("The multipart upload has no boundary.")
    mark = b"--" + (boundary[1] or boundary[2]).encode()
    chunks = request.chunks()
    head = b""
    while (match := re.match(_multipart_head(mark), head, re.DOTALL)) is None:
        chunk = next(chunks, b"")
        if not chunk:
            raise invalid("Malformed multipart body.")
        head += chunk
    try:
        metadata = json.loads(match["metadata"])
    except ValueError:
        raise ApiError(400, "parseError", "Parse Error") from None
    content_type = re.search(rb"(?i)content-type:[ \t]*([^\r\n]+)", match["headers"])
    if content_type:
        metadata.setdefault("contentType", content_type[1].decode())
    closing = b"\r\n" + mark + b"--"
    hold_back = len(closing) + 8  # the boundary and a little white space behind it
    incoming = Incoming(store.incoming_root)
    try:
        tail = head[match.end() :]
        for chunk in chunks:
            tail += chunk
            if len(tail) > hold_back:
                incoming.write(memoryview(tail)[:-hold_back])
                tail = tail[-hold_back:]
        end = tail.rfind(closing)
        if end < 0:
            raise invalid("Malformed multipart body.")
        incoming.write(tail[:end])
    except BaseException:
        incoming.discard()
        raise
    name = request.parameters.get("name") or str(metadata.get("name", ""))
    promised = expected_checksums(metadata, request.header("X-Goog-Hash"))
    return store.commit(bucket, name, incoming, metadata, request.parameters, promised)


def _multipart_head(mark: bytes) -> bytes:
    quoted = re.escape(mark)
    part = quoted + rb"[ \t]*\r?\n"
    return rb"\s*" + part + rb".*?\r?\n\r?\n(?P<metadata>.*?)\r?\n" + part + rb"(?P<headers>(?:[^\r\n]+\r?\n)*)\r?\n"


def _begin(store: ObjectStore, sessions: Sessions, request: Request, bucket: str) -> Response:
    metadata = request.json()
    check_metadata(metadata)
    name = request.parameters.get("name") or str(metadata.get("name", ""))
    if request.header("X-Upload-Content-Type"):
        metadata.setdefault("contentType", request.header("X-Upload-Content-Type"))
    conditions.check(request.parameters, store.find(bucket, name))
    session = Session(bucket, name, metadata, request.parameters, Incoming(store.incoming_root))
    upload_id = sessions.add(session)
    location = f"{request.origin}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={upload_id}"
    return Response(200, b"", None, [("Location", location), ("X-GUploader-UploadID", upload_id)])


def _resume(store: ObjectStore, sessions: Sessions, request: Request, upload_id: str) -> Response:
    """One request of a resumable upload: some bytes, a question how many have arrived, or a cancellation."""
    session = sessions.get(upload_id)
    with session.lock:
        if request.method == "DELETE":
            sessions.remove(upload_id)
            return Response(499, b"")
        if session.answer is not None:  # the client did not hear of its success and asks again
            return json_response(session.answer)
        incoming = session.incoming
        given = CONTENT_RANGE.fullmatch(request.header("Content-Range"))
        if request.header("Content-Range") and given is None:
            raise invalid("Failed to parse Content-Range header.")
        known = 0
        if given is not None and given[1]:
            known = incoming.size_bytes - int(given[1])
            if known < 0:
                raise invalid(
                    f"Invalid request. According to the Content-Range header, the upload offset is {given[1]} byte(s), "
                    f"which exceeds already uploaded size of {incoming.size_bytes} byte(s)."
                )
        for chunk in request.chunks():  # bytes that a repeated chunk brings again are skipped
            skipped = min(known, len(chunk))
            known -= skipped
            incoming.write(memoryview(chunk)[skipped:])
        total_bytes = int(given[3]) if given is not None and given[3] != "*" else None
        if total_bytes is not None and incoming.size_bytes > total_bytes:
            sessions.remove(upload_id)
            raise invalid(f"More bytes came ({incoming.size_bytes}) than the upload declared ({total_bytes}).")
        if given is not None and incoming.size_bytes != total_bytes:
            received = [("Range", f"bytes=0-{incoming.size_bytes - 1}")] if incoming.size_bytes else []
            return Response(308, b"", None, received)
        promised = expected_checksums(session.metadata, request.header("X-Goog-Hash"))
        try:
            session.answer = store.commit(
                session.bucket, session.name, incoming, session.metadata, session.parameters, promised
            )
        except ApiError:
            sessions.remove(upload_id)
            raise
        return json_response(session.answer)


def download(store: ObjectStore, request: Request, bucket: str, name: str) -> Response:
    """``storage.objects.get`` with ``alt=media``: the bytes, or a range of them."""
    stored, descriptor = store.open(bucket, name, request.parameters.get("generation"))
    try:
        conditions.check(request.parameters, stored, reading=True)
        headers = _download_headers(store.resource(stored))
        gzipped = stored.get("contentEncoding") == "gzip"
        if gzipped and "gzip" not in request.header("Accept-Encoding"):
            # Decompressive transcoding: the length is not known beforehand, and ranges do not apply.
            headers.append(("Warning", "214 UploadServer gunzipped"))
            return Response(200, _inflate(descriptor), None, headers)
        if gzipped:
            headers.append(("Content-Encoding", "gzip"))
        size = int(stored["size"])
        start, length, status = 0, size, 200
        wanted = BYTE_RANGE.fullmatch(request.header("Range"))
        if wanted is not None and (wanted[1] or wanted[2]):
            start = int(wanted[1]) if wanted[1] else max(0, size - int(wanted[2]))
            end = min(int(wanted[2]), size - 1) if wanted[1] and wanted[2] else size - 1
            if start >= size or start > end:
                os.close(descriptor)
                return Response(416, b"", None, [("Content-Range", f"bytes */{size}")])
            length, status = end - start + 1, 206
            headers.append(("Content-Range", f"bytes {start}-{end}/{size}"))
        return Response(status, _read(descriptor, start, length), length, headers)
    except BaseException:
        os.close(descriptor)
        raise


def _download_headers(resource: dict[str, Any]) -> list[tuple[str, str]]:
    hashes = [f"crc32c={resource['crc32c']}"] + ([f"md5={resource['md5Hash']}"] if "md5Hash" in resource else [])
    return [
        ("Accept-Ranges", "bytes"),
        ("Content-Type", resource["contentType"]),
        ("ETag", resource["etag"]),
        ("X-Goog-Generation", resource["generation"]),
        ("X-Goog-Metageneration", resource["metageneration"]),
        ("X-Goog-Storage-Class", resource["storageClass"]),
        ("X-Goog-Hash", ",".join(hashes)),
        ("X-Goog-Stored-Content-Length", resource["size"]),
        ("X-Goog-Stored-Content-Encoding", resource.get("contentEncoding", "identity")),
    ]


def _read(descriptor: int, start: int, length: int) -> Iterator[bytes]:
    try:
        while length > 0 and (chunk := os.pread(descriptor, min(length, CHUNK_BYTES), start)):
            yield chunk
            start += len(chunk)
            length -= len(chunk)
    finally:
        os.close(descriptor)


def _inflate(descriptor: int) -> Iterator[bytes]:
    with os.fdopen(descriptor, "rb") as file, gzip.open(file) as plain:
        while chunk := plain.read(CHUNK_BYTES):
            yield chunk
