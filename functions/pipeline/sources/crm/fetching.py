"""The rows of one dropped file, page by page, from the copy of its bytes in bronze."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

from pipeline import clients, csv_encoding, file_bytes, names, originals
from pipeline.csv_judgement import decide
from pipeline.csv_reading import Reading
from pipeline.csv_records import Batch, RecordReader
from pipeline.csv_refusals import Problem
from pipeline.csv_rows import RowConverter
from pipeline.csv_text import Gunzip, NotRows, Readable, TextLines
from pipeline.csv_values import ValueFormat
from pipeline.errors import Rejected, Retryable, StartOver
from pipeline.sources import Page, Task

PAGE_ROWS = 500
"""Cells of so many records stay in the processor's cache while they are turned into columns and lines: half of 5,000's time."""


def fetch(task: Task) -> Iterator[Page]:
    """Pages of one file. The cursor counts the records that were read, whatever became of them."""
    if reject := task.request.get("reject"):
        raise Rejected(reject["message"], next_step=reject["next_step"], kind=reject["kind"])
    file = task.request["file"]
    reading = Reading.from_json(task.request["preset"])
    cursor = task.cursor
    if cursor is None or "rows" not in cursor:  # it has waited since it was read, for another slice of the same bytes
        cursor = {"rows": 0, **_original(task, file, reading)}
    reading = replace(reading, encoding=cursor["encoding"], guesses=tuple(cursor["guesses"]))
    if "values" in cursor:
        reading = replace(reading, values=ValueFormat.from_json(cursor["values"]), undecided=())
    facts = {
        "file_name": names.shown_file(file),
        "file_sha256": cursor["sha256"],
        "file_at": file["updated"],
        "file_object": originals.object_name(task.source.name, cursor["sha256"], file),
        **{name: file[name] for name in ("member", "non_members") if file.get(name)},
        "preset": reading.preset,
        "encoding": reading.encoding,
        "delimiter": reading.dialect.delimiter,
        "guesses": list(reading.guesses),
    }
    size_bytes, crc32c = cursor.get("mark", (0, 0))
    with _opened(task.source.name, cursor["sha256"], file, (size_bytes, crc32c)) as stream:
        for page in pages_of(stream, reading, cursor, facts):
            if page.cursor is not None:
                page.cursor = {**page.cursor, "mark": list(stream.mark)}
            yield page


@contextmanager
def _opened(source: str, sha256: str, file: Mapping[str, Any], mark: tuple[int, int] = (0, 0)) -> Iterator[file_bytes.Checked]:
    """The bytes of a kept file. Raises :class:`Rejected`, naming it, when they turn out to be no text while they are read, and
    :class:`~pipeline.errors.StartOver`, at their end, when they came otherwise than they are kept."""
    kept = clients.bronze_bucket().blob(originals.object_name(source, sha256, file))
    try:
        with file_bytes.opened(kept, file) as stream:
            checked = file_bytes.Checked(stream, None if file.get("member") else file_bytes.crc32c_of(kept), mark)
            try:
                yield checked
            except NotRows as error:
                checked.check()
                raise originals.rejected(originals.damaged(names.shown_file(file), error)) from error
            except LookupError:  # a column that was there when the file was planned
                checked.check()
                raise
    except NotRows as error:
        raise StartOver("an archive that was whole when it was kept cannot be opened") from error


def _original(task: Task, file: Mapping[str, Any], reading: Reading) -> dict[str, Any]:
    """What the cursor carries on from page to page: the file's identity, and what only the whole file shows of its writing.

    Raises :class:`Rejected` for a file that leaves open to its end how it writes a column, or is not in the encoding that its
    preset declares.
    """
    kept = originals.keep(task, file, csv_encoding.evidence_of(reading), gzip=reading.gzip)
    found = csv_encoding.as_found(reading, kept.encoding, names.shown_file(file))
    if isinstance(found, Problem):
        raise originals.rejected(found)
    reading = found
    values = {}
    if reading.undecided:
        with _opened(task.source.name, kept.sha256, file) as stream:
            decided = decided_of(stream, reading, names.shown_file(file))
        if isinstance(decided, Problem):
            raise originals.rejected(decided)
        reading, values = decided, {"values": asdict(decided.values)}
    return {"sha256": kept.sha256, "encoding": reading.encoding, "guesses": list(reading.guesses), **values}


def decided_of(stream: Readable, reading: Reading, name: str) -> Reading | Problem:
    """``reading`` with its undecided columns decided by all the bytes of the file, or why the file is set aside."""
    reader = _reader(stream, reading)
    batches = iter(lambda: reader.read(PAGE_ROWS), Batch())
    return decide(reading, batches, reader.header, name)


def _reader(stream: Readable, reading: Reading) -> RecordReader:
    return reading.reader(TextLines(Gunzip(stream) if reading.gzip else stream, reading.encoding))


def pages_of(stream: Readable, reading: Reading, cursor: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[Page]:
    """Pages of a file's bytes as ``reading`` says, after as many records as ``cursor["rows"]`` counts.

    Raises :class:`~pipeline.csv_text.NotRows` where the bytes turn out to be no text.
    """
    reader = _reader(stream, reading)
    names, columns, unknown = reading.bind(reader.header)
    facts = {**facts, **reading.mapping(reader.header)}
    converter = RowConverter(names, columns, unknown, reading.values, reading.dialect.delimiter)
    done: int = cursor["rows"]
    before = 0 if done else reading.header_line - 1
    skipped = 0
    while skipped < done:
        batch = reader.read(min(PAGE_ROWS, done - skipped))
        if not batch.taken:
            raise Retryable(f"the file ended after {skipped} records, {done} were read before")
        skipped += batch.taken
    batch = reader.read(PAGE_ROWS)
    while True:
        following = reader.read(PAGE_ROWS)  # one ahead, to know the last page for what it is
        done += batch.taken
        converted = converter.convert(batch)
        yield Page(
            rows=converted.rows,
            lines=converted.lines,
            aside=batch.aside + converted.aside,
            cursor={**cursor, "rows": done} if following.taken else None,
            non_rows=batch.non_rows + before,
            facts=facts,
            unknown_fields=converted.unknown_fields,
        )
        if not following.taken:
            return
        batch, before = following, 0
