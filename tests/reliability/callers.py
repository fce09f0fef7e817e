"""Which process is at the other end of a local connection: the instance that made a request."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")


def process_of(port: int, candidates: Iterable[int]) -> int | None:
    """The one of these processes that holds the local TCP ``port``; ``None`` where /proc does not tell."""
    inode = _inode_of(port)
    if inode is None:
        return None
    for pid in candidates:
        try:
            if any(str(descriptor.readlink()) == f"socket:[{inode}]" for descriptor in (PROC / str(pid) / "fd").iterdir()):
                return pid
        except OSError:
            continue
    return None


def _inode_of(port: int) -> str | None:
    try:
        lines = (PROC / "net" / "tcp").read_text().splitlines()[1:]
    except OSError:
        return None
    for line in lines:
        columns = line.split()
        if int(columns[1].rsplit(":", 1)[1], 16) == port and columns[9] != "0":
            return columns[9]
    return None
