"""Writes bronze as the pipeline leaves it, without the pipeline: what the warehouse's tests feed it with.

Runs in the environment of `requirements/dbt.txt`; the address of the local BigQuery is in `BIGQUERY_EMULATOR_HOST`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

PROJECT = "sandbox-project"
SOURCES = Path(__file__).resolve().parents[2] / "dbt_job" / "models" / "bronze" / "_sources.yml"
DATASETS = ("bronze", "silver", "silver_pii", "gold", "audit")

Row = Mapping[str, Any]


def schemas() -> dict[str, list[bigquery.SchemaField]]:
    """``{"bronze.crm__orders": [field, ...], ...}``, from dbt's own sources file."""
    found = {}
    for source in yaml.safe_load(SOURCES.read_text())["sources"]:
        for table in source["tables"]:
            fields = [bigquery.SchemaField(one["name"], one["data_type"].upper()) for one in table["columns"]]
            found[f"{source['schema']}.{table['name']}"] = fields
    return found


class Bronze:
    """A warehouse with an empty bronze. ``build`` is the number under which the next slices are registered."""

    def __init__(self) -> None:
        options = ClientOptions(api_endpoint=os.environ["BIGQUERY_EMULATOR_HOST"])
        self.client = bigquery.Client(PROJECT, AnonymousCredentials(), client_options=options, location="EU")  # type: ignore[no-untyped-call]
        self.schemas = schemas()
        self.build = 1
        self.slices = 0

    def create(self) -> None:
        """Drop every dataset and make the tables that Terraform makes, all empty but the salt."""
        for name in DATASETS:
            self.client.delete_dataset(f"{PROJECT}.{name}", delete_contents=True, not_found_ok=True)
            self.client.create_dataset(f"{PROJECT}.{name}")
        for name, fields in self.schemas.items():
            table = bigquery.Table(f"{PROJECT}.{name}", schema=fields)
            if "__" in name or name.endswith(".set_aside"):
                table.time_partitioning = bigquery.TimePartitioning(field="_date")
                table.require_partition_filter = True
            self.client.create_table(table)
        self.query("insert into silver_pii.salt (salt) values ('pepper')")

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """All rows of a statement."""
        return [tuple(row.values()) for row in self.client.query(sql, timeout=120).result(timeout=120)]

    def add_slice(
        self,
        stream: str,
        rows: Sequence[Row],
        *,
        file_at: str,
        mode: str = "upsert",
        account: str = "default",
        file_name: str | None = None,
        slice_id: str | None = None,
        aside: Sequence[Row] = (),
        unknown_fields: Row | None = None,
        window: tuple[str, str] | None = None,
        build: int | None = None,
    ) -> str:
        """Load one slice of a CRM stream (``orders``) and register it; its as_of is ``file_at``. Returns the slice's id.

        ``window``: first and last day of a file of whole days (mode ``dates``).
        """
        self.slices += 1
        slice_id = slice_id or f"s{self.slices:04d}"
        file_name = file_name or f"{stream}-{self.slices}.csv"
        origin = {"_run_id": "run", "_slice_id": slice_id, "_account_id": account, "_file": file_name, "_date": file_at[:10]}
        self._load(
            f"bronze.crm__{stream}", ({**origin, "_row": n, "_line": n + 1, "payload": row} for n, row in enumerate(rows, 1))
        )
        bad = (
            {**origin, "_row": n, "_line": 900 + n, "_stream": f"crm.{stream}", "payload": row}
            for n, row in enumerate(aside, 1)
        )
        self._load("bronze.set_aside", bad)
        registered = {
            "build": build or self.build, "run_id": "run", "slice_id": slice_id, "source": "crm", "stream": f"crm.{stream}",
            "account_id": account, "mode": mode, "file_name": file_name, "file_at": file_at, "as_of": file_at,
            "rows": len(rows), "aside": len(aside), "non_rows": 0, "unknown_fields": unknown_fields,
            "window_from": window[0] if window else None, "window_to": window[1] if window else None,
        }  # fmt: skip
        self._load("bronze.slices", [registered])
        return slice_id

    def add_failure(self, **values: Any) -> None:
        """Register a slice that failed."""
        self._load(
            "bronze.failures", [{"build": self.build, "run_id": "run", "source": "crm", "account_id": "default", **values}]
        )

    def _load(self, table: str, rows: Iterable[Row]) -> None:
        rows = list(rows)
        if rows:
            job = bigquery.LoadJobConfig(schema=self.schemas[table], write_disposition="WRITE_APPEND")
            self.client.load_table_from_json(rows, f"{PROJECT}.{table}", job_config=job).result(timeout=120)


class Warehouse:
    """dbt in this process, over a :class:`Bronze`: import and parse are paid once."""

    def __init__(self, bronze: Bronze, scratch: Path) -> None:
        from dbt.cli.main import dbtRunner

        folder = SOURCES.parents[2]
        os.environ |= {"DBT_TARGET_PATH": str(scratch / "target"), "DBT_LOG_PATH": str(scratch / "logs")}
        os.environ |= {"PIPELINE_REPORTING_CURRENCY": "GBP", "PIPELINE_REPORTING_TIME_ZONE": "Europe/London"}
        self.bronze = bronze
        self.runner = dbtRunner()
        self.where = ["--project-dir", str(folder), "--profiles-dir", str(folder), "--target", "sandbox"]

    def dbt(self, command: str, *words: str, **variables: Any) -> dict[str, str]:
        """Run one command. Returns ``{node: status}``; raises AssertionError with dbt's messages when a node fails."""
        result = self.runner.invoke([command, "--quiet", *self.where, "--vars", yaml.safe_dump(variables), *words])
        if result.exception is not None:
            raise AssertionError(str(result.exception))
        nodes = list(result.result) if result.result is not None else []
        bad = [f"{one.node.name}: {one.message}" for one in nodes if str(one.status) in ("error", "fail")]
        if bad:
            raise AssertionError("\n".join(bad))
        return {one.node.name: str(one.status) for one in nodes}

    def build(self, *words: str) -> dict[str, str]:
        """A production build of everything registered so far."""
        return self.dbt("build", "--exclude-resource-type", "unit_test", *words, build=self.bronze.build)

    def rows(self, table: str) -> list[str]:
        """The table without the columns that begin with ``_``, as sorted text: what a full refresh must reproduce."""
        fields = self.bronze.client.get_table(f"{PROJECT}.{table}").schema
        names = [one.name for one in fields if not one.name.startswith("_")]
        return sorted(map(repr, self.bronze.query(f"select {', '.join(names)} from {table}")))
