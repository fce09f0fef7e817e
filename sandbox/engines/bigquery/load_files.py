"""CSV, Parquet and Avro files into a staging table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.engines.bigquery.definitions import duckdb_column_type, quote
from sandbox.engines.bigquery.load_values import convert, duckdb_columns, parse_fields, text_literal
from sandbox.engines.bigquery.storage_objects import SourceFile

SHOWN_ERRORS = 5
DELIMITERS = {"tab": "\t", "\\t": "\t"}
Errors = list[dict[str, str]]


def _boolean(value: object) -> str:
    return "true" if value else "false"


def stage_csv(
    connection: Any, table: str, files: Sequence[SourceFile], fields: Sequence[Any], options: Mapping[str, Any]
) -> tuple[int, Errors]:
    """Create temp table `table` with the good rows of CSV files and a `_bad` column.

    Args:
        options: the job's `configuration.load`.
    Returns:
        The number of bad rows and BigQuery error objects for the first few of each file.
    """
    types = duckdb_columns(fields)
    connection.execute(f"CREATE TEMP TABLE {table} ({', '.join(f'{quote(n)} {t}' for n, t in types)}, _bad BOOLEAN)")
    values, conditions = [], []
    for field in fields:
        text = quote(field.name)
        conversion = convert(field, text)
        values.append(f"{conversion.value} AS {text}")
        conditions.append(conversion.bad)
        if field.mode == "REQUIRED":
            conditions.append(f"{text} IS NULL")
        if not options.get("allowQuotedNewlines"):
            conditions.append(f"coalesce(contains({text}, chr(10)), false)")
    bad = f"coalesce({' OR '.join(conditions)}, true)"
    rejected, errors = 0, []
    for file in files:
        count, found = _stage_csv_file(connection, table, file, fields, options, values, bad)
        rejected += count
        errors += found
    return rejected, errors


def _reader(file: SourceFile, fields: Sequence[Any], options: Mapping[str, Any], table: str) -> str:
    delimiter = str(options.get("fieldDelimiter") or ",")
    quoting = options.get("quote", '"')
    arguments = {
        "header": "false",
        "auto_detect": "false",
        "skip": str(int(options.get("skipLeadingRows") or 0)),
        "delim": text_literal(DELIMITERS.get(delimiter, delimiter)),
        "quote": text_literal(quoting),
        "escape": text_literal(quoting),
        "nullstr": text_literal(options.get("nullMarker") or ""),
        "allow_quoted_nulls": "false",
        "null_padding": _boolean(options.get("allowJaggedRows")),
        "columns": "{" + ", ".join(f"{text_literal(f.name)}: 'VARCHAR'" for f in fields) + "}",
        "compression": "'gzip'" if file.gzipped else "'none'",
        "strict_mode": _boolean(not options.get("ignoreUnknownValues")),
        "ignore_errors": "true",
        "store_rejects": "true",
        "rejects_table": text_literal(f"{table}_errors"),
        "rejects_scan": text_literal(f"{table}_scans"),
    }
    return f"read_csv({text_literal(file.path)}, {', '.join(f'{k}={v}' for k, v in arguments.items())})"


def _stage_csv_file(
    connection: Any,
    table: str,
    file: SourceFile,
    fields: Sequence[Any],
    options: Mapping[str, Any],
    values: Sequence[str],
    bad: str,
) -> tuple[int, Errors]:
    skipped = int(options.get("skipLeadingRows") or 0)
    errors: Errors = []

    def error(message: str) -> None:
        text = f"Error while reading data, error message: {message} File: {file.uri}"
        errors.append({"reason": "invalid", "location": file.uri, "message": text})

    try:
        connection.execute(
            f"CREATE TEMP TABLE {table}_rows AS SELECT row_number() OVER () AS _number, * "
            f"FROM {_reader(file, fields, options, table)}"
        )
        rejected = connection.execute(f"SELECT count(DISTINCT line) FROM {table}_errors").fetchone()[0]
        for line, text in connection.execute(
            f"SELECT line, error_message FROM {table}_errors ORDER BY line LIMIT {SHOWN_ERRORS}"
        ).fetchall():
            error(f"CSV processing error at line {line}: {str(text).splitlines()[0]}")
        wrong = connection.execute(f"SELECT count(*) FROM {table}_rows WHERE {bad}").fetchone()[0]
        if wrong:
            rows = f"SELECT * FROM {table}_rows WHERE {bad} ORDER BY _number LIMIT {SHOWN_ERRORS}"
            for number, *cells in connection.execute(rows).fetchall():
                error(f"CSV table: could not parse row {number + skipped}: {cells}.")
        connection.execute(f"INSERT INTO {table} SELECT {', '.join(values)}, false FROM {table}_rows WHERE NOT {bad}")
    finally:
        for name in ("rows", "errors", "scans"):
            connection.execute(f"DROP TABLE IF EXISTS {table}_{name}")
    return rejected + wrong, errors


def self_describing(connection: Any, file: SourceFile, file_format: str) -> str:
    """Return a DuckDB relation over a Parquet or Avro file."""
    if file_format == "PARQUET":
        return f"read_parquet({text_literal(file.path)})"
    from bqemulator.jobs.avro_reader import read_avro_to_arrow

    connection.register("_load_avro", read_avro_to_arrow(str(file.path)))
    return "_load_avro"


def stage_self_describing(
    connection: Any, table: str, files: Sequence[SourceFile], fields: Sequence[Any], file_format: str
) -> None:
    """Create temp table `table` from Parquet or Avro files; columns are matched by name, absent ones are NULL."""
    types = duckdb_columns(fields)
    connection.execute(f"CREATE TEMP TABLE {table} ({', '.join(f'{quote(n)} {t}' for n, t in types)}, _bad BOOLEAN)")
    for file in files:
        relation = self_describing(connection, file, file_format)
        rows = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
        have = {row[0].lower(): row[0] for row in rows}
        columns = ", ".join(
            f"CAST({quote(have[name.lower()])} AS {kind})" if name.lower() in have else f"CAST(NULL AS {kind})"
            for name, kind in types
        )
        connection.execute(f"INSERT INTO {table} SELECT {columns}, false FROM {relation}")


def infer(connection: Any, relation: str) -> tuple[Any, ...]:
    """Return catalogue fields for a DuckDB relation (autodetect, Parquet, Avro)."""
    from bqemulator.storage.type_map import duckdb_type_to_bq_field

    rows = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    # An instant without a zone in a file is a TIMESTAMP to BigQuery's autodetection, not a DATETIME.
    zoned = {"TIMESTAMP": "TIMESTAMP WITH TIME ZONE"}
    raw = []
    for name, kind, *_ in rows:
        known = duckdb_column_type(kind)
        raw.append(duckdb_type_to_bq_field(name, zoned.get(known, known)))
    return parse_fields(raw)


def infer_text(connection: Any, file: SourceFile, file_format: str, options: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return catalogue fields that autodetect finds in a JSON or CSV file."""
    compression = "'gzip'" if file.gzipped else "'none'"
    path = text_literal(file.path)
    if file_format != "CSV":
        return infer(connection, f"read_json_auto({path}, sample_size=500, compression={compression})")
    delimiter = str(options.get("fieldDelimiter") or ",")
    delimiter = text_literal(DELIMITERS.get(delimiter, delimiter))
    return infer(connection, f"read_csv_auto({path}, delim={delimiter}, compression={compression})")
