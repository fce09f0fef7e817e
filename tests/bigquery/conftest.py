"""The local BigQuery as a child process, with the real client; one engine and one Storage for the whole session."""

from __future__ import annotations

import gzip
import itertools
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from sandbox.engines.bigquery_process import ENVIRONMENT, BigQueryProcess
from sandbox.engines.storage import StorageEngine
from tests.sandbox.engine_clients import storage_client

PROJECT = "sandbox-project"
BUCKET = "sandbox-project-bronze"
FIELD = bigquery.SchemaField
Rows = list[tuple[Any, ...]]
Query = Callable[..., Rows]
Put = Callable[..., str]

pytestmark = pytest.mark.slow


def client_of(address: str) -> bigquery.Client:
    """A client of the local engine."""
    return bigquery.Client(
        project=PROJECT,
        credentials=AnonymousCredentials(),
        location="EU",
        client_options={"api_endpoint": address},
    )


def run(client: bigquery.Client, sql: str, **options: Any) -> Rows:
    """Run a query without any retry; rows as tuples."""
    job = client.query(sql, retry=None, job_retry=None, job_config=bigquery.QueryJobConfig(**options))
    return [tuple(row.values()) for row in job.result(retry=None, timeout=120)]


@pytest.fixture(scope="session")
def storage_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    engine = StorageEngine(tmp_path_factory.mktemp("storage"))
    address = engine.start()
    storage_client(address).create_bucket(BUCKET)
    yield address
    engine.stop()


@pytest.fixture(scope="session")
def start_engine(storage_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., BigQueryProcess]]:
    """Start further engines; all are stopped at the end."""
    if not (ENVIRONMENT / "bin" / "python").exists():
        pytest.skip(f"no environment at {ENVIRONMENT}: run `make install`")
    started: list[BigQueryProcess] = []

    def start(directory: Path | None = None) -> BigQueryProcess:
        engine = BigQueryProcess(directory or tmp_path_factory.mktemp("bigquery"), storage=storage_address)
        started.append(engine)
        engine.start()
        return engine

    yield start
    for engine in started:
        engine.stop()


@pytest.fixture(scope="session")
def engine(start_engine: Callable[..., BigQueryProcess]) -> BigQueryProcess:
    return start_engine()


@pytest.fixture(scope="session")
def client(engine: BigQueryProcess) -> bigquery.Client:
    return client_of(engine.address)


@pytest.fixture
def dataset(client: bigquery.Client) -> Iterator[str]:
    """A fresh dataset's name."""
    name = "d_" + uuid.uuid4().hex[:10]
    client.create_dataset(name)
    yield name
    client.delete_dataset(name, delete_contents=True)


@pytest.fixture
def query(client: bigquery.Client, dataset: str) -> Query:
    """Run SQL in which `{d}` stands for the test's dataset."""

    def ask(sql: str, **options: Any) -> Rows:
        return run(client, sql.replace("{d}", dataset), **options)

    return ask


@pytest.fixture(scope="session")
def put(storage_address: str) -> Put:
    """Store lines as an object of the bucket (gzip when its name ends so) and return its `gs://` address."""
    bucket = storage_client(storage_address).bucket(BUCKET)
    counter = itertools.count()

    def store(lines: Sequence[Mapping[str, Any] | str], name: str = "rows-{}.jsonl.gz") -> str:
        text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
        name = name.format(next(counter))
        data = text.encode()
        bucket.blob(name).upload_from_string(gzip.compress(data) if name.endswith(".gz") else data)
        return f"gs://{BUCKET}/{name}"

    return store


BRONZE = (
    FIELD("_run_id", "STRING"),
    FIELD("_slice_id", "STRING"),
    FIELD("_account_id", "STRING"),
    FIELD("_row", "INT64"),
    FIELD("_file", "STRING"),
    FIELD("_line", "INT64"),
    FIELD("_date", "DATE"),
    FIELD("payload", "JSON"),
)


@pytest.fixture
def bronze(client: bigquery.Client, dataset: str) -> str:
    """A table as Terraform makes those of bronze; returns its full name."""
    name = f"{PROJECT}.{dataset}.crm__orders"
    table = bigquery.Table(name, schema=BRONZE)
    table.time_partitioning = bigquery.TimePartitioning(field="_date")
    table.clustering_fields = ["_slice_id"]
    table.require_partition_filter = True
    client.create_table(table)
    return name


def row(number: int | str, **changes: Any) -> dict[str, Any]:
    """One row of bronze."""
    return {
        "_run_id": "20261124T000000Z-crm-00000000",
        "_slice_id": "s0000000000000001",
        "_account_id": "default",
        "_row": number,
        "_file": "orders.csv",
        "_line": 7,
        "_date": "2026-11-24",
        "payload": {"order_id": str(number), "total": "12.50"},
    } | changes


def json_load(**options: Any) -> bigquery.LoadJobConfig:
    """Options of a load of newline-delimited JSON."""
    return bigquery.LoadJobConfig(
        **({"source_format": "NEWLINE_DELIMITED_JSON", "write_disposition": "WRITE_APPEND"} | options)
    )
