"""Which seeds are tried, and the worlds and quiet days that the trials share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.reliability.outcome import Outcome, outcome
from tests.reliability.report import Report
from tests.reliability.storm import QUIET
from tests.reliability.stormy_world import StormyWorld

SEEDS = 50
GOLD_SEEDS = 3

REPORT = Report()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="tests/reliability: try this seed alone, with gold")


def chosen(config: pytest.Config, variable: str, default: int) -> list[int]:
    """``--seed N`` or RELIABILITY_SEED=N alone; else those that the variable tells: how many from 0, or ``1000-1099``."""
    one = config.getoption("--seed", None)
    if one is None and (named := os.environ.get("RELIABILITY_SEED")):
        one = int(named)
    if one is not None:
        return [one]
    first, dash, last = os.environ.get(variable, str(default)).partition("-")
    return list(range(int(first), int(last) + 1)) if dash else list(range(int(first)))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", chosen(metafunc.config, "RELIABILITY_SEEDS", SEEDS))
    if "gold_seed" in metafunc.fixturenames:
        metafunc.parametrize("gold_seed", chosen(metafunc.config, "RELIABILITY_GOLD_SEEDS", GOLD_SEEDS))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if REPORT.trials:
        terminalreporter.section("reliability")
        for line in REPORT.summary():
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Of this run; its lines are kept beside the tests' other files."""
    REPORT.path = REPORT.path or tmp_path_factory.getbasetemp() / "storms.jsonl"
    return REPORT


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
