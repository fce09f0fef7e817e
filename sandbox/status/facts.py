"""What a status consists of: plain facts with units in their names, the same for people and, as JSON, for machines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class EngineFact:
    """Where an engine listens, and whether something answers there. No address: the world is not up."""

    name: str
    address: str
    alive: bool


@dataclass(frozen=True, slots=True)
class BackOff:
    """A message that was refused and comes again. ``about``: the slice or object that it is about, where it says so.

    ``until`` is ISO 8601; None: as soon as the world is up.
    """

    message_id: str
    about: str
    failed_attempts: int
    until: str | None


@dataclass(frozen=True, slots=True)
class QueueFact:
    """One subscription. ``waiting`` messages are not handed out, ``leased`` ones are out and unanswered."""

    subscription: str
    topic: str
    waiting: int
    leased: int
    oldest_unacknowledged_seconds: float | None
    back_off: list[BackOff]
    last_failure: str
    dead_letters_of: list[str]
    """Subscriptions whose undeliverable messages come here: this is their dead letter queue."""


@dataclass(frozen=True, slots=True)
class FunctionFact:
    """One function. ``instances`` and ``in_flight`` are None in a world that is not up; ``log`` is the path of its log."""

    name: str
    instances: int | None
    in_flight: int | None
    last_error: str
    last_error_at: str | None
    log: str


@dataclass(frozen=True, slots=True)
class ScheduleFact:
    """A scheduler job. ``last_result``: OK, or a code and what went wrong; empty before the first ring."""

    name: str
    schedule: str
    time_zone: str
    state: str
    next_at: str | None
    last_at: str | None
    last_result: str


@dataclass(frozen=True, slots=True)
class ExecutionFact:
    """The newest execution of the dbt job."""

    name: str
    started_at: str | None
    ended_at: str | None
    result: str
    done_nodes: int | None = None
    total_nodes: int | None = None


@dataclass(frozen=True, slots=True)
class SliceFact:
    """A slice that is not settled, or failed: why it stands where it stands, and what happens next."""

    run_id: str
    slice_id: str
    stream: str
    file: str
    status: str
    reason: str
    next_step: str


@dataclass(frozen=True, slots=True)
class RunFact:
    """A run: ``open`` or its outcome, and its slices by state."""

    run_id: str
    status: str
    slices: dict[str, int]
    rows: int
    rows_set_aside: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class TransformFact:
    """The builds: which is the newest, which ended well, which is claimed and by whom it is still carried on."""

    build: int
    done_build: int
    building: int | None
    wants: int
    loaded_slices_waiting: int
    reason: str
    next_step: str


@dataclass(frozen=True, slots=True)
class BucketFact:
    """A bucket's live objects."""

    name: str
    objects: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class TableFact:
    """A table or view (``rows`` None) of the warehouse."""

    table: str
    kind: str
    rows: int | None


@dataclass(frozen=True, slots=True)
class DatasetFact:
    """A dataset and what is in it."""

    name: str
    tables: list[TableFact]


@dataclass(frozen=True, slots=True)
class ClockFact:
    """The world's time: ``real``, or simulated and standing at ``now``, running at ``scale`` seconds per real one."""

    real: bool
    now: str
    scale: float


@dataclass(frozen=True, slots=True)
class Inside:
    """What only the process of a running world knows; of one that is not up, what its directories say."""

    queues: list[QueueFact]
    functions: list[FunctionFact]
    schedules: list[ScheduleFact]
    execution: ExecutionFact | None
    clock: ClockFact | None
    job_runs: bool
    """Whether a process of the dbt job is there."""
    in_flight: int
    """Requests that functions are working on."""


@dataclass(frozen=True, slots=True)
class WorldStatus:
    """Everything. ``state``: up, starting, stopped, killed, or ``in use`` while another verb holds the home."""

    home: str
    state: str
    explanation: str
    control_url: str
    holds: str
    reporting_currency: str
    engines: list[EngineFact]
    inside: Inside
    runs: list[RunFact]
    run_counts: dict[str, int]
    slice_counts: dict[str, int]
    rows_loaded: int
    rows_set_aside: int
    slices: list[SliceFact]
    transform: TransformFact
    dead_letters_filed: list[str]
    buckets: list[BucketFact]
    warehouse: list[DatasetFact]
    warehouse_note: str
    faults: list[dict[str, Any]] = field(default_factory=list)
