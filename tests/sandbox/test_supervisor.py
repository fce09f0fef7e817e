"""A whole world, up and down: the functions of the product behind their fronts, state that stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from sandbox import cli
from sandbox.supervisor import Supervisor
from sandbox.world import World, WorldError

pytestmark = pytest.mark.slow

CONTACTS = "contact_id,email,country\nC1,ada@example.com,GB\nC2,bob@example.org,DE\n"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    with Supervisor(tmp_path_factory.mktemp("home"), dbt_command="run") as world:
        yield world


def test_world_json_says_who_and_where(world: Supervisor) -> None:
    running = world.world.running()
    assert running is not None
    assert running.status == "up"
    assert running.parsed_addresses() == world.addresses
    assert set(running.urls) == {*world.contract.functions, "console", "faults", "inside"}


def test_a_second_supervisor_is_refused(world: Supervisor) -> None:
    with pytest.raises(WorldError, match="already up"):
        Supervisor(world.world.home).start()


def test_control_is_private_and_the_console_is_the_operator_s(world: Supervisor) -> None:
    health = "/healthz"
    control, console = world.urls["control"], world.urls["console"]
    assert requests.get(control + health, timeout=60).status_code == 401
    stranger = world.issuer.token(world.world.service_account("stranger"), control)
    assert requests.get(control + health, headers={"Authorization": f"Bearer {stranger}"}, timeout=60).status_code == 403
    assert requests.get(control + health, headers=world.operator_headers(), timeout=60).json()["status"] == "ok"
    assert requests.get(console + health, timeout=60).json()["status"] == "ok"


def test_functions_take_pushes_from_pubsub_alone(world: Supervisor) -> None:
    url = world.urls["load_bronze"]
    assert requests.post(url, json={}, timeout=60).status_code == 401
    assert requests.post(url, json={}, headers=world.operator_headers(), timeout=60).status_code == 401


def test_a_dropped_file_becomes_bronze_rows(world: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "contacts.csv").write_text(CONTACTS)
    assert world.drop(tmp_path / "contacts.csv") == "contacts.csv"
    state = world.wait_idle(120, until=lambda state: bool(state.slices) and not state.open_runs, ignore_job=True)
    assert state.statuses == {"loaded": 1}
    sql = "select json_value(payload, '$.contact_id') as id from bronze.crm__contacts where _date >= '2000-01-01' order by id"
    assert [row.id for row in world.query(sql)] == ["C1", "C2"]


def test_an_unknown_schedule_names_those_that_exist(world: Supervisor) -> None:
    with pytest.raises(WorldError, match="ingest-crm, sweep"):
        world.fire("nightly")


def test_sql_asks_the_running_world(world: Supervisor, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sql", "select 1 as one, 'a,b' as text", "--home", str(world.world.home)]) == 0
    assert capsys.readouterr().out == 'one,text\n1,"a,b"\n'
    assert cli.main(["sql", "select nothing", "--home", str(world.world.home)]) == 1
    assert "nothing" in capsys.readouterr().err


def test_status_explains(world: Supervisor, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", "--home", str(world.world.home)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("up: ")
    assert "control http://127.0.0.1:" in out


def test_state_stays_and_the_cli_reads_it_while_the_world_is_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Supervisor(tmp_path / "home") as first:
        first.cloud.storage.bucket(first.world.state_bucket).blob("dead/7.json").upload_from_string("{}")
        urls = dict(first.urls)
        made = list(first.made)
    assert World(tmp_path / "home").running() is None
    assert cli.main(["status", "--home", str(tmp_path / "home")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("stopped: ")
    assert "dead/7.json" in out
    assert cli.main(["sql", "select count(*) as n from bronze.slices", "--home", str(tmp_path / "home")]) == 0
    assert capsys.readouterr().out == "n\n0\n"
    with Supervisor(tmp_path / "home") as second:
        assert made
        assert second.made == []
        assert second.urls == urls, "addresses stay where nobody else took them"
