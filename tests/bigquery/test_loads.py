"""Load jobs: every option is obeyed or refused, and an error names file, line and field."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, GoogleAPICallError, NotFound
from google.cloud import bigquery

from tests.bigquery.conftest import BUCKET, FIELD, Put, Query, json_load, row

pytestmark = pytest.mark.slow
UTC = datetime.UTC
D = decimal.Decimal


def load(client: bigquery.Client, uris: str | list[str], table: str, **options: Any) -> bigquery.LoadJob:
    job = client.load_table_from_uri(uris, table, job_config=json_load(**options))
    job.result(retry=None, timeout=120)
    return job


def failure(client: bigquery.Client, uris: str | list[str], table: str, **options: Any) -> bigquery.LoadJob:
    job = client.load_table_from_uri(uris, table, job_config=json_load(**options))
    with pytest.raises(GoogleAPICallError):
        job.result(retry=None, timeout=120)
    return job


def test_bronze_rows_load_as_they_are(client: bigquery.Client, bronze: str, query: Query, put: Put) -> None:
    payload = {"order_id": "007", "total": "1.10", "note": 'été "quoted" \\ 12345678901234567890', "_extra": {"My column": ""}}
    job = load(client, put([row(1, payload=payload), row(2, payload={})]), bronze)
    assert job.output_rows == 2
    found = query(f"select _row, _line, _date, payload, _file from `{bronze}` where _date = '2026-11-24' order by _row")
    assert found == [
        (1, 7, datetime.date(2026, 11, 24), payload, "orders.csv"),
        (2, 7, datetime.date(2026, 11, 24), {}, "orders.csv"),
    ]


def test_output_rows_are_those_of_the_job(client: bigquery.Client, bronze: str, put: Put) -> None:
    load(client, put([row(1), row(2)]), bronze)
    job = load(client, [put([row(3)]), put([row(4)]), put([], "empty-{}.jsonl")], bronze)
    assert (job.output_rows, job.input_files) == (2, 3)
    assert client.get_table(bronze).num_rows == 4


def test_the_table_keeps_its_partitioning_and_clustering(client: bigquery.Client, bronze: str, put: Put) -> None:
    load(client, put([row(1)]), bronze)
    table = client.get_table(bronze)
    assert table.time_partitioning.field == "_date"
    assert table.require_partition_filter
    assert table.clustering_fields == ["_slice_id"]


def test_wildcard(client: bigquery.Client, bronze: str, put: Put) -> None:
    for part in range(3):
        put([row(part)], f"wild/{bronze}/part-{part}.jsonl.gz")
    put([row(9)], f"wild/{bronze}/other.jsonl.gz")
    assert load(client, f"gs://{BUCKET}/wild/{bronze}/part-*.jsonl.gz", bronze).output_rows == 3


@pytest.mark.parametrize(
    ("line", "what"),
    [
        pytest.param(row(2, surprise=1), "No such field: surprise", id="unknown field"),
        pytest.param('{"_row": 2, "_run_id": ', "Parser terminated", id="not JSON"),
        pytest.param("[1, 2]", "Expected an object", id="not an object"),
        pytest.param(row("2.5"), "Field: _row", id="a fraction is no INT64"),
        pytest.param(row(2, _date="2026-11-31"), "Field: _date", id="no such day"),
        pytest.param(row(2, _date="2026-11-24 10:00:00"), "Field: _date", id="a time is no DATE"),
        pytest.param(row(2, _file={"a": 1}), "Field: _file", id="an object is no STRING"),
        pytest.param(row(2, _ROW=3), "No such field: _ROW", id="names are exact"),
    ],
)
def test_a_bad_row_fails_the_whole_load_and_is_named(
    client: bigquery.Client, bronze: str, put: Put, line: Any, what: str
) -> None:
    uri = put([row(1), "", line, row(3)])
    job = failure(client, uri, bronze)
    messages = [e["message"] for e in job.errors]
    assert any(what in m and uri in m and "(line 3)" in m for m in messages), messages
    assert client.get_table(bronze).num_rows == 0


def test_max_bad_records(client: bigquery.Client, bronze: str, query: Query, put: Put) -> None:
    uri = put([row(1), "nonsense", row("x"), row(4)])
    failure(client, uri, bronze, max_bad_records=1)
    job = load(client, uri, bronze, max_bad_records=2)
    assert job.output_rows == 2
    assert query(f"select _row from `{bronze}` where _date = '2026-11-24' order by 1") == [(1,), (4,)]


def test_ignore_unknown_values(client: bigquery.Client, bronze: str, put: Put) -> None:
    assert load(client, put([row(1, surprise=1)]), bronze, ignore_unknown_values=True).output_rows == 1


NESTED = [
    FIELD("id", "INT64", mode="REQUIRED"),
    FIELD("amount", "NUMERIC"),
    FIELD("at", "TIMESTAMP"),
    FIELD("ok", "BOOL"),
    FIELD("tags", "STRING", mode="REPEATED"),
    FIELD("address", "RECORD", fields=[FIELD("zip", "STRING"), FIELD("n", "INT64")]),
    FIELD("items", "RECORD", mode="REPEATED", fields=[FIELD("sku", "STRING"), FIELD("q", "INT64")]),
]


def test_nested_and_repeated_fields(client: bigquery.Client, dataset: str, query: Query, put: Put) -> None:
    good = {
        "id": 1,
        "amount": "12.123456789",
        "at": "2026-01-01T02:00:00.5+02:00",
        "ok": True,
        "tags": ["a"],
        "address": {"zip": "1", "n": 2},
        "items": [{"sku": "x", "q": 1}, {"sku": "y", "q": 2}],
    }
    load(client, put([good, {"id": 2}]), f"{dataset}.nested", schema=NESTED)
    assert query("select * from {d}.nested order by id") == [
        (
            1,
            D("12.123456789"),
            datetime.datetime(2026, 1, 1, 0, 0, 0, 500000, tzinfo=UTC),
            True,
            ["a"],
            {"zip": "1", "n": 2},
            [{"sku": "x", "q": 1}, {"sku": "y", "q": 2}],
        ),
        (2, None, None, None, [], None, []),
    ]


@pytest.mark.parametrize(
    "changes",
    [{"id": None}, {"address": {"street": "x"}}, {"items": [{"sku": "x"}, {"price": 1}]}, {"tags": "a"}, {"ok": "maybe"}],
    ids=str,
)
def test_nested_rows_are_refused(client: bigquery.Client, dataset: str, put: Put, changes: dict[str, Any]) -> None:
    failure(client, put([{"id": 1} | changes]), f"{dataset}.nested", schema=NESTED)


def test_write_dispositions(client: bigquery.Client, dataset: str, query: Query, put: Put) -> None:
    one, schema = put([{"a": 1}]), [FIELD("a", "INT64")]
    table = f"{dataset}.t"
    load(client, one, table, schema=schema)
    load(client, one, table, schema=schema)
    assert query("select count(*) from {d}.t") == [(2,)]
    failure(client, one, table, schema=schema, write_disposition="WRITE_EMPTY")
    load(client, put([{"b": "x"}]), table, schema=[FIELD("b", "STRING")], write_disposition="WRITE_TRUNCATE")
    assert [f.name for f in client.get_table(table).schema] == ["b"]
    assert query("select * from {d}.t") == [("x",)]


def test_schema_changes_need_permission(client: bigquery.Client, dataset: str, query: Query, put: Put) -> None:
    table, wider = f"{dataset}.t", [FIELD("a", "INT64"), FIELD("b", "STRING")]
    load(client, put([{"a": 1}]), table, schema=[FIELD("a", "INT64")])
    assert "Cannot add fields" in str(failure(client, put([{"a": 2, "b": "x"}]), table, schema=wider).error_result)
    load(client, put([{"a": 2, "b": "x"}]), table, schema=wider, schema_update_options=["ALLOW_FIELD_ADDITION"])
    assert query("select * from {d}.t order by a") == [(1, None), (2, "x")]
    assert "changed type" in str(failure(client, put([{"a": "x"}]), table, schema=[FIELD("a", "STRING")]).error_result)


def test_partition_decorator(client: bigquery.Client, bronze: str, query: Query, put: Put) -> None:
    load(client, put([row(1), row(2, _date="2026-11-25")]), bronze)
    load(client, put([row(7)]), f"{bronze}$20261124", write_disposition="WRITE_TRUNCATE")
    assert query(f"select _row from `{bronze}` where _date > '2000-01-01' order by 1") == [(2,), (7,)]
    failure(client, put([row(8, _date="2026-11-25")]), f"{bronze}$20261124", write_disposition="WRITE_TRUNCATE")


def test_csv(client: bigquery.Client, dataset: str, query: Query, put: Put) -> None:
    uri = put(["id;name;amount", '1;"a;b";1.50', "2;NULL;2.123456789", '3;"";'], "rows-{}.csv")
    schema = [FIELD("id", "INT64"), FIELD("name", "STRING"), FIELD("amount", "NUMERIC")]
    options = {"source_format": "CSV", "schema": schema, "skip_leading_rows": 1, "field_delimiter": ";"}
    load(client, uri, f"{dataset}.c", null_marker="NULL", **options, write_disposition="WRITE_TRUNCATE", max_bad_records=1)
    assert query("select * from {d}.c order by id")[:2] == [(1, "a;b", D("1.5")), (2, None, D("2.123456789"))]
    load(client, put(["id;name;amount", '3;"";'], "rows-{}.csv"), f"{dataset}.e", **options)
    assert query("select * from {d}.e") == [(3, "", None)]
    bad = put(["id;name;amount", "x;y;1", "1;y;z"], "rows-{}.csv")
    job = failure(client, bad, f"{dataset}.c", **options)
    assert [e for e in job.errors if "row 2" in e["message"]], job.errors


@pytest.mark.parametrize(
    "options",
    [
        {"hive_partitioning": {"mode": "AUTO", "sourceUriPrefix": "gs://x/"}},
        {"encoding": "ISO-8859-1"},
        {"schema_update_options": ["ALLOW_FIELD_RELAXATION"]},
        {"decimal_target_types": ["BIGNUMERIC"]},
    ],
    ids=str,
)
def test_what_is_not_supported_is_refused(client: bigquery.Client, dataset: str, put: Put, options: dict[str, Any]) -> None:
    config = json_load(schema=[FIELD("a", "INT64")]).to_api_repr()
    names = {
        "hive_partitioning": "hivePartitioningOptions",
        "encoding": "encoding",
        "schema_update_options": "schemaUpdateOptions",
        "decimal_target_types": "decimalTargetTypes",
    }
    config["load"] |= {names[k]: v for k, v in options.items()}
    job = client.load_table_from_uri(put([{"a": 1}]), f"{dataset}.t", job_config=bigquery.LoadJobConfig.from_api_repr(config))
    with pytest.raises(BadRequest, match="local BigQuery"):
        job.result(retry=None)


def test_missing_object_is_not_found(client: bigquery.Client, bronze: str) -> None:
    job = client.load_table_from_uri(f"gs://{BUCKET}/none.jsonl", bronze, job_config=json_load())
    with pytest.raises(NotFound):
        job.result(retry=None)


def test_upload_from_memory_obeys_the_job_id(client: bigquery.Client, dataset: str, query: Query) -> None:
    """The client uploads these as multipart requests; seeds of dbt are loaded so."""
    schema = [FIELD("a", "INT64"), FIELD("b", "STRING")]
    job = client.load_table_from_json(
        [{"a": 1, "b": "x"}], f"{dataset}.u", job_id=f"upload-{dataset}", job_config=json_load(schema=schema)
    )
    job.result(retry=None)
    assert client.get_job(f"upload-{dataset}").output_rows == 1
    assert query("select * from {d}.u") == [(1, "x")]


def test_half_a_million_rows(client: bigquery.Client, bronze: str, put: Put) -> None:
    """About 3 s on two cores; the limit is for a busy machine."""
    payload = '"payload": {"order_id": "%d", "email": "p%d@example.com", "total": "12.50", "at": "2020-11-24T12:00:00Z"}'
    line = '{"_run_id": "r", "_slice_id": "s", "_account_id": "a", "_row": %d, "_file": "f", "_line": %d, '
    line += '"_date": "2026-11-24", ' + payload + "}"
    job = load(client, put([line % (i, i, i, i) for i in range(500_000)]), bronze)
    assert job.output_rows == 500_000
    seconds = (job.ended - job.started).total_seconds()
    assert seconds < 60
