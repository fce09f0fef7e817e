"""Homes, locks, names and environments of a world."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import contract
from sandbox import processes
from sandbox.world import (
    FUNCTIONS_FOLDER,
    PROJECT_ROOT,
    Addresses,
    Lock,
    Running,
    Settings,
    World,
    WorldError,
    default_home,
    is_locked,
)

ADDRESSES = Addresses(
    storage="http://127.0.0.1:1",
    pubsub="127.0.0.1:2",
    bigquery="http://127.0.0.1:3",
    secret_manager="127.0.0.1:4",
    scheduler="127.0.0.1:5",
    run="127.0.0.1:6",
)
SETTINGS = Settings("GBP", "Europe/London", {"crm": [{"id": "default", "time_zone": "Europe/London"}]}, seed=1)


def test_each_data_folder_has_a_home_of_its_own(tmp_path: Path) -> None:
    one, other = tmp_path / "a" / "exports", tmp_path / "b" / "exports"
    assert default_home(one) == default_home(one)
    assert default_home(one) != default_home(other)
    assert default_home(one).name.startswith("exports-")
    assert default_home(None).name == "company"


def test_two_supervisors_cannot_share_a_home(tmp_path: Path) -> None:
    lock = Lock(tmp_path)
    assert is_locked(tmp_path)
    with pytest.raises(WorldError, match="already up"):
        Lock(tmp_path)
    lock.release()
    assert not is_locked(tmp_path)
    Lock(tmp_path).release()


def test_a_killed_holder_leaves_no_stale_lock(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from sandbox.world import Lock;"
        f"lock = Lock(Path({str(tmp_path)!r})); print(1, flush=True); input()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (PROJECT_ROOT, FUNCTIONS_FOLDER)))}
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    assert holder.stdout is not None
    holder.stdout.readline()
    with pytest.raises(WorldError, match=str(holder.pid)):
        Lock(tmp_path)
    holder.kill()
    holder.wait()
    Lock(tmp_path).release()


def test_an_old_world_json_does_not_mean_that_the_world_is_up(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.write_running(Running(pid=1, status="up", urls={"control": "http://127.0.0.1:9"}))
    assert world.running() is None
    last = world.last_run()
    assert last is not None
    assert last.urls["control"] == "http://127.0.0.1:9"
    lock = Lock(tmp_path)
    assert world.running() == last
    lock.release()


def test_settings_survive(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert world.read_settings() is None
    world.write_settings(SETTINGS)
    assert world.read_settings() == SETTINGS


def test_a_function_gets_its_deployed_environment_and_nothing_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/real/key.json")
    function = contract.load().functions["ingest_crm"]
    environment = World(tmp_path).function_environment(function, SETTINGS, ADDRESSES)
    assert environment["PIPELINE_TIMEOUT_SECONDS"] == str(function.timeout_seconds)
    assert environment["PIPELINE_STATE_BUCKET"] == "sandbox-project-state"
    assert environment["STORAGE_EMULATOR_HOST"] == ADDRESSES.storage
    assert environment["PIPELINE_DBT_JOB"] == "projects/sandbox-project/locations/europe-west1/jobs/dbt"
    assert "GOOGLE_APPLICATION_CREDENTIALS" not in environment


def test_the_job_is_told_target_command_and_currency(tmp_path: Path) -> None:
    environment = World(tmp_path).job_environment(contract.load(), SETTINGS, ADDRESSES, "run")
    assert environment["PIPELINE_DBT_TARGET"] == "sandbox"
    assert environment["PIPELINE_DBT_COMMAND"] == "run"
    assert environment["PIPELINE_REPORTING_CURRENCY"] == "GBP"


def test_leftovers_of_a_killed_supervisor_are_ended(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    processes.note(tmp_path, "dbt", child.pid)
    assert processes.end_leftovers(tmp_path) == ["dbt"]
    assert child.wait(timeout=20) != 0
    assert processes.end_leftovers(tmp_path) == []


def test_a_process_that_only_has_the_noted_id_is_left_alone(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        processes.note(tmp_path, "dbt", child.pid)
        note = tmp_path / "processes" / "dbt"
        note.write_text(f"{child.pid}\nThu Jan  1 00:00:00 1970 another program\n")
        assert processes.end_leftovers(tmp_path) == []
        time.sleep(0.1)
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()
