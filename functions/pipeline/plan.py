"""A run becomes slices: window, lookback and the account's own clock in, frozen requests out.

The plan is an object that is created once. A redelivery of the message that asked (hours later, on another day) reads the
plan of the first delivery; "today" is the day on which the message was published, in the account's time zone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pipeline import arrivals, clock, contract, messages, names, runs, slices, sources, state
from pipeline.contract import Contract, Source, Stream
from pipeline.errors import Rejected
from pipeline.events import Delivery
from pipeline.journal import log
from pipeline.sources import Account, Ask, PlannedSlice


def asked_by(delivery: Delivery) -> tuple[str, dict[str, Any], datetime]:
    """The run's id, what was asked, and when, of a message that asks for a run.

    A body that names ``run_id`` and ``asked_at`` (a redriven dead letter, a rerun over HTTP) is believed before the
    envelope: a new message id must not make another run of it.
    """
    body = delivery.body
    if delivery.is_finalize:
        source = contract.load().files_source.name
        landing = {name: str(body[name]) for name in ("bucket", "name", "generation")}
        asked: dict[str, Any] = {"reason": "file", "asked_by": "landing", "landing_object": landing}
    else:
        source = str(body["source"])
        asked_for = ("streams", "accounts", "from", "to", "reason", "asked_by", "landing_object")
        asked = {name: body.get(name) for name in asked_for}
    asked_at = datetime.fromisoformat(body["asked_at"]) if body.get("asked_at") else delivery.published_at
    run = body.get("run_id") or names.run_id(source, asked_at, delivery.id)
    return str(run), {"source": source, **asked}, asked_at


def start(run: str, asked: Mapping[str, Any], asked_at: datetime) -> None:
    """Open a run, plan it once, create its slices, release the first. Every step is repeated by a redelivery.

    A run that cannot be planned is closed as failed, with the reason and the next step.
    """
    deployed = contract.load()
    state.create(names.open_name(run), {"run_id": run, "asked": dict(asked), "asked_at": asked_at.isoformat()})
    try:
        source = deployed.source(str(asked["source"]))
        plan = _plan_once(deployed, source, run, asked, asked_at)
    except Rejected as error:
        runs.reject_run(run, message=error.message, next_step=error.next_step, kind=error.kind)
        return
    create_slices(plan)
    runs.release(source.name, source.parallel_slices)
    runs.close(run)  # a run without slices ends here


def create_slices(plan: Mapping[str, Any]) -> None:
    """Create the state of every slice of a plan that has none yet, note its files' arrival and mark them as seen.

    A file may have several slices, one for each stream that it is read into and each member of an archive. An ask for certain
    streams may have left some of them out, so it marks nothing: the schedule comes back to the file.
    """
    marked: set[str] = set()
    for data in plan["slices"]:
        arrivals.note(data)
        slices.create_slice(data)
        file = data["request"].get("file")
        if file and not plan["asked"].get("streams"):
            name = names.seen_name(file["bucket"], file["name"], file["generation"])
            if name not in marked:
                state.create(name, {"run_id": data["run_id"], "slice_id": data["slice_id"]})
                marked.add(name)


def _plan_once(deployed: Contract, source: Source, run: str, asked: Mapping[str, Any], asked_at: datetime) -> Mapping[str, Any]:
    name = names.plan_name(run)
    if (stored := state.read(name)) is not None:
        return stored.data
    skeleton = {"v": 1, "run_id": run, "source": source.name, "asked": dict(asked), "asked_at": asked_at.isoformat()}
    ask = runs.ask_of(run, skeleton)
    planned = [] if _is_seen(ask) else slices_of(ask, source)
    pieces = [slices.initial(run, piece, deployed) for piece in planned]
    plan = {**skeleton, "contract": deployed.digest, "slices": pieces}
    stored = state.create_or_read(name, plan, {"slices": str(len(pieces)), "reason": ask.reason})
    log("plan", f"{len(pieces)} slices", run_id=run, source=source.name, slices=len(pieces), reason=ask.reason)
    return stored.data


def _is_seen(ask: Ask) -> bool:
    """Whether another run has planned the very object that a finalize event told of: Storage may tell twice.

    An event names no streams; who does asks for slices that the object's first plan did not have (see :func:`refrozen`).
    """
    file = ask.landing_object
    return (
        file is not None and not ask.streams and state.exists(names.seen_name(file["bucket"], file["name"], file["generation"]))
    )


def refrozen(run: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """What today's contract and presets freeze for a slice that is retried: a mended preset or field list must count.

    A file that cannot be placed keeps its request, so that the retry says again why.
    """
    deployed = contract.load()
    source = deployed.source(data["source"])
    stored = state.read(names.plan_name(run))
    if stored is None:
        return {}
    ask = runs.ask_of(run, stored.data)
    if file := data["request"].get("file"):
        ask = replace(ask, streams=(), landing_object={name: str(file[name]) for name in ("bucket", "name", "generation")})
        found = list(sources.find(source.name).discover(ask, source, runs.configured_accounts(source.name)))
        if not found:
            return {}
        planned = {(other["identity"], other["stream"]) for other in stored.data["slices"]}
        mine = _again(data, planned, found)
        planned.add((mine.identity, mine.stream))
        _ask_for_others(data, [piece for piece in found if (piece.identity, piece.stream) not in planned], ask)
        frozen: dict[str, Any] = {name: getattr(mine, name) for name in ("stream", "account", "mode")}
        frozen |= {"from": _day(mine.window_from), "to": _day(mine.window_to)}
        return {**frozen, "request": dict(mine.request), "contract": deployed.digest}
    stream = source.streams.get(data["stream"])
    return {"request": _request(stream), "contract": deployed.digest} if stream else {}


def _again(data: Mapping[str, Any], planned: Collection[tuple[str, str]], found: Sequence[PlannedSlice]) -> PlannedSlice:
    """Which of a file's slices, as they would be planned today, a failed slice of it becomes: that of its own stream; where
    the file turned out to be of other streams, the first that no sister of it has (``planned``: identities and streams).

    A member of an archive stays that member; what was an archive that could not be read becomes one of its members.
    """
    mine = [piece for piece in found if piece.identity == data["identity"]] or found
    own = next((piece for piece in mine if piece.stream == data["stream"]), None)
    return own or next((piece for piece in mine if (piece.identity, piece.stream) not in planned), mine[0])


def _ask_for_others(data: Mapping[str, Any], unplanned: Sequence[PlannedSlice], ask: Ask) -> None:
    """A file that could not be placed had one slice; if it is read into more now, ask for a run that has the others.

    The plan of a run is made once. Asked twice, the second run's slices are skipped by their bytes.
    """
    known = contract.load().source(data["source"]).streams
    others = sorted({piece.stream for piece in unplanned if piece.stream in known})
    if ask.landing_object is None or not others:
        return
    moment = clock.now()
    run = names.run_id(data["source"], moment, f"{data['slice_id']} {' '.join(others)}")
    asked = {"source": data["source"], "streams": others, "reason": "retry", "asked_by": ask.asked_by}
    messages.publish_ask(run, {**asked, "landing_object": dict(ask.landing_object)}, moment)
    log("plan", f"{data['slice_id']} is now read into {', '.join(others)} too: asked for", run_id=run, source=data["source"])


def _day(day: date | None) -> str | None:
    return day.isoformat() if day else None


def slices_of(ask: Ask, source: Source) -> Iterator[PlannedSlice]:
    """Cut an ask into slices. Raises :class:`Rejected` for streams or accounts that are not there."""
    accounts = check_names(ask, source)
    chosen = [stream for stream in source.streams.values() if not ask.streams or stream.name in ask.streams]
    if any(stream.window == "files" for stream in chosen):
        yield from sources.find(source.name).discover(ask, source, accounts)
    for stream in chosen:
        if stream.window == "dates":
            for account in accounts:
                yield from _date_slices(ask, stream, account)


def _date_slices(ask: Ask, stream: Stream, account: Account) -> Iterator[PlannedSlice]:
    """A stream's window in pieces of ``slice_days``, the newest first: reports want the last days soonest."""
    first, last = window(ask, stream, account)
    request = _request(stream)
    end = last
    while end >= first:
        begin = max(first, end - timedelta(days=stream.slice_days - 1))
        yield PlannedSlice(stream.name, account.id, stream.mode, request, begin, end)
        end = begin - timedelta(days=1)


def check_names(ask: Ask, source: Source) -> list[Account]:
    """The accounts that an ask names, or all. Raises :class:`Rejected` for streams or accounts that are not there."""
    if unknown := [name for name in ask.streams if name not in source.streams]:
        known = ", ".join(source.streams)
        raise Rejected(f"{source.name} has no stream '{unknown[0]}'", next_step=f"Ask for one of: {known}.", kind="ask")
    accounts = runs.configured_accounts(source.name, ask.accounts)
    if missing := set(ask.accounts) - {account.id for account in accounts}:
        raise Rejected(
            f"{source.name} has no account '{min(missing)}'",
            next_step="Add it to the accounts of the deployment, or ask for one that is there.",
            kind="ask",
        )
    return accounts


def _request(stream: Stream) -> dict[str, Any]:
    return {"fields": list(stream.fields)}


def window(ask: Ask, stream: Stream, account: Account) -> tuple[date, date]:
    """First and last date, both inclusive, in the account's time zone. Without dates in the ask: today and the
    stream's lookback. Raises :class:`Rejected` for a window that ends before it begins."""
    today = ask.asked_at.astimezone(ZoneInfo(account.time_zone)).date()
    last = ask.window_to or today
    first = ask.window_from or last - timedelta(days=stream.lookback_days)
    if first > last:
        raise Rejected(f"the window {first} to {last} ends before it begins", next_step="Swap the dates.", kind="ask")
    return first, last
