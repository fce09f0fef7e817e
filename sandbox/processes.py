"""Remembers the processes that a world starts, so that those of a supervisor that was killed are ended by the next one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

_FOLDER = "processes"


def note(home: Path, role: str, pid: int) -> None:
    """Remember a process: its id and its command line, by which it is known again."""
    folder = home / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    (folder / role).write_text(f"{pid}\n{_identity(pid)}\n", encoding="utf-8")


def forget(home: Path, role: str) -> None:
    (home / _FOLDER / role).unlink(missing_ok=True)


def end_leftovers(home: Path) -> list[str]:
    """End every remembered process that still runs, and forget all. Returns their roles.

    A process counts only when start time and command are those that were noted: the id may be another's by now.
    """
    ended = []
    for path in sorted((home / _FOLDER).glob("*")):
        first, _, identity = path.read_text(encoding="utf-8").partition("\n")
        pid = int(first)
        if identity.strip() and _identity(pid) == identity.strip():
            _end(pid)
            ended.append(path.name)
        path.unlink(missing_ok=True)
    return ended


def _identity(pid: int) -> str:
    """Start time and command of a process, empty when there is none."""
    # ps is the one way that Linux and macOS share; LC_ALL fixes the form of the date.
    answer = subprocess.run(
        ["ps", "-o", "lstart=,command=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    return answer.stdout.strip()


def _end(pid: int, grace_seconds: float = 5.0) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + grace_seconds
        while time.monotonic() < deadline:
            if not _identity(pid):
                return
            time.sleep(0.05)
