"""Expressions that the dbt project uses or may use: each value is what BigQuery returns."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery

from tests.bigquery.conftest import Query

pytestmark = pytest.mark.slow
DAY = datetime.date


def at(*parts: int) -> datetime.datetime:
    return datetime.datetime(*parts, tzinfo=datetime.UTC)  # type: ignore[misc, arg-type]


EXPRESSIONS: list[tuple[str, Any]] = [
    # casts from text are strict
    ("safe_cast('12.5' as int64)", None),
    ("safe_cast('1e3' as int64)", None),
    ("safe_cast('-7' as int64)", -7),
    ("safe_cast('' as int64)", None),
    ("safe_cast('2026-02-30' as date)", None),
    ("safe_cast('2026-01-05 10:00:00' as date)", None),
    ("safe_cast('2026-1-5' as date)", DAY(2026, 1, 5)),
    ("safe_cast('t' as bool)", None),
    ("safe_cast('TRUE' as bool)", True),
    ("safe_cast('10:00' as timestamp)", None),
    ("safe_cast('2020-11-24T12:00:00Z' as timestamp)", at(2020, 11, 24, 12)),
    ("safe_cast('2020-11-24T12:00:00.123456Z' as timestamp)", at(2020, 11, 24, 12, 0, 0, 123456)),
    ("safe_cast('2020-11-24 12:00:00+02:00' as timestamp)", at(2020, 11, 24, 10)),
    ("safe_cast('1,5' as numeric)", None),
    ("safe_cast('12.50' as numeric)", Decimal("12.5")),
    ("safe_cast('99999999999999999999.99' as numeric)", Decimal("99999999999999999999.99")),
    ("cast('1.0000000005' as numeric)", Decimal("1.000000001")),
    ("cast(2.5 as int64)", 3),
    ("cast(-2.5 as int64)", -3),
    # casts to text
    ("cast(numeric '12.50' as string)", "12.5"),
    ("cast(numeric '100' as string)", "100"),
    ("cast(1.0 as string)", "1"),
    ("cast(0.1 as string)", "0.1"),
    ("cast(true as string)", "true"),
    ("cast(date '2026-01-01' as string)", "2026-01-01"),
    ("cast(timestamp '2026-01-01 00:00:00+00' as string)", "2026-01-01 00:00:00+00"),
    ("cast(timestamp '2026-01-01 00:00:00.12+00' as string)", "2026-01-01 00:00:00.120+00"),
    # numbers
    ("numeric '1.123456789' * 2", Decimal("2.246913578")),
    ("numeric '12345678901234567890' * numeric '3'", Decimal("37037036703703703670")),
    ("numeric '10' / 4", Decimal("2.5")),
    ("safe_divide(1, 0)", None),
    ("safe_divide(numeric '1', numeric '3')", Decimal("0.333333333")),
    ("round(numeric '2.345', 2)", Decimal("2.35")),
    ("round(-2.5)", -3.0),
    ("div(7, 2)", 3),
    ("mod(-7, 2)", -1),
    ("7 / 2", 3.5),
    ("least(1, null)", None),
    ("(select avg(x) from unnest([1, 2]) x)", 1.5),
    ("(select countif(x > 1) from unnest([1, 2, null]) x)", 1),
    ("(select percentile_cont(x, 0.5) over () from unnest([1, 2, 3, 4]) x limit 1)", 2.5),
    ("(select array_agg(x ignore nulls order by x desc limit 1)[safe_offset(0)] from unnest([1, null, 2]) x)", 2),
    ("(select array_agg(x order by x desc limit 2) from unnest([1, 3, 2]) x)", [3, 2]),
    ("(select array_agg(struct(x as id, 'n' as name) order by x desc limit 1)[offset(0)].id from unnest([1, 3]) x)", 3),
    ("(select any_value(v having max t) from unnest([struct('a' as v, 1 as t), struct('b', 2)]))", "b"),
    ("(select string_agg(distinct x, ',' order by x) from unnest(['b', 'a', 'b']) x)", "a,b"),
    # dates and time zones
    ("date(timestamp '2026-06-30 23:30:00+00', 'Europe/London')", DAY(2026, 7, 1)),
    ("datetime(timestamp '2026-06-30 23:30:00+00', 'Europe/London')", datetime.datetime(2026, 7, 1, 0, 30)),  # noqa: DTZ001
    ("timestamp(datetime '2026-06-30 23:30:00', 'Europe/London')", at(2026, 6, 30, 22, 30)),
    ("timestamp(date '2026-06-30', 'Europe/London')", at(2026, 6, 29, 23)),
    ("timestamp('2026-06-30')", at(2026, 6, 30)),
    ("extract(hour from timestamp '2026-06-30 23:30:00+00' at time zone 'Europe/London')", 0),
    ("timestamp_trunc(timestamp '2026-03-29 00:30:00+00', day, 'Europe/Amsterdam')", at(2026, 3, 28, 23)),
    ("parse_date('%d/%m/%Y', '24/11/2020')", DAY(2020, 11, 24)),
    ("safe.parse_date('%Y-%m-%d', 'x')", None),
    ("parse_timestamp('%Y-%m-%d %H:%M:%S', '2020-06-24 12:00:00', 'Europe/London')", at(2020, 6, 24, 11)),
    ("parse_timestamp('%Y-%m-%dT%H:%M:%E*S%Ez', '2026-01-02T03:04:05.678901+02:00')", at(2026, 1, 2, 1, 4, 5, 678901)),
    ("safe.parse_timestamp('%Y-%m-%dT%H:%M:%E*S%Ez', 'junk')", None),
    ("format_date('%Y-%m', date '2026-01-05')", "2026-01"),
    ("format_date('%G-W%V', date '2026-01-05')", "2026-W02"),
    ("format_timestamp('%Y-%m-%dT%H:%M:%SZ', timestamp '2026-01-05 01:02:03+00')", "2026-01-05T01:02:03Z"),
    ("format_timestamp('%H:%M', timestamp '2026-06-05 01:02:03+00', 'Europe/London')", "02:02"),
    ("date_trunc(date '2026-03-31', week(monday))", DAY(2026, 3, 30)),
    ("date_trunc(date '2026-03-31', isoweek)", DAY(2026, 3, 30)),
    ("date_trunc(date '2026-03-31', week)", DAY(2026, 3, 29)),
    ("date_trunc(date '2026-03-31', month)", DAY(2026, 3, 1)),
    ("date_diff(date '2026-04-01', date '2026-03-29', isoweek)", 1),
    ("date_diff(date '2026-04-04', date '2026-03-29', week)", 0),
    ("date_diff(date '2026-04-05', date '2026-03-29', week)", 1),
    ("date_diff(date '2026-03-01', date '2026-02-28', day)", 1),
    ("date_diff(date '2026-03-01', date '2026-02-28', month)", 1),
    ("date_sub(date '2026-03-31', interval 1 month)", DAY(2026, 2, 28)),
    ("extract(dayofweek from date '2026-11-22')", 1),
    ("extract(isoweek from date '2026-01-01')", 1),
    ("last_day(date '2026-02-03')", DAY(2026, 2, 28)),
    ("timestamp_millis(1700000000123)", at(2023, 11, 14, 22, 13, 20, 123000)),
    ("generate_date_array('2026-01-01', '2026-01-03')", [DAY(2026, 1, n) for n in (1, 2, 3)]),
    # text
    ("to_hex(md5('a'))", "0cc175b9c0f1b6a831c399e269772661"),
    ("to_hex(sha256('a'))", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
    ("farm_fingerprint('foo')", 6150913649986995171),
    ("regexp_replace('a1', r'\\d', 'x')", "ax"),
    ("regexp_extract('utm=abc&x', r'utm=([^&]+)')", "abc"),
    ("split('a|b', '|')", ["a", "b"]),
    ("split('a,b', ',')[safe_offset(5)]", None),
    ("substr('hello', 2, 2)", "el"),
    ("lower('ÀÉ')", "àé"),
    ("net.host('https://user@www.Example.com:8080/a?b')", "www.Example.com"),
    ("normalize_and_casefold('É') = normalize_and_casefold('é')", True),
    # JSON
    ("""json_value(json '{"a": {"b": [1, "x"]}}', '$.a.b[1]')""", "x"),
    ("""json_value(json '{"a": "1.10"}', '$.a')""", "1.10"),
    ("""json_value(json '{"My column": "x"}', '$."My column"')""", "x"),
    ("""json_value(json '{"a": null}', '$.a') is null""", True),
    ("""json_value(json '{"a": "x"}', '$.a') = 'x' and json_value(json '{"a": "x"}', '$.b') is null""", True),
    ("""json_value(json '{"a": "x"}', '$.a') in ('x', 'y')""", True),
    ("""json_query(json '{"a": 1}', '$.b') is null""", True),
    ("""to_json_string(json_query(json '{"a": {"b": 1}}', '$.a'))""", '{"b":1}'),
    ("""json_keys(json '{"a": {"b": 1}, "x y": 2}', 1)""", ["a", '"x y"']),
    ("""json_value_array(json '["a", "b"]')""", ["a", "b"]),
    ("""array_length(json_query_array(json '{"l": [1, 2]}', '$.l'))""", 2),
    ("""(select string_agg(json_value(e, '$.x'), ',' order by i desc)
         from unnest(json_query_array(json '[{"x": "1"}, {"x": "2"}]')) as e with offset as i)""", "2,1"),
    ("to_json_string(struct(1 as a, 'x' as b, date '2026-01-01' as c, cast(null as string) as d))",
     '{"a":1,"b":"x","c":"2026-01-01","d":null}'),
    ("to_json_string((select as struct a, b from (select 1 as a, 'é' as b)))", '{"a":1,"b":"é"}'),
    # arrays and structs
    ("array(select as struct x as id from unnest([3, 1, 2]) x order by x)[offset(0)].id", 1),
    ("array_to_string(array(select x from unnest(['b', 'a']) x order by x), '-')", "a-b"),
    ("[struct(1 as a, 'x' as b), (2, 'y')]", [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]),
    ("array_concat([1], [2])", [1, 2]),
    ("1 in unnest([1, 2])", True),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "expected"), EXPRESSIONS, ids=[e for e, _ in EXPRESSIONS])
def test_expression(query: Query, expression: str, expected: Any) -> None:
    assert query(f"select {expression} as value") == [(expected,)]


QUERIES: list[tuple[str, list[tuple[Any, ...]]]] = [
    ("select x from unnest([1, 1, 2]) x qualify row_number() over (partition by x order by x) = 1 order by x", [(1,), (2,)]),
    ("select * except (b) replace (a + 1 as a) from (select 1 a, 2 b, 3 c)", [(2, 3)]),
    ("select a, o from unnest(['p', 'q']) as a with offset as o order by o", [("p", 0), ("q", 1)]),
    ("select * from unnest(['p', 'q']) as a with offset as o order by o", [("p", 0), ("q", 1)]),
    ("select a, offset from unnest(['p', 'q']) as a with offset order by offset", [("p", 0), ("q", 1)]),
    # an offset is lowered once, however many queries it passes through
    ("with x as (select a, o from unnest(['p', 'q']) as a with offset as o) select o, o + 1 as n from x order by o",
     [(0, 1), (1, 2)]),
    ("select t.id, (select count(*) from unnest(t.l) x with offset i where i > 0) n from (select 1 id, ['a', 'b'] l) t",
     [(1, 1)]),
    ("select a, b from (select 1 a, cast([] as array<int64>) bs) left join unnest(bs) b", [(1, None)]),
    ("select a, count(*) c from (select 1 a union all select 1) group by all having count(*) > 1", [(1, 2)]),
    ("with recursive r as (select 1 n union all select n + 1 from r where n < 3) select * from r order by n",
     [(1,), (2,), (3,)]),
    ("select * from (select 'a' k, 1 v union all select 'b', 2) pivot(sum(v) for k in ('a', 'b'))", [(1, 2)]),
    ("select x, sum(x) over (order by x rows between unbounded preceding and current row) s from unnest([1, 2]) x order by 1",
     [(1, 1), (2, 3)]),
    ("declare x int64 default 5; select x + 1 as y", [(6,)]),
    ("create temp table t as select 1 a; select a from t", [(1,)]),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "expected"), QUERIES, ids=[s for s, _ in QUERIES])
def test_query(query: Query, sql: str, expected: list[tuple[Any, ...]]) -> None:
    assert query(sql) == expected


REFUSED = [
    ("select approx_quantiles(x, 2) from unnest([1, 2, 3]) x", "APPROX_QUANTILES"),
    ("select format_timestamp('%E3S', current_timestamp())", "%E3S"),
    ("select date_trunc(current_date(), week(tuesday))", "WEEK"),
    ("""select json_keys(json '{"a": {"b": 1}}')""", "JSON_KEYS"),
    ("select substr('hello', 0, 2)", "SUBSTR"),
    ("select * from d.t for system_time as of current_timestamp()", "SYSTEM_TIME"),
    ("merge d.t using (select 1 a) s on false when not matched then insert row", "INSERT ROW"),
    ("export data options (uri = 'gs://b/x-*.csv', format = 'CSV') as select 1", "EXPORT DATA"),
    ("select cast('12.5' as int64)", "Bad int64 value: 12.5"),
    ("select 9223372036854775807 + 1", "Overflow"),
]


@pytest.mark.parametrize(("sql", "what"), REFUSED, ids=[s for s, _ in REFUSED])
def test_refused(query: Query, sql: str, what: str) -> None:
    with pytest.raises(BadRequest, match=what):
        query(sql)


def test_names_that_only_duckdb_reserves(query: Query) -> None:
    query("create table {d}.t (`at` timestamp, `rows` int64, `column` string, user string)")
    query("insert into {d}.t (`at`, `rows`, `column`, user) values (timestamp '2026-01-01 00:00:00+00', 5, 'c', 'u')")
    assert query("select t.`at`, t.rows, `column`, user from {d}.t") == [(at(2026, 1, 1), 5, "c", "u")]


def test_numeric_columns_keep_nine_digits(query: Query) -> None:
    query("create table {d}.n (m numeric, i int64)")
    query("insert into {d}.n values (numeric '1.123456789', 2), (numeric '2', 3)")
    assert query("select sum(m), avg(m), sum(m * i), max(m) / 3 from {d}.n") == [
        (Decimal("3.123456789"), Decimal("1.561728395"), Decimal("8.246913578"), Decimal("0.666666667"))
    ]


def test_a_cast_that_also_stands_in_a_struct_keeps_nine_digits(query: Query) -> None:
    """Silver reads like this: a number out of a payload, and a hash over a struct of the columns."""
    query("create table {d}.raw (payload json)")
    query("""insert into {d}.raw values (json '{"rate": "1.176256789"}')""")
    sql = """
        with typed as (select safe_cast(json_value(payload, '$.rate') as numeric) as rate from {d}.raw)
        select rate, to_hex(md5(to_json_string(struct(rate as rate)))) != '' from typed
    """
    assert query(sql) == [(Decimal("1.176256789"), True)]


def test_the_quick_way_of_asking_refuses_as_well(client: bigquery.Client) -> None:
    """`jobs.query` (POST /queries) must not answer 200 with an error inside."""
    with pytest.raises(BadRequest):
        client.query_and_wait("select no_such_column from (select 1 as x)", retry=None, job_retry=None)
