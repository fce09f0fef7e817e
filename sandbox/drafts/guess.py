"""Headers and values to fields: the stream that a table most likely is, and the column of each field, with what is unsure."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pipeline.contract import Field, Source, Stream
from pipeline.csv_currency import code_of
from sandbox.drafts.shapes import may_be
from sandbox.drafts.table import Table

_SYNONYMS = Path(__file__).with_name("synonyms.yaml")
_SURE, _PART, _MAYBE = 1.0, 0.6, 0.5
"""How much a header is worth that is a field's name, that holds one, and that may be one."""
_IN_BRACKETS = re.compile(r"(.*\S\s*)([(\[])([^()\[\]]+)([)\]])\s*")
_EVERYWHERE = frozenset({"full_name", "product_name", "campaign_name", "status", "created_at", "updated_at", "is_deleted"})


@dataclass(slots=True)
class Guess:
    """A field's headers (more than one: joined) and why that is unsure, in words."""

    headers: tuple[str, ...]
    worth: float
    unsure: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Draft:
    """A stream's columns. ``missing`` are required fields that no column can be."""

    stream: Stream
    columns: dict[str, Guess]
    missing: tuple[str, ...]

    @property
    def headers(self) -> list[str]:
        """Every header that it uses, once."""
        return list(dict.fromkeys(header for found in self.columns.values() for header in found.headers))

    @property
    def worth(self) -> float:
        """Sum of its columns' worth; a stream whose required fields are all there comes before any other."""
        return sum(guess.worth for guess in self.columns.values())

    @property
    def is_weak(self) -> bool:
        """Whether little speaks for the stream beside words that every table has: an id, a name, a day of change."""
        telling = [name for name in self.columns if name not in _EVERYWHERE and name not in self.stream.key]
        return sum(self.columns[name].worth for name in telling) < _SURE


def guess(table: Table, source: Source, file_name: str, wanted: str | None = None) -> list[Draft]:
    """Drafts for every stream of the source (or the ``wanted`` one), the likeliest first."""
    streams = [source.streams[wanted]] if wanted else list(source.streams.values())
    drafts = [_draft(table, stream) for stream in streams]
    named = words(file_name)
    return sorted(
        (draft for draft in drafts if draft.columns),
        key=lambda draft: (not draft.missing, draft.worth + 0.5 * (words(draft.stream.name)[-1] in named)),
        reverse=True,
    )


_OF_A_LINE = frozenset({"line_number", "product_id", "product_name", "quantity", "unit_price"})


def with_companion(drafts: Sequence[Draft], table: Table) -> tuple[Draft, Draft | None]:
    """The likeliest draft, and what the same file holds beside it: the orders of a file of lines, or the lines of its orders.

    Orders have lines here where several rows carry one order's id. A column serves one of the two: the likelier one, apart
    from what only a line has.
    """
    chosen = drafts[0]
    beside = {"orders": "order_items", "order_items": "orders"}.get(chosen.stream.name)
    other = next((draft for draft in drafts if draft.stream.name == beside), None)
    ids = chosen.columns.get("order_id")
    if other is None or ids is None or other.columns.get("order_id", ids).headers != ids.headers:
        return chosen, None
    cells = table.column(list(table.headers).index(ids.headers[0]))
    if len(set(cells)) == len(cells):
        return chosen, None
    orders, lines = (chosen, other) if chosen.stream.name == "orders" else (other, chosen)
    of_lines = {header for name, found in lines.columns.items() if name in _OF_A_LINE for header in found.headers}
    if chosen is orders:
        orders = _without(orders, of_lines)
        lines = _without(lines, set(orders.headers))
    else:
        orders = _without(orders, set(lines.headers))
    kept = {"orders": orders, "order_items": lines}
    hopeless = [name for draft in kept.values() for name in draft.missing if not draft.stream.fields[name].derivable]
    if hopeless or not _OF_A_LINE - {"product_name"} & set(lines.columns) - {"line_number"}:
        return chosen, None
    chosen, other = kept[chosen.stream.name], kept[other.stream.name]
    orders.columns["order_id"].unsure.clear()  # that it repeats is what one_row_per is for
    return chosen, other


def _without(draft: Draft, headers: set[str]) -> Draft:
    """A draft without the columns that another one uses, apart from the order's id, which both need."""
    columns = {
        name: found for name, found in draft.columns.items() if name == "order_id" or not headers.intersection(found.headers)
    }
    return Draft(draft.stream, columns, tuple(name for name in draft.stream.required if name not in columns))


def words(name: str) -> list[str]:
    """A header's words: without case, accents and signs, ``camelCase`` and ``snake_case`` taken apart."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    bare = unicodedata.normalize("NFKD", apart.replace("ß", "ss"))
    return re.findall(r"[a-z0-9]+", "".join(char for char in bare if not unicodedata.combining(char)).casefold())


@functools.cache
def _synonyms() -> Mapping[str, Mapping[str, Mapping[str, Sequence[str]]]]:
    # BaseLoader takes every word for text, also "no", which in English is a number's abbreviation.
    found: Mapping[str, Mapping[str, Mapping[str, Sequence[str]]]]
    found = yaml.load(_SYNONYMS.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506
    return found


@functools.cache
def _known(stream: str, name: str) -> tuple[frozenset[tuple[str, ...]], frozenset[tuple[str, ...]]]:
    """The (sure, maybe) names of a field as words; a stream's own words come before what the word means elsewhere."""
    data = _synonyms()
    own, shared = data.get(stream, {}).get(name, {}), data["any"].get(name, {})
    sure = {tuple(words(text)) for block in (own, shared) for text in block.get("sure", ())} | {tuple(words(name))}
    maybe = {tuple(words(text)) for block in (own, shared) for text in block.get("maybe", ())}
    return frozenset(sure), frozenset(maybe - sure)


def _named(stream: Stream, name: str, header: str) -> float:
    """How much a header's name speaks for a field; 0: not at all."""
    if stream.fields[name].type == "decimal":
        header = (currency_pattern(header) or header).removesuffix("(*)").removesuffix("[*]")
    said = tuple(words(header))
    sure, maybe = _known(stream.name, name)
    if "".join(said) in map("".join, sure):  # "MwSt", "e-mail" and "E mail" are one word or two
        return _SURE
    if "".join(said) in map("".join, maybe):
        return _MAYBE
    held = [known for known in sure if 0 < len(known) < len(said) and _holds(said, known)]
    # "Order Total EUR" holds "total"; the more of the header the name explains, the better.
    return max((_PART * len(known) / len(said) for known in held), default=0.0)


def currency_pattern(header: str) -> str | None:
    """``Amount (*)`` for ``Amount (EUR)``: the header whatever the currency; ``None`` where no currency stands at its end."""
    found = _IN_BRACKETS.fullmatch(header)
    return f"{found[1]}{found[2]}*{found[4]}" if found and currency_in(header) else None


def currency_in(header: str) -> str | None:
    """The code of the currency that stands in brackets at a header's end."""
    found = _IN_BRACKETS.fullmatch(header)
    # Some codes are English words in other letters: "Total (all)" is not in Albanian lek.
    return code_of(found[3], {}) if found and not found[3].islower() else None


def _holds(said: Sequence[str], known: Sequence[str]) -> bool:
    """One word must be the last, as what a thing is comes last: a "total weight" is no total."""
    if len(known) == 1:
        return said[-1] == known[0]
    return any(tuple(said[at : at + len(known)]) == tuple(known) for at in range(len(said) - len(known) + 1))


def _draft(table: Table, stream: Stream) -> Draft:
    """The best pairs first; each field and each column is given once."""
    cells = [table.column(index) for index in range(len(table.headers))]
    pairs = [
        # of two columns of the same name's worth the one that holds something
        (worth if cells[index] else worth / 2, known.required, -index, name)
        for name, known in stream.fields.items()
        for index, header in enumerate(table.headers)
        if (worth := _named(stream, name, header)) >= 0.2 and may_be(name, known.type, cells[index], sure=worth == _SURE)
    ]
    columns: dict[str, Guess] = {}
    taken: dict[int, str] = {}
    for worth, _, negative, name in sorted(pairs, reverse=True):
        index = -negative
        if name in columns or index in taken:
            continue
        columns[name] = Guess((table.headers[index],), worth)
        taken[index] = name
    if "full_name" in stream.fields:
        _join_names(table, columns, taken)
    missing = tuple(name for name in stream.required if name not in columns)
    if missing and columns:
        missing = _by_shape(table, stream, columns, taken, missing)
    if "contact_id" in missing and "email" in columns:
        # Of a list of addresses the address is what tells people apart.
        columns["contact_id"] = Guess(columns["email"].headers, _MAYBE, ["no column is an id, the address stands in for it"])
        missing = tuple(name for name in missing if name != "contact_id")
    for index, name in taken.items():
        _doubt(stream, stream.fields[name], columns[name], cells[index], len(table.rows))
    _rivals(table, stream, columns, taken, cells)
    ordered = {name: columns[name] for name in stream.fields if name in columns}
    return Draft(stream, ordered, missing)


_FIRST = {("first", "name"), ("firstname",), ("vorname",), ("prenom",), ("given", "name"), ("voornaam",)}
_LAST = {
    ("last", "name"),
    ("lastname",),
    ("nachname",),
    ("surname",),
    ("family", "name"),
    ("achternaam",),
    ("apellido",),
    ("cognome",),
}


def _join_names(table: Table, columns: dict[str, Guess], taken: dict[int, str]) -> None:
    """First and last name make a name where no column holds it whole."""
    first = next((index for index, header in enumerate(table.headers) if tuple(words(header)) in _FIRST), None)
    last = next((index for index, header in enumerate(table.headers) if tuple(words(header)) in _LAST), None)
    if last is None and first is not None:  # in French, a family name is "nom"
        last = next((index for index, header in enumerate(table.headers) if words(header) == ["nom"]), None)
    if (
        first is None
        or last is None
        or taken.get(first, "full_name") != "full_name"
        or taken.get(last, "full_name") != "full_name"
    ):
        return
    for index in [index for index, name in taken.items() if name == "full_name"]:
        del taken[index]
    columns["full_name"] = Guess((table.headers[first], table.headers[last]), _SURE)
    taken[first] = taken[last] = "full_name"


def _by_shape(
    table: Table, stream: Stream, columns: dict[str, Guess], taken: dict[int, str], missing: Sequence[str]
) -> tuple[str, ...]:
    """Required fields that no header names: the only column left whose values can be it, else they stay missing."""
    left = []
    for name in missing:
        known = stream.fields[name]
        if known.type == "string":
            fitting = [at for at in _free(table, taken) if _is_key(name, table.column(at), len(table.rows))]
        else:
            fitting = [at for at in _free(table, taken) if table.column(at) and may_be(name, known.type, table.column(at))]
        if len(fitting) != 1:
            left.append(name)
            continue
        columns[name] = Guess(
            (table.headers[fitting[0]],), 0.1, ["its values fit and no other column's do, its name says nothing"]
        )
        taken[fitting[0]] = name
    return tuple(left)


def _free(table: Table, taken: Mapping[int, str]) -> list[int]:
    return [index for index in range(len(table.headers)) if index not in taken]


def _is_key(name: str, cells: Sequence[str], rows: int) -> bool:
    unique = rows > 1 and len(cells) == rows == len(set(cells))
    return unique and may_be(name, "string", cells) and not any(re.search(r"\s|@|^-|^[0-9]+[.,]", cell) for cell in cells)


def _doubt(stream: Stream, known: Field, found: Guess, cells: Sequence[str], rows: int) -> None:
    if found.unsure:
        return
    worth = found.worth if cells else 2 * found.worth
    if worth == _MAYBE:
        found.unsure.append("the word may mean something else")
    elif worth < _SURE:
        found.unsure.append("only a part of the header says so")
    if not cells:
        found.unsure.append("no value to check")
    elif stream.key == (known.name,) and rows > 1 and len(set(cells)) < len(cells):
        found.unsure.append(f"{len(cells) - len(set(cells))} of {len(cells)} rows repeat an earlier one's")


def _rivals(table: Table, stream: Stream, columns: Mapping[str, Guess], taken: Mapping[int, str], cells: Sequence[Any]) -> None:
    for name, found in columns.items():
        for index in _free(table, taken):
            header = table.headers[index]
            if _named(stream, name, header) >= found.worth and may_be(name, stream.fields[name].type, cells[index]):
                found.unsure.append(f"'{header}' could be it too")
