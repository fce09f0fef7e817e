"""What goes wrong in one trial, and when: a schedule that a seed makes, the same on every machine.

Moments are counted in calls ("the 17th call of load_bronze to Storage"), not in seconds. Threads still race, so the call that
is the 17th may be another one at the next trial of the same seed; what happens to it is the same.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

What = Literal["killed before", "killed after", "refused 503", "refused 429", "cut", "answer lost", "time passes"]

USUAL_CALLS: Mapping[tuple[str, str], int] = {
    ("ingest_crm", "storage"): 1300,
    ("load_bronze", "storage"): 350,
    ("load_bronze", "bigquery"): 35,
    ("start_dbt", "storage"): 160,
    ("control", "storage"): 35,
    ("dbt", "storage"): 45,
    ("dbt", "bigquery"): 4,
}
"""About as many calls a trial makes, with its repetitions: a moment is chosen among them."""

WEIGHTS: Mapping[tuple[str, str], int] = {
    ("ingest_crm", "storage"): 8,
    ("load_bronze", "storage"): 5,
    ("load_bronze", "bigquery"): 4,
    ("start_dbt", "storage"): 1,
    ("control", "storage"): 2,
    ("dbt", "storage"): 2,
    ("dbt", "bigquery"): 1,
}
KINDS: Mapping[What, int] = {
    "killed before": 4,
    "killed after": 4,
    "answer lost": 2,
    "cut": 1,
    "refused 503": 2,
    "refused 429": 1,
    "time passes": 1,
}
SUBSCRIPTIONS: Mapping[str, int] = {"ingest_crm": 25, "load_bronze": 8, "start_dbt": 6}
"""About as many messages a trial publishes on each."""
FAULTS_AT_MOST = 7
PER_FUNCTION_AT_MOST = 4
"""Fewer than a slice may be claimed without progress: it must not be given up because all of them hit the same one."""


@dataclass(frozen=True, slots=True)
class Fault:
    """At the ``nth`` call of a function to a service; of those that name ``where``, if that is given."""

    function: str
    service: str
    nth: int
    what: What
    where: str = ""

    def __str__(self) -> str:
        return f"{self.function}: call {self.nth} to {self.service} {self.where}: {self.what}"


@dataclass(frozen=True, slots=True)
class FailedJob:
    """The ``nth`` of BigQuery's load jobs whose id has this prefix is accepted and ends with an error."""

    prefix: Literal["load", "aside", "slices"]
    nth: int
    reason: Literal["backendError", "rateLimitExceeded", "quotaExceeded"]

    def __str__(self) -> str:
        return f"load job {self.nth} {self.prefix}-…: {self.reason}"


@dataclass(frozen=True, slots=True)
class Loss:
    """The ``nth`` message of a subscription never arrives, nor any copy of it."""

    subscription: str
    nth: int

    def __str__(self) -> str:
        return f"{self.subscription}: message {self.nth} lost"


@dataclass(frozen=True, slots=True)
class Storm:
    """One trial. ``asks``: at which calls of ingest_crm the schedule rings or a person asks for all files."""

    seed: int
    copies: int
    within_seconds: float
    order_seed: int
    faults: tuple[Fault, ...] = ()
    losses: tuple[Loss, ...] = ()
    failed_jobs: tuple[FailedJob, ...] = ()
    asks: tuple[tuple[int, Literal["schedule", "person"]], ...] = ()
    replace_at: int = 1
    pages_per_invocation: int | None = None
    dbt_dies_after_seconds: float | None = None
    """After its start, where there is a real dbt."""
    big: bool = False

    @property
    def is_quiet(self) -> bool:
        return self.copies == 1

    def __str__(self) -> str:
        dies = self.dbt_dies_after_seconds
        lines = [
            f"seed {self.seed}: every message {self.copies} times, each within {self.within_seconds:.2f} s, "
            f"files in order {self.order_seed}, {'with' if self.big else 'without'} the big file",
            f"the file is replaced at call {self.replace_at} of ingest_crm",
            *(f"a {who} asks for all files at call {nth} of ingest_crm" for nth, who in self.asks),
            *(["an invocation has time for one page"] if self.pages_per_invocation else []),
            *([f"dbt (where it is real) dies {dies:.1f} s after its start"] if dies is not None else []),
            *map(str, self.losses),
            *map(str, self.failed_jobs),
            *map(str, self.faults),
        ]
        return "\n  ".join(lines)


QUIET = Storm(seed=-1, copies=1, within_seconds=0.0, order_seed=0, replace_at=10**9, big=True)
"""What every trial is compared with: nothing goes wrong, and a file is replaced when it has been read."""


def storm(seed: int) -> Storm:
    """The schedule of a seed."""
    chance = random.Random(seed)
    faults: list[Fault] = []
    for _ in range(chance.randint(1, FAULTS_AT_MOST)):
        function, service = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        what = chance.choices(list(KINDS), list(KINDS.values()))[0]
        # The first half more often: what comes late in a trial may never be reached.
        nth = 1 + int(USUAL_CALLS[function, service] * chance.random() ** 1.5)
        if sum(fault.function == function for fault in faults) < PER_FUNCTION_AT_MOST:
            faults.append(Fault(function, service, nth, what))
    subscriptions = [chance.choice(list(SUBSCRIPTIONS)) for _ in range(chance.randint(0, 4))]
    losses = {Loss(name, chance.randint(1, SUBSCRIPTIONS[name])) for name in subscriptions}
    ingest_calls = USUAL_CALLS["ingest_crm", "storage"]
    asks = [(chance.randint(1, ingest_calls // 2), chance.choice(("schedule", "person"))) for _ in range(chance.randint(0, 2))]
    failed_jobs = [
        FailedJob(
            chance.choice(("load", "load", "aside", "slices")),
            chance.randint(1, 3),
            chance.choice(("backendError", "rateLimitExceeded", "quotaExceeded")),
        )
        for _ in range(chance.choice((0, 0, 1, 2)))
    ]
    return Storm(
        seed=seed,
        copies=3,
        within_seconds=chance.choice((0.02, 0.1, 0.5)),
        order_seed=chance.getrandbits(32),
        faults=tuple(faults),
        losses=tuple(sorted(losses, key=str)),
        failed_jobs=tuple(failed_jobs),
        asks=tuple(asks),
        replace_at=chance.randint(1, ingest_calls // 3),
        pages_per_invocation=1 if chance.random() < 0.3 else None,
        dbt_dies_after_seconds=chance.uniform(0, 15) if chance.random() < 0.5 else None,
        big=seed % 10 == 9,
    )
