"""Runs: what is open, what may go on, and how a run ends."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from pipeline import clients, messages, names, slices, state
from pipeline.clock import now, past
from pipeline.journal import log
from pipeline.sources import Account, Ask
from pipeline.state import Conflict, Stored


def open_runs() -> list[str]:
    """Runs that are not closed: the sweeper's whole to-do list."""
    return [listed.name.removeprefix(names.OPEN) for listed in state.listing(names.OPEN)]


def reopen(run: str) -> None:
    """Put a run on the to-do list again, before something of it is begun again. Harmless for one that is open."""
    plan = state.read(names.plan_name(run))
    if plan is not None:
        state.create(names.open_name(run), {name: plan.data[name] for name in ("run_id", "asked", "asked_at")})


def release(source: str, parallel_slices: int) -> int:
    """Publish slices of a source's open runs, oldest run first, while fewer than ``parallel_slices`` are in flight: those that
    are planned, and those that wait for a slice that has ended.

    Never all at once: a backfill of thousands of slices would be pushed back by busy functions until healthy messages
    ran out of delivery attempts. Two releasers may overshoot by a slice each; that costs a push-back, nothing else.
    Returns how many were released.
    """
    flying = 0
    planned: list[state.Listed] = []
    has_ended = functools.cache(slices.has_ended)
    for run in open_runs():
        if names.source_of(run) != source:
            continue
        if flying >= parallel_slices:
            return 0
        waiting = []
        for listed in slices.list_slices(run):
            status = listed.metadata.get("status")
            if status == "running" and not past(listed.metadata.get("lease_until")):
                flying += 1
            elif status == "waiting" and "not_before" not in listed.metadata:
                flying += not past(listed.metadata.get("published_at"), plus_seconds=clients.hint_seconds())
            elif status == "planned" or (status == "waiting" and "waits_for" in listed.metadata):
                waiting.append(listed)
        planned += _accounts_in_turn(waiting)
    released = 0
    for listed in planned:
        if flying + released >= parallel_slices:
            break
        if "waits_for" not in listed.metadata or has_ended(listed.metadata["waits_for"]):
            released += _release(listed)
    return released


def _release(listed: state.Listed) -> bool:
    """State first, message second. False when somebody else was faster."""
    _, run, _ = listed.name.split("/")
    piece = slices.read_slice(run, slices.slice_id_of(listed))
    if piece is None or not (piece.status == "planned" or piece.data.get("waits_for")):
        return False
    try:
        piece.change(status="waiting", published_at=now().isoformat(), not_before=None, waits_for=None)
    except Conflict:
        return False
    messages.publish_slice(run, piece.id, piece.epoch)
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
    plan = state.read(names.plan_name(run))
    if plan is None:
        return None
    counts: dict[str, int] = {}
    missing: list[dict[str, str]] = []
    rows = aside = 0
    for listed in slices.list_slices(run):
        status = listed.metadata.get("status", "planned")
        if status not in slices.SETTLED:
            return None
        counts[status] = counts.get(status, 0) + 1
        rows += int(listed.metadata.get("rows", 0)) if status == "loaded" else 0
        aside += int(listed.metadata.get("aside", 0)) if status == "loaded" else 0
        if status in ("failed", "cancelled"):
            shown = ("stream", "account", "error_kind")
            missing.append({"slice_id": slices.slice_id_of(listed)} | {n: listed.metadata.get(n, "") for n in shown})
    if len(plan.data["slices"]) != sum(counts.values()):
        return None  # the planner died before it made every slice; a redelivery or the sweeper makes the rest
    status = _outcome(counts)
    stored = _write_outcome(run, {"v": 1, "run_id": run, "source": names.source_of(run), "status": status, "slices": counts,
                                  "rows": rows, "aside": aside, "missing": missing})  # fmt: skip
    if counts.get("loaded") or counts.get("failed"):
        # The generation tells a reopened run's second closing from a repetition of the first.
        want = {"v": 1, "kind": "transform", "id": f"{run}.{stored.generation}", "select": [], "full_refresh": False}
        messages.publish("transform", want)
    state.delete(names.open_name(run))
    severity = "INFO" if status == "succeeded" else "ERROR"
    log("run", f"run {status}", severity=severity, run_id=run, source=names.source_of(run), rows=rows, aside=aside, **counts)
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
    _write_outcome(run, {"v": 1, "run_id": run, "source": names.source_of(run), "status": "failed", "slices": {}, "rows": 0,
                         "aside": 0, "missing": [], "error": error})  # fmt: skip
    state.delete(names.open_name(run))
    log("run", message, severity="ERROR", run_id=run, kind=kind, next_step=next_step)


def _write_outcome(run: str, data: Mapping[str, Any]) -> Stored:
    """Write the outcome unless it says the same already. Retries a lost race: both writers saw settled slices."""
    shown = {name: str(data[name]) for name in ("status", "rows", "aside")}
    shown |= {f"slices_{name}": str(count) for name, count in data["slices"].items()}
    for _ in range(5):
        stored = state.read(names.outcome_name(run))
        try:
            if stored is None:
                created = state.create(names.outcome_name(run), {**data, "closed_at": now().isoformat()}, shown)
                if created is not None:
                    return created
            elif all(stored.data.get(name) == value for name, value in data.items()):
                return stored
            else:
                return state.replace(stored, {**data, "closed_at": now().isoformat()}, shown)
        except Conflict:
            continue
    raise Conflict(f"outcome of {run} keeps changing")
