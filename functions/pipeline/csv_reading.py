"""How one file is read: found out once, frozen as JSON into its slice's request, and bound to its header by every reader."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipeline import headers
from pipeline.column_forms import Pick
from pipeline.csv_dialect import Dialect
from pipeline.csv_fields import BoundColumn
from pipeline.csv_records import RecordReader
from pipeline.csv_text import TextLines
from pipeline.csv_values import ValueFormat
from pipeline.headers import plain, unique_names


@dataclass(frozen=True, slots=True)
class FileColumn:
    """A field and the headers of this file that it comes from, none for a constant alone; see :mod:`pipeline.column_forms`."""

    field: str
    type: str
    required: bool
    headers: tuple[str, ...]
    separator: str = " "
    pick: Pick = "first"
    words: Mapping[str, str] = dataclasses.field(default_factory=dict)
    take_first: bool = False
    adds_minutes: bool = False
    """The last of ``headers`` is the column of minutes."""


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
    constants: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    header_rows: int = 1
    totals_prefix: tuple[str, ...] = ()
    comment: str | None = None
    continuation: str | None = None
    one_row_per: str | None = None
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
            "totals_prefix": tuple(data["totals_prefix"]),
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
                column.pick,
                column.words,
                column.take_first,
                column.adds_minutes,
            )
            for column in self.columns
        ]
        known = {index for column in columns for index in column.indexes}
        unknown = [index for index in range(len(names)) if index not in known]
        return names, columns, [index for index in unknown if not self._is_ignored(names[index])]

    def reader(self, lines: TextLines) -> RecordReader:
        """The records of a file's lines as the preset says what is one, its header read."""
        reader = RecordReader(lines, self.dialect, self.header_line, self.header_rows)
        names = unique_names(reader.header)
        reader.totals_prefix = tuple(map(str.casefold, self.totals_prefix))
        reader.comment = self.comment
        reader.continuation = self._index_of(self.continuation, names)
        reader.one_row_per = self._index_of(self.one_row_per, names)
        _, columns, _ = self.bind(reader.header)
        # An invoice typed over two minutes has two times, but one total.
        money = [column for column in columns if column.required and column.type == "decimal" and len(column.indexes) == 1]
        reader.same = tuple(column.indexes[0] for column in money)
        return reader

    def _index_of(self, wanted: str | None, names: Sequence[str]) -> int | None:
        """Where a file's column is that a header of the preset means; ``None`` where it has none."""
        present = list(map(plain, names))
        found = headers.found(wanted, present) if wanted is not None else []
        return present.index(found[0]) if found else None

    def mapping(self, header: Sequence[str]) -> dict[str, Any]:
        """What became of each column of a file, in words for the manifest: ``columns`` (field to headers), ``constants``,
        ``ignored_columns``, ``unknown_columns``."""
        names, columns, unknown = self.bind(header)
        mapped = {column.field: [names[index] for index in column.indexes] for column in columns if column.indexes}
        used = {name for shown in mapped.values() for name in shown} | {names[index] for index in unknown}
        return {
            "columns": mapped,
            "constants": dict(self.constants),
            "ignored_columns": [name for name in names if name not in used],
            "unknown_columns": [names[index] for index in unknown],
        }

    def _is_ignored(self, name: str) -> bool:
        return any(headers.is_named(plain(name), pattern) for pattern in self.ignore)
