"""What a process has taken of the machine, as the system counts it. Standard library alone: the peers use it as well."""

from __future__ import annotations

import os
from pathlib import Path

MIB = 1024 * 1024


class NotMeasurable(RuntimeError):
    """This system does not tell what is wanted; the message says which does."""


def peak_rss_bytes(pid: int | str = "self") -> int:
    """The most memory that a process has held so far: ``VmHWM`` of Linux.

    What ``getrusage`` and ``wait4`` tell there begins with the memory of the parent that forked, so a small child of a large
    parent looks as large. Raises :class:`NotMeasurable` on other systems.
    """
    (line,) = (line for line in _told(pid, "status").splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def cpu_seconds(pid: int | str = "self") -> float:
    """User and system time of a process, all its threads, since it began. Raises :class:`NotMeasurable` but on Linux."""
    fields = _told(pid, "stat").rsplit(")", 1)[1].split()  # its name comes first, in brackets, and may hold anything
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _told(pid: int | str, what: str) -> str:
    try:
        return Path(f"/proc/{pid}/{what}").read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotMeasurable(f"there is no /proc/{pid}/{what}: the benchmarks need Linux, and a process that runs") from None
