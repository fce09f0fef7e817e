"""Physical lines to records, each with the line where it starts; what is no record is said to be so, never dropped.

The standard library's reader does the splitting, in its strict form: a cell such as ``"5" pipe"`` is refused rather than
mended into something else. One stray quote swallows what follows until the next quote; the reader notices, sets aside the
line with the stray quote alone, and goes on with the line after it.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import compress, islice

from pipeline.csv_dialect import Dialect
from pipeline.csv_non_rows import (
    BLANK_CHARS,
    BLANKS,
    RULE_STARTS,
    TOTAL_WORDS,
    TYPE_WORDS,
    is_remark,
    is_ruler,
    is_total,
    may_be_remarks,
)
from pipeline.csv_text import TextLines, is_clean, readable
from pipeline.headers import plain, stacked
from pipeline.sources import Aside

CELL_CHARS = 10 * 1024 * 1024
"""A longer cell is taken for a stray quote."""
_RESYNC_RECORDS = 20
_SWALLOWED_LINES = 3
_SURE_WIDTH = 4
_STEP_RECORDS = 500
"""Records judged together. One that is out of the ordinary costs a second, slower reading of its step."""

if csv.field_size_limit() < CELL_CHARS:  # of the whole process: there is no other way to set it
    csv.field_size_limit(CELL_CHARS)


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

    A later record equal to the header (in any case, whatever blanks) is a non-row, as are blank ones and rulers, a record whose
    first cell starts with one of ``totals_prefix`` (in any case) or with ``comment``, one whose cell ``continuation`` (an
    index) is empty, and one whose cell ``one_row_per`` (an index) is empty or the same as in the record before. What stands
    below another header, as where two exports were joined, is set aside until the first header comes again.
    """

    def __init__(self, lines: TextLines, dialect: Dialect, header_line: int = 1, header_rows: int = 1) -> None:
        self.header: list[str] = []
        """The header's cells as they stand in the file, several rows as one; empty at the end of the file."""
        self.totals_prefix: tuple[str, ...] = ()
        self.comment: str | None = None
        self.continuation: int | None = None
        self.one_row_per: int | None = None
        self._continued = ""
        """What stood in the cell ``one_row_per`` last."""
        self.same: tuple[int, ...] = ()
        """Cells in which a record that only continues may not contradict the one that it continues."""
        self._begun: list[str] = []
        """The record that was begun last, where ``one_row_per`` says what begins one."""
        self._other_header = 0
        """Line of another header that the records stand below."""
        self._lines = lines
        self._dialect = dialect
        lines.keep_from = header_line
        reader = dialect.reader(lines.start_at(header_line))
        self.header = stacked(list(islice(reader, header_rows)))
        self._plain_header = list(map(plain, self.header))
        names = [" ".join(name.split()) for name in self.header]
        spelled = {spelled for name in names for spelled in (name, name.lower(), name.upper(), name.capitalize(), name.title())}
        first = self.header[0] if self.header else ""
        self._headers = {
            first,
            f"\ufeff{first}",
            *spelled,
            *(f"{name} " for name in spelled),
            *(f"\ufeff{name}" for name in names),
        }
        """How the first cell of a header may stand; leading blanks aside."""
        self._unusual = {"", *self._headers, *TOTAL_WORDS, *TYPE_WORDS}
        """First cells of records that want a second look: a header again, also from a file joined on, totals, types."""
        self._go_to(header_line + reader.line_num)

    def read(self, limit: int) -> Batch:
        """The next ``limit`` records or fewer; ``taken == 0`` at the end of the file."""
        batch = Batch()
        while (wanted := min(limit - batch.taken, _STEP_RECORDS)) > 0:
            before = batch.taken
            if not self._read_clean(batch, wanted):
                self._read_each(batch, wanted)
            if batch.taken == before:
                break
        return batch

    def _read_clean(self, batch: Batch, wanted: int) -> bool:
        """Read records that are all as they should be, judged together; else read nothing and say so."""
        start = self._base + self._reader.line_num + 1
        self._lines.keep_from = start
        try:
            rows: list[list[str]] = list(islice(self._reader, wanted))
        except csv.Error:
            rows = [[]]
        firsts = {row[0] for row in rows if row}
        starts = {first[:2] for first in firsts}
        if (
            rows
            and (
                not self.header
                or set(map(len, rows)) != {len(self.header)}
                or self._base + self._reader.line_num + 1 != start + len(rows)  # some record has several lines
                or self._lines.suspect
                or not firsts.isdisjoint(self._unusual)
                or (self.totals_prefix and any(first.strip().casefold().startswith(self.totals_prefix) for first in firsts))
                or (self.continuation is not None and not all(row[self.continuation].strip() for row in rows))
                or (self.comment is not None and any(first.startswith(self.comment) for first in firsts))
                or not BLANKS.isdisjoint({two[:1] for two in starts})
                or not RULE_STARTS.isdisjoint(starts)
                or (len(self.header) > 2 and may_be_remarks(rows))
                or self._other_header
                or (self.one_row_per is not None and self._contradicts(rows))
            )
        ):
            self._go_to(start)
            return False
        batch.taken += len(rows)
        lines: Sequence[int] = range(start, start + len(rows))
        if self.one_row_per is not None:
            begins = [not self._continues(row) for row in rows]
            rows, lines = list(compress(rows, begins)), list(compress(lines, begins))
            batch.non_rows += begins.count(False)
        batch.records += rows
        batch.lines += lines
        return True

    def _read_each(self, batch: Batch, wanted: int) -> None:
        """Read records one by one, and look at each."""
        for _ in range(wanted):
            start = self._base + self._reader.line_num + 1
            self._lines.keep_from = start
            verdict: list[str] | Aside | None
            error = None
            try:
                row = next(self._reader)
            except StopIteration:
                return
            except csv.Error as broken:
                error = str(broken)
            if self._is_remark(start):
                verdict = None
            elif error is not None:
                verdict = self._broken(start, self._base + self._reader.line_num, error)
            else:
                verdict = self._judge(row, start, self._base + self._reader.line_num)
            batch.taken += 1
            if verdict is None:
                batch.non_rows += 1
            elif isinstance(verdict, Aside):
                batch.aside.append(verdict)
            else:
                batch.records.append(verdict)
                batch.lines.append(start)

    def _is_remark(self, line: int) -> bool:
        """Whether a record begins as remarks do. One ends with its line, whatever quotes it holds."""
        if self.comment is None or not self._lines.between(line, line)[0].startswith(self.comment):
            return False
        if self._base + self._reader.line_num > line:
            self._go_to(line + 1)
        return True

    def _judge(self, row: list[str], start: int, end: int) -> list[str] | Aside | None:
        """The record as it is to be kept, why it is set aside, or ``None`` for a non-row."""
        if not any(cell.strip(BLANK_CHARS) for cell in row):
            return None
        if self._lines.suspect and not is_clean("".join(row)):
            reason = "nul_character" if any("\0" in cell for cell in row) else "undecodable"
            column = next((name for name, cell in zip(self.header, row, strict=False) if not is_clean(cell)), None)
            return Aside(reason, self._raw(start, end), start, column)
        named = row[0] in self._headers or row[0][:1] in BLANKS
        if row == self.header or (named and list(map(plain, row)) == self._plain_header):
            self._other_header = 0
            return None
        if named and plain(row[0]) in self._plain_header and self._is_header(row):
            self._other_header = start
            return Aside("other_header", self._raw(start, end), start, value="its columns are not those of the file's header")
        if self._other_header:
            value = f"the header above it, in line {self._other_header}, is not the file's"
            return Aside("below_other_header", self._raw(start, end), start, value=value)
        if is_ruler(row):
            return None
        if self.totals_prefix and row[0].strip().casefold().startswith(self.totals_prefix):
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
        if end - start > _SWALLOWED_LINES and self._holds_rows(start + 1, end - 1):
            self._go_to(start + 1)
            return Aside("broken_quotes", self._raw(start, start), start)
        if self.continuation is not None and not row[self.continuation].strip():
            return None
        if is_total(row):
            return Aside("totals_row", self._raw(start, end), start, value=next(filter(None, map(str.strip, row))))
        if is_remark(row):
            return Aside("remark", self._raw(start, end), start, value=next(filter(None, map(str.strip, row))))
        if self.one_row_per is None:
            return row
        before = self._begun
        if not self._continues(row):
            return row
        if (index := self._differing(row, before)) is not None:
            value = f"{row[index].strip()}, and {before[index].strip()} in the row that it continues"
            return Aside("contradicting_row", self._raw(start, end), start, self.header[index], value)
        return None

    def _is_header(self, row: list[str]) -> bool:
        """Whether more than half of a record's cells are names of columns: the header of another export that was joined on."""
        filled = list(filter(None, map(plain, row)))
        named = sum(cell in self._plain_header for cell in filled)
        return named > 1 and 2 * named > len(filled)

    def _continues(self, row: list[str]) -> bool:
        """Whether a record only goes on with what the one before began. The first one begins something, whatever it holds."""
        before, now = self._continued, row[self.one_row_per or 0].strip()
        self._continued = now or before
        if before and now in ("", before):
            return True
        self._begun = row
        return False

    def _differing(self, row: list[str], begun: list[str]) -> int | None:
        """The first cell in which a record contradicts the one that it continues."""
        return next((index for index in self.same if row[index].strip() not in ("", begun[index].strip())), None)

    def _contradicts(self, rows: list[list[str]]) -> bool:
        """Whether one of some records contradicts the one that it continues. Nothing is remembered of having looked."""
        remembered = self._continued, self._begun
        found = any(self._continues(row) and self._differing(row, self._begun) is not None for row in rows)
        self._continued, self._begun = remembered
        return found

    def _broken(self, start: int, end: int, message: str) -> Aside:
        """A record that the strict reader refused; ``end`` is the last line that it had taken."""
        unterminated = "unexpected end of data" in message or "field larger" in message
        if end > start and self._resyncs(start, end):
            end = start
        return Aside("unterminated_quote" if unterminated else "broken_quotes", self._raw(start, end), start)

    def _resyncs(self, start: int, end: int) -> bool:
        """Whether the lines after ``start`` are records of their own, swallowed by a stray quote; if so, go back to them."""
        # The last line is where the next quote stood, and may be broken itself.
        last = end if end == start + 1 else end - 1
        swallowed = self._lines.between(start + 1, min(last, start + _RESYNC_RECORDS))
        records = [record for record in self._dialect.split(swallowed) if record]
        width = len(self.header)
        if width < 2 or 2 * sum(len(record) == width for record in records) <= len(records):
            return False
        self._go_to(start + 1)
        return True

    def _holds_rows(self, first: int, last: int) -> bool:
        """Whether every line inside a cell is a record of the right width: two stray quotes that close each other.

        A text of many lines, each with as many delimiters as the header has, is taken for rows; in a narrow table, where
        chance could make one, nothing is.
        """
        width = len(self.header)
        inner = self._dialect.split(self._lines.between(first, min(last, first + _RESYNC_RECORDS)))
        return width >= _SURE_WIDTH and all(len(record) == width for record in inner)

    def _go_to(self, line: int) -> None:
        """Read on, or again, from this line, which begins a record."""
        self._base = line - 1
        """Lines before the present ``csv.reader``'s first one."""
        self._reader = self._dialect.reader(self._lines.start_at(line), strict=True)

    def _raw(self, start: int, end: int) -> str:
        return readable("".join(self._lines.between(start, end)).rstrip("\r\n"))
