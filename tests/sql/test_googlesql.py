"""The type checker itself: it rejects what BigQuery rejects, and says so with its exit code."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venvs" / "sql" / "bin" / "python"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="no environment .venvs/sql: run `make install`"),
]

BASE = {
    "id": "int64",
    "name": "string",
    "day": "date",
    "made_at": "timestamp",
    "amount": "numeric",
    "payload": "json",
    "l": "array<string>",
}


def columns(types: dict[str, str | None]) -> dict[str, dict[str, str | None]]:
    return {name: {"name": name, "data_type": kind} for name, kind in types.items()}


def node(name: str, sql: str | None, kind: str = "model", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "resource_type": kind,
        "package_name": "warehouse",
        "original_file_path": f"models/{name}.sql",
        "path": f"{name}.sql",
        "relation_name": None if kind == "test" else f"`p`.`d`.`{name}`",
        "compiled_code": sql,
        "columns": columns(more.pop("types", {})),
        "config": {"enabled": True, **more.pop("config", {})},
        "depends_on": {"nodes": [f"model.warehouse.{n}" for n in more.pop("after", [])]},
    }


def target(directory: Path, *nodes: dict[str, Any], source: dict[str, str | None] | None = None) -> Path:
    """Write a target directory with one source `p.d.base` and these nodes."""
    base = {"name": "base", "original_file_path": "sources.yml", "relation_name": "`p`.`d`.`base`"}
    manifest = {
        "sources": {"source.base": {**base, "columns": columns(source if source is not None else dict(BASE))}},
        "nodes": {f"{n['resource_type']}.warehouse.{n['name']}": n for n in nodes},
    }
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "manifest.json").write_text(json.dumps(manifest))
    return directory


def check(*targets: Path) -> tuple[int, list[str], str]:
    """Run the script; exit code, its lines, the summary line."""
    command = [str(PYTHON), str(ROOT / "tests/sql/googlesql.py"), *map(str, targets)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    lines = done.stdout.splitlines()
    return done.returncode, lines[:-1], lines[-1] if lines else done.stderr


def failures(lines: list[str]) -> dict[str, str]:
    """Messages by the name of the model that failed."""
    return {line.split()[1]: line for line in lines if line.startswith("FAILED ")}


WRONG = {
    "text equals number": "select 'a' = 1 as x",
    "coalesce of text and number": "select coalesce('a', 1) as x",
    "unknown column": "select no_such_column from `p`.`d`.`base`",
    "unknown table": "select id from `p`.`d`.`nowhere`",
    "unknown function": "select no_such_function(id) as x from `p`.`d`.`base`",
    "ungrouped column": "select id, count(*) as n from `p`.`d`.`base` group by name",
    "union of text and number": "select id as x from `p`.`d`.`base` union all select name from `p`.`d`.`base`",
    "date after timestamp": "select day > made_at as x from `p`.`d`.`base`",
    "sum of text": "select sum(name) as x from `p`.`d`.`base`",
    "JSON equals text": "select payload = 'x' as x from `p`.`d`.`base`",
    "no such day": "select date '2026-02-30' as x",
    "timestamp plus number": "select made_at + 1 as x from `p`.`d`.`base`",
    "case of two types": "select case when id = 1 then 'x' else 1 end as x from `p`.`d`.`base`",
    "text in numbers": "select name in unnest([1, 2]) as x from `p`.`d`.`base`",
    "grouping JSON": "select payload, count(*) as n from `p`.`d`.`base` group by payload",
    "distinct JSON": "select distinct payload from `p`.`d`.`base`",
    "ordering JSON": "select payload from `p`.`d`.`base` order by payload",
    "partitioning by JSON": "select row_number() over (partition by payload) as n from `p`.`d`.`base`",
    "comparing arrays": "select l = l as x from `p`.`d`.`base`",
    "a column without a name": "select id + 1 from `p`.`d`.`base`",
    "two columns of one name": "select id, day as ID from `p`.`d`.`base`",
    "not SQL": "selec 1",
}
RIGHT = {
    "fields of JSON": "select safe_cast(json_value(payload, '$.b') as numeric) as b from `p`.`d`.`base`",
    "qualify": "select id from `p`.`d`.`base` qualify row_number() over (partition by name order by made_at desc) = 1",
    "first of an array": "select array_agg(name ignore nulls order by id limit 1)[safe_offset(0)] as x from `p`.`d`.`base`",
    "hash of a struct": "select to_hex(md5(to_json_string(struct(id, name)))) as x from `p`.`d`.`base`",
    "unnest with offset": "select e, o from `p`.`d`.`base`, unnest(json_query_array(payload, '$.l')) as e with offset as o",
    "dates": "select d from unnest(generate_date_array(date '2026-01-01', date '2026-01-03')) as d",
    "day in a time zone": "select date(made_at, 'Europe/London') as d from `p`.`d`.`base`",
    "median": "select distinct percentile_cont(id, 0.5) over (partition by name) as m from `p`.`d`.`base`",
    "everything but": "select * except (payload, l) replace (upper(name) as name) from `p`.`d`.`base`",
}  # fmt: skip


def test_wrong_statements_fail_and_right_ones_pass(tmp_path: Path) -> None:
    wrong = {f"wrong_{i}": (what, sql) for i, (what, sql) in enumerate(WRONG.items())}
    right = {f"right_{i}": (what, sql) for i, (what, sql) in enumerate(RIGHT.items())}
    nodes = [node(name, sql) for name, (_, sql) in (wrong | right).items()]
    code, lines, summary = check(target(tmp_path, *nodes))
    found = failures(lines)
    accepted = [what for name, (what, _) in wrong.items() if name not in found]
    rejected = {what: found[name] for name, (what, _) in right.items() if name in found}
    assert (accepted, rejected) == ([], {})
    assert code == 1
    assert summary == f"{len(nodes)} statements checked, {len(wrong)} failed, 0 not checked"


def test_types_flow_from_model_to_model_and_test(tmp_path: Path) -> None:
    first = node("first", "select id as order_id, amount from `p`.`d`.`base`")
    second = node("second", "select order_id = 'x' as x from `p`.`d`.`first`", after=["first"])
    third = node("third", "select sum(amount) as total from `p`.`d`.`first`", after=["first"])
    test = node("unique_total", "select total from `p`.`d`.`third` where total = 'x'", "test", after=["third"])
    code, lines, summary = check(target(tmp_path, test, second, third, first))
    assert sorted(failures(lines)) == ["second", "unique_total"]
    assert (code, summary) == (1, "4 statements checked, 2 failed, 0 not checked")


@pytest.mark.parametrize(
    ("types", "what"),
    [
        ({"id": "int64", "amount": "numeric(10, 2)"}, None),
        ({"id": "int64", "amount": "float64"}, "amount is declared FLOAT64, GoogleSQL says NUMERIC"),
        ({"id": "int64"}, "amount is selected and not in the contract"),
        ({"id": "int64", "amount": "numeric", "day": "date"}, "day is declared and not selected"),
        ({"id": "int64", "amount": "money"}, "unknown type money"),
    ],
)
def test_contracts_are_compared(tmp_path: Path, types: dict[str, str], what: str | None) -> None:
    model = node("m", "select id, amount from `p`.`d`.`base`", types=types, config={"contract": {"enforced": True}})
    code, lines, _ = check(target(tmp_path, model))
    assert (code, len(lines)) == ((1, 1) if what else (0, 0))
    assert what is None or what in lines[0]


def test_sources_and_seeds_need_types(tmp_path: Path) -> None:
    seed = node("s", None, "seed")
    typed = node("t", None, "seed", config={"column_types": {"a": "int64"}})
    model = node("m", "select a + 1 as b from `p`.`d`.`t`")
    code, lines, _ = check(target(tmp_path, seed, typed, model, source={"id": "int64", "name": None}))
    assert (code, sorted(failures(lines))) == (1, ["base", "s"])


def test_the_incremental_compilation_is_checked_too(tmp_path: Path) -> None:
    full = node("m", "select id, made_at from `p`.`d`.`base`")
    good = node("m", "select id, made_at from `p`.`d`.`base` where made_at > (select max(made_at) from `p`.`d`.`m`)")
    bad = node("m", "select id, made_at from `p`.`d`.`base` where made_at > (select max(id) from `p`.`d`.`m`)")
    assert check(target(tmp_path / "full", full), target(tmp_path / "good", good))[0] == 0
    code, _, summary = check(tmp_path / "full", target(tmp_path / "bad", bad))
    assert (code, summary) == (1, "2 statements checked, 1 failed, 0 not checked")


def test_what_is_not_compiled_is_not_called_right(tmp_path: Path) -> None:
    code, lines, summary = check(target(tmp_path, node("m", None), node("n", "select 1 as a")))
    assert (code, summary) == (0, "1 statements checked, 0 failed, 1 not checked")
    assert lines == ["NOT CHECKED m: not compiled in this target"]
    assert check(target(tmp_path, node("m", None)))[0] == 1  # nothing at all was checked


def test_compiled_files_are_found_when_the_manifest_has_no_text(tmp_path: Path) -> None:
    target(tmp_path, node("m", None))
    path = tmp_path / "compiled/warehouse/models/m.sql"
    path.parent.mkdir(parents=True)
    path.write_text("select 'a' = 1 as x")
    assert check(tmp_path)[0] == 1
