"""Why a slice that is not settled stands where it stands, in words, and what happens next.

The facts are those of the state bucket (docs/protocol.md); whether somebody is at work is known of a running world.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pipeline.names import shown_file
from sandbox.ledger import Ledger
from sandbox.progress import count
from sandbox.status.facts import BackOff, SliceFact, TransformFact
from sandbox.status.words import at

HINT_SECONDS = 600.0
"""How long the pipeline takes a message for being under way: the default of PIPELINE_HINT_SECONDS, which no world changes."""
SWEEP = "the next sweep (each minute)"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a slice cannot tell of itself. ``now`` is the functions' time."""

    now: datetime
    up: bool
    in_flight: int = 0
    job_runs: bool = False
    parallel_slices: Mapping[str, int] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    """By slice id: why it waits, as the functions' logs say."""
    back_off: Mapping[str, BackOff] = field(default_factory=dict)
    """By slice id or manifest: its message that was refused."""

    def then(self, step: str) -> str:
        """What happens next, which needs a world that is up."""
        return step if self.up else f"`up`; then {step}"


def explain(data: Mapping[str, Any], updated: datetime, around: Surroundings) -> SliceFact:
    """``data``: the content of the slice's state object, last written at ``updated``."""
    reasons = {
        "planned": _planned,
        "waiting": _waiting,
        "running": _running,
        "extracted": _extracted,
        "failed": _failed,
    }
    reason, next_step = reasons[data["status"]](data, updated, around)
    file = (data.get("request") or {}).get("file")
    name = shown_file(file) if file else ""
    return SliceFact(data["run_id"], data["slice_id"], data["stream"], name, data["status"], reason, next_step)


def _planned(data: Mapping[str, Any], updated: datetime, around: Surroundings) -> tuple[str, str]:
    limit = around.parallel_slices.get(data["source"])
    most = f"no more than {limit} slices of {data['source']}" if limit else f"only so many slices of {data['source']}"
    reason = f"waits for its turn: {most} are under way at a time"
    return reason, around.then(f"whoever ends a slice releases it, or {SWEEP} does")


def _waiting(data: Mapping[str, Any], updated: datetime, around: Surroundings) -> tuple[str, str]:
    attempt = int(data["attempts"]) + 1
    if data.get("not_before"):
        until = _time(data["not_before"])
        why = around.words.get(data["slice_id"], "something that it needs is not there yet")
        if until > around.now:
            wakes = f"the sweeper wakes it then (attempt {attempt})"
            if data.get("waits_for"):
                wakes = f"the end of slice {data['waits_for'].split('/')[1]} releases it, or {wakes}"
            return f"waits until {at(until, around.now)}: {why}", around.then(wakes)
        return f"its wait ended {at(until, around.now)}: {why}", around.then(f"{SWEEP} wakes it (attempt {attempt})")
    sent = _time(data.get("published_at")) or updated
    if refused := around.back_off.get(data["slice_id"]):
        return _refused(refused, around)
    if sent + timedelta(seconds=HINT_SECONDS) <= around.now:
        return f"its message was sent {at(sent, around.now)} and never taken: it is lost", around.then(
            f"{SWEEP} sends it again"
        )
    if not around.up:
        return f"its message was sent {at(sent, around.now)} and not taken", "`up`; the message is delivered at once"
    return f"its message is under way, sent {at(sent, around.now)}", f"a function takes it (attempt {attempt})"


def _refused(refused: BackOff, around: Surroundings) -> tuple[str, str]:
    times = "once" if refused.failed_attempts == 1 else f"{refused.failed_attempts} times"
    if refused.until is None:
        return f"its message was refused {times}", "`up`; the message is delivered at once"
    until = _time(refused.until)
    return f"its message was refused {times} and is in back-off", f"it is delivered again {at(until, around.now)}"


def _running(data: Mapping[str, Any], updated: datetime, around: Surroundings) -> tuple[str, str]:
    until = _time(data.get("lease_until")) or updated
    kept = " from its checkpoint" if data.get("checkpoint") else ""
    lease = f"lease until {at(until, around.now)}"
    if until <= around.now:
        reason = f"its worker ended without a word; its lease was over {at(until, around.now)}"
        return reason, around.then(f"{SWEEP} sends it again{kept}")
    if around.up and around.in_flight:
        return f"attempt {data['attempts']} is at work since {at(updated, around.now)}; {lease}", "it ends, or its lease does"
    who = "its worker died" if around.up else "its worker died with the world"
    return f"{who}; {lease}, until when nobody else may take it", around.then(f"after that the sweeper sends it again{kept}")


def _extracted(data: Mapping[str, Any], updated: datetime, around: Surroundings) -> tuple[str, str]:
    rows = "read into the bronze bucket"
    if data.get("rows") is not None:
        rows += f" ({count(data['rows'], 'row')})"
    until = _time(data.get("not_before"))
    if until is not None and until > around.now:
        why = around.words.get(data["slice_id"], "the load cannot be done now")
        return f"{rows}; the load waits until {at(until, around.now)}: {why}", around.then("the sweeper asks for the load then")
    if refused := around.back_off.get(f"manifests/{data['run_id']}/{data['slice_id']}.json"):
        reason, next_step = _refused(refused, around)
        return f"{rows}; {reason}", next_step
    if updated + timedelta(seconds=HINT_SECONDS) <= around.now:
        return f"{rows}; nobody has loaded it since {at(updated, around.now)}", around.then(f"{SWEEP} asks for the load again")
    since = f"{rows} at {at(updated, around.now)}"
    if not around.up:
        return f"{since}; not loaded", "`up`; the loader is told of it at once"
    return f"{since}; the load is under way", "the loader brings it into BigQuery"


def _failed(data: Mapping[str, Any], updated: datetime, around: Surroundings) -> tuple[str, str]:
    error = data.get("error") or {}
    step = str(error.get("next_step") or "read the function's log")
    return str(error.get("message", "no reason is noted")), step


def explain_transform(state: Ledger, around: Surroundings) -> TransformFact:
    """Whether a build is wanted, runs or has died, and what happens next."""
    wants = len(state.transform.get("wants") or ())
    reason = next_step = ""
    if state.building is not None:
        until = _time(state.transform["building"]["lease_until"])
        if around.job_runs:
            reason, next_step = f"dbt builds number {state.building}", "it ends by itself"
        elif until is not None and until > around.now:
            died = "the job died" if around.up else "the job died with the world"
            held = f"its claim holds until {at(until, around.now)}"
            reason = f"build {state.building} is claimed and nobody works on it: {died}; {held}"
            next_step = around.then("the sweeper starts the next build after that, with the same slices")
        else:
            reason = f"the claim of build {state.building} is over; its job died"
            next_step = around.then(f"{SWEEP} starts the next build, with the same slices")
    elif wants:
        reason = "a build is asked for and not begun"
        next_step = around.then(f"the job starts when the runs that were just opened are closed, or {SWEEP} starts it")
    elif state.waiting_loads:
        reason = "loaded slices wait for the next build"
        next_step = around.then("their runs ask for one when they close")
    elif not state.build:
        reason, next_step = "no build yet", around.then("drop a file, or ring a schedule with `fire`")
    return TransformFact(
        build=state.build,
        done_build=state.done_build,
        building=state.building,
        wants=wants,
        loaded_slices_waiting=state.waiting_loads,
        reason=reason,
        next_step=next_step,
    )


def _time(text: str | None) -> Any:
    return datetime.fromisoformat(text) if text else None
