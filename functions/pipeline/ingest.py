"""One slice: fetch → bronze, within a time budget, resumable at any page.

What a slice has safely written (finished parts and the cursor behind them) stands in its checkpoint. Near its deadline an
invocation hands the slice to its own continuation; what must wait sets ``not_before`` and is woken by the sweeper. So no
extraction is bounded by a function's timeout, and none waits in an instance.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from pipeline import bronze, clients, clock, contract, messages, names, plan, runs, slices, sources, state
from pipeline.contract import Stream
from pipeline.errors import LeaseLost, Rejected, Retryable, Skip, StartOver, Wait
from pipeline.events import Delivery, Unreadable
from pipeline.journal import log, timed
from pipeline.slices import Slice
from pipeline.sources import Account, Page, Task
from pipeline.state import Conflict

CHECKPOINT_SECONDS = 30
"""At least this long between two checkpoints, unless a part is full: a state object takes about one write a second."""
RETRY_SECONDS = 20


def handle(delivery: Delivery) -> None:
    """A message on a source's topic: a run that is asked for, a file that was dropped, or a slice that is due."""
    if delivery.is_finalize or delivery.kind == "run":
        plan.start(*plan.asked_by(delivery))
    elif delivery.kind == "slice":
        body = delivery.body
        extract(str(body["run_id"]), str(body["slice_id"]), int(body["epoch"]))
    else:
        raise Unreadable(f"message kind {delivery.kind!r} does not belong on a source's topic")


def extract(run: str, slice_id: str, epoch: int) -> None:
    """Work on a slice if it is this message's to work on; acknowledge a stale hint."""
    started = time.monotonic()
    source = contract.load().source(names.source_of(run))
    piece = slices.read_slice(run, slice_id)
    if piece is None:
        log("slice", "no such slice yet: a hint before its state", run_id=run, slice_id=slice_id, severity="WARNING")
        return
    if (manifest := bronze.read_manifest(run, slice_id)) is not None:
        _outranked(piece, manifest)
    elif not _is_due(piece, epoch):
        return
    else:
        try:
            _work(piece, started)
        except (LeaseLost, Conflict):
            log("slice", "another invocation has it", run_id=run, slice_id=slice_id)
            return
    runs.release(source.name, source.parallel_slices)
    runs.close(run)


def _outranked(piece: Slice, manifest: dict[str, Any]) -> None:
    """A manifest outranks any state: whoever wrote it, the slice is complete. Move on to its load."""
    if piece.status == "failed" and piece.data["rows"] is not None:
        return  # it is the load that was refused; only a retry begins it again
    if piece.status in ("planned", "waiting", "running", "failed", "cancelled"):
        if piece.status in slices.SETTLED:
            runs.reopen(piece.run)  # the sweeper looks after open runs alone
        _set_extracted(piece, manifest)
    if piece.status not in slices.SETTLED:
        messages.publish_manifest(piece.run, piece.id)


def _set_extracted(piece: Slice, manifest: dict[str, Any]) -> None:
    known = {name: manifest[name] for name in ("rows", "aside", "as_of")}
    piece.change(status="extracted", **known, checkpoint=None, lease_until=None, not_before=None, error=None)


def _is_due(piece: Slice, epoch: int) -> bool:
    data = piece.data
    if epoch != piece.epoch or not clock.past(data["not_before"]):
        return False
    if piece.status == "running":
        return clock.past(data["lease_until"])
    return piece.status == "waiting"


def _work(piece: Slice, started: float) -> None:
    """Claim the slice and bring it one step further. Raises :class:`Conflict` or :class:`LeaseLost` if it is not ours."""
    data = piece.data
    if state.exists(names.cancel_name(piece.run)):
        piece.change(status="cancelled", lease_until=None)
        return
    if (gate := state.read(names.gate_name(data["source"], data["account"]))) and not clock.past(gate.data["not_before"]):
        piece.change(status="waiting", not_before=gate.data["not_before"], published_at=None, lease_until=None)
        return
    if data["attempts"] >= slices.MAX_CLAIMS_WITHOUT_PROGRESS:
        slices.fail(
            piece,
            kind="dies_each_time",
            message=f"{data['attempts']} invocations in a row ended without a new page",
            next_step="Read the function's log for this slice, then retry the run.",
        )
        return
    extraction = Extraction(piece, slices.claim(piece), started + clients.timeout_seconds())
    try:
        extraction.run()
    except LeaseLost:
        raise
    except Wait as wait:
        extraction.cursor = wait.cursor or extraction.cursor
        extraction.sleep(wait.seconds, wait.reason, attempts=0, waits_for=wait.waits_for)
    except Skip as skip:
        error = {"kind": "skipped", "message": str(skip), "next_step": ""}
        piece.checkpoint(extraction.token, status="skipped", error=error, lease_until=None)
    except Rejected as error:
        slices.fail(piece, kind=error.kind, message=error.message, next_step=error.next_step)
    except Exception as error:
        if not isinstance(error, Retryable) and not clients.is_transient(error):
            raise  # a bug: the lease ends, the sweeper wakes the slice, MAX_CLAIMS_WITHOUT_PROGRESS ends it
        extraction.spoiled = isinstance(error, StartOver)
        extraction.sleep(RETRY_SECONDS * data["attempts"] + RETRY_SECONDS, f"{type(error).__name__}: {error}")


@dataclass(slots=True)
class Extraction:
    """One invocation's hold of a slice: the pages that it fetches and what it has kept of them."""

    piece: Slice
    token: str
    ends_at: float
    """Monotonic second at which the platform kills this invocation."""
    cursor: Any = None
    facts: dict[str, Any] = field(default_factory=dict)
    unknown_fields: Counter[str] = field(default_factory=Counter)
    non_rows: int = 0
    torn: bool = False
    """A page is half written: what is open holds rows that lie behind the cursor, and must not be kept."""
    spoiled: bool = False
    """What was fetched may be wrong: nothing of it is kept, not even what a checkpoint has."""
    writer: bronze.SliceWriter = field(init=False)

    def __post_init__(self) -> None:
        kept = self.piece.data["checkpoint"] or {}
        self.cursor = kept.get("cursor")
        self.facts = dict(kept.get("facts", {}))
        self.unknown_fields = Counter(kept.get("unknown_fields", {}))
        self.non_rows = kept.get("non_rows", 0)
        parts, asides = (bronze.from_json(kept.get(name, [])) for name in ("parts", "asides"))
        self.writer = bronze.SliceWriter(self.piece.data, parts, asides, kept.get("numbers_as_text", 0))

    def run(self) -> None:
        """Fetch to the end and write the manifest, or hand over when the time budget is nearly spent."""
        data = self.piece.data
        names = {name: data[name] for name in ("run_id", "slice_id", "source", "stream", "account")}
        with timed("slice", "extracted", **names) as said:
            for page in sources.find(data["source"]).fetch(self._task()):
                self._keep(page)
                if page.cursor is None:
                    continue
                if self._is_spent():
                    self._hand_over()
                    said |= {"message": "handed over to a continuation", "rows": self.writer.rows}
                    return
                if self.writer.is_full or self.writer.seconds_since_flush > 2 * CHECKPOINT_SECONDS:
                    self.writer.flush()
                    self.piece.checkpoint(self.token, checkpoint=self._checkpoint(), attempts=0)
            self.writer.flush()
            facts = {**self.facts, "non_rows": self.non_rows, "unknown_fields": dict(self.unknown_fields)}
            manifest = bronze.write_manifest(data, self.writer, facts)
            said |= {"rows": manifest["rows"], "aside": manifest["aside"], "bytes": manifest["bytes"]}
        _set_extracted(self.piece, manifest)

    def sleep(self, seconds: float, reason: str, attempts: int | None = None, waits_for: str | None = None) -> None:
        """Keep what is safe, and let the sweeper wake the slice later. No instance waits.

        ``waits_for``: a slice at whose end this one may go on at once (see ``runs.release``).
        """
        until = (clock.now() + timedelta(seconds=seconds)).isoformat()
        more: dict[str, Any] = {"waits_for": waits_for} | ({} if attempts is None else {"attempts": attempts})
        if self.spoiled:
            more["checkpoint"] = None
        elif self.cursor is not None and not self.torn:
            self.writer.flush()
            more["checkpoint"] = self._checkpoint()
        self.piece.checkpoint(self.token, status="waiting", not_before=until, published_at=None, lease_until=None, **more)
        log("slice", f"waits until {until}: {reason}", severity="WARNING", run_id=self.piece.run, slice_id=self.piece.id)

    def _task(self) -> Task:
        data = self.piece.data
        source = contract.load().source(data["source"])
        stream = source.streams.get(data["stream"])
        accounts = {account.id: account for account in runs.configured_accounts(source.name)}
        return Task(
            run_id=data["run_id"],
            slice_id=data["slice_id"],
            source=source,
            stream=stream or _unnamed_stream(source.name, data["stream"]),
            account=accounts.get(data["account"], Account(data["account"])),
            window_from=date.fromisoformat(data["from"]) if data["from"] else None,
            window_to=date.fromisoformat(data["to"]) if data["to"] else None,
            request=data["request"],
            cursor=self.cursor,
            mode=data["mode"],
        )

    def _keep(self, page: Page) -> None:
        self.torn = True
        self.facts.update(page.facts)
        self.unknown_fields.update(page.unknown_fields)
        self.non_rows += page.non_rows
        self.writer.add(page, self.facts.get("file_name"))
        self.cursor = page.cursor
        self.torn = False

    def _checkpoint(self) -> dict[str, Any]:
        return {
            "cursor": self.cursor,
            "parts": bronze.as_json(self.writer.parts),
            "asides": bronze.as_json(self.writer.asides),
            "facts": self.facts,
            "unknown_fields": dict(self.unknown_fields),
            "non_rows": self.non_rows,
            "numbers_as_text": self.writer.unfaithful,
        }

    def _is_spent(self) -> bool:
        margin = min(60.0, 0.15 * clients.timeout_seconds())
        return time.monotonic() > self.ends_at - margin

    def _hand_over(self) -> None:
        """State first, message second; and no lease, so that the continuation may claim at once."""
        self.writer.flush()
        self.piece.checkpoint(
            self.token,
            status="waiting",
            checkpoint=self._checkpoint(),
            attempts=0,
            published_at=clock.now().isoformat(),
            lease_until=None,
        )
        messages.publish_slice(self.piece.run, self.piece.id, self.piece.epoch)


def _unnamed_stream(source: str, name: str) -> Stream:
    """Stands in for a stream that the contract does not have: a file that nobody could place."""
    return Stream(source, name, "", (), "files", "upsert", {})
