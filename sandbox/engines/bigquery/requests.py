"""The ASGI layer in front of bqemulator: one request at a time, job ids used once, errors that clients do not retry."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any
from urllib.parse import parse_qs

from sandbox.engines.bigquery import inventory, transactions
from sandbox.engines.bigquery.calls import README, not_emulated
from sandbox.engines.bigquery.pages import Page, page_of

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]

JOBS = re.compile(r"^/bigquery/v2/projects/([^/]+)/(?:jobs|queries)(?:/([^/]+))?")
DEFINITIONS = re.compile(r"^/bigquery/v2/projects/[^/]+/datasets")
CHANGING = ("POST", "PUT", "PATCH", "DELETE")
UNLOCKED = ("/healthz",)
INVENTORY = "/_sandbox/inventory"
NOT_EMPTY = b" is not empty; use delete_contents"
#: Statuses that become 400: internal error and not implemented.
NOT_RETRIED = (500, 501)


class Requests:
    """Wraps bqemulator's application.

    * Requests are served one after another: bqemulator runs some handlers in threads that share one DuckDB
      connection, whose results would mix.
    * What is not emulated is refused by name (501), see `calls`; lists have pages.
    * A change under If-Match of another state of a table or dataset is refused (412).
    * A job id that exists is refused with 409, also after a restart.
    * A location other than the engine's own is refused, as BigQuery refuses datasets of another location.
    * A query that fails is 400 or 404 in `jobs.query` too; bqemulator answers 200 with the error inside.
    * HTTP 500 becomes 400: the official clients repeat a 500 for ten minutes.
    * A change of a dataset or table is one transaction, answered when it is kept. bqemulator commits a table and its
      catalogue row one after the other: a kill in between left a table that was listed nowhere and could not be made again.

    Args:
        app: the application.
        context: bqemulator's context, for its catalogue.
        location: the one location of all datasets.
    """

    def __init__(self, app: App, context: Any, location: str) -> None:
        self.app = app
        self.context = context
        self.location = location
        self.lock = asyncio.Lock()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http" or scope["path"] in UNLOCKED:
            await self.app(scope, receive, send)
            return
        body = await read(receive)
        async with self.lock:
            if scope["path"] == INVENTORY:
                await answer_json(send, 200, inventory.inventory(self.context.engine.connection))
                return
            refusal = self._refusal(scope, body)
            if refusal:
                await answer(send, *refusal)
                return
            if await self._is_stale(scope, receive):
                await answer(send, 412, "conditionNotMet", "Precondition check failed.")
                return
            if scope["method"] in CHANGING and DEFINITIONS.match(scope["path"]):
                await self._change(scope, replay(body, receive), send)
                return
            try:
                scope, page = page_of(scope)
            except ValueError:
                await answer(send, 400, "invalid", "Invalid value for maxResults or pageToken: they are numbers here.")
                return
            corrected = _Answer(send, self.location, page)
            try:
                await self.app(scope, replay(body, receive), corrected.send)
            except Exception:  # bqemulator has logged it, and Starlette raises it again after it has answered 500
                if not corrected.sent:
                    raise

    async def _change(self, scope: Message, receive: Receive, send: Send) -> None:
        held: list[Message] = []

        async def hold(message: Message) -> None:
            held.append(message)

        corrected = _Answer(hold, self.location)
        try:
            with transactions.transaction(self.context):
                await self.app(scope, receive, corrected.send)
                if corrected.start["status"] >= 400:
                    raise _Refused
        except _Refused:
            pass
        except Exception:  # as above: answered already
            if not corrected.sent:
                raise
        for message in held:
            await send(message)

    async def _is_stale(self, scope: Message, receive: Receive) -> bool:
        """Whether the request holds for another state than there is; a resource that is missing is the handler's to report."""
        wanted = dict(scope["headers"]).get(b"if-match")
        if wanted is None or scope["method"] not in ("PATCH", "PUT", "DELETE"):
            return False
        now = _Answer(None, self.location)
        await self.app({**scope, "method": "GET", "query_string": b""}, replay(b"", receive), now.send)
        etag = json.loads(now.body).get("etag") if now.start["status"] == 200 else None
        return etag is not None and etag.strip('"') != wanted.decode().strip('"')

    def _refusal(self, scope: Message, body: bytes) -> tuple[int, str, str] | None:
        query_string = scope.get("query_string", b"").decode()
        upload = scope["path"].startswith("/upload")  # whose body is no JSON, and large
        given = {} if upload else decode(scope, body)
        missing = not_emulated(scope["method"], scope["path"], query_string, given, self.location)
        if missing:
            text = f"The local BigQuery does not emulate {missing}; see {README}."
            logger.error("%s", text)
            return 501, "notImplemented", text
        found = JOBS.match(scope["path"])
        if not found:
            return None
        project, job_id = found[1], found[2]
        query = parse_qs(query_string)
        location = query.get("location", [""])[0]
        if scope["method"] == "POST" and job_id is None:
            reference = given.get("jobReference") or {}
            location = reference.get("location") or given.get("location") or ""
            named = reference.get("jobId")
            if named and self.context.catalog.get_job(project, named) is not None:
                text = f"Already Exists: Job {project}:{self.location}.{named}"
                return 409, "duplicate", text
        if location and location.lower() != self.location.lower():
            what = f"Job {project}:{job_id}" if job_id else f"Project {project}: no dataset"
            return 404, "notFound", f"Not found: {what} in location {location}; everything here is in {self.location}"
        return None


def decode(scope: Message, body: bytes) -> dict[str, Any]:
    """A request's JSON body, empty when it is none."""
    try:
        if dict(scope["headers"]).get(b"content-encoding") == b"gzip":
            body = gzip.decompress(body)
        value = json.loads(body)
    except (ValueError, OSError):
        return {}
    return value if isinstance(value, dict) else {}


async def read(receive: Receive) -> bytes:
    """The whole body of a request."""
    parts, more = [], True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        parts.append(message.get("body", b""))
        more = bool(message.get("more_body"))
    return b"".join(parts)


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body again that was read."""
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def answer(send: Send, status: int, reason: str, text: str, headers: Headers = ()) -> None:
    """Answer with an error in the form of Google's API."""
    error = {"code": status, "message": text, "errors": [{"message": text, "domain": "global", "reason": reason}]}
    await answer_json(send, status, {"error": error}, headers)


async def answer_json(send: Send, status: int, value: Any, headers: Headers = ()) -> None:
    """Answer with a JSON body."""
    body = json.dumps(value).encode()
    given = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": given})
    await send({"type": "http.response.body", "body": body})


def _refused_query(body: bytes) -> tuple[int, bytes]:
    """Status and body of a `jobs.query` that failed: bqemulator answers 200 and no rows, BigQuery answers 4xx."""
    answer = json.loads(body)
    error = answer["errors"][0]
    code = 404 if error.get("reason") == "notFound" else 400
    refusal = {"code": code, "message": error.get("message", ""), "errors": answer["errors"]}
    return code, json.dumps({"error": refusal}, separators=(",", ":")).encode()


class _Refused(Exception):
    """Undoes the transaction of a change that was answered with an error."""


class _Answer:
    """Collects a response and corrects it before it is sent."""

    def __init__(self, send: Send | None, location: str, page: Page | None = None) -> None:
        self.forward = send
        self.location = location.encode()
        self.page = page
        self.body = b""
        self.start: Message = {}
        self.parts: list[bytes] = []
        self.sent = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
            return
        self.parts.append(message.get("body", b""))
        if message.get("more_body"):
            return
        body = b"".join(self.parts)
        if body.startswith(b'{"kind":"bigquery#queryResponse"') and b'"errors":[{' in body:
            self.start["status"], body = _refused_query(body)
        if self.start["status"] == 404 and NOT_EMPTY in body:  # which clients that delete would take for done
            self.start["status"] = 400
            body = body.replace(b'"code":404', b'"code":400').replace(b'"notFound"', b'"resourceInUse"')
        if self.start["status"] in NOT_RETRIED:
            code = b'"code":%d' % self.start["status"]
            self.start["status"] = 400
            body = body.replace(code, b'"code":400')
            body = body.replace(b"internalError", b"invalid").replace(b"backendError", b"invalid")
        if self.start["status"] >= 400 or b'"errorResult"' in body:
            body = body.replace(b"in location US", b"in location " + self.location)
        body = body.replace(b'"location":"US"', b'"location":"' + self.location + b'"')
        if self.page is not None:
            body = self.page.of(body)
        self.body = body
        if self.forward is None:
            return  # only looked at
        headers = [(k, v) for k, v in self.start["headers"] if k.lower() != b"content-length"]
        if self.start["status"] not in (204, 304):
            headers.append((b"content-length", str(len(body)).encode()))
        await self.forward({**self.start, "headers": headers})
        await self.forward({"type": "http.response.body", "body": body})
        self.sent = True


def install(location: str) -> None:
    """Wrap what the application factory makes. Must run before `bqemulator.server` is imported."""
    import bqemulator.api.app as app

    create = app.create_app

    def create_app(context: Any) -> Any:
        # Around everything, not as a middleware: Starlette makes its answer to an exception outside of those.
        return Requests(create(context), context, location)

    app.create_app = create_app
