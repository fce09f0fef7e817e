"""Reads bytes the way the source ``crm`` does, without any storage."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline import contract, csv_encoding, presets
from pipeline.csv_dialect import Dialect
from pipeline.csv_head import HEAD_BYTES, examine
from pipeline.csv_reading import Reading
from pipeline.csv_records import Batch, RecordReader
from pipeline.csv_refusals import Examined, Problem
from pipeline.csv_text import TextLines
from pipeline.sources import Aside, Page
from pipeline.sources.crm import decided_of, pages_of

CRM = contract.load().source("crm")


class Trickle:
    """A stream that gives at most ``step`` bytes at a time, as a network may."""

    def __init__(self, data: bytes, step: int) -> None:
        self._stream = io.BytesIO(data)
        self._step = step

    def read(self, size: int = -1, /) -> bytes:
        return self._stream.read(self._step if size < 0 else min(size, self._step))


def records(
    data: bytes, *, dialect: Dialect | None = None, encoding: str = "utf-8", step: int = 1 << 20, limit: int = 1000
) -> Batch:
    """Every record below the header in line 1, read ``limit`` at a time."""
    reader = RecordReader(TextLines(Trickle(data, step), encoding), dialect or Dialect(), 1)
    whole = Batch()
    while (batch := reader.read(limit)).taken:
        for name in ("records", "lines", "aside"):
            getattr(whole, name).extend(getattr(batch, name))
        whole.taken += batch.taken
        whole.non_rows += batch.non_rows
    return whole


def judge(data: bytes | str, name: str = "file.csv", extra: str | None = None, zone: str = "Etc/UTC") -> Examined:
    """What is made of a file; ``extra`` is the text of a deployment's own presets."""
    raw = data.encode() if isinstance(data, str) else data
    book = presets.load(CRM, {"presets/own.yaml": extra.encode()} if extra else None)
    head = raw[:HEAD_BYTES]
    pieces = [raw[len(raw) // 2 :][:HEAD_BYTES], raw[-HEAD_BYTES:]]
    return examine(
        name, head, complete=len(raw) <= len(head), book=book, streams=CRM.streams, time_zone=zone, more=lambda: pieces
    )


def reading_of(data: bytes | str, **more: Any) -> Reading:
    """How a file is read; fails with the reason when it is set aside."""
    found = judge(data, **more)
    assert found.reading is not None, found.problem
    return found.reading


def problem_of(data: bytes | str, **more: Any) -> Problem:
    """Why a file is set aside."""
    found = judge(data, **more)
    assert found.problem is not None, found.reading
    return found.problem


def pages(data: bytes | str, *, rows: int = 0, step: int = 1 << 20, **more: Any) -> Iterator[Page]:
    """Pages of a file, after ``rows`` records that an earlier invocation has read."""
    raw = data.encode() if isinstance(data, str) else data
    found = csv_encoding.read_through(Trickle(raw, step), reading_of(data, **more), "file.csv")
    assert isinstance(found, Reading), found
    reading = decided_of(Trickle(raw, step), found, "file.csv")
    assert isinstance(reading, Reading), reading
    return pages_of(Trickle(raw, step), reading, {"rows": rows}, {})


def payloads(data: bytes | str, **more: Any) -> list[Mapping[str, Any]]:
    return [row for page in pages(data, **more) for row in page.rows]


def asides(data: bytes | str, **more: Any) -> list[Aside]:
    return [aside for page in pages(data, **more) for aside in page.aside]
