"""How one file is read: found out once, frozen as JSON into its slice's request, and bound to its header by every reader."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.csv_records import Dialect
from pipeline.csv_rows import BoundColumn
from pipeline.csv_values import ValueFormat
from pipeline.presets import plain


@dataclass(frozen=True, slots=True)
class FileColumn:
    """A field and the headers of this file that it comes from; more than one are joined, none: a constant alone."""

    field: str
    type: str
    required: bool
    headers: tuple[str, ...]
    separator: str = " "


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that reading a file again needs, apart from its bytes."""

    preset: str
    origin: str
    """The file that the preset stands in."""
    header_line: int
    """1-based; the lines before it are no rows."""
    encoding: str
    encoding_declared: bool
    gzip: bool
    dialect: Dialect
    values: ValueFormat
    columns: tuple[FileColumn, ...]
    constants: Mapping[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    totals_prefix: str | None = None
    continuation: str | None = None
    guesses: tuple[str, ...] = ()
    """What neither the file nor its preset says outright, in words, for the manifest."""
    undecided: tuple[str, ...] = ()
    """Fields whose values are written in a way that the records seen so far do not prove; the whole file is asked before rows
    are read (:func:`pipeline.csv_judgement.decide`)."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Reading:
        again = {
            "dialect": Dialect(**data["dialect"]),
            "values": ValueFormat.from_json(data["values"]),
            "columns": tuple(FileColumn(**{**column, "headers": tuple(column["headers"])}) for column in data["columns"]),
            "ignore": tuple(data["ignore"]),
            "guesses": tuple(data["guesses"]),
            "undecided": tuple(data.get("undecided", ())),
        }
        return cls(**{**data, **again})

    def bind(self, header: Sequence[str]) -> tuple[list[str], list[BoundColumn], list[int]]:
        """Unique column names, the columns by their index, and the indexes of columns that are not known."""
        names = unique_names(header)
        index_of = {plain(name): index for index, name in enumerate(names)}
        columns = [
            BoundColumn(
                column.field,
                column.type,
                column.required,
                tuple(index_of[plain(name)] for name in column.headers),
                column.separator,
                self.constants.get(column.field, ""),
            )
            for column in self.columns
        ]
        known = {index for column in columns for index in column.indexes}
        unknown = [index for index in range(len(names)) if index not in known]
        return names, columns, [index for index in unknown if not self._is_ignored(names[index])]

    def _is_ignored(self, name: str) -> bool:
        return any(fnmatch.fnmatchcase(plain(name), _literal_brackets(plain(pattern))) for pattern in self.ignore)


def _literal_brackets(pattern: str) -> str:
    """Of a glob's signs only ``*`` is one here: headers are full of brackets and question marks."""
    return pattern.replace("[", "[[]").replace("?", "[?]")


def unique_names(header: Sequence[str]) -> list[str]:
    """Headers as they are shown: trimmed, a nameless one by its position, a repeated one with its count: ``Phone_2``."""
    names: list[str] = []
    taken: set[str] = set()
    for position, cell in enumerate(header, start=1):
        name = base = " ".join(cell.replace("\ufeff", "").split()) or f"column_{position}"
        count = 1
        while plain(name) in taken:
            count += 1
            name = f"{base}_{count}"
        taken.add(plain(name))
        names.append(name)
    return names
