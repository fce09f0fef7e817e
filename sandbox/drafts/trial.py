"""A file read to its end with some presets, nothing kept: what would load, what would be set aside and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from pipeline import csv_encoding
from pipeline.contract import Source
from pipeline.csv_head import HEAD_BYTES, look
from pipeline.csv_reading import Reading
from pipeline.csv_refusals import Examined, Problem
from pipeline.csv_text import NotRows
from pipeline.presets import Preset
from pipeline.sources.crm import decided_of, pages_of
from sandbox.world import WorldError


@dataclass(frozen=True, slots=True)
class Count:
    """What becomes of a file's rows in one stream."""

    stream: str
    loaded: int
    set_aside: int
    non_rows: int
    reasons: tuple[str, ...]

    def sentence(self) -> str:
        """The count in words."""
        why = f" ({'; '.join(self.reasons)})" if self.reasons else ""
        return (
            f"{self.loaded} rows would load as {self.stream}, {self.set_aside} be set aside{why}, {self.non_rows} are no rows."
        )


@dataclass(frozen=True, slots=True)
class Trial:
    """What a file was found to be, with a count for each stream that it feeds; none where it is set aside whole."""

    found: Examined
    counts: tuple[Count, ...] = ()


def try_out(path: Path, book: Sequence[Preset], source: Source) -> Trial:
    """Read a file as the source does. Raises :class:`WorldError` for bytes that turn out to be no text."""
    with path.open("rb") as file:

        def piece(start: int) -> bytes:
            file.seek(start)
            return file.read(HEAD_BYTES)

        found = look(path.name, path.stat().st_size, piece, book=book, streams=source.streams)
        counts: list[Count] = []
        readings: list[Reading] = []
        try:
            for each in (found, *found.companions):
                read = _read(path, file, each)
                if isinstance(read, Problem):
                    return Trial(replace(found, reading=None, problem=read))
                readings.append(read)
                counts.append(_count(file, read, each.stream))
        except NotRows as error:
            raise WorldError(f"{path} is not a table of text to its end: {error}.") from error
    return Trial(replace(found, reading=readings[0]), tuple(counts))


def _read(path: Path, file: BinaryIO, found: Examined) -> Reading | Problem:
    """How a file is read by all its bytes, or why it is set aside."""
    if found.reading is None:
        assert found.problem is not None
        return found.problem
    file.seek(0)
    reading = csv_encoding.read_through(file, found.reading, path.name)
    if isinstance(reading, Problem):
        return reading
    file.seek(0)
    return decided_of(file, reading, path.name)


def _count(file: BinaryIO, reading: Reading, stream: str) -> Count:
    file.seek(0)
    loaded = non_rows = 0
    reasons: Counter[str] = Counter()
    for page in pages_of(file, reading, {"rows": 0}, {}):
        loaded += len(page.rows)
        non_rows += page.non_rows
        reasons.update(f"{aside.reason} in {aside.column}" if aside.column else aside.reason for aside in page.aside)
    shown = tuple(f"{count} × {reason}" for reason, count in reasons.most_common(5))
    return Count(stream, loaded, sum(reasons.values()), non_rows, shown)
