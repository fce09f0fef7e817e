"""Functions live by their world's clock, and do not know it."""

from __future__ import annotations

import importlib.util
import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.clock import Clock
from sandbox.functions_host import Deployment, FunctionsHost
from sandbox.instance_clock import HEADER
from sandbox.supervisor import Supervisor

SOURCE = Path(__file__).parent / "functions_under_test" / "main.py"
START = datetime(2027, 5, 1, 12, 0, tzinfo=UTC)
DAY_SECONDS = 24 * 3600.0
CONTACTS = "contact_id,email,country\nC1,ada@example.com,GB\nC2,bob@example.org,DE\n"

needs_time_machine = pytest.mark.skipif(
    importlib.util.find_spec("time_machine") is None, reason="time-machine is not installed: make install"
)


@pytest.fixture
def ask_at(tmp_path: Path) -> Iterator[Callable[[Clock], Callable[..., dict[str, Any]]]]:
    hosts: list[FunctionsHost] = []

    def begin(clock: Clock) -> Callable[..., dict[str, Any]]:
        host = FunctionsHost(tmp_path, clock=clock)
        hosts.append(host)
        host.start()
        host.open()
        deployment = Deployment(
            name="tell_time",
            target="tell_time",
            source=SOURCE,
            timeout_seconds=30,
            concurrency=4,
            max_instances=1,
            environment={"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE.parent)},
            log=tmp_path / "tell_time.log",
        )
        url = host.deploy(deployment).url

        def ask(headers: dict[str, str] | None = None, **arguments: float) -> dict[str, Any]:
            response = requests.get(url, params=arguments, headers=headers, timeout=60)
            response.raise_for_status()
            told: dict[str, Any] = response.json()
            return told

        return ask

    yield begin
    for host in hosts:
        host.stop()


def test_in_real_time_a_function_sees_the_machine_s_clock_whatever_its_caller_says(
    ask_at: Callable[[Clock], Callable[..., dict[str, Any]]],
) -> None:
    ask = ask_at(Clock())
    before = datetime.now(UTC)
    told = ask(headers={HEADER: START.isoformat()})
    assert before <= datetime.fromisoformat(told["now"]) <= datetime.now(UTC)
    assert HEADER not in told["headers"]


@needs_time_machine
def test_each_request_moves_the_wall_clock_and_monotonic_stays_real(
    ask_at: Callable[[Clock], Callable[..., dict[str, Any]]],
) -> None:
    clock = Clock(START, scale=0)
    ask = ask_at(clock)
    before = time.monotonic()
    first = ask(seconds=0.2)
    clock.advance(14 * DAY_SECONDS)
    second = ask()
    took_seconds = time.monotonic() - before
    assert first["pid"] == second["pid"]
    assert HEADER not in first["headers"]
    for told, moment in ((first, START), (second, START + timedelta(days=14))):
        late = datetime.fromisoformat(told["now"]) - moment
        assert timedelta(0) <= late <= timedelta(seconds=took_seconds)
        assert abs(told["time"] - datetime.fromisoformat(told["now"]).timestamp()) < 1
    assert first["took"] >= 0.2
    assert before < first["monotonic"] < second["monotonic"] < before + took_seconds


@needs_time_machine
def test_an_instance_s_time_does_not_go_back_to_a_world_that_stands(
    ask_at: Callable[[Clock], Callable[..., dict[str, Any]]],
) -> None:
    ask = ask_at(Clock(START, scale=0))
    first = ask(seconds=0.5)
    assert ask()["now"] > first["now"] >= (START + timedelta(seconds=0.5)).isoformat()


@needs_time_machine
@pytest.mark.slow
def test_a_slice_that_must_wait_an_hour_is_woken_by_the_sweep_once_that_has_passed(tmp_path: Path) -> None:
    (tmp_path / "contacts.csv").write_text(CONTACTS)
    with Supervisor(tmp_path / "home", dbt_command="run") as world:
        opens_at = world.clock.now() + timedelta(hours=1)
        gate = world.cloud.storage.bucket(world.world.state_bucket).blob("gates/crm/default.json")
        gate.upload_from_string(json.dumps({"not_before": opens_at.isoformat()}))
        world.drop(tmp_path / "contacts.csv")
        world.clock.advance(50 * 60)
        state = world.ledger()
        assert state.statuses == {"waiting": 1}
        world.clock.advance(15 * 60)
        state = world.wait_idle(120, until=lambda state: not state.open_runs, ignore_job=True)
        assert state.statuses == {"loaded": 1}
        slices = list(world.cloud.storage.bucket(world.world.state_bucket).list_blobs(prefix="slices/"))
        assert len(slices) == 1
        assert slices[0].updated >= opens_at
