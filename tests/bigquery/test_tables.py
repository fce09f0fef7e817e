"""Tables: definitions are kept and enforced, whether they come through SQL or REST, and dbt finds what it asks for."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest
from google.api_core.exceptions import BadRequest, Conflict, NotFound, PreconditionFailed
from google.cloud import bigquery

from tests.bigquery.conftest import FIELD, PROJECT, Put, Query, json_load, row

pytestmark = pytest.mark.slow
DAY = datetime.date


def test_a_table_with_everything(client: bigquery.Client, dataset: str, query: Query) -> None:
    query(
        """/* {"app": "dbt"} */
        create or replace table `sandbox-project`.`{d}`.`t` (
          id int64 not null options (description = 'the key'), amount numeric, made_at timestamp, payload json,
          primary key (id) not enforced)
        partition by timestamp_trunc(made_at, day) cluster by id
        options (description = 'a table', labels = [('team', 'data')], require_partition_filter = true)
        as (select id, amount, made_at, payload from
            (select 1 as id, 1.5 as amount, timestamp '2026-01-01 00:00:00+00' as made_at, json '{"a": 1}' as payload))"""
    )
    table = client.get_table(f"{dataset}.t")
    assert [(f.name, f.field_type, f.mode) for f in table.schema] == [
        ("id", "INTEGER", "REQUIRED"),
        ("amount", "NUMERIC", "NULLABLE"),
        ("made_at", "TIMESTAMP", "NULLABLE"),
        ("payload", "JSON", "NULLABLE"),
    ]
    assert (table.description, table.labels, table.schema[0].description) == ("a table", {"team": "data"}, "the key")
    assert (table.time_partitioning.field, table.time_partitioning.type_) == ("made_at", "DAY")
    assert (table.clustering_fields, table.require_partition_filter, table.location) == (["id"], True, "EU")
    assert query("select amount from {d}.t where made_at >= '2026-01-01'") == [(Decimal("1.5"),)]


def test_not_null_is_enforced(client: bigquery.Client, dataset: str, query: Query) -> None:
    client.create_table(bigquery.Table(f"{PROJECT}.{dataset}.t", schema=[FIELD("a", "INT64", mode="REQUIRED")]))
    with pytest.raises(BadRequest, match="NOT NULL"):
        query("insert into {d}.t values (null)")


def test_options_can_be_set_later(client: bigquery.Client, dataset: str, query: Query) -> None:
    query("create table {d}.t (a int64, day date) partition by day")
    query("alter table {d}.t set options (description = 'x', labels = [('a', 'b')], require_partition_filter = true)")
    query("alter table {d}.t alter column a set options (description = 'column a')")
    table = client.get_table(f"{dataset}.t")
    assert (table.description, table.labels, table.schema[0].description) == ("x", {"a": "b"}, "column a")
    with pytest.raises(BadRequest, match="without a filter"):
        query("select * from {d}.t")


def test_columns_are_added_and_dropped(client: bigquery.Client, dataset: str, query: Query) -> None:
    query("create table {d}.t as select 1 as a")
    query("alter table {d}.t add column b string")
    query("alter table {d}.t drop column a")
    table = client.get_table(f"{dataset}.t")
    assert [f.name for f in table.schema] == ["b"]
    table.schema = [*table.schema, FIELD("c", "JSON", description="through REST")]
    client.update_table(table, ["schema"])
    query("insert into {d}.t (b, c) values ('x', json '[1]')")
    assert query("select b, c from {d}.t order by b") == [(None, None), ("x", [1])]


def test_a_patch_does_not_change_types_or_drop_columns(client: bigquery.Client, dataset: str, query: Query) -> None:
    query("create table {d}.t as select 1 as a, 'x' as b")
    table = client.get_table(f"{dataset}.t")
    for schema in ([FIELD("a", "STRING"), FIELD("b", "STRING")], [FIELD("a", "INT64")]):
        table.schema = schema
        with pytest.raises(BadRequest, match="does not match"):
            client.update_table(table, ["schema"])


def test_tables_and_views_are_not_mixed_up(client: bigquery.Client, dataset: str, query: Query) -> None:
    query("create view {d}.v (a) options (description = 'seen') as select 1 as b")
    view = client.get_table(f"{dataset}.v")
    assert (view.table_type, view.description, [f.name for f in view.schema]) == ("VIEW", "seen", ["a"])
    for sql in ("drop table {d}.v", "create or replace table {d}.v as select 1 as a"):
        with pytest.raises(BadRequest):
            query(sql)
    client.delete_table(f"{dataset}.v")  # what dbt does when a model becomes a table
    query("create table {d}.v as select 1 as a")
    with pytest.raises((BadRequest, Conflict)):
        query("create view {d}.v as select 1 as a")
    client.delete_table(f"{dataset}.v")
    with pytest.raises(NotFound):
        client.get_table(f"{dataset}.v")
    query("drop view if exists {d}.v")
    query("drop table if exists {d}.v")


def test_rest_does_not_make_what_it_cannot(client: bigquery.Client, dataset: str) -> None:
    view = bigquery.Table(f"{PROJECT}.{dataset}.v")
    view.view_query = "select 1 as a"
    with pytest.raises(BadRequest, match="use SQL"):
        client.create_table(view)


def test_lists_hold_every_name_once_on_pages(client: bigquery.Client, dataset: str) -> None:
    names = [f"t{number}" for number in range(5)]
    for name in names:
        client.create_table(bigquery.Table(f"{PROJECT}.{dataset}.{name}", [FIELD("a", "INTEGER")]))
    pages = [[found.table_id for found in page] for page in client.list_tables(dataset, page_size=2).pages]
    assert pages == [names[:2], names[2:4], names[4:]]
    assert len(list(client.list_tables(dataset, max_results=3))) == 3
    datasets = [found.dataset_id for page in client.list_datasets(page_size=1).pages for found in page]
    assert dataset in datasets
    assert len(datasets) == len(set(datasets)) == len(list(client.list_datasets()))
    jobs = [job.job_id for job in client.list_jobs(page_size=1, max_results=3)]
    assert jobs == [job.job_id for job in client.list_jobs(max_results=3)]


def test_a_change_of_an_older_state_is_refused(client: bigquery.Client, dataset: str) -> None:
    """The client sends the etag of what it has read, so of two who change a table at once one is told."""
    client.create_table(bigquery.Table(f"{PROJECT}.{dataset}.t", [FIELD("a", "INTEGER")]))
    mine, theirs = client.get_table(f"{PROJECT}.{dataset}.t"), client.get_table(f"{PROJECT}.{dataset}.t")
    theirs.description = "theirs"
    theirs = client.update_table(theirs, ["description"])
    mine.description = "mine"
    with pytest.raises(PreconditionFailed):
        client.update_table(mine, ["description"])
    assert client.get_table(f"{PROJECT}.{dataset}.t").description == "theirs"
    theirs.description = "theirs again"
    assert client.update_table(theirs, ["description"]).description == "theirs again"


def test_a_dataset_with_tables_is_not_deleted_unless_asked_for(client: bigquery.Client) -> None:
    client.create_dataset("to_delete")
    client.create_table(bigquery.Table(f"{PROJECT}.to_delete.t", [FIELD("a", "INTEGER")]))
    with pytest.raises(BadRequest, match="not empty"):
        client.delete_dataset("to_delete", not_found_ok=True)
    assert client.get_table(f"{PROJECT}.to_delete.t").table_id == "t"
    client.delete_dataset("to_delete", delete_contents=True)
    with pytest.raises(NotFound):
        client.get_dataset("to_delete")


def test_datasets(client: bigquery.Client, dataset: str, query: Query) -> None:
    query("create schema if not exists {d}")
    query("create schema if not exists `sandbox-project`.`{d}_other`")
    assert client.get_dataset(f"{dataset}_other").location == "EU"
    assert (dataset, "EU") in query("select schema_name, location from `sandbox-project`.INFORMATION_SCHEMA.SCHEMATA")
    query("drop schema {d}_other cascade")


FILTERED = [
    "select count(*) from {d}.t where day = '2026-01-01'",
    "select count(*) from {d}.t where day in ('2026-01-01', date '2026-01-02') and k > 0",
    "select count(*) from {d}.t where day in unnest([date '2026-01-01'])",
    "select count(*) from {d}.t where day between '2026-01-01' and date_add(date '2026-01-01', interval 3 day)",
    "select count(*) from {d}.t where (day = '2026-01-01' or day > date '2026-01-01') and k = k",
    "select count(*) from {d}.t x join (select 1 k) y on x.k = y.k where x.day >= '2026-01-01'",
    "select count(*) from (select * from {d}.t) where day >= '2026-01-01'",
    "with x as (select day as d2, k from {d}.t) select count(*) from x where d2 >= '2026-01-01'",
    "select count(*) from {d}.seen where seen_day >= '2026-01-01'",
    "select count(*) from `sandbox-project.{d}.t` where day >= @day",
    "declare days array<date> default [date '2026-01-01']; select count(*) from {d}.t where day in unnest(days)",
]
UNFILTERED = [
    "select count(*) from {d}.t",
    "select count(*) from {d}.t where k = 1",
    "select count(*) from {d}.t where day = '2026-01-01' or k = 1",
    "select count(*) from {d}.t where day in (select date '2026-01-01')",
    "select count(*) from {d}.t where day = (select max(day) from {d}.free)",
    "select count(*) from {d}.t x join {d}.free y on x.day = y.day",
    "select count(*) from {d}.t where cast(day as string) = '2026-01-01' and format_date('%Y', day) = '2026'",
    "select count(*) from {d}.free where day = '2026-01-01' and k in (select k from {d}.t)",
    "select count(*) from (select day, count(*) c from {d}.t group by day) where day = '2026-01-01'",
    "select count(*) from {d}.seen",
    "with x as (select * from {d}.t) select count(*) from x",
    "select 1 as a union all select k from {d}.t",
    "delete from {d}.t where k = 1",
    "update {d}.t set k = 2 where true",
    "create table {d}.copy as select * from {d}.t",
    "insert into {d}.free select * from {d}.t",
    "merge {d}.t as t using (select 1 k) s on t.k = s.k when matched then delete",
    "select 1; select count(*) from {d}.t",
]


@pytest.fixture
def partitioned(query: Query) -> Query:
    query("create table {d}.t (day date, k int64) partition by day options (require_partition_filter = true)")
    query("insert into {d}.t values (date '2026-01-01', 1), (date '2026-01-02', 2)")
    query("create table {d}.free as select date '2026-01-01' as day, 1 as k")
    query("create view {d}.seen as select day as seen_day, k from {d}.t")
    return query


@pytest.mark.parametrize("sql", FILTERED)
def test_a_partition_filter_suffices(partitioned: Query, sql: str) -> None:
    parameters = [bigquery.ScalarQueryParameter("day", "DATE", DAY(2026, 1, 1))] if "@day" in sql else []
    assert partitioned(sql, query_parameters=parameters)[0][0] >= 1


@pytest.mark.parametrize("sql", UNFILTERED)
def test_a_missing_partition_filter_is_refused(partitioned: Query, dataset: str, sql: str) -> None:
    message = f"Cannot query over table 'sandbox-project.{dataset}.t' without a filter over column"
    with pytest.raises(BadRequest, match=message):
        partitioned(sql)


def test_bronze_is_refused_without_date(client: bigquery.Client, bronze: str, query: Query, put: Put) -> None:
    client.load_table_from_uri(put([row(1)]), bronze, job_config=json_load()).result()
    with pytest.raises(BadRequest, match="'_date' that can be used for partition elimination"):
        query(f"select * from `{bronze}` where _slice_id = 's0000000000000001'")


MERGE = """merge into {d}.t as target using (select date '2026-01-02' as day, 9 as k) as source
on {on} {clauses} when not matched then insert (day, k) values (day, k)"""


@pytest.mark.parametrize(
    ("on", "clauses", "expected"),
    [
        ("target.day in (date '2026-01-02') and target.k = source.k", "when matched then update set k = source.k",
         [(1,), (2,), (9,)]),
        ("false", "when not matched by source and target.day in (date '2026-01-02') then delete", [(1,), (9,)]),
    ],
)  # fmt: skip
def test_merge_as_dbt_writes_it(partitioned: Query, on: str, clauses: str, expected: list[tuple[int]]) -> None:
    partitioned(MERGE.replace("{on}", on).replace("{clauses}", clauses))
    assert partitioned("select k from {d}.t where day > '2000-01-01' order by k") == expected


def test_dynamic_insert_overwrite_as_dbt_writes_it(query: Query) -> None:
    query("create table {d}.io (day date, v int64) partition by day")
    query("insert into {d}.io values (date '2026-01-01', 1), (date '2026-01-02', 2)")
    query(
        """declare dbt_partitions_for_replacement array<date>;
        create or replace table {d}.io__dbt_tmp partition by day as (select date '2026-01-02' as day, 9 as v);
        set (dbt_partitions_for_replacement) =
          (select as struct array_agg(distinct date(day) ignore nulls) from {d}.io__dbt_tmp);
        merge into {d}.io as D using (select * from {d}.io__dbt_tmp) as S on false
        when not matched by source and date(D.day) in unnest(dbt_partitions_for_replacement) then delete
        when not matched then insert (`day`, `v`) values (`day`, `v`);
        drop table if exists {d}.io__dbt_tmp"""
    )
    assert query("select v from {d}.io order by v") == [(1,), (9,)]


def test_information_schema_as_dbt_reads_it(query: Query) -> None:
    query("create table {d}.t (a int64 options (description = 'x'), s struct<b string>, p json, n bignumeric)")
    query("create view {d}.v as select a from {d}.t")
    assert query(
        "select column_name, data_type from {d}.INFORMATION_SCHEMA.COLUMNS where table_name = 't' order by ordinal_position"
    ) == [("a", "INT64"), ("s", "STRUCT<b STRING>"), ("p", "JSON"), ("n", "BIGNUMERIC")]
    assert query("select table_name, table_type from `sandbox-project`.`{d}`.INFORMATION_SCHEMA.TABLES order by 1") == [
        ("t", "BASE TABLE"),
        ("v", "VIEW"),
    ]
    assert query("select ddl from {d}.INFORMATION_SCHEMA.TABLES where table_name = 'v'")[0][0].startswith("CREATE VIEW")
    assert query(
        "select field_path, description from `sandbox-project.{d}.INFORMATION_SCHEMA.COLUMN_FIELD_PATHS`"
        " where table_name = 't' order by 1"
    ) == [("a", "x"), ("n", None), ("p", None), ("s", None), ("s.b", None)]
    assert query("select table_id, type from {d}.__TABLES__ order by 1") == [("t", 1), ("v", 2)]
    assert query("select count(*) from {d}.INFORMATION_SCHEMA.OBJECT_PRIVILEGES") == [(0,)]


def test_ddl_then_insert_in_one_script(query: Query) -> None:
    """As an on-run-start hook sends it."""
    script = """create table if not exists {d}.results (build int64, made_at timestamp);
        insert into {d}.results select N, current_timestamp()"""
    for build in ("1", "2"):
        query(script.replace("N", build))
    assert query("select build from {d}.results order by 1") == [(1,), (2,)]


def test_parameters_keep_their_types(query: Query) -> None:
    parameters = [
        bigquery.ScalarQueryParameter("moment", "TIMESTAMP", datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)),
        bigquery.ArrayQueryParameter("list", "STRING", ["x", "y"]),
        bigquery.ScalarQueryParameter("user", "NUMERIC", Decimal("1.123456789")),
    ]
    assert query("select @moment, array_length(@list), 'x' in unnest(@list), @user", query_parameters=parameters) == [
        (datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), 2, True, Decimal("1.123456789"))
    ]
