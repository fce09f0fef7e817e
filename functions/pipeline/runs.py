"""Runs and slices: their names, their states, and who may move them.

The state bucket decides, a message is only a hint; a redelivery repeats every later step. The order is always: state first,
message second. The state machine is exhaustively model-checked in ``tests/protocol``; ``docs/protocol.md`` draws it.

::

    planned ─release─► waiting ─claim─► running ─manifest─► extracted ─load─► loaded
                         ▲  └─ not_before ─┘ │                   │
                         └─────── yield ─────┘                   └► failed
    running ─► failed | skipped | cancelled      failed ─retry─► planned
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from pipeline import clients, state
from pipeline.contract import Contract
from pipeline.errors import LeaseLost
from pipeline.journal import log
from pipeline.sources import Account, Ask, PlannedSlice
from pipeline.state import Conflict, Stored

OPEN = "open/"
SETTLED = frozenset({"loaded", "skipped", "failed", "cancelled"})
LEASE_MARGIN_SECONDS = 60
MAX_CLAIMS_WITHOUT_PROGRESS = 5


def now() -> datetime:
    """The worker's clock. A skewed one costs a needless try, never correctness: order is decided by Storage's clock."""
    return datetime.now(UTC)


# --- names ---------------------------------------------------------------------------------------------------------


def run_id(source: str, asked_at: datetime, seed: str) -> str:
    """``<asked_at>-<source>-<8 hex of the seed>``. The seed is the message's id or an idempotency key: a redelivery
    makes the same run."""
    digest = hashlib.sha256(seed.encode()).hexdigest()[:8]
    return f"{asked_at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{source}-{digest}"


def source_of(run: str) -> str:
    """The source in a run's id."""
    return run.split("-", 1)[1].rsplit("-", 1)[0]


def day_of(run: str) -> date:
    """The UTC day on which a run was asked for: part of the names of its plan and outcome."""
    return datetime.strptime(run[:8], "%Y%m%d").replace(tzinfo=UTC).date()


def slice_id(run: str, planned: PlannedSlice) -> str:
    """``s`` and 16 hex digits: fits into a BigQuery job id."""
    parts = (run, planned.stream, planned.account, planned.window_from, planned.window_to, planned.identity)
    return "s" + hashlib.sha256("|".join(str(part) for part in parts).encode()).hexdigest()[:16]


def open_name(run: str) -> str:
    return OPEN + run


def plan_name(run: str) -> str:
    return f"plans/{day_of(run)}/{run}.json"


def outcome_name(run: str) -> str:
    return f"outcomes/{day_of(run)}/{run}.json"


def slice_name(run: str, slice_: str) -> str:
    return f"slices/{run}/{slice_}.json"


def cancel_name(run: str) -> str:
    return f"cancel/{run}"


def gate_name(source: str, account: str) -> str:
    return f"gates/{source}/{account}.json"


# --- messages ------------------------------------------------------------------------------------------------------


def publish(topic: str, body: Mapping[str, Any], attributes: Mapping[str, str] | None = None) -> None:
    """Publish and wait until Pub/Sub has it. A lost message is the sweeper's to repeat."""
    publisher = clients.pubsub()
    path = publisher.topic_path(clients.project(), topic)
    publisher.publish(path, json.dumps(body).encode(), **(attributes or {})).result(timeout=state.TIMEOUT_SECONDS)


def publish_slice(run: str, slice_: str, epoch: int) -> None:
    publish(source_of(run), {"v": 1, "kind": "slice", "run_id": run, "slice_id": slice_, "epoch": epoch})


def publish_ask(run: str, asked: Mapping[str, Any], asked_at: datetime) -> None:
    """Ask for a run under a given id: what the scheduler sends, with the two facts that a repetition must keep."""
    body = {**asked, "v": 1, "kind": "run", "run_id": run, "asked_at": asked_at.isoformat()}
    publish(source_of(run), body)


def publish_manifest(run: str, slice_: str) -> None:
    """Send what Storage sends when the manifest is finalized, with the attributes that the loader reads."""
    from pipeline import bronze

    bucket = clients.bronze_bucket().name
    name = bronze.manifest_name(run, slice_)
    attributes = {"eventType": "OBJECT_FINALIZE", "bucketId": bucket, "objectId": name, "payloadFormat": "JSON_API_V1"}
    publish("manifests", {"kind": "storage#object", "bucket": bucket, "name": name}, attributes)


# --- slices --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Slice:
    """A slice's state object in hand. Every change is a compare-and-set; losing one raises :class:`Conflict`."""

    stored: Stored

    @property
    def data(self) -> dict[str, Any]:
        return self.stored.data

    @property
    def status(self) -> str:
        return str(self.data["status"])

    @property
    def run(self) -> str:
        return str(self.data["run_id"])

    @property
    def id(self) -> str:
        return str(self.data["slice_id"])

    @property
    def epoch(self) -> int:
        return int(self.data["epoch"])

    def change(self, **fields: Any) -> None:
        """Replace the state with these fields changed. Raises :class:`Conflict` when it moved on in between."""
        data = {**self.data, **fields}
        self.stored = state.replace(self.stored, data, mirror(data))

    def checkpoint(self, token: str, **fields: Any) -> None:
        """Like :meth:`change`, for the holder of a claim. Raises :class:`LeaseLost` when the claim is no longer its."""
        if self.data["token"] != token:
            raise LeaseLost(f"{self.id} is claimed by another invocation")
        try:
            self.change(**fields)
        except Conflict as error:
            raise LeaseLost(f"{self.id} moved on under another invocation") from error


def mirror(data: Mapping[str, Any]) -> dict[str, str]:
    """What a listing must tell without opening the object."""
    shown = {name: data.get(name) for name in ("status", "stream", "account", "epoch", "rows", "aside")}
    shown |= {name: data.get(name) for name in ("published_at", "not_before", "lease_until")}
    shown["error_kind"] = (data.get("error") or {}).get("kind")
    return {name: str(value) for name, value in shown.items() if value is not None}


def read_slice(run: str, slice_: str) -> Slice | None:
    stored = state.read(slice_name(run, slice_))
    return Slice(stored) if stored else None


def list_slices(run: str) -> Iterator[state.Listed]:
    """Every slice of a run with its mirrored status, in one call per thousand."""
    return state.listing(f"slices/{run}/")


def slice_id_of(listed: state.Listed) -> str:
    return listed.name.rsplit("/", 1)[1].removesuffix(".json")


def instant(value: str | None) -> datetime | None:
    """An ISO instant out of a state object or its mirror."""
    return datetime.fromisoformat(value) if value else None


def past(value: str | None, *, plus_seconds: float = 0) -> bool:
    """Whether an instant (or nothing) lies behind us."""
    moment = instant(value)
    return moment is None or moment + timedelta(seconds=plus_seconds) <= now()


def initial(run: str, planned: PlannedSlice, contract: Contract) -> dict[str, Any]:
    """State of a slice that was just planned; the request is frozen in it."""
    source = source_of(run)
    return {
        "v": 1,
        "run_id": run,
        "slice_id": slice_id(run, planned),
        "source": source,
        "stream": planned.stream,
        "account": planned.account,
        "mode": planned.mode,
        "from": planned.window_from.isoformat() if planned.window_from else None,
        "to": planned.window_to.isoformat() if planned.window_to else None,
        "identity": planned.identity,
        "request": dict(planned.request),
        "contract": contract.digest,
        "status": "planned",
        "epoch": 0,
        "attempts": 0,
        "token": None,
        "not_before": None,
        "published_at": None,
        "lease_until": None,
        "as_of": None,
        "checkpoint": None,
        "rows": None,
        "aside": None,
        "error": None,
        "tries": {},
    }


def create_slice(data: Mapping[str, Any]) -> None:
    """Create the state of a planned slice; one that is there already is left alone."""
    state.create(slice_name(data["run_id"], data["slice_id"]), data, mirror(data))


def release(source: str, parallel_slices: int) -> int:
    """Publish planned slices of a source's open runs, oldest run first, while fewer than ``parallel_slices`` are in flight.

    Never all at once: a backfill of thousands of slices would be pushed back by busy functions until healthy messages
    ran out of delivery attempts. Two releasers may overshoot by a slice each; that costs a push-back, nothing else.
    Returns how many were released.
    """
    flying = 0
    planned: list[state.Listed] = []
    for run in open_runs():
        if source_of(run) != source:
            continue
        if flying >= parallel_slices:
            return 0
        waiting = []
        for listed in list_slices(run):
            status = listed.metadata.get("status")
            if status == "running" and not past(listed.metadata.get("lease_until")):
                flying += 1
            elif status == "waiting" and "not_before" not in listed.metadata:
                flying += not past(listed.metadata.get("published_at"), plus_seconds=clients.hint_seconds())
            elif status == "planned":
                waiting.append(listed)
        planned += _accounts_in_turn(waiting)
    released = 0
    for listed in planned:
        if flying + released >= parallel_slices:
            break
        released += _release(listed)
    return released


def _release(listed: state.Listed) -> bool:
    """State first, message second. False when somebody else was faster."""
    _, run, _ = listed.name.split("/")
    piece = read_slice(run, slice_id_of(listed))
    if piece is None or piece.status != "planned":
        return False
    try:
        piece.change(status="waiting", published_at=now().isoformat())
    except Conflict:
        return False
    publish_slice(run, piece.id, piece.epoch)
    return True


def _accounts_in_turn(planned: Sequence[state.Listed]) -> Iterator[state.Listed]:
    """One slice of each account, then the next of each: a big account does not keep the small ones waiting."""
    queues: dict[str, list[state.Listed]] = {}
    for listed in planned:
        queues.setdefault(listed.metadata.get("account", ""), []).append(listed)
    while queues:
        for account in list(queues):
            yield queues[account].pop(0)
            if not queues[account]:
                del queues[account]


def claim(piece: Slice) -> str:
    """Take a slice for this invocation: running, next epoch, a lease as long as the function may live. Returns the token.

    A claim without a checkpoint starts the data from nothing, so it also sets ``as_of`` (from Storage's clock, known only
    after the write, kept with the first checkpoint). Raises :class:`Conflict` when another delivery was faster.
    """
    token = uuid.uuid4().hex
    lease = timedelta(seconds=clients.timeout_seconds() + LEASE_MARGIN_SECONDS)
    piece.change(
        status="running",
        epoch=piece.epoch + 1,
        token=token,
        attempts=piece.data["attempts"] + 1,
        lease_until=(now() + lease).isoformat(),
        not_before=None,
    )
    if not piece.data["checkpoint"]:
        updated = piece.stored.updated or now()
        piece.data["as_of"] = updated.astimezone(UTC).isoformat()
    return token


def fail(piece: Slice, *, kind: str, message: str, next_step: str) -> None:
    """End a slice without data. The failure is also left for the next build, which shows it in the warehouse."""
    error = {"kind": kind, "message": message, "next_step": next_step}
    piece.change(status="failed", error=error, lease_until=None, not_before=None)
    note_failure(piece)


def note_failure(piece: Slice) -> None:
    """Leave the failure of a slice for the next build to register."""
    data, error = piece.data, piece.data["error"]
    state.create(
        f"failures/{piece.id}.{piece.epoch}.json",
        {
            "run_id": piece.run,
            "slice_id": piece.id,
            "source": data["source"],
            "stream": f"{data['source']}.{data['stream']}",
            "account_id": data["account"],
            "file_name": (data["request"].get("file") or {}).get("name"),
            "kind": error["kind"],
            "message": error["message"],
            "next_step": error["next_step"],
            "failed_at": now().isoformat(),
        },
    )
    log("slice", error["message"], severity="ERROR", run_id=piece.run, slice_id=piece.id, kind=error["kind"],
        source=data["source"], stream=data["stream"], account=data["account"], next_step=error["next_step"])  # fmt: skip


def retry(piece: Slice, frozen: Mapping[str, Any]) -> None:
    """Put a failed slice back to work, with what today's contract and presets freeze for it.

    A slice that failed in its load keeps its manifest: only the load jobs that failed are repeated.
    """
    if piece.data["rows"] is not None:
        piece.change(status="extracted", error=None)
        publish_manifest(piece.run, piece.id)
        return
    piece.change(**frozen, status="planned", error=None, checkpoint=None, attempts=0, published_at=None)


# --- files ---------------------------------------------------------------------------------------------------------


def seen_name(bucket: str, name: str, generation: str) -> str:
    """Marker of a landing object that some run has planned."""
    return f"seen/{hashlib.sha256(f'{bucket}/{name}'.encode()).hexdigest()[:16]}.{generation}"


def claim_file(sha256: str, run: str, slice_: str) -> Literal["mine", "loaded_elsewhere", "in_flight_elsewhere"]:
    """Whose bytes are these? A file's identity is its bytes; the slice that owns them loads them, later ones do not.

    An owner that failed or vanished is taken over.
    """
    me = {"run_id": run, "slice_id": slice_}
    stored = state.create_or_read(f"files/{sha256}.json", me)
    if stored.data["slice_id"] == slice_:
        return "mine"
    owner = read_slice(stored.data["run_id"], stored.data["slice_id"])
    if owner is not None and owner.status in ("loaded", "extracted"):
        return "loaded_elsewhere"
    if owner is not None and owner.status not in SETTLED:
        return "in_flight_elsewhere"
    try:
        state.replace(stored, me)
    except Conflict:
        return "in_flight_elsewhere"
    return "mine"


# --- runs ----------------------------------------------------------------------------------------------------------


def open_runs() -> list[str]:
    """Runs that are not closed: the sweeper's whole to-do list."""
    return [listed.name.removeprefix(OPEN) for listed in state.listing(OPEN)]


def ask_of(run: str, plan: Mapping[str, Any]) -> Ask:
    """The ask as frozen in a run's plan."""
    asked = plan["asked"]
    return Ask(
        source=plan["source"],
        run_id=run,
        asked_at=datetime.fromisoformat(plan["asked_at"]),
        streams=tuple(asked.get("streams") or ()),
        accounts=tuple(asked.get("accounts") or ()),
        window_from=date.fromisoformat(asked["from"]) if asked.get("from") else None,
        window_to=date.fromisoformat(asked["to"]) if asked.get("to") else None,
        reason=asked.get("reason", ""),
        asked_by=asked.get("asked_by", ""),
        landing_object=asked.get("landing_object"),
    )


def configured_accounts(source: str, wanted: Iterable[str] = ()) -> list[Account]:
    """The accounts of a source in this deployment; the CRM has ``default`` where none is named."""
    configured = [Account(str(entry["id"]), entry.get("time_zone", "Etc/UTC")) for entry in clients.accounts().get(source, [])]
    chosen = [account for account in configured if not wanted or account.id in set(wanted)]
    return chosen or ([Account("default")] if not configured else [])


def close(run: str) -> str | None:
    """Write a run's outcome if all its slices are settled, ask for a transform, and take it off the to-do list.

    Called by whoever settles a slice, and by the sweeper; repeating it is harmless. Returns the outcome's status, or
    ``None`` while the run is open.
    """
    plan = state.read(plan_name(run))
    if plan is None:
        return None
    counts: dict[str, int] = {}
    missing: list[dict[str, str]] = []
    rows = aside = 0
    for listed in list_slices(run):
        status = listed.metadata.get("status", "planned")
        if status not in SETTLED:
            return None
        counts[status] = counts.get(status, 0) + 1
        rows += int(listed.metadata.get("rows", 0)) if status == "loaded" else 0
        aside += int(listed.metadata.get("aside", 0)) if status == "loaded" else 0
        if status in ("failed", "cancelled"):
            names = ("stream", "account", "error_kind")
            missing.append({"slice_id": slice_id_of(listed)} | {n: listed.metadata.get(n, "") for n in names})
    if len(plan.data["slices"]) != sum(counts.values()):
        return None  # the planner died before it made every slice; a redelivery or the sweeper makes the rest
    status = _outcome(counts)
    stored = _write_outcome(run, {"v": 1, "run_id": run, "source": source_of(run), "status": status, "slices": counts,
                                  "rows": rows, "aside": aside, "missing": missing})  # fmt: skip
    if counts.get("loaded") or counts.get("failed"):
        # The generation tells a reopened run's second closing from a repetition of the first.
        want = {"v": 1, "kind": "transform", "id": f"{run}.{stored.generation}", "select": [], "full_refresh": False}
        publish("transform", want)
    state.delete(open_name(run))
    severity = "INFO" if status == "succeeded" else "ERROR"
    log("run", f"run {status}", severity=severity, run_id=run, source=source_of(run), rows=rows, aside=aside, **counts)
    return status


def _outcome(counts: Mapping[str, int]) -> str:
    good = counts.get("loaded", 0) + counts.get("skipped", 0)
    bad = counts.get("failed", 0)
    if bad:
        return "partial" if good else "failed"
    return "cancelled" if counts.get("cancelled") else "succeeded"


def reject_run(run: str, *, message: str, next_step: str, kind: str) -> None:
    """Close a run that could not even be planned."""
    error = {"kind": kind, "message": message, "next_step": next_step}
    _write_outcome(run, {"v": 1, "run_id": run, "source": source_of(run), "status": "failed", "slices": {}, "rows": 0,
                         "aside": 0, "missing": [], "error": error})  # fmt: skip
    state.delete(open_name(run))
    log("run", message, severity="ERROR", run_id=run, kind=kind, next_step=next_step)


def _write_outcome(run: str, data: Mapping[str, Any]) -> Stored:
    """Write the outcome unless it says the same already. Retries a lost race: both writers saw settled slices."""
    shown = {name: str(data[name]) for name in ("status", "rows", "aside")}
    shown |= {f"slices_{name}": str(count) for name, count in data["slices"].items()}
    for _ in range(5):
        stored = state.read(outcome_name(run))
        try:
            if stored is None:
                created = state.create(outcome_name(run), {**data, "closed_at": now().isoformat()}, shown)
                if created is not None:
                    return created
            elif all(stored.data.get(name) == value for name, value in data.items()):
                return stored
            else:
                return state.replace(stored, {**data, "closed_at": now().isoformat()}, shown)
        except Conflict:
            continue
    raise Conflict(f"outcome of {run} keeps changing")
