"""What the local BigQuery does not emulate, as the official client hears it; and what the README says of it."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.cloud import bigquery

from sandbox.engines.bigquery import calls
from sandbox.engines.bigquery_process import BigQueryProcess
from sandbox.engines.faults import Cut
from tests.bigquery.conftest import FIELD, PROJECT

pytestmark = pytest.mark.slow

README = Path(__file__).resolve().parents[2] / calls.README
Client = bigquery.Client
Config = bigquery.QueryJobConfig


def with_settings(resource: Any, **settings: Any) -> Any:
    for name, value in settings.items():
        setattr(resource, name, value)
    return resource


def table(dataset: str, name: str = "refused", **settings: Any) -> bigquery.Table:
    made: bigquery.Table = with_settings(bigquery.Table(f"{PROJECT}.{dataset}.{name}", [FIELD("a", "INTEGER")]), **settings)
    return made


def routine(dataset: str) -> bigquery.Routine:
    return bigquery.Routine(f"{PROJECT}.{dataset}.r", type_="SCALAR_FUNCTION", language="SQL", body="1")


def query(**options: Any) -> Callable[[Client, str], Any]:
    return lambda client, _: client.query("select 1", job_config=Config(**options), retry=None, job_retry=None).result()


def snapshot(client: Client, dataset: str) -> Any:
    config = bigquery.CopyJobConfig(operation_type="SNAPSHOT")
    return client.copy_table(f"{PROJECT}.{dataset}.kept", f"{PROJECT}.{dataset}.refused", job_config=config, retry=None)


KEY = bigquery.EncryptionConfiguration("projects/p/locations/l/keyRings/r/cryptoKeys/k")
LATER = datetime.datetime(2090, 1, 1, tzinfo=datetime.UTC)
SESSION = [bigquery.ConnectionProperty("session_id", "s")]
UDF = [bigquery.UDFResource("inlineCode", "x")]
REFUSED: list[tuple[str, Callable[[Client, str], Any]]] = [
    ("the call models.list", lambda client, dataset: list(client.list_models(dataset, retry=None))),
    ("the call models.get", lambda client, dataset: client.get_model(f"{PROJECT}.{dataset}.m", retry=None)),
    ("the call models.delete", lambda client, dataset: client.delete_model(f"{PROJECT}.{dataset}.m", retry=None)),
    ("the call routines.list", lambda client, dataset: list(client.list_routines(dataset, retry=None))),
    ("the call routines.get", lambda client, dataset: client.get_routine(f"{PROJECT}.{dataset}.r", retry=None)),
    ("the call routines.insert", lambda client, dataset: client.create_routine(routine(dataset), retry=None)),
    ("the call serviceAccount.list", lambda client, _: client.get_service_account_email(retry=None)),
    ("the call GET /bigquery/v2/projects", lambda client, _: list(client.list_projects(retry=None))),
    ("the call DELETE jobs/any/delete", lambda client, _: client.delete_job_metadata("any", retry=None)),
    (":getIamPolicy", lambda client, dataset: client.get_iam_policy(f"{PROJECT}.{dataset}.kept", retry=None)),
    (
        ":testIamPermissions",
        lambda client, dataset: client.test_iam_permissions(f"{PROJECT}.{dataset}.kept", ["x"], retry=None),
    ),
    (
        "the parameter minCreationTime of jobs.list",
        lambda client, _: list(client.list_jobs(min_creation_time=LATER, retry=None)),
    ),
    ("the parameter filter of datasets.list", lambda client, _: list(client.list_datasets(filter="labels.a:b", retry=None))),
    (
        "tables.insert with expirationTime",
        lambda client, dataset: client.create_table(table(dataset, expires=LATER), retry=None),
    ),
    (
        "tables.insert with encryptionConfiguration",
        lambda client, dataset: client.create_table(table(dataset, encryption_configuration=KEY), retry=None),
    ),
    (
        "tables.insert with columns that have a defaultValueExpression",
        lambda client, dataset: client.create_table(
            bigquery.Table(f"{PROJECT}.{dataset}.refused", [FIELD("a", "INTEGER", default_value_expression="1")]), retry=None
        ),
    ),
    (
        "datasets in US: everything here is in EU",
        lambda client, _: client.create_dataset(
            with_settings(bigquery.Dataset(f"{PROJECT}.refused"), location="US"), retry=None
        ),
    ),
    (
        "datasets.insert with defaultEncryptionConfiguration",
        lambda client, _: client.create_dataset(
            with_settings(bigquery.Dataset(f"{PROJECT}.refused"), default_encryption_configuration=KEY), retry=None
        ),
    ),
    (
        "tabledata.insertAll with templateSuffix",
        lambda client, dataset: client.insert_rows_json(
            f"{PROJECT}.{dataset}.kept", [{"a": 1}], template_suffix="x", retry=None
        ),
    ),
    ("query jobs with createSession", query(create_session=True)),
    ("query jobs with connectionProperties", query(connection_properties=SESSION)),
    ("query jobs with userDefinedFunctionResources", query(udf_resources=UDF)),
    ("query jobs with clustering", query(clustering_fields=["a"])),
    ("query jobs with destinationEncryptionConfiguration", query(destination_encryption_configuration=KEY)),
    ("copy jobs with operationType", snapshot),
    (
        "jobs.query with defaultDataset",
        lambda client, dataset: client.query_and_wait(
            "select 1", job_config=Config(default_dataset=f"{PROJECT}.{dataset}"), retry=None, job_retry=None
        ),
    ),
]


@pytest.mark.parametrize(("named", "act"), REFUSED, ids=[named for named, _ in REFUSED])
def test_what_is_not_emulated_is_refused_by_name(
    client: Client, dataset: str, named: str, act: Callable[[Client, str], Any]
) -> None:
    client.create_table(table(dataset, "kept"))
    with pytest.raises(exceptions.MethodNotImplemented) as caught:
        act(client, dataset)
    assert "The local BigQuery does not emulate " in caught.value.message
    assert named in caught.value.message
    assert f"; see {calls.README}." in caught.value.message
    assert [found.table_id for found in client.list_tables(dataset)] == ["kept"], "nothing was done"


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "projects/p/wondrous"),
        ("POST", "projects/p/datasets/d/tables/t/fly"),
        ("POST", "projects/p/datasets/d:undelete"),
        ("GET", "projects/p/datasets/d/tables/t/rowAccessPolicies"),
        ("PUT", "projects/p/jobs/j"),
    ],
)
def test_an_unknown_call_is_refused_too(engine: BigQueryProcess, verb: str, path: str) -> None:
    answer = requests.request(verb, f"{engine.address}/bigquery/v2/{path}", json={}, timeout=10)
    assert answer.status_code == 501
    assert answer.json()["error"]["errors"][0]["reason"] == "notImplemented"
    assert "does not emulate the call" in answer.json()["error"]["message"]


def test_the_readme_names_the_calls() -> None:
    named = re.search(r"^Calls: (.*?)\.\n\n", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert named is not None
    assert re.findall(r"`([\w.]+)`", named[1]) == list(calls.CALLS)


def test_only_calls_that_exist_have_faults(engine: BigQueryProcess) -> None:
    with pytest.raises(ValueError, match=re.escape(f"there are {', '.join(sorted(calls.CALLS))}")):
        engine.faults.add(Cut(), method="routines.insert")
