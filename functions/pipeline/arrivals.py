"""Which content of a dropped file is loaded: the same bytes once, unless something else came between.

Every file slice has an *arrival*: an object of the state bucket whose name sorts by the time at which Storage took the file
(``updated``, then generation, newest first), per source, stream and account. An *owner* per content, stream and account says
which slice holds it; taking it is a compare-and-set, so of equal files that are read at once one is loaded.

Content that is known is skipped where it changes nothing:

- ``upsert``: the nearest arrival of the same name holds it; or the name is new, a copy of a file that was loaded.
- ``snapshot``: the nearest arrival of the stream and account holds it.
- ``dates``: the nearest arrival that shares a day holds it, for the very same days.

So a file that goes back to what it was (v1, v2, v1) is loaded again. Arrivals that failed or were skipped do not count. Only
earlier arrivals and holders of content are waited for, and a holder waits for nobody: two slices never wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pipeline import clients, names, slices, sources, state
from pipeline.sources import Task
from pipeline.state import Conflict, Stored

Verdict = Literal["mine", "loaded_elsewhere", "in_flight_elsewhere"]
Standing = Literal["counts", "in_flight", "does_not_count"]
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Arrival:
    """One file (or member of an archive) as one slice reads it. ``prefix + key`` is its object in the state bucket."""

    prefix: str
    key: str
    run: str
    slice: str
    name: str
    mode: str
    window: tuple[str, str]
    """First and last day as ISO text, both empty for a file without days."""
    md5: str = ""
    """Of its bytes as Storage tells it before they are read; empty for a composed object."""
    sha256: str = ""
    """Of its content; empty until it was read."""

    @property
    def metadata(self) -> dict[str, str]:
        shown = {"run_id": self.run, "slice_id": self.slice, "name": self.name, "mode": self.mode, "sha256": self.sha256}
        return shown | {"from": self.window[0], "to": self.window[1], "md5": self.md5}

    def concerns(self, other: Arrival) -> bool:
        """Whether this arrival can have changed what ``other`` says: it is one of its predecessors or successors."""
        if other.mode == "upsert":
            return self.name == other.name
        if other.mode == "dates" and self.window[0] and other.window[0]:
            return self.window[0] <= other.window[1] and other.window[0] <= self.window[1]
        return True

    def says_the_same(self, other: Arrival) -> bool:
        return self.sha256 == other.sha256 and self.mode == other.mode and self.window == other.window


@dataclass(frozen=True, slots=True)
class Claim:
    """Whether a slice is the one that loads its content. ``waits_for``: the slice (``<run>/<slice>``) on which that hangs."""

    verdict: Verdict
    waits_for: str | None = None


def note(data: Mapping[str, Any]) -> None:
    """Note the arrival of a planned slice (its state ``data``), before anybody can work on it. Files set aside make none."""
    file = data["request"].get("file")
    if file and file.get("updated") and "reject" not in data["request"]:
        window = (data["from"] or "", data["to"] or "")
        arrival = _arrival(data["source"], data["stream"], data["account"], data["mode"], window, file, data)
        state.create(arrival.prefix + arrival.key, {}, arrival.metadata)


def claim(task: Task, sha256: str) -> Claim:
    """Whether this slice is the one that loads this content. ``sha256``: of the file's content, whatever it was packed in.

    ``loaded_elsewhere``: it changes nothing. ``in_flight_elsewhere``: not decided before another slice has ended.
    """
    window = tuple(day.isoformat() if day else "" for day in (task.window_from, task.window_to))
    file = task.request["file"]
    ids = {"run_id": task.run_id, "slice_id": task.slice_id}
    owned = (task.source.name, task.stream.name, task.account.id)
    me = _arrival(*owned, task.mode, (window[0], window[1]), file, ids, sha256)
    _note_content(me)
    name = names.file_name(*owned, sha256)
    for _ in range(_TRIES):
        owner = state.read(name)
        if owner is None:
            if state.create(name, ids) is not None:
                return Claim("mine")
            continue
        if owner.data["slice_id"] == task.slice_id:
            return Claim("mine")
        holder = _standing(owner.data, me)
        if holder == "in_flight":
            return _waits_for(owner.data)
        loaded = owner.data if holder == "counts" else owner.data.get("loaded")
        if loaded is not None and _standing(loaded, me) == "counts":
            judged = _judge(me, task, file)
            if judged.verdict != "mine":
                return judged
        try:
            state.replace(owner, {**ids, "loaded": loaded and {name: loaded[name] for name in ids}})
        except Conflict:
            continue
        return Claim("mine")
    return Claim("in_flight_elsewhere")


def _waits_for(ids: Mapping[str, str]) -> Claim:
    return Claim("in_flight_elsewhere", f"{ids['run_id']}/{ids['slice_id']}")


def _judge(me: Arrival, task: Task, file: Mapping[str, Any]) -> Claim:
    """Whether content that some slice has loaded is to be loaded again, by its neighbours in order of arrival."""
    before: Arrival | None = None
    for other in _listed(me.prefix, start=me.key):
        if other.key > me.key and other.concerns(me):
            standing = _standing(other.metadata, me)
            if standing == "in_flight":
                return _waits_for(other.metadata)
            if standing == "counts":
                before = other
                break
    if before is None and me.mode == "upsert":
        return Claim("loaded_elsewhere")  # a copy under a new name
    if before is not None and before.says_the_same(me):
        if me.mode != "upsert" and _unplanned_between(before, me, task, file):
            return Claim("in_flight_elsewhere")
        return Claim("loaded_elsewhere")
    after = _nearest_after(me)
    return Claim("loaded_elsewhere" if after is not None and after.says_the_same(me) else "mine")


def _nearest_after(me: Arrival) -> Arrival | None:
    """The next arrival, if it is loaded already. One that is under way is not waited for, since it may wait for this one; only
    if Storage says that it holds the same bytes it changes nothing between."""
    later = []
    for other in _listed(me.prefix):
        if other.key >= me.key:
            break
        if other.concerns(me):
            later.append(other)
    for other in reversed(later):
        standing = _standing(other.metadata, me)
        if standing == "counts":
            return other
        if standing == "in_flight" and not (me.md5 and other.md5 == me.md5):
            return None
    return None


def _unplanned_between(before: Arrival, me: Arrival, task: Task, file: Mapping[str, Any]) -> bool:
    """Whether landing holds a file of the time between two arrivals whose event is still to come."""
    module = sources.find(task.source.name)
    bucket = clients.storage().bucket(file["bucket"])
    fields = "items(name,updated,generation),nextPageToken"
    for blob in bucket.list_blobs(fields=fields, timeout=state.TIMEOUT_SECONDS):
        order = _order(blob.updated, int(blob.generation))
        if not before.key > order > me.key or module.is_ignored(blob.name):
            continue
        if not state.exists(names.seen_name(bucket.name, blob.name, str(blob.generation))):
            return True
    return False


def _standing(ids: Mapping[str, Any], me: Arrival) -> Standing:
    """Where the slice of an arrival stands. Rows in bronze count: a load that was refused is repeated by its retry."""
    piece = slices.read_slice(ids["run_id"], ids["slice_id"])
    data = piece.data if piece else None
    if data and names.arrivals_prefix(data["source"], data["stream"], data["account"]) != me.prefix:
        return "does_not_count"  # a retry reads it into another stream by now
    if not slices.is_over(piece, ids["run_id"]):  # at the same moment a slice that waits for this one is woken
        return "in_flight"
    return "counts" if piece and piece.status in ("loaded", "extracted") else "does_not_count"


def _arrival(
    source: str,
    stream: str,
    account: str,
    mode: str,
    window: tuple[str, str],
    file: Mapping[str, Any],
    ids: Mapping[str, Any],
    sha256: str = "",
) -> Arrival:
    order = _order(datetime.fromisoformat(file["updated"]), int(file["generation"]))
    key = f"{order}.{ids['slice_id']}"
    prefix = names.arrivals_prefix(source, stream, account)
    md5 = "" if file.get("member") else file.get("md5") or ""
    return Arrival(prefix, key, ids["run_id"], ids["slice_id"], names.shown_file(file), mode, window, md5, sha256)


def _order(updated: datetime, generation: int) -> str:
    """Sorts the newest first, so that a listing from an arrival on meets its nearest predecessor first."""
    since_1970 = updated.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    microseconds = (since_1970.days * 86_400 + since_1970.seconds) * 1_000_000 + since_1970.microseconds
    return f"{10**17 - microseconds:017d}.{10**19 - generation:019d}"


def _note_content(me: Arrival) -> None:
    """Set what the file holds. Its bytes never change under a generation, so whoever writes writes the same."""
    name = me.prefix + me.key
    stored: Stored | None = state.create(name, {"sha256": me.sha256}, me.metadata)
    while stored is None:
        found = state.read(name)
        if found is not None and found.data.get("sha256") == me.sha256:
            return
        try:
            stored = state.replace(found, {"sha256": me.sha256}, me.metadata) if found else None
        except Conflict:
            continue


def _listed(prefix: str, *, start: str = "") -> Iterator[Arrival]:
    for listed in state.listing(prefix, start=prefix + start):
        shown = listed.metadata
        yield Arrival(
            prefix,
            listed.name.removeprefix(prefix),
            shown["run_id"],
            shown["slice_id"],
            shown["name"],
            shown["mode"],
            (shown.get("from", ""), shown.get("to", "")),
            shown.get("md5", ""),
            shown.get("sha256", ""),
        )
