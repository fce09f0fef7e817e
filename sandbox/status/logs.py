"""What the functions' logs say last: an error, or why a slice waits. The state bucket keeps the fact, the log the words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_TAIL_BYTES = 512 * 1024
_RAISED = re.compile(r"^[A-Za-z_][\w.]*(?:Error|Exception|Conflict|NotFound|Retryable|Unreadable|Refused|Unavailable)\b.*")


@dataclass(frozen=True, slots=True)
class LoggedError:
    """``at`` is when the log was last written, where its newest line is the error; the lines have no time of their own."""

    words: str
    at: str | None


def last_error(log: Path) -> LoggedError | None:
    """The newest error of a function's log: a line of severity ERROR, or the end of a traceback. None without one."""
    lines = _tail(log)
    for number, line in enumerate(reversed(lines)):
        words = _error_in(line)
        if words:
            written = datetime.fromtimestamp(log.stat().st_mtime, UTC).isoformat(timespec="seconds")
            return LoggedError(words, written if number == 0 else None)
    return None


def _error_in(line: str) -> str:
    entry = _entry(line)
    if entry is not None:
        if entry.get("severity") not in ("ERROR", "CRITICAL") or entry.get("step") == "run":
            return ""  # how a run ended is the ledger's to say
        about = entry.get("slice_id") or entry.get("run_id")
        return f"{entry.get('message', '')}" + (f" ({about})" if about else "")
    return line if _RAISED.match(line) else ""


def waiting_reasons(logs: Path) -> dict[str, str]:
    """By slice id: the newest words with which a function said that the slice waits, or failed and is tried again."""
    found: dict[str, str] = {}
    for log in sorted(logs.glob("*.log")):
        for entry in _entries(log):
            if entry.get("severity") == "WARNING" and (slice_id := entry.get("slice_id")):
                message = str(entry.get("message", ""))
                found[str(slice_id)] = re.sub(r"^waits until \S+: ", "", message)
    return found


def _entries(log: Path) -> Iterator[dict[str, Any]]:
    for line in _tail(log):
        if (entry := _entry(line)) is not None:
            yield entry


def _entry(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _tail(log: Path) -> list[str]:
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
