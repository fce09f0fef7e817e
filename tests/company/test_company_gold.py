"""The make-believe shop through the whole pipeline: gold says of it what is true of it, and every row is accounted for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from sandbox.company import REPORTING_CURRENCY, REPORTING_TIME_ZONE, Truth, write_exports
from sandbox.supervisor import Supervisor
from tests.company import gold_measures
from tests.end_to_end.conftest import fill, settings

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Filled:
    world: Supervisor
    truth: Truth


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    folder = tmp_path_factory.mktemp("shop") / "exports"
    truth = write_exports(folder)
    ours = settings(REPORTING_CURRENCY, REPORTING_TIME_ZONE)
    with Supervisor(tmp_path_factory.mktemp("world"), settings=ours) as world:
        fill(world, folder)
        yield Filled(world, truth)


def test_gold_gives_the_truth(filled: Filled) -> None:
    found = gold_measures.measures(filled.world.query)
    wanted = gold_measures.expected(filled.truth.measures)
    assert {name for name in wanted if found.get(name) != wanted[name]} == set()
    assert found == wanted


def test_every_row_of_every_file_is_where_it_belongs(filled: Filled) -> None:
    # Of two files with the same bytes the one that is looked at first loads, and stands for both.
    first = {name: file["same_as"] or name for name, file in filled.truth.files.items()}
    counts = {first[row["file_name"]]: row for row in filled.world.query("select * from audit.aud_row_counts")}
    loaded = {name: file for name, file in filled.truth.files.items() if file["outcome"] == "loaded"}
    assert set(counts) == set(loaded)
    for name, file in loaded.items():
        row = counts[name]
        assert row["stream"] == f"crm.{file['stream']}", name
        assert (row["file_rows"], row["loaded_rows"]) == (file["rows"], file["loaded"]), name
        assert (row["set_aside_by_extraction"], row["non_rows"]) == (len(file["set_aside"]), file["non_rows"]), name
        assert (row["set_aside_by_cast"], row["missing_rows"]) == (0, 0), name
    for stream, figures in filled.truth.streams.items():
        rows = [row for row in counts.values() if row["stream"] == f"crm.{stream}"]
        assert sum(row["current_rows"] for row in rows) == figures["current"], stream
        assert sum(row["older_rows"] for row in rows) == figures["older"], stream


def test_what_is_set_aside_is_named_with_file_line_and_reason(filled: Filled) -> None:
    rows = list(filled.world.query("select unit, file_name, line_number, reason from audit.aud_set_aside"))
    first = {name: file["same_as"] or name for name, file in filled.truth.files.items()}
    found = {(first[row["file_name"]], row["line_number"], row["reason"]) for row in rows if row["unit"] == "row"}
    planted = {
        (name, entry["line"], entry["reason"]) for name, file in filled.truth.files.items() for entry in file["set_aside"]
    }
    assert found == planted
    files = {row["file_name"] for row in rows if row["unit"] == "file"}
    assert files == {name for name, file in filled.truth.files.items() if file["outcome"] == "set_aside"}


def test_planted_findings_show_in_the_audits(filled: Filled) -> None:
    findings = filled.truth.findings
    query = filled.world.query
    conflicts = {row[0] for row in query("select order_id from audit.aud_channel_conflicts")}
    assert conflicts == set(findings["channel_conflicts"]["ids"])
    wrong = {row[0]: row[1] for row in query("select order_id, is_repeat from audit.aud_repeat_flag")}
    assert {name for name, is_repeat in wrong.items() if is_repeat} == set(findings["repeat_flag_missed"]["ids"])
    assert {name for name, is_repeat in wrong.items() if not is_repeat} == set(findings["repeat_flag_false"]["ids"])
    unrated = {row[0]: row[1] for row in query("select currency, orders from audit.aud_fx_missing")}
    assert sum(unrated.values()) == filled.truth.measures["orders"]["without_rate"]
    assert set(findings["unquoted_currency"]["ids"]) <= set(unrated)
    drift = str(list(query("select * from audit.aud_schema_drift")))
    assert all(column in drift for column in findings["unknown_column"]["ids"])
    withdrawn = {row[0] for row in query("select product_id from silver.slv_crm__products where is_deleted")}
    assert withdrawn == set(findings["withdrawn_products"]["ids"])


def test_a_correction_with_fewer_lines_leaves_no_ghosts(filled: Filled) -> None:
    lines = filled.world.query("select count(*), sum(quantity) from gold.fact_order_items")
    items = filled.truth.measures["items"]
    found = next(iter(lines))
    assert found[0] == items["lines"] - items["lines_of_missing_orders"]
