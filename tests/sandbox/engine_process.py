"""An engine in a process of its own, for tests that kill it: ``python -m tests.sandbox.engine_process KIND HOME``.

Prints its addresses as one line of JSON, and ends when its standard input does, so that nothing outlives a test.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUN_LOG = "runs.txt"
"""In a home of the kind ``run_jobs``: a line for each task that was begun."""


class EngineProcess:
    """One home, and whoever serves it: started, killed, started again."""

    def __init__(self, kind: str, home: Path) -> None:
        self._command = [sys.executable, "-m", "tests.sandbox.engine_process", kind, str(home)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> dict[str, str]:
        """Serve the home; returns the addresses by engine."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "functions")])}
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        addresses: dict[str, str] = json.loads(self._process.stdout.readline())
        return addresses

    def kill(self) -> None:
        """SIGKILL; returns when nothing of the process is left. May be called again."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _serve(kind: str, home: Path) -> dict[str, str]:
    # Imported where they are needed: each costs a second or so of start.
    if kind == "storage":
        from sandbox.engines.storage import StorageEngine

        return {"storage": StorageEngine(home).start()}
    if kind == "secret_manager":
        from sandbox.engines.secret_manager import SecretManagerEngine

        return _kept("secret_manager", SecretManagerEngine(home).start)
    if kind == "run_jobs":
        from sandbox.engines.run_jobs import RunJobsEngine

        return _kept("run_jobs", RunJobsEngine(home, run=_task(home / RUN_LOG)).start)
    from sandbox.engines.pubsub import PubSubEngine

    pubsub = PubSubEngine(home / "pubsub")
    addresses = _kept("pubsub", pubsub.start)
    if kind == "scheduler":
        from sandbox.engines.scheduler import SchedulerEngine

        addresses |= _kept("scheduler", SchedulerEngine(home / "scheduler", publish=pubsub.publish).start)
    return addresses


_engines: list[object] = []


def _kept(name: str, start: Callable[[], str]) -> dict[str, str]:
    """Start an engine and hold on to it: a gRPC server ends when it is garbage-collected."""
    _engines.append(start)
    return {name: start()}


def _task(log: Path) -> Callable[[Sequence[str], Mapping[str, str], float | None], int]:
    def run(arguments: Sequence[str], environment: Mapping[str, str], timeout_seconds: float | None) -> int:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{arguments[0]}\n")
        time.sleep(random.uniform(0, 0.05))
        return 0

    return run


if __name__ == "__main__":
    Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
    print(json.dumps(_serve(sys.argv[1], Path(sys.argv[2]))), flush=True)
    sys.stdin.read()
    os._exit(0)
