"""What values look like, whatever their column is called: enough to say that a column cannot be what its name suggests."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from pipeline.csv_values import FALSE_WORDS, NULL_WORDS, TRUE_WORDS
from pipeline.month_names import MONTHS

MOST = 0.8
"""A column has a shape when so many of its values have: a few bad cells do not change what a column is."""
HALF = 0.5
"""Enough where the header leaves no doubt what the column is meant to be."""

_NUMBER = re.compile(r"[-+(]?\s?(?:[A-Z]{3}|[$€£¥₹])?\s?[0-9][0-9.,'’ \u00a0\u202f]*\s?(?:[A-Z]{3}|[$€£¥₹%])?\)?-?")
_MONEY_SIGN = re.compile(r"[$€£¥₹]|\b[A-Z]{3}\b")
_DAY = re.compile(r"[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}(?![0-9])|[0-9]{4}[01][0-9][0-3][0-9](?:T|$)")
_MONTH_DAY = re.compile(r"(?:[0-9]{1,2}[ -])?([^\W\d_]{3,14})\.?[ -](?:[0-9]{1,2},? )?[0-9]{4}\b")
_OFFSET = re.compile(r"(?:Z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2})$")
_CODE = re.compile(r"[A-Za-z]{3}")


def is_number(cell: str) -> bool:
    """Digits with any marks that money has, in any country."""
    return _NUMBER.fullmatch(cell) is not None and not is_day(cell)


def is_whole(cell: str) -> bool:
    """An integer, also as spreadsheets write it: ``3.0``."""
    return re.fullmatch(r"-?[0-9]+(?:[.,]0+)?", cell) is not None


def is_day(cell: str) -> bool:
    """Begins with a day in some order, with or without a time behind it."""
    named = _MONTH_DAY.match(cell)
    return _DAY.match(cell) is not None or (named is not None and named[1].casefold() in MONTHS)


def has_clock(cell: str) -> bool:
    """A day with a time but without its zone or offset."""
    return is_day(cell) and ":" in cell and _OFFSET.search(cell) is None


def is_truth(cell: str) -> bool:
    return cell.casefold() in TRUE_WORDS | FALSE_WORDS


def is_address(cell: str) -> bool:
    """An e-mail address, or what is left of one."""
    return "@" in cell and " " not in cell


def is_code(cell: str) -> bool:
    """Three letters, as currencies have."""
    return _CODE.fullmatch(cell) is not None


def has_money_sign(cell: str) -> bool:
    return is_number(cell) and _MONEY_SIGN.search(cell) is not None


def mostly(test: Callable[[str], bool], cells: Sequence[str], share: float = MOST) -> bool:
    """Whether most of the cells that mean something pass."""
    said = [cell for cell in cells if cell.casefold() not in NULL_WORDS]
    return bool(said) and sum(map(test, said)) >= share * len(said)


_TESTS: dict[str, Callable[[str], bool]] = {
    "decimal": is_number,
    "integer": is_whole,
    "date": is_day,
    "timestamp": is_day,
    "boolean": is_truth,
}


def may_be(field: str, type_: str, cells: Sequence[str], *, sure: bool = False) -> bool:
    """Whether a column of these cells can be this field. A column without values can be any; ``sure``: its header says so."""
    if not cells:
        return True
    if type_ in _TESTS:
        return mostly(_TESTS[type_], cells, HALF if sure else MOST)
    if field in ("email", "requester_email", "contact_email"):
        return mostly(is_address, cells)
    if field in ("currency", "quote_currency"):
        return mostly(is_code, cells)
    # Any text can be a string; but a name or an id is no point in time, and no address unless it is asked for.
    return not mostly(lambda cell: is_day(cell) and not is_number(cell), cells)
