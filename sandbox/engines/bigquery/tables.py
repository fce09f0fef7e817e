"""Tables and datasets through REST: what bqemulator records but does not do, done or refused."""

from __future__ import annotations

from typing import Any

from sandbox.engines.bigquery.definitions import quote
from sandbox.engines.bigquery.load_values import duckdb_columns

#: Parts of a table resource that would be accepted and then mean nothing.
REFUSED = ("view", "materializedView", "externalDataConfiguration", "rangePartitioning", "tableConstraints")


def install(location: str) -> None:
    """Replace the conversions between REST bodies, catalogue rows and DuckDB tables.

    Args:
        location: the location of datasets made by SQL.
    """
    import bqemulator.api.routes.tables as routes
    from bqemulator.catalog import duckdb_repository, models

    models.DatasetMeta.model_fields["location"].default = location
    models.DatasetMeta.model_rebuild(force=True)
    engine: dict[str, Any] = {}
    _install_from_rest(routes)
    _install_to_rest(routes, engine, location)
    _install_catalogue(duckdb_repository.DuckDBCatalogRepository, engine)
    _install_view_deletion()


def _install_from_rest(routes: Any) -> None:
    from bqemulator.catalog.models import TimePartitioning
    from bqemulator.domain.errors import ValidationError

    convert = routes._rest_to_table_meta

    def from_rest(project: str, dataset: str, body: dict[str, Any], clock: Any, existing: Any = None) -> Any:
        for part in REFUSED:
            if body.get(part) and not (existing is not None and existing.table_type == "VIEW"):
                raise ValidationError(f"The local BigQuery does not create tables with {part} through the API: use SQL")
        meta = convert(project, dataset, body, clock, existing)
        required = body.get("requirePartitionFilter")
        if required is not None:
            partitioning = meta.time_partitioning or TimePartitioning()
            partitioning = partitioning.model_copy(update={"require_partition_filter": bool(required)})
            meta = meta.model_copy(update={"time_partitioning": partitioning})
        if existing is not None and existing.table_type == "TABLE":
            _check_schema_change(existing, meta)
        return meta

    def _check_schema_change(old: Any, new: Any) -> None:
        now = {f.name.lower(): f for f in new.schema_.fields}
        prefix = f"Provided Schema does not match Table {old.project_id}:{old.dataset_id}.{old.table_id}."
        for field in old.schema_.fields:
            after = now.get(field.name.lower())
            if after is None:
                raise ValidationError(f"{prefix} Field {field.name} is missing in new schema")
            if duckdb_columns([field]) != duckdb_columns([after]):
                raise ValidationError(f"{prefix} Field {field.name} has changed type from {field.type} to {after.type}")

    routes._rest_to_table_meta = from_rest


def _install_to_rest(routes: Any, engine: dict[str, Any], location: str) -> None:
    from bqemulator.storage.sql_identifiers import quoted_table_ref

    convert = routes._table_to_rest

    def to_rest(table: Any) -> dict[str, Any]:
        body: dict[str, Any] = convert(table)
        body["location"] = location
        if table.table_type == "VIEW" and table.view_query:
            body["view"] = {"query": table.view_query, "useLegacySql": False}
        if table.time_partitioning and table.time_partitioning.require_partition_filter:
            body["requirePartitionFilter"] = True
        if table.table_type == "TABLE" and engine:
            # The catalogue counts rows at creation and load; INSERT and MERGE do not tell it.
            reference = quoted_table_ref(table.project_id, table.dataset_id, table.table_id)
            body["numRows"] = str(engine["engine"].execute(f"SELECT count(*) FROM {reference}").fetchone()[0])
        return body

    routes._table_to_rest = to_rest


def _install_catalogue(repository: Any, engine: dict[str, Any]) -> None:
    from bqemulator.storage.sql_identifiers import quoted_table_ref

    ready, create, update = repository.ensure_ready, repository.create_table, repository.update_table

    def ensure_ready(self: Any) -> None:
        engine["engine"] = self._engine
        ready(self)

    def described(self: Any, meta: Any) -> dict[str, bool]:
        """Columns of the DuckDB table, lower-cased, and whether each is NOT NULL."""
        project, dataset = f"{meta.project_id}__{meta.dataset_id}", meta.table_id
        rows = self._engine.execute(
            "SELECT column_name, is_nullable FROM information_schema.columns WHERE table_schema = ? AND table_name = ?",
            [project, dataset],
        ).fetchall()
        return {name.lower(): nullable == "NO" for name, nullable in rows}

    def reconcile(self: Any, meta: Any) -> None:
        """tables.insert and tables.patch change the catalogue only: add what DuckDB's table lacks."""
        if meta.table_type != "TABLE" or not meta.schema_.fields:
            return
        have = described(self, meta)
        if not have:
            return
        reference = quoted_table_ref(meta.project_id, meta.dataset_id, meta.table_id)
        for name, kind in duckdb_columns(meta.schema_.fields):
            if name.lower() not in have:
                self._engine.execute(f"ALTER TABLE {reference} ADD COLUMN {quote(name)} {kind}")
        for field in meta.schema_.fields:
            if field.mode == "REQUIRED" and not have.get(field.name.lower(), False):
                self._engine.execute(f"ALTER TABLE {reference} ALTER COLUMN {quote(field.name)} SET NOT NULL")

    def create_table(self: Any, meta: Any) -> Any:
        out = create(self, meta)
        reconcile(self, meta)
        return out

    def update_table(self: Any, meta: Any) -> Any:
        out = update(self, meta)
        reconcile(self, meta)
        return out

    repository.ensure_ready = ensure_ready
    repository.create_table = create_table
    repository.update_table = update_table


def _install_view_deletion() -> None:
    """tables.delete of a view: bqemulator would send DROP TABLE for it, and answer 500."""
    from bqemulator.storage.engine import DuckDBEngine

    execute = DuckDBEngine.execute

    def executing(self: Any, sql: str, parameters: list[Any] | None = None) -> Any:
        if sql.startswith('DROP TABLE IF EXISTS "'):
            reference = sql.removeprefix("DROP TABLE IF EXISTS ")
            if reference.count('"') == 4:
                schema, name = reference.replace('"', "").split(".", 1)
                views = "SELECT count(*) FROM duckdb_views() WHERE schema_name = ? AND view_name = ?"
                if execute(self, views, [schema, name]).fetchone()[0]:
                    sql = f"DROP VIEW IF EXISTS {reference}"
        return execute(self, sql, parameters)

    DuckDBEngine.execute = executing
