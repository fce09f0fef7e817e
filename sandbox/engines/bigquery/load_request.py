"""What a load job asks for, and its rows parsed into a temporary table."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.engines.bigquery import load_files
from sandbox.engines.bigquery.load_json import JsonRows
from sandbox.engines.bigquery.load_values import duckdb_columns, parse_fields
from sandbox.engines.bigquery.storage_objects import SourceFile

DECORATOR = re.compile(r"^(.*)\$(\d{4}|\d{6}|\d{8}|\d{10})$")
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
