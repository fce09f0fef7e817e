"""What the first bytes of a file tell: its encoding, its preset, its delimiter, how it writes values.

The result is frozen into the slice's request, so that every invocation that works on the file reads it the same way.
"""

from __future__ import annotations

import functools
import io
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline import csv_currency, csv_encoding, presets
from pipeline.contract import Stream
from pipeline.csv_dialect import Dialect, with_escapes
from pipeline.csv_foreign import foreign_bytes, foreign_text
from pipeline.csv_judgement import judge_values
from pipeline.csv_mapping import map_columns
from pipeline.csv_reading import Reading
from pipeline.csv_refusals import DELIMITERS, HEADER_RECORDS, UNRECOGNISED, Examined, Known, Problem, numbered
from pipeline.csv_row_above import row_above
from pipeline.csv_text import Gunzip, NotRows, Readable, TextLines, gunzip_head, is_gzip
from pipeline.csv_values import ValueFormat
from pipeline.declared_encoding import undecodable_in
from pipeline.headers import plain, stacked
from pipeline.preset_fit import Fit, fit, lacking
from pipeline.presets import Preset
from pipeline.text_encodings import Encoding, detect_encoding

HEAD_BYTES = 64 * 1024
_SAMPLE_RECORDS = 2_000
_BLANK_BEFORE_QUOTE = re.compile(r'[,;|\t] +"')


@dataclass(frozen=True, slots=True)
class _Candidate:
    encoding: Encoding
    fit: Fit
    dialect: Dialect
    line: int
    header: list[str]
    below: list[list[str]]
    above: list[tuple[int, list[str]]]
    """Records before the header, with their lines."""

    def escaping(self, lines: Sequence[str]) -> _Candidate:
        """The same with backslashes as escapes, where those tell cells apart better in the lines of the head."""
        dialect = with_escapes(self.dialect, lines, len(self.header))
        if dialect is self.dialect:
            return self
        below = [record for line, record in numbered(lines, dialect) if line > self.line]
        return replace(self, dialect=dialect, below=below[:_SAMPLE_RECORDS])

    @property
    def rank(self) -> tuple[object, ...]:
        """Best fit first, then the dialect that gives more rows of the header's width, then the plainer dialect."""
        even = sum(len(record) == len(self.header) for record in self.below)
        return (self.fit.score, even, not self.dialect.skip_initial_space, -self.line)


def look(
    name: str,
    size_bytes: int,
    piece: Callable[[int], bytes],
    *,
    book: Sequence[Preset],
    streams: Mapping[str, Stream],
    time_zone: str = "Etc/UTC",
) -> Examined:
    """Judge a file wherever it lies, from few of its bytes. ``piece(start)`` gives up to :data:`HEAD_BYTES` from there on."""
    head = piece(0) if size_bytes else b""
    return examine(
        name,
        head,
        complete=size_bytes <= len(head),
        book=book,
        streams=streams,
        time_zone=time_zone,
        more=lambda: [piece(start) for start in _elsewhere(size_bytes)],
    )


def head_of(stream: Readable, limit_bytes: int) -> tuple[bytes, bool]:
    """The first bytes of a stream that gives what it likes at a time, and whether these are all."""
    head = b""
    while len(head) <= limit_bytes:
        data = stream.read(limit_bytes + 1 - len(head))
        if not data:
            return head, True
        head += data
    return head[:limit_bytes], False


def _elsewhere(size_bytes: int) -> list[int]:
    """Where else to look in a file: at a third, two thirds, and the end; nowhere in one that the head nearly covers."""
    if size_bytes < 4 * HEAD_BYTES:
        return [HEAD_BYTES] if size_bytes > HEAD_BYTES else []
    # Where a character of two or four bytes may begin.
    return [start // 4 * 4 for start in (size_bytes // 3, 2 * size_bytes // 3, size_bytes - HEAD_BYTES)]


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
            packed, packed_whole = head, complete
            head, complete = gunzip_head(head, 4 * HEAD_BYTES)
            if packed_whole and not complete and len(head) < 4 * HEAD_BYTES:
                head, complete = _unpacked(packed)  # of several parts, or broken
        if what := foreign_bytes(head):
            return known.set_aside(name, f"is {what}", "Export it as CSV and drop it again.")
        encoding = detect_encoding(head, complete=complete)
        lines = whole_lines(head, encoding.name, complete=complete)
        if not any(line.strip() for line in lines):
            return known.empty(name, gzip=gzip)
        candidates = list(_candidates(name, encoding, lines, known.declaring(None), complete=complete))
        for declared in known.declared_encodings:
            said = detect_encoding(head, complete=complete, declared=declared)
            read = whole_lines(head, said.name, complete=complete)
            candidates += _candidates(name, said, read, known.declaring(declared), complete=complete)
        whole = [candidate for candidate in candidates if not candidate.fit.missing]
        for rival in () if whole else encoding.rivals:
            # The words left it open; a header that a preset knows, letter by letter, does not.
            said = Encoding(rival, f"encoding {rival}: its header is known so")
            read = whole_lines(head, rival, complete=complete)
            found = _candidates(name, said, read, known.declaring(None), complete=complete)
            if whole := [candidate for candidate in found if not candidate.fit.missing]:
                break
        if not whole and (what := foreign_text(lines)):
            return known.set_aside(name, f"is {what}", "Export it as CSV and drop it again.")
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
        best = best.escaping(whole_lines(head, best.encoding.name, complete=complete))
        preset = best.fit.preset
        if preset.decline is not None:
            step = "Nothing of it is missing from the warehouse: leave it out, or map it by a preset of your own of that name."
            message = f"is what the preset '{preset.name}' declines: {preset.decline}"
            return replace(known.set_aside(name, message, step, preset.stream), preset=preset)
        file = _File(name, head, gzip, complete, best, streams, time_zone, functools.cache(more) if more else None)
        main = file.read_as(preset)
        others = presets.companions(book, preset) if main.stream in streams else []
        return replace(main, companions=tuple(file.read_as(other) for other in others))
    except NotRows as error:
        step = "Check whether its upload was complete, and how it was exported; then drop it again."
        return known.set_aside(name, f"is not a table of text: {error}", step)


def _unpacked(packed: bytes) -> tuple[bytes, bool]:
    """The first bytes of a gzip file that is here whole, and whether they are all. Raises :class:`NotRows` if it is broken."""
    stream, head = Gunzip(io.BytesIO(packed)), b""
    while data := stream.read(HEAD_BYTES):
        head += data
        if len(head) >= 4 * HEAD_BYTES:
            return head, False
    return head, True


def whole_lines(head: bytes, encoding: str, *, complete: bool) -> list[str]:
    """Lines of the first bytes of a file; not ``complete``: without the last one, which may be cut."""
    lines = list(TextLines(io.BytesIO(head), encoding).start_at(1))
    return lines if complete or len(lines) < 2 else lines[:-1]


def _candidates(name: str, encoding: Encoding, lines: Sequence[str], known: Known, *, complete: bool) -> Iterator[_Candidate]:
    """Every preset at every record that it has something in common with, best shape of delimiter first."""
    # Such a sign may also be the end of a quoted cell, so both readings are tried.
    skips = (False, True) if any(_BLANK_BEFORE_QUOTE.search(line) for line in lines) else (False,)
    styles: dict[tuple[str | None, str | None], list[Preset]] = {}
    for preset in known.book:
        if preset.companion_of is not None:
            continue  # chosen with its preset, never by itself
        quote = preset.format.get("quote", '"')
        styles.setdefault((None if quote == "none" else quote, preset.format.get("escape")), []).append(preset)
    for (quote, escape), fitting in styles.items():
        for delimiter, skip in itertools.product(DELIMITERS, skips):
            dialect = Dialect(delimiter, quote, escape, skip_initial_space=skip)
            records = list(numbered(lines, dialect))
            if not complete and len(records) > 1:
                records.pop()  # it may end in the middle
            for position, (line, cells) in enumerate(records[:HEADER_RECORDS]):
                for preset in fitting:
                    if preset.format.get("delimiter", delimiter) != delimiter:
                        continue
                    if preset.format.get("header_row", line) != line:
                        continue
                    rows: int = preset.format.get("header_rows", 1)
                    header = cells if rows == 1 else stacked([record for _, record in records[position : position + rows]])
                    fits = fit(preset, header, name, known.streams)
                    if fits is None:
                        continue
                    if position and not preset.format.get("header_row") and (fits.missing or not fits.is_clear):
                        continue  # in mid-file a few cells may look like headers
                    below = [record for _, record in records[position + rows : position + rows + _SAMPLE_RECORDS]]
                    yield _Candidate(encoding, fits, dialect, line, header, below, records[:position])


@dataclass(frozen=True, slots=True)
class _File:
    """A file whose header, delimiter and preset are found: read into a stream by that preset, or by a companion of it."""

    name: str
    head: bytes
    gzip: bool
    complete: bool
    found: _Candidate
    streams: Mapping[str, Stream]
    time_zone: str
    more: Callable[[], Sequence[bytes]] | None

    def read_as(self, preset: Preset) -> Examined:
        """How ``preset`` reads it, or why it does not."""
        stream = self.streams.get(preset.stream)
        if stream is None or stream.source != preset.source:
            problem = Problem(
                f"{self.name} is an export of {preset.source} (preset '{preset.name}'); "
                "that source is not set up to be fed by files",
                f"Set up the source {preset.source}, which extracts this by itself, or remove the file.",
            )
            return Examined(UNRECOGNISED, preset, None, problem)
        if lacks := lacking(preset, stream, [plain(cell) for cell in self.found.header]):
            missing = ", ".join(f"'{lack}'" for lack in lacks)
            problem = Problem(
                f"{self.name}: preset '{preset.name}', companion of '{preset.companion_of}', does not fit: missing {missing}",
                f"Export it with these columns and drop it again, or correct '{preset.name}' and run the source again.",
            )
            return Examined(preset.stream, preset, None, problem)
        reading = self._reading(preset, stream)
        if reading.encoding_declared and (broken := undecodable_in(self.head, reading.encoding, complete=self.complete)):
            return Examined(preset.stream, preset, None, csv_encoding.undecodable(self.name, preset.name, broken))
        header = self.found.header
        samples = [record for record in self.found.below if len(record) == len(header)]
        whole = self.complete and len(self.found.below) < _SAMPLE_RECORDS
        judged = judge_values(self.name, preset, reading, header, samples, whole=whole)
        if self.more is not None and not self.gzip and isinstance(judged, Reading) and judged.undecided:
            for piece in self.more():
                lines = whole_lines(piece, reading.encoding, complete=False)[1:]
                samples += [record for record in self.found.dialect.split(lines) if len(record) == len(header)]
            judged = judge_values(self.name, preset, reading, header, samples, whole=whole)
        if isinstance(judged, Reading):
            judged = (
                row_above(self.name, preset, judged, header, self.found.above)
                or self._unknown_currency(preset, judged, samples)
                or judged
            )
        if isinstance(judged, Problem):
            return Examined(preset.stream, preset, None, judged)
        return Examined(preset.stream, preset, judged, None)

    def _reading(self, preset: Preset, stream: Stream) -> Reading:
        """Everything but how values are written."""
        form, line, dialect = preset.format, self.found.line, self.found.dialect
        encoding = self.found.encoding
        mapped = map_columns(preset, stream, self.found.header)
        guesses = [encoding.guess] if encoding.guess else []
        if line > 1 and "header_row" not in form:
            guesses.append(f"header in line {line}")
        if dialect.skip_initial_space:
            guesses.append("blanks after a delimiter are not part of the cell")
        if dialect.escape and "escape" not in form:
            guesses.append("a backslash stands before quotes and delimiters that belong to a cell")
        totals = form.get("totals_prefix", ())
        return Reading(
            preset=preset.name,
            origin=preset.origin,
            header_line=line,
            encoding=encoding.name,
            encoding_declared="encoding" in form and encoding.guess is None,
            gzip=self.gzip,
            dialect=dialect,
            values=ValueFormat(time_zone=form.get("time_zone", self.time_zone)),
            columns=tuple(mapped.columns),
            constants=mapped.constants,
            ignore=preset.ignore,
            header_rows=form.get("header_rows", 1),
            totals_prefix=(totals,) if isinstance(totals, str) else tuple(totals),
            comment=form.get("comment"),
            continuation=form.get("continuation"),
            one_row_per=preset.one_row_per,
            guesses=(*guesses, *mapped.guesses),
        )

    def _unknown_currency(self, preset: Preset, reading: Reading, samples: Sequence[Sequence[str]]) -> Problem | None:
        """Why the file is set aside whose amounts carry a sign that may mean several currencies."""
        names, columns, _ = reading.bind(self.found.header)
        for column in columns:
            if column.pick != "currency_of":
                continue
            for record in samples:
                cell = record[column.indexes[0]]
                mark = csv_currency.mark_in(cell)
                if mark and csv_currency.code_of(mark, reading.values.currency_signs) is None:
                    return Problem(
                        f"{self.name}: column '{names[column.indexes[0]]}': '{cell}' does not tell its currency",
                        f"Set format.currency_signs in preset '{preset.name}', for example {{'{mark}': USD}}, "
                        "and run the source again.",
                    )
        return None
