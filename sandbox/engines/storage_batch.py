"""Batch requests: several calls in one ``multipart/mixed`` body, as the client's ``with client.batch()`` sends them."""

from __future__ import annotations

import email.policy
from email.parser import BytesParser, Parser
from http import HTTPStatus

from sandbox.engines.storage_errors import ApiError, invalid
from sandbox.engines.storage_faults import Handler
from sandbox.engines.storage_requests import Request, Response, error_response

BOUNDARY = "batch_of_answers"


def handle(calls: Handler, request: Request) -> Response:
    """Carries out each call of the batch in its order; one call's failure does not touch the others."""
    head = b"Content-Type: " + request.header("Content-Type").encode() + b"\r\n\r\n"
    parts = BytesParser(policy=email.policy.HTTP).parsebytes(head + request.body())
    if not parts.is_multipart():
        raise invalid("The batch is not a multipart/mixed message.")
    out: list[bytes] = []
    for part in parts.iter_parts():
        raw = part.get_payload(decode=True)
        answer = _carry_out(calls, request, raw if isinstance(raw, bytes) else b"")
        content = answer.content if isinstance(answer.content, bytes) else b""
        identity = str(part["Content-ID"] or "").strip("<>")
        status = f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"
        out.append(
            f"--{BOUNDARY}\r\nContent-Type: application/http\r\nContent-ID: <response-{identity}>\r\n\r\n"
            f"{status}\r\nContent-Type: application/json; charset=UTF-8\r\n"
            f"Content-Length: {len(content)}\r\n\r\n".encode()
            + content
            + b"\r\n"
        )
    out.append(f"--{BOUNDARY}--\r\n".encode())
    return Response(200, b"".join(out), None, [("Content-Type", f"multipart/mixed; boundary={BOUNDARY}")])


def _carry_out(calls: Handler, outer: Request, raw: bytes) -> Response:
    head, _, body = raw.replace(b"\r\n", b"\n").partition(b"\n\n")
    start, _, header_lines = head.decode().lstrip().partition("\n")
    words = start.split(" ")
    if len(words) < 2:
        raise invalid("A part of the batch is not an HTTP request.")
    headers = dict(Parser().parsestr(header_lines).items())
    inner = Request(words[0], words[1], headers.get, lambda: iter([body.rstrip(b"\n")]), outer.origin)
    try:
        return calls.handle(inner)
    except ApiError as error:
        return error_response(error)
