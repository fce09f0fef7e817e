"""What the values of a column prove about how it is written: the marks of its numbers, the order of day and month.

``1.234,5`` and ``1,234.5`` are the same number a quarter in Berlin and in Boston; ``04/03/2024`` is March or April. A wrong
guess would be loaded without a sound, so only a proof decides: a day above 12, a number with both marks, a group that is not
of three. Evidence is gathered a few cells at a time, so that a whole file can be asked where its first rows leave it open.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipeline.csv_number_dates import plausible_number_dates, shown_as

_OTHER = {".": ",", ",": "."}
_NUMBER_CHARS = re.compile("[^0-9.,' \u00a0\u202f\u2009\u2019]")
_EVEN = re.compile("[0-9]([.,])[-\u2013\u2014\u2212]{1,2}(?![0-9])")
"""``1.234,-``: no cents; the mark before the dash is the decimal one."""
_NOT_ONE_NUMBER = re.compile("[0-9][^0-9]*[^0-9.,' \u00a0\u202f\u2009\u2019][^0-9]*[0-9]")
_SPACES = " \u00a0\u202f\u2009"
_NUMERIC_DAY = re.compile(r"([0-9]{1,2})([-/.])([0-9]{1,2})\2([0-9]{4}|[0-9]{2})(?![0-9])")
_WORDS = {"dmy": "day before month", "mdy": "month before day", "ymd": "year, month, day"}

Marks = tuple[str, str]
"""Decimal mark and thousands mark; no thousands mark is ``""``."""


class NumberEvidence:
    """What the cells of one column of numbers tell. ``integers``: a fraction is none, so ``1,234`` can only be a thousand."""

    def __init__(self, *, integers: bool = False) -> None:
        self.proof: dict[str, str] = {}
        """Decimal mark to the first cell that proves it."""
        self.unclear: dict[str, str] = {}
        """A mark that may be either to the first cell with it."""
        self.group: str | None = None
        """A blank or an apostrophe, where it separates groups."""
        self._integers = integers

    def feed(self, cells: Iterable[str]) -> None:
        """Take cells in, in file order; those without a value left out."""
        for cell in dict.fromkeys(cells):
            if even := _EVEN.search(cell):
                self.proof.setdefault(even[1], cell)
                continue
            if _NOT_ONE_NUMBER.search(cell):
                continue
            number = _NUMBER_CHARS.sub("", cell).strip(_SPACES + "'.,")
            if number.isdigit():
                continue
            for spaces in _SPACES[1:]:
                number = number.replace(spaces, " ")
            number = number.replace("\u2019", "'")
            for mark in " '":
                if mark in number:
                    self.group = mark
                    number = number.replace(mark, "")
            mark = _decimal_mark(number)
            if mark[:1] == "?" and self._integers and number[-3:] != "000":
                mark = _OTHER[mark[-1]]
            if mark in _OTHER:
                self.proof.setdefault(mark, cell)
            elif mark:
                self.unclear.setdefault(mark[-1], cell)

    @property
    def proven(self) -> str | None:
        """The decimal mark, where the column alone tells. Whatever stands beside another group mark is one."""
        if len(self.proof) == 1:
            return next(iter(self.proof))
        if not self.proof and self.group and len(self.unclear) == 1:
            return next(iter(self.unclear))
        return None


def _decimal_mark(number: str) -> str:
    """``.`` or ``,`` where the number proves it to be the decimal mark; ``?.`` or ``?,`` where it could be either."""
    comma, dot = number.rfind(","), number.rfind(".")
    if comma >= 0 and dot >= 0:
        return "," if comma > dot else "."
    mark = "," if comma >= 0 else "." if dot >= 0 else ""
    if not mark:
        return ""
    if number.count(mark) > 1:
        return _OTHER[mark]  # marks that repeat separate groups
    whole, _, part = number.partition(mark)
    if len(part) == 3 and 1 <= len(whole) <= 3 and whole != "0":
        return "?" + mark
    return mark


@dataclass(slots=True)
class Numbers:
    """The marks by field (``""``: every other one), and what of them is open.

    ``unproven``: field to a cell that its own column does not explain. ``ambiguous``: those of them that the file's other
    columns do not explain either. ``conflicts``: field to two cells that contradict each other.
    """

    marks: dict[str, Marks] = field(default_factory=lambda: {"": (".", "")})
    guesses: list[str] = field(default_factory=list)
    unproven: dict[str, str] = field(default_factory=dict)
    ambiguous: dict[str, str] = field(default_factory=dict)
    conflicts: dict[str, tuple[str, str]] = field(default_factory=dict)


def judge_numbers(
    columns: Mapping[str, NumberEvidence],
    *,
    delimiter: str,
    decimal: str | None = None,
    thousands: str | None = None,
    known: Mapping[str, Marks] | None = None,
) -> Numbers:
    """The marks of a file's columns of numbers, each by its own cells, else by the file's other columns.

    What a preset declares (``decimal``, ``thousands``) is not judged. ``known``: marks of columns that were judged before.
    """
    found = Numbers()
    if decimal is None and thousands in _OTHER:
        decimal = _OTHER[thousands]
    if decimal is not None:
        for name, evidence in columns.items():
            found.marks[name] = (decimal, thousands if thousands is not None else evidence.group or _OTHER[decimal])
        found.marks[""] = (decimal, thousands if thousands is not None else _OTHER[decimal])
        return found
    own: dict[str, Marks] = dict(known or {})
    for name, evidence in columns.items():
        if len(evidence.proof) > 1:
            found.conflicts[name] = (evidence.proof["."], evidence.proof[","])
        elif mark := evidence.proven:
            own[name] = (mark, thousands if thousands is not None else evidence.group or _OTHER[mark])
            if mark == ",":
                cell = evidence.proof.get(mark) or evidence.unclear[mark]
                found.guesses.append(f"{name}: decimal mark ',', as in '{cell}'")
    agreed = {mark for mark, _ in own.values()}
    if len(agreed) == 1:
        (mark,) = agreed
        groups = {group for _, group in own.values()}
        found.marks[""] = (mark, groups.pop() if len(groups) == 1 else _OTHER[mark])
    elif thousands is not None:
        found.marks[""] = (".", thousands)
    found.marks |= {name: marks for name, marks in own.items() if name in columns}
    for name, evidence in columns.items():
        if name in own or name in found.conflicts:
            continue
        if evidence.unclear:
            cell = found.unproven[name] = next(iter(evidence.unclear.values()))
            if len(agreed) == 1:
                found.guesses.append(f"{name}: decimal mark '{found.marks[''][0]}', as in the file's other columns")
            elif agreed or "," in evidence.unclear or delimiter != ",":
                found.ambiguous[name] = evidence.unclear.get(",") or cell
            else:  # where commas divide the cells, nobody writes them into numbers
                found.guesses.append(f"{name}: decimal mark '.', as in '{cell}'; no number of the file proves it")
        elif evidence.group and not agreed:
            found.marks[name] = (".", evidence.group)
    return found


class DayEvidence:
    """What the cells of one column of dates or times tell."""

    def __init__(self) -> None:
        self.proof: dict[str, str] = {}
        """Order (``dmy``, ``mdy``, ``ymd``) to the first cell that proves it."""
        self.numeric: str | None = None
        """The first cell that is a day of numbers only, its year last or of two digits."""
        self.dotted: str | None = None
        """The first such cell with dots. Where people write them, the day comes first."""
        self.dotted_proof: dict[str, str] = {}
        """As ``proof``, by cells with dots: of those with other marks they say nothing."""
        self.first: str | None = None
        self._short: str | None = None
        """The first cell that may begin or end with a year of two digits."""
        self._outer: tuple[set[str], set[str]] = (set(), set())
        """First and last numbers of those cells."""
        self.number_dates: frozenset[str] | None = None
        """What all cells can be, as numbers that stand for days: :data:`pipeline.csv_number_dates.NUMBER_DATES`."""

    def feed(self, cells: Iterable[str]) -> None:
        """Take cells in, in file order; those without a value left out."""
        for cell in dict.fromkeys(cells):
            if self.first is None:
                self.first = cell
            if self.number_dates is None or self.number_dates:
                possible = plausible_number_dates(cell)
                self.number_dates = possible if self.number_dates is None else self.number_dates & possible
            found = _NUMERIC_DAY.match(cell)
            if found is None:
                continue
            if found[2] == ".":
                self.dotted = self.dotted or cell
            else:
                self.numeric = self.numeric or cell
            first, second = int(found[1]), int(found[3])
            proof = self.dotted_proof if found[2] == "." else self.proof
            if first > 31 and second <= 12 and len(found[4]) == 2:
                proof.setdefault("ymd", cell)
            elif 12 < first <= 31 and second <= 12 and found[2] != "." and len(found[4]) == 2 and 0 < int(found[4]) <= 31:
                self._short = self._short or cell
                self._outer[0].add(found[1])
                self._outer[1].add(found[4])
            elif 12 < first <= 31 and second <= 12:
                proof.setdefault("dmy", cell)
            elif first <= 12 < second <= 31:
                proof.setdefault("mdy", cell)

    def proven(self) -> dict[str, str]:
        """Orders to a cell that proves each. ``24/04/13`` may begin with a year: days vary more than years, which tells."""
        found = dict(self.proof)
        if self.numeric is None or found:
            found = {**self.dotted_proof, **found}
        if self._short is not None and "ymd" not in found and (found or len(self._outer[0]) >= len(self._outer[1])):
            found.setdefault("dmy", self._short)
        return found

    @property
    def unordered(self) -> str | None:
        """The first cell with a year of two digits that rather stands first, where nothing proves it."""
        return None if self.proven() else self._short


@dataclass(slots=True)
class Days:
    """Order of day and month by field (``""``: every other one), and what of it is open; see :class:`Numbers`.

    ``number_dates``: field to what its numbers stand for.
    """

    orders: dict[str, str] = field(default_factory=dict)
    number_dates: dict[str, str] = field(default_factory=dict)
    guesses: list[str] = field(default_factory=list)
    unproven: dict[str, str] = field(default_factory=dict)
    ambiguous: dict[str, str] = field(default_factory=dict)
    conflicts: dict[str, tuple[str, str]] = field(default_factory=dict)


def judge_days(columns: Mapping[str, DayEvidence], known: Mapping[str, str] | None = None) -> Days:
    """The order of day and month in each date or timestamp field. ``known``: orders that were judged before."""
    days = Days()
    for name, evidence in columns.items():
        proven = evidence.proven()
        if len(proven) > 1:
            one, other, *_ = proven.values()
            days.conflicts[name] = (one, other)
        elif evidence.unordered is not None:
            days.unproven[name] = days.ambiguous[name] = evidence.unordered
        elif proven:
            (order, cell), *_ = proven.items()
            days.orders[name] = order
            days.guesses.append(f"{name}: {_WORDS[order]}, as in '{cell}'")
        elif evidence.number_dates and evidence.first is not None:
            kind = min(evidence.number_dates)  # Excel's two systems cannot be told apart; "excel" sorts first, and is said
            days.number_dates[name] = kind
            days.guesses.append(f"{name}: {shown_as(kind, evidence.first)}")
    agreed = {*(known or {}).values(), *days.orders.values()}
    for name, evidence in columns.items():
        shown = evidence.numeric or evidence.dotted
        if name in days.orders or name in days.conflicts or name in days.ambiguous or shown is None:
            continue
        days.unproven[name] = shown
        if evidence.numeric is None:
            days.orders[name] = "dmy"
            days.guesses.append(f"{name}: {_WORDS['dmy']}, as is usual with dots: '{shown}'")
        elif len(agreed) == 1:
            (days.orders[name],) = agreed
            days.guesses.append(f"{name}: {_WORDS[days.orders[name]]}, as in the file's other columns")
        else:
            days.ambiguous[name] = shown
    if len(agreed) == 1:
        (days.orders[""],) = agreed
    return days
