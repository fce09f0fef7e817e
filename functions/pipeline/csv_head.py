"""What the first bytes of a file tell: its encoding, its preset, its delimiter, how it writes values.

The result is frozen into the slice's request, so that every invocation that works on the file reads it the same way.
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline import presets
from pipeline.contract import Stream
from pipeline.csv_judgement import judge_values
from pipeline.csv_reading import FileColumn, Reading, unique_names
from pipeline.csv_records import Dialect
from pipeline.csv_refusals import DELIMITERS, UNRECOGNISED, Examined, Known, Problem, foreign, numbered
from pipeline.csv_text import NotRows, TextLines, detect_encoding, gunzip_head, is_gzip
from pipeline.csv_values import ValueFormat
from pipeline.presets import Column, Fit, Preset, plain

HEAD_BYTES = 64 * 1024
_HEADER_RECORDS = 20
"""A header is looked for in so many records; more stand before it only where a preset says so."""
_SAMPLE_RECORDS = 2_000
_BLANK_BEFORE_QUOTE = re.compile(r'[,;|\t] +"')


@dataclass(frozen=True, slots=True)
class _Candidate:
    fit: Fit
    dialect: Dialect
    line: int
    header: list[str]
    below: list[list[str]]

    @property
    def rank(self) -> tuple[object, ...]:
        """Best fit first, then the dialect that gives more rows of the header's width, then the plainer dialect."""
        even = sum(len(record) == len(self.header) for record in self.below)
        return (self.fit.score, even, not self.dialect.skip_initial_space, -self.line)


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
    known = Known(book, streams)
    try:
        gzip = is_gzip(head)
        if gzip:
            head, complete = gunzip_head(head, 4 * HEAD_BYTES)
        if found := foreign(head):
            return known.set_aside(name, f"is {found}", "Export it as CSV and drop it again.")
        encoding = detect_encoding(head, complete=complete)
        lines = _lines(head, encoding.name, complete=complete)
        if not any(line.strip() for line in lines):
            return known.empty(name, gzip=gzip)
        candidates = list(_candidates(name, lines, known, complete=complete))
        whole = [candidate for candidate in candidates if not candidate.fit.missing]
        if not whole:
            return known.unmatched(name, lines, [candidate.fit for candidate in candidates])
        best = max(whole, key=lambda candidate: candidate.rank)
        rivals = {candidate.fit.preset.name for candidate in whole if candidate.fit.score == best.fit.score}
        if len(rivals) > 1:
            named = " and ".join(f"'{rival}'" for rival in sorted(rivals))
            return known.set_aside(
                name,
                f"fits the presets {named} equally well ({best.fit.matched} headers each)",
                "Give one of them a match.file_name or another header under match.headers, then run the source again.",
                best.fit.preset.stream,
            )
        return _read_as(name, head, gzip, complete, best, streams, time_zone, more)
    except NotRows as error:
        return known.set_aside(name, f"is not a table of text: {error}", "Check how it was exported and drop it again.")


def _lines(head: bytes, encoding: str, *, complete: bool) -> list[str]:
    lines = list(TextLines(io.BytesIO(head), encoding).start_at(1))
    return lines if complete or len(lines) < 2 else lines[:-1]


def _candidates(name: str, lines: Sequence[str], known: Known, *, complete: bool) -> Iterator[_Candidate]:
    """Every preset at every record that it has something in common with, best shape of delimiter first."""
    # Such a sign may also be the end of a quoted cell, so both readings are tried.
    skips = (False, True) if any(_BLANK_BEFORE_QUOTE.search(line) for line in lines) else (False,)
    styles: dict[tuple[str | None, str | None], list[Preset]] = {}
    for preset in known.book:
        quote = preset.format.get("quote", '"')
        styles.setdefault((None if quote == "none" else quote, preset.format.get("escape")), []).append(preset)
    for (quote, escape), fitting in styles.items():
        for delimiter, skip in itertools.product(DELIMITERS, skips):
            dialect = Dialect(delimiter, quote, escape, skip_initial_space=skip)
            records = list(numbered(lines, dialect))
            if not complete and len(records) > 1:
                records.pop()  # it may end in the middle
            for position, (line, cells) in enumerate(records[:_HEADER_RECORDS]):
                for preset in fitting:
                    if preset.format.get("delimiter", delimiter) != delimiter:
                        continue
                    if preset.format.get("header_row", line) != line:
                        continue
                    fit = presets.fit(preset, cells, name, known.streams)
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
        guesses=tuple(guesses),
    )
    samples = [record for record in best.below if len(record) == len(names)]
    whole = complete and len(best.below) < _SAMPLE_RECORDS
    judged = judge_values(name, preset, reading, best.header, samples, whole=whole)
    if more is not None and not gzip and isinstance(judged, Reading) and judged.undecided:
        for piece in more():
            lines = _lines(piece, encoding.name, complete=False)[1:]
            samples += [record for record in dialect.split(lines) if len(record) == len(names)]
        judged = judge_values(name, preset, reading, best.header, samples, whole=whole)
    if isinstance(judged, Problem):
        return Examined(preset.stream, preset, None, judged)
    return Examined(preset.stream, preset, judged, None)
