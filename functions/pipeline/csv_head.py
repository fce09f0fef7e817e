"""What the first bytes of a file tell: its encoding, its preset, its delimiter, how it writes values.

The result is frozen into the slice's request, so that every invocation that works on the file reads it the same way.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from pipeline import presets
from pipeline.contract import Stream
from pipeline.csv_evidence import judge_days, judge_numbers
from pipeline.csv_reading import FileColumn, Reading, unique_names
from pipeline.csv_records import Dialect
from pipeline.csv_rows import BoundColumn
from pipeline.csv_text import NotRows, TextLines, detect_encoding, gunzip_head, is_gzip
from pipeline.csv_values import NULL_WORDS, ValueFormat, unguarded
from pipeline.presets import Column, Fit, Preset, plain

HEAD_BYTES = 64 * 1024
UNRECOGNISED = "unrecognised"
FILE_SET_ASIDE = "file_set_aside"
_DELIMITERS = (",", ";", "\t", "|")
_HEADER_RECORDS = 20
"""A header is looked for in so many records; more stand before it only where a preset says so."""
_SAMPLE_RECORDS = 2_000
_BLANK_BEFORE_QUOTE = re.compile(r'[,;|\t] +"')
_FOREIGN = (
    (b"PK\x03\x04", "an Excel workbook or a zip archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"PAR1", "a Parquet file"),
    (b"%PDF", "a PDF"),
    (b"BZh", "a bzip2 archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"<?xml", "an XML document"),
    (b"{", "JSON"),
    (b"[{", "JSON"),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a file is set aside whole, and what a person does next."""

    message: str
    next_step: str
    kind: str = FILE_SET_ASIDE


@dataclass(frozen=True, slots=True)
class Examined:
    """Exactly one of ``reading`` and ``problem``. ``stream`` is the best guess, ``unrecognised`` where there is none."""

    stream: str
    preset: Preset | None
    reading: Reading | None
    problem: Problem | None


@dataclass(frozen=True, slots=True)
class _Candidate:
    fit: Fit
    dialect: Dialect
    line: int
    header: list[str]
    below: list[list[str]]


def examine(
    name: str,
    head: bytes,
    *,
    complete: bool,
    book: Sequence[Preset],
    streams: Mapping[str, Stream],
    time_zone: str = "Etc/UTC",
    more: Callable[[], Sequence[bytes]] | None = None,
) -> Examined:
    """Judge a file by its ``head`` (``complete``: that is all of it).

    ``streams``: those of the source that files are wanted for. ``time_zone``: of times written without one, unless the preset
    says. ``more`` fetches other pieces of the file, asked only where the head leaves the order of day and month open.
    """
    try:
        gzip = is_gzip(head)
        if gzip:
            head, complete = gunzip_head(head, HEAD_BYTES), False
        if found := _foreign(head):
            return _aside(name, f"is {found}", "Export it as CSV and drop it again.", book, streams)
        encoding = detect_encoding(head, complete=complete)
        lines = _lines(head, encoding.name, complete=complete)
        if not any(line.strip() for line in lines):
            return _empty(name, gzip, book, streams)
        candidates = list(_candidates(name, lines, book, streams, complete=complete))
        whole = [candidate for candidate in candidates if not candidate.fit.missing]
        if not whole:
            return _unmatched(name, lines, candidates, book, streams)
        best = max(whole, key=lambda candidate: (candidate.fit.score, -candidate.line))
        rivals = {candidate.fit.preset.name for candidate in whole if candidate.fit.score == best.fit.score}
        if len(rivals) > 1:
            named = " and ".join(f"'{rival}'" for rival in sorted(rivals))
            return _aside(
                name,
                f"fits the presets {named} equally well ({best.fit.matched} headers each)",
                "Give one of them a match.file_name or another header under match.headers, then run the source again.",
                book,
                streams,
                stream=best.fit.preset.stream,
            )
        return _read_as(name, head, gzip, complete, best, streams, time_zone, more)
    except NotRows as error:
        return _aside(name, f"is not a table of text: {error}", "Check how it was exported and drop it again.", book, streams)


def _foreign(head: bytes) -> str | None:
    start = head[:40].lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    return next((what for magic, what in _FOREIGN if start.startswith(magic.lower())), None)


def _lines(head: bytes, encoding: str, *, complete: bool) -> list[str]:
    lines = list(TextLines(io.BytesIO(head), encoding).start_at(1))
    return lines if complete or len(lines) < 2 else lines[:-1]


def _numbered(lines: Sequence[str], dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(lines, **dialect.arguments())
    start = 1
    try:
        for record in reader:
            yield start, record
            start = reader.line_num + 1
    except csv.Error:
        return  # a cell beyond all bounds: what came before it is enough to judge


def _candidates(
    name: str, lines: Sequence[str], book: Sequence[Preset], streams: Mapping[str, Stream], *, complete: bool
) -> Iterator[_Candidate]:
    """Every preset at every record that it has something in common with, best shape of delimiter first."""
    blanks = any(_BLANK_BEFORE_QUOTE.search(line) for line in lines)
    styles: dict[tuple[str | None, str | None], list[Preset]] = {}
    for preset in book:
        quote = preset.format.get("quote", '"')
        styles.setdefault((None if quote == "none" else quote, preset.format.get("escape")), []).append(preset)
    for (quote, escape), fitting in styles.items():
        for delimiter in _DELIMITERS:
            dialect = Dialect(delimiter, quote, escape, skip_initial_space=blanks and quote is not None)
            records = list(_numbered(lines, dialect))
            if not complete and len(records) > 1:
                records.pop()  # it may end in the middle
            for position, (line, cells) in enumerate(records[:_HEADER_RECORDS]):
                for preset in fitting:
                    if preset.format.get("delimiter", delimiter) != delimiter:
                        continue
                    if preset.format.get("header_row", line) != line:
                        continue
                    fit = presets.fit(preset, cells, name, streams)
                    if fit is None or (position and not preset.format.get("header_row") and (fit.missing or fit.matched < 3)):
                        continue  # in mid-file a few cells may look like headers
                    below = [record for _, record in records[position + 1 : position + 1 + _SAMPLE_RECORDS]]
                    yield _Candidate(fit, dialect, line, cells, below)


def _read_as(
    name: str,
    head: bytes,
    gzip: bool,
    complete: bool,
    best: _Candidate,
    streams: Mapping[str, Stream],
    time_zone: str,
    more: Callable[[], Sequence[bytes]] | None,
) -> Examined:
    preset, dialect = best.fit.preset, best.dialect
    stream = streams.get(preset.stream)
    if stream is None or stream.source != preset.source:
        problem = Problem(
            f"{name} is an export of {preset.source} (preset '{preset.name}'); that source is not set up to be fed by files",
            f"Set up the source {preset.source}, which extracts this by itself, or remove the file.",
        )
        return Examined(UNRECOGNISED, preset, None, problem)
    guesses: list[str] = []
    encoding = detect_encoding(head, complete=complete, declared=preset.format.get("encoding"))
    if encoding.guess:
        guesses.append(encoding.guess)
    if best.line > 1 and "header_row" not in preset.format:
        guesses.append(f"header in line {best.line}")
    if dialect.skip_initial_space:
        guesses.append("blanks after a delimiter are not part of the cell")
    names = unique_names(best.header)
    plain_names = {plain(cell) for cell in best.header}
    doubled = [shown for shown, cell in zip(names, best.header, strict=True) if plain(cell) and plain(shown) != plain(cell)]
    guesses += [f"column {shown}: its header stands more than once" for shown in doubled]
    columns = []
    for field_name in dict.fromkeys((*preset.columns, *preset.constants)):
        known = stream.fields[field_name]
        column = preset.columns.get(field_name, Column(()))
        headers = column.found(plain_names)
        if headers or field_name in preset.constants:
            columns.append(FileColumn(field_name, known.type, known.required, headers, column.separator))
    reading = Reading(
        preset=preset.name,
        origin=preset.origin,
        header_line=best.line,
        encoding=encoding.name,
        encoding_declared="encoding" in preset.format,
        gzip=gzip,
        dialect=dialect,
        values=ValueFormat(time_zone=preset.format.get("time_zone", time_zone)),
        columns=tuple(columns),
        constants=preset.constants,
        ignore=preset.ignore,
        totals_prefix=preset.format.get("totals_prefix"),
        continuation=preset.format.get("continuation"),
    )
    samples = [record for record in best.below if len(record) == len(names)]
    judged = _values(name, preset, reading, best.header, samples)
    if isinstance(judged, Problem) and more is not None and not gzip:
        for piece in more():
            lines = _lines(piece, encoding.name, complete=False)[1:]
            samples += [record for record in dialect.split(lines) if len(record) == len(names)]
        judged = _values(name, preset, reading, best.header, samples)
    if isinstance(judged, Problem):
        return Examined(preset.stream, preset, None, judged)
    values, found = judged
    return Examined(preset.stream, preset, replace(reading, values=values, guesses=(*guesses, *found)), None)


def _values(
    name: str, preset: Preset, reading: Reading, header: Sequence[str], samples: Sequence[Sequence[str]]
) -> tuple[ValueFormat, list[str]] | Problem:
    names, columns, _ = reading.bind(header)
    form = preset.format
    numbers = [cell for column in columns if column.type in ("decimal", "integer") for cell in _cells(column, samples)]
    marks = {"decimal": form.get("decimal"), "thousands": form.get("thousands")}
    found = judge_numbers(numbers, delimiter=reading.dialect.delimiter, **marks)
    where = "a preset for this file, under presets/ of the state bucket," if preset.is_canonical else f"preset '{preset.name}'"
    step = f"Set {{key}} in {where} and run the source again."
    if found.conflict:
        one, other = found.conflict
        return Problem(f"{name} writes numbers in two ways: '{one}' and '{other}'", step.format(key="format.decimal"))
    if found.ambiguous:
        return Problem(
            f"{name}: '{found.ambiguous}' may be a thousand or a fraction, and no number of the file tells",
            step.format(key="format.decimal"),
        )
    guesses = [found.guess] if found.guess else []
    orders: dict[str, str] = {}
    if "date_order" in form:
        orders[""] = form["date_order"]
    else:
        dated = {column.field: _cells(column, samples) for column in columns if column.type in ("date", "timestamp")}
        days = judge_days(dated)
        heads = {column.field: names[column.indexes[0]] for column in columns if column.indexes}
        for field_name, cell in days.ambiguous.items():
            return Problem(
                f"{name}: column '{heads[field_name]}': '{cell}' may begin with its day or its month, and no value tells which",
                step.format(key="format.date_order"),
            )
        for field_name, (one, other) in days.conflicts.items():
            return Problem(
                f"{name}: column '{heads[field_name]}' has days in two orders: '{one}' and '{other}'",
                "Export the file again with one form of dates, or declare format.date_order to set the others aside.",
            )
        orders, guesses = days.orders, guesses + days.guesses
    values = ValueFormat(
        decimal=found.decimal,
        thousands=found.thousands,
        date_orders=orders,
        time_zone=reading.values.time_zone,
        true_values=tuple(form.get("true_values", ())),
        false_values=tuple(form.get("false_values", ())),
        null_values=tuple(form.get("null_values", ())),
        currency_marks=form.get("currency_marks", False),
        spreadsheet_guards=form.get("spreadsheet_guards", False),
    )
    return values, guesses


def _cells(column: BoundColumn, samples: Sequence[Sequence[str]]) -> list[str]:
    cells = [unguarded(record[column.indexes[0]].strip()) for record in samples] if column.indexes else []
    return [cell for cell in cells if cell and cell.casefold() not in NULL_WORDS]


def _aside(
    name: str, message: str, next_step: str, book: Sequence[Preset], streams: Mapping[str, Stream], stream: str | None = None
) -> Examined:
    guess = stream if stream in streams else stream_by_name(name, book, streams)
    return Examined(guess or UNRECOGNISED, None, None, Problem(f"{name} {message}", next_step))


def stream_by_name(name: str, book: Sequence[Preset], streams: Mapping[str, Stream]) -> str | None:
    """The stream that a file's name speaks of: by a preset's ``file_name``, else because a stream's name stands in it."""
    base = PurePosixPath(name).name.casefold()
    for preset in book:
        if preset.file_name and preset.stream in streams and presets.named_so(preset.file_name, name):
            return preset.stream
    words = re.sub(r"[^a-z0-9]+", "_", base)
    return max((stream for stream in streams if stream in words), key=len, default=None)


def _empty(name: str, gzip: bool, book: Sequence[Preset], streams: Mapping[str, Stream]) -> Examined:
    """A file without a header: no rows, if its name says of what. An empty *list* would delete everything, and is refused."""
    stream = stream_by_name(name, book, streams)
    if stream is None:
        return _aside(name, "is empty, and its name says nothing of what", "Export it again with its header.", book, streams)
    if streams[stream].mode == "snapshot":
        return _aside(
            name,
            f"is empty; as the whole list of {stream} it would mark every one as deleted",
            "Export it again; a list that is truly empty still has its header.",
            book,
            streams,
            stream,
        )
    reading = Reading(
        preset=f"{presets.CANONICAL}{stream}",
        origin="pipeline.yaml",
        header_line=1,
        encoding="utf-8",
        encoding_declared=False,
        gzip=gzip,
        dialect=Dialect(),
        values=ValueFormat(),
        columns=(),
        guesses=(f"empty file, taken for {stream} by its name",),
    )
    return Examined(stream, None, reading, None)


def _unmatched(
    name: str, lines: Sequence[str], candidates: Sequence[_Candidate], book: Sequence[Preset], streams: Mapping[str, Stream]
) -> Examined:
    header = _likely_header(lines)
    shown = ", ".join(cell.strip() for cell in header[:12]) + (f", … ({len(header)} columns)" if len(header) > 12 else "")
    near = max(candidates, key=lambda candidate: (candidate.fit.matched, -len(candidate.fit.missing)), default=None)
    step = (
        "Drop a corrected export, or put a preset for this header under presets/ of the state bucket and run the source again."
    )
    if near is None or near.fit.matched < max(2, len(header) // 5):
        return _aside(name, f"has a header that no preset knows: {shown}", step, book, streams)
    preset, missing = near.fit.preset, ", ".join(f"'{lack}'" for lack in near.fit.missing)
    nearest = f"the nearest preset is '{preset.name}' ({near.fit.matched} headers), missing {missing}"
    message = f"fits no preset; its header is {shown}; {nearest}"
    return _aside(name, message, step, book, streams, stream_by_name(name, book, streams) or preset.stream)


def _likely_header(lines: Sequence[str]) -> list[str]:
    """The first record that is neither blank nor a comment, split by the delimiter that gives the most even table."""
    best: tuple[float, int, list[str]] = (-1.0, 0, [])
    for delimiter in _DELIMITERS:
        records = [record for _, record in _numbered(lines, Dialect(delimiter)) if any(cell.strip() for cell in record)]
        widths = Counter(len(record) for record in records if len(record) > 1)
        width, count = widths.most_common(1)[0] if widths else (1, 0)
        header = next((record for record in records if not record[0].startswith("#")), [])
        best = max(best, (count / max(len(records), 1), width, header), key=lambda found: found[:2])
    return best[2]
