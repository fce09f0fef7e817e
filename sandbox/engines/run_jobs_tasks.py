"""The tasks behind executions of Cloud Run jobs: started by the embedder's callback, ended at their deadline."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sandbox.engines.faults import Effect, TaskFails, TaskHangs, TaskKilled

DEFAULT_TIMEOUT_SECONDS = 600.0
KILLED = 137
"""Exit code of a container that was ended by SIGKILL."""
KILL_AGAIN_SECONDS = 0.01


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


class _Hanging:
    """A task that does nothing and does not end by itself."""

    def __init__(self) -> None:
        self._killed = threading.Event()

    def wait(self, timeout: float | None = None) -> int:
        if not self._killed.wait(timeout):
            raise subprocess.TimeoutExpired("a task that hangs on purpose", timeout or 0.0)
        return KILLED

    def kill(self) -> None:
        self._killed.set()


class Tasks:
    """Runs tasks with one of the two callbacks, and ends them early when asked. ``kill`` ends what ``run`` is running."""

    def __init__(self, launcher: Launcher | None, run: Run | None, kill: Callable[[], object] | None = None) -> None:
        if (launcher is None) == (run is None):
            raise ValueError("exactly one of launcher and run must be given")
        self._launcher, self._run, self._kill = launcher, run, kill
        self._lock = threading.Lock()
        self._handles: dict[str, JobHandle] = {}
        self._cancelled: set[str] = set()
        self._stopped = False

    @property
    def can_kill(self) -> bool:
        """Whether a task can be ended before it is done."""
        return self._launcher is not None or self._kill is not None

    def can_cancel(self, execution: str) -> bool:
        """Whether the task of this execution alone can be ended."""
        with self._lock:
            return self._launcher is not None or execution in self._handles

    def carry_out(self, task: Task, effect: Effect | None = None) -> tuple[int | None, str]:
        """Runs the task to its end or its deadline; exit code (None: killed at the deadline) and what went wrong.

        ``effect`` is the fault that it meets with. Raises what the callback raises.
        """
        if isinstance(effect, TaskFails | TaskHangs):
            if effect.after:
                self._work(task)
            return _ended(effect.exit_code) if isinstance(effect, TaskFails) else self._wait_for(task, _Hanging())
        return self._work(task, effect.after_seconds if isinstance(effect, TaskKilled) else None)

    def _work(self, task: Task, kill_after_seconds: float | None = None) -> tuple[int | None, str]:
        if self._launcher is not None:
            return self._wait_for(task, self._launcher(task.job, task.environment, task.arguments), kill_after_seconds)
        assert self._run is not None  # the constructor saw to it
        with _killer(self._kill, kill_after_seconds):
            return _ended(self._run(task.arguments, task.environment, task.timeout_seconds))

    def _wait_for(self, task: Task, handle: JobHandle, kill_after_seconds: float | None = None) -> tuple[int | None, str]:
        limit_seconds = task.timeout_seconds or DEFAULT_TIMEOUT_SECONDS
        with self._lock:
            self._handles[task.execution] = handle
            if self._stopped or task.execution in self._cancelled:  # asked for while the launcher was at work
                handle.kill()
        try:
            with _killer(handle.kill, kill_after_seconds):
                return _ended(handle.wait(limit_seconds))
        except subprocess.TimeoutExpired:
            handle.kill()
            handle.wait()
            return None, f"The configured timeout ({limit_seconds:g} s) was reached."
        finally:
            with self._lock:
                self._handles.pop(task.execution, None)
                self._cancelled.discard(task.execution)

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


def _ended(code: int) -> tuple[int, str]:
    return code, "" if code == 0 else f"The container exited with code {code}."


@contextlib.contextmanager
def _killer(kill: Callable[[], object] | None, after_seconds: float | None) -> Iterator[None]:
    """Calls ``kill`` after so many real seconds (None: never), unless the block has ended before.

    Again and again as long as it answers False: there was nothing to kill yet.
    """
    if kill is None or after_seconds is None:
        yield
        return
    ended = threading.Event()

    def watch() -> None:
        pause_seconds = after_seconds
        while not ended.wait(pause_seconds) and kill() is False:
            pause_seconds = KILL_AGAIN_SECONDS

    threading.Thread(target=watch, name="kill-on-purpose", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
