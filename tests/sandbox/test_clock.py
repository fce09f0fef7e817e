"""Simulated time: weeks of schedules and back-off pass in seconds, in order, each event once, and never backwards."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from google.cloud import storage
from google.cloud.scheduler_v1 import CloudSchedulerClient

from pipeline import contract as contracts
from sandbox.clock import Clock
from sandbox.engines.pubsub import PubSubEngine
from sandbox.engines.scheduler import HttpCall, SchedulerEngine
from sandbox.engines.storage import StorageEngine

from .engine_clients import grpc_client, storage_client
from .push_endpoint import PushEndpoint
from .test_pubsub import Cloud

START = datetime(2026, 3, 20, 12, 0, tzinfo=UTC)
WAIT_SECONDS = 60
DAY_SECONDS = 24 * 3600.0
PARENT = "projects/sandbox-project/locations/europe-west1"
TOPIC = "projects/sandbox-project/topics/crm"


# ---- the clock alone


def test_a_clock_that_nobody_moved_tells_real_time() -> None:
    clock = Clock()
    before = datetime.now(UTC)
    assert before <= clock.now() <= datetime.now(UTC)
    assert clock.real


def test_an_advance_moves_both_readings_alike() -> None:
    clock = Clock(START, scale=0)
    began = clock.seconds()
    clock.advance(3600.5)
    assert clock.now() - START == timedelta(seconds=3600.5)
    assert clock.seconds() - began == pytest.approx(3600.5), "a reading of the monotonic clock is large: its sums round"
    assert clock.seconds_at(clock.now()) == clock.seconds()
    assert not clock.real


def test_real_time_that_is_advanced_runs_on_from_there() -> None:
    clock = Clock()
    shown, measured = clock.now(), clock.seconds()
    clock.advance(DAY_SECONDS)
    assert not clock.real
    assert clock.now() - shown >= timedelta(days=1)
    assert clock.seconds() - measured >= DAY_SECONDS
    assert clock.now() < datetime.now(UTC) + timedelta(days=1, seconds=WAIT_SECONDS)
    first = clock.now()
    time.sleep(0.01)
    assert clock.now() > first


def test_time_does_not_go_back() -> None:
    clock = Clock(START, scale=0)
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="backwards"):
        Clock(scale=-1)
    with pytest.raises(ValueError, match="time zone"):
        Clock(START.replace(tzinfo=None))


def test_no_reader_sees_time_go_back_while_others_move_it() -> None:
    clock = Clock(START, scale=1000)
    done = threading.Event()
    read: list[list[datetime]] = [[], [], []]

    def watch(into: list[datetime]) -> None:
        while not done.is_set():
            into.append(clock.now())

    watchers = [threading.Thread(target=watch, args=(into,)) for into in read]
    movers = [threading.Thread(target=lambda: [clock.advance(7) for _ in range(200)]) for _ in range(3)]
    for thread in (*watchers, *movers):
        thread.start()
    for thread in movers:
        thread.join()
    done.set()
    for thread in watchers:
        thread.join()
    assert all(earlier <= later for seen in read for earlier, later in itertools.pairwise(seen))
    assert clock.now() >= START + timedelta(seconds=3 * 200 * 7)


def test_who_sleeps_is_woken_at_the_time_and_not_before() -> None:
    clock = Clock(START, scale=0)
    woken: list[datetime] = []
    sleeping = threading.Event()

    def sleep() -> None:
        sleeping.set()
        clock.sleep(600)
        woken.append(clock.now())

    sleeper = threading.Thread(target=sleep)
    sleeper.start()
    assert sleeping.wait(WAIT_SECONDS)
    while not clock._waiting:
        time.sleep(0.001)
    clock.advance(599)
    sleeper.join(0.1)
    assert sleeper.is_alive()
    clock.advance(1)
    sleeper.join(WAIT_SECONDS)
    assert woken == [START + timedelta(seconds=600)]


def test_a_scaled_clock_wakes_by_itself() -> None:
    clock = Clock(START, scale=100_000)
    clock.sleep(3600)
    assert clock.now() >= START + timedelta(hours=1)


def test_an_advance_stops_at_every_time_in_order_and_lets_its_work_end() -> None:
    clock = Clock(START, scale=0)
    due = {name: clock.seconds() + seconds for name, seconds in (("c", 30), ("a", 10), ("b", 20), ("later", 61))}
    done: list[tuple[str, float]] = []
    began = clock.seconds()
    condition = threading.Condition()
    stopping = False

    def work() -> None:
        with condition:
            while not stopping:
                for name in [name for name, moment in due.items() if moment <= clock.seconds()]:
                    time.sleep(0.02)  # the clock must wait for it
                    done.append((name, clock.seconds() - began))
                    del due[name]
                    if name == "a":
                        due["a's child"] = clock.seconds() + 5
                clock.wait(condition, min(due.values(), default=None))

    def busy() -> bool:
        with condition:
            return any(moment <= clock.seconds() for moment in due.values())

    def next_due(after: float) -> float | None:
        with condition:
            return min((moment for moment in due.values() if moment > after), default=None)

    clock.join(busy=busy, next_due=next_due)
    worker = threading.Thread(target=work)
    worker.start()
    clock.advance(60)
    with condition:
        stopping = True
        condition.notify_all()
    worker.join(WAIT_SECONDS)
    assert done == [("a", 10), ("a's child", 15), ("b", 20), ("c", 30)]
    assert list(due) == ["later"]


# ---- Pub/Sub


def test_a_message_refused_twenty_times_reaches_its_dead_letter_after_hours_that_take_seconds(tmp_path: Path) -> None:
    clock = Clock(START, scale=0)
    engine = PubSubEngine(tmp_path, clock=clock)
    times: list[datetime] = []

    def refuse(_: object) -> int:
        times.append(clock.now())
        return 500

    web = PushEndpoint(refuse)
    try:
        cloud = Cloud(engine.start())
        topic, dead = cloud.topic(), cloud.topic()
        letters = cloud.subscribe(dead)
        cloud.subscribe(
            topic,
            push_config={"push_endpoint": web.url},
            ack_deadline_seconds=600,
            retry_policy={"minimum_backoff": {"seconds": 10}, "maximum_backoff": {"seconds": 600}},
            dead_letter_policy={"dead_letter_topic": dead, "max_delivery_attempts": 20},
        )
        cloud.publish(topic, b"x")
        clock.advance(3 * 3600)
        (letter,) = cloud.pull(letters)
    finally:
        engine.stop()
        web.close()
    assert letter.message.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] == "20"
    gaps = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(times)]
    assert gaps == [10, 20, 40, 80, 160, 320, *[600] * 13]
    assert letter.message.publish_time == times[-1]


def test_a_deadline_passes_over_a_subscriber_that_hangs(tmp_path: Path) -> None:
    clock = Clock(START, scale=0)
    engine = PubSubEngine(tmp_path, clock=clock)
    release = threading.Event()
    web = PushEndpoint(lambda push: 204 if len(web.pushes) > 1 or release.wait(WAIT_SECONDS) else 500)
    try:
        cloud = Cloud(engine.start())
        topic = cloud.topic()
        cloud.subscribe(topic, push_config={"push_endpoint": web.url}, ack_deadline_seconds=60)
        cloud.publish(topic, b"x")
        web.wait_for(1)
        clock.advance(59, settle_seconds=0.1)
        assert engine.deliveries() == []
        clock.advance(2, settle_seconds=0.1)
        web.wait_for(2)
    finally:
        release.set()
        engine.stop()
        web.close()
    assert engine.deliveries()[0].outcome == "expired"
    assert engine.deliveries()[0].at == START + timedelta(seconds=60)


def test_a_puller_that_waits_is_woken_when_the_back_off_is_over(tmp_path: Path) -> None:
    clock = Clock(START, scale=0)
    engine = PubSubEngine(tmp_path, clock=clock)
    try:
        cloud = Cloud(engine.start())
        topic = cloud.topic()
        name = cloud.subscribe(topic, retry_policy={"minimum_backoff": {"seconds": 300}})
        cloud.publish(topic, b"x")
        (received,) = cloud.pull(name)
        cloud.subscriber.modify_ack_deadline(subscription=name, ack_ids=[received.ack_id], ack_deadline_seconds=0)
        clock.advance(299)
        assert cloud.pull_now(name) == []
        found: list[object] = []
        puller = threading.Thread(target=lambda: found.extend(cloud.pull(name)))
        puller.start()
        clock.advance(1)
        puller.join(WAIT_SECONDS)
    finally:
        engine.stop()
    assert len(found) == 1


# ---- Cloud Scheduler


class Schedules:
    """The scheduler's engine at a clock that stands, and when its jobs fired."""

    def __init__(self, directory: Path, start: datetime) -> None:
        self.clock = Clock(start, scale=0)
        self.fired: list[tuple[datetime, str]] = []
        self.statuses: list[int] = []
        self.engine = SchedulerEngine(directory, publish=self._published, post=self._called, clock=self.clock)
        self.client = grpc_client(CloudSchedulerClient, self.engine.start())

    def _published(self, topic: str, data: bytes, attributes: object) -> None:
        self.fired.append((self.clock.now(), data.decode()))

    def _called(self, call: HttpCall) -> int:
        self.fired.append((self.clock.now(), call.url))
        return self.statuses.pop(0) if self.statuses else 200

    def create(self, name: str, schedule: str, zone: str, **settings: object) -> None:
        job = {
            "name": f"{PARENT}/jobs/{name}",
            "schedule": schedule,
            "time_zone": zone,
            "pubsub_target": {"topic_name": TOPIC, "data": name.encode()},
            **settings,
        }
        self.client.create_job(parent=PARENT, job=job)


@pytest.mark.parametrize(
    ("start", "utc_hours"),
    [
        (datetime(2026, 3, 22, 0, 0, tzinfo=UTC), {4: 7, 3: 7}),  # summer time begins on March 29
        (datetime(2026, 10, 18, 0, 0, tzinfo=UTC), {3: 7, 4: 7}),  # and ends on October 25
    ],
)
def test_two_weeks_of_the_crm_s_schedule_over_a_change_of_the_clocks(
    tmp_path: Path, start: datetime, utc_hours: dict[int, int]
) -> None:
    schedules = Schedules(tmp_path, start)
    try:
        schedules.create("ingest-crm", contracts.load().sources["crm"].schedule, "Europe/Berlin")
        schedules.clock.advance(14 * DAY_SECONDS)
    finally:
        schedules.engine.stop()
    local = [moment.astimezone(ZoneInfo("Europe/Berlin")) for moment, _ in schedules.fired]
    assert [moment.strftime("%H:%M:%S.%f") for moment in local] == ["05:15:00.000000"] * 14
    assert len({moment.date() for moment in local}) == 14
    assert local == sorted(local)
    assert Counter(moment.hour for moment, _ in schedules.fired) == utc_hours


def test_schedules_fire_in_the_order_of_their_times_each_once(tmp_path: Path) -> None:
    schedules = Schedules(tmp_path, datetime(2026, 5, 1, 0, 0, tzinfo=UTC))
    try:
        schedules.create("hourly", "0 * * * *", "Etc/UTC")
        schedules.create("half", "30 */2 * * *", "Etc/UTC")
        schedules.clock.advance(DAY_SECONDS)
    finally:
        schedules.engine.stop()
    hours = [(datetime(2026, 5, 1, tzinfo=UTC) + timedelta(hours=hour), "hourly") for hour in range(1, 25)]
    halves = [(datetime(2026, 5, 1, hour, 30, tzinfo=UTC), "half") for hour in range(0, 24, 2)]
    assert schedules.fired == sorted(hours + halves)


def test_a_failed_job_is_tried_again_after_its_pauses(tmp_path: Path) -> None:
    schedules = Schedules(tmp_path, datetime(2026, 5, 1, 0, 0, tzinfo=UTC))
    schedules.statuses = [500, 500, 500]
    retry = {"retry_count": 3, "min_backoff_duration": {"seconds": 60}, "max_doublings": 5}
    target = {"uri": "http://127.0.0.1:1/"}
    try:
        schedules.create("sweep", "0 1 * * *", "Etc/UTC", pubsub_target=None, http_target=target, retry_config=retry)
        schedules.clock.advance(12 * 3600)
    finally:
        schedules.engine.stop()
    assert [f"{moment:%H:%M}" for moment, _ in schedules.fired] == ["01:00", "01:01", "01:03", "01:07"]


# ---- Cloud Storage


@pytest.fixture
def bucket_at(tmp_path: Path) -> Iterator[object]:
    engines: list[StorageEngine] = []

    def begin(clock: Clock) -> storage.Bucket:
        engine = StorageEngine(tmp_path, clock=clock)
        address = engine.start()
        engines.append(engine)
        client = storage_client(address)
        bucket = client.bucket("bucket")
        return bucket if bucket.exists() else client.create_bucket(bucket)

    yield begin
    for engine in engines:
        engine.stop()


def test_objects_take_the_time_of_the_clock_and_none_is_earlier_than_one_before(bucket_at) -> None:  # type: ignore[no-untyped-def]
    clock = Clock(START, scale=0)
    bucket = bucket_at(clock)

    def write(name: str) -> tuple[datetime, int]:
        blob = bucket.blob(name)
        blob.upload_from_string(b"x")
        return blob.updated, blob.generation

    first = write("a")
    clock.advance(30 * DAY_SECONDS)
    second = write("a")
    assert (first[0], second[0]) == (START, START + timedelta(days=30))
    assert first[1] < second[1]


def test_an_engine_that_starts_again_at_an_earlier_clock_does_not_go_back(tmp_path: Path) -> None:
    seen = []
    for start in (START, START - timedelta(days=30)):
        engine = StorageEngine(tmp_path, clock=Clock(start, scale=0))
        client = storage_client(engine.start())
        bucket = client.bucket("bucket") if seen else client.create_bucket("bucket")
        blob = bucket.blob("a")
        blob.upload_from_string(json.dumps(len(seen)))
        seen.append((blob.updated, blob.generation))
        engine.stop()
    (first, older), (second, newer) = seen
    assert first <= second
    assert older < newer
