"""The forms in which a preset says where a field comes from, and what each becomes for the header of one file.

=====================================  =======================================================================
``Header``                             that column
``[A, B]``                             the first of them that the file has
``{join: [A, B], separator: " "}``     all that the file has, in each row the filled ones, joined
``{first_filled: [A, B]}``             in each row the first that is filled
``{currency_of: amount}``              the currency that the header of the amount names, else the amounts themselves
``{from: …, words: {…}}``              the cell translated, in any case; other words go on as they are
``{from: …, take: first}``             the first of several values in one cell (``separator``, ``;`` by default)
``{from: A, plus_minutes: B}``         the time A and so many minutes
=====================================  =======================================================================

``words`` goes with ``join`` and ``first_filled`` too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline import headers

Pick = Literal["first", "join", "first_filled", "currency_of"]
"""How one value is made of the columns that a field names."""


@dataclass(frozen=True, slots=True)
class Column:
    """Where a field comes from. ``headers`` are as the preset writes them, and may hold ``*``."""

    headers: tuple[str, ...] = ()
    pick: Pick = "first"
    separator: str = " "
    """Between joined cells; with ``take_first`` between the values of one cell."""
    words: Mapping[str, str] = field(default_factory=dict)
    take_first: bool = False
    minutes: tuple[str, ...] = ()
    """The column of minutes to add: the first of these that the file has."""
    currency_of: str | None = None

    @property
    def named(self) -> tuple[str, ...]:
        """Every header that it names."""
        return (*self.headers, *self.minutes)

    def found(self, present: Sequence[str]) -> tuple[str, ...]:
        """The columns of a file that its value is made of, by their plain names in ``present``; empty where it has none."""
        matches = [headers.found(header, present) for header in self.headers]
        if self.pick in ("join", "first_filled"):
            return tuple(dict.fromkeys(name for names in matches for name in names))
        return next((tuple(names[:1]) for names in matches if names), ())

    def minutes_found(self, present: Sequence[str]) -> tuple[str, ...]:
        return Column(self.minutes).found(present)


def parse(value: Any) -> Column:
    """A column as the YAML has it, in one of the forms above; the JSON schema has checked its shape."""
    if not isinstance(value, Mapping):
        return Column(_headers(value))
    if "currency_of" in value:
        return Column(pick="currency_of", currency_of=value["currency_of"])
    words = {" ".join(word.split()).casefold(): text for word, text in value.get("words", {}).items()}
    if "join" in value:
        return Column(tuple(value["join"]), "join", value.get("separator", " "), words)
    if "first_filled" in value:
        return Column(tuple(value["first_filled"]), "first_filled", words=words)
    return Column(
        _headers(value["from"]),
        separator=value.get("separator", ";"),
        words=words,
        take_first="take" in value,
        minutes=_headers(value.get("plus_minutes", ())),
    )


def _headers(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
