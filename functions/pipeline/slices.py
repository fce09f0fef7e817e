"""A slice's state object: who holds it, how far it is, and how it ends.

The state bucket decides, a message is only a hint; a redelivery repeats every later step. The order is always: state first,
message second. The state machine is exhaustively model-checked in ``tests/protocol``; ``docs/protocol.md`` tells it whole.

::

    planned ─release─► waiting ─claim─► running ─manifest─► extracted ─load─► loaded
                         ▲  └─ not_before ─┘ │                   │
                         └─────── yield ─────┘                   └► failed
    running ─► failed | skipped | cancelled      failed ─retry─► planned
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any

from pipeline import clients, messages, names, state
from pipeline.clock import now
from pipeline.contract import Contract
from pipeline.errors import LeaseLost
from pipeline.journal import log
from pipeline.sources import PlannedSlice
from pipeline.state import Conflict, Stored

SETTLED = frozenset({"loaded", "skipped", "failed", "cancelled"})
LEASE_MARGIN_SECONDS = 60
MAX_CLAIMS_WITHOUT_PROGRESS = 5


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
    shown |= {name: data.get(name) for name in ("published_at", "not_before", "waits_for", "lease_until")}
    shown["error_kind"] = (data.get("error") or {}).get("kind")
    return {name: str(value) for name, value in shown.items() if value is not None}


def read_slice(run: str, slice_: str) -> Slice | None:
    stored = state.read(names.slice_name(run, slice_))
    return Slice(stored) if stored else None


def has_ended(name: str) -> bool:
    """Whether a slice (``<run>/<slice>``) has nothing more to read."""
    run, slice_ = name.split("/")
    return is_over(read_slice(run, slice_), run)


def is_over(piece: Slice | None, run: str) -> bool:
    """Whether a slice of this run, as it was read, has nothing more to read: its rows are in bronze, or it is settled."""
    if piece is None:
        return not state.exists(names.open_name(run))  # a planner may be about to make it
    return piece.status == "extracted" or piece.status in SETTLED


def list_slices(run: str) -> Iterator[state.Listed]:
    """Every slice of a run with its mirrored status, in one call per thousand."""
    return state.listing(f"slices/{run}/")


def slice_id_of(listed: state.Listed) -> str:
    return listed.name.rsplit("/", 1)[1].removesuffix(".json")


def initial(run: str, planned: PlannedSlice, contract: Contract) -> dict[str, Any]:
    """State of a slice that was just planned; the request is frozen in it."""
    source = names.source_of(run)
    return {
        "v": 1,
        "run_id": run,
        "slice_id": names.slice_id(run, planned),
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
        "waits_for": None,
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
    state.create(names.slice_name(data["run_id"], data["slice_id"]), data, mirror(data))


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
        waits_for=None,
    )
    if not piece.data["checkpoint"]:
        updated = piece.stored.updated or now()
        piece.data["as_of"] = updated.astimezone(UTC).isoformat()
    return token


def fail(piece: Slice, *, kind: str, message: str, next_step: str) -> None:
    """End a slice without data. The failure is also left for the next build, which shows it in the warehouse.

    The note comes first: a settled slice is never looked at again, so whoever died between the two would leave a failure
    that the warehouse never hears of. A note whose slice then moved on says too much, and the build's readers allow for that.
    """
    error = {"kind": kind, "message": message, "next_step": next_step}
    _note_failure(piece, error)
    piece.change(status="failed", error=error, lease_until=None, not_before=None)


def _note_failure(piece: Slice, error: Mapping[str, str]) -> None:
    """Leave the failure of a slice for the next build to register."""
    data = piece.data
    file = data["request"].get("file")
    state.create(
        f"failures/{piece.id}.{piece.epoch}.json",
        {
            "run_id": piece.run,
            "slice_id": piece.id,
            "source": data["source"],
            "stream": f"{data['source']}.{data['stream']}",
            "account_id": data["account"],
            "file_name": names.shown_file(file) if file else None,
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
        messages.publish_manifest(piece.run, piece.id)
        return
    piece.change(**frozen, status="planned", error=None, checkpoint=None, attempts=0, published_at=None)
