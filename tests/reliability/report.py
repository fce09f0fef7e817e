"""What the storms of a run met, for a person: a line of JSON for each trial, and the sum of all at the end.

A storm in which nothing happened would prove nothing, so only what did happen is counted: a fault whose call never came is not.
"""

from __future__ import annotations

import collections
import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

Ending = Literal["as the quiet day", "differently", "not at all"]
KILLS = ("killed before", "killed after", "dbt killed")


@dataclasses.dataclass(slots=True)
class Happened:
    """What a trial met. ``trace``: the faults in the order in which they struck, each with its second and its call."""

    faults: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    published: int = 0
    """Messages, each for one subscription."""
    deliveries: int = 0
    repeated: int = 0
    """Deliveries of a message that had been delivered before: copies, and what Pub/Sub sent again after an error."""
    lost: int = 0
    """Messages of which no copy arrived."""
    waits: int = 0
    """Times at which all stood still and the clock had to move for it to go on."""
    calls: collections.Counter[tuple[str, str]] = dataclasses.field(default_factory=collections.Counter)
    seconds: float = 0.0
    trace: list[str] = dataclasses.field(default_factory=list)

    @property
    def kills(self) -> int:
        """Processes that were killed in the middle of their work."""
        return sum(self.faults[kind] for kind in KILLS)


@dataclasses.dataclass(frozen=True, slots=True)
class Trial:
    """``compared``: how many of what were held against the quiet day's (empty where it did not come to that)."""

    seed: int
    happened: Happened
    ending: Ending
    compared: Mapping[str, int]

    def line(self) -> str:
        """One line of JSON."""
        met = self.happened
        shown = {"seed": self.seed, "ending": self.ending, "kills": met.kills, "faults": met.faults}
        shown |= {name: getattr(met, name) for name in ("published", "deliveries", "repeated", "lost", "waits", "trace")}
        calls = {f"{function} to {service}": n for (function, service), n in sorted(met.calls.items())}
        return json.dumps({**shown, "seconds": round(met.seconds, 1), "calls": calls, "compared": self.compared})


class Report:
    """The trials of a run. :attr:`path`: where their lines are kept; set before the first."""

    def __init__(self) -> None:
        self.path: Path | None = None
        self.trials: list[Trial] = []

    def add(self, trial: Trial) -> None:
        self.trials.append(trial)
        if self.path is not None:
            with self.path.open("a") as lines:
                lines.write(trial.line() + "\n")

    def summary(self) -> Iterator[str]:
        """Lines for a person."""
        met = [trial.happened for trial in self.trials]
        faults: collections.Counter[str] = collections.Counter()
        compared: collections.Counter[str] = collections.Counter()
        for trial in self.trials:
            faults.update(trial.happened.faults)
            compared.update(trial.compared)
        endings = collections.Counter(trial.ending for trial in self.trials)
        yield f"storms     {len(met)} in {sum(one.seconds for one in met):.0f} s, seeds {_ranges(t.seed for t in self.trials)}"
        yield f"ended      {', '.join(f'{n} {ending}' for ending, n in endings.most_common())}"
        yield (
            f"events     {sum(one.published for one in met):,} published, {sum(one.repeated for one in met):,} deliveries of "
            f"one that had come before, {sum(one.lost for one in met):,} lost with all copies"
        )
        yield f"calls      {sum(one.calls.total() for one in met):,} of functions to Storage and BigQuery"
        yield f"kills      {sum(one.kills for one in met):,}"
        yield f"faults     {', '.join(f'{n:,} × {kind}' for kind, n in faults.most_common() if kind not in KILLS) or 'none'}"
        yield f"waits      {sum(one.waits for one in met):,} times at which all stood still until the clock moved"
        yield f"compared   {', '.join(f'{n:,} {what}' for what, n in compared.items()) or 'nothing'}"
        if self.path is not None:
            yield f"each       {self.path}"


def _ranges(numbers: Iterator[int]) -> str:
    """``0–49, 1000``: ascending, runs of neighbours as one; a seed may be there twice, once with gold."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in runs)
