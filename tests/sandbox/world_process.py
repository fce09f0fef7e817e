"""A whole world in a process of its own, for tests that kill it: ``python -m tests.sandbox.world_process HOME HOURS_AHEAD``.

Its time is some hours ahead, so that the leases of an earlier one that was killed are over.
"""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sandbox.clock import Clock
from sandbox.dbt_runner import DBT_PYTHON, DbtRunner
from sandbox.supervisor import Supervisor

MOVED_JOB = Path(__file__).resolve().parents[1] / "reliability" / "moved_clock.py"


class AheadWorld(Supervisor):
    """A world whose engines, functions and dbt job all live ``hours`` ahead of the machine. Builds without dbt's tests."""

    def __init__(self, home: Path, hours: float, **options: Any) -> None:
        self._hours = hours
        clock = Clock(datetime.now(UTC) + timedelta(hours=hours)) if hours else Clock()
        super().__init__(home, clock=clock, dbt_command="run", **options)

    def _make_dbt(self) -> None:
        ahead = self.world.home / "ahead"
        ahead.write_text(str(self._hours * 3600), encoding="utf-8")
        environment = self.world.job_environment(self.contract, self.settings, self.addresses, "run")
        self.dbt = DbtRunner(
            self.world.home,
            {**environment, "MOVABLE_CLOCK": str(ahead)},
            self.contract.jobs["dbt"].timeout_seconds,
            self.world.logs / "dbt.log",
            command=(str(DBT_PYTHON), str(MOVED_JOB)),
        )
        self._stops.callback(self.dbt.stop)


def descendants(pid: int) -> list[int]:
    """The processes below one, whatever session they are in."""
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in (line.split() for line in listing.splitlines())}
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


if __name__ == "__main__":
    with AheadWorld(Path(sys.argv[1]), float(sys.argv[2])):
        print("up", flush=True)
        sys.stdin.read()
