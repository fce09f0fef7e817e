"""The same storms with the real dbt job, which may die too: every gold table ends as on the quiet day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.reliability.exports import Export, exports
from tests.reliability.report import Happened, Report, Trial
from tests.reliability.storm import QUIET, Storm, storm
from tests.reliability.stormy_world import StormyWorld, Unsettled
from tests.reliability.test_storms import told

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

Gold = dict[str, list[str]]


@pytest.fixture(scope="module")
def quiet_gold(tmp_path_factory: pytest.TempPathFactory) -> Gold:
    """Every gold table when nothing goes wrong, and every file is dropped in its last version: one build."""
    newest = {export.name: replace(export, replaces=False) for export in exports(big=False)}
    return gold_after(QUIET, tmp_path_factory.mktemp("quiet"), list(newest.values()))


def gold_after(
    schedule: Storm, home: Path, files: Sequence[Export] | None = None, keep: Callable[[Happened], None] = lambda happened: None
) -> Gold:
    """A world of its own for each: what an earlier trial built must not help. ``keep`` is given what happened in it."""
    with StormyWorld(home, real_dbt=True) as world:
        world.query("update silver_pii.salt set salt = 'the same' where true")
        try:
            world.trial(schedule, files)
        finally:
            keep(world.happened)
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
    assert len(quiet_gold["dim_contacts"]) > 15_000


def test_gold_ends_as_on_the_quiet_day(gold_seed: int, quiet_gold: Gold, report: Report, tmp_path: Path) -> None:
    schedule = replace(storm(gold_seed), big=False)
    met: list[Happened] = []
    try:
        found = gold_after(schedule, tmp_path, keep=met.append)
    except Unsettled as error:
        report.add(Trial(gold_seed, met[0], "not at all", {}))
        pytest.fail(told(schedule, met[0], str(error)), pytrace=False)
    wrong = [*(f"{table}: not there on the quiet day" for table in found.keys() - quiet_gold.keys())]
    for table, rows in quiet_gold.items():
        ours, theirs = Counter(found.get(table, [])), Counter(rows)
        wrong += [f"{table}: {n} more of {row}" for row, n in (ours - theirs).items()]
        wrong += [f"{table}: {n} fewer of {row}" for row, n in (theirs - ours).items()]
    counts = {"gold tables": len(found), "gold rows": sum(map(len, found.values()))}
    report.add(Trial(gold_seed, met[0], "differently" if wrong else "as the quiet day", counts))
    if wrong:
        pytest.fail(told(schedule, met[0], *wrong[:10]), pytrace=False)
