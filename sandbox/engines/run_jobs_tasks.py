"""The tasks behind executions of Cloud Run jobs: started by the embedder's callback, ended at their deadline."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

DEFAULT_TIMEOUT_SECONDS = 600.0


class JobHandle(Protocol):
    """One running task; a :class:`subprocess.Popen` is one.

    ``wait`` returns the exit code and raises :class:`subprocess.TimeoutExpired` when the time is over before the task.
    """

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the end."""

    def kill(self) -> None:
        """Ends the task at once."""


Launcher = Callable[[str, Mapping[str, str], Sequence[str]], JobHandle]
"""Called with the job's full name, the environment and the arguments of RunJob's overrides; returns the running task."""

Run = Callable[[Sequence[str], Mapping[str, str], float | None], int]
"""Runs a task to its end: called with arguments, environment and timeout (seconds, None: the job's own); exit code back."""


@dataclass(frozen=True, slots=True)
class Task:
    """What one execution runs. ``timeout_seconds`` None leaves the limit to the default, or to ``Run``."""

    execution: str
    job: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    timeout_seconds: float | None


class Tasks:
    """Runs tasks with one of the two callbacks, and ends them early when asked."""

    def __init__(self, launcher: Launcher | None, run: Run | None) -> None:
        if (launcher is None) == (run is None):
            raise ValueError("exactly one of launcher and run must be given")
        self._launcher, self._run = launcher, run
        self._lock = threading.Lock()
        self._handles: dict[str, JobHandle] = {}
        self._cancelled: set[str] = set()
        self._stopped = False

    @property
    def can_cancel(self) -> bool:
        """Whether a task can be ended before it is done."""
        return self._launcher is not None

    def carry_out(self, task: Task) -> tuple[int | None, str]:
        """Runs the task to its end or its deadline; exit code (None: killed at the deadline) and what went wrong.

        Raises what the callback raises.
        """
        if self._launcher is None:
            assert self._run is not None  # the constructor saw to it
            code = self._run(task.arguments, task.environment, task.timeout_seconds)
        else:
            limit_seconds = task.timeout_seconds or DEFAULT_TIMEOUT_SECONDS
            handle = self._launcher(task.job, task.environment, task.arguments)
            with self._lock:
                self._handles[task.execution] = handle
                if self._stopped or task.execution in self._cancelled:  # asked for while the launcher was at work
                    handle.kill()
            try:
                code = handle.wait(limit_seconds)
            except subprocess.TimeoutExpired:
                handle.kill()
                handle.wait()
                return None, f"The configured timeout ({limit_seconds:g} s) was reached."
            finally:
                with self._lock:
                    self._handles.pop(task.execution, None)
                    self._cancelled.discard(task.execution)
        return code, "" if code == 0 else f"The container exited with code {code}."

    def cancel(self, execution: str) -> None:
        """Kills the task of one execution, also one that is just being launched."""
        with self._lock:
            self._cancelled.add(execution)
            if handle := self._handles.get(execution):
                handle.kill()

    def stop(self) -> None:
        """Kills every task."""
        with self._lock:
            self._stopped = True
            for handle in self._handles.values():
                handle.kill()
