"""A load job with BigQuery's meaning, in place of bqemulator's, which ignores most of its options.

Rows are parsed into a temporary table first. Then one DuckDB transaction creates or alters the destination, inserts,
writes the catalogue row **and the job**: a process killed at any moment has done all of it, and remembers the job id,
or none of it.
"""

from __future__ import annotations

import re
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.engines.bigquery import load_files, transactions
from sandbox.engines.bigquery.definitions import quote
from sandbox.engines.bigquery.load_json import JsonRows
from sandbox.engines.bigquery.load_values import column_definitions, duckdb_columns, parse_fields
from sandbox.engines.bigquery.storage_objects import ObjectMissing, SourceFile, StorageObjects, StorageUnreachable

DECORATOR = re.compile(r"^(.*)\$(\d{4}|\d{6}|\d{8}|\d{10})$")
PARTITION_FORMATS = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d", 10: "%Y%m%d%H"}
JSON_FORMATS = ("NEWLINE_DELIMITED_JSON", "JSON")
#: Options that this module obeys. Any other is refused, so that none is ignored silently.
KNOWN_OPTIONS = frozenset(
    {
        "sourceUris", "destinationTable", "schema", "sourceFormat", "writeDisposition", "createDisposition",
        "autodetect", "maxBadRecords", "ignoreUnknownValues", "nullMarker", "skipLeadingRows", "fieldDelimiter",
        "quote", "allowJaggedRows", "allowQuotedNewlines", "encoding", "timePartitioning", "clustering",
        "schemaUpdateOptions", "useAvroLogicalTypes", "parquetOptions", "destinationTableProperties",
    }
)  # fmt: skip


class LoadFailed(Exception):
    """The job ends with this error result.

    Args:
        reason: BigQuery's reason (`invalid`, `notFound`, `duplicate`, `backendError`).
        errors: what goes to `status.errors` besides the result itself.
    """

    def __init__(self, reason: str, message: str, errors: Sequence[dict[str, str]] = (), location: str = "") -> None:
        super().__init__(message)
        self.result = {"reason": reason, "message": message, **({"location": location} if location else {})}
        self.errors = [self.result, *errors]


@dataclass
class Load:
    """One load job: its request, and what it found."""

    project: str
    job_id: str
    configuration: dict[str, Any]
    context: Any
    files: list[SourceFile] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.options: dict[str, Any] = dict(self.configuration.get("load", {}))
        target = self.options.get("destinationTable", {})
        decorated = DECORATOR.match(target.get("tableId", ""))
        self.partition = decorated[2] if decorated else None
        self.key = (
            target.get("projectId", self.project),
            target.get("datasetId", ""),
            decorated[1] if decorated else target.get("tableId", ""),
        )
        self.format = str(self.options.get("sourceFormat", "CSV")).upper()
        self.disposition = self.options.get("writeDisposition", "WRITE_APPEND")
        self.name = f"{self.key[0]}:{self.key[1]}.{self.key[2]}"

    @property
    def connection(self) -> Any:
        return self.context.engine.connection

    @property
    def replaces(self) -> bool:
        """True when the whole table is replaced, schema included."""
        return self.disposition == "WRITE_TRUNCATE" and not self.partition


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse what this engine does not do.

    Raises:
        LoadFailed: an option is unknown here.
    """
    for name, value in options.items():
        if name not in KNOWN_OPTIONS and value not in (None, "", [], {}, False):
            raise LoadFailed("invalid", f"The local BigQuery does not support the load option {name}")
    if str(options.get("encoding") or "UTF-8").upper().replace("_", "-") != "UTF-8":
        raise LoadFailed("invalid", f"The local BigQuery reads UTF-8 only, not {options['encoding']}")
    if "ALLOW_FIELD_RELAXATION" in (options.get("schemaUpdateOptions") or []):
        raise LoadFailed("invalid", "The local BigQuery does not support ALLOW_FIELD_RELAXATION")


def read_fields(load: Load, meta: Any) -> tuple[Any, ...]:
    """Return the schema of the rows: the job's own, the file's, the detected one or the table's."""
    given = (load.options.get("schema") or {}).get("fields")
    if given:
        return parse_fields(given)
    if load.format in ("PARQUET", "AVRO"):
        relation = load_files.self_describing(load.connection, load.files[0], load.format)
        return load_files.infer(load.connection, relation)
    if load.options.get("autodetect"):
        fields = load_files.infer_text(load.connection, load.files[0], load.format, load.options)
        if load.format == "CSV" and not load.options.get("skipLeadingRows"):
            load.options["skipLeadingRows"] = 1
        return fields
    if meta is not None and meta.schema_.fields:
        return tuple(meta.schema_.fields)
    raise LoadFailed("invalid", "No schema specified on job or table.")


def new_fields(load: Load, fields: Sequence[Any], meta: Any) -> list[Any]:
    """Return the fields that the job adds to the table.

    Raises:
        LoadFailed: additions are not allowed, or a type differs from the table's.
    """
    have = {f.name.lower(): f for f in meta.schema_.fields}
    added = [f for f in fields if f.name.lower() not in have]
    prefix = f"Provided Schema does not match Table {load.name}."
    if added and "ALLOW_FIELD_ADDITION" not in (load.options.get("schemaUpdateOptions") or []):
        raise LoadFailed("invalid", f"{prefix} Cannot add fields (field: {added[0].name})")
    for one in fields:
        old = have.get(one.name.lower())
        if old is not None and duckdb_columns([old])[0][1] != duckdb_columns([one])[0][1]:
            raise LoadFailed("invalid", f"{prefix} Field {one.name} has changed type from {old.type} to {one.type}")
    return added


def stage(load: Load, fields: Sequence[Any]) -> tuple[str, int, list[dict[str, str]]]:
    """Parse the files into a temporary table. Returns its name, the number of bad rows, and their errors.

    Raises:
        LoadFailed: more bad rows than `maxBadRecords`.
    """
    table = "_load_" + uuid.uuid4().hex
    most_bad = int(load.options.get("maxBadRecords") or 0)
    bad, errors = 0, list[dict[str, str]]()
    if load.format in JSON_FORMATS:
        reader = JsonRows(load.connection, fields, ignore_unknown=bool(load.options.get("ignoreUnknownValues")))
        bad, errors = reader.stage(table, load.files, most_bad)
    elif load.format == "CSV":
        bad, errors = load_files.stage_csv(load.connection, table, load.files, fields, load.options)
    elif load.format in ("PARQUET", "AVRO"):
        load_files.stage_self_describing(load.connection, table, load.files, fields, load.format)
    else:
        raise LoadFailed("invalid", f"The local BigQuery does not load {load.format}")
    if bad > most_bad:
        load.connection.execute(f"DROP TABLE IF EXISTS {table}")
        kind = "JSON" if load.format in JSON_FORMATS else load.format
        where = errors[0]["location"] if errors else ""
        raise LoadFailed(
            "invalid",
            f"Error while reading data, error message: {kind} table encountered too many errors, giving up. "
            f"Rows: {bad}; errors: {bad}. Please look into the errors[] collection for more details. File: {where}",
            errors,
            where,
        )
    return table, bad, errors


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
