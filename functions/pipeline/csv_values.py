"""Cells of a file to canonical text: what a person or a spreadsheet wrote, in the one form that silver casts.

===========  ==============================================================================================
decimal      digits with ``.``, a leading ``-`` where negative; no exponent, no grouping, no currency
integer      digits, a leading ``-``; ``17850.0`` is an integer, ``1.5`` is not
boolean      ``true`` or ``false``
date         ``yyyy-mm-dd``, the day as written
timestamp    ``yyyy-mm-ddThh:mm:ss[.ffffff]Z`` in UTC; a time without zone is read in the file's zone
string       untouched
===========  ==============================================================================================

A converter takes a non-empty cell. It returns ``""`` for a word that means "no value", and raises :class:`Unreadable` for
what it cannot read: nothing is rounded, completed or guessed here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from pipeline.csv_currency import CODES
from pipeline.csv_dates import Unreadable as Unreadable
from pipeline.csv_dates import number_or, read_date, read_timestamp

Converter = Callable[[str], str]

NULL_WORDS = frozenset({"null", "none", "nil", "nan", "nat", "n/a", "na", "#n/a", "\\n", "-", "--", "(not set)"})
"""Cells of a typed column that mean "no value", in any case. A text column keeps them unless the preset lists them."""
ZERO_DATES = frozenset({"0000-00-00", "0000-00-00 00:00:00", "00/00/0000"})
TRUE_WORDS = frozenset(
    {"true", "t", "yes", "y", "1", "1.0", "on", "x", "ja", "j", "wahr", "oui", "o", "vrai", "si", "sí", "sì", "sim"}
)
FALSE_WORDS = frozenset({"false", "f", "no", "n", "0", "0.0", "off", "nein", "falsch", "non", "faux", "nee", "não"})
_SPACES = " \u00a0\u202f\u2009"
_GROUPING = {" ": f"[{_SPACES}]", "'": "['\u2019]"}
_MARK = r"(?:[A-Za-z]{3}|[A-Z]{0,3}[$€£¥₹₩₺₽₴₫₱₪฿]|[Kk]r\.?|zł|Kč|Ft|Fr\.)"

_MONEY_WORDS = CODES | {"LEI"}
_PLAIN_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_SCIENTIFIC = re.compile(r"-?[0-9]+(?:\.[0-9]+)?[eE][+-]?[0-9]{1,2}")
NUMERIC_ID = re.compile(r"[0-9]+\.0")
CUT_ID = re.compile(r"[0-9](?:[.,][0-9]+)?E\+[0-9]{2,3}")
"""``1.23457E+12``: what a spreadsheet shows, and exports, of a number of more than eleven digits."""
_TUPLES = ("true_values", "false_values", "null_values", "numeric_ids")


@dataclass(frozen=True, slots=True)
class ValueFormat:
    """How a file writes values. What is by field holds for every other field under ``""``."""

    decimal: str = "."
    thousands: str = ""
    number_marks: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """By field: decimal and thousands mark of a column that differs from the file's other ones."""
    date_orders: Mapping[str, str] = field(default_factory=dict)
    """By field: ``dmy``, ``mdy`` or ``ymd``."""
    number_dates: Mapping[str, str] = field(default_factory=dict)
    """By field: what a number stands for, one of :data:`pipeline.csv_number_dates.NUMBER_DATES`."""
    time_zone: str = "Etc/UTC"
    true_values: Sequence[str] = ()
    false_values: Sequence[str] = ()
    null_values: Sequence[str] = ()
    currency_marks: bool = False
    currency_signs: Mapping[str, str] = field(default_factory=dict)
    """What a sign that several currencies share means in this file: ``$`` to ``CAD``."""
    currency: str = ""
    """Code or sign that the amounts name in a file that has no field for it; an amount with another one is unreadable."""
    spreadsheet_guards: bool = False
    """Text protected from a spreadsheet (``'0123``, ``="0123"``) loses its protection in text columns too."""
    numeric_ids: tuple[str, ...] = ()
    """Fields whose ids went through a program that took them for numbers: ``17850.0`` is ``17850``."""

    def marks_of(self, field_name: str) -> tuple[str, str]:
        """Decimal and thousands mark of a field's column."""
        return self.number_marks.get(field_name, (self.decimal, self.thousands))

    def of(self, field_name: str) -> ValueFormat:
        """As the column of one field is written: its own marks are the marks."""
        decimal, thousands = self.marks_of(field_name)
        return replace(self, decimal=decimal, thousands=thousands, number_marks={})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ValueFormat:
        """Again what :func:`dataclasses.asdict` made; keys that a former version did not have take their defaults."""
        again: dict[str, Any] = {name: tuple(data[name]) for name in _TUPLES if name in data}
        again["number_marks"] = {name: (mark, group) for name, (mark, group) in data.get("number_marks", {}).items()}
        return cls(**{**data, **again})


def converter(field_name: str, type_: str, form: ValueFormat) -> Converter | None:
    """The converter of one column, ``None`` where the text stays as it is."""
    nulls = frozenset(word.casefold() for word in form.null_values)
    if type_ == "string":
        text = _text(nulls, form.spreadsheet_guards) if nulls or form.spreadsheet_guards else None
        return _numeric_id(text) if field_name in form.numeric_ids else text
    order = form.date_orders.get(field_name) or form.date_orders.get("")
    zone = timezone.utc if form.time_zone in ("Etc/UTC", "UTC") else ZoneInfo(form.time_zone)  # noqa: UP017
    decimal, thousands = form.marks_of(field_name)
    read: Converter
    if type_ == "decimal":
        read = decimal_reader(decimal, thousands, form.currency_marks)
    elif type_ == "integer":
        read = _integer(decimal_reader(decimal, thousands, form.currency_marks))
    elif type_ == "boolean":
        read = _boolean(form.true_values, form.false_values)
    elif type_ == "date":
        read = lambda text: read_date(text, order)  # noqa: E731
    elif type_ == "timestamp":
        read = lambda text: read_timestamp(text, order, zone)  # noqa: E731
    else:
        return None
    if type_ in ("date", "timestamp") and (kind := form.number_dates.get(field_name) or form.number_dates.get("")):
        read = number_or(read, kind, zone, day=type_ == "date")
    nothing = nulls | NULL_WORDS | (ZERO_DATES if type_ in ("date", "timestamp") else frozenset())

    def convert(text: str) -> str:
        if nulls and text.strip().casefold() in nulls:
            return ""
        try:
            return read(text)  # most cells are clean, and no word for "no value" can be read
        except Unreadable:
            cell = unguarded(text.strip().strip(_SPACES))
            return "" if not cell or cell.casefold() in nothing else read(cell)

    return convert


def unguarded(text: str) -> str:
    """``'0123`` and ``="0123"`` without the marks that keep a spreadsheet from reading them as numbers or formulas.

    An apostrophe is such a mark before a digit, a sign or ``@`` alone: ``'s-Hertogenbosch`` is a town.
    """
    if text[:1] == "'" and text[1:2] in tuple("0123456789+-=@"):
        return text[1:]
    if text[:2] == '="' and text[-1] == '"' and len(text) > 2:
        return text[2:-1]
    return text


def _text(nulls: frozenset[str], guards: bool) -> Converter:
    def convert(text: str) -> str:
        cell = unguarded(text) if guards else text
        return "" if cell.strip().casefold() in nulls else cell

    return convert


def _numeric_id(read: Converter | None) -> Converter:
    def convert(text: str) -> str:
        cell = read(text) if read else text
        if CUT_ID.fullmatch(cell.strip()):
            raise Unreadable(text)  # its last digits are gone, and another id may look the same
        return cell.strip()[:-2] if NUMERIC_ID.fullmatch(cell.strip()) else cell

    return convert


def decimal_reader(mark: str, thousands: str, currency_marks: bool) -> Converter:
    """Reader of decimals written with these marks. ``(12.00)``, ``12.00-`` and a Unicode minus are negative."""
    group = _GROUPING.get(thousands, re.escape(thousands)) if thousands else ""
    point = re.escape(mark)
    # Groups of two are India's; the last group always has three digits.
    whole = rf"(?:[0-9]+|[0-9]{{1,3}}(?:{group}[0-9]{{2,3}})*{group}[0-9]{{3}})" if group else "[0-9]+"
    number = re.compile(rf"(?P<whole>{whole})?(?:{point}(?P<part>[0-9]*))?")
    money = re.compile(rf"(?P<sign>-)?(?P<before>{_MARK})?[{_SPACES}]?(?P<rest>.*?)[{_SPACES}]?(?P<after>{_MARK})?", re.DOTALL)
    digits = re.compile(r"[^0-9]")

    def read(text: str) -> str:
        if mark == "." and _PLAIN_DECIMAL.fullmatch(text):
            return text
        cell = text.replace("\u2212", "-")
        negative = cell[0] == "(" and cell[-1] == ")"
        if negative:
            cell = cell[1:-1]
        if currency_marks and (found := money.fullmatch(cell)) and is_money(found["before"]) and is_money(found["after"]):
            cell = (found["sign"] or "") + found["rest"]
        if not negative and cell[:1] in ("-", "+"):
            negative = cell[0] == "-"
            cell = cell[1:].lstrip(_SPACES)
        elif not negative and cell[-1:] == "-":
            negative = True
            cell = cell[:-1]
        match = number.fullmatch(cell)
        if match and (match["whole"] or match["part"]):
            value = digits.sub("", match["whole"] or "") or "0"
            if match["part"]:
                value += f".{match['part']}"
        elif _SCIENTIFIC.fullmatch(plain := cell.replace(mark, ".")):
            value = format(Decimal(plain), "f")
        else:
            raise Unreadable(text)
        return f"-{value}" if negative else value

    return read


def is_money(mark: str | None) -> bool:
    """Whether what stands beside a number is no other unit: of three letters, only codes of currencies are."""
    return mark is None or not (len(mark) == 3 and mark.isalpha() and mark.isascii()) or mark.upper() in _MONEY_WORDS


def _integer(read_decimal: Converter) -> Converter:
    def read(text: str) -> str:
        if text.isascii() and text.isdigit():
            return text.lstrip("0") or "0"
        value = read_decimal(text)
        whole, _, part = value.partition(".")
        if part.strip("0"):
            raise Unreadable(text)
        sign, digits = ("-", whole[1:]) if whole[0] == "-" else ("", whole)
        digits = digits.lstrip("0")
        return sign + digits if digits else "0"

    return read


def _boolean(true_values: Sequence[str], false_values: Sequence[str]) -> Converter:
    # Words that the preset declares take precedence over the list of this module, whichever side they are on.
    words = dict.fromkeys(TRUE_WORDS, "true") | dict.fromkeys(FALSE_WORDS, "false")
    words |= {word.casefold(): "true" for word in true_values} | {word.casefold(): "false" for word in false_values}

    def read(text: str) -> str:
        value = words.get(text.casefold())
        if value is None:
            raise Unreadable(text)
        return value

    return read
