"""Jobs: an id is used once, errors are not retried, what was acknowledged survives a kill."""

from __future__ import annotations

import datetime
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from google.api_core.exceptions import BadRequest, Conflict, NotFound
from google.cloud import bigquery

from sandbox.engines.bigquery_process import BigQueryProcess, BigQueryUnavailable
from tests.bigquery.conftest import FIELD, PROJECT, Put, Query, client_of, json_load, row, run

pytestmark = pytest.mark.slow


def test_a_job_id_is_used_once(client: bigquery.Client, bronze: str, put: Put) -> None:
    uri, job_id = put([row(1)]), f"load-{uuid.uuid4().hex}"
    client.load_table_from_uri(uri, bronze, job_id=job_id, job_config=json_load()).result(retry=None)
    with pytest.raises(Conflict, match=f"Already Exists: Job {PROJECT}:EU.{job_id}"):
        client.load_table_from_uri(uri, bronze, job_id=job_id, job_config=json_load(), retry=None)
    assert client.get_table(bronze).num_rows == 1
    found = client.get_job(job_id)
    assert (found.state, found.output_rows, found.location) == ("DONE", 1, "EU")


def test_a_failed_job_keeps_its_id_too(client: bigquery.Client, bronze: str, put: Put) -> None:
    job_id = f"load-{uuid.uuid4().hex}"
    job = client.load_table_from_uri(put(["nonsense"]), bronze, job_id=job_id, job_config=json_load())
    with pytest.raises(BadRequest):
        job.result(retry=None)
    with pytest.raises(Conflict):
        client.load_table_from_uri(put([row(1)]), bronze, job_id=job_id, job_config=json_load(), retry=None)
    assert client.get_job(job_id).error_result["reason"] == "invalid"


def test_upload_of_a_known_job_id_conflicts(client: bigquery.Client, dataset: str) -> None:
    config = json_load(schema=[FIELD("a", "INT64")])
    job_id = f"upload-{uuid.uuid4().hex}"
    client.load_table_from_json([{"a": 1}], f"{dataset}.t", job_id=job_id, job_config=config).result(retry=None)
    with pytest.raises(Conflict):
        client.load_table_from_json([{"a": 1}], f"{dataset}.t", job_id=job_id, job_config=config)
    assert client.get_table(f"{dataset}.t").num_rows == 1


def test_unknown_job_is_not_found(client: bigquery.Client) -> None:
    with pytest.raises(NotFound):
        client.get_job("never-seen", retry=None)


def test_another_location_is_refused(client: bigquery.Client) -> None:
    with pytest.raises(NotFound, match="location US"):
        client.query("select 1", location="US", retry=None, job_retry=None)


def test_labels_and_statistics_are_kept(client: bigquery.Client, dataset: str) -> None:
    config = bigquery.QueryJobConfig(labels={"run": "r1"}, maximum_bytes_billed=10_000_000)
    job = client.query(f"create table {dataset}.t as select 1 as a union all select 2", job_config=config)
    job.result()
    again = client.get_job(job.job_id)
    assert again.labels == {"run": "r1"}
    assert again.statement_type == "CREATE_TABLE_AS_SELECT"
    changed = client.query(f"update {dataset}.t set a = 3 where a = 2")
    changed.result()
    assert changed.num_dml_affected_rows == 1
    assert client.get_table(f"{dataset}.t").num_rows == 2


def test_dry_run_changes_nothing(client: bigquery.Client, dataset: str) -> None:
    config = bigquery.QueryJobConfig(dry_run=True, use_query_cache=False)
    assert client.query("select 1 as a", job_config=config).state == "DONE"
    client.query(f"create table {dataset}.t (a int64)", job_config=config)
    with pytest.raises(NotFound):
        client.get_table(f"{dataset}.t")
    with pytest.raises(BadRequest):
        client.query("selec 1", job_config=config, retry=None)


@pytest.mark.parametrize(
    "sql",
    ["selec 1", "select no_such_column from unnest([1]) x", "select 1/0", "select error('boom')", "select no_such_function(1)"],
)
def test_errors_are_answered_at_once_as_400(client: bigquery.Client, sql: str) -> None:
    """A 500 would be retried by the client for ten minutes; this goes through its default retries."""
    started = time.monotonic()
    with pytest.raises(BadRequest):
        client.query(sql).result()
    assert time.monotonic() - started < 60


def test_query_results_are_not_written_to_a_table(client: bigquery.Client, dataset: str) -> None:
    config = bigquery.QueryJobConfig(destination=f"{PROJECT}.{dataset}.t")
    with pytest.raises(BadRequest, match="CREATE TABLE AS SELECT"):
        client.query("select 1 as a", job_config=config, retry=None).result(retry=None)


def test_a_failed_statement_leaves_nothing(client: bigquery.Client, query: Query) -> None:
    with pytest.raises(BadRequest):
        query("create table {d}.t (a int64 not null) as (select cast(null as int64) as a)")
    with pytest.raises(NotFound):
        query("select * from {d}.t")
    query("create table {d}.t (a int64 not null) as (select 1 as a)")
    assert query("select * from {d}.t") == [(1,)]


def test_concurrent_requests_do_not_mix(client: bigquery.Client, bronze: str, put: Put) -> None:
    """Loads, queries and metadata at the same time: the engine has one connection for all of them."""
    uris, failures = [put([row(i)]) for i in range(8)], list[BaseException]()

    def work(number: int) -> None:
        try:
            client.load_table_from_uri(uris[number], bronze, job_config=json_load()).result()
            assert run(client, f"select {number} as n, 'x{number}' as s") == [(number, f"x{number}")]
            assert client.get_table(bronze).clustering_fields == ["_slice_id"]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert client.get_table(bronze).num_rows == 8


def test_everything_acknowledged_survives_a_kill(start_engine: Callable[..., BigQueryProcess], put: Put) -> None:
    engine = start_engine()
    client = client_of(engine.address)
    client.create_dataset("bronze")
    table = bigquery.Table(f"{PROJECT}.bronze.t", schema=[FIELD("a", "INT64"), FIELD("day", "DATE")])
    table.time_partitioning = bigquery.TimePartitioning(field="day")
    table.require_partition_filter = True
    client.create_table(table)
    uri = put([{"a": 1, "day": "2026-01-01"}])
    client.load_table_from_uri(uri, table, job_id="load-s1-1", job_config=json_load()).result(retry=None)
    run(client, "create table bronze.other as select 5 as b")
    run(client, "create view bronze.seen as select b from bronze.other")
    engine.kill()
    engine.start()
    with pytest.raises(Conflict):
        client.load_table_from_uri(uri, table, job_id="load-s1-1", job_config=json_load(), retry=None)
    found = client.get_job("load-s1-1")
    assert (found.state, found.error_result, found.output_rows) == ("DONE", None, 1)
    assert run(client, "select * from bronze.t where day = '2026-01-01'") == [(1, datetime.date(2026, 1, 1))]
    assert run(client, "select * from bronze.seen") == [(5,)]
    again = client.get_table(table)
    assert again.require_partition_filter
    with pytest.raises(BadRequest, match="without a filter"):
        run(client, "select * from bronze.t")
    engine.stop()


@pytest.mark.parametrize("delay_seconds", [0.05, 0.4, 1.0])
def test_a_load_killed_midway_happens_once(
    start_engine: Callable[..., BigQueryProcess], put: Put, delay_seconds: float
) -> None:
    """The client sends the same job until it is answered; whenever the engine dies, the rows are there once."""
    engine = start_engine()
    client = client_of(engine.address)
    client.create_dataset("bronze")
    rows, schema = 150_000, [FIELD("a", "INT64"), FIELD("payload", "JSON")]
    uri = put([f'{{"a": {i}, "payload": {{"k": "{i}"}}}}' for i in range(rows)])
    outcome: list[object] = []

    def send() -> None:
        try:
            job = client.load_table_from_uri(
                uri, f"{PROJECT}.bronze.t", job_id="load-once-1", job_config=json_load(schema=schema)
            )
            job.result(timeout=120)
            outcome.append(job.output_rows)
        except Conflict:
            outcome.append(client.get_job("load-once-1").output_rows)

    sender = threading.Thread(target=send)
    sender.start()
    time.sleep(delay_seconds)
    engine.kill()
    engine.start()
    sender.join(180)
    assert outcome == [rows]
    assert run(client, "select count(*), count(distinct a) from bronze.t") == [(rows, rows)]
    engine.stop()


def test_missing_environment_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(BigQueryUnavailable, match=r"requirements/bigquery\.txt"):
        BigQueryProcess(tmp_path, environment=tmp_path / "none").start()


def test_a_data_directory_has_one_engine(engine: BigQueryProcess) -> None:
    with pytest.raises(BigQueryUnavailable, match="ended while it started"):
        BigQueryProcess(engine.directory).start()
