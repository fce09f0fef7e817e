"""The dbt job's launcher: overrides, deadline, kill, and how far dbt is."""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox.dbt_runner import TIMED_OUT, DbtRunner, Nodes


def _runner(folder: Path, code: str, timeout_seconds: float = 60.0) -> DbtRunner:
    environment = {"PATH": os.environ["PATH"], "WHICH": "deployed"}
    return DbtRunner(folder, environment, timeout_seconds, folder / "logs" / "dbt.log", (sys.executable, "-c", code))


def _wait_for(text: str, log: Path) -> None:
    deadline = time.monotonic() + 20
    while not log.exists() or text not in log.read_text():
        assert time.monotonic() < deadline, f"{text} was not printed"
        time.sleep(0.01)


def test_exit_code_output_and_overrides(tmp_path: Path) -> None:
    runner = _runner(tmp_path, "import os, sys; print(os.environ['WHICH'], sys.argv[1:]); sys.exit(3)")
    assert runner.run(["--x"], {"WHICH": "overridden"}) == 3
    assert runner.run() == 3
    assert (tmp_path / "logs" / "dbt.log").read_text().splitlines() == ["overridden ['--x']", "deployed []"]
    assert runner.last_exit_code == 3


def test_nothing_of_our_environment_reaches_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/real/key.json")
    code = "import os, sys; sys.exit('GOOGLE_APPLICATION_CREDENTIALS' in os.environ)"
    assert _runner(tmp_path, code).run() == 0


def test_the_deadline_ends_the_job(tmp_path: Path) -> None:
    runner = _runner(tmp_path, "import time; time.sleep(600)", timeout_seconds=0.5)
    start = time.monotonic()
    assert runner.run() == TIMED_OUT
    assert time.monotonic() - start < 60
    assert not runner.running


def test_killed_in_the_middle(tmp_path: Path) -> None:
    runner = _runner(tmp_path, "import time; print('begun', flush=True); time.sleep(600)")
    with ThreadPoolExecutor(1) as pool:
        code = pool.submit(runner.run)
        _wait_for("begun", tmp_path / "logs" / "dbt.log")
        assert runner.running
        assert runner.kill()
        assert code.result(timeout=30) == -9
    assert not runner.kill()


def test_stop_ends_what_runs_and_starts_nothing_more(tmp_path: Path) -> None:
    runner = _runner(tmp_path, "import time; print('begun', flush=True); time.sleep(600)")
    with ThreadPoolExecutor(1) as pool:
        code = pool.submit(runner.run)
        _wait_for("begun", tmp_path / "logs" / "dbt.log")
        runner.stop()
        assert code.result(timeout=30) != 0
    assert runner.run() == TIMED_OUT
    assert (tmp_path / "logs" / "dbt.log").read_text().count("begun") == 1


def test_nodes_are_those_of_the_running_job_only(tmp_path: Path) -> None:
    lines = ["1 of 12 START sql view model x", "1 of 12 OK created", "3 of 12 PASS not_null", "4 of 12 START test"]
    code = f"import os; print('\\n'.join({lines!r}) if os.environ['WHICH'] == 'first' else '')"
    runner = _runner(tmp_path, code)
    assert runner.nodes() is None
    runner.run(environment={"WHICH": "first"})
    assert runner.nodes() == Nodes(done=3, total=12)
    runner.run(environment={"WHICH": "second"})
    assert runner.nodes() is None
