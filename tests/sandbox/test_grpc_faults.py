"""Faults of the gRPC engines, as the official clients meet them: what they see, and what became of the call."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.api_core.retry import Retry
from google.cloud.run_v2 import ExecutionsClient, JobsClient
from google.cloud.scheduler_v1 import CloudSchedulerClient
from google.cloud.secretmanager_v1 import SecretManagerServiceClient

from sandbox.clock import Clock
from sandbox.engines import grpc_faults
from sandbox.engines.faults import (
    Corrupt,
    Cut,
    Delay,
    Drop,
    Duplicate,
    Effect,
    JobFails,
    Refuse,
    TaskFails,
    TaskHangs,
    TaskKilled,
)
from sandbox.engines.pubsub import PubSubEngine
from sandbox.engines.run_jobs import RunJobsEngine
from sandbox.engines.scheduler import SchedulerEngine
from sandbox.engines.secret_manager import SecretManagerEngine

from .engine_clients import grpc_client
from .push_endpoint import PushEndpoint
from .test_pubsub import Cloud

PARENT = "projects/sandbox-project"
JOB = f"{PARENT}/locations/europe-west1/jobs/dbt"
WAIT_SECONDS = 20
QUICK = Retry(predicate=lambda error: isinstance(error, exceptions.ServiceUnavailable), initial=0.01, maximum=0.05)


# ---- every call of every engine, in one place: shown on Secret Manager


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[SecretManagerEngine]:
    engine = SecretManagerEngine(tmp_path)
    yield engine
    engine.stop()


@pytest.fixture
def secrets(vault: SecretManagerEngine) -> Any:
    client = grpc_client(SecretManagerServiceClient, vault.start())
    for name in ("one", "two"):
        client.create_secret(parent=PARENT, secret_id=name, secret={"replication": {"automatic": {}}})
        client.add_secret_version(parent=f"{PARENT}/secrets/{name}", payload={"data": b"first"})
    return client


def read(client: Any, name: str = "one", **settings: Any) -> bytes:
    settings = {"retry": None, **settings}
    return bytes(client.access_secret_version(name=f"{PARENT}/secrets/{name}/versions/latest", **settings).payload.data)


def add(client: Any) -> Any:
    return client.add_secret_version(parent=f"{PARENT}/secrets/one", payload={"data": b"second"}, retry=None)


def versions(client: Any) -> int:
    return len(list(client.list_secret_versions(parent=f"{PARENT}/secrets/one")))


@pytest.mark.parametrize(
    ("status", "seen"),
    [
        ("UNAVAILABLE", exceptions.ServiceUnavailable),
        ("DEADLINE_EXCEEDED", exceptions.DeadlineExceeded),
        ("RESOURCE_EXHAUSTED", exceptions.ResourceExhausted),
        ("ABORTED", exceptions.Aborted),
        ("PERMISSION_DENIED", exceptions.PermissionDenied),
        ("INTERNAL", exceptions.InternalServerError),
        (503, exceptions.ServiceUnavailable),
        (429, exceptions.ResourceExhausted),
        (418, exceptions.Unknown),
    ],
)
def test_a_refusal_is_the_error_asked_for_and_then_over(
    vault: SecretManagerEngine, secrets: Any, status: int | str, seen: type[Exception]
) -> None:
    rule = vault.faults.add(Refuse(status, message="not today"), method="AccessSecretVersion")
    with pytest.raises(seen, match="not today"):
        read(secrets)
    assert read(secrets) == b"first"
    assert rule.hits == 1


def test_the_client_s_own_retry_gets_over_it(vault: SecretManagerEngine, secrets: Any) -> None:
    rule = vault.faults.add(Refuse("UNAVAILABLE"), method="AccessSecretVersion", count=3)
    assert read(secrets, retry=QUICK) == b"first"
    assert rule.hits == 3


@pytest.mark.parametrize("effect", [Refuse("ABORTED"), Cut()])
def test_what_is_refused_or_cut_before_has_no_effect(vault: SecretManagerEngine, secrets: Any, effect: Effect) -> None:
    vault.faults.add(effect, method="AddSecretVersion")
    with pytest.raises(exceptions.GoogleAPICallError):
        add(secrets)
    assert versions(secrets) == 1


@pytest.mark.parametrize("effect", [Refuse("DEADLINE_EXCEEDED", after=True), Cut(after=True)])
def test_a_lost_answer_leaves_the_effect(vault: SecretManagerEngine, secrets: Any, effect: Effect) -> None:
    vault.faults.add(effect, method="AddSecretVersion")
    with pytest.raises(exceptions.GoogleAPICallError):
        add(secrets)
    assert versions(secrets) == 2
    assert read(secrets) == b"second"


def test_a_duplicate_takes_effect_twice_and_answers_once(vault: SecretManagerEngine, secrets: Any) -> None:
    vault.faults.add(Duplicate(), method="AddSecretVersion")
    assert add(secrets).name.endswith("/versions/3")
    assert versions(secrets) == 3


def test_a_cut_looks_like_a_broken_connection(vault: SecretManagerEngine, secrets: Any) -> None:
    vault.faults.add(Cut(), method="AccessSecretVersion")
    with pytest.raises(exceptions.ServiceUnavailable, match="Socket closed"):
        read(secrets)


def test_a_delayed_call_waits_and_goes_on_to_the_next_fault(vault: SecretManagerEngine, secrets: Any) -> None:
    vault.faults.add(Delay(0.3), method="AccessSecretVersion")
    vault.faults.add(Refuse("ABORTED"), method="AccessSecretVersion")
    start = time.monotonic()
    with pytest.raises(exceptions.Aborted):
        read(secrets)
    assert time.monotonic() - start >= 0.3


def test_a_call_whose_caller_has_gone_is_not_carried_out(vault: SecretManagerEngine, secrets: Any) -> None:
    rule = vault.faults.add(Delay(0.6), method="AddSecretVersion")
    with pytest.raises(exceptions.DeadlineExceeded):
        secrets.add_secret_version(parent=f"{PARENT}/secrets/one", payload={"data": b"late"}, retry=None, timeout=0.2)
    time.sleep(0.8)
    assert (rule.hits, versions(secrets)) == (1, 1)


def test_a_rule_tells_calls_apart_by_resource_and_text_fields(vault: SecretManagerEngine, secrets: Any) -> None:
    by_name = vault.faults.add(Refuse(503), method="Access*", name="*/secrets/two/*", count=None)
    by_field = vault.faults.add(Refuse(503), method="CreateSecret", detail={"secret_id": "three"})
    by_predicate = vault.faults.add(Refuse(503), method="GetSecret", when=lambda call: call.name.endswith("/one"))
    assert read(secrets) == b"first"
    with pytest.raises(exceptions.ServiceUnavailable):
        read(secrets, "two")
    with pytest.raises(exceptions.ServiceUnavailable):
        secrets.create_secret(parent=PARENT, secret_id="three", secret={"replication": {"automatic": {}}}, retry=None)
    assert secrets.get_secret(name=f"{PARENT}/secrets/two").name.endswith("two")
    with pytest.raises(exceptions.ServiceUnavailable):
        secrets.get_secret(name=f"{PARENT}/secrets/one", retry=None)
    assert (by_name.hits, by_field.hits, by_predicate.hits) == (1, 1, 1)


def test_the_nth_call_and_a_seeded_share_of_them(vault: SecretManagerEngine, secrets: Any) -> None:
    def failures(calls: int) -> list[int]:
        failed = []
        for number in range(calls):
            try:
                read(secrets)
            except exceptions.ServiceUnavailable:
                failed.append(number)
        return failed

    vault.faults.add(Refuse(503), method="AccessSecretVersion", skip=2, count=2)
    assert failures(6) == [2, 3]
    with vault.faults.add(Refuse(503), method="AccessSecretVersion", count=None, probability=0.3, seed=5):
        first = failures(40)
    with vault.faults.add(Refuse(503), method="AccessSecretVersion", count=None, probability=0.3, seed=5):
        assert failures(40) == first
    assert 3 < len(first) < 25


def test_a_rule_that_can_never_be_met_is_refused(vault: SecretManagerEngine, secrets: Any) -> None:
    with pytest.raises(ValueError, match=r"no call 'AcessSecretVersion' here; there are .*AccessSecretVersion"):
        vault.faults.add(Refuse(503), method="AcessSecretVersion")
    with pytest.raises(ValueError, match="AccessSecretVersion cannot meet Corrupt; no call of this engine can"):
        vault.faults.add(Corrupt(), method="AccessSecretVersion")
    with pytest.raises(ValueError, match="cannot meet JobFails"):
        vault.faults.add(JobFails("backendError"))
    with pytest.raises(ValueError, match="'OK' is no error"):
        Refuse("OK")
    with pytest.raises(ValueError, match="twice or more often"):
        Duplicate(1)
    assert vault.faults.active() == []


def test_without_a_fault_no_call_is_even_described(
    vault: SecretManagerEngine, secrets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def described(method: str, request: Any) -> Any:
        raise AssertionError(f"{method} was looked at")

    monkeypatch.setattr(grpc_faults, "described", described)
    assert read(secrets) == b"first"
    vault.faults.add(Refuse(503), method="AddSecretVersion")
    with pytest.raises(exceptions.Unknown):
        read(secrets)


# ---- Pub/Sub


class Queue:
    """A Pub/Sub engine with a topic, clients and a push endpoint."""

    def __init__(self, directory: Path) -> None:
        self.web = PushEndpoint()
        self.engine = PubSubEngine(directory, time_scale=0.01, ack_deadline_scale=0.05)
        self.cloud = Cloud(self.engine.start())
        self.topic = self.cloud.topic()

    def stop(self) -> None:
        self.engine.stop()
        self.web.close()

    def outcomes(self) -> list[str]:
        return [record.outcome for record in self.engine.deliveries()]

    def wait_for_outcomes(self, *wanted: str) -> None:
        end = time.monotonic() + WAIT_SECONDS
        while self.outcomes() != list(wanted):
            assert time.monotonic() < end, self.engine.deliveries()
            time.sleep(0.01)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    queue = Queue(tmp_path)
    yield queue
    queue.stop()


def publish(queue: Queue, data: bytes = b"x", **settings: Any) -> str:
    settings = {"retry": None, **settings}
    answer = queue.cloud.publisher.publish(topic=queue.topic, messages=[{"data": data}], **settings)
    return str(answer.message_ids[0])


def test_a_publish_whose_answer_is_lost_is_delivered_twice_by_the_client_s_retry(queue: Queue) -> None:
    name = queue.cloud.subscribe(queue.topic)
    queue.engine.faults.add(Cut(after=True), method="Publish", name=queue.topic)
    publish(queue, b"lost answer", retry=QUICK)
    assert [one.message.data for one in queue.cloud.pull(name, 2)] == [b"lost answer"] * 2
    queue.engine.faults.add(Refuse("RESOURCE_EXHAUSTED"), method="Publish")
    with pytest.raises(exceptions.ResourceExhausted):
        publish(queue)
    assert queue.cloud.pull_now(name, timeout_seconds=0.4) == []


def test_messages_of_a_pull_whose_answer_is_lost_come_again(queue: Queue) -> None:
    name = queue.cloud.subscribe(queue.topic)
    publish(queue, b"kept")
    rule = queue.engine.faults.add(Refuse("UNAVAILABLE", after=True), method="Pull", name=name)
    with pytest.raises(exceptions.ServiceUnavailable):
        queue.cloud.subscriber.pull(subscription=name, max_messages=1, retry=None)
    assert queue.cloud.pull(name)[0].message.data == b"kept"
    assert rule.hits == 1


def test_an_acknowledgement_that_fails_brings_the_message_again_one_whose_answer_is_lost_does_not(queue: Queue) -> None:
    name = queue.cloud.subscribe(queue.topic)
    publish(queue)
    queue.engine.faults.add(Refuse("ABORTED"), method="Acknowledge")
    with pytest.raises(exceptions.Aborted):
        queue.cloud.subscriber.acknowledge(subscription=name, ack_ids=[queue.cloud.pull(name)[0].ack_id], retry=None)
    again = queue.cloud.pull(name)[0]
    queue.engine.faults.add(Cut(after=True), method="Acknowledge")
    with pytest.raises(exceptions.ServiceUnavailable):
        queue.cloud.subscriber.acknowledge(subscription=name, ack_ids=[again.ack_id], retry=None)
    assert queue.engine.backlog()[name].leased == 0


def test_deadlines_and_admin_calls_can_be_refused(queue: Queue) -> None:
    name = queue.cloud.subscribe(queue.topic)
    subscriber, publisher = queue.cloud.subscriber, queue.cloud.publisher
    extend = {"subscription": name, "ack_ids": ["none"], "ack_deadline_seconds": 10}
    project = "projects/sandbox-project"
    for method, act in (
        ("ModifyAckDeadline", lambda: subscriber.modify_ack_deadline(extend, retry=None)),
        ("GetSubscription", lambda: subscriber.get_subscription(subscription=name, retry=None)),
        ("ListSubscriptions", lambda: list(subscriber.list_subscriptions(project=project, retry=None))),
        ("CreateSubscription", lambda: subscriber.create_subscription(name=name, topic=queue.topic, retry=None)),
        ("DeleteSubscription", lambda: subscriber.delete_subscription(subscription=name, retry=None)),
        ("GetTopic", lambda: publisher.get_topic(topic=queue.topic, retry=None)),
        ("CreateTopic", lambda: publisher.create_topic(name=queue.topic, retry=None)),
        ("ListTopics", lambda: list(publisher.list_topics(project=project, retry=None))),
        ("DeleteTopic", lambda: publisher.delete_topic(topic=queue.topic, retry=None)),
    ):
        with queue.engine.faults.add(Refuse("PERMISSION_DENIED"), method=method) as rule:
            with pytest.raises(exceptions.PermissionDenied):
                act()
            assert rule.hits == 1, method
    assert subscriber.get_subscription(subscription=name).topic == queue.topic


@pytest.mark.parametrize(("effect", "copies"), [(Cut(), 1), (Cut(after=True), 1), (Duplicate(), 2)])
def test_a_streaming_pull_meets_its_fault_as_it_is_opened(queue: Queue, effect: Effect, copies: int) -> None:
    from google.cloud import pubsub_v1

    name = queue.cloud.subscribe(queue.topic)
    publish(queue, b"streamed")
    rule = queue.engine.faults.add(effect, method="StreamingPull", name=name)
    arrived: list[bytes] = []
    enough = threading.Event()

    def take(message: Any) -> None:
        arrived.append(message.data)
        message.ack()
        if len(arrived) >= copies:
            enough.set()

    client = pubsub_v1.SubscriberClient(transport=queue.cloud.subscriber.transport)
    stream = client.subscribe(name, take)
    assert enough.wait(WAIT_SECONDS), "the client opens its stream again, and the message comes"
    stream.cancel()
    assert rule.hits == 1
    assert set(arrived) == {b"streamed"}


def push(queue: Queue, **settings: Any) -> str:
    retry = {"retry_policy": {"minimum_backoff": {"seconds": 1}, "maximum_backoff": {"seconds": 1}}}
    return queue.cloud.subscribe(queue.topic, push_config={"push_endpoint": queue.web.url}, **retry, **settings)


def test_a_push_whose_answer_is_lost_comes_again(queue: Queue) -> None:
    name = push(queue)
    queue.engine.faults.add(Cut(after=True), method="push", name=name)
    publish(queue)
    queue.wait_for_outcomes("nacked", "acknowledged")
    assert len(queue.web.pushes) == 2


def test_a_push_that_is_refused_or_cut_on_its_way_never_arrives_and_is_tried_again(queue: Queue) -> None:
    push(queue)
    queue.engine.faults.add(Refuse(503), method="push")
    queue.engine.faults.add(Cut(), method="push")
    publish(queue)
    queue.wait_for_outcomes("nacked", "nacked", "acknowledged")
    assert len(queue.web.pushes) == 1
    assert [record.detail[:15] for record in queue.engine.deliveries()] == ["503", "ConnectionReset", "204"]


def test_a_push_that_is_dropped_counts_as_acknowledged(queue: Queue) -> None:
    name = push(queue)
    message = publish(queue)
    queue.wait_for_outcomes("acknowledged")
    queue.engine.faults.add(Drop(), method="push", detail={"message": str(int(message) + 1), "attempt": "1"})
    publish(queue)
    queue.wait_for_outcomes("acknowledged", "dropped")
    assert len(queue.web.pushes) == 1
    assert queue.engine.backlog()[name].waiting == 0


def test_a_push_can_be_sent_twice_though_it_is_acknowledged(queue: Queue) -> None:
    push(queue)
    queue.engine.faults.add(Duplicate(3), method="push")
    publish(queue)
    queue.wait_for_outcomes("acknowledged")
    assert len({one.body["message"]["messageId"] for one in queue.web.pushes}) == 1
    assert len(queue.web.pushes) == 3


def test_a_push_that_is_delayed_beyond_its_deadline_comes_twice(queue: Queue) -> None:
    name = push(queue)  # 10 s, scaled to half a second
    queue.engine.faults.add(Delay(1.5), method="push", name=name)
    publish(queue)
    assert queue.web.wait_for(2, WAIT_SECONDS)
    queue.wait_for_outcomes("expired", "acknowledged")


def test_switches_show_among_the_active_faults(queue: Queue) -> None:
    queue.engine.faults.duplicate(2)
    queue.engine.faults.drop_next(count=3)
    queue.engine.faults.add(Refuse(503), method="Publish")
    assert [rule["effect"] for rule in queue.engine.faults.active()] == ["Refuse", "Duplicate", "Drop"]
    queue.engine.faults.reset()
    assert queue.engine.faults.active() == []


# ---- Cloud Run jobs


class Jobs:
    """An engine of Cloud Run jobs whose tasks are written into ``done`` by a Python of their own, and its clients."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.done = directory / "done"
        self.engine = RunJobsEngine(directory, **(settings or {"launcher": self.launch}), jobs=[JOB])
        address = self.engine.start()
        self.jobs, self.executions = grpc_client(JobsClient, address), grpc_client(ExecutionsClient, address)

    def launch(self, job: str, environment: Mapping[str, str], arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        code = f"import sys, time; time.sleep(float(sys.argv[1])); open({str(self.done)!r}, 'a').write('x')"
        return subprocess.Popen([sys.executable, "-c", code, *(arguments or ["0"])])

    def run(self, *, sleep_seconds: float = 0, **overrides: Any) -> Any:
        container = {"args": [str(sleep_seconds)]}
        request = {"name": JOB, "overrides": {"container_overrides": [container], **overrides}}
        return self.jobs.run_job(request=request, retry=None)

    @property
    def runs(self) -> int:
        return len(self.done.read_text()) if self.done.exists() else 0


@pytest.fixture
def start_jobs(tmp_path: Path) -> Iterator[Callable[..., Jobs]]:
    made: list[Jobs] = []

    def begin(**settings: Any) -> Jobs:
        made.append(Jobs(tmp_path, **settings))
        return made[-1]

    yield begin
    for jobs in made:
        jobs.engine.stop()


def test_a_run_job_whose_answer_is_lost_runs_all_the_same(start_jobs: Callable[..., Jobs]) -> None:
    jobs = start_jobs()
    jobs.engine.faults.add(Cut(after=True), method="RunJob", name=JOB)
    with pytest.raises(exceptions.ServiceUnavailable):
        jobs.run()
    (execution,) = jobs.executions.list_executions(parent=JOB)
    end = time.monotonic() + WAIT_SECONDS
    while not jobs.executions.get_execution(name=execution.name).completion_time:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert jobs.runs == 1


def test_every_call_about_executions_can_be_refused(start_jobs: Callable[..., Jobs]) -> None:
    jobs = start_jobs()
    done = jobs.run().result(timeout=WAIT_SECONDS)
    for method, act in (
        ("RunJob", jobs.run),
        ("GetJob", lambda: jobs.jobs.get_job(name=JOB, retry=None)),
        ("GetExecution", lambda: jobs.executions.get_execution(name=done.name, retry=None)),
        ("ListExecutions", lambda: list(jobs.executions.list_executions(parent=JOB, retry=None))),
        ("CancelExecution", lambda: jobs.executions.cancel_execution(name=done.name, retry=None)),
    ):
        with jobs.engine.faults.add(Refuse("UNAVAILABLE"), method=method) as rule:
            with pytest.raises(exceptions.ServiceUnavailable):
                act()
            assert rule.hits == 1, method
    assert jobs.runs == 1


@pytest.mark.parametrize(("after", "runs"), [(False, 0), (True, 1)])
def test_a_task_fails_without_or_after_its_work(start_jobs: Callable[..., Jobs], after: bool, runs: int) -> None:
    jobs = start_jobs()
    jobs.engine.faults.add(TaskFails(7, after=after), method="task", name="*/dbt")
    with pytest.raises(exceptions.GoogleAPICallError, match="exited with code 7"):
        jobs.run().result(timeout=WAIT_SECONDS)
    assert jobs.runs == runs
    assert jobs.run().result(timeout=WAIT_SECONDS).succeeded_count == 1


def test_a_task_that_hangs_ends_at_its_timeout_or_when_it_is_cancelled(start_jobs: Callable[..., Jobs]) -> None:
    jobs = start_jobs()
    jobs.engine.faults.add(TaskHangs(), method="task", count=2)
    with pytest.raises(exceptions.GoogleAPICallError, match="timeout"):
        jobs.run(timeout={"nanos": 200_000_000}).result(timeout=WAIT_SECONDS)
    hanging = jobs.run()
    assert not hanging.done()
    jobs.executions.cancel_execution(name=hanging.metadata.name)
    with pytest.raises(exceptions.GoogleAPICallError, match="cancelled"):
        hanging.result(timeout=WAIT_SECONDS)
    assert jobs.runs == 0


def test_a_task_is_killed_in_the_middle_of_its_work(start_jobs: Callable[..., Jobs]) -> None:
    jobs = start_jobs()
    jobs.engine.faults.add(TaskKilled(0.1), method="task")
    with pytest.raises(exceptions.GoogleAPICallError, match="exited with code -9"):
        jobs.run(sleep_seconds=60).result(timeout=WAIT_SECONDS)
    assert jobs.runs == 0


def test_a_blocking_task_can_hang_and_be_cancelled_and_is_killed_where_there_is_a_way_to(
    start_jobs: Callable[..., Jobs],
) -> None:
    killed, began = threading.Event(), threading.Event()

    def run(arguments: Sequence[str], environment: Mapping[str, str], timeout_seconds: float | None) -> int:
        began.set()
        return 137 if killed.wait(WAIT_SECONDS) else 0

    def kill() -> bool:
        if not began.is_set():
            return False
        killed.set()
        return True

    jobs = start_jobs(run=run, kill=kill)
    jobs.engine.faults.add(TaskKilled(), method="task")
    with pytest.raises(exceptions.GoogleAPICallError, match="exited with code 137"):
        jobs.run().result(timeout=WAIT_SECONDS)
    jobs.engine.faults.add(TaskHangs(), method="task")
    hanging = jobs.run()
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            jobs.executions.cancel_execution(name=hanging.metadata.name)
            break
        except exceptions.MethodNotImplemented:  # the task has not begun to hang
            assert time.monotonic() < end
    with pytest.raises(exceptions.GoogleAPICallError, match="cancelled"):
        hanging.result(timeout=WAIT_SECONDS)


def test_what_cannot_be_killed_says_so(start_jobs: Callable[..., Jobs]) -> None:
    jobs = start_jobs(run=lambda arguments, environment, timeout_seconds: 0)
    with pytest.raises(ValueError, match="cannot meet TaskKilled"):
        jobs.engine.faults.add(TaskKilled(), method="task")


# ---- Cloud Scheduler


class Bell:
    """A Scheduler engine by a clock that stands until it is moved, with one daily job, and what rang when."""

    def __init__(self, directory: Path) -> None:
        self.clock = Clock(datetime(2026, 3, 1, 5, 10, tzinfo=UTC), scale=0)
        self.rings: list[datetime] = []
        self.engine = SchedulerEngine(
            directory, publish=lambda topic, data, attributes: self.rings.append(self.clock.now()), clock=self.clock
        )
        self.client = grpc_client(CloudSchedulerClient, self.engine.start())
        self.parent = f"{PARENT}/locations/europe-west1"
        self.name = f"{self.parent}/jobs/daily"
        target = {"topic_name": f"{PARENT}/topics/crm", "data": b"{}"}
        retry = {"retry_count": 1, "min_backoff_duration": {"seconds": 60}}
        job = {"name": self.name, "schedule": "15 5 * * *", "pubsub_target": target, "retry_config": retry}
        self.client.create_job(parent=self.parent, job=job)

    def days(self, count: int) -> list[str]:
        """The times of the rings while so many days pass."""
        self.clock.advance(count * 86_400)
        return [ring.strftime("%d %H:%M") for ring in self.rings]


@pytest.fixture
def bell(tmp_path: Path) -> Iterator[Bell]:
    bell = Bell(tmp_path)
    yield bell
    bell.engine.stop()


def test_a_schedule_misses_one_time(bell: Bell) -> None:
    bell.engine.faults.add(Drop(), method="ring", name=bell.name, skip=1)
    assert bell.days(3) == ["01 05:15", "03 05:15"]


def test_a_schedule_rings_twice(bell: Bell) -> None:
    bell.engine.faults.add(Duplicate(), method="ring")
    assert bell.days(2) == ["01 05:15", "01 05:15", "02 05:15"]


def test_a_schedule_is_late_by_the_world_s_clock(bell: Bell) -> None:
    bell.engine.faults.add(Delay(1800), method="ring", detail={"by": "schedule"})
    assert bell.days(2) == ["01 05:45", "02 05:15"]


def test_run_job_is_told_apart_from_the_schedule(bell: Bell) -> None:
    rule = bell.engine.faults.add(Drop(), method="ring", detail={"by": "RunJob"})
    bell.client.run_job(name=bell.name)
    assert bell.days(1) == ["01 05:15"]
    assert rule.hits == 1


@pytest.mark.parametrize(
    ("effect", "rings"),
    [
        (Refuse(503), ["01 05:16"]),
        (Refuse("UNAVAILABLE", after=True), ["01 05:15", "01 05:16"]),
        (Cut(after=True), ["01 05:15", "01 05:16"]),
        (Duplicate(), ["01 05:15", "01 05:15"]),
    ],
)
def test_an_attempt_that_fails_is_tried_again_as_the_job_says(bell: Bell, effect: Effect, rings: list[str]) -> None:
    bell.engine.faults.add(effect, method="attempt", name="*/daily")
    assert bell.days(1) == rings
    assert bell.client.get_job(name=bell.name).status.code == 0


def test_the_status_shows_an_attempt_that_failed_for_good(bell: Bell) -> None:
    bell.engine.faults.add(Refuse("PERMISSION_DENIED"), method="attempt", count=2)
    assert bell.days(1) == []
    status = bell.client.get_job(name=bell.name).status
    assert (status.code, "403" in status.message) == (7, True)


def test_admin_calls_can_be_refused(bell: Bell) -> None:
    other = {"name": f"{bell.parent}/jobs/other", "schedule": "0 6 * * *", "pubsub_target": {"topic_name": "t", "data": b"x"}}
    for method, act in (
        ("CreateJob", lambda: bell.client.create_job(parent=bell.parent, job=other, retry=None)),
        ("GetJob", lambda: bell.client.get_job(name=bell.name, retry=None)),
        ("ListJobs", lambda: list(bell.client.list_jobs(parent=bell.parent, retry=None))),
        ("UpdateJob", lambda: bell.client.update_job(job={"name": bell.name}, retry=None)),
        ("PauseJob", lambda: bell.client.pause_job(name=bell.name, retry=None)),
        ("ResumeJob", lambda: bell.client.resume_job(name=bell.name, retry=None)),
        ("RunJob", lambda: bell.client.run_job(name=bell.name, retry=None)),
        ("DeleteJob", lambda: bell.client.delete_job(name=bell.name, retry=None)),
    ):
        with bell.engine.faults.add(Refuse("ABORTED"), method=method) as rule:
            with pytest.raises(exceptions.Aborted):
                act()
            assert rule.hits == 1, method
    assert [job.name for job in bell.client.list_jobs(parent=bell.parent)] == [bell.name]
    assert bell.days(1) == ["01 05:15"]
