"""The engine of Cloud Run jobs, through the official clients."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.run_v2 import ExecutionsClient, JobsClient

from sandbox.engines.grpc_services import GrpcServer
from sandbox.engines.run_jobs import RunJobsEngine
from sandbox.engines.secret_manager import SecretManagerEngine

from .engine_clients import grpc_client

PARENT = "projects/sandbox-project/locations/europe-west1"
JOB = f"{PARENT}/jobs/dbt"
WAIT_SECONDS = 20


def python(job: str, environment: Mapping[str, str], arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """A launcher whose tasks run their first argument as Python."""
    return subprocess.Popen([sys.executable, "-c", *arguments], env=dict(environment))


class World:
    """An engine and clients of it."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.engine = RunJobsEngine(directory, **(settings or {"launcher": python}), jobs=[JOB])
        address = self.engine.start()
        self.jobs, self.executions = grpc_client(JobsClient, address), grpc_client(ExecutionsClient, address)

    def run(self, code: str, *, name: str = JOB, **overrides: Any) -> Any:
        container = {"args": [code], "env": [{"name": "A", "value": "3"}]}
        return self.jobs.run_job(request={"name": name, "overrides": {"container_overrides": [container], **overrides}})


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., World]]:
    worlds: list[World] = []

    def begin(**settings: Any) -> World:
        worlds.append(World(tmp_path, **settings))
        return worlds[-1]

    yield begin
    for world in worlds:
        world.engine.stop()


def test_a_job_runs_with_its_overrides_and_the_operation_ends(start: Callable[..., World]) -> None:
    world = start()
    operation = world.run("import os, sys; sys.exit(0 if os.environ['A'] == '3' else 1)")
    name = operation.metadata.name
    assert name.startswith(f"{JOB}/executions/dbt-")
    execution = operation.result(timeout=WAIT_SECONDS)
    assert (execution.name, execution.succeeded_count, execution.failed_count) == (name, 1, 0)
    assert execution.completion_time >= execution.start_time
    assert execution.conditions[0].state.name == "CONDITION_SUCCEEDED"


def test_a_job_runs_by_its_name_alone(start: Callable[..., World]) -> None:
    """As the pipeline starts it: without overrides, and without waiting for more than the execution's name."""
    world = start(run=lambda arguments, environment, timeout_seconds: len(arguments) + len(environment))
    operation = world.jobs.run_job(name=JOB, timeout=WAIT_SECONDS)
    assert operation.metadata.name.startswith(f"{JOB}/executions/")
    assert operation.result(timeout=WAIT_SECONDS).succeeded_count == 1
    assert world.executions.get_execution(name=operation.metadata.name).job == JOB


def test_a_failed_task_fails_the_execution(start: Callable[..., World]) -> None:
    world = start()
    operation = world.run("raise SystemExit(3)")
    with pytest.raises(exceptions.GoogleAPICallError, match="exited with code 3"):
        operation.result(timeout=WAIT_SECONDS)
    execution = world.executions.get_execution(name=operation.metadata.name)
    assert (execution.failed_count, execution.conditions[0].execution_reason.name) == (1, "NON_ZERO_EXIT_CODE")


def test_a_task_is_killed_at_its_timeout(start: Callable[..., World]) -> None:
    world = start()
    operation = world.run("import time; time.sleep(60)", timeout={"nanos": 200_000_000})
    with pytest.raises(exceptions.GoogleAPICallError, match="timeout"):
        operation.result(timeout=WAIT_SECONDS)


def test_an_execution_can_be_cancelled(start: Callable[..., World]) -> None:
    world = start()
    operation = world.run("import time; time.sleep(60)")
    world.executions.cancel_execution(name=operation.metadata.name)
    with pytest.raises(exceptions.GoogleAPICallError, match="cancelled"):
        operation.result(timeout=WAIT_SECONDS)
    assert world.executions.get_execution(name=operation.metadata.name).cancelled_count == 1


def test_a_task_that_cannot_start_fails_its_execution(start: Callable[..., World]) -> None:
    def broken(job: str, environment: Mapping[str, str], arguments: Sequence[str]) -> Any:
        raise FileNotFoundError("no interpreter")

    world = start(launcher=broken)
    with pytest.raises(exceptions.GoogleAPICallError, match="no interpreter"):
        world.run("").result(timeout=WAIT_SECONDS)


def test_a_blocking_callback_does_as_well(start: Callable[..., World]) -> None:
    seen: list[Any] = []
    may_end = threading.Event()

    def run(arguments: Sequence[str], environment: Mapping[str, str], timeout_seconds: float | None) -> int:
        seen.append((list(arguments), dict(environment), timeout_seconds))
        may_end.wait(WAIT_SECONDS)
        return 0

    world = start(run=run)
    operation = world.run("--full", timeout={"seconds": 90})
    assert not operation.done()
    may_end.set()
    assert operation.result(timeout=WAIT_SECONDS).succeeded_count == 1
    assert seen == [(["--full"], {"A": "3"}, 90.0)]
    with pytest.raises(exceptions.MethodNotImplemented):
        world.executions.cancel_execution(name=operation.metadata.name)


def test_two_executions_run_beside_each_other_and_are_listed_newest_first(start: Callable[..., World]) -> None:
    world = start()
    first = world.run("import time; time.sleep(60)")
    second = world.run("pass")
    second.result(timeout=WAIT_SECONDS)
    assert not first.done()
    listed = [execution.name for execution in world.executions.list_executions(parent=JOB)]
    assert listed == [second.metadata.name, first.metadata.name]


def test_jobs_can_be_made_listed_and_deleted(start: Callable[..., World]) -> None:
    world = start()
    template = {"template": {"containers": [{"image": "x"}], "max_retries": 0}}
    request = {"parent": PARENT, "job_id": "extra", "job": {"template": template}}
    assert world.jobs.create_job(request=request).result(timeout=WAIT_SECONDS).name == f"{PARENT}/jobs/extra"
    assert [job.name for job in world.jobs.list_jobs(parent=PARENT)] == [JOB, f"{PARENT}/jobs/extra"]
    with pytest.raises(exceptions.AlreadyExists):
        world.jobs.create_job(request=request)
    world.jobs.delete_job(name=f"{PARENT}/jobs/extra")
    with pytest.raises(exceptions.NotFound):
        world.jobs.get_job(name=f"{PARENT}/jobs/extra")


def test_a_job_of_its_own_has_arguments_and_variables_that_overrides_change(start: Callable[..., World]) -> None:
    seen: list[Any] = []

    def run(arguments: Sequence[str], environment: Mapping[str, str], timeout_seconds: float | None) -> int:
        seen.append((list(arguments), dict(environment)))
        return 0

    world = start(run=run)
    variables = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    container = {"image": "x", "args": ["own"], "env": variables}
    job = {"template": {"template": {"containers": [container], "max_retries": 0}}}
    name = world.jobs.create_job(parent=PARENT, job_id="extra", job=job).result(timeout=WAIT_SECONDS).name
    for override in ({}, {"args": ["given"], "env": [{"name": "A", "value": "3"}]}, {"clear_args": True}):
        request = {"name": name, "overrides": {"container_overrides": [override]}}
        world.jobs.run_job(request=request).result(timeout=WAIT_SECONDS)
    own = {"A": "1", "B": "2"}
    assert seen == [(["own"], own), (["given"], {"A": "3", "B": "2"}), ([], own)]


def test_an_unknown_job_is_not_found(start: Callable[..., World]) -> None:
    world = start()
    with pytest.raises(exceptions.NotFound):
        world.run("pass", name=f"{PARENT}/jobs/misnamed")


def test_what_is_not_emulated_says_so(start: Callable[..., World]) -> None:
    world = start()
    with pytest.raises(exceptions.MethodNotImplemented, match="task_count"):
        world.run("pass", task_count=3)
    template = {"template": {"containers": [{"image": "x"}], "max_retries": 3}}
    with pytest.raises(exceptions.MethodNotImplemented, match="max_retries"):
        world.jobs.create_job(parent=PARENT, job_id="extra", job={"template": template})


def test_what_ran_when_the_engine_ended_has_failed(start: Callable[..., World]) -> None:
    world = start()
    done, running = world.run("pass"), world.run("import time; time.sleep(60)")
    done.result(timeout=WAIT_SECONDS)
    world.engine.stop()
    world = start()
    assert world.executions.get_execution(name=done.metadata.name).succeeded_count == 1
    lost = world.executions.get_execution(name=running.metadata.name)
    assert (lost.failed_count, lost.running_count) == (1, 0)
    assert "engine ended" in lost.conditions[0].message


def test_engines_can_share_a_server(tmp_path: Path) -> None:
    server = GrpcServer()
    jobs = RunJobsEngine(tmp_path / "run", launcher=python, server=server)
    secrets = SecretManagerEngine(tmp_path / "secrets", server=server)
    try:
        address = jobs.start()
        assert secrets.start() == address
        assert grpc_client(JobsClient, address).get_job(name=JOB).name == JOB
        parent = "projects/sandbox-project"
        from google.cloud.secretmanager_v1 import SecretManagerServiceClient

        assert list(grpc_client(SecretManagerServiceClient, address).list_secrets(parent=parent)) == []
    finally:
        jobs.stop()
        secrets.stop()
        server.stop()
