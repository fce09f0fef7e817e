"""An append-only journal of JSON records, and a mapping kept in one.

What it is for: an engine answers a caller only after the change is in the journal, so that whatever was answered
survives the death of the process (``kill -9`` included). Records are handed to the operating system by one ``write``
call each; they are not forced onto the disk one by one, so a power cut may lose the last moments. That is the durability a
development machine needs, and it keeps a small write near a millisecond. What is rare is forced: a journal that was written
anew, so that a power cut cannot leave less than was there before, and a journal that is closed.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterable, Iterator, MutableMapping
from pathlib import Path
from typing import Any, TypeAlias

Record: TypeAlias = dict[str, Any]


class JournalError(Exception):
    """The journal cannot be used: damaged before its end, or held by another process."""


class DirectoryLock:
    """Keeps a second process from opening the same directory; the system frees it when the process dies."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._file = (directory / ".lock").open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise JournalError(f"{directory} is in use by another process; stop that sandbox first") from error

    def release(self) -> None:
        """Gives the directory back; may be called again."""
        self._file.close()


class Journal:
    """Append-only file of JSON records, one a line.

    ``replay`` must be called once before ``append``. A torn last line (the process died inside a write) is cut off:
    nobody was told that it had happened. A damaged line before the end raises :class:`JournalError`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self.lines = 0

    def replay(self) -> Iterator[Record]:
        """Yields the records from the oldest to the newest, then opens the journal for appending."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        good_bytes = 0
        if self._path.exists():
            with self._path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    if not line.endswith(b"\n"):
                        break
                    try:
                        record = json.loads(line)
                    except ValueError as error:
                        raise JournalError(f"{self._path}: line {number} is damaged: {error}") from error
                    good_bytes += len(line)
                    self.lines += 1
                    yield record
            if good_bytes < self._path.stat().st_size:
                os.truncate(self._path, good_bytes)
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def append(self, record: Record) -> None:
        """Writes one record; when this returns, it survives the process."""
        line = json.dumps(record, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"
        with self._lock:
            if self._descriptor is None:
                raise JournalError(f"{self._path} is not open")
            start_bytes = os.fstat(self._descriptor).st_size
            view = memoryview(line)
            try:
                while view:  # a signal may cut a write short
                    view = view[os.write(self._descriptor, view) :]
            except OSError:  # a full disk: half a line must not stand before later ones
                os.truncate(self._path, start_bytes)
                raise
            self.lines += 1

    def rewrite(self, records: Iterable[Record]) -> None:
        """Replaces the whole journal by ``records``, atomically. The caller keeps appends out meanwhile."""
        fresh = self._path.with_suffix(".new")
        count = 0
        with fresh.open("wb") as file:
            fresh.chmod(0o600)
            for record in records:
                file.write(json.dumps(record, separators=(",", ":"), ensure_ascii=True).encode() + b"\n")
                count += 1
            file.flush()
            os.fsync(file.fileno())
        with self._lock:
            fresh.replace(self._path)
            if self._descriptor is not None:
                os.close(self._descriptor)
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            self.lines = count

    def close(self) -> None:
        """Closes the file; later appends raise :class:`JournalError`."""
        with self._lock:
            if self._descriptor is not None:
                os.fsync(self._descriptor)
                os.close(self._descriptor)
                self._descriptor = None


class JournaledMap(MutableMapping[str, Any]):
    """A mapping of JSON values that survives the process; for engines with few and small entries.

    Values are replaced as a whole: changing one in place is not recorded.
    """

    def __init__(self, path: Path) -> None:
        self._journal = Journal(path)
        self._values: dict[str, Any] = {}
        for record in self._journal.replay():
            if "value" in record:
                self._values[record["key"]] = record["value"]
            else:
                self._values.pop(record["key"], None)
        if self._journal.lines > 2 * len(self._values) + 100:
            self._journal.rewrite({"key": key, "value": value} for key, value in self._values.items())

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._journal.append({"key": key, "value": value})
        self._values[key] = value

    def __delitem__(self, key: str) -> None:
        if key not in self._values:
            raise KeyError(key)
        self._journal.append({"key": key})
        del self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._values))

    def __len__(self) -> int:
        return len(self._values)

    def close(self) -> None:
        """Closes the journal; later changes raise :class:`JournalError`."""
        self._journal.close()
