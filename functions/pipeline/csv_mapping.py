"""A preset and the header of one file, made into columns: which of the file's columns each field is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline import csv_currency, headers
from pipeline.column_forms import Column
from pipeline.contract import Field, Stream
from pipeline.csv_reading import FileColumn
from pipeline.headers import plain, unique_names
from pipeline.presets import Preset


@dataclass(slots=True)
class Mapped:
    """The columns of a file, its constants, and what of both is a guess."""

    columns: list[FileColumn] = field(default_factory=list)
    constants: dict[str, str] = field(default_factory=dict)
    guesses: list[str] = field(default_factory=list)


def map_columns(preset: Preset, stream: Stream, header: Sequence[str]) -> Mapped:
    """Place every field of ``preset`` that the file has a column or the preset a constant for."""
    names = unique_names(header)
    shown = {plain(name): name for name in names}
    mapped = Mapped(constants=dict(preset.constants))
    for name, cell in zip(names, header, strict=True):
        if plain(cell) and plain(name) != plain(cell):
            mapped.guesses.append(f"column {name}: its header stands more than once")
    for field_name in dict.fromkeys((*preset.columns, *preset.constants)):
        known = stream.fields[field_name]
        column = preset.columns.get(field_name, Column())
        placed = _currency(preset, known, column, shown, mapped) if column.currency_of else _placed(known, column, shown)
        if placed is None and field_name in mapped.constants:
            placed = FileColumn(field_name, known.type, known.required, ())
        if placed is not None:
            mapped.columns.append(placed)
            mapped.guesses += _several(column, shown)
    return mapped


def _placed(known: Field, column: Column, shown: Mapping[str, str]) -> FileColumn | None:
    present = list(shown)
    found, minutes = column.found(present), column.minutes_found(present)
    if not found or (column.minutes and not minutes):
        return None
    return FileColumn(
        known.name,
        known.type,
        known.required,
        tuple(shown[name] for name in (*found, *minutes)),
        column.separator,
        column.pick,
        column.words,
        column.take_first,
        adds_minutes=bool(minutes),
    )


def _currency(preset: Preset, known: Field, column: Column, shown: Mapping[str, str], mapped: Mapped) -> FileColumn | None:
    """The currency of another field: a constant where the header of that field's column names one, else what its cells say."""
    amount = preset.columns[column.currency_of or ""]
    found = amount.found(list(shown))
    for header in amount.headers:
        if found and (code := csv_currency.code_of(headers.starred(header, found[0]), preset.format.get("currency_signs", {}))):
            mapped.constants[known.name] = code
            return FileColumn(known.name, known.type, known.required, ())
    if not found:
        return None
    return FileColumn(known.name, known.type, known.required, (shown[found[0]],), pick="currency_of")


def _several(column: Column, shown: Mapping[str, str]) -> list[str]:
    """What must be said where a pattern means several columns of a file, and one of them was taken."""
    if column.pick != "first":
        return []
    for header in column.headers:
        if found := headers.found(header, shown):
            others = ", ".join(f"'{shown[name]}'" for name in found[1:])
            return [f"column {shown[found[0]]}: '{header}' may also mean {others}"] if others else []
    return []
