"""Cells of a file to canonical text: what a person or a spreadsheet wrote, in the one form that silver casts.

===========  ==============================================================================================
decimal      digits with ``.``, a leading ``-`` where negative; no exponent, no grouping, no currency
integer      digits, a leading ``-``; ``17850.0`` is an integer, ``1.5`` is not
boolean      ``true`` or ``false``
date         ``yyyy-mm-dd``, the day as written
timestamp    ``yyyy-mm-ddThh:mm:ss[.ffffff]Z`` in UTC; a time without zone is read in the file's zone
string       untouched, but for ids and e-mail addresses (``csv_ids``)
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

from pipeline.csv_currency import CODES, MARK
from pipeline.csv_dates import Unreadable as Unreadable
from pipeline.csv_dates import number_or, read_date, read_timestamp
from pipeline.csv_ids import CUT_NUMBER, is_id, read_reference, refers
from pipeline.csv_shields import bare, unformula, unguarded

Converter = Callable[[str], str]

NULL_WORDS = frozenset({"null", "none", "nil", "nan", "nat", "n/a", "na", "#n/a", "\\n", "-", "--", "(not set)"})
"""Cells of a typed column that mean "no value", in any case. A text column keeps them unless the preset lists them."""
ZERO_DATES = frozenset({"0000-00-00", "0000-00-00 00:00:00", "00/00/0000"})
TRUE_WORDS = frozenset(
    {"true", "t", "yes", "y", "1", "1.0", "on", "x", "ja", "j", "wahr", "oui", "o", "vrai", "si", "sí", "sì", "sim"}
    | {"verdadero", "vero", "verdadeiro", "waar", "tak", "ano", "igen", "evet", "kyllä", "да", "はい", "是", "✓", "✔"}
    | {"subscribed", "opted in", "opted-in", "opt-in"}
)
FALSE_WORDS = frozenset(
    {"false", "f", "no", "n", "0", "0.0", "off", "nein", "falsch", "non", "faux", "nee", "não", "nej"}
    | {"falso", "onwaar", "nie", "ne", "nem", "hayır", "ei", "нет", "いいえ", "否", "✗", "✘"}
    | {"unsubscribed", "opted out", "opted-out", "opt-out"}
)
_SPACES = " \u00a0\u202f\u2009"
_GROUPING = {" ": f"[{_SPACES}]", "'": "['\u2019]"}
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212\ufe63\uff0d", "-"))
_EVEN = re.compile(r"(?<=[0-9])(?:[.,]-{1,2}|/-)(?=[^0-9]*$)")
"""``12.-``, ``5,--`` and ``1,00,000/-``: an even amount, as it is written in Switzerland, Germany and India."""

_MONEY_WORDS = CODES | {"LEI"}
_PLAIN_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_SCIENTIFIC = re.compile(r"-?[0-9]+(?:\.[0-9]+)?[eE][+-]?[0-9]{1,2}")
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
    """Text protected from a spreadsheet (``'0123``, ``="0123"``) loses its protection in all text columns."""
    formula_text: bool = False
    """Text that stands in a formula (``="0123"``) is taken out of it in all text columns."""
    numeric_ids: tuple[str, ...] = ()
    """Fields whose ids went through a program that took them for numbers: ``17850.0`` is ``17850``."""

    def marks_of(self, field_name: str) -> tuple[str, str]:
        """Decimal and thousands mark of a field's column."""
        return self.number_marks.get(field_name, (self.decimal, self.thousands))

    def of(self, field_name: str) -> ValueFormat:
        """As the column of one field is written: its own marks are the marks."""
        decimal, thousands = self.marks_of(field_name)
        numeric = (field_name,) if field_name in self.numeric_ids else ()
        return replace(self, decimal=decimal, thousands=thousands, number_marks={}, numeric_ids=numeric)

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
        if refers(field_name):
            return _reference(nulls, an_id=is_id(field_name), numeric=field_name in form.numeric_ids)
        shields = unguarded if form.spreadsheet_guards else unformula if form.formula_text else None
        return _text(nulls, shields) if nulls or shields else None
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
            cell = unguarded(bare(text))
            if type_ in ("date", "timestamp"):
                cell = " ".join(cell.split())  # blanks of any kind and number between a day and its time
            return "" if not cell or cell.casefold() in nothing else read(cell)

    return convert


def _text(nulls: frozenset[str], shields: Callable[[str], str] | None) -> Converter:
    def convert(text: str) -> str:
        cell = shields(text) if shields else text
        return "" if cell.strip().casefold() in nulls else cell

    return convert


def _reference(nulls: frozenset[str], *, an_id: bool, numeric: bool) -> Converter:
    def convert(text: str) -> str:
        return "" if text.strip().casefold() in nulls else read_reference(text, an_id=an_id, numeric=numeric)

    return convert


def decimal_reader(mark: str, thousands: str, currency_marks: bool) -> Converter:
    """Reader of decimals written with these marks. ``(12.00)``, ``12.00-`` and ``–12.00`` are negative, ``12.-`` is not.

    A number that a spreadsheet has cut (``1.23457E+12``) is unreadable; other programs write all its digits (``1e+05``).
    """
    group = _GROUPING.get(thousands, re.escape(thousands)) if thousands else ""
    point = re.escape(mark)
    # Groups of two are India's; the last group always has three digits.
    whole = rf"(?:[0-9]+|[0-9]{{1,3}}(?:{group}[0-9]{{2,3}})*{group}[0-9]{{3}})" if group else "[0-9]+"
    number = re.compile(rf"(?P<whole>{whole})?(?:{point}(?P<part>[0-9]*))?")
    money = re.compile(rf"(?P<sign>-)?(?P<before>{MARK})?[{_SPACES}]?(?P<rest>.*?)[{_SPACES}]?(?P<after>{MARK})?", re.DOTALL)
    digits = re.compile(r"[^0-9]")

    def read(text: str) -> str:
        if mark == "." and _PLAIN_DECIMAL.fullmatch(text):
            return text
        cell = _EVEN.sub("", text.translate(_DASHES))
        negative, cell = _in_brackets(cell)
        if currency_marks and (found := money.fullmatch(cell)) and is_money(found["before"]) and is_money(found["after"]):
            cell = (found["sign"] or "") + found["rest"]
            if not negative:
                negative, cell = _in_brackets(cell)
        if not negative and cell[:1] in ("-", "+"):
            negative = cell[0] == "-"
            cell = cell[1:].lstrip(_SPACES)
        elif not negative and cell[-1:] == "-":
            negative = True
            cell = cell[:-1].rstrip(_SPACES)
        match = number.fullmatch(cell)
        if match and (match["whole"] or match["part"]):
            value = digits.sub("", match["whole"] or "") or "0"
            if match["part"]:
                value += f".{match['part']}"
        elif _SCIENTIFIC.fullmatch(plain := cell.replace(mark, ".")) and not _is_cut(plain):
            value = format(Decimal(plain), "f")
        else:
            raise Unreadable(text)
        return f"-{value}" if negative else value

    return read


def _in_brackets(cell: str) -> tuple[bool, str]:
    """Whether a number is negative as accountants write it, and what stands in the brackets."""
    if cell[:1] == "(" and cell[-1:] == ")":
        return True, cell[1:-1].strip(_SPACES)
    return False, cell


def _is_cut(number: str) -> bool:
    """Whether a number in scientific notation is what a spreadsheet shows of a longer one."""
    mantissa, _, exponent = number.removeprefix("-").partition("E+")
    return bool(CUT_NUMBER.fullmatch(number.removeprefix("-"))) and int(exponent) > len(mantissa.partition(".")[2])


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
