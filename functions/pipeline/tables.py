"""The tables of the dataset ``bronze``: one shape for every stream, and the ledgers beside them.

Terraform creates them; a test holds its schemas against these. The loader uses them as the fixed schema of its load jobs,
dbt's sources file is generated from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.contract import Contract

DATASET = "bronze"


@dataclass(frozen=True, slots=True)
class Column:
    """A column by BigQuery's own type name."""

    name: str
    type: str
    description: str


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    description: str
    columns: tuple[Column, ...]
    partition: str | None = None
    cluster: tuple[str, ...] = ()
    require_partition_filter: bool = False


_ORIGIN = (
    Column("_run_id", "STRING", "Run that extracted the row."),
    Column("_slice_id", "STRING", "Slice that extracted the row; joins to bronze.slices."),
    Column("_account_id", "STRING", "Whose data: an ad account, a property, a CRM."),
    Column("_row", "INT64", "Position of the row in its slice, from 1."),
    Column("_file", "STRING", "Name of the file that the row stood in; null for an API."),
    Column("_line", "INT64", "Line of the file where the row starts, from 1; null for an API."),
    Column("_date", "DATE", "UTC day of the slice's as_of; the partition."),
)
_PAYLOAD = Column("payload", "JSON", "The row: as the API gave it, or a file's cells as text under the contract's names.")

ROW_COLUMNS = (*_ORIGIN, _PAYLOAD)
SET_ASIDE_COLUMNS = (
    *_ORIGIN,
    Column("_stream", "STRING", "Stream that the row was meant for, for example crm.orders."),
    Column("payload", "JSON", "reason, column, value and the raw row as text."),
)
SLICE_COLUMNS = (
    Column("build", "INT64", "First build that may read the slice; the smallest where a slice stands twice."),
    Column("run_id", "STRING", "Run that the slice belongs to."),
    Column("slice_id", "STRING", "The slice."),
    Column("source", "STRING", "Source of the slice."),
    Column("stream", "STRING", "Stream of the slice, for example crm.orders."),
    Column("account_id", "STRING", "Whose data."),
    Column("mode", "STRING", "How it replaces older slices: dates, upsert or snapshot."),
    Column("window_from", "DATE", "First date that the slice covers; null for files."),
    Column("window_to", "DATE", "Last date that the slice covers; null for files."),
    Column("file_name", "STRING", "Name of the file in landing; null for an API."),
    Column("file_sha256", "STRING", "The file's identity: the hash of its bytes."),
    Column("file_at", "TIMESTAMP", "When the file arrived in landing."),
    Column("as_of", "TIMESTAMP", "When the extraction began, by Cloud Storage's clock: the order of truth between slices."),
    Column("rows", "INT64", "Rows loaded."),
    Column("aside", "INT64", "Rows set aside by the extraction."),
    Column("non_rows", "INT64", "Declared non-rows of a file: blank lines, preamble, totals."),
    Column("bytes", "INT64", "Compressed size of the slice's objects."),
    Column("contract", "STRING", "Digest of the contract that the slice was planned with."),
    Column("unknown_fields", "JSON", "Fields that the contract does not know, with how many rows carried them."),
    Column("api", "JSON", "What the source said about the answer: versions, flags, format guesses."),
)
FAILURE_COLUMNS = (
    Column("build", "INT64", "First build that saw the failure."),
    Column("run_id", "STRING", "Run that the slice belongs to."),
    Column("slice_id", "STRING", "The slice that ended without data; it may have loaded since."),
    Column("source", "STRING", "Source of the slice."),
    Column("stream", "STRING", "Stream of the slice."),
    Column("account_id", "STRING", "Whose data."),
    Column("file_name", "STRING", "Name of the file in landing; null for an API."),
    Column("kind", "STRING", "Short word for the reason, for example file_set_aside."),
    Column("message", "STRING", "What happened, to which file, column, account or field."),
    Column("next_step", "STRING", "What a person should do."),
    Column("failed_at", "TIMESTAMP", "When it was noted."),
)

SET_ASIDE = Table(
    "set_aside",
    "Rows that extraction could not deliver, with reason and origin.",
    SET_ASIDE_COLUMNS,
    partition="_date",
    cluster=("_slice_id",),
    require_partition_filter=True,
)
SLICES = Table("slices", "One row per loaded slice and build: what the warehouse knows of.", SLICE_COLUMNS, partition="as_of")
FAILURES = Table("failures", "Slices and whole files that ended without data, with the next step.", FAILURE_COLUMNS)


def bronze(contract: Contract) -> tuple[Table, ...]:
    """Every table of the dataset ``bronze``: one per stream of the contract, then the ledgers."""
    streams = tuple(
        Table(
            stream.table,
            f"{stream.grain} Rows as extracted.",
            ROW_COLUMNS,
            partition="_date",
            cluster=("_slice_id",),
            require_partition_filter=True,
        )
        for stream in contract.streams.values()
    )
    return (*streams, SET_ASIDE, SLICES, FAILURES)


def dbt_sources(contract: Contract) -> str:
    """Text of dbt's sources file: the bronze tables with their column types, and the salt of personal hashes."""
    lines = [
        "# Generated from functions/pipeline.yaml by `python -m pipeline.contract --write`. Do not edit.",
        "version: 2",
        "",
        "sources:",
        f"  - name: {DATASET}",
        f"    schema: {DATASET}",
        '    description: "Rows as extracted, one table per stream, and the ledgers beside them."',
        "    tables:",
    ]
    for table in bronze(contract):
        lines += _dbt_table(table)
    salt = Table("salt", "Exactly one row: the secret that hashes of personal data are made with.", (
        Column("salt", "STRING", "Random text; whoever reads it can match hashes to people."),
    ))  # fmt: skip
    lines += ["", "  - name: silver_pii", "    schema: silver_pii"]
    lines += [
        '    description: "The one restricted dataset that holds personal data."',
        "    tables:",
        *_dbt_table(salt),
    ]
    return "\n".join(lines) + "\n"


def _dbt_table(table: Table) -> list[str]:
    lines = [f"      - name: {table.name}", f'        description: "{table.description}"', "        columns:"]
    for column in table.columns:
        text = f'name: {column.name}, data_type: {column.type.lower()}, description: "{column.description}"'
        lines.append(f"          - {{{text}}}")
    return lines
