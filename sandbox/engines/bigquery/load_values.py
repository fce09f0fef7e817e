"""How a text of a file becomes a value of a BigQuery type, in DuckDB SQL, and when it does not.

DuckDB's casts are more lenient than BigQuery's ('2.5' becomes 3, '1e3' an integer), so each type has a shape that the
text must have before it is cast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.engines.bigquery.definitions import quote

ALIASES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "STRUCT": "RECORD"}
DATE = r"\d{4}-\d{1,2}-\d{1,2}"
CLOCK = r"\d{1,2}:\d{1,2}(:\d{1,2}(\.\d{1,9})?)?"
ZONE = r"\s*(Z|z|UTC|[+-]\d{1,2}(:?\d{2})?|[A-Za-z]+(/[A-Za-z_]+)+)?"
NUMBER = r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?"

#: type -> (pattern that the whole text must match or None, DuckDB expression with {x} for the text)
SCALARS: dict[str, tuple[str | None, str]] = {
    "STRING": (None, "{x}"),
    "INT64": (r"\s*[+-]?\d+(\.0*)?\s*", "TRY_CAST(regexp_replace(trim({x}), '\\.0*$', '') AS BIGINT)"),
    "FLOAT64": (rf"\s*({NUMBER}|[+-]?([iI]nf(inity)?|NaN|nan))\s*", "TRY_CAST(trim({x}) AS DOUBLE)"),
    "NUMERIC": (rf"\s*{NUMBER}\s*", "TRY_CAST(trim({x}) AS DECIMAL(38,9))"),
    "BIGNUMERIC": (rf"\s*{NUMBER}\s*", "TRY_CAST(trim({x}) AS DECIMAL(38,18))"),
    "BOOL": (r"(?i)\s*(true|false|t|f|yes|no|y|n|1|0)\s*", "lower(trim({x})) IN ('true', 't', 'yes', 'y', '1')"),
    "DATE": (rf"\s*{DATE}\s*", "TRY_CAST({x} AS DATE)"),
    "DATETIME": (rf"\s*{DATE}([T ]{CLOCK})?\s*", "TRY_CAST({x} AS TIMESTAMP)"),
    "TIME": (rf"\s*{CLOCK}\s*", "TRY_CAST({x} AS TIME)"),
    "BYTES": (None, "TRY(from_base64({x}))"),
    "JSON": (None, "TRY_CAST({x} AS JSON)"),
    "GEOGRAPHY": (None, "TRY(ST_GeomFromText({x}))"),
    # A bare number is seconds since 1970.
    "TIMESTAMP": (
        rf"\s*(-?\d{{1,11}}(\.\d+)?|{DATE}([T ]{CLOCK}{ZONE})?)\s*",
        "CASE WHEN regexp_full_match({x}, '-?\\d{{1,11}}(\\.\\d+)?') THEN to_timestamp(TRY_CAST({x} AS DOUBLE)) "
        "ELSE TRY_CAST({x} AS TIMESTAMPTZ) END",
    ),
}


@dataclass(frozen=True)
class Conversion:
    """A column's value and the condition under which the text has none, both DuckDB SQL over the text."""

    value: str
    bad: str


def kind_of(field: Any) -> str:
    """Return the standard name of a field's type (INT64 for INTEGER, ...)."""
    kind = str(field.type).upper()
    return ALIASES.get(kind, kind)


def text_literal(value: object) -> str:
    """Return a DuckDB string literal."""
    return "'" + str(value).replace("'", "''") + "'"


def convert(field: Any, text: str) -> Conversion:
    """Return how `text` (a DuckDB expression of type VARCHAR) becomes the scalar field's value.

    Raises:
        KeyError: the type is not loadable.
    """
    pattern, expression = SCALARS[kind_of(field)]
    value = expression.format(x=text)
    if pattern is None and value == text:
        return Conversion(value, "false")
    shape = f"NOT regexp_full_match({text}, {text_literal(pattern)}) OR " if pattern else ""
    return Conversion(value, f"({text} IS NOT NULL AND ({shape}({value}) IS NULL))")


def parse_fields(raw: Sequence[dict[str, Any]]) -> tuple[Any, ...]:
    """Return catalogue fields of a REST schema."""
    from bqemulator.api.routes.tables import _parse_schema_fields

    return tuple(_parse_schema_fields(list(raw)))


def duckdb_columns(fields: Sequence[Any]) -> list[tuple[str, str]]:
    """Return (name, DuckDB type) of each field. DuckDB's decimals stop at 38 digits, so BIGNUMERIC is (38,18)."""
    from bqemulator.api.routes.tables import _field_to_rest
    from bqemulator.storage.type_map import bq_schema_to_duckdb_columns

    columns = bq_schema_to_duckdb_columns([_field_to_rest(f) for f in fields])
    return [(name, kind.replace("DECIMAL(76, 38)", "DECIMAL(38, 18)")) for name, kind in columns]


def column_definitions(fields: Sequence[Any]) -> str:
    """Return the column list of a CREATE TABLE."""
    return ", ".join(
        f"{quote(name)} {kind}" + (" NOT NULL" if field.mode == "REQUIRED" else "")
        for (name, kind), field in zip(duckdb_columns(fields), fields, strict=True)
    )
