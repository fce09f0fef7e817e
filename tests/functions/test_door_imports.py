"""What a cold start pays for is what is imported: named here, and not timed, so that one import too many fails a test."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import door_imports

ROOT = Path(__file__).resolve().parents[2]

GOOGLE = ("google.cloud", "google.api_core", "google.auth", "google.protobuf", "grpc", "proto", "requests", "opentelemetry")
READERS = ("yaml", "jsonschema", "orjson")
NEVER = ("pandas", "numpy", "pyarrow", "facebook_business", "dbt", "duckdb", "sandbox", "pytest")
"""What no function needs at all: tables are not made of frames here, and dbt is the job's."""


def loaded(imported: str, before: str = "import sys") -> list[str]:
    """Modules that ``imported`` brings in, in a fresh process, over those of ``before``."""
    code = (
        f"import sys, json; {before}; before = set(sys.modules); {imported};"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], env=door_imports.environment(), capture_output=True, text=True, check=True
    )
    return list(json.loads(answer.stdout))


def among(modules: Sequence[str], unwanted: Sequence[str]) -> list[str]:
    return [name for name in modules if any(name == package or name.startswith(f"{package}.") for package in unwanted)]


def test_the_doors_load_nothing_of_the_pipeline() -> None:
    modules = loaded("import main", before="import functions_framework")
    assert "main" in modules
    assert among(modules, (*GOOGLE, *READERS, *NEVER, "pipeline")) == []


@pytest.mark.parametrize(
    "module", ["pipeline.ingest", "pipeline.load", "pipeline.transform", "pipeline.control", "pipeline.sources.crm", "job"]
)
def test_what_a_door_leads_to_loads_no_client_and_no_reader(module: str) -> None:
    """Clients, dbt and the readers of YAML and JSON are imported where they are used: a stale hint needs few of them."""
    modules = loaded(f"import {module}")
    assert module in modules
    assert among(modules, (*GOOGLE, *READERS, *NEVER)) == []


@pytest.mark.parametrize(
    ("door", "unwanted"),
    [
        ("ingest_crm", ["google.cloud.bigquery", "google.cloud.run_v2", "google.cloud.secretmanager_v1"]),
        ("load_bronze", ["google.cloud.run_v2", "pipeline.sources.crm", "pipeline.csv_rows"]),
        ("start_dbt", ["google.cloud.bigquery", "google.cloud.pubsub_v1", "pipeline.csv_rows"]),
        ("control", ["google.cloud.bigquery", "google.cloud.run_v2", "google.cloud.secretmanager_v1"]),
    ],
)
def test_a_first_request_loads_the_clients_of_its_door_alone(door: str, unwanted: list[str]) -> None:
    modules = loaded(door_imports.first_use(door))
    assert "google.cloud.storage" in modules
    assert among(modules, (*unwanted, "google.cloud.secretmanager_v1", *NEVER)) == []


def test_every_door_is_measured() -> None:
    from pipeline import contract

    assert set(door_imports.CLIENTS) == set(contract.load().functions)
