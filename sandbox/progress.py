"""Shows how far a world is: one live line per stage on a terminal, plain lines elsewhere; keeps the seconds per stage."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from sandbox.dbt_runner import Nodes
from sandbox.ledger import Ledger

_ORDER = ("planned", "waiting", "running", "extracted", "loaded", "skipped", "failed", "cancelled")
_QUIET_SECONDS = 5.0
_PLAIN_WIDTH = 160


class Progress:
    """``with progress.stage("start"): ...``; inside, :meth:`show` replaces the line that says how far it is."""

    def __init__(self, stream: TextIO | None = None) -> None:
        stream = stream or sys.stdout
        # Where there is no terminal there is no width to obey: logs wrap by themselves.
        self.console = Console(file=stream, highlight=False, width=None if stream.isatty() else _PLAIN_WIDTH)
        self.seconds: dict[str, float] = {}
        self._status: Status | None = None
        self._stage = ""
        self._shown = ""
        self._printed = ""
        self._printed_at = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage and print it when it ends."""
        start = time.monotonic()
        self._stage = name
        self._shown = ""
        self._printed_at = start
        try:
            if self.console.is_terminal:
                with self.console.status(name) as self._status:
                    yield
            else:
                yield
        finally:
            self._status = None
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - start
        detail = escape(f"  {self._shown}") if self._shown else ""
        self.console.print(f"[green]✓[/green] {name:<18}{self.seconds[name]:6.1f} s{detail}")

    def show(self, text: str) -> None:
        """Say how far the stage is."""
        if self._status is not None:
            self._status.update(escape(f"{self._stage}  {text}"))
        elif text != self._printed and time.monotonic() - self._printed_at >= _QUIET_SECONDS:
            self._printed, self._printed_at = text, time.monotonic()
            self.console.print(escape(f"  {self._stage}: {text}"))
        self._shown = text

    def say(self, text: str = "") -> None:
        """Print a line that stays. Understands rich's markup."""
        self.console.print(text)


def describe(ledger: Ledger, nodes: Nodes | None = None) -> str:
    """One line: runs, slices by status, rows, the build."""
    parts = [f"{count(len(ledger.runs), 'run')} ({len(ledger.open_runs)} open)"]
    statuses = ledger.statuses
    if statuses:
        parts.append(f"slices: {by_state(statuses)}")
        parts.append(f"{count(ledger.rows, 'row')} loaded")
    if ledger.aside:
        parts.append(f"{count(ledger.aside, 'row')} set aside")
    if build := describe_build(ledger, nodes):
        parts.append(build)
    return " · ".join(parts)


def describe_build(ledger: Ledger, nodes: Nodes | None = None) -> str:
    """The build that runs or is asked for, with its nodes; empty when there is none."""
    if ledger.building is not None:
        doing = f"{nodes.done} of {nodes.total} nodes" if nodes else "starting"
        return f"dbt build {ledger.building}: {doing}"
    return "dbt build asked for" if ledger.transform.get("wants") else ""


def by_state(statuses: Mapping[str, int]) -> str:
    """``2 waiting, 3 loaded``: how many slices are in each state, in the order in which they come to it."""
    return ", ".join(f"{statuses[name]} {name}" for name in _ORDER if statuses.get(name))


def count(number: int, noun: str) -> str:
    """``1 row``, ``2,000 rows``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
