"""The rule that every source obeys, and how a source is found by name.

A source is one module of this package (or one folder of modules), the only place that knows its API. It offers two functions:

``discover(ask, source, accounts)``
    For streams whose window is *files*: which slices does this ask make? Yields :class:`PlannedSlice`. Beside it,
    ``is_ignored(name)`` says which objects of the landing bucket are no data.
    A source of *dates* streams needs no ``discover``: the planner cuts its windows.

``fetch(task)``
    Yields :class:`Page` after page of one slice. A page's ``cursor`` is where the next page starts; it is kept in the
    slice's checkpoint and comes back as ``task.cursor`` when another invocation goes on.

``fetch`` raises :class:`~pipeline.errors.Rejected` when a person must act, :class:`~pipeline.errors.Wait` when the slice
must not go on before some time, :class:`~pipeline.errors.Retryable` for what will pass by itself.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol, cast

from pipeline.contract import Source, Stream

Json = Any


@dataclass(frozen=True, slots=True)
class Account:
    """Whose data: an ad account, a property, a CRM. ``time_zone`` is an IANA name; ``default`` is the CRM's usual id."""

    id: str
    time_zone: str = "Etc/UTC"


@dataclass(frozen=True, slots=True)
class Ask:
    """What a message asked for, with the two facts that a redelivery must repeat: the run's id and its time."""

    source: str
    run_id: str
    asked_at: datetime
    streams: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    window_from: date | None = None
    window_to: date | None = None
    reason: str = ""
    asked_by: str = ""
    landing_object: Mapping[str, str] | None = None
    """``{"bucket", "name", "generation"}`` of the finalize event that asked, for a source that is fed by files."""


@dataclass(frozen=True, slots=True)
class PlannedSlice:
    """One slice as planned: everything that its extraction needs is frozen in ``request`` (JSON)."""

    stream: str
    account: str
    mode: str
    request: Mapping[str, Json]
    window_from: date | None = None
    window_to: date | None = None
    identity: str = ""
    """What tells this slice from its sisters beside stream, account and window: for files bucket/name#generation and,
    of an archive, /member."""


@dataclass(frozen=True, slots=True)
class Task:
    """One invocation's share of a slice."""

    run_id: str
    slice_id: str
    source: Source
    stream: Stream
    account: Account
    window_from: date | None
    window_to: date | None
    request: Mapping[str, Json]
    cursor: Json | None = None
    """``None`` = from the beginning; else the ``cursor`` of the last page that was kept."""
    mode: str = "upsert"
    """How the slice's rows will be taken: ``dates``, ``upsert`` or ``snapshot``."""


@dataclass(frozen=True, slots=True)
class Aside:
    """A row that could not be delivered: never dropped, kept with its reason and where it stood.

    ``raw`` is the row as text; ``line`` the 1-based line of the file where it starts, ``None`` for an API.
    """

    reason: str
    raw: str
    line: int | None = None
    column: str | None = None
    value: str | None = None


@dataclass(slots=True)
class Page:
    """Rows of one page, in order. ``lines[i]`` is the file line of ``rows[i]`` (empty for an API).

    ``cursor`` says where the next page starts; ``None`` on a page after which this slice cannot be continued elsewhere
    (it would start again). ``non_rows`` counts declared non-rows of a file (preamble, blank, totals). ``facts`` are
    merged into the manifest: for files ``file_name, file_sha256, file_at``; for APIs versions, request ids and flags.
    ``unknown_fields`` counts fields that the contract does not know.
    """

    rows: Sequence[Mapping[str, Json]]
    lines: list[int] = field(default_factory=list)
    aside: list[Aside] = field(default_factory=list)
    cursor: Json | None = None
    non_rows: int = 0
    facts: Mapping[str, Json] = field(default_factory=dict)
    unknown_fields: Mapping[str, int] = field(default_factory=dict)


class SourceModule(Protocol):
    """The shape of a module in this package; all but ``fetch`` only where a stream's window is ``files``."""

    def is_ignored(self, name: str) -> bool: ...

    def discover(self, ask: Ask, source: Source, accounts: Sequence[Account]) -> Iterable[PlannedSlice]: ...

    def fetch(self, task: Task) -> Iterator[Page]: ...


def find(name: str) -> SourceModule:
    """The module of a source by its name in the contract. Raises ``ModuleNotFoundError`` for a source without code."""
    return cast(SourceModule, importlib.import_module(f"pipeline.sources.{name}"))
