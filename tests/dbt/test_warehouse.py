"""The warehouse on a running engine: dbt in its own environment over the local BigQuery, bronze written by hand.

``WAREHOUSE_SEEDS=1,2,3 WAREHOUSE_ROUNDS=8`` asks for more random histories, and longer ones, than a test run can afford (one
seed, two rounds): faults planted in the increments have escaped short runs of one seed.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.engines.bigquery_process import BigQueryProcess

HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".venvs" / "dbt" / "bin" / "python"
SEEDS = os.environ.get("WAREHOUSE_SEEDS", "1").split(",")
ROUNDS = os.environ.get("WAREHOUSE_ROUNDS", "2")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not PYTHON.exists(), reason="needs the environment of requirements/dbt.txt"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with BigQueryProcess(tmp_path_factory.mktemp("bigquery")) as engine:
        yield engine.address


def run(address: str, script: str, *words: str) -> str:
    environment = {**os.environ, "BIGQUERY_EMULATOR_HOST": address}
    ended = subprocess.run([PYTHON, HERE / script, *words], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{ended.stdout[-4000:]}\n{ended.stderr[-4000:]}"
    return ended.stdout


def test_corrections_replace_exactly_their_dates(address: str) -> None:
    assert "all as told" in run(address, "corrections.py")


@pytest.mark.parametrize("seed", SEEDS)
def test_incremental_equals_full_refresh(address: str, seed: str) -> None:
    assert " 0 differences" in run(address, "incremental_is_full.py", seed, ROUNDS)
