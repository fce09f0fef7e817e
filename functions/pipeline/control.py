"""HTTP: ask for a run, retry what failed, sweep, look. Flask, behind Cloud Run's IAM check.

Nothing here extracts, loads or transforms: every act is the same message that the scheduler, the storage or the planner
would send. Errors are problem details (RFC 9457).
"""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from flask import Flask, Request, Response, jsonify, request
from werkzeug.exceptions import BadRequest, HTTPException, NotFound

from pipeline import clock, contract, journal, messages, names, plan, runs, slices, state, sweep, transform
from pipeline.errors import PipelineError, Rejected
from pipeline.state import Conflict

PROBLEM = "application/problem+json"
RUNS_SHOWN = 50

app = Flask(__name__, static_folder=None)


def respond(incoming: Request) -> Response:
    """Answer functions-framework's request with this module's routes.

    The body is read once, by the framework's own request: it reads what is left after answering, and would wait at the
    socket for bytes that ours has taken.
    """
    journal.set_trace(incoming.headers.get("X-Cloud-Trace-Context"))
    body = incoming.get_data(cache=True)
    with app.request_context({**incoming.environ, "wsgi.input": io.BytesIO(body)}):
        return app.full_dispatch_request()


@app.get("/")
def index() -> Response:
    """What there is to look at."""
    return jsonify({path.rule: (app.view_functions[path.endpoint].__doc__ or "").split("\n\n")[0] for path in _readable()})


def _readable() -> list[Any]:
    rules = [rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())]
    return sorted(rules, key=lambda rule: rule.rule)


@app.get("/healthz")
def healthz() -> Response:
    """The function is up and can read its contract."""
    return jsonify(status="ok", contract=contract.load().digest)


@app.post("/runs")
def post_run() -> tuple[Response, int]:
    """Ask for a run: ``{source, streams, accounts, from, to, reason, dry_run}``. 202 with the run's id; with ``dry_run``
    200 with the slices that it would make. The header ``Idempotency-Key`` makes a repetition the same run."""
    body = _body({"source", "streams", "accounts", "from", "to", "reason", "dry_run"})
    source = contract.load().source(_text(body, "source"))
    asked: dict[str, Any] = {
        "source": source.name,
        "streams": _texts(body, "streams"),
        "accounts": _texts(body, "accounts"),
        "from": _day(body, "from"),
        "to": _day(body, "to"),
        "reason": str(body.get("reason") or "asked over HTTP"),
        "asked_by": _caller(),
    }
    key = request.headers.get("Idempotency-Key")
    asked_at = _key_time(source.name, key) if key else clock.now()
    run = names.run_id(source.name, asked_at, key or uuid.uuid4().hex)
    ask = runs.ask_of(run, {"source": source.name, "asked": asked, "asked_at": asked_at.isoformat()})
    if body.get("dry_run"):
        pieces = [slices.initial(run, piece, contract.load()) for piece in plan.slices_of(ask, source)]
        return jsonify(source=source.name, dry_run=True, slices=[_brief(piece) for piece in pieces]), 200
    _check_ask(ask, source)
    messages.publish_ask(run, asked, asked_at)
    return jsonify(run_id=run, status="asked"), 202


@app.get("/runs")
def get_runs() -> Response:
    """The newest runs with their outcome, ``?limit=`` (default 50); open ones first."""
    limit = min(request.args.get("limit", RUNS_SHOWN, type=int), 500)
    still_open = set(runs.open_runs())
    closed = {_run_of(listed.name): dict(listed.metadata) for listed in state.listing("outcomes/")}
    newest = sorted(still_open | set(closed), reverse=True)
    newest.sort(key=lambda run: run not in still_open)
    shown = [
        {"run_id": run, "source": names.source_of(run)} | ({"status": "running"} if run in still_open else closed[run])
        for run in newest[:limit]
    ]
    return jsonify(runs=shown)


@app.get("/runs/<run>")
def get_run(run: str) -> Response:
    """One run: its plan, its outcome if it is closed, and every slice with status, rows and error."""
    stored = state.read(names.plan_name(run)) if _is_run_id(run) else None
    outcome = state.read(names.outcome_name(run)) if _is_run_id(run) else None
    if stored is None and outcome is None:
        raise NotFound(f"there is no run {run}")
    pieces = []
    for listed in slices.list_slices(run):
        piece = slices.read_slice(run, slices.slice_id_of(listed))
        if piece is not None:
            pieces.append(_brief(piece.data))
    plan_data = stored.data if stored else {}
    return jsonify(
        run_id=run,
        asked=plan_data.get("asked"),
        asked_at=plan_data.get("asked_at"),
        outcome=_public(outcome.data) if outcome else None,
        slices=pieces,
    )


@app.post("/runs/<run>/retry")
def post_retry(run: str) -> tuple[Response, int]:
    """Put the failed slices of a run back to work, with today's contract and presets. 202 with how many."""
    stored = state.read(names.plan_name(run)) if _is_run_id(run) else None
    if stored is None:
        raise NotFound(f"there is no run {run}")
    failed = [listed for listed in slices.list_slices(run) if listed.metadata.get("status") == "failed"]
    if not failed:
        return jsonify(run_id=run, retried=0), 200
    runs.reopen(run)
    retried = 0
    for listed in failed:
        piece = slices.read_slice(run, slices.slice_id_of(listed))
        if piece is None or piece.status != "failed":
            continue
        try:
            slices.retry(piece, plan.refrozen(run, piece.data))
        except Conflict:
            continue
        retried += 1
    source = contract.load().source(names.source_of(run))
    runs.release(source.name, source.parallel_slices)
    return jsonify(run_id=run, retried=retried), 202


@app.post("/sweep")
def post_sweep() -> Response:
    """Send again what is due; called each minute by the scheduler."""
    return jsonify(sweep.sweep())


@app.post("/transforms")
def post_transform() -> tuple[Response, int]:
    """Ask for a build: ``{select, full_refresh}``. 202 with the want's id."""
    body = _body({"select", "full_refresh"})
    want = {
        "id": request.headers.get("Idempotency-Key") or f"manual-{uuid.uuid4().hex[:12]}",
        "select": _texts(body, "select"),
        "full_refresh": bool(body.get("full_refresh")),
    }
    messages.publish("transform", {"v": 1, "kind": "transform", **want})
    return jsonify(id=want["id"], status="asked"), 202


@app.get("/transforms")
def get_transforms() -> Response:
    """The build in progress, the last complete one, and what is wanted."""
    data = transform.read().data
    names = ("build", "done_build", "building", "wants")
    return jsonify({name: data[name] for name in names} | {"is_building": transform.is_building(data)})


@app.post("/dead-letters")
def post_dead_letter() -> tuple[str, int]:
    """Pub/Sub pushes what it gave up on: keep it, with its content, to be read and redriven."""
    envelope = request.get_json(silent=True) or {}
    message = envelope.get("message") or {}
    message_id = str(message.get("messageId", ""))
    if not message_id:
        raise BadRequest("not a Pub/Sub push: message.messageId is missing")
    stored = state.create(f"dead/{message_id}.json", {"v": 1, "envelope": envelope, "filed_at": clock.now().isoformat()})
    if stored is not None:
        attributes = message.get("attributes") or {}
        source = attributes.get("CloudPubSubDeadLetterSourceSubscription")
        journal.log("dead_letter", "a message was given up on", severity="ERROR", message_id=message_id, subscription=source)
    return "", 204


@app.get("/dead-letters")
def get_dead_letters() -> Response:
    """What Pub/Sub gave up on, oldest first."""
    letters = []
    for listed in state.listing("dead/"):
        stored = state.read(listed.name)
        if stored is not None:
            letters.append(_public(stored.data))
    return jsonify(dead_letters=letters)


@app.errorhandler(HTTPException)
def _http_problem(error: HTTPException) -> Response:
    return _problem(error.code or 500, error.name, error.description or "")


@app.errorhandler(Rejected)
def _rejected_problem(error: Rejected) -> Response:
    return _problem(422, error.kind, error.message, next_step=error.next_step)


@app.errorhandler(PipelineError)
def _pipeline_problem(error: PipelineError) -> Response:
    return _problem(503, "try again", str(error))


def _problem(status: int, title: str, detail: str, **more: Any) -> Response:
    body = {"type": "about:blank", "status": status, "title": title, "detail": detail, **more}
    return Response(json.dumps(body), status=status, content_type=PROBLEM)


def _body(known: set[str]) -> Mapping[str, Any]:
    body = request.get_json(silent=True) if request.data else {}
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object")
    if unknown := sorted(set(body) - known):
        raise BadRequest(f"unknown field '{unknown[0]}'; known are {', '.join(sorted(known))}")
    return body


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise BadRequest(f"'{name}' must be a text")
    return value


def _texts(body: Mapping[str, Any], name: str) -> list[str]:
    value = body.get(name) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadRequest(f"'{name}' must be a list of texts")
    return value


def _day(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    try:
        return date.fromisoformat(value).isoformat()
    except (TypeError, ValueError) as error:
        raise BadRequest(f"'{name}' must be a date like 2025-06-30") from error


def _caller() -> str:
    """Who asked, as Cloud Run's IAM check passed it on; only for the record."""
    return request.headers.get("X-Goog-Authenticated-User-Email", "http").removeprefix("accounts.google.com:")


def _key_time(source: str, key: str) -> datetime:
    """When an idempotency key was first used: kept once, so that a repetition names the same run."""
    stored = state.create_or_read(f"keys/{source}/{uuid.uuid5(uuid.NAMESPACE_URL, key)}.json", {"at": clock.now().isoformat()})
    return datetime.fromisoformat(stored.data["at"])


def _check_ask(ask: Any, source: contract.Source) -> None:
    """Refuse now what the planner would refuse later: the asker is still there to read it."""
    for stream in source.streams.values():
        if stream.window == "dates":
            for account in runs.configured_accounts(source.name, ask.accounts):
                plan.window(ask, stream, account)
    plan.check_names(ask, source)


def _is_run_id(run: str) -> bool:
    try:
        names.day_of(run)
        return bool(names.source_of(run))
    except (ValueError, IndexError):
        return False


def _run_of(name: str) -> str:
    return name.rsplit("/", 1)[1].removesuffix(".json")


def _brief(data: Mapping[str, Any]) -> dict[str, Any]:
    shown = (
        "slice_id",
        "stream",
        "account",
        "mode",
        "from",
        "to",
        "status",
        "attempts",
        "rows",
        "aside",
        "as_of",
        "error",
    )
    file = (data.get("request") or {}).get("file")
    return {name: data.get(name) for name in shown} | {"file": names.shown_file(file) if file else None}


def _public(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if not name.startswith("_")}
