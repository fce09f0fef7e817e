"""Gold gives the figures of a folder to the cent; they were worked out from its files without any code of ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sandbox.supervisor import Supervisor
from tests.end_to_end import figures_from_gold
from tests.end_to_end.conftest import SHOWCASE, TWIN, fill, settings
from tests.twin.figures import figures

pytestmark = pytest.mark.slow


def test_the_twins_figures(twin_world: Supervisor) -> None:
    wanted = json.loads((TWIN.parent / "figures.json").read_text(encoding="utf-8"))
    assert figures_from_gold.figures(twin_world.query) == figures_from_gold.expected(wanted)


def test_files_of_other_sources_are_set_aside_by_name(twin_world: Supervisor) -> None:
    rows = list(twin_world.query("select file_name, reason from audit.aud_set_aside where unit = 'file' order by 1"))
    assert [row["file_name"] for row in rows] == ["ga4.csv", "meta_ads.csv"]
    assert "ga4" in rows[0]["reason"]
    assert "meta_ads" in rows[1]["reason"]


def test_every_row_of_every_file_is_accounted_for(twin_world: Supervisor) -> None:
    counts = {row["file_name"]: row for row in twin_world.query("select * from audit.aud_row_counts")}
    assert set(counts) == {"contacts.csv", "orders.csv", "campaigns.csv"}
    for name, row in counts.items():
        lines = len((TWIN / name).read_text(encoding="utf-8").splitlines()) - 1
        assert row["file_rows"] == row["loaded_rows"] == lines
        assert row["missing_rows"] == 0


def test_a_second_delivery_of_everything_changes_nothing(twin_world: Supervisor) -> None:
    before = figures_from_gold.figures(twin_world.query)
    slices = twin_world.ledger().statuses
    rows = next(iter(twin_world.query("select count(*) from bronze.slices")))[0]
    for path in sorted(TWIN.glob("*.csv")):
        twin_world.drop(path)  # a new generation of each object, with the same bytes
    twin_world.wait_idle(600)
    assert figures_from_gold.figures(twin_world.query) == before
    assert next(iter(twin_world.query("select count(*) from bronze.slices")))[0] == rows
    assert twin_world.ledger().statuses - slices == {"skipped": 3, "failed": 2}


@pytest.mark.skipif(not SHOWCASE.is_dir(), reason=f"the showcase data is not at {SHOWCASE} (SHOWCASE_DATA names it)")
def test_the_showcases_figures(tmp_path: Path) -> None:
    with Supervisor(tmp_path, settings=settings("GBP")) as world:
        fill(world, SHOWCASE)
        found = figures_from_gold.figures(world.query)
    assert found == figures_from_gold.expected(figures(SHOWCASE))
    # And literally what the published dashboard showed.
    assert (found["orders"], found["revenue"], found["buyers"]) == (701, "696367.84", 594)
    assert found["repeat_rate"]["flagged"].startswith("0.1526")
    assert found["top_campaigns"]["CMP_0035"] == "44962.49"
    assert found["repeat_revenue"] == {"flagged": "99551.14", "derived": "102950.39"}
    assert found["oddities"]["shared_email_addresses"] == 99
