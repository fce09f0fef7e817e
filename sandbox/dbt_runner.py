"""Runs the dbt job's container, as Cloud Run jobs would: ``dbt_job/job.py`` in its own environment, one try, a deadline."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox import processes
from sandbox.world import PROJECT_ROOT

DBT_PYTHON = PROJECT_ROOT / ".venvs" / "dbt" / "bin" / "python"
JOB = PROJECT_ROOT / "dbt_job" / "job.py"

TIMED_OUT = 124
"""Exit code that stands for "ended at its deadline", as of timeout(1)."""

_NODE = re.compile(rb"\b(\d+) of (\d+) (START|OK|PASS|WARN|ERROR|FAIL|SKIP|NO-OP)\b")
_TAIL_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Nodes:
    """How far the running dbt is, by its own log."""

    done: int
    total: int


class DbtRunner:
    """Starts the job and waits for it; one at a time or several, each call in the caller's thread.

    ``command``: the container's entrypoint. ``environment``: all that it sees. ``log``: gets its output.
    """

    def __init__(
        self,
        home: Path,
        environment: Mapping[str, str],
        timeout_seconds: float,
        log: Path,
        command: Sequence[str] = (str(DBT_PYTHON), str(JOB)),
    ) -> None:
        self._command = command
        self._home = home
        self._environment = dict(environment)
        self._timeout_seconds = timeout_seconds
        self._log = log
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False
        self._log_start = 0
        self.last_exit_code: int | None = None
        log.parent.mkdir(parents=True, exist_ok=True)

    @property
    def running(self) -> bool:
        return bool(self._running)

    def run(
        self,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> int:
        """Run the job to its end and return its exit code. The overrides are those of a RunJob request."""
        with self._lock:
            if self._stopped:
                return TIMED_OUT
            with self._log.open("ab") as log:
                self._log_start = log.tell()
                process = subprocess.Popen(
                    [*self._command, *arguments],
                    cwd=JOB.parent,
                    env={**self._environment, **(environment or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self._running.add(process)
        role = f"dbt-{process.pid}"
        processes.note(self._home, role, process.pid)
        try:
            code = process.wait(timeout_seconds or self._timeout_seconds)
        except subprocess.TimeoutExpired:
            _end(process)
            code = TIMED_OUT
        finally:
            with self._lock:
                self._running.discard(process)
            processes.forget(self._home, role)
        self.last_exit_code = code
        return code

    def nodes(self) -> Nodes | None:
        """Nodes done and planned; ``None`` before dbt has begun with the first."""
        try:
            with self._log.open("rb") as log:
                log.seek(0, os.SEEK_END)
                log.seek(max(self._log_start, log.tell() - _TAIL_BYTES))
                marks = _NODE.findall(log.read())
        except FileNotFoundError:
            return None
        if not marks:
            return None
        done = max((int(number) for number, _, word in marks if word != b"START"), default=0)
        return Nodes(done, int(marks[-1][1]))

    def kill(self) -> bool:
        """Kill the running job, as when its container runs out of memory. Says whether there was one."""
        with self._lock:
            running = list(self._running)
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        return bool(running)

    def stop(self) -> None:
        """End what runs and start nothing more."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            _end(process)


def _end(process: subprocess.Popen[bytes], grace_seconds: float = 5.0) -> None:
    """SIGTERM, then SIGKILL, to the job and everything that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace_seconds)
            return
