"""The sweeper: looks at everything that is open and sends again what is due. The only guarantee of progress.

Scheduler calls it each minute through ``control``; by hand it may be called at any time. It is idempotent, sends messages
and changes nothing but the time stamps of what it sent; it publishes nothing when nothing is due.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from pipeline import clients, clock, contract, messages, names, plan, runs, slices, sources, state, transform
from pipeline.journal import log
from pipeline.state import Conflict, Listed

LANDING_HINTS = 6
"""A landing object that nobody planned after this many hint times has lost its event."""


@dataclass(slots=True)
class Swept:
    """What one sweep sent."""

    runs_open: int = 0
    asks: int = 0
    slices: int = 0
    manifests: int = 0
    released: int = 0
    closed: int = 0
    landing_runs: int = 0
    transforms: int = 0

    @property
    def sent(self) -> int:
        return self.asks + self.slices + self.manifests + self.released + self.landing_runs + self.transforms


def sweep() -> dict[str, int]:
    """Go through the open runs, the transform and the landing bucket. Returns how much of what was sent."""
    swept = Swept()
    for marker in list(state.listing(names.OPEN)):
        swept.runs_open += 1
        _sweep_run(marker, swept)
    for source in contract.load().sources.values():
        swept.released += runs.release(source.name, source.parallel_slices)
    _sweep_transform(swept)
    _sweep_landing(swept)
    if swept.sent or swept.closed:
        log("sweep", "sent what was due", **asdict(swept))
    return asdict(swept)


def _sweep_run(marker: Listed, swept: Swept) -> None:
    run = marker.name.removeprefix(names.OPEN)
    stored = state.read(names.plan_name(run))
    if stored is None:
        if _older_than_hint(marker):
            opened = state.read(marker.name)
            if opened is not None:
                messages.publish_ask(run, opened.data["asked"], datetime.fromisoformat(opened.data["asked_at"]))
                log("sweep", "a run without a plan is asked for again", severity="WARNING", run_id=run)
                swept.asks += 1
        return
    listed = list(slices.list_slices(run))
    if len(listed) < len(stored.data["slices"]) and _older_than_hint(marker):
        plan.create_slices(stored.data)
    for piece in listed:
        _sweep_slice(run, piece, swept)
    swept.closed += runs.close(run) is not None


def _older_than_hint(listed: Listed) -> bool:
    return listed.updated + timedelta(seconds=clients.hint_seconds()) <= clock.now()


def _sweep_slice(run: str, listed: Listed, swept: Swept) -> None:
    shown = listed.metadata
    if shown.get("status") == "extracted":
        if _older_than_hint(listed) and clock.past(shown.get("not_before")):
            messages.publish_manifest(run, slices.slice_id_of(listed))
            swept.manifests += 1
        return
    if not _is_overdue(shown):
        return
    piece = slices.read_slice(run, slices.slice_id_of(listed))
    if piece is None or not _is_overdue(slices.mirror(piece.data)):
        return
    try:
        piece.change(status="waiting", published_at=clock.now().isoformat(), not_before=None, waits_for=None, lease_until=None)
    except Conflict:
        return
    messages.publish_slice(run, piece.id, piece.epoch)
    swept.slices += 1


def _is_overdue(shown: Mapping[str, str]) -> bool:
    """A waiting slice whose time has come or whose message was lost, or a running one whose lease is over."""
    if shown.get("status") == "waiting":
        if "not_before" in shown:
            return clock.past(shown["not_before"])
        return clock.past(shown.get("published_at"), plus_seconds=clients.hint_seconds())
    return shown.get("status") == "running" and clock.past(shown.get("lease_until"))


def _sweep_transform(swept: Swept) -> None:
    stored = state.read(transform.NAME)
    if stored is None or not transform.is_due(stored.data):
        return
    wants: list[dict[str, Any]] = stored.data["wants"]
    want = wants[0] if wants else {"id": f"resume-{stored.data['build']}", "select": [], "full_refresh": False}
    messages.publish("transform", {"v": 1, "kind": "transform", **want})
    swept.transforms += 1


def _sweep_landing(swept: Swept) -> None:
    """A dropped file whose finalize event was lost is found by asking for a run, which looks into landing itself."""
    limit = clock.now() - timedelta(seconds=LANDING_HINTS * clients.hint_seconds())
    source = contract.load().files_source
    is_ignored = sources.find(source.name).is_ignored
    bucket = clients.landing_bucket()
    fields = "items(name,updated,generation),nextPageToken"
    blobs = bucket.list_blobs(fields=fields, timeout=state.TIMEOUT_SECONDS)
    late = [blob for blob in blobs if blob.updated <= limit and not is_ignored(blob.name)]
    if not late:
        return
    seen = {listed.name for listed in state.listing(names.SEEN)}
    if any(names.seen_name(bucket.name, blob.name, str(blob.generation)) not in seen for blob in late):
        moment = clock.now()
        # One ask an hour at most: the seed, and so the run, is the same for every sweep of the hour.
        run = names.run_id(source.name, moment.replace(minute=0, second=0, microsecond=0), f"landing-{moment:%Y%m%d%H}")
        if not state.exists(names.plan_name(run)):
            messages.publish_ask(run, {"source": source.name, "reason": "lost_event", "asked_by": "sweeper"}, moment)
            swept.landing_runs += 1
