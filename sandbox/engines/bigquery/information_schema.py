"""INFORMATION_SCHEMA views that dbt reads and bqemulator lacks or breaks. Each becomes a SELECT of literals.

Added: TABLES.ddl, COLUMN_FIELD_PATHS, `__TABLES__`, MATERIALIZED_VIEWS and an always empty OBJECT_PRIVILEGES.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

QUALIFIED = r"`?(?P<project>[\w\-]+)`?\s*\.\s*`?(?P<dataset>[\w\-]+)`?\s*\.\s*"
DATASET_ONLY = r"`?(?P<dataset>[A-Za-z0-9_]+)`?\s*\.\s*"
ANY_SCOPE = r"(`?[\w\-]+`?\s*\.\s*)*"
VALUES = re.compile(r"^\(SELECT \* FROM \(VALUES (.*)\) AS v\(([^()]*)\)\)$", re.S)

Column = tuple[str, str]
Row = tuple[Any, ...]


def text_columns(*names: str) -> list[Column]:
    """Return columns of type STRING."""
    return [(name, "STRING") for name in names]


def rows_as_sql(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """Return a parenthesised SELECT of the rows, with the columns' names and types even when there are none."""
    from bqemulator.sql.rewriter.information_schema import _sql_literal

    def cell(value: Any, kind: str) -> str:
        if value is None:
            return f"CAST(NULL AS {kind})"
        return f"CAST({int(value)} AS INT64)" if kind == "INT64" else str(_sql_literal(str(value)))

    if not rows:
        return "(SELECT {} LIMIT 0)".format(", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in columns))
    selects = (
        "SELECT " + ", ".join(f"{cell(value, kind)} AS {name}" for value, (name, kind) in zip(row, columns, strict=True))
        for row in rows
    )
    return "({})".format(" UNION ALL ".join(selects))


def _field_paths(table: Any) -> Iterator[Row]:
    from bqemulator.sql.rewriter.information_schema import _render_data_type

    def walk(field: Any, top: str, prefix: str) -> Iterator[Row]:
        path = prefix + field.name
        kind = _render_data_type(field)
        yield (table.project_id, table.dataset_id, table.table_id, top, path, kind, field.description)
        for child in field.fields:
            yield from walk(child, top, path + ".")

    for field in table.schema_.fields:
        yield from walk(field, field.name, "")


def _sizes(table: Any) -> Iterator[Row]:
    created, modified = (int(t.timestamp() * 1000) for t in (table.creation_time, table.last_modified_time))
    kind = 2 if table.table_type == "VIEW" else 1
    yield (table.project_id, table.dataset_id, table.table_id, created, modified, table.num_rows, 0, kind)


def _materialized(table: Any) -> Iterator[Row]:
    if table.table_type == "MATERIALIZED_VIEW":
        yield (table.project_id, table.dataset_id, table.table_id, None, None)


VIEWS: tuple[tuple[str, str, list[Column], Callable[[Any], Iterator[Row]]], ...] = (
    (
        "COLUMN_FIELD_PATHS",
        r"INFORMATION_SCHEMA\s*\.\s*COLUMN_FIELD_PATHS",
        text_columns("table_catalog", "table_schema", "table_name", "column_name", "field_path", "data_type", "description"),
        _field_paths,
    ),
    (
        "__TABLES__",
        "__TABLES__",
        [
            *text_columns("project_id", "dataset_id", "table_id"),
            *((name, "INT64") for name in ("creation_time", "last_modified_time", "row_count", "size_bytes", "type")),
        ],
        _sizes,
    ),
    (
        "MATERIALIZED_VIEWS",
        r"INFORMATION_SCHEMA\s*\.\s*MATERIALIZED_VIEWS",
        text_columns("table_catalog", "table_schema", "table_name", "last_refresh_time", "refresh_watermark"),
        _materialized,
    ),
)
PRIVILEGES = text_columns("object_catalog", "object_schema", "object_name", "object_type", "privilege_type", "grantee")


def expand(sql: str, project: str, catalog: Any) -> str:
    """Replace every reference to the added views by the rows of the catalogue."""
    upper = sql.upper()
    for word, name, columns, rows_of in VIEWS:
        if word not in upper:
            continue

        def rows(found: re.Match[str], columns: Any = columns, rows_of: Any = rows_of) -> str:
            scope = found.groupdict()
            tables = catalog.list_tables(scope.get("project") or project, scope["dataset"])
            return rows_as_sql(columns, [row for table in tables for row in rows_of(table)])

        for scope in (QUALIFIED, DATASET_ONLY):
            sql = re.sub(scope + name + "`?", rows, sql, flags=re.IGNORECASE)
    if "OBJECT_PRIVILEGES" in upper:
        pattern = ANY_SCOPE + r"`?INFORMATION_SCHEMA`?\s*\.\s*`?OBJECT_PRIVILEGES`?"
        empty = rows_as_sql(PRIVILEGES, [])
        sql = re.sub(pattern, lambda _found: empty, sql, flags=re.IGNORECASE)
    return sql


def ddl(table: Any) -> str:
    """Return the CREATE statement that TABLES.ddl shows."""
    from bqemulator.sql.rewriter.information_schema import _render_data_type

    name = f"`{table.project_id}.{table.dataset_id}.{table.table_id}`"
    if table.table_type == "VIEW":
        return f"CREATE VIEW {name}\nAS {table.view_query}"
    columns = ",\n  ".join(
        f"{f.name} {_render_data_type(f)}" + (" NOT NULL" if f.mode == "REQUIRED" else "") for f in table.schema_.fields
    )
    text = f"CREATE TABLE {name}\n(\n  {columns}\n)"
    if table.time_partitioning and table.time_partitioning.field:
        text += f"\nPARTITION BY {table.time_partitioning.field}"
    if table.clustering:
        text += "\nCLUSTER BY " + ", ".join(table.clustering.fields)
    return text + ";"


def split_top_level(text: str) -> list[str]:
    """Split at commas that are outside quotes and brackets."""
    parts, current, depth, quote, index = [], "", 0, "", 0
    while index < len(text):
        char = text[index]
        current += char
        if quote:
            if char == "\\":
                index += 1
                current += text[index]
            elif char == quote:
                quote = ""
        elif char in "'\"`":
            quote = char
        elif char == "," and not depth:
            parts.append(current[:-1].strip())
            current = ""
        else:
            depth += (char in "([") - (char in ")]")
        index += 1
    return [*parts, current.strip()]


def values_as_selects(sql: str) -> str:
    """Rewrite `(SELECT * FROM (VALUES ...) AS v(a, b))` as selects with aliases.

    sqlglot's BigQuery writer drops `v(a, b)` whenever another rewriter prints the statement again.
    """
    found = VALUES.match(sql)
    if not found:
        return sql
    columns = [c.strip() for c in found[2].split(",")]
    selects = (
        "SELECT " + ", ".join(f"{v} AS {c}" for v, c in zip(split_top_level(row[1:-1]), columns, strict=True))
        for row in split_top_level(found[1])
    )
    return "(" + " UNION ALL ".join(selects) + ")"


def install() -> None:
    """Add `ddl` to TABLES, keep the column names of every view, and expand the added views."""
    import bqemulator.sql.inner_query as inner_query
    import bqemulator.sql.rewriter.information_schema as views

    views._TABLES_COLUMNS += ("ddl",)
    views._TABLES_COLUMN_TYPES += (("ddl", "STRING"),)
    tables_as_values = views._tables_as_values

    def with_ddl(tables: Sequence[Any], project: str, dataset: str) -> str:
        if not tables:
            return str(tables_as_values(tables, project, dataset))
        rows = []
        for table in sorted(tables, key=lambda t: str(t.table_id)):
            one = tables_as_values((table,), project, dataset)
            row = one[one.index("VALUES (") + 7 : one.rindex(") AS v(")]
            rows.append(row[:-1] + ", " + views._sql_literal(ddl(table)) + ")")
        return f"(SELECT * FROM (VALUES {', '.join(rows)}) AS v({', '.join(views._TABLES_COLUMNS)}))"

    views._tables_as_values = with_ddl

    def keeping_names(render: Callable[..., str]) -> Callable[..., str]:
        return lambda *positional, **named: values_as_selects(render(*positional, **named))

    for name in [n for n in vars(views) if n.endswith("_as_values")]:
        setattr(views, name, keeping_names(getattr(views, name)))
    expand_theirs = inner_query.expand_information_schema

    def expand_both(sql: str, project: str, catalog: Any) -> str:
        return str(expand_theirs(expand(sql, project, catalog), project, catalog))

    inner_query.expand_information_schema = expand_both
