"""Amounts that name their currency: no two currencies are ever added up as if they were one.

The currency of a row is what its field ``currency`` says; in a file without that field it is the one that the amounts of the
file name. An amount that names another one is set aside with its row.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from pipeline.csv_currency import code_of, mark_in

CURRENCY_FIELD = "currency"
_SHARED = {
    "$": frozenset(
        {"USD", "CAD", "AUD", "NZD", "SGD", "HKD", "TWD", "MXN", "ARS", "CLP", "COP", "UYU", "BRL", "DOP", "JMD", "TTD"}
        | {"BBD", "BSD", "BZD", "BMD", "XCD", "FJD", "NAD", "LRD", "GYD", "SRD"}
    ),
    "¥": frozenset({"JPY", "CNY"}),
    "£": frozenset({"GBP", "EGP", "FKP", "GIP", "SHP", "LBP", "SYP"}),
    "kr": frozenset({"SEK", "NOK", "DKK", "ISK"}),
    "rs": frozenset({"INR", "PKR", "LKR", "NPR", "MUR", "SCR"}),
    "fr": frozenset({"CHF", "XAF", "XOF", "XPF"}),
    "lei": frozenset({"RON", "MDL"}),
}
"""Signs that several currencies go by. Beside a code of these they say nothing new."""

Where = TypeVar("Where")


def named_in(text: str, signs: Mapping[str, str]) -> str:
    """ISO 4217 code of the currency that a cell names beside its number. A sign that several share (``$``) stands for itself;
    ``""`` where none is named."""
    mark = mark_in(text)
    if not mark:
        return ""
    sign = mark.casefold().rstrip(".")
    return code_of(mark, signs) or (sign if sign in _SHARED else "")


def commonest_currency(cells: Iterable[str], signs: Mapping[str, str]) -> tuple[str, str] | None:
    """The currency that most of the cells with one name (at a draw the first), and the first cell that does."""
    shown: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for cell, count in Counter(cells).items():
        if named := named_in(cell, signs):
            shown.setdefault(named, cell)
            counts[named] += count
    if not counts:
        return None
    ((named, _),) = counts.most_common(1)
    return named, shown[named]


class OneCurrency:
    """Finds amounts in another currency than their row's; ``default``: the file's, where rows have none of their own."""

    def __init__(self, signs: Mapping[str, str], default: str) -> None:
        self._signs = signs
        self._default = default
        self._named: dict[str, str] = {}
        self._agree = functools.lru_cache(maxsize=20_000)(self._agreeing)

    def contradicting(
        self, amounts: Sequence[tuple[Where, Sequence[str]]], currencies: Sequence[str | None] | None
    ) -> Iterator[tuple[int, Where]]:
        """Row and column of amounts that contradict their row. ``currencies``: the field of that name, where there is one."""
        for where, column in amounts:
            for index, cell in enumerate(column):
                named = self._memory(cell)
                if not named:
                    continue
                own = self._default if currencies is None else currencies[index] or self._first_named(amounts, index)
                if not self._agree(named, own):
                    yield index, where

    def _first_named(self, amounts: Sequence[tuple[Where, Sequence[str]]], index: int) -> str:
        return next(filter(None, (self._memory(column[index]) for _, column in amounts)), "")

    def _memory(self, cell: str) -> str:
        if (named := self._named.get(cell)) is None:
            if len(self._named) > 20_000:
                self._named.clear()
            named = self._named[cell] = named_in(cell, self._signs)
        return named

    def _agreeing(self, named: str, own: str) -> bool:
        code = code_of(own, self._signs) or own.strip().casefold()
        return named == code or code in _SHARED.get(named, ()) or named in _SHARED.get(code, ())
