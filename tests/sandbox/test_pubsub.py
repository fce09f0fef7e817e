"""Pub/Sub's contract, through the official clients.

Runs against the engine, and also against Google's own emulator where there is one (``reference_servers``): what passes here
and fails there is a fault of the engine.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud import pubsub_v1
from google.pubsub_v1 import PublisherClient, SubscriberClient

from sandbox.engines.pubsub import PubSubEngine

from .engine_clients import grpc_client
from .push_endpoint import Push, PushEndpoint
from .reference_servers import pubsub_reference

PROJECT = "sandbox-project"
ACK_DEADLINE_SCALE = 0.05
"""Of the engine: the shortest ack deadline, 10 s, takes half a second."""
WAIT_SECONDS = 60


@dataclass
class Cloud:
    """Clients of one server, and shorthand for what the tests do with it."""

    address: str
    is_reference: bool = False
    publisher: Any = field(init=False)
    subscriber: Any = field(init=False)

    def __post_init__(self) -> None:
        self.publisher = grpc_client(PublisherClient, self.address)
        self.subscriber = grpc_client(SubscriberClient, self.address)

    def engine_only(self, why: str) -> None:
        """Skips the test where Google's emulator is known to fall short of Pub/Sub's documentation."""
        if self.is_reference:
            pytest.skip(f"Google's emulator (0.8.20) {why}")

    def topic(self) -> str:
        name = f"projects/{PROJECT}/topics/t-{uuid.uuid4().hex}"
        return str(self.publisher.create_topic(name=name).name)

    def subscribe(self, topic: str, **settings: Any) -> str:
        name = f"projects/{PROJECT}/subscriptions/s-{uuid.uuid4().hex}"
        return str(self.subscriber.create_subscription(request={"name": name, "topic": topic, **settings}).name)

    def publish(self, topic: str, *contents: bytes, key: str = "", **attributes: str) -> list[str]:
        messages = [{"data": data, "attributes": attributes, "ordering_key": key} for data in contents]
        return list(self.publisher.publish(topic=topic, messages=messages).message_ids)

    def pull(self, subscription: str, count: int = 1) -> list[Any]:
        """Exactly ``count`` messages, unacknowledged."""
        found: list[Any] = []
        end = time.monotonic() + WAIT_SECONDS
        while len(found) < count:
            assert time.monotonic() < end, f"{len(found)} of {count} messages came"
            found += self.pull_now(subscription, count - len(found), timeout_seconds=5)
        return found

    def pull_now(self, subscription: str, count: int = 10, timeout_seconds: float = 1) -> list[Any]:
        """What is there within the time; perhaps nothing."""
        with contextlib.suppress(exceptions.DeadlineExceeded):
            request = {"subscription": subscription, "max_messages": count}
            return list(self.subscriber.pull(request, timeout=timeout_seconds, retry=None).received_messages)
        return []

    def acknowledge(self, subscription: str, *received: Any) -> None:
        self.subscriber.acknowledge(subscription=subscription, ack_ids=[one.ack_id for one in received])


@pytest.fixture(scope="module", params=["engine", pytest.param("reference", marks=pytest.mark.slow)])
def cloud(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    if request.param == "reference":
        with pubsub_reference() as address:
            yield Cloud(address, is_reference=True)
        return
    engine = PubSubEngine(tmp_path_factory.mktemp("pubsub"), ack_deadline_scale=ACK_DEADLINE_SCALE)
    yield Cloud(engine.start())
    engine.stop()


@pytest.fixture
def endpoint() -> Iterator[Callable[..., PushEndpoint]]:
    opened: list[PushEndpoint] = []

    def begin(answer: Callable[[Push], int] = lambda push: 204) -> PushEndpoint:
        opened.append(PushEndpoint(answer))
        return opened[-1]

    yield begin
    for each in opened:
        each.close()


# ---- topics and subscriptions


def test_names_are_taken_once(cloud: Cloud) -> None:
    topic = cloud.topic()
    with pytest.raises(exceptions.AlreadyExists):
        cloud.publisher.create_topic(name=topic)
    subscription = cloud.subscribe(topic)
    with pytest.raises(exceptions.AlreadyExists):
        cloud.subscriber.create_subscription(name=subscription, topic=topic)


@pytest.mark.parametrize("identifier", ["ab", "1abc", "goog-abc", "has space", "a/b"])
def test_ids_are_checked(cloud: Cloud, identifier: str) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        cloud.publisher.create_topic(name=f"projects/{PROJECT}/topics/{identifier}")


def test_what_is_missing_is_not_found(cloud: Cloud) -> None:
    topic, subscription = f"projects/{PROJECT}/topics/none", f"projects/{PROJECT}/subscriptions/none"
    for call in (
        lambda: cloud.publish(topic, b"x"),
        lambda: cloud.publisher.get_topic(topic=topic),
        lambda: cloud.publisher.delete_topic(topic=topic),
        lambda: cloud.subscribe(topic),
        lambda: cloud.subscriber.get_subscription(subscription=subscription),
        lambda: cloud.subscriber.delete_subscription(subscription=subscription),
        lambda: cloud.subscriber.pull(subscription=subscription, max_messages=1, timeout=5),
    ):
        with pytest.raises(exceptions.NotFound):
            call()


def test_defaults_and_settings_are_shown(cloud: Cloud) -> None:
    topic, dead = cloud.topic(), cloud.topic()
    plain = cloud.subscriber.get_subscription(subscription=cloud.subscribe(topic))
    assert (plain.topic, plain.ack_deadline_seconds) == (topic, 10)
    name = cloud.subscribe(
        topic,
        ack_deadline_seconds=600,
        retry_policy={"minimum_backoff": {"seconds": 10}, "maximum_backoff": {"seconds": 600}},
        dead_letter_policy={"dead_letter_topic": dead, "max_delivery_attempts": 20},
        push_config={"push_endpoint": "http://127.0.0.1:1/"},
    )
    found = cloud.subscriber.get_subscription(subscription=name)
    assert found.ack_deadline_seconds == 600
    assert found.retry_policy.minimum_backoff.total_seconds() == 10
    assert (found.dead_letter_policy.dead_letter_topic, found.dead_letter_policy.max_delivery_attempts) == (dead, 20)
    cloud.subscriber.delete_subscription(subscription=name)


@pytest.mark.parametrize(
    "settings",
    [
        {"ack_deadline_seconds": 5},
        {"ack_deadline_seconds": 601},
        {"retry_policy": {"minimum_backoff": {"seconds": 601}}},
    ],
)
def test_settings_out_of_range_are_refused(cloud: Cloud, settings: dict[str, Any]) -> None:
    if settings == {"ack_deadline_seconds": 5}:
        cloud.engine_only("takes ack deadlines under 10 s")
    with pytest.raises(exceptions.InvalidArgument):
        cloud.subscribe(cloud.topic(), **settings)


def test_lists_hold_every_name_once(cloud: Cloud) -> None:
    topics = [cloud.topic() for _ in range(5)]
    subscriptions = [cloud.subscribe(topics[0]) for _ in range(3)]
    found = [topic.name for topic in cloud.publisher.list_topics(request={"project": f"projects/{PROJECT}", "page_size": 2})]
    assert set(topics) <= set(found)
    assert len(found) == len(set(found))
    assert set(cloud.publisher.list_topic_subscriptions(topic=topics[0])) == set(subscriptions)
    listed = cloud.subscriber.list_subscriptions(request={"project": f"projects/{PROJECT}", "page_size": 2})
    assert set(subscriptions) <= {subscription.name for subscription in listed}


def test_settings_can_be_updated(cloud: Cloud) -> None:
    name = cloud.subscribe(cloud.topic())
    backoff = {"minimum_backoff": {"seconds": 20}, "maximum_backoff": {"seconds": 30}}
    subscription = {"name": name, "ack_deadline_seconds": 60, "retry_policy": backoff}
    mask = {"paths": ["ack_deadline_seconds", "retry_policy"]}
    cloud.subscriber.update_subscription(subscription=subscription, update_mask=mask)
    found = cloud.subscriber.get_subscription(subscription=name)
    assert (found.ack_deadline_seconds, found.retry_policy.minimum_backoff.total_seconds()) == (60, 20)
    with pytest.raises(exceptions.InvalidArgument):
        cloud.subscriber.update_subscription(subscription=subscription, update_mask={"paths": ["nonsense"]})


def test_a_deleted_topic_leaves_its_subscription(cloud: Cloud) -> None:
    topic = cloud.topic()
    name = cloud.subscribe(topic)
    cloud.publish(topic, b"before")
    cloud.publisher.delete_topic(topic=topic)
    assert cloud.subscriber.get_subscription(subscription=name).topic == "_deleted-topic_"
    assert cloud.pull(name)[0].message.data == b"before"


# ---- publish and pull


def test_a_message_reaches_every_subscription_as_it_was(cloud: Cloud) -> None:
    topic = cloud.topic()
    names = [cloud.subscribe(topic) for _ in range(2)]
    (identifier,) = cloud.publish(topic, b"data", k="v")
    for name in names:
        (received,) = cloud.pull(name)
        message = received.message
        assert (message.data, dict(message.attributes), message.message_id) == (b"data", {"k": "v"}, identifier)
        assert message.publish_time
        assert received.delivery_attempt == 0, "counted with a dead letter policy only"


def test_the_batching_client_publishes_with_attributes(cloud: Cloud) -> None:
    topic = cloud.topic()
    name = cloud.subscribe(topic)
    publisher = pubsub_v1.PublisherClient(transport=cloud.publisher.transport)
    futures = [publisher.publish(topic, b"%d" % number, eventType="OBJECT_FINALIZE", n=str(number)) for number in range(20)]
    identifiers = [future.result(timeout=WAIT_SECONDS) for future in futures]
    found = {one.message.message_id: one.message for one in cloud.pull(name, 20)}
    assert sorted(found) == sorted(identifiers)
    for number, identifier in enumerate(identifiers):
        assert found[identifier].data == b"%d" % number
        assert dict(found[identifier].attributes) == {"eventType": "OBJECT_FINALIZE", "n": str(number)}
    with pytest.raises(exceptions.NotFound):
        publisher.publish(f"{topic}-none", b"x").result(timeout=WAIT_SECONDS)


def test_an_empty_message_is_refused(cloud: Cloud) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        cloud.publish(cloud.topic(), b"")


def test_an_acknowledged_message_does_not_come_again(cloud: Cloud) -> None:
    topic = cloud.topic()
    name = cloud.subscribe(topic)
    cloud.publish(topic, b"x")
    cloud.acknowledge(name, *cloud.pull(name))
    # Longer than the engine's ack deadline; against the reference this waits for nothing in particular.
    assert cloud.pull_now(name, timeout_seconds=1.5) == []


def test_a_refused_message_comes_again(cloud: Cloud) -> None:
    topic = cloud.topic()
    name = cloud.subscribe(topic)
    (identifier,) = cloud.publish(topic, b"x")
    (received,) = cloud.pull(name)
    request = {"subscription": name, "ack_ids": [received.ack_id], "ack_deadline_seconds": 0}
    cloud.subscriber.modify_ack_deadline(request=request)
    assert cloud.pull(name)[0].message.message_id == identifier


def test_a_message_without_an_answer_comes_again_after_its_deadline(cloud: Cloud) -> None:
    topic = cloud.topic()
    name = cloud.subscribe(topic)
    (identifier,) = cloud.publish(topic, b"x")
    (first,) = cloud.pull(name)
    (second,) = cloud.pull(name)
    assert second.message.message_id == identifier
    assert second.ack_id != first.ack_id


def test_an_extended_deadline_holds(cloud: Cloud) -> None:
    topic = cloud.topic()
    name = cloud.subscribe(topic)
    cloud.publish(topic, b"x")
    (received,) = cloud.pull(name)
    request = {"subscription": name, "ack_ids": [received.ack_id], "ack_deadline_seconds": 60}
    cloud.subscriber.modify_ack_deadline(request=request)
    assert cloud.pull_now(name, timeout_seconds=1.5) == []
    cloud.acknowledge(name, received)


def test_streaming_pull_delivers_every_message(cloud: Cloud) -> None:
    topic = cloud.topic()
    name = cloud.subscribe(topic, ack_deadline_seconds=600)
    cloud.publish(topic, *(b"%d" % number for number in range(100)))
    seen: list[bytes] = []
    complete = threading.Event()
    subscriber = stream_client(cloud.address)

    def receive(message: Any) -> None:
        seen.append(message.data)
        message.ack()
        if len(seen) == 100:
            complete.set()

    future = subscriber.subscribe(name, callback=receive)
    try:
        assert complete.wait(WAIT_SECONDS), f"{len(seen)} of 100 messages came"
    finally:
        future.cancel()
        future.result(timeout=WAIT_SECONDS)
    assert set(seen) == {b"%d" % number for number in range(100)}


def test_streaming_pull_keeps_the_order_of_a_key(cloud: Cloud) -> None:
    topic = cloud.topic()
    name = cloud.subscribe(topic, enable_message_ordering=True, ack_deadline_seconds=600)
    for key in ("a", "b"):
        cloud.publish(topic, *(b"%s%d" % (key.encode(), number) for number in range(8)), key=key)
    seen: list[bytes] = []
    complete = threading.Event()

    def receive(message: Any) -> None:
        seen.append(message.data)
        message.ack()
        if len(seen) >= 16:
            complete.set()

    future = stream_client(cloud.address).subscribe(name, callback=receive)
    try:
        assert complete.wait(WAIT_SECONDS), f"{len(seen)} of 16 messages came"
    finally:
        future.cancel()
        future.result(timeout=WAIT_SECONDS)
    for key in (b"a", b"b"):
        assert [data for data in seen if data.startswith(key)] == [b"%s%d" % (key, number) for number in range(8)]


def test_a_refused_message_holds_up_its_key(cloud: Cloud) -> None:
    cloud.engine_only("lets later messages of a key pass a refused one")
    topic = cloud.topic()
    name = cloud.subscribe(topic, enable_message_ordering=True)
    cloud.publish(topic, b"1", b"2", b"3", key="k")
    order: list[bytes] = []
    refused = False
    end = time.monotonic() + WAIT_SECONDS
    while len(order) < 3:
        assert time.monotonic() < end, order
        for received in cloud.pull_now(name, timeout_seconds=5):
            if received.message.data == b"1" and not refused:
                refused = True
                request = {"subscription": name, "ack_ids": [received.ack_id], "ack_deadline_seconds": 0}
                cloud.subscriber.modify_ack_deadline(request=request)
                break  # what came behind it comes again
            if received.message.data not in order:
                order.append(received.message.data)
            cloud.acknowledge(name, received)
    assert order == [b"1", b"2", b"3"]


def stream_client(address: str) -> Any:
    transport = SubscriberClient.get_transport_class("grpc")(host=address, channel=grpc.insecure_channel(address))
    return pubsub_v1.SubscriberClient(transport=transport)


# ---- push


def test_a_push_carries_the_wrapped_message(cloud: Cloud, endpoint: Callable[..., PushEndpoint]) -> None:
    topic, web = cloud.topic(), endpoint()
    name = cloud.subscribe(topic, push_config={"push_endpoint": web.url})
    (identifier,) = cloud.publish(topic, b'{"v":1}', k="v")
    (push,) = web.wait_for(1)
    message = push.body["message"]
    assert push.body["subscription"] == name
    assert push.data == b'{"v":1}'
    assert message["attributes"] == {"k": "v"}
    assert message["messageId"] == message["message_id"] == identifier
    assert message["publishTime"] == message["publish_time"]
    assert message["publishTime"].endswith("Z")
    assert "deliveryAttempt" not in push.body, "counted with a dead letter policy only"
    assert push.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_statuses_that_acknowledge(cloud: Cloud, endpoint: Callable[..., PushEndpoint], status: int) -> None:
    topic, web = cloud.topic(), endpoint(lambda push: status)
    cloud.subscribe(topic, push_config={"push_endpoint": web.url})
    cloud.publish(topic, b"x")
    web.wait_for(1)
    time.sleep(1)
    assert len(web.pushes) == 1


@pytest.mark.parametrize("status", [302, 400, 429, 500, 503])
def test_statuses_that_refuse(cloud: Cloud, endpoint: Callable[..., PushEndpoint], status: int) -> None:
    topic = cloud.topic()
    web = endpoint(lambda push: 204 if len(web.pushes) > 1 else status)
    cloud.subscribe(topic, push_config={"push_endpoint": web.url})
    (identifier,) = cloud.publish(topic, b"x")
    assert {push.body["message"]["messageId"] for push in web.wait_for(2)} == {identifier}


def test_pushes_do_not_wait_for_each_other(cloud: Cloud, endpoint: Callable[..., PushEndpoint]) -> None:
    topic = cloud.topic()
    together = threading.Barrier(2, timeout=WAIT_SECONDS)

    def answer(push: Push) -> int:
        together.wait()
        return 204

    web = endpoint(answer)
    cloud.subscribe(topic, ack_deadline_seconds=600, push_config={"push_endpoint": web.url})
    cloud.publish(topic, *(b"%d" % number for number in range(2)))
    web.wait_for(2)
    assert not together.broken


def test_a_push_without_an_answer_is_repeated_while_the_first_still_works(
    cloud: Cloud, endpoint: Callable[..., PushEndpoint]
) -> None:
    topic, release = cloud.topic(), threading.Event()

    def answer(push: Push) -> int:
        if len(web.pushes) == 1:
            release.wait(WAIT_SECONDS)
        return 204

    web = endpoint(answer)
    cloud.subscribe(topic, push_config={"push_endpoint": web.url})
    (identifier,) = cloud.publish(topic, b"x")
    first, second = web.wait_for(2)
    assert first.body["message"]["messageId"] == second.body["message"]["messageId"] == identifier
    release.set()


def test_what_fails_too_often_becomes_a_dead_letter(cloud: Cloud, endpoint: Callable[..., PushEndpoint]) -> None:
    topic, dead = cloud.topic(), cloud.topic()
    letters = cloud.subscribe(dead)
    web = endpoint(lambda push: 500)
    name = cloud.subscribe(
        topic,
        push_config={"push_endpoint": web.url},
        retry_policy={"minimum_backoff": {"nanos": 100_000_000}, "maximum_backoff": {"nanos": 200_000_000}},
        dead_letter_policy={"dead_letter_topic": dead, "max_delivery_attempts": 5},
    )
    (identifier,) = cloud.publish(topic, b"poison", own="1")
    (letter,) = cloud.pull(letters)
    assert len(web.pushes) == 5
    if not cloud.is_reference:  # whose pushes lack the count, which the documentation promises
        assert [push.body["deliveryAttempt"] for push in web.pushes] == [1, 2, 3, 4, 5]
    assert {push.body["message"]["messageId"] for push in web.pushes} == {identifier}
    assert letter.message.data == b"poison"
    attributes = dict(letter.message.attributes)
    assert attributes.pop("own") == "1"
    assert attributes.pop("CloudPubSubDeadLetterSourceTopicPublishTime").endswith("Z")
    assert attributes == {
        "CloudPubSubDeadLetterSourceSubscription": name.rsplit("/", 1)[-1],
        "CloudPubSubDeadLetterSourceSubscriptionProject": PROJECT,
        "CloudPubSubDeadLetterSourceDeliveryCount": "5",
    }


def test_the_endpoint_can_be_changed_and_taken_away(cloud: Cloud, endpoint: Callable[..., PushEndpoint]) -> None:
    topic, first, second = cloud.topic(), endpoint(), endpoint()
    name = cloud.subscribe(topic, push_config={"push_endpoint": first.url})
    cloud.publish(topic, b"1")
    assert first.wait_for(1)[0].data == b"1"
    cloud.subscriber.modify_push_config(subscription=name, push_config={"push_endpoint": second.url})
    cloud.publish(topic, b"2")
    assert second.wait_for(1)[0].data == b"2"
    cloud.subscriber.modify_push_config(subscription=name, push_config={})
    cloud.publish(topic, b"3")
    assert cloud.pull(name)[0].message.data == b"3"
    assert len(first.pushes) + len(second.pushes) == 2
