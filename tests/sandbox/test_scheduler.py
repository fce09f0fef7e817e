"""Cloud Scheduler's engine, through the official client; and the reading of schedules."""

from __future__ import annotations

import queue
import shutil
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.scheduler_v1 import CloudSchedulerClient

from sandbox.clock import Clock
from sandbox.engines import cron
from sandbox.engines.scheduler import HttpCall, SchedulerEngine

from .engine_clients import grpc_client

PARENT = "projects/sandbox-project/locations/europe-west1"
TOPIC = "projects/sandbox-project/topics/crm"
WAIT_SECONDS = 10
DAY_SECONDS = 24 * 3600.0


class World:
    """An engine with a clock that stands until it is moved, and what its jobs have done."""

    def __init__(self, directory: Path, start: datetime = datetime(2026, 3, 1, 5, 10, tzinfo=UTC)) -> None:
        self.clock = Clock(start, scale=0)
        self.published: queue.Queue[tuple[str, bytes, Mapping[str, str]]] = queue.Queue()
        self.calls: queue.Queue[HttpCall] = queue.Queue()
        self.statuses: list[int] = []
        self.engine = SchedulerEngine(
            directory,
            publish=lambda topic, data, attributes: self.published.put((topic, data, attributes)),
            post=self.post,
            token=lambda account, audience: f"token of {account} for {audience}",
            clock=self.clock,
        )
        self.client = grpc_client(CloudSchedulerClient, self.engine.start())

    def post(self, call: HttpCall) -> int:
        self.calls.put(call)
        return self.statuses.pop(0) if self.statuses else 200

    def create(self, identifier: str, **settings: Any) -> Any:
        job = {
            "name": f"{PARENT}/jobs/{identifier}",
            "schedule": "15 5 * * *",
            "pubsub_target": {"topic_name": TOPIC, "data": b"{}"},
            **settings,
        }
        return self.client.create_job(parent=PARENT, job=job)

    def job(self, identifier: str) -> Any:
        return self.client.get_job(name=f"{PARENT}/jobs/{identifier}")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.engine.stop()


def http_target(**settings: Any) -> dict[str, Any]:
    return {"pubsub_target": None, "http_target": {"uri": "http://127.0.0.1:1/sweep", **settings}}


def test_a_job_fires_when_its_time_comes_and_not_before(world: World) -> None:
    job = world.create("daily")
    assert job.schedule_time == datetime(2026, 3, 1, 5, 15, tzinfo=UTC)
    with pytest.raises(queue.Empty):
        world.published.get(timeout=0.2)
    world.clock.advance(5 * 60)
    assert world.published.get(timeout=WAIT_SECONDS) == (TOPIC, b"{}", {})
    with pytest.raises(queue.Empty):  # once, not at every tick of that minute
        world.published.get(timeout=0.2)
    assert world.job("daily").schedule_time == datetime(2026, 3, 2, 5, 15, tzinfo=UTC)


def test_run_job_fires_at_once(world: World) -> None:
    world.create("daily")
    world.client.run_job(name=f"{PARENT}/jobs/daily")
    assert world.published.get(timeout=WAIT_SECONDS)[0] == TOPIC
    with pytest.raises(exceptions.NotFound):
        world.client.run_job(name=f"{PARENT}/jobs/none")


def test_an_http_job_carries_method_headers_body_and_a_bearer_token(world: World) -> None:
    oidc = {"service_account_email": "scheduler@example.com", "audience": "http://control"}
    target = http_target(http_method="PUT", headers={"X-A": "b"}, body=b"hi", oidc_token=oidc)
    world.create("sweep", **target, attempt_deadline={"seconds": 30})
    world.engine.fire(f"{PARENT}/jobs/sweep")
    call = world.calls.get(timeout=WAIT_SECONDS)
    assert (call.method, call.url, call.body) == ("PUT", "http://127.0.0.1:1/sweep", b"hi")
    assert call.headers["Authorization"] == "Bearer token of scheduler@example.com for http://control"
    assert call.headers["X-A"] == "b"
    assert call.headers["X-CloudScheduler-JobName"] == "sweep"
    assert call.timeout_seconds == 30


def wait_for_attempt(world: World, identifier: str) -> Any:
    done = threading.Event()
    for _ in range(500):
        if (job := world.job(identifier)).last_attempt_time:
            return job
        done.wait(0.01)
    raise AssertionError("no attempt was noted")


def test_a_failed_call_is_tried_again_as_often_as_the_job_says(world: World) -> None:
    world.statuses = [500, 503, 500]
    retry = {"retry_count": 2, "min_backoff_duration": {"nanos": 1_000_000}}
    world.create("sweep", **http_target(), retry_config=retry)
    world.engine.fire(f"{PARENT}/jobs/sweep")
    world.clock.advance(1)
    assert wait_for_attempt(world, "sweep").status.code == 13
    assert world.calls.qsize() == 3


def test_without_retries_a_failure_stands(world: World) -> None:
    world.statuses = [500]
    world.create("sweep", **http_target())
    world.engine.fire(f"{PARENT}/jobs/sweep")
    job = wait_for_attempt(world, "sweep")
    assert job.status.code == 13
    assert "500" in job.status.message
    assert world.calls.qsize() == 1


def test_a_paused_job_does_not_tick_and_goes_on_when_resumed(world: World) -> None:
    world.create("daily")
    assert world.client.pause_job(name=f"{PARENT}/jobs/daily").state.name == "PAUSED"
    world.clock.advance(DAY_SECONDS)
    with pytest.raises(queue.Empty):
        world.published.get(timeout=0.2)
    world.client.resume_job(name=f"{PARENT}/jobs/daily")
    world.clock.advance(DAY_SECONDS)
    assert world.published.get(timeout=WAIT_SECONDS)[0] == TOPIC


def test_jobs_can_be_listed_changed_and_deleted(world: World) -> None:
    world.create("a")
    world.create("b")
    assert [job.name for job in world.client.list_jobs(parent=PARENT)] == [f"{PARENT}/jobs/a", f"{PARENT}/jobs/b"]
    with pytest.raises(exceptions.AlreadyExists):
        world.create("a")
    changed = {"name": f"{PARENT}/jobs/a", "schedule": "0 7 * * *", "time_zone": "Europe/London"}
    world.client.update_job(job=changed, update_mask={"paths": ["schedule", "time_zone"]})
    job = world.job("a")
    assert job.schedule_time == datetime(2026, 3, 1, 7, 0, tzinfo=UTC)
    assert job.pubsub_target.topic_name == TOPIC, "what the mask does not name stays"
    whole = {**changed, "schedule": "0 8 * * *", **http_target()}
    world.client.update_job(job=whole)
    assert "pubsub_target" not in world.job("a")
    world.client.delete_job(name=f"{PARENT}/jobs/a")
    with pytest.raises(exceptions.NotFound):
        world.job("a")


@pytest.mark.parametrize("schedule", ["@daily", "0 0 0 * * *", "0 0 L * *", "0 0 * * mon#1", "0 0 15W * *", "61 * * * *"])
def test_a_schedule_that_google_refuses_is_refused(world: World, schedule: str) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        world.create("bad", schedule=schedule)


def test_what_is_not_emulated_says_so(world: World) -> None:
    with pytest.raises(exceptions.MethodNotImplemented, match="App Engine"):
        world.create("bad", pubsub_target=None, app_engine_http_target={"relative_uri": "/"})
    with pytest.raises(exceptions.InvalidArgument, match="target"):
        world.create("bad", pubsub_target=None)
    with pytest.raises(exceptions.InvalidArgument, match="English-like"):
        world.create("bad", schedule="every 24 hours")


def test_jobs_are_there_after_a_restart_and_the_past_is_not_made_up_for(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.create("daily")
    world.engine.stop()
    late = World(tmp_path, datetime(2026, 3, 5, 12, 0, tzinfo=UTC))
    try:
        assert late.job("daily").schedule_time == datetime(2026, 3, 6, 5, 15, tzinfo=UTC)
        assert late.published.empty()
    finally:
        late.engine.stop()


@pytest.mark.parametrize(("seconds_later", "made_up"), [(30, 1), (600, 1), (601, 0)])
def test_a_time_that_passes_during_a_restart_is_made_up_for_once(tmp_path: Path, seconds_later: int, made_up: int) -> None:
    world = World(tmp_path)
    due = world.create("daily").schedule_time
    world.engine.stop()
    for at in (due + timedelta(seconds=seconds_later), due + timedelta(seconds=seconds_later + 1)):
        late = World(tmp_path, at)
        late.clock.advance(0)  # until the run is made
        late.engine.stop()
        assert late.published.qsize() == made_up
        made_up = 0
    assert late.clock.now() < due + timedelta(days=1)


@pytest.mark.parametrize("how", ["its time came", "somebody asked"])
def test_a_run_that_was_accepted_is_made_by_the_next_engine(tmp_path: Path, how: str) -> None:
    world = World(tmp_path / "first")
    world.create("sweep", **http_target())
    begun, release = threading.Event(), threading.Event()

    def hang(call: HttpCall) -> int:
        begun.set()
        release.wait(WAIT_SECONDS)
        return 200

    world.engine._targets._post = hang
    if how == "its time came":
        mover = threading.Thread(target=world.clock.advance, args=(300,))
        mover.start()
    else:
        world.client.run_job(name=f"{PARENT}/jobs/sweep")
        world.client.delete_job(name=f"{PARENT}/jobs/sweep")
    assert begun.wait(WAIT_SECONDS)
    shutil.copytree(tmp_path / "first", tmp_path / "second")  # what a process leaves that is killed now
    release.set()
    world.engine.stop()
    again = World(tmp_path / "second", world.clock.now())
    try:
        assert again.calls.get(timeout=WAIT_SECONDS).url.endswith("/sweep")
    finally:
        again.engine.stop()
    last = World(tmp_path / "second", world.clock.now())
    last.clock.advance(0)
    last.engine.stop()
    assert last.calls.empty(), "made once, it is not made again"
    if how == "its time came":
        mover.join(WAIT_SECONDS)


def times(schedule: str, zone: str, start: datetime, count: int) -> list[str]:
    found = []
    for _ in range(count):
        start = cron.next_after(schedule, zone, start)
        found.append(start.strftime("%m-%dT%H:%M"))
    return found


def test_times_follow_the_time_zone_through_summer_time() -> None:
    before_spring = datetime(2026, 3, 28, 0, 0, tzinfo=UTC)
    assert times("30 2 * * *", "Europe/Amsterdam", before_spring, 3) == ["03-28T01:30", "03-29T01:00", "03-30T00:30"]
    before_autumn = datetime(2026, 10, 24, 12, 0, tzinfo=UTC)
    assert len(set(times("30 2 * * *", "Europe/Amsterdam", before_autumn, 2))) == 2
    assert times("0 6 * * 1-5", "Etc/UTC", datetime(2026, 1, 2, 7, 0, tzinfo=UTC), 2) == ["01-05T06:00", "01-06T06:00"]


def test_day_of_month_or_day_of_week() -> None:
    found = times("0 9 1 * 1", "Etc/UTC", datetime(2026, 1, 1, 10, 0, tzinfo=UTC), 5)
    assert found == ["01-05T09:00", "01-12T09:00", "01-19T09:00", "01-26T09:00", "02-01T09:00"]


def test_unknown_time_zone_is_refused() -> None:
    with pytest.raises(cron.CronError, match="Mars"):
        cron.check("* * * * *", "Mars/Olympus")


@pytest.mark.parametrize("schedule", ["* * * * *", "*/15 8-18 1,15 jan-mar MON-FRI", "0 0 29 2 *"])
def test_good_schedules_pass(schedule: str) -> None:
    cron.check(schedule, "Etc/UTC")
