"""One field of one file: the columns that it comes from, compiled to what is done with whole columns at a time.

What a form asks of each cell (a word to translate, the first of several values) becomes part of the column's converter, whose
results are remembered; a field that is one plain column costs nothing more than before there were forms.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from pipeline import csv_currency
from pipeline.column_forms import Pick
from pipeline.csv_ids import is_id, refers
from pipeline.csv_values import Converter, Unreadable, ValueFormat, converter, decimal_reader

Getter = Callable[[Sequence[Sequence[str]], int], Sequence[Any]]
"""Cells by column, and how many records there are, to the keys that are converted, one for each record."""


@dataclass(frozen=True, slots=True)
class BoundColumn:
    """A field and the columns of this file that it comes from, by their index (see :mod:`pipeline.column_forms`)."""

    field: str
    type: str
    required: bool
    indexes: tuple[int, ...]
    separator: str = " "
    constant: str = ""
    """The value where the file has none."""
    pick: Pick = "first"
    words: Mapping[str, str] = dataclasses.field(default_factory=dict)
    take_first: bool = False
    adds_minutes: bool = False
    """The last of ``indexes`` holds minutes to add to the time in the first."""

    @property
    def is_as_it_stands(self) -> bool:
        """Whether its cells are the field's text, with nothing to translate, take apart or add."""
        return not (self.words or self.take_first or self.adds_minutes or self.pick == "currency_of")

    @property
    def kind(self) -> str:
        """What its cells are expected to be: the last word of the reason for which one that is not is set aside."""
        if self.pick == "currency_of":
            return "currency"
        return "id" if self.type == "string" and is_id(self.field) else self.type

    @property
    def reads_as(self) -> str:
        """Its type, or ``reference`` for text by which records find one another."""
        return "reference" if self.type == "string" and refers(self.field) else self.type

    @property
    def value_indexes(self) -> tuple[int, ...]:
        """The columns whose cells are written as the field's type is."""
        return self.indexes[:-1] if self.adds_minutes else self.indexes


def getter(column: BoundColumn) -> Getter:
    """How the cells of a field are fetched."""
    indexes, separator = column.indexes, column.separator
    if not indexes:
        return lambda cells, count: [""] * count
    if column.adds_minutes:
        start, minutes = indexes
        return lambda cells, count: list(zip(cells[start], cells[minutes], strict=True))
    if len(indexes) == 1:
        return lambda cells, count: cells[indexes[0]]
    if column.pick == "first_filled":
        return lambda cells, count: _first_filled([cells[index] for index in indexes])

    def joined(cells: Sequence[Sequence[str]], count: int) -> Sequence[str]:
        parts = zip(*(cells[index] for index in indexes), strict=True)
        return [separator.join(filter(None, map(str.strip, part))) for part in parts]

    return joined


def _first_filled(columns: Sequence[Sequence[str]]) -> Sequence[str]:
    first = columns[0]
    if all(first) and not any(map(str.isspace, first)):
        return first
    return [next((cell for cell in cells if cell and not cell.isspace()), "") for cells in zip(*columns, strict=True)]


def cell_converter(column: BoundColumn, form: ValueFormat) -> Callable[[Any], str] | None:
    """The converter of what :func:`getter` fetches, ``None`` where the text stays as it is."""
    if column.pick == "currency_of":
        return _currency(form)
    convert = converter(column.field, column.type, form)
    if column.adds_minutes and convert is not None:
        return _plus_minutes(convert, form)
    if column.words:
        convert = _translated(column.words, convert)
    if column.take_first:
        convert = _first_of(column.separator, convert)
    return convert


def parts_of(cell: str, separator: str) -> list[str]:
    """The values of one cell, without empty ones."""
    return [part for part in map(str.strip, cell.split(separator)) if part]


def _translated(words: Mapping[str, str], convert: Converter | None) -> Converter:
    def read(cell: str) -> str:
        text = words.get(" ".join(cell.split()).casefold())
        if text is not None:
            return text
        return convert(cell) if convert else cell

    return read


def _first_of(separator: str, convert: Converter | None) -> Converter:
    def read(cell: str) -> str:
        first = next(iter(parts_of(cell, separator)), "")
        return convert(first) if convert and first else first

    return read


def _currency(form: ValueFormat) -> Converter:
    def read(cell: str) -> str:
        mark = csv_currency.mark_in(cell)
        code = csv_currency.code_of(mark, form.currency_signs) if mark else ""
        if code is None:
            raise Unreadable(cell)
        return code

    return read


def _plus_minutes(convert: Converter, form: ValueFormat) -> Callable[[tuple[str, str]], str]:
    number = decimal_reader(form.decimal, form.thousands, currency_marks=False)

    def read(cells: tuple[str, str]) -> str:
        start, minutes = cells[0].strip(), cells[1].strip()
        if not start or not minutes:
            return ""
        moment = convert(start)
        if not moment:
            return ""
        micros = int(Decimal(number(minutes)) * 60_000_000)
        try:
            later = datetime.fromisoformat(moment.removesuffix("Z")) + timedelta(microseconds=micros)
        except OverflowError:
            raise Unreadable(minutes) from None
        return later.isoformat() + "Z"

    return read
