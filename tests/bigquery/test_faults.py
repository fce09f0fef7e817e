"""Faults of the local BigQuery, as the official client meets them: what it sees, and which rows are there."""

from __future__ import annotations

import json
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from google.api_core import exceptions
from google.cloud import bigquery

from sandbox.engines.bigquery_process import BigQueryProcess
from sandbox.engines.faults import Call, Cut, Delay, Duplicate, JobFails, JobSlow, JobStuck, Refuse
from sandbox.engines.remote_faults import RemoteFaults
from tests.bigquery.conftest import Put, client_of, json_load, row, run

pytestmark = pytest.mark.slow


@pytest.fixture
def faults(engine: BigQueryProcess) -> Iterator[RemoteFaults]:
    yield engine.faults
    engine.faults.reset()


@pytest.fixture
def load(client: bigquery.Client, bronze: str, put: Put) -> Callable[[str], bigquery.LoadJob]:
    uri = put([row(1), row(2)])

    def insert(job_id: str) -> bigquery.LoadJob:
        return client.load_table_from_uri(uri, bronze, job_id=job_id, job_config=json_load(), retry=None)

    return insert


def an_id() -> str:
    return f"load-{uuid.uuid4().hex}"


def rows(client: bigquery.Client, table: str) -> int:
    return int(client.get_table(table, retry=None).num_rows)


@pytest.mark.parametrize("reason", ["backendError", "rateLimitExceeded", "quotaExceeded"])
def test_a_load_job_fails_with_the_reason_asked_for(
    client: bigquery.Client, bronze: str, faults: RemoteFaults, load: Callable[[str], bigquery.LoadJob], reason: str
) -> None:
    faults.add(JobFails(reason), method="jobs.insert", detail={"kind": "load"})
    job_id = an_id()
    job = load(job_id)
    assert (job.state, job.error_result["reason"]) == ("DONE", reason)
    assert rows(client, bronze) == 0
    with pytest.raises(exceptions.Conflict):
        load(job_id)  # a failed job keeps its id
    assert client.get_job(job_id).errors[0]["reason"] == reason
    assert load(an_id()).result(retry=None).output_rows == 2


@pytest.mark.parametrize("effect", [Cut(after=True), Refuse(503, after=True)])
def test_a_lost_answer_leaves_the_job_done(
    client: bigquery.Client, bronze: str, faults: RemoteFaults, load: Callable[[str], bigquery.LoadJob], effect: Cut | Refuse
) -> None:
    job_id = an_id()
    faults.add(effect, method="jobs.insert", name=job_id)
    with pytest.raises((requests.ConnectionError, exceptions.ServiceUnavailable)):
        load(job_id)
    assert rows(client, bronze) == 2
    with pytest.raises(exceptions.Conflict):
        load(job_id)
    assert client.get_job(job_id).output_rows == 2


def test_a_job_at_work_is_not_recorded_as_failed_by_a_second_insert(
    client: bigquery.Client, bronze: str, put: Put, faults: RemoteFaults
) -> None:
    uri, job_id = put([row(number) for number in range(20_000)]), an_id()

    def insert() -> bigquery.LoadJob:
        return client.load_table_from_uri(uri, bronze, job_id=job_id, job_config=json_load(), retry=None)

    rule = faults.add(JobFails("backendError"), method="jobs.insert", name=job_id, skip=1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(insert)
        while not any(each["matched"] for each in faults.all()):
            time.sleep(0.001)
        with pytest.raises(exceptions.Conflict):
            insert()
        assert first.result().result().output_rows == 20_000
    assert rule.hits == 1
    assert client.get_job(job_id).error_result is None


@pytest.mark.parametrize("effect", [Cut(), Refuse(503), Refuse(429), Refuse(403, "rateLimitExceeded")])
def test_a_call_that_is_refused_or_cut_has_no_effect(
    client: bigquery.Client, bronze: str, faults: RemoteFaults, load: Callable[[str], bigquery.LoadJob], effect: Cut | Refuse
) -> None:
    rule = faults.add(effect, method="jobs.insert", detail={"table": "*.crm__orders"})
    job_id = an_id()
    with pytest.raises((requests.ConnectionError, exceptions.GoogleAPICallError)):
        load(job_id)
    assert (rule.hits, rows(client, bronze)) == (1, 0)
    with pytest.raises(exceptions.NotFound):
        client.get_job(job_id, retry=None)
    assert load(job_id).result(retry=None).output_rows == 2


def test_a_duplicate_of_a_load_is_a_job_that_exists(
    client: bigquery.Client, bronze: str, faults: RemoteFaults, load: Callable[[str], bigquery.LoadJob]
) -> None:
    faults.add(Duplicate(), method="jobs.insert", detail={"kind": "load"})
    with pytest.raises(exceptions.Conflict):
        load(an_id())
    assert rows(client, bronze) == 2


def test_a_stuck_job_never_ends_and_loads_nothing(
    client: bigquery.Client, bronze: str, faults: RemoteFaults, load: Callable[[str], bigquery.LoadJob]
) -> None:
    faults.add(JobStuck(), method="jobs.insert", detail={"kind": "load"})
    job = load(an_id())
    assert job.state == "RUNNING"
    assert client.get_job(job.job_id).state == "RUNNING"
    assert not job.done(retry=None)
    assert client.cancel_job(job.job_id).state == "RUNNING"
    assert rows(client, bronze) == 0


def test_a_slow_job_is_done_before_it_says_so(
    client: bigquery.Client, bronze: str, faults: RemoteFaults, load: Callable[[str], bigquery.LoadJob]
) -> None:
    faults.add(JobSlow(None), method="jobs.insert", detail={"kind": "load"})
    job = load(an_id())
    assert not job.done(retry=None)
    assert job.output_rows is None
    assert rows(client, bronze) == 2
    faults.add(JobSlow(0.5), method="jobs.insert", detail={"kind": "load"})
    assert load(an_id()).result(timeout=30).output_rows == 2


def test_a_slow_query_is_waited_for(client: bigquery.Client, faults: RemoteFaults) -> None:
    rule = faults.add(JobSlow(0.5), method="jobs.insert", detail={"kind": "query"})
    assert run(client, "select 1 as one", labels={}) == [(1,)]
    assert rule.hits == 1


def test_what_a_fault_recorded_survives_the_engine(start_engine: Callable[..., BigQueryProcess]) -> None:
    engine = start_engine()
    client = client_of(engine.address)
    engine.faults.add(JobStuck(), method="jobs.insert")
    client.query("select 1", job_id="stuck", retry=None, job_retry=None)
    engine.kill()
    engine.start()
    found = client_of(engine.address).get_job("stuck")
    assert (found.state, found.error_result["reason"]) == ("DONE", "stopped")
    assert engine.faults.active() == []


def test_other_calls_can_be_refused_by_their_names(client: bigquery.Client, bronze: str, faults: RemoteFaults) -> None:
    dataset, table = bronze.split(".")[1:]
    for method, name, act in (
        ("tables.get", f"{dataset}.{table}", lambda: client.get_table(bronze, retry=None)),
        ("tables.list", dataset, lambda: list(client.list_tables(dataset, retry=None))),
        ("datasets.get", dataset, lambda: client.get_dataset(dataset, retry=None)),
        ("datasets.list", "", lambda: list(client.list_datasets(retry=None))),
        ("jobs.list", "", lambda: list(client.list_jobs(retry=None))),
        ("jobs.get", "nobody", lambda: client.get_job("nobody", retry=None)),
    ):
        with faults.add(Refuse(503), method=method, name=name) as rule:
            with pytest.raises(exceptions.ServiceUnavailable):
                act()
            assert rule.hits == 1, method
    assert faults.active() == []


def test_the_switches_over_the_wire(engine: BigQueryProcess, faults: RemoteFaults) -> None:
    faults.add(Delay(0.0), method="jobs.get", count=None)
    rule = faults.add(Refuse(503), method="jobs.list")
    assert [shown["effect"] for shown in faults.active()] == ["Delay", "Refuse"]
    rule.remove()
    assert [shown["effect"] for shown in faults.active()] == ["Delay"]
    faults.reset()
    with urllib.request.urlopen(f"{engine.address}/_sandbox/faults", timeout=10) as answer:
        assert json.load(answer) == []
    with pytest.raises(ValueError, match="cannot be sent"):
        faults.add(Cut(), when=lambda call: isinstance(call, Call))
    with pytest.raises(ValueError, match=r"no call 'jobs.inser' here; there are datasets.delete, "):
        faults.add(Cut(), method="jobs.inser")
    with pytest.raises(ValueError, match=r"jobs.get cannot meet JobStuck; jobs.insert, jobs.query can"):
        faults.add(JobStuck(), method="jobs.get")
    request = urllib.request.Request(f"{engine.address}/_sandbox/faults", b'{"effect": "Explode"}', method="POST")
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(request, timeout=10)
