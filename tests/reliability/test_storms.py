"""Whatever is repeated, lost, late or killed: bronze and its ledger end as on the quiet day, and the state explains itself.

``pytest tests/reliability --seed 17`` tries one seed again, ``make soak SEEDS=500`` many.
"""

from __future__ import annotations

import pytest

from tests.reliability.exports import exports
from tests.reliability.outcome import Outcome, differences, outcome
from tests.reliability.report import Happened, Report, Trial
from tests.reliability.storm import QUIET, Storm, storm
from tests.reliability.stormy_world import StormyWorld, Unsettled

pytestmark = pytest.mark.slow


def test_the_quiet_day_is_worth_comparing_with(quiet: Outcome) -> None:
    assert quiet.faults == []
    files = exports(big=True)
    kinds = {name: kind for name, kind, _ in quiet.failures}
    assert kinds == dict.fromkeys(("readings.csv", "poster.pdf", "export.zip/seal.png"), "file_set_aside")
    assert {sha256 for file in files for name, sha256 in file.sha256s.items() if name not in kinds} == quiet.files.keys()
    assert {line["stream"] for line in quiet.files.values()} == {
        "crm.contacts", "crm.orders", "crm.products", "crm.support_tickets",
    }  # fmt: skip
    assert sum(line["aside"] for line in quiet.files.values()) == 2
    assert QUIET.faults == ()


def test_a_storm_ends_as_the_quiet_day(seed: int, world: StormyWorld, quiet: Outcome, report: Report) -> None:
    schedule = storm(seed)
    world.clear()
    try:
        happened = world.trial(schedule)
    except Unsettled as error:
        report.add(Trial(seed, world.happened, "not at all", {}))
        pytest.fail(told(schedule, world.happened, str(error)), pytrace=False)
    found = outcome(world)
    wrong = list(differences(found, quiet, exports(big=schedule.big)))
    report.add(Trial(seed, happened, "differently" if wrong else "as the quiet day", found.counts))
    if wrong:
        pytest.fail(told(schedule, happened, *wrong[:10]), pytrace=False)


def told(schedule: Storm, happened: Happened, *wrong: str) -> str:
    """A failure for a person: the schedule, what came of it in its order, and what is wrong, the first thing first."""
    parts = (str(schedule), "\n  ".join(["what happened:", *happened.trace]), "\n  ".join(["what is wrong:", *wrong]))
    return "\n\n".join((*parts, f"again: pytest tests/reliability --seed {schedule.seed}"))


def test_a_seed_is_a_schedule() -> None:
    assert storm(7) == storm(7)
    assert len({str(storm(seed)) for seed in range(100)}) == 100
