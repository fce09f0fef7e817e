"""How a file writes numbers and days, judged from some of its cells; where they prove nothing, that is said.

``1,234`` is twelve hundred in London and one and a quarter in Berlin; ``04/03/2024`` is March or April. A wrong guess would be
loaded without a sound, so only a proof decides: a day above 12, a number with both marks, a group that is not of three.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

_OTHER = {".": ",", ",": "."}
_NUMBER_CHARS = re.compile("[^0-9.,' \u00a0\u202f\u2009\u2019]")
_SPACES = " \u00a0\u202f\u2009"
_NUMERIC_DAY = re.compile(r"([0-9]{1,2})[-/]([0-9]{1,2})[-/](?:[0-9]{4}|[0-9]{2})(?![0-9])")


@dataclass(slots=True)
class Numbers:
    """The marks that were found. ``ambiguous`` and ``conflict`` hold the cells that show it."""

    decimal: str = "."
    thousands: str = ""
    guess: str | None = None
    ambiguous: str | None = None
    conflict: tuple[str, str] | None = None


def judge_numbers(cells: Iterable[str], *, delimiter: str, decimal: str | None, thousands: str | None) -> Numbers:
    """The marks of a file's numbers. What a preset declares (``decimal``, ``thousands``) is not judged."""
    proof: dict[str, str] = {}
    """Decimal mark to the cell that proves it."""
    unclear: dict[str, str] = {}
    group: str | None = None
    for cell in cells:
        number = _NUMBER_CHARS.sub("", cell).strip(_SPACES + "'.,")
        for spaces in _SPACES[1:]:
            number = number.replace(spaces, " ")
        number = number.replace("\u2019", "'")
        for mark in " '":
            if mark in number:
                group = mark
                number = number.replace(mark, "")
        mark = _decimal_mark(number)
        if mark in _OTHER:
            proof.setdefault(mark, cell)
        elif mark:
            unclear.setdefault(mark[-1], cell)
    if decimal is not None:
        return Numbers(decimal, thousands if thousands is not None else group or _OTHER[decimal])
    if len(proof) == 2:
        return Numbers(conflict=(proof["."], proof[","]))
    if proof:
        (found, cell), *_ = proof.items()
        mark = thousands if thousands is not None else group or _OTHER[found]
        guess = f"decimal mark '{found}', as in '{cell}'" if found == "," else None
        return Numbers(found, mark if mark != found else "", guess)
    if thousands is not None or group is not None:
        mark = thousands if thousands is not None else group or ""
        return Numbers("," if mark == "." else ".", mark)
    if "," in unclear or ("." in unclear and delimiter == ";"):
        return Numbers(ambiguous=unclear.get(",") or unclear["."])
    return Numbers()


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
class Days:
    """Order of day and month by field (``""``: every other one). ``ambiguous``, ``conflicts``: field to cells that show it."""

    orders: dict[str, str] = field(default_factory=dict)
    guesses: list[str] = field(default_factory=list)
    ambiguous: dict[str, str] = field(default_factory=dict)
    conflicts: dict[str, tuple[str, str]] = field(default_factory=dict)


def judge_days(columns: Mapping[str, Sequence[str]]) -> Days:
    """The order of day and month in each date or timestamp field, from its cells."""
    days = Days()
    unproven: dict[str, str] = {}
    for name, cells in columns.items():
        proof: dict[str, str] = {}
        for cell in cells:
            if found := _NUMERIC_DAY.match(cell):
                unproven.setdefault(name, cell)
                if int(found[1]) > 12:
                    proof.setdefault("dmy", cell)
                elif int(found[2]) > 12:
                    proof.setdefault("mdy", cell)
        if len(proof) == 2:
            days.conflicts[name] = (proof["dmy"], proof["mdy"])
        elif proof:
            (order, cell), *_ = proof.items()
            days.orders[name] = order
            days.guesses.append(f"{name}: {_WORDS[order]}, as in '{cell}'")
    found_orders = set(days.orders.values())
    for name, cell in unproven.items():
        if name in days.orders or name in days.conflicts:
            continue
        if len(found_orders) == 1:
            days.orders[name] = next(iter(found_orders))
            days.guesses.append(f"{name}: {_WORDS[days.orders[name]]}, as in the file's other columns")
        else:
            days.ambiguous[name] = cell
    if len(found_orders) == 1:
        days.orders[""] = next(iter(found_orders))
    return days


_WORDS = {"dmy": "day before month", "mdy": "month before day"}
