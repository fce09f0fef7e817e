"""Table definitions: what DDL and REST say about a table reaches the catalogue, and the catalogue reaches DuckDB.

bqemulator drops partitioning by expression, clustering, labels, column descriptions and NOT NULL of a CREATE TABLE
AS, ignores ALTER TABLE SET OPTIONS, and reads JSON columns back as STRING.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

SET_OPTIONS = re.compile(
    r"ALTER\s+(?:TABLE|VIEW)\s+(?:IF\s+EXISTS\s+)?([`\w.\-]+)\s+SET\s+OPTIONS\s*(\(.*\))\s*;?\s*$", re.IGNORECASE | re.S
)
COLUMN_OPTIONS = re.compile(
    r"ALTER\s+TABLE\s+(?:IF\s+EXISTS\s+)?([`\w.\-]+)\s+ALTER\s+COLUMN\s+(?:IF\s+EXISTS\s+)?`?(\w+)`?\s+"
    r"SET\s+OPTIONS\s*(\(.*\))\s*;?\s*$",
    re.IGNORECASE | re.S,
)
DAY_MS = 86_400_000
DECIMAL = re.compile(r"DECIMAL\(\d+,\s*(\d+)\)")
NUMERIC_SCALE = 9


def quote(name: str) -> str:
    """Return a DuckDB identifier."""
    return '"' + name.replace('"', '""') + '"'


@dataclass
class Definition:
    """What a CREATE statement says beyond names and types of columns."""

    partition: tuple[str, str | None] | None = None  # (unit, column or None for ingestion time)
    cluster: tuple[str, ...] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    descriptions: dict[str, str] = field(default_factory=dict)
    required: list[str] = field(default_factory=list)


def literal(node: Any) -> Any:
    """Return the Python value of an option: text, number, bool, list, tuple or None; other expressions as SQL."""
    from sqlglot import exp

    if node is None or isinstance(node, exp.Null):
        return None
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    if isinstance(node, exp.Literal):
        return node.this if node.is_string else float(node.this)
    if isinstance(node, exp.Array):
        return [literal(e) for e in node.expressions]
    if isinstance(node, (exp.Tuple, exp.Struct)):
        return tuple(literal(e) for e in node.expressions)
    return node.sql(dialect="bigquery")


def read_create(create: Any) -> Definition:
    """Read a parsed CREATE TABLE or CREATE VIEW."""
    from sqlglot import exp

    out = Definition()
    if isinstance(create.this, exp.Schema):
        for column in create.this.find_all(exp.ColumnDef):
            for constraint in column.constraints:
                if isinstance(constraint.kind, exp.NotNullColumnConstraint):
                    out.required.append(column.name)
                for option in constraint.find_all(exp.Property):
                    if option.name.lower() == "description":
                        out.descriptions[column.name] = option.args["value"].name
    properties = create.args.get("properties")
    for item in properties.expressions if properties else []:
        if isinstance(item, exp.PartitionedByProperty):
            out.partition = _partition(item.this)
        elif isinstance(item, (exp.Cluster, exp.ClusterProperty)):
            out.cluster = tuple(e.name for e in item.expressions)
        elif isinstance(item, exp.Property) and item.name:
            out.options[item.name.lower()] = literal(item.args.get("value"))
    return out


def _partition(node: Any) -> tuple[str, str | None] | None:
    from sqlglot import exp

    if "RANGE_BUCKET" in node.sql(dialect="bigquery").upper():
        return None  # integer ranges are not recorded: nothing here depends on them
    column = node.find(exp.Column)
    name = column.name if column else (node.name if isinstance(node, exp.Identifier) else None)
    unit = node.args.get("unit")
    kind = unit.name.upper() if unit is not None else "DAY"
    return (kind, None) if name is None or name.upper().startswith("_PARTITION") else (kind, name)


def with_options(meta: Any, options: dict[str, Any]) -> Any:
    """Return the catalogue row with OPTIONS(...) applied."""
    changes: dict[str, Any] = {}
    if "description" in options:
        changes["description"] = options["description"]
    if "labels" in options:
        changes["labels"] = dict(options["labels"] or [])
    partitioning = meta.time_partitioning
    if partitioning and "require_partition_filter" in options:
        required = bool(options["require_partition_filter"])
        partitioning = partitioning.model_copy(update={"require_partition_filter": required})
    if partitioning and options.get("partition_expiration_days"):
        expiration = int(float(options["partition_expiration_days"]) * DAY_MS)
        partitioning = partitioning.model_copy(update={"expiration_ms": expiration})
    if partitioning:
        changes["time_partitioning"] = partitioning
    return meta.model_copy(update=changes)


def after_statement(sql: str, project: str, context: Any) -> None:
    """Complete the catalogue after one DDL statement ran. Other statements pass.

    Raises:
        duckdb.Error: a NOT NULL column of a CREATE TABLE AS received a NULL.
    """
    if not re.search(r"\b(CREATE|ALTER)\b", sql, re.IGNORECASE):
        return
    found = SET_OPTIONS.search(sql)
    if found:
        _set_options(found[1], found[2], project, context)
        return
    found = COLUMN_OPTIONS.search(sql)
    if found:
        _describe_column(found[1], found[2], found[3], project, context)
        return
    import sqlglot
    from bqemulator.catalog import ddl_sync
    from sqlglot import exp

    try:
        tree = sqlglot.parse_one(sql, read="bigquery")
    except sqlglot.errors.SqlglotError:
        return
    if isinstance(tree, exp.Alter):
        _refresh_columns(ddl_sync._split_target(tree.this, project), context)
    elif isinstance(tree, exp.Create) and (tree.kind or "").upper() in ("TABLE", "VIEW"):
        target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
        if isinstance(target, exp.Table):
            _complete(tree, ddl_sync._split_target(target, project), context)


def _options(text: str) -> dict[str, Any]:
    import sqlglot

    if not text.strip("() \n"):
        return {}
    create = sqlglot.parse_one(f"CREATE TABLE x (a INT64) OPTIONS{text}", read="bigquery")
    return read_create(create).options


def _describe_column(name: str, column: str, options: str, project: str, context: Any) -> None:
    meta = context.catalog.get_table(*([project, *name.replace("`", "").split(".")])[-3:])
    description = _options(options).get("description")
    if meta is None or description is None:
        return
    fields = tuple(
        f.model_copy(update={"description": description}) if f.name.lower() == column.lower() else f
        for f in meta.schema_.fields
    )
    context.catalog.update_table(meta.model_copy(update={"schema_": meta.schema_.model_copy(update={"fields": fields})}))


def _set_options(name: str, options: str, project: str, context: Any) -> None:
    key = ([project, *name.replace("`", "").split(".")])[-3:]
    meta = context.catalog.get_table(*key)
    if meta is not None:
        context.catalog.update_table(with_options(meta, _options(options)))


def _refresh_columns(key: tuple[str, str, str], context: Any) -> None:
    """ADD/DROP/RENAME COLUMN changed DuckDB's table: read the columns again, keeping what the catalogue knew."""
    meta = context.catalog.get_table(*key)
    if meta is None:
        return
    known = {f.name: f for f in meta.schema_.fields}
    schema = read_schema(*key, context)
    fields = tuple(known.get(f.name, f) for f in schema.fields)
    context.catalog.update_table(meta.model_copy(update={"schema_": schema.model_copy(update={"fields": fields})}))


def _complete(create: Any, key: tuple[str, str, str], context: Any) -> None:
    from bqemulator.catalog.models import Clustering, TimePartitioning
    from bqemulator.storage.sql_identifiers import quoted_table_ref

    meta = context.catalog.get_table(*key)
    if meta is None:
        return
    definition = read_create(create)
    if create.expression is not None:
        for column in definition.required:
            context.engine.execute(f"ALTER TABLE {quoted_table_ref(*key)} ALTER COLUMN {quote(column)} SET NOT NULL")
    changes: dict[str, Any] = {}
    if definition.partition:
        changes["time_partitioning"] = TimePartitioning(type=definition.partition[0], field=definition.partition[1])
    if definition.cluster:
        changes["clustering"] = Clustering(fields=definition.cluster)
    if definition.descriptions or definition.required:
        fields = tuple(
            f.model_copy(
                update={
                    "description": definition.descriptions.get(f.name, f.description),
                    "mode": "REQUIRED" if f.name in definition.required else f.mode,
                }
            )
            for f in meta.schema_.fields
        )
        changes["schema_"] = meta.schema_.model_copy(update={"fields": fields})
    meta = meta.model_copy(update=changes)
    context.catalog.update_table(with_options(meta, definition.options))


def read_schema(project: str, dataset: str, table: str, context: Any) -> Any:
    """Read a table's columns from DuckDB as BigQuery fields, JSON included (through Arrow it would be STRING)."""
    from bqemulator.api.routes.tables import _parse_schema_fields
    from bqemulator.catalog.models import TableSchema
    from bqemulator.storage.sql_identifiers import quoted_table_ref
    from bqemulator.storage.type_map import duckdb_type_to_bq_field

    rows = context.engine.execute(f"DESCRIBE {quoted_table_ref(project, dataset, table)}").fetchall()
    raw = []
    for name, kind, nullable, *_ in rows:
        column = duckdb_type_to_bq_field(name, duckdb_column_type(kind))
        decimal = DECIMAL.match(kind)
        if decimal and int(decimal[1]) > NUMERIC_SCALE:
            column["type"] = "BIGNUMERIC"
        if nullable == "NO" and column.get("mode", "NULLABLE") == "NULLABLE":
            column["mode"] = "REQUIRED"
        raw.append(column)
    return TableSchema(fields=tuple(_parse_schema_fields(raw)))


def duckdb_column_type(kind: str) -> str:
    """Return the DuckDB type that bqemulator knows for one that it does not (unsigned, huge, precise timestamps)."""
    known = {"HUGEINT": "BIGINT", "UBIGINT": "BIGINT", "UINTEGER": "BIGINT", "UUID": "VARCHAR"}
    return known.get(kind, re.sub(r"TIMESTAMP_(S|MS|NS)\b", "TIMESTAMP", kind))


def install() -> None:
    """Run `after_statement` after every statement, alone or in a script, and read columns by `read_schema`."""
    import bqemulator.catalog.ddl_sync as ddl_sync
    import bqemulator.jobs.executor as executor
    import bqemulator.scripting.interpreter as interpreter
    from bqemulator.domain.errors import DomainError
    from bqemulator.jobs.error_mapper import translate_runtime_error

    ddl_sync._introspect_schema = read_schema
    run_body = executor._run_query_body

    async def run_and_complete(**arguments: Any) -> Any:
        out = await run_body(**arguments)
        if not arguments["is_scripted"]:
            try:
                after_statement(arguments["bq_sql"], arguments["project_id"], arguments["ctx"])
            except DomainError:
                raise
            except Exception as error:
                raise translate_runtime_error(error, duckdb_sql="") from error
        return out

    executor._run_query_body = run_and_complete
    sync = interpreter.sync_created_view

    def sync_and_complete(sql: str, project: str, context: Any) -> None:
        sync(sql, project, context)
        try:
            after_statement(sql, project, context)
        except DomainError:
            raise
        except Exception as error:
            raise translate_runtime_error(error, duckdb_sql="") from error

    # The last of the interpreter's catalogue updates after a CREATE: the table's row exists by then.
    interpreter.sync_created_view = sync_and_complete
