"""What the Pub/Sub engine adds to the contract: durability, faults on purpose, scaled time, tokens, its log."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import pubsub_v1

from sandbox.engines.grpc_services import CallError
from sandbox.engines.journal import JournalError
from sandbox.engines.pubsub import Backlog, PubSubEngine

from .push_endpoint import Push, PushEndpoint
from .test_pubsub import PROJECT, Cloud

WAIT_SECONDS = 20


class World:
    """An engine, clients of it and a push endpoint."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.web = PushEndpoint()
        self.engine = PubSubEngine(directory, **settings)
        self.cloud = Cloud(self.engine.start())
        self.topic = self.cloud.topic()

    def push(self, **settings: Any) -> str:
        return self.cloud.subscribe(self.topic, push_config={"push_endpoint": self.web.url}, **settings)

    def stop(self) -> None:
        self.engine.stop()
        self.web.close()

    def wait_until_idle(self) -> None:
        end = time.monotonic() + WAIT_SECONDS
        while any(backlog.waiting or backlog.leased for backlog in self.engine.backlog().values()):
            assert time.monotonic() < end, self.engine.backlog()
            time.sleep(0.01)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., World]]:
    worlds: list[World] = []

    def begin(**settings: Any) -> World:
        worlds.append(World(tmp_path / str(len(worlds)), **settings))
        return worlds[-1]

    yield begin
    for world in worlds:
        world.stop()


# ---- durability


def test_topics_subscriptions_and_unacknowledged_messages_survive_a_restart(tmp_path: Path) -> None:
    engine = PubSubEngine(tmp_path)
    cloud = Cloud(engine.start())
    topic, doomed = cloud.topic(), cloud.topic()
    name = cloud.subscribe(topic, labels={"a": "b"})
    cloud.publish(topic, b"1", b"2", b"3")
    received = cloud.pull(name, 3)
    cloud.acknowledge(name, received[1])
    cloud.publisher.delete_topic(topic=doomed)
    with pytest.raises(JournalError, match="in use"):
        PubSubEngine(tmp_path).start()
    engine.stop()
    engine = PubSubEngine(tmp_path)
    try:
        cloud = Cloud(engine.start())
        assert [one.message.data for one in cloud.pull(name, 2)] == [b"1", b"3"]
        assert dict(cloud.subscriber.get_subscription(subscription=name).labels) == {"a": "b"}
        with pytest.raises(exceptions.NotFound):
            cloud.publish(doomed, b"x")
        (newer,) = cloud.publish(topic, b"4")
        assert int(newer) > max(int(one.message.message_id) for one in received)
    finally:
        engine.stop()


def test_an_acknowledgement_that_comes_too_late_to_be_kept_is_not_answered_as_if_it_were(tmp_path: Path) -> None:
    engine = PubSubEngine(tmp_path)
    cloud = Cloud(engine.start())
    topic = cloud.topic()
    name = cloud.subscribe(topic)
    cloud.publish(topic, b"x")
    (received,) = cloud.pull(name)
    engine.broker.close()  # the first step of a stop; the server still answers
    with pytest.raises(exceptions.ServiceUnavailable):
        cloud.subscriber.acknowledge(request={"subscription": name, "ack_ids": [received.ack_id]}, retry=None)
    engine.stop()


def test_attempts_are_counted_across_restarts(tmp_path: Path) -> None:
    engine = PubSubEngine(tmp_path)
    cloud = Cloud(engine.start())
    topic, dead = cloud.topic(), cloud.topic()
    policy = {"dead_letter_topic": dead, "max_delivery_attempts": 5}
    name, letters = cloud.subscribe(topic, dead_letter_policy=policy), cloud.subscribe(dead)
    cloud.publish(topic, b"x")
    attempts = []
    for _ in range(5):
        (received,) = cloud.pull(name)
        attempts.append(received.delivery_attempt)
        request = {"subscription": name, "ack_ids": [received.ack_id], "ack_deadline_seconds": 0}
        cloud.subscriber.modify_ack_deadline(request=request)
        engine.stop()
        engine = PubSubEngine(tmp_path)
        cloud = Cloud(engine.start())
    try:
        assert attempts == [1, 2, 3, 4, 5]
        assert cloud.pull(letters)[0].message.data == b"x"
    finally:
        engine.stop()


def test_the_journal_does_not_grow_with_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.engines.pubsub_journal.PubSubJournal.compact.__defaults__", (50,))
    engine = PubSubEngine(tmp_path)
    try:
        cloud = Cloud(engine.start())
        topic = cloud.topic()
        name = cloud.subscribe(topic)
        for _ in range(20):
            cloud.publish(topic, *[b"x"] * 10)
            cloud.acknowledge(name, *cloud.pull(name, 10))
        cloud.publish(topic, b"kept")
        assert len((tmp_path / "journal.jsonl").read_bytes().splitlines()) <= 70
    finally:
        engine.stop()
    engine = PubSubEngine(tmp_path)
    try:
        assert [one.message.data for one in Cloud(engine.start()).pull(name)] == [b"kept"]
    finally:
        engine.stop()


# ---- time


def test_back_off_doubles_between_its_limits_at_the_scale_of_the_engine(start: Callable[..., World]) -> None:
    world = start(time_scale=0.01)
    world.web.answer = lambda push: 500 if len(world.web.pushes) < 7 else 204
    world.push(retry_policy={"minimum_backoff": {"seconds": 10}, "maximum_backoff": {"seconds": 100}})
    world.cloud.publish(world.topic, b"x")
    times = [push.at for push in world.web.wait_for(7)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    for gap, least in zip(gaps, [0.1, 0.2, 0.4, 0.8, 1.0, 1.0], strict=True):
        assert least * 0.95 <= gap <= least + 5, gaps


def test_a_late_answer_acknowledges_nothing(start: Callable[..., World]) -> None:
    world = start(ack_deadline_scale=0.02)
    may_answer = threading.Event()

    def answer(push: Push) -> int:
        if len(world.web.pushes) == 1:
            may_answer.wait(WAIT_SECONDS)
            return 204
        return 500 if len(world.web.pushes) < 4 else 204

    world.web.answer = answer
    world.push()
    world.cloud.publish(world.topic, b"x")
    world.web.wait_for(2)
    may_answer.set()
    world.web.wait_for(4)
    world.wait_until_idle()
    outcomes = [record.outcome for record in world.engine.deliveries()]
    assert outcomes[0] in ("expired", "nacked")
    assert Counter(outcomes)["acknowledged"] == 1


# ---- tokens


def test_a_push_carries_the_token_that_its_subscription_asks_for(start: Callable[..., World]) -> None:
    world = start(token=lambda account, audience: f"{account}|{audience}")
    oidc = {"service_account_email": "push@example.com", "audience": "http://door"}
    world.cloud.subscribe(world.topic, push_config={"push_endpoint": world.web.url, "oidc_token": oidc})
    world.cloud.publish(world.topic, b"x")
    assert world.web.wait_for(1)[0].headers["Authorization"] == "Bearer push@example.com|http://door"


def test_the_audience_of_a_token_is_by_default_the_endpoint(start: Callable[..., World]) -> None:
    world = start(token=lambda account, audience: audience)
    oidc = {"service_account_email": "push@example.com"}
    world.cloud.subscribe(world.topic, push_config={"push_endpoint": world.web.url, "oidc_token": oidc})
    world.push()
    world.cloud.publish(world.topic, b"x")
    tokens = {push.headers.get("Authorization") for push in world.web.wait_for(2)}
    assert tokens == {f"Bearer {world.web.url}", None}


def test_the_deadline_of_a_lone_pulled_message_ends_too(start: Callable[..., World]) -> None:
    """Nothing else happens in this engine that would make it look at its deadlines."""
    world = start(ack_deadline_scale=0.05)
    name = world.cloud.subscribe(world.topic)
    world.cloud.publish(world.topic, b"x")
    (first,) = world.cloud.pull(name)
    (second,) = world.cloud.pull(name)
    assert second.ack_id != first.ack_id


# ---- faults


def test_duplicates_come_as_often_as_asked(start: Callable[..., World]) -> None:
    world = start()
    world.push()
    world.engine.faults.duplicate(3, lambda subscription, message: message.data != b"once")
    world.cloud.publish(world.topic, b"thrice", b"once")
    world.web.wait_for(4)
    world.wait_until_idle()
    assert Counter(push.data for push in world.web.pushes) == {b"thrice": 3, b"once": 1}
    world.engine.faults.reset()
    world.cloud.publish(world.topic, b"after")
    world.wait_until_idle()
    assert Counter(push.data for push in world.web.pushes)[b"after"] == 1


def test_a_dropped_message_never_comes(start: Callable[..., World]) -> None:
    world = start()
    name = world.push()
    world.engine.faults.drop_next(lambda subscription, message: subscription == name and message.data.startswith(b"lost"))
    world.cloud.publish(world.topic, b"kept", b"lost 1", b"lost 2")
    world.wait_until_idle()
    assert {push.data for push in world.web.pushes} == {b"kept", b"lost 2"}
    assert [record.outcome for record in world.engine.deliveries()].count("dropped") == 1


def test_shuffled_messages_lose_their_order_and_none_is_lost(start: Callable[..., World]) -> None:
    world = start()
    world.engine.faults.shuffle(0.5, seed=1)
    name = world.cloud.subscribe(world.topic)
    contents = [b"%d" % number for number in range(20)]
    world.cloud.publish(world.topic, *contents)
    found = []
    while len(found) < 20:
        received = world.cloud.pull(name)
        world.cloud.acknowledge(name, *received)
        found += [one.message.data for one in received]
    assert sorted(found) == sorted(contents)
    assert found != contents


# ---- the rest


def test_publishing_from_inside_and_the_delivery_log(start: Callable[..., World]) -> None:
    world = start()
    name = world.push()
    world.web.answer = lambda push: 204 if len(world.web.pushes) > 1 else 429
    identifier = world.engine.publish(world.topic, b"data", {"k": "v"})
    world.web.wait_for(2)
    world.wait_until_idle()
    records = world.engine.deliveries()
    assert [(record.outcome, record.detail, record.attempt) for record in records] == [
        ("nacked", "429", 1),
        ("acknowledged", "204", 2),
    ]
    assert {(record.message_id, record.subscription) for record in records} == {(identifier, name)}
    assert all(record.seconds >= 0 for record in records)
    with pytest.raises(CallError, match="not found"):
        world.engine.publish(f"projects/{PROJECT}/topics/none", b"x")


def test_a_refused_connection_is_a_nack(start: Callable[..., World]) -> None:
    world = start(time_scale=0.01)
    world.web.close()
    name = world.push(retry_policy={"minimum_backoff": {"seconds": 10}})
    world.cloud.publish(world.topic, b"x")
    end = time.monotonic() + WAIT_SECONDS
    while len(world.engine.deliveries()) < 2:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert {record.outcome for record in world.engine.deliveries()} == {"nacked"}
    backlog = world.engine.backlog()[name]
    assert backlog in (Backlog(1, 0), Backlog(0, 1))


def test_pushes_in_flight_are_limited(start: Callable[..., World]) -> None:
    world = start(max_pushes_in_flight=3)
    lock, busy, most = threading.Lock(), 0, 0

    def answer(push: Push) -> int:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.05)
        with lock:
            busy -= 1
        return 204

    world.web.answer = answer
    world.push()
    world.cloud.publish(world.topic, *[b"x"] * 12)
    world.web.wait_for(12)
    assert most == 3


def test_a_missing_dead_letter_topic_loses_nothing(start: Callable[..., World]) -> None:
    world = start()
    dead = f"projects/{PROJECT}/topics/not-there-yet"
    name = world.cloud.subscribe(world.topic, dead_letter_policy={"dead_letter_topic": dead, "max_delivery_attempts": 5})
    world.cloud.publish(world.topic, b"x")
    for _ in range(6):
        (received,) = world.cloud.pull(name)
        request = {"subscription": name, "ack_ids": [received.ack_id], "ack_deadline_seconds": 0}
        world.cloud.subscriber.modify_ack_deadline(request=request)
    assert "undeliverable" in [record.outcome for record in world.engine.deliveries()]
    assert world.cloud.pull(name)[0].message.data == b"x"


@pytest.mark.parametrize(
    "settings",
    [
        {"filter": 'attributes.k = "v"'},
        {"enable_exactly_once_delivery": True},
        {"retain_acked_messages": True},
        {"push_config": {"push_endpoint": "http://127.0.0.1:1/", "no_wrapper": {"write_metadata": True}}},
    ],
)
def test_settings_that_would_do_nothing_are_refused(start: Callable[..., World], settings: dict[str, Any]) -> None:
    world = start()
    with pytest.raises(exceptions.MethodNotImplemented, match="does not emulate"):
        world.cloud.subscribe(world.topic, **settings)


def test_calls_that_are_missing_are_refused_by_name(start: Callable[..., World]) -> None:
    world = start()
    with pytest.raises(exceptions.MethodNotImplemented, match="Subscriber/Seek"):
        world.cloud.subscriber.seek(request={"subscription": world.push()})


def test_clients_need_the_environment_variable_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = PubSubEngine(tmp_path)
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", engine.start())
    try:
        publisher, subscriber = pubsub_v1.PublisherClient(), pubsub_v1.SubscriberClient()
        topic = publisher.topic_path(PROJECT, "crm")
        name = subscriber.subscription_path(PROJECT, "ingest_crm")
        publisher.create_topic(name=topic)
        subscriber.create_subscription(name=name, topic=topic)
        identifier = publisher.publish(topic, b"x", k="v").result(timeout=WAIT_SECONDS)
        (received,) = subscriber.pull(subscription=name, max_messages=1, timeout=WAIT_SECONDS).received_messages
        assert received.message.message_id == identifier
        with pytest.raises(exceptions.NotFound):
            publisher.publish(publisher.topic_path(PROJECT, "none"), b"x").result(timeout=WAIT_SECONDS)
        subscriber.close()
    finally:
        engine.stop()


def test_stopping_is_prompt_in_the_middle_of_everything(start: Callable[..., World]) -> None:
    world = start()
    release = threading.Event()
    world.web.answer = lambda push: 204 if release.wait(WAIT_SECONDS) else 500
    world.push()
    pulled = world.cloud.subscribe(world.topic)
    world.cloud.publish(world.topic, b"x")
    world.web.wait_for(1)
    world.cloud.pull(pulled)
    failures: list[Exception] = []

    def pull() -> None:
        try:
            world.cloud.pull(pulled)
        except exceptions.GoogleAPICallError as error:
            failures.append(error)

    waiting = threading.Thread(target=pull)
    waiting.start()
    begin = time.monotonic()
    world.engine.stop()
    world.engine.stop()
    assert time.monotonic() - begin < 5
    release.set()
    waiting.join(WAIT_SECONDS)
    assert len(failures) == 1, "a pull under way ends when the engine does"
