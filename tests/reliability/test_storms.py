"""Whatever is repeated, lost, late or killed: bronze and its ledger end as on the quiet day, and the state explains itself.

``pytest tests/reliability --seed 17`` tries one seed again, ``make soak SEEDS=500`` many.
"""

from __future__ import annotations

import pytest

from tests.reliability.conftest import note
from tests.reliability.exports import exports
from tests.reliability.outcome import Outcome, differences, outcome
from tests.reliability.storm import QUIET, storm
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


def test_a_storm_ends_as_the_quiet_day(seed: int, world: StormyWorld, quiet: Outcome) -> None:
    schedule = storm(seed)
    world.clear()
    try:
        note(world.trial(schedule), seed)
    except Unsettled as error:
        pytest.fail(f"{schedule}\n\n{error}\n\nagain: pytest tests/reliability --seed {seed}", pytrace=False)
    found = list(differences(outcome(world), quiet, exports(big=schedule.big)))
    if found:
        more = "\n  ".join(found[1:10])
        happened = dict(world.happened.faults)
        pytest.fail(
            f"{schedule}\n\nhappened: {happened}\nfirst difference: {found[0]}\n  {more}\n\n"
            f"again: pytest tests/reliability --seed {seed}",
            pytrace=False,
        )


def test_a_seed_is_a_schedule() -> None:
    assert storm(7) == storm(7)
    assert len({str(storm(seed)) for seed in range(100)}) == 100
