"""A load job with BigQuery's meaning, in place of bqemulator's, which ignores most of its options.

Rows are parsed into a temporary table first. Then one DuckDB transaction creates or alters the destination, inserts,
writes the catalogue row **and the job**: a process killed at any moment has done all of it, and remembers the job id,
or none of it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sandbox.engines.bigquery import transactions
from sandbox.engines.bigquery.definitions import quote
from sandbox.engines.bigquery.load_request import Load, LoadFailed, check_options, new_fields, read_fields, stage
from sandbox.engines.bigquery.load_values import column_definitions, duckdb_columns
from sandbox.engines.bigquery.storage_objects import ObjectMissing, StorageObjects, StorageUnreachable

PARTITION_FORMATS = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d", 10: "%Y%m%d%H"}


def write(load: Load, fields: Sequence[Any], meta: Any, staged: str) -> tuple[Any, int]:
    """Move the staged rows into the destination; the caller holds the transaction.

    Returns:
        The destination's catalogue row and the number of rows that this job wrote.
    """
    from bqemulator.storage.sql_identifiers import quoted_table_ref

    connection, table = load.connection, quoted_table_ref(*load.key)
    if meta is None or load.replaces:
        connection.execute(f"CREATE OR REPLACE TABLE {table} ({column_definitions(fields)})")
        final = tuple(fields)
    else:
        added = new_fields(load, fields, meta)
        final = tuple(meta.schema_.fields) + tuple(added)
        for name, kind in duckdb_columns(added):
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {quote(name)} {kind}")
        if load.disposition == "WRITE_EMPTY" and connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]:
            raise LoadFailed("duplicate", f"Already Exists: Table {load.name}")
    row = catalogue_row(load, final, meta)
    if load.partition:
        clear_partition(load, row.time_partitioning, table, staged)
    columns = ", ".join(quote(f.name) for f in fields)
    connection.execute(f"INSERT INTO {table} ({columns}) SELECT * EXCLUDE (_bad) FROM {staged} WHERE NOT _bad")
    written = connection.execute(f"SELECT count(*) FROM {staged} WHERE NOT _bad").fetchone()[0]
    total = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    return row.model_copy(update={"num_rows": total}), written


def clear_partition(load: Load, partitioning: Any, table: str, staged: str) -> None:
    """Check that the rows belong to the partition that `table$yyyymmdd` names, and empty it on WRITE_TRUNCATE."""
    if partitioning is None or partitioning.field is None:
        raise LoadFailed("invalid", "The local BigQuery takes a partition decorator of column-partitioned tables only")
    identity = str(load.partition)
    value = f"strftime({quote(partitioning.field)}, '{PARTITION_FORMATS[len(identity)]}')"
    others = load.connection.execute(
        f"SELECT count(*) FROM {staged} WHERE NOT _bad AND {value} IS DISTINCT FROM '{identity}'"
    ).fetchone()[0]
    if others:
        raise LoadFailed("invalid", f"Some rows belong to different partitions rather than destination partition {identity}")
    if load.disposition == "WRITE_TRUNCATE":
        load.connection.execute(f"DELETE FROM {table} WHERE {value} = '{identity}'")


def catalogue_row(load: Load, fields: Sequence[Any], meta: Any) -> Any:
    """Return the destination's row of the catalogue, without its number of rows."""
    from bqemulator.catalog.etag import generate_etag
    from bqemulator.catalog.models import Clustering, TableMeta, TableSchema, TimePartitioning

    now = load.context.clock.now()
    asked, cluster = load.options.get("timePartitioning"), load.options.get("clustering")
    described = load.options.get("destinationTableProperties") or {}
    partitioning = meta.time_partitioning if meta else None
    if asked:
        partitioning = TimePartitioning(
            type=asked.get("type", "DAY"),
            field=asked.get("field"),
            expiration_ms=asked.get("expirationMs"),
            require_partition_filter=bool(asked.get("requirePartitionFilter", False)),
        )
    project, dataset, table = load.key
    return TableMeta(
        project_id=project,
        dataset_id=dataset,
        table_id=table,
        table_type="TABLE",
        schema=TableSchema(fields=tuple(fields)),
        labels=described.get("labels") or (meta.labels if meta else {}),
        description=described.get("description") or (meta.description if meta else None),
        time_partitioning=partitioning,
        clustering=Clustering(fields=tuple(cluster["fields"])) if cluster else (meta.clustering if meta else None),
        creation_time=meta.creation_time if meta else now,
        last_modified_time=now,
        num_rows=0,
        num_bytes=0,
        etag=generate_etag(project, dataset, table, "TABLE", str(now)),
    )


def job_row(load: Load, started: Any, statistics: dict[str, Any], failure: LoadFailed | None = None) -> Any:
    """Return the job as the catalogue keeps it."""
    from bqemulator.catalog.etag import generate_etag
    from bqemulator.catalog.models import JobMeta

    error = {**failure.result, "_errors": failure.errors} if failure else None
    return JobMeta(
        project_id=load.project,
        job_id=load.job_id,
        job_type="LOAD",
        state="DONE",
        configuration=load.configuration,
        statistics=statistics,
        error_result=error,
        creation_time=started,
        start_time=started,
        end_time=load.context.clock.now(),
        etag=generate_etag(load.project, load.job_id, str(started)),
    )


def run(load: Load, started: Any) -> Any:
    """Run the job whose files are fetched; returns its catalogue row, already recorded.

    Raises:
        LoadFailed: the job ends with an error.
    """
    from bqemulator.domain.errors import DomainError

    catalog = load.context.catalog
    project, dataset, _ = load.key
    if catalog.get_dataset(project, dataset) is None:
        raise LoadFailed("notFound", f"Not found: Dataset {project}:{dataset}")
    meta = catalog.get_table(*load.key)
    if meta is None and load.options.get("createDisposition") == "CREATE_NEVER":
        raise LoadFailed("notFound", f"Not found: Table {load.name}")
    if meta is not None and meta.table_type != "TABLE":
        raise LoadFailed("invalid", f"{load.name} is not allowed for this operation because it is a {meta.table_type}")
    try:
        fields = read_fields(load, meta)
        if meta is not None and not load.replaces:
            new_fields(load, fields, meta)
        staged, bad, errors = stage(load, fields)
    except KeyError as error:
        raise LoadFailed("invalid", f"The local BigQuery cannot load type {error}") from error
    try:
        with transactions.transaction(load.context):
            row, written = write(load, fields, meta, staged)
            (catalog.update_table if meta else catalog.create_table)(row)
            statistics: dict[str, Any] = {
                "load": {
                    "inputFiles": str(len(load.files)),
                    "inputFileBytes": str(sum(f.path.stat().st_size for f in load.files)),
                    "outputRows": str(written),
                    "outputBytes": "0",
                    "badRecords": str(bad),
                }
            }
            if errors:
                statistics["_errors"] = errors
            job = job_row(load, started, statistics)
            catalog.upsert_job(job)
    except (LoadFailed, DomainError):
        raise
    except Exception as error:  # DuckDB's own: a NOT NULL column, a table too wide, a full disk
        raise LoadFailed("invalid", f"Error while reading data, error message: {error}") from error
    finally:
        load.connection.execute(f"DROP TABLE IF EXISTS {staged}")
    return job


def make_executor(objects: StorageObjects, scratch: Path) -> Any:
    """Return the coroutine function that replaces `bqemulator.jobs.executor.execute_load_job`.

    Args:
        objects: where `gs://` addresses are read from.
        scratch: existing directory for the fetched objects of running jobs.
    """

    async def execute_load_job(project_id: str, job_id: str, config: dict[str, Any], ctx: Any) -> Any:
        load = Load(project_id, job_id, config, ctx)
        started = ctx.clock.now()
        with tempfile.TemporaryDirectory(dir=scratch) as directory:
            try:
                check_options(load.options)
                load.files = objects.fetch(load.options.get("sourceUris") or [], Path(directory))
                if not load.files:
                    raise LoadFailed("invalid", "No source URIs")
                return run(load, started)
            except ObjectMissing as error:
                failure = LoadFailed("notFound", str(error))
            except StorageUnreachable as error:
                failure = LoadFailed("backendError", str(error))
            except LoadFailed as error:
                failure = error
        return job_row(load, started, {"load": {}}, failure)

    return execute_load_job
