"""From a manifest to rows in BigQuery, exactly once: doubled events, lost answers, refused rows, lost state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.cloud import bigquery

from pipeline import bronze, build, clients, contract, load, names, slices, state, tables, transform
from pipeline.errors import Retryable
from sandbox.engines.bigquery_process import ENVIRONMENT, BigQueryProcess
from tests.conftest import PROJECT, LocalCloud, cloud_at, run_door
from tests.functions.test_ingest import ORDERS, work

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not ENVIRONMENT.exists(), reason="the BigQuery engine's environment is not made: make install"),
]


@pytest.fixture(scope="module")
def module_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    folder = tmp_path_factory.mktemp("load")
    with cloud_at(folder, BigQueryProcess(folder / "bigquery", project=PROJECT)) as cloud:
        yield cloud


@pytest.fixture
def cloud(module_cloud: LocalCloud) -> LocalCloud:
    """The engines of the module with an empty warehouse and empty buckets: only the processes are shared."""
    client = clients.bigquery()
    client.delete_dataset("bronze", delete_contents=True, not_found_ok=True)
    client.create_dataset("bronze")
    for table in tables.bronze(contract.load()):
        made = bigquery.Table(f"{PROJECT}.bronze.{table.name}", [bigquery.SchemaField(c.name, c.type) for c in table.columns])
        if table.partition:
            made.time_partitioning = bigquery.TimePartitioning(field=table.partition)
        made.require_partition_filter = table.require_partition_filter
        client.create_table(made)
    for bucket in (clients.landing_bucket(), clients.bronze_bucket(), clients.state_bucket()):
        for blob in bucket.list_blobs():
            blob.delete()
    for topic in ("crm", "manifests", "transform"):
        module_cloud.messages(topic)
    return module_cloud


def count(table: str) -> int:
    query = f"select count(*) as n from bronze.{table} where _date >= date '2000-01-01'"
    (row,) = clients.bigquery().query(query).result()
    return int(row["n"])


@pytest.fixture
def event(cloud: LocalCloud) -> Any:
    """The finalize event of a manifest with 40 orders and two rows set aside."""
    cloud.drop("orders.csv", ORDERS + "O41,C1,2025-03-01 10:00:00,lots,EUR\nO42,C1\n")
    work(cloud)
    (message,) = cloud.messages("manifests")
    return message


def the_slice(cloud: LocalCloud) -> dict[str, Any]:
    (data,) = cloud.state("slices/").values()
    return data


def test_rows_and_rows_set_aside_are_loaded_and_the_run_closes(cloud: LocalCloud, event: Any) -> None:
    run_door(load.handle, event)
    assert (count("crm__orders"), count("set_aside")) == (40, 2)
    assert the_slice(cloud)["status"] == "loaded"
    (outcome,) = cloud.state("outcomes/").values()
    assert (outcome["status"], outcome["rows"], outcome["aside"]) == ("succeeded", 40, 2)
    assert cloud.state("open/") == {}
    query = (
        "select json_value(payload, '$.reason') as reason, json_value(payload, '$.column') as name, _line as line"
        " from bronze.set_aside where _date >= date '2000-01-01' order by line"
    )
    found = [(row["reason"], row["name"], row["line"]) for row in clients.bigquery().query(query).result()]
    assert found == [("unreadable_decimal", "amount", 42), ("ragged_row", None, 43)]
    (want,) = cloud.messages("transform")
    run_door(lambda delivery: transform.add_want(dict(delivery.body)), want)


def test_the_same_event_three_times_loads_once(cloud: LocalCloud, event: Any) -> None:
    for _ in range(3):
        run_door(load.handle, event)
    assert count("crm__orders") == 40
    assert len(cloud.state("loaded/")) == 1


def test_a_loader_that_died_after_its_job_does_not_load_again(cloud: LocalCloud, event: Any) -> None:
    """The job is done, the state does not know: the next delivery meets the job by its id."""
    data = the_slice(cloud)
    manifest = bronze.read_manifest(data["run_id"], data["slice_id"])
    piece = slices.read_slice(data["run_id"], data["slice_id"])
    assert manifest is not None
    assert piece is not None
    for job in load.loads_of(manifest):
        load._run_job(piece, job, 1e9)
    run_door(load.handle, event)
    assert (count("crm__orders"), count("set_aside")) == (40, 2)
    assert the_slice(cloud)["status"] == "loaded"


def test_lost_state_is_rebuilt_from_the_manifest(cloud: LocalCloud, event: Any) -> None:
    for name in cloud.state("slices/"):
        state.delete(name)
    run_door(load.handle, event)
    assert count("crm__orders") == 40
    assert the_slice(cloud)["status"] == "loaded"


def test_a_refused_load_fails_the_slice_and_a_retry_loads_it_under_a_new_id(cloud: LocalCloud, event: Any) -> None:
    client = clients.bigquery()
    client.delete_table("bronze.set_aside")
    run_door(load.handle, event)
    data = the_slice(cloud)
    assert data["status"] == "failed"
    assert "set_aside" in data["error"]["message"]
    (outcome,) = cloud.state("outcomes/").values()
    assert outcome["status"] == "failed"
    columns = [bigquery.SchemaField(column.name, column.type) for column in tables.SET_ASIDE_COLUMNS]
    client.create_table(bigquery.Table(f"{PROJECT}.bronze.set_aside", columns))
    piece = slices.read_slice(data["run_id"], data["slice_id"])
    assert piece is not None
    state.create(names.open_name(data["run_id"]), {})
    slices.retry(piece, {})
    for message in cloud.messages("manifests"):
        run_door(load.handle, message)
    assert the_slice(cloud)["status"] == "loaded"
    assert (count("crm__orders"), count("set_aside")) == (40, 2)


def test_a_load_that_runs_longer_than_the_budget_is_delivered_again(
    cloud: LocalCloud, event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import concurrent.futures

    def still_running(self: Any, *args: Any, **more: Any) -> Any:
        raise concurrent.futures.TimeoutError

    with monkeypatch.context() as patch:
        patch.setattr(bigquery.LoadJob, "result", still_running)
        with pytest.raises(Retryable):
            run_door(load.handle, event)
    run_door(load.handle, event)
    assert count("crm__orders") == 40


def test_a_file_without_rows_is_a_fact_without_a_job(cloud: LocalCloud) -> None:
    cloud.drop("orders.csv", ORDERS.splitlines()[0] + "\n")
    work(cloud)
    for message in cloud.messages("manifests"):
        run_door(load.handle, message)
    assert the_slice(cloud)["status"] == "loaded"
    assert count("crm__orders") == 0
    assert len(cloud.state("loaded/")) == 1


def test_a_build_registers_slices_and_failures_once(cloud: LocalCloud, event: Any) -> None:
    run_door(load.handle, event)
    cloud.drop("weather.csv", "station,degrees\nOslo,3\n")
    work(cloud)
    for number in (1, 2):
        transform.add_want({"id": f"w{number}", "select": [], "full_refresh": False})
        claimed = build.claim(60)
        assert claimed is not None
        registered = build.register(claimed)
        assert registered == (1 if number == 1 else 0)
        build.finish(claimed, complete=True)
    (row,) = clients.bigquery().query("select * from bronze.slices").result()
    assert (row["build"], row["stream"], row["rows"], row["aside"], row["file_name"]) == (1, "crm.orders", 40, 2, "orders.csv")
    (failure,) = clients.bigquery().query("select * from bronze.failures").result()
    assert (failure["file_name"], failure["kind"]) == ("weather.csv", "file_set_aside")
    assert cloud.state("loaded/") == cloud.state("failures/") == {}
