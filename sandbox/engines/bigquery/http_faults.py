"""The outermost ASGI layer: faults on purpose, and the address at which they are switched.

Methods, for rules to match: ``jobs.insert``, ``jobs.query``, ``jobs.get``, ``jobs.getQueryResults``, ``jobs.list``,
``jobs.cancel``, ``tables.get``, ``datasets.insert`` and so on, ``tabledata.list``, ``tabledata.insertAll``. The name is the
job id of a job call, else ``dataset.table``. ``jobs.insert`` and ``jobs.query`` have the ``detail`` ``kind`` (``load``,
``query``, ``copy``, ``extract``) and ``table`` (``dataset.table``, of loads and copies).

Rules are switched at ``/_sandbox/faults`` on the same port: GET lists them, POST adds one, DELETE ends all or, with ``/<id>``,
one. Nothing of the SQL and of the engine's data is touched by a fault; see :mod:`sandbox.engines.faults`.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
import uuid
from typing import Any

from sandbox.engines.bigquery.calls import CALLS, ROUTE, method_of
from sandbox.engines.bigquery.requests import Message, Receive, Requests, Send, answer, answer_json, decode, read, replay
from sandbox.engines.faults import (
    Call,
    Cut,
    Delay,
    Duplicate,
    Effect,
    Faults,
    JobFails,
    JobSlow,
    JobStuck,
    Refuse,
    switch,
)

PATH = "/_sandbox/faults"


class FaultLayer:
    """Wraps the whole application. ``context`` is bqemulator's, for its catalogue and clock."""

    def __init__(self, app: Requests, context: Any, location: str) -> None:
        self.app = app
        self.context = context
        self.location = location
        self.faults = Faults()
        self.faults.offer(CALLS, Refuse, Cut, Delay, Duplicate)
        self.faults.offer(("jobs.insert", "jobs.query"), JobFails, JobStuck)
        self.faults.offer(("jobs.insert",), JobSlow)
        self._running_until: dict[str, float] = {}
        """Job ids that are shown as running, and until when (``time.monotonic``)."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["path"].startswith(PATH):
            await self._switch(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Message, receive: Receive, send: Send) -> None:
        route = ROUTE.match(scope["path"])
        if route is None or not (self.faults or self._running_until):
            # Nothing is to be held back or looked into: most engines never meet a fault.
            await self.app(scope, receive, send)
            return
        body = await read(receive)
        call = _call(scope, body, route["rest"].split("/"))
        effect = await self._meet(call)
        match effect:
            case Refuse(after=False):
                await _refuse(send, effect)
                return
            case Cut(after=False):
                _cut(send)
                return
            case JobFails() | JobStuck() if call.method in ("jobs.insert", "jobs.query"):
                await self._spoil(effect, route["project"], scope, body, receive, send)
                return
        for _ in range(effect.times if isinstance(effect, Duplicate) else 1):
            kept = _Kept()
            await self.app(scope, replay(body, receive), kept.send)
        if isinstance(effect, Cut):
            _cut(send)
        elif isinstance(effect, Refuse):
            await _refuse(send, effect)
        else:
            if isinstance(effect, JobSlow) and call.method == "jobs.insert" and kept.status < 300:
                end = math.inf if effect.seconds is None else time.monotonic() + effect.seconds
                self._running_until[json.loads(kept.body)["jobReference"]["jobId"]] = end
            await self._show(call, kept, send)

    async def _meet(self, call: Call) -> Effect | None:
        for effect in self.faults.meet(call):
            if isinstance(effect, Delay):
                await asyncio.sleep(effect.seconds)
            else:
                return effect
        return None

    async def _spoil(
        self, effect: JobFails | JobStuck, project: str, scope: Message, body: bytes, receive: Receive, send: Send
    ) -> None:
        """Record a job that has done nothing and has failed, and answer as if it had been asked for just now."""
        from bqemulator.catalog.etag import generate_etag
        from bqemulator.catalog.models import JobMeta

        request = decode(scope, body)
        configuration = request.get("configuration") or {"query": {"query": request.get("query", "")}}
        reference = request.get("jobReference") or {}
        job_id = str(reference.get("jobId") or uuid.uuid4())
        failure = JobFails("stopped", "Job execution was cancelled.") if isinstance(effect, JobStuck) else effect
        now = self.context.clock.now()
        job = JobMeta(
            project_id=project,
            job_id=job_id,
            job_type=_kind(configuration).upper(),
            state="DONE",
            configuration=configuration,
            statistics={_kind(configuration): {}},
            error_result={"reason": failure.reason, "message": failure.message},
            creation_time=now,
            start_time=now,
            end_time=now,
            etag=generate_etag(project, job_id, str(now)),
        )
        # The catalogue lives in the one DuckDB connection. Looked at and written under one lock: a job of this id may be at
        # work, and what it did must not be recorded as having failed.
        async with self.app.lock:
            taken = self.context.catalog.get_job(project, job_id) is not None
            if not taken:
                self.context.catalog.upsert_job(job)
        if taken:
            await self.app(scope, replay(body, receive), send)  # 409, as for every job id that is taken
            return
        if isinstance(effect, JobStuck):
            self._running_until[job_id] = math.inf
        path = f"/bigquery/v2/projects/{project}/jobs/{job_id}"
        kept = _Kept()
        look = {**scope, "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b""}
        await self.app(look, replay(b"", receive), kept.send)
        if scope["path"].endswith("/queries"):  # jobs.query answers with the error itself
            await _refuse(send, Refuse(403 if "xceeded" in failure.reason else 400, failure.reason, failure.message))
            return
        await self._show(Call("jobs.insert", job_id), kept, send)

    async def _show(self, call: Call, kept: _Kept, send: Send) -> None:
        """Send the answer on; a job that is to look as if it ran, does."""
        if call.method.startswith("jobs.") and kept.body and self._running_until:
            self._disguise(call, kept)
        await kept.forward(send)

    def _disguise(self, call: Call, kept: _Kept) -> None:
        if call.method == "jobs.getQueryResults" and self._runs(call.name):
            kept.start["status"] = 200
            reference = {"jobId": call.name, "location": self.location}
            waiting = {"kind": "bigquery#getQueryResultsResponse", "jobReference": reference, "jobComplete": False}
            kept.body = json.dumps(waiting).encode()
            return
        value = json.loads(kept.body)
        shown = value.get("job", value)  # jobs.cancel wraps it
        if self._runs((shown.get("jobReference") or {}).get("jobId", "")) and "status" in shown:
            shown["status"] = {"state": "RUNNING"}
            statistics = shown.get("statistics") or {}
            shown["statistics"] = {key: statistics[key] for key in ("creationTime", "startTime") if key in statistics}
            kept.body = json.dumps(value).encode()

    def _runs(self, job_id: str) -> bool:
        return self._running_until.get(job_id, 0.0) > time.monotonic()

    async def _switch(self, scope: Message, receive: Receive, send: Send) -> None:
        rest = scope["path"][len(PATH) :].strip("/")
        try:
            value = switch(self.faults, scope["method"], rest, await read(receive))
        except ValueError as error:
            await answer(send, 400, "invalid", str(error))
            return
        await answer_json(send, 200, value)


class _Kept:
    """An answer that is held back until it is decided what becomes of it."""

    def __init__(self) -> None:
        self.start: Message = {}
        self.body = b""

    @property
    def status(self) -> int:
        return int(self.start.get("status", 500))

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = dict(message)
        else:
            self.body += message.get("body", b"")

    async def forward(self, send: Send) -> None:
        headers = [(key, value) for key, value in self.start.get("headers", []) if key.lower() != b"content-length"]
        if self.status not in (204, 304):
            headers.append((b"content-length", str(len(self.body)).encode()))
        await send({**self.start, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def _kind(configuration: dict[str, Any]) -> str:
    return next((kind for kind in ("load", "copy", "extract", "query") if kind in configuration), "query")


def _call(scope: Message, body: bytes, segments: list[str]) -> Call:
    method = method_of(scope["method"], segments, upload=scope["path"].startswith("/upload"))
    match method, segments:
        case "jobs.insert", _:
            request = decode(scope, body)
            configuration = request.get("configuration") or {}
            kind = _kind(configuration)
            table = (configuration.get(kind) or {}).get("destinationTable") or {}
            target = f"{table.get('datasetId', '')}.{table.get('tableId', '')}" if table else ""
            job_id = (request.get("jobReference") or {}).get("jobId", "")
            return Call(method, job_id, {"kind": kind, "table": target})
        case "jobs.query", _:
            return Call(method, "", {"kind": "query", "table": ""})
        case _, ["datasets", dataset, _, item, *_]:
            return Call(method, f"{dataset}.{item}")
        case _, [_, name, *_]:
            return Call(method, name)
    return Call(method)


async def _refuse(send: Send, refuse: Refuse) -> None:
    after = refuse.retry_after_seconds
    headers = [] if after is None else [(b"retry-after", f"{after:g}".encode())]
    await answer(send, refuse.http_status, refuse.usual_reason, refuse.message, headers)


def _cut(send: Send) -> None:
    """End the connection without an answer. ASGI has no word for it; uvicorn's cycle, whose method `send` is, has."""
    send.__self__.transport.abort()  # type: ignore[attr-defined]


def install(location: str) -> None:
    """Wrap what the application factory makes, around the corrections of `requests`. Must run after those."""
    import bqemulator.api.app as app

    create = app.create_app

    def create_app(context: Any) -> Any:
        return FaultLayer(create(context), context, location)

    app.create_app = create_app
