"""The same storms with the real dbt job, which may die too: every gold table ends as on the quiet day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.reliability.conftest import note
from tests.reliability.exports import Export, exports
from tests.reliability.storm import QUIET, Storm, storm
from tests.reliability.stormy_world import StormyWorld

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

Gold = dict[str, list[str]]


@pytest.fixture(scope="module")
def quiet_gold(tmp_path_factory: pytest.TempPathFactory) -> Gold:
    """Every gold table when nothing goes wrong, and every file is dropped in its last version: one build."""
    newest = {export.name: replace(export, replaces=False) for export in exports(big=False)}
    return gold_after(QUIET, tmp_path_factory.mktemp("quiet"), list(newest.values()))


def gold_after(schedule: Storm, home: Path, files: Sequence[Export] | None = None) -> Gold:
    """A world of its own for each: what an earlier trial built must not help."""
    with StormyWorld(home, real_dbt=True) as world:
        world.query("update silver_pii.salt set salt = 'the same' where true")
        happened = world.trial(schedule, files)
        if not schedule.is_quiet:
            note(happened, schedule.seed)
        return gold(world)


def gold(world: StormyWorld) -> Gold:
    """Rows of every gold table as text, without the columns that tell of one run alone (``_…``)."""
    tables = [table.table_id for table in world.cloud.bigquery.list_tables("gold") if table.table_type == "TABLE"]
    return {
        table: sorted(
            str({name: value for name, value in row.items() if not name.startswith("_")})
            for row in world.query(f"select * from gold.{table}")
        )
        for table in tables
    }


def test_the_quiet_day_fills_gold(quiet_gold: Gold) -> None:
    assert len(quiet_gold["fact_orders"]) == 58 + 25
    assert len(quiet_gold["fact_support_tickets"]) == 40
    assert len(quiet_gold["dim_contacts"]) > 11_000


def test_gold_ends_as_on_the_quiet_day(gold_seed: int, quiet_gold: Gold, tmp_path: Path) -> None:
    schedule = replace(storm(gold_seed), big=False)
    found = gold_after(schedule, tmp_path)
    assert found.keys() == quiet_gold.keys(), schedule
    for table, rows in quiet_gold.items():
        assert len(found[table]) == len(rows), f"{table}\n{schedule}"
        assert found[table] == rows, f"{table}\n{schedule}"
