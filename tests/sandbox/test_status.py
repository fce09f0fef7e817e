"""The status of a real world in several states: fresh, stuck on faults, in simulated time, stopped, killed."""

from __future__ import annotations

import io
import json
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sandbox import cli
from sandbox.clock import Clock
from sandbox.engines.fault_effects import Refuse
from sandbox.status import collect, show
from sandbox.status.facts import WorldStatus
from sandbox.supervisor import Supervisor
from sandbox.world import World, WorldError

pytestmark = pytest.mark.slow

START = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
WAIT_SECONDS = 30
WIDTH = 100


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("world") / "home"


@pytest.fixture(scope="module")
def world(home: Path) -> Iterator[Supervisor]:
    with Supervisor(home, clock=Clock(START, scale=0)) as world:
        yield world


def told(status: WorldStatus) -> str:
    out = io.StringIO()
    show(status, Console(file=out, width=WIDTH, highlight=False))
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= WIDTH
    return " ".join(text.split())


def when(world: World, holds: Any) -> WorldStatus:
    end = time.monotonic() + WAIT_SECONDS
    while not holds(status := collect(world)):
        assert time.monotonic() < end, told(status)
        time.sleep(0.1)
    return status


def test_a_fresh_world(world: Supervisor) -> None:
    status = collect(world.world)
    assert status.state == "up"
    assert {engine.name for engine in status.engines} == {
        *("storage", "pubsub", "bigquery", "secret_manager", "scheduler", "run"),
    }
    assert all(engine.alive for engine in status.engines)
    assert {queue.subscription: (queue.waiting, queue.leased) for queue in status.inside.queues} == dict.fromkeys(
        ("ingest_crm", "load_bronze", "start_dbt", "dead-letters"), (0, 0)
    )
    letters = next(queue for queue in status.inside.queues if queue.subscription == "dead-letters")
    assert letters.dead_letters_of == ["ingest_crm", "load_bronze", "start_dbt"]
    assert {one.name: one.next_at for one in status.inside.schedules}["sweep"] == "2026-03-01T12:01:00+00:00"
    assert {bucket.name.rsplit("-", 1)[1]: bucket.objects for bucket in status.buckets} == dict.fromkeys(
        ("landing", "bronze", "state"), 0
    )
    assert {dataset.name for dataset in status.warehouse} == {"bronze", "silver", "silver_pii", "gold", "audit"}
    text = told(status)
    assert "simulated time: 2026-03-01 12:00:30 UTC, stands still" in text
    assert "next 12:01:00 (in 30 s)" in text
    assert "none yet: drop a file into landing" in text


def test_a_world_that_is_stuck_says_on_what(world: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "contacts.csv").write_text("contact_id,email,country\nC1,ada@example.com,GB\n")
    (tmp_path / "readings.csv").write_text("sensor,at\n1,2\n")
    world.faults.pubsub.add(Refuse(503), method="push", name="*/load_bronze", count=None)
    for name in ("contacts.csv", "readings.csv"):
        world.drop(tmp_path / name)

    def stuck(status: WorldStatus) -> bool:
        loader = next(queue for queue in status.inside.queues if queue.subscription == "load_bronze")
        return status.slice_counts == {"extracted": 1, "failed": 1} and bool(loader.back_off)

    status = when(world.world, stuck)
    loader = next(queue for queue in status.inside.queues if queue.subscription == "load_bronze")
    (again,) = loader.back_off
    extracted, failed = status.slices
    assert again.about == f"manifests/{extracted.run_id}/{extracted.slice_id}.json"
    assert again.failed_attempts == 1
    assert again.until == "2026-03-01T12:00:40+00:00"
    assert extracted.reason == "read into the bronze bucket (1 row); its message was refused once and is in back-off"
    assert extracted.next_step == "it is delivered again 12:00:40 (in 10 s)"
    assert (failed.file, failed.status) == ("readings.csv", "failed")
    assert "presets/" in failed.next_step
    (fault,) = status.faults
    assert (fault["engine"], fault["method"]) == ("pubsub", "push")
    reader = next(one for one in status.inside.functions if one.name == "ingest_crm")
    assert "no preset knows" in reader.last_error
    assert Path(reader.log).exists()
    text = told(status)
    assert "pubsub push name=*/load_bronze → Refuse" in text
    assert "load_bronze: 1 waiting, 0 being delivered" in text
    assert "last failure: nacked" in text


def test_json_is_for_machines(world: Supervisor, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", "--json", "--home", str(world.world.home)]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["state"] == "up"
    assert value["inside"]["clock"] == {"real": False, "now": START.isoformat(), "scale": 0}
    assert value["slice_counts"] == {"extracted": 1, "failed": 1}
    rows = {table["table"]: table["rows"] for one in value["warehouse"] for table in one["tables"]}
    assert rows["crm__contacts"] == 0
    assert rows["salt"] == 1


def test_a_world_that_was_killed_says_so_and_what_comes_next(world: Supervisor, tmp_path: Path) -> None:
    killed = World(tmp_path / "killed")
    # What a process leaves that is killed now: its files, and a world.json that says "up" though nobody holds the lock.
    shutil.copytree(world.world.home, killed.home)
    status = collect(killed)
    assert status.state == "killed"
    assert "`up` goes on from here" in status.explanation
    assert not any(engine.alive for engine in status.engines)
    (extracted, _) = status.slices
    assert extracted.next_step == "`up`; the message is delivered at once"
    loader = next(queue for queue in status.inside.queues if queue.subscription == "load_bronze")
    assert [entry.until for entry in loader.back_off] == [None]
    assert {table.table: table.rows for one in status.warehouse for table in one.tables}["salt"] == 1
    text = told(status)
    assert text.startswith("killed: ")
    assert "again when the world is up" in text


def test_when_the_fault_ends_nothing_waits(world: Supervisor) -> None:
    world.faults.clear()
    world.faults.pubsub.add(Refuse(503), method="push", name="*/start_dbt", count=None)
    world.clock.advance(60)
    status = when(world.world, lambda status: status.slice_counts == {"loaded": 1, "failed": 1})
    assert [one.status for one in status.slices] == ["failed"]
    assert status.rows_loaded == 1
    assert {one.name: one.last_result for one in status.inside.schedules} == {"sweep": "OK", "ingest-crm": ""}
    assert status.transform.loaded_slices_waiting == 1
    assert "slices under way" not in told(status)


def test_a_stopped_world(world: Supervisor) -> None:
    world.stop()
    status = collect(world.world)
    assert status.state == "stopped"
    assert status.slice_counts == {"loaded": 1, "failed": 1}
    assert {table.table: table.rows for one in status.warehouse for table in one.tables}["crm__contacts"] == 1
    assert all(one.instances is None for one in status.inside.functions)
    assert told(status).startswith("stopped: ")


@pytest.mark.parametrize(("word", "says"), [("starting", "just starting"), ("down", "another verb is at work")])
def test_a_home_that_somebody_holds_is_not_touched(tmp_path: Path, word: str, says: str) -> None:
    from sandbox.world import Lock, Running

    world = World(tmp_path)
    world.write_running(Running(pid=1, status=word))
    lock = Lock(tmp_path)
    try:
        with pytest.raises(WorldError, match=says):
            collect(world)
    finally:
        lock.release()
