"""Newline-delimited JSON into a staging table: fast when every row is good, exact about which row is not.

The fast way lets DuckDB parse the files and extracts all fields of a row in one pass. When it meets anything wrong it
is thrown away and the files are read again line by line, so that an error names file, line, byte position and field.
A JSON column keeps strings as they are; numbers are written as DuckDB writes them (1.10 becomes 1.1), as BigQuery's
JSON type does too.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from typing import Any

from sandbox.engines.bigquery.definitions import quote
from sandbox.engines.bigquery.load_values import convert, duckdb_columns, kind_of, text_literal
from sandbox.engines.bigquery.storage_objects import SourceFile

ROW_BYTES = 104_857_600  # BigQuery's limit for one row
BATCH_LINES = 20_000
SHOWN_ERRORS = 5
OBJECTS = "SELECT json FROM read_ndjson_objects([{paths}], compression={compression}, maximum_object_size={limit})"
VALID = "SELECT number, position, line, CASE WHEN json_valid(line) THEN line::JSON END AS json FROM {lines}"


class JsonRows:
    """Reads the files of one load job.

    Args:
        connection: DuckDB connection.
        fields: the catalogue fields of the schema.
        ignore_unknown: drop keys that the schema does not have instead of refusing the row.
    """

    def __init__(self, connection: Any, fields: Sequence[Any], *, ignore_unknown: bool) -> None:
        self.connection = connection
        self.fields = tuple(fields)
        self.ignore_unknown = ignore_unknown
        self.types = dict(duckdb_columns(self.fields))

    def stage(self, table: str, files: Sequence[SourceFile], most_bad: int) -> tuple[int, list[dict[str, str]]]:
        """Create temp table `table` with the good rows.

        Args:
            most_bad: bad rows that the job tolerates; it only decides how many are explained.
        Returns:
            The number of bad rows and BigQuery error objects for the first few of each file.
        """
        import duckdb

        select = self._select()
        values = ", ".join(f"{value} AS {quote(name)}" for name, value in select.values)
        self.connection.execute(
            f"CREATE TEMP TABLE {table} ({', '.join(f'{quote(n)} {t}' for n, t in self.types.items())}, _bad BOOLEAN)"
        )
        try:
            for gzipped in (False, True):
                paths = [text_literal(f.path) for f in files if f.gzipped is gzipped and f.path.stat().st_size]
                if paths:
                    source = OBJECTS.format(
                        paths=", ".join(paths), compression="'gzip'" if gzipped else "'none'", limit=ROW_BYTES
                    )
                    self._insert(table, values, select.bad, select.layers(source))
            row = self.connection.execute(f"SELECT count(*) FROM {table} WHERE _bad").fetchone()
            if not row[0]:
                return 0, []
        except duckdb.Error:
            pass  # a line that is not JSON, or a value that a cast cannot take: the slow way says which
        self.connection.execute(f"DELETE FROM {table}")
        return self._stage_lines(table, files, values, select, most_bad)

    def _insert(self, table: str, values: str, bad: str, source: str) -> None:
        self.connection.execute(f"INSERT INTO {table} SELECT {values}, coalesce({bad}, true) AS _bad FROM ({source})")

    def _stage_lines(
        self, table: str, files: Sequence[SourceFile], values: str, select: _Select, most_bad: int
    ) -> tuple[int, list[dict[str, str]]]:
        bad_rows, errors = 0, []
        for file in files:
            shown = 0
            for batch in _batches(file):
                self.connection.register("_load_lines", batch)
                source = select.layers(VALID.format(lines="_load_lines"), keep="number, position, line, json, ")
                bad = f"json IS NULL OR coalesce({select.bad}, true)"
                try:
                    count = self.connection.execute(f"SELECT count(*) FROM ({source}) WHERE {bad}").fetchone()[0]
                    if count and shown < SHOWN_ERRORS:
                        rows = self.connection.execute(
                            f"SELECT number, position, line FROM ({source}) WHERE {bad} ORDER BY number "
                            f"LIMIT {SHOWN_ERRORS - shown}"
                        ).fetchall()
                        errors += [self._explain(file, *row, select=select) for row in rows]
                        shown += len(rows)
                    bad_rows += count
                    if bad_rows <= most_bad:
                        self._insert(table, values, "false", f"SELECT * FROM ({source}) WHERE NOT ({bad})")
                finally:
                    self.connection.unregister("_load_lines")
        return bad_rows, errors

    def _select(self) -> _Select:
        return _Select(self.fields, self.types, ignore_unknown=self.ignore_unknown)

    def _explain(self, file: SourceFile, number: int, position: int, line: str, *, select: _Select) -> dict[str, str]:
        reason = self._reason(line, select)
        return {
            "reason": "invalid",
            "location": file.uri,
            "message": "Error while reading data, error message: JSON parsing error in row starting at position "
            f"{position}: {reason} File: {file.uri} (line {number})",
        }

    def _reason(self, line: str, select: _Select) -> str:
        if not self.connection.execute("SELECT json_valid(?)", [line]).fetchone()[0]:
            return "Parser terminated before end of string."
        if self.connection.execute("SELECT json_type(?)", [line]).fetchone()[0] != "OBJECT":
            return "Expected an object."
        self.connection.execute("CREATE OR REPLACE TEMP TABLE _load_line AS SELECT ?::JSON AS json", [line])
        source = select.layers("SELECT json FROM _load_line")
        for index, field in enumerate(self.fields):
            bad, raw = self.connection.execute(
                f"SELECT coalesce({select.conditions[index]}, true), _r{index} FROM ({source})"
            ).fetchone()
            if bad and field.mode == "REQUIRED" and raw in (None, "null"):
                return f"Missing required field: {field.name}."
            if bad:
                kind = "record" if kind_of(field) == "RECORD" else kind_of(field).lower()
                return f"Could not convert value to {kind}. Field: {field.name}; Value: {str(raw)[:200]}"
        keys = self.connection.execute("SELECT json_keys(json) FROM _load_line").fetchone()[0]
        unknown = [k for k in keys if k not in self.types]
        return f"No such field: {unknown[0]}." if unknown else "Row could not be read."


class _Select:
    """The SQL that turns one JSON column into typed columns: layers, so that each row is parsed once."""

    def __init__(self, fields: Sequence[Any], types: dict[str, str], *, ignore_unknown: bool) -> None:
        self.fields = fields
        self.values: list[tuple[str, str]] = []
        self.conditions: list[str] = []
        for index, field in enumerate(fields):
            value, bad = self._column(field, f"_r{index}", f"_t{index}", types[field.name], ignore_unknown)
            if field.mode == "REQUIRED":
                bad = f"({bad} OR ({value}) IS NULL)"
            self.values.append((field.name, value))
            self.conditions.append(bad)
        self.names = "[" + ", ".join(text_literal(f.name) for f in fields) + "]"
        unknown = "false" if ignore_unknown else f"NOT list_has_all({self.names}, _keys)"
        self.bad = " OR ".join([*self.conditions, unknown, "_kind <> 'OBJECT'"])

    def layers(self, source: str, keep: str = "") -> str:
        """Return a select with `_r<i>` (JSON) and `_t<i>` (text) of every field, `_keys` and `_kind`."""
        paths = ", ".join(text_literal(f'$."{f.name}"') for f in self.fields)
        plain = keep.replace("json, ", "")
        first = (
            f"SELECT {keep}json_extract(json, [{paths}]) AS _v, json_keys(json) AS _keys, json_type(json) AS _kind "
            f"FROM ({source})"
        )
        raw = ", ".join(f"_v[{i + 1}] AS _r{i}" for i in range(len(self.fields)))
        text = ", ".join(f"json_extract_string(_r{i}, '$') AS _t{i}" for i in range(len(self.fields)))
        carried = f"{plain}json, " if keep else ""
        second = f"SELECT {carried}_keys, _kind, {raw} FROM ({first})"
        return f"SELECT *, {text} FROM ({second})"

    @staticmethod
    def _column(field: Any, raw: str, text: str, duckdb_type: str, ignore_unknown: bool) -> tuple[str, str]:
        if field.mode == "REPEATED" or kind_of(field) == "RECORD":
            present = f"({raw} IS NOT NULL AND {raw} <> 'null')"
            value = f"TRY_CAST(NULLIF({raw}, 'null') AS {duckdb_type})"
            unknown = "false" if ignore_unknown else _unknown_inside(field, raw, 0)
            bad = f"({present} AND (({value}) IS NULL OR {unknown}))"
            return (f"coalesce({value}, [])" if field.mode == "REPEATED" else value), bad
        if kind_of(field) == "JSON":
            return f"NULLIF({raw}, 'null')", "false"
        conversion = convert(field, text)
        nested = f"coalesce(left({raw}::VARCHAR, 1) IN ('{{', '['), false)"  # an object is no STRING
        return conversion.value, f"({conversion.bad} OR {nested})"


def _unknown_inside(field: Any, expression: str, depth: int) -> str:
    """Return a condition that is true when a record below `expression` has a key that the schema lacks."""
    if field.mode == "REPEATED":
        item = f"_e{depth}"
        single = field.model_copy(update={"mode": "NULLABLE"})
        inner = _unknown_inside(single, item, depth + 1)
        if inner == "false":
            return "false"
        return f"len(list_filter(TRY_CAST({expression} AS JSON[]), lambda {item}: coalesce({inner}, true))) > 0"
    if kind_of(field) != "RECORD":
        return "false"
    names = "[" + ", ".join(text_literal(f.name) for f in field.fields) + "]"
    parts = [f"NOT list_has_all({names}, json_keys({expression}))"]
    for child in field.fields:
        path = text_literal(f'$."{child.name}"')
        inner = _unknown_inside(child, f"json_extract({expression}, {path})", depth + 1)
        if inner != "false":
            parts.append(f"coalesce({inner}, false)")
    return "(" + " OR ".join(parts) + ")"


def _batches(file: SourceFile) -> Iterator[Any]:
    """Yield Arrow tables (number, position, line) of the file's lines that are not blank."""
    import pyarrow

    numbers: list[int] = []
    positions: list[int] = []
    lines: list[str] = []
    position = 0
    with gzip.open(file.path, "rb") if file.gzipped else file.path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                numbers.append(number)
                positions.append(position)
                lines.append(line.decode("utf-8", "replace").rstrip("\r\n"))
            position += len(line)
            if len(lines) == BATCH_LINES:
                yield pyarrow.table({"number": numbers, "position": positions, "line": lines})
                numbers, positions, lines = [], [], []
    if lines:
        yield pyarrow.table({"number": numbers, "position": positions, "line": lines})
