"""Physical lines to records, each with the line where it starts; what is no record is said to be so, never dropped.

The standard library's reader does the splitting, in its strict form: a cell such as ``"5" pipe"`` is refused rather than
mended into something else. One stray quote swallows what follows until the next quote; the reader notices, sets aside the
line with the stray quote alone, and goes on with the line after it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pipeline.csv_text import TextLines, is_clean, readable
from pipeline.sources import Aside

CELL_CHARS = 10 * 1024 * 1024
"""A longer cell is taken for a stray quote."""
_RESYNC_RECORDS = 20

if csv.field_size_limit() < CELL_CHARS:  # of the whole process: there is no other way to set it
    csv.field_size_limit(CELL_CHARS)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How cells are told apart. ``quote`` and ``escape`` are one character or ``None``."""

    delimiter: str = ","
    quote: str | None = '"'
    escape: str | None = None
    skip_initial_space: bool = False
    """``a, "b, c"``: blanks before a quote belong to neither."""

    def arguments(self) -> dict[str, Any]:
        """For :func:`csv.reader`."""
        return {
            "delimiter": self.delimiter,
            "quotechar": self.quote,
            "quoting": csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            "escapechar": self.escape,
            "doublequote": self.escape is None,
            "skipinitialspace": self.skip_initial_space,
        }

    def split(self, lines: Iterable[str]) -> list[list[str]]:
        """Records of a few lines, leniently: for looking at a head, where the last quote may be open."""
        return list(csv.reader(lines, **self.arguments()))


@dataclass(slots=True)
class Batch:
    """Records in file order with their lines. ``taken`` counts everything that was read: records, asides, non-rows."""

    records: list[list[str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    aside: list[Aside] = field(default_factory=list)
    non_rows: int = 0
    taken: int = 0


class RecordReader:
    """Records below the header, which starts in the physical line ``header_line``.

    A later record equal to the header is a non-row, as are blank ones, a record whose first cell starts with
    ``totals_prefix`` (in any case), and one whose cell ``continuation`` (an index) is empty.
    """

    def __init__(self, lines: TextLines, dialect: Dialect, header_line: int = 1) -> None:
        self.header: list[str] = []
        """The header's cells as they stand in the file; empty at the end of the file."""
        self.totals_prefix: str | None = None
        self.continuation: int | None = None
        self._lines = lines
        self._dialect = dialect
        lines.keep_from = header_line
        reader = csv.reader(lines.start_at(header_line), **dialect.arguments())
        self.header = next(reader, [])
        self._base = header_line - 1 + reader.line_num
        """Lines read before the present ``csv.reader`` was made."""
        self._reader = self._reader_from(self._base + 1)

    def read(self, limit: int) -> Batch:
        """The next ``limit`` records or fewer; ``taken == 0`` at the end of the file."""
        batch = Batch()
        keep, note = batch.records.append, batch.lines.append
        width = len(self.header)
        first_cell = self.header[0] if self.header else ""
        every = self.totals_prefix is not None or self.continuation is not None
        lines, reader, base = self._lines, self._reader, self._base
        for taken in range(1, limit + 1):
            start = base + reader.line_num + 1
            lines.keep_from = start
            try:
                row = next(reader)
            except StopIteration:
                break
            except csv.Error as error:
                batch.taken = taken
                batch.aside.append(self._broken(start, base + reader.line_num, str(error)))
                reader, base = self._reader, self._base
                continue
            batch.taken = taken
            # One cheap look at each record; whatever is out of the ordinary is looked at again, slowly.
            if len(row) != width or lines.suspect or every or row[0] == first_cell or row[0][:1] in ("", "\ufeff"):
                verdict = self._judge(row, start, base + reader.line_num)
                reader, base = self._reader, self._base
                if isinstance(verdict, Aside):
                    batch.aside.append(verdict)
                    continue
                if verdict is None:
                    batch.non_rows += 1
                    continue
                row = verdict
            keep(row)
            note(start)
        return batch

    def _judge(self, row: list[str], start: int, end: int) -> list[str] | Aside | None:
        """The record as it is to be kept, why it is set aside, or ``None`` for a non-row."""
        if not any(cell.strip(" \t\x1a\u00a0") for cell in row):
            return None
        if self._lines.suspect and not is_clean("".join(row)):
            reason = "nul_character" if any("\0" in cell for cell in row) else "undecodable"
            column = next((name for name, cell in zip(self.header, row, strict=False) if not is_clean(cell)), None)
            return Aside(reason, self._raw(start, end), start, column)
        if row == self.header or [row[0].lstrip("\ufeff"), *row[1:]] == self.header:
            return None
        if self.totals_prefix is not None and row[0].strip().casefold().startswith(self.totals_prefix.casefold()):
            return None
        width = len(self.header)
        if len(row) > width and not any(row[width:]):
            row = row[:width]  # delimiters after the last column: nothing is lost
        elif len(row) < width and not any(name.strip() for name in self.header[len(row) :]):
            row = row + [""] * (width - len(row))  # the header alone has such delimiters
        if len(row) != width:
            if end > start and self._resyncs(start, end):
                end = start
            return Aside("ragged_row", self._raw(start, end), start, value=f"{len(row)} cells, header has {width}")
        if self.continuation is not None and not row[self.continuation].strip():
            return None
        return row

    def _broken(self, start: int, end: int, message: str) -> Aside:
        """A record that the strict reader refused; ``end`` is the last line that it had taken."""
        unterminated = "unexpected end of data" in message or "field larger" in message
        if end > start and self._resyncs(start, end):
            end = start
        return Aside("unterminated_quote" if unterminated else "broken_quotes", self._raw(start, end), start)

    def _resyncs(self, start: int, end: int) -> bool:
        """Whether the lines after ``start`` are records of their own, swallowed by a stray quote; if so, go back to them."""
        swallowed = self._lines.between(start + 1, min(end, start + _RESYNC_RECORDS))
        records = [record for record in self._dialect.split(swallowed) if record]
        width = len(self.header)
        if width < 2 or 2 * sum(len(record) == width for record in records) <= len(records):
            return False
        self._base = start
        self._reader = self._reader_from(start + 1)
        return True

    def _reader_from(self, line: int) -> Any:
        return csv.reader(self._lines.start_at(line), strict=True, **self._dialect.arguments())

    def _raw(self, start: int, end: int) -> str:
        return readable("".join(self._lines.between(start, end)).rstrip("\r\n"))
