"""Whole columns at once: shortcuts past the converter of single cells, for columns that are as clean as most are.

A shortcut says the same as the converter or nothing at all: it returns ``None`` where a single cell is not what it knows,
and then the cells are converted one by one. So there is one place that decides what a cell means: ``csv_values``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from pipeline.csv_ids import references
from pipeline.csv_values import Converter, Unreadable, ValueFormat

ColumnReader = Callable[[Sequence[str]], Sequence[str] | None]

MEMORY_HOURS = 50_000
"""Hours remembered per column, nearly six years of them; a column that holds more starts again."""
_DIGITS = b"0123456789"


def column_reader(type_: str, form: ValueFormat, convert: Converter) -> ColumnReader | None:
    """The shortcut for a column of this type whose cells ``convert`` reads; ``None`` where there is none."""
    if form.null_values:
        return None  # a clean number may be a word for "no value"
    if type_ == "reference":
        return None if form.numeric_ids else references
    if type_ == "decimal":
        return functools.partial(_decimals, form.decimal, form.thousands)
    if type_ == "timestamp":
        return functools.partial(_instants, _Hours(convert), _clock_times())
    return None


def _decimals(mark: str, thousands: str, column: Sequence[str]) -> Sequence[str] | None:
    """Digits, at most one decimal mark between them, a leading minus: such a number stays as it is, but for the mark."""
    text = "\n".join(column)
    if not text.isascii() or text.count("\n") != len(column) - 1:
        return None
    if mark != ".":
        if "." in text or (thousands and thousands in text):
            return None
        text = text.replace(mark, ".")
    framed = f"\n{text}\n"
    rest = set(text.encode().translate(None, _DIGITS).split(b"\n"))
    if not rest <= {b"", b".", b"-", b"-."} or any(wrong in framed for wrong in ("\n.", ".\n", "-.", "-\n")):
        return None
    if framed.count("-") != framed.count("\n-"):
        return None
    return column if mark == "." else text.split("\n")


class _Hours(dict[str, str]):
    """The hour in UTC of ``2025-03-14 09`` and its zone; raises :class:`KeyError` where minutes and seconds would shift too."""

    def __init__(self, convert: Converter) -> None:
        self._convert = convert

    def __missing__(self, hour_and_zone: str) -> str:
        hour, zone = hour_and_zone[:13], hour_and_zone[13:]
        try:
            first, last = self._convert(f"{hour}:00:00{zone}"), self._convert(f"{hour}:59:59{zone}")
        except Unreadable:
            raise KeyError(hour_and_zone) from None
        if first[13:] != ":00:00Z" or last != f"{first[:13]}:59:59Z":
            raise KeyError(hour_and_zone)
        if len(self) >= MEMORY_HOURS:
            self.clear()
        self[hour_and_zone] = first[:13]
        return first[:13]


@functools.cache
def _clock_times() -> dict[str, str]:
    """``:26:53`` and ``:26`` as they end an instant."""
    sixty = [f":{number:02d}" for number in range(60)]
    return {minute: f"{minute}:00Z" for minute in sixty} | {
        minute + second: f"{minute}{second}Z" for minute in sixty for second in sixty
    }


def _instants(hours: _Hours, clock: dict[str, str], column: Sequence[str]) -> Sequence[str] | None:
    """A day of ten characters, a time, perhaps a zone: within an hour only minutes and seconds differ, and they stay."""
    try:
        return [hours[cell[:13] + cell[19:]] + clock[cell[13:19]] if cell else "" for cell in column]
    except KeyError:
        return None
