"""Records of one file to payloads, compiled for its header: whole columns at a time, remembering what was converted before.

The work per cell decides how fast a file is read, so plain text columns are not touched at all, a clean typed column is read
as a whole (``csv_columns``), and any other is one ``map`` over a dictionary that fills itself. No row is made of the columns
here: ``text_rows`` writes them as they are. Only a page that holds something wrong is gone through row by row.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any, cast

from pipeline.csv_amounts import CURRENCY_FIELD, OneCurrency
from pipeline.csv_columns import ColumnReader, column_reader
from pipeline.csv_fields import BoundColumn, cell_converter, getter, parts_of
from pipeline.csv_records import Batch
from pipeline.csv_text import readable
from pipeline.csv_values import Unreadable, ValueFormat
from pipeline.sources import Aside
from pipeline.text_rows import TextRows

MEMORY_VALUES = 20_000
"""Converted values remembered per column; a column of more distinct values forgets them and starts again."""


@dataclass(slots=True)
class Converted:
    """Payloads with their lines, what is set aside, and how often each unknown column held something."""

    rows: Sequence[Mapping[str, Any]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    aside: list[Aside] = field(default_factory=list)
    unknown_fields: dict[str, int] = field(default_factory=dict)


class _Memory(dict[Any, str | None]):
    """Converted values by their cell (or cells). ``None`` stands for an unreadable one, and sets ``failed``."""

    def __init__(self, convert: Callable[[Any], str]) -> None:
        self.failed = False
        self._convert = convert

    def __missing__(self, cell: Any) -> str | None:
        if not cell:
            return ""
        try:
            value = self._convert(cell)
        except Unreadable:
            self.failed = True
            return None  # not remembered: the next one must set ``failed`` again
        if len(self) >= MEMORY_VALUES:
            self.clear()
        self[cell] = value
        return value


class RowConverter:
    """Compiled for one file. ``names`` are its (unique) column names, ``unknown`` the indexes that go under ``_extra``."""

    def __init__(
        self,
        names: Sequence[str],
        columns: Sequence[BoundColumn],
        unknown: Sequence[int],
        form: ValueFormat,
        delimiter: str = ",",
    ) -> None:
        self._names = names
        self._delimiter = delimiter
        self._columns = columns
        self._fields = tuple(column.field for column in columns)
        self._unknown = tuple(unknown)
        self._memories: list[_Memory | None] = []
        self._shortcuts: list[ColumnReader | None] = []
        for column in columns:
            convert = cell_converter(column, form)
            self._memories.append(_Memory(convert) if convert else None)
            own = form.of(column.field)
            shortcut = column_reader(column.reads_as, own, convert) if convert and column.is_as_it_stands else None
            self._shortcuts.append(shortcut)
        self._one_currency = OneCurrency(form.currency_signs, form.currency) if form.currency_marks else None
        self._getters = [getter(column) for column in columns]
        self._lists = {(column.indexes[0], column.separator) for column in columns if column.take_first and column.indexes}
        """Columns of which a field takes the first of several values."""

    def convert(self, batch: Batch) -> Converted:
        """Every record becomes a payload or is set aside; their numbers add up to the batch's."""
        records, lines = batch.records, batch.lines
        out = Converted()
        if not records:
            return out
        cells = list(zip(*records, strict=True))
        values: list[Sequence[str | None]] = []
        bad: dict[int, tuple[str, BoundColumn]] = {}
        amounts: list[tuple[BoundColumn, Sequence[str]]] = []
        """Those that are more than digits and a mark."""
        plan = zip(self._columns, self._getters, self._memories, self._shortcuts, strict=True)
        for column, get, memory, shortcut in plan:
            plain_text = get(cells, len(records))
            value: Sequence[str | None] = plain_text
            if shortcut is not None and (clean := shortcut(plain_text)) is not None:
                value = clean
            elif memory is not None:
                memory.failed = False
                value = list(map(memory.__getitem__, plain_text))
                if column.type == "decimal":
                    amounts.append((column, plain_text))
                if memory.failed:
                    for index, item in enumerate(value):
                        if item is None:
                            bad.setdefault(index, (f"unreadable_{column.kind}", column))
            if column.constant:
                value = [item or (column.constant if item == "" else item) for item in value]
            if column.required and (not all(value) or (memory is None and any(map(str.isspace, plain_text)))):
                for index, item in enumerate(value):
                    if item is not None and not item.strip():
                        bad.setdefault(index, ("missing_required", column))
            values.append(value)
        if self._one_currency and amounts:
            currencies = next((value for name, value in zip(self._fields, values, strict=True) if name == CURRENCY_FIELD), None)
            for index, column in self._one_currency.contradicting(amounts, currencies):
                bad.setdefault(index, ("mixed_currencies", column))
        extra = [*self._unknown_columns(cells, bad, out), *self._lists_kept(cells)]
        # Only rows that are set aside hold a None, and they are left out below.
        out.rows = rows = TextRows(self._fields, cast("list[Sequence[str]]", values), len(records), extra)
        out.lines = lines
        if bad:
            good = [index not in bad for index in range(len(records))]
            out.aside = [self._aside(batch, index, *bad[index]) for index in sorted(bad)]
            out.rows, out.lines = rows.only(good), list(compress(lines, good))
        return out

    def _unknown_columns(
        self, cells: Sequence[Sequence[str]], bad: Mapping[int, Any], out: Converted
    ) -> list[tuple[str, Sequence[str]]]:
        """The columns that are not known, with their names; counts in which rows of the good ones they hold something."""
        for index in self._unknown:
            filled = sum(map(bool, cells[index]))
            out.unknown_fields[self._names[index]] = filled - sum(bool(cells[index][position]) for position in bad)
        return [(self._names[index], cells[index]) for index in self._unknown]

    def _lists_kept(self, cells: Sequence[Sequence[str]]) -> list[tuple[str, Sequence[str]]]:
        """The cells of several values, whole, where a field has taken the first alone: nothing is lost."""
        kept: list[tuple[str, Sequence[str]]] = []
        for index, separator in sorted(self._lists):
            whole = [cell if separator in cell and len(parts_of(cell, separator)) > 1 else "" for cell in cells[index]]
            if any(whole):
                kept.append((self._names[index], whole))
        return kept

    def _aside(self, batch: Batch, index: int, reason: str, column: BoundColumn) -> Aside:
        record = batch.records[index]
        name = column.field if not column.indexes else self._names[column.indexes[0]]
        value = column.separator.join(filter(None, (record[position] for position in column.indexes)))
        return Aside(reason, raw_record(record, self._delimiter), batch.lines[index], name, value or None)


def raw_record(record: Sequence[str], delimiter: str) -> str:
    """A record as a line again, for showing a row whose cells were fine but whose values were not."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="").writerow(record)
    return readable(text.getvalue())
