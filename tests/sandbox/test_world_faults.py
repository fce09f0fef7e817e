"""Faults over a whole world: one object for all engines, the command line in another process, and their end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.api_core import exceptions

from sandbox import cli, faults_cli
from sandbox.engines.faults import (
    Corrupt,
    Cut,
    Delay,
    Drop,
    Duplicate,
    Effect,
    JobFails,
    JobSlow,
    JobStuck,
    Refuse,
    TaskFails,
    TaskHangs,
    TaskKilled,
    Truncate,
)
from sandbox.supervisor import Supervisor
from sandbox.world import PROJECT_ROOT
from sandbox.world_faults import ENGINES, active_faults, described


def command(*arguments: str) -> int:
    return cli.main(["faults", *arguments])


@pytest.mark.parametrize(
    ("options", "effect"),
    [
        ("--status 503", Refuse(503)),
        ("--status unavailable --after", Refuse("UNAVAILABLE", after=True)),
        ("--cut", Cut()),
        ("--cut --after", Cut(after=True)),
        ("--delay 1.5", Delay(1.5)),
        ("--duplicate 3", Duplicate(3)),
        ("--drop", Drop()),
        ("--truncate 1000", Truncate(1000)),
        ("--corrupt", Corrupt()),
        ("--job-fails backendError", JobFails("backendError")),
        ("--job-stuck", JobStuck()),
        ("--job-slow 2", JobSlow(2.0)),
        ("--fail 3", TaskFails(3)),
        ("--hang --after", TaskHangs(after=True)),
        ("--kill 0.5", TaskKilled(0.5)),
    ],
)
def test_every_effect_has_an_option(options: str, effect: Effect) -> None:
    arguments = ["faults", "add", "storage", "objects.*", *options.split()]
    assert faults_cli.rule(cli.parser().parse_args(arguments)).effect == effect


def test_options_narrow_a_rule() -> None:
    text = "faults add bigquery jobs.insert --name load-* --detail kind=load --detail table=bronze.* --times always --skip 2"
    options = cli.parser().parse_args([*text.split(), "--probability", "0.25", "--seed", "9", "--cut"])
    rule = faults_cli.rule(options)
    assert (rule.method, rule.name, rule.detail) == ("jobs.insert", "load-*", {"kind": "load", "table": "bronze.*"})
    assert (rule.count, rule.skip, rule.probability, rule.seed) == (None, 2, 0.25, 9)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--status 200", "is no error"),
        ("--status NOPE", "is no error"),
        ("--delay 1 --after", "Delay has no after"),
        ("--cut --detail kind", "KEY=PATTERN"),
        ("--cut --times often", "'often'"),
        ("--duplicate 1", "twice or more often"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: str, said: str) -> None:
    arguments = ["faults", "add", "storage", "objects.*", *options.split()]
    with pytest.raises(ValueError, match=said):
        faults_cli.rule(cli.parser().parse_args(arguments))


def test_the_home_may_stand_before_or_behind_the_act() -> None:
    for text in ("faults --home /w list", "faults list --home /w"):
        assert str(cli.parser().parse_args(text.split()).home) == "/w"
    assert cli.parser().parse_args(["faults", "list"]).home is None


def test_a_world_that_is_down_has_no_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("list", "--home", str(tmp_path)) == 1
    assert "no fault outlives it" in capsys.readouterr().err
    assert active_faults(None) == []


# ---- a world that is up


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    with Supervisor(tmp_path_factory.mktemp("home"), dbt_command="run") as world:
        yield world


@pytest.fixture(autouse=True)
def no_faults_left(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "world" in request.fixturenames:
        request.getfixturevalue("world").faults.clear()


@pytest.mark.slow
def test_one_object_reaches_every_engine(world: Supervisor) -> None:
    faults, cloud = world.faults, world.cloud
    faults.storage.add(Refuse(403), method="objects.insert")
    faults.bigquery.add(Refuse(403), method="datasets.get")
    faults.pubsub.add(Refuse(403), method="GetTopic")
    faults.run_jobs.add(Refuse(403), method="GetJob")
    faults.secret_manager.add(Refuse(403), method="ListSecrets")
    faults.scheduler.add(Refuse(403), method="ListJobs")
    assert [rule["engine"] for rule in faults.active()] == list(ENGINES)
    for act in (
        lambda: cloud.storage.bucket(world.world.state_bucket).blob("x").upload_from_string(b""),
        lambda: cloud.bigquery.get_dataset("bronze"),
        lambda: cloud.publisher.get_topic(topic=world.world.topic("none")),
        lambda: list(cloud.secrets.list_secrets(parent=f"projects/{world.world.project}")),
        lambda: list(cloud.scheduler.list_jobs(parent=world.world.parent)),
    ):
        with pytest.raises(exceptions.Forbidden):
            act()
    assert [rule["engine"] for rule in faults.active()] == ["run_jobs"]
    faults.clear()
    assert faults.active() == []


@pytest.mark.slow
def test_the_command_line_reaches_a_world_in_another_process(world: Supervisor, capsys: pytest.CaptureFixture[str]) -> None:
    home = str(world.world.home)
    arguments = ["add", "storage", "objects.insert", "--name", "*/refused", "--status", "503", "--times", "2", "--home", home]
    ran = subprocess.run(
        [sys.executable, "-m", "sandbox", "faults", *arguments],
        cwd=PROJECT_ROOT,
        env={**os.environ, "PYTHONPATH": "functions:."},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ran.stdout == "storage objects.insert name=*/refused → Refuse (status 503); 0 of 2 met\n"
    blob = world.cloud.storage.bucket(world.world.state_bucket).blob("refused")
    with pytest.raises(exceptions.ServiceUnavailable):
        blob.upload_from_string(b"", retry=None)
    assert command("add", "bigquery", "jobs.query", "--job-fails", "backendError", "--home", home) == 0
    assert command("add", "pubsub", "push", "--duplicate", "2", "--times", "always", "--home", home) == 0
    capsys.readouterr()
    assert command("list", "--home", home) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" ")[0] for line in lines] == ["storage", "bigquery", "pubsub"]
    assert "1 of 2 met" in lines[0]
    assert "without end" in lines[2]
    running = world.world.running()
    assert [described(rule) for rule in active_faults(running)] == lines
    assert command("clear", "pubsub", "--home", home) == 0
    assert [rule["engine"] for rule in world.faults.active()] == ["storage", "bigquery"]
    assert command("clear", "--home", home) == 0
    assert world.faults.active() == []
    blob.upload_from_string(b"", retry=None)


@pytest.mark.slow
def test_a_mistake_is_wrong_use_and_names_what_there_is(world: Supervisor, capsys: pytest.CaptureFixture[str]) -> None:
    home = str(world.world.home)
    assert command("add", "pubsub", "publish", "--cut", "--home", home) == 2
    assert "no call 'publish' here; there are Acknowledge, " in capsys.readouterr().err
    assert command("add", "bigquery", "jobs.list", "--job-stuck", "--home", home) == 2
    assert "jobs.list cannot meet JobStuck; jobs.insert, jobs.query can" in capsys.readouterr().err
    assert command("add", "storage", "objects.get", "--hang", "--home", home) == 2
    assert "cannot meet TaskHangs; no call of this engine can" in capsys.readouterr().err


@pytest.mark.slow
def test_a_file_is_loaded_once_though_every_engine_on_its_way_fails(world: Supervisor, tmp_path: Path) -> None:
    faults = world.faults
    for engine, effect, method, settings in (
        (faults.storage, Refuse(503, after=True), "objects.insert", {"name": f"{world.world.state_bucket}/*", "count": 2}),
        (faults.pubsub, Cut(after=True), "push", {"count": 2}),
        (faults.pubsub, Duplicate(), "push", {}),
        (faults.pubsub, Refuse("UNAVAILABLE"), "Publish", {}),
        (faults.bigquery, Cut(after=True), "jobs.insert", {"detail": {"kind": "load", "table": "bronze.crm__contacts"}}),
        (faults.run_jobs, Refuse("UNAVAILABLE", after=True), "RunJob", {}),
    ):
        engine.add(effect, method=method, **settings)
    (tmp_path / "contacts.csv").write_text("contact_id,email,country\nC1,ada@example.com,GB\nC2,bob@example.org,DE\n")
    world.drop(tmp_path / "contacts.csv")
    state = world.wait_idle(300, until=lambda state: bool(state.slices) and not state.open_runs, ignore_job=True)
    assert state.statuses == {"loaded": 1}
    sql = "select json_value(payload, '$.contact_id') as id from bronze.crm__contacts where _date >= '2000-01-01' order by id"
    assert [row["id"] for row in world.query(sql)] == ["C1", "C2"]
    left = [(rule["engine"], rule["method"]) for rule in faults.active()]
    assert left in ([], [("run_jobs", "RunJob")]), "each was met; the build may not have been asked for yet"


@pytest.mark.slow
def test_faults_end_with_their_world(tmp_path: Path) -> None:
    with Supervisor(tmp_path, dbt_command="run") as first:
        first.faults.storage.add(Refuse(503), count=None)
        first.faults.bigquery.add(Refuse(503), count=None)
        first.services.warehouse.kill()
        assert [rule["engine"] for rule in first.faults.active()] == ["storage"], "a warehouse that is dead has no faults"
        first.faults.storage.reset()
    with Supervisor(tmp_path, dbt_command="run") as second:
        assert second.faults.active() == []
