"""Which seeds are tried, and the worlds and quiet days that the trials share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.reliability.outcome import Outcome, outcome
from tests.reliability.storm import QUIET
from tests.reliability.stormy_world import Happened, StormyWorld

SEEDS = 50
GOLD_SEEDS = 3

TOTAL = Happened()
TRIALS: list[int] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="tests/reliability: try this seed alone, with gold")


def chosen(config: pytest.Config, variable: str, default: int) -> list[int]:
    """``--seed N`` or RELIABILITY_SEED=N alone; else as many seeds as the variable says, from 0."""
    one = config.getoption("--seed", None)
    if one is None and (named := os.environ.get("RELIABILITY_SEED")):
        one = int(named)
    return [one] if one is not None else list(range(int(os.environ.get(variable, default))))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", chosen(metafunc.config, "RELIABILITY_SEEDS", SEEDS))
    if "gold_seed" in metafunc.fixturenames:
        metafunc.parametrize("gold_seed", chosen(metafunc.config, "RELIABILITY_GOLD_SEEDS", GOLD_SEEDS))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What all trials together met: a storm in which nothing happened would prove nothing."""
    if TRIALS:
        faults = ", ".join(f"{count} × {what}" for what, count in sorted(TOTAL.faults.items()))
        terminalreporter.write_line(
            f"reliability: {len(TRIALS)} trials in {TOTAL.seconds:.0f} s; {TOTAL.deliveries} deliveries, "
            f"{TOTAL.lost} of them lost; {sum(TOTAL.calls.values())} calls; {faults}"
        )


def note(happened: Happened, seed: int) -> None:
    """Add a trial to the total."""
    TRIALS.append(seed)
    TOTAL.faults.update(happened.faults)
    TOTAL.calls.update(happened.calls)
    TOTAL.deliveries += happened.deliveries
    TOTAL.lost += happened.lost
    TOTAL.seconds += happened.seconds


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StormyWorld]:
    """One world for all trials; each leaves it to be cleared by the next."""
    with StormyWorld(tmp_path_factory.mktemp("storm")) as world:
        yield world


@pytest.fixture(scope="session")
def quiet(world: StormyWorld) -> Outcome:
    """What comes out when nothing goes wrong."""
    world.trial(QUIET)
    return outcome(world)
