"""An exhaustive model of one slice: every interleaving of deliveries, kills, lost and doubled messages, lease ends, sweeps.

It holds what ``pipeline.ingest``, ``pipeline.load`` and ``pipeline.sweep`` do to one slice, reduced to what they write and in
which order; a step of the model is one write. ``explore`` walks every reachable state, and tells whether one of them breaks
an invariant or can never reach the closed run any more.

The variants other than ``Protocol()`` leave out one of its rules each; the tests show that every rule is needed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

PAGES = 2
"""Pages of the slice; an invocation manages one, so the slice needs a continuation."""
MAX_WORKERS = 2
MAX_EPOCH = 5


@dataclass(frozen=True)
class Protocol:
    """The rules; each can be switched off."""

    sweeper: bool = True
    state_first: bool = True
    """Hand over: free the slice in the state, then publish. Off: publish first."""
    repeats_later_steps: bool = True
    """A redelivered manifest goes through all steps again. Off: it stops where the slice is loaded."""
    fixed_job_id: bool = True
    """The load job's id is made of the slice: a second insert meets the first job. Off: each delivery loads."""


@dataclass(frozen=True)
class Faults:
    """How much may go wrong in one history."""

    kills: int = 1
    duplicates: int = 1
    losses: int = 1


class Worker(NamedTuple):
    """An invocation in the middle of its work. ``at``: the next write that it will do."""

    kind: str
    at: str
    message_epoch: int
    epoch: int


class State(NamedTuple):
    status: str = "planned"
    epoch: int = 0
    pages: int = 0
    leased: bool = False
    messages: frozenset[tuple[str, int]] = frozenset()
    workers: tuple[Worker, ...] = ()
    manifest: bool = False
    loads: int = 0
    """How many load jobs put the slice's rows into the table."""
    registered: bool = False
    closed: bool = False
    kills: int = 0
    duplicates: int = 0
    losses: int = 0


@dataclass
class Exploration:
    """What was found. ``stuck``: states from which the run can never be closed any more."""

    states: int = 0
    broken: list[str] = field(default_factory=list)
    stuck: list[State] = field(default_factory=list)


def explore(protocol: Protocol, faults: Faults) -> Exploration:
    """Walk every history. Breadth first; a few ten thousand states."""
    start = State(messages=frozenset({("slice", 0)}), status="waiting")
    seen = {start}
    followers: dict[State, list[State]] = {}
    queue = deque([start])
    found = Exploration()
    while queue:
        state = queue.popleft()
        found.broken += [f"{rule}: {state}" for rule in broken_rules(state)]
        followers[state] = [after for after in steps(state, protocol, faults) if after.epoch <= MAX_EPOCH]
        for after in followers[state]:
            if after not in seen:
                seen.add(after)
                queue.append(after)
    found.states = len(seen)
    found.stuck = _stuck(followers)
    return found


def broken_rules(state: State) -> Iterator[str]:
    """Invariants that a state breaks."""
    if state.loads > 1:
        yield "rows are in the table twice"
    if state.registered and not state.loads:
        yield "registered before it was loaded"
    if state.loads and not state.manifest:
        yield "loaded without a manifest"
    if state.status == "loaded" and not state.registered:
        yield "loaded without a registration"


def _stuck(followers: dict[State, list[State]]) -> list[State]:
    leads_to: dict[State, list[State]] = {}
    for state, after in followers.items():
        for other in after:
            leads_to.setdefault(other, []).append(state)
    good = {state for state in followers if state.closed or state.epoch >= MAX_EPOCH}
    queue = list(good)
    while queue:
        for before in leads_to.get(queue.pop(), ()):
            if before not in good:
                good.add(before)
                queue.append(before)
    return [state for state in followers if state not in good]


def steps(state: State, protocol: Protocol, faults: Faults) -> Iterator[State]:
    """Every state that can come next."""
    yield from _deliveries(state, faults)
    if state.leased:
        yield state._replace(leased=False)  # time passes; the worker may still be alive: a zombie
    for worker in state.workers:
        yield from _kill(state, worker, faults)
        yield from _work(state, worker, protocol)
    if protocol.sweeper and not state.workers and not state.closed:
        yield from _sweep(state)


def _deliveries(state: State, faults: Faults) -> Iterator[State]:
    for message in state.messages:
        kind, epoch = message
        rest = state.messages - {message}
        if state.losses < faults.losses:
            yield state._replace(messages=rest, losses=state.losses + 1)
        if len(state.workers) >= MAX_WORKERS:
            continue
        worker = Worker("extract" if kind == "slice" else "load", "begin", epoch, 0)
        begun = state._replace(workers=_sorted((*state.workers, worker)))
        yield begun._replace(messages=rest)
        if state.duplicates < faults.duplicates:
            yield begun._replace(duplicates=state.duplicates + 1)


def _kill(state: State, worker: Worker, faults: Faults) -> Iterator[State]:
    """The instance dies; its message was not acknowledged, so it comes again."""
    if state.kills < faults.kills:
        message = ("slice", worker.message_epoch) if worker.kind == "extract" else ("load", 0)
        yield _without(state, worker)._replace(messages=state.messages | {message}, kills=state.kills + 1)


def _work(state: State, worker: Worker, protocol: Protocol) -> Iterator[State]:
    if worker.kind == "extract":
        yield from _extract(state, worker, protocol)
    else:
        yield from _load(state, worker, protocol)


def _extract(state: State, worker: Worker, protocol: Protocol) -> Iterator[State]:
    done = _without(state, worker)
    mine = state.epoch == worker.epoch and state.status == "running"
    if worker.at == "begin":
        if state.manifest:  # outranks any state
            moved = done if state.status in ("extracted", "loaded") else done._replace(status="extracted", leased=False)
            yield moved if state.status == "loaded" else moved._replace(messages=moved.messages | {("load", 0)})
        elif worker.message_epoch != state.epoch:
            yield done
        elif state.status == "waiting" or (state.status == "running" and not state.leased):
            claimed = state._replace(status="running", epoch=state.epoch + 1, leased=True)
            yield _moved(claimed, worker, replace_at="page", epoch=state.epoch + 1)
        else:
            yield done
    elif worker.at == "page":
        if state.pages + 1 < PAGES:
            yield _moved(state, worker, replace_at="free" if protocol.state_first else "publish")
        else:
            yield _moved(state._replace(manifest=True, messages=state.messages | {("load", 0)}), worker, replace_at="end")
    elif worker.at == "free":  # checkpoint and no lease, in one compare-and-set
        if not mine:
            yield done
        else:
            freed = state._replace(status="waiting", pages=state.pages + 1, leased=False)
            yield _moved(freed, worker, replace_at="publish") if protocol.state_first else _without(freed, worker)
    elif worker.at == "publish":
        said = state._replace(messages=state.messages | {("slice", worker.epoch)})
        yield _without(said, worker) if protocol.state_first else _moved(said, worker, replace_at="free")
    elif worker.at == "end":
        yield done._replace(status="extracted", leased=False) if mine else done


def _load(state: State, worker: Worker, protocol: Protocol) -> Iterator[State]:
    if worker.at == "begin":
        if state.status == "loaded":
            yield _moved(state, worker, replace_at="close") if protocol.repeats_later_steps else _without(state, worker)
        else:
            loads = max(state.loads, 1) if protocol.fixed_job_id else state.loads + 1
            yield _moved(state._replace(loads=loads), worker, replace_at="register")
    elif worker.at == "register":
        yield _moved(state._replace(registered=True), worker, replace_at="settle")
    elif worker.at == "settle":
        yield _moved(state._replace(status="loaded", leased=False), worker, replace_at="close")
    elif worker.at == "close":
        yield _without(state, worker)._replace(closed=True)


def _sweep(state: State) -> Iterator[State]:
    """Sends what is due and nobody carries. It waits for messages under way in time, here: until none is there."""
    if state.status == "loaded":
        yield state._replace(closed=True)
    elif state.manifest:
        if ("load", 0) not in state.messages and state.status == "extracted":
            yield state._replace(messages=state.messages | {("load", 0)})
        elif state.status != "extracted" and ("slice", state.epoch) not in state.messages and not state.leased:
            yield state._replace(status="waiting", messages=state.messages | {("slice", state.epoch)})
    elif ("slice", state.epoch) not in state.messages and (state.status == "waiting" or not state.leased):
        yield state._replace(status="waiting", messages=state.messages | {("slice", state.epoch)})


def _without(state: State, worker: Worker) -> State:
    workers = list(state.workers)
    workers.remove(worker)
    return state._replace(workers=tuple(workers))


def _moved(state: State, worker: Worker, *, replace_at: str, epoch: int | None = None) -> State:
    moved = worker._replace(at=replace_at, epoch=worker.epoch if epoch is None else epoch)
    return state._replace(workers=_sorted((*_without(state, worker).workers, moved)))


def _sorted(workers: tuple[Worker, ...]) -> tuple[Worker, ...]:
    return tuple(sorted(workers))


def without(protocol: Protocol, rule: str) -> Protocol:
    """The protocol with one rule left out."""
    return replace(protocol, **{rule: False})
