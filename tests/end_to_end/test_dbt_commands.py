"""dbt's own commands on a filled warehouse; and Google's SQL analyzer on everything that they compile."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from sandbox.supervisor import Supervisor
from tests.end_to_end.conftest import ROOT

DBT = ROOT / ".venvs" / "dbt" / "bin" / "dbt"
ANALYZER = ROOT / ".venvs" / "sql" / "bin" / "python"
Dbt = Callable[..., str]

pytestmark = pytest.mark.slow


@pytest.fixture
def dbt(twin_world: Supervisor, tmp_path: Path) -> Dbt:
    """Run a dbt command against the twin's warehouse, its target folder below ``tmp_path``."""
    world = twin_world
    environment = world.world.job_environment(world.contract, world.settings, world.addresses, "build")

    def run(*words: str, target: str = "target") -> str:
        command = [str(DBT), *words, "--profiles-dir", ".", "--target", "sandbox"]
        if words[0] != "deps":
            command += ["--target-path", str(tmp_path / target), "--log-path", str(tmp_path / "logs")]
        ended = subprocess.run(
            command, cwd=ROOT / "dbt_job", env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert ended.returncode == 0, f"dbt {' '.join(words)}\n{ended.stdout[-6000:]}\n{ended.stderr[-2000:]}"
        return ended.stdout

    return run


def test_deps_run_and_test_as_one_types_them(dbt: Dbt) -> None:
    dbt("deps")
    assert "ERROR=0" in dbt("run")
    assert "ERROR=0" in dbt("test", "--exclude-resource-type", "unit_test")


def test_every_business_rules_unit_test(dbt: Dbt) -> None:
    said = dbt("test", "--select", "test_type:unit")
    assert "ERROR=0" in said
    assert "PASS=0" not in said


@pytest.mark.skipif(not ANALYZER.exists(), reason="no environment .venvs/sql: run `make install`")
def test_every_compiled_statement_is_googlesql(dbt: Dbt, tmp_path: Path) -> None:
    """Models and tests, as a first build runs them and as a later one does."""
    dbt("compile", "--full-refresh", target="full")
    dbt("compile", target="incremental")
    command = [str(ANALYZER), str(ROOT / "tests/sql/googlesql.py"), str(tmp_path / "full"), str(tmp_path / "incremental")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stdout
    summary = ended.stdout.splitlines()[-1]
    checked, failed, missed = (int(word) for word in summary.replace(",", "").split() if word.isdigit())
    assert checked > 100, summary
    assert (failed, missed) == (0, 0), ended.stdout


def test_every_measure_answers_on_gold(twin_world: Supervisor) -> None:
    """``powerbi/metrics.yml``: the SQL of each measure runs, and those that the figures know give the same."""
    metrics = yaml.safe_load((ROOT / "powerbi" / "metrics.yml").read_text(encoding="utf-8"))["metrics"]
    found = {}
    for metric in metrics:
        where = f" where {metric['where']}" if metric.get("where") else ""
        sql = f"select {metric['sql']} as value from gold.{metric['from']}{where} limit 1"
        rows = [row["value"] for row in twin_world.query(sql)]
        found[metric["name"]] = rows[0] if rows else None
    assert found["Orders"] == 120
    assert found["Total Revenue"] == Decimal("60899.54")
    assert (found["Buyers"], found["Total Customers"]) == (96, 400)
    assert (found["Repeat Orders"], found["Repeat Orders as Delivered"]) == (24, 24)
    assert found["Repeat Revenue"] == Decimal("13278.51")
    assert found["Repeat Revenue as Delivered"] == Decimal("12450.88")
    assert round(float(found["AOV"]), 6) == 507.496167
    assert float(found["Orders per Customer"]) == 1.25
