"""The gRPC services of Pub/Sub: Publisher and Subscriber."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import grpc
from google.pubsub_v1 import types

from sandbox.engines.grpc_services import PAGING, CallError, Method, Service, invalid_argument, page
from sandbox.engines.pubsub_broker import Broker
from sandbox.engines.pubsub_queue import Delivery, SubscriptionQueue
from sandbox.engines.pubsub_settings import (
    check_messages,
    check_topic,
    complete_subscription,
    update_subscription,
)

PULL_WAIT_SECONDS = 90.0


def publisher_service(broker: Broker) -> Service:
    """``google.pubsub.v1.Publisher`` over ``broker``."""

    def create_topic(topic: Any, context: grpc.ServicerContext) -> Any:
        check_topic(topic)
        broker.put_topic(topic, new=True)
        return topic

    def update_topic(request: Any, context: grpc.ServicerContext) -> Any:
        if set(request.update_mask.paths) != {"labels"}:
            raise invalid_argument("Only labels of a topic can be updated here.")
        topic = types.Topic.pb()()
        topic.CopyFrom(broker.topic(request.topic.name))
        request.update_mask.MergeMessage(request.topic, topic, False, True)
        broker.put_topic(topic, new=False)
        return topic

    def list_topics(request: Any, context: grpc.ServicerContext) -> Any:
        with broker.lock:
            found = [topic for name, topic in sorted(broker.topics.items()) if name.startswith(f"{request.project}/")]
        topics, token = page(found, request)
        return types.ListTopicsResponse.pb()(topics=topics, next_page_token=token)

    def list_topic_subscriptions(request: Any, context: grpc.ServicerContext) -> Any:
        broker.topic(request.topic)
        with broker.lock:
            found = sorted(name for name, queue in broker.queues.items() if queue.settings.topic == request.topic)
        names, token = page(found, request)
        return types.ListTopicSubscriptionsResponse.pb()(subscriptions=names, next_page_token=token)

    def publish(request: Any, context: grpc.ServicerContext) -> Any:
        broker.topic(request.topic)
        check_messages(request.messages)
        return types.PublishResponse.pb()(message_ids=broker.publish(request.topic, request.messages))

    return Service(
        "google.pubsub.v1.Publisher",
        {
            "CreateTopic": Method(types.Topic.pb(), create_topic),
            "UpdateTopic": Method(types.UpdateTopicRequest.pb(), update_topic, "topic update_mask"),
            "GetTopic": Method(types.GetTopicRequest.pb(), lambda request, _: broker.topic(request.topic), "topic"),
            "ListTopics": Method(types.ListTopicsRequest.pb(), list_topics, f"project {PAGING}"),
            "ListTopicSubscriptions": Method(
                types.ListTopicSubscriptionsRequest.pb(), list_topic_subscriptions, f"topic {PAGING}"
            ),
            "DeleteTopic": Method(
                types.DeleteTopicRequest.pb(), lambda request, _: broker.delete_topic(request.topic), "topic"
            ),
            "Publish": Method(types.PublishRequest.pb(), publish, "topic messages"),
        },
    )


class SubscriberService:
    """``google.pubsub.v1.Subscriber`` over a broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def service(self) -> Service:
        """The service for a server."""
        broker = self._broker
        requests = types
        return Service(
            "google.pubsub.v1.Subscriber",
            {
                "CreateSubscription": Method(requests.Subscription.pb(), self._create),
                "UpdateSubscription": Method(requests.UpdateSubscriptionRequest.pb(), self._update, "subscription update_mask"),
                "ModifyPushConfig": Method(
                    requests.ModifyPushConfigRequest.pb(), self._modify_push_config, "subscription push_config"
                ),
                "GetSubscription": Method(
                    requests.GetSubscriptionRequest.pb(),
                    lambda request, _: broker.queue(request.subscription).settings,
                    "subscription",
                ),
                "ListSubscriptions": Method(requests.ListSubscriptionsRequest.pb(), self._list, f"project {PAGING}"),
                "DeleteSubscription": Method(
                    requests.DeleteSubscriptionRequest.pb(),
                    lambda request, _: broker.delete_subscription(request.subscription),
                    "subscription",
                ),
                "Pull": Method(requests.PullRequest.pb(), self._pull, "subscription max_messages return_immediately"),
                "StreamingPull": Method(requests.StreamingPullRequest.pb(), self._streaming_pull, streaming=True),
                "Acknowledge": Method(requests.AcknowledgeRequest.pb(), self._acknowledge, "subscription ack_ids"),
                "ModifyAckDeadline": Method(
                    requests.ModifyAckDeadlineRequest.pb(),
                    self._modify_ack_deadline,
                    "subscription ack_ids ack_deadline_seconds",
                ),
            },
        )

    def _create(self, settings: Any, context: grpc.ServicerContext) -> Any:
        complete_subscription(settings)
        self._broker.put_subscription(settings, new=True)
        return settings

    def _update(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self._broker.lock:
            current = self._broker.queue(request.subscription.name).settings
            updated = update_subscription(current, request.subscription, request.update_mask)
            self._broker.put_subscription(updated, new=False)
        return updated

    def _modify_push_config(self, request: Any, context: grpc.ServicerContext) -> None:
        with self._broker.lock:
            updated = types.Subscription.pb()()
            updated.CopyFrom(self._broker.queue(request.subscription).settings)
            updated.push_config.CopyFrom(request.push_config)
            complete_subscription(updated)
            self._broker.put_subscription(updated, new=False)

    def _list(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self._broker.lock:
            queues = sorted(self._broker.queues.items())
        found = [queue.settings for name, queue in queues if name.startswith(f"{request.project}/")]
        subscriptions, token = page(found, request)
        return types.ListSubscriptionsResponse.pb()(subscriptions=subscriptions, next_page_token=token)

    def _pull(self, request: Any, context: grpc.ServicerContext) -> Any:
        if request.max_messages <= 0:
            raise invalid_argument("The value for max_messages should be positive.")
        queue = self._broker.queue(request.subscription)
        remaining = context.time_remaining()
        wait_seconds = min(PULL_WAIT_SECONDS, remaining - 0.2 if remaining is not None else PULL_WAIT_SECONDS)
        deliveries = self._wait(queue, request.max_messages, 0 if request.return_immediately else wait_seconds, context)
        return types.PullResponse.pb()(received_messages=self._received(queue, deliveries))

    def _wait(self, queue: SubscriptionQueue, limit: int, wait_seconds: float, context: grpc.ServicerContext) -> list[Delivery]:
        """Deliveries as soon as there are any; an empty list when the time is over or the call has ended."""
        broker = self._broker
        end = time.monotonic() + wait_seconds
        with broker.changed:
            while True:
                taken = broker.take(queue, limit)
                left = end - time.monotonic()
                if taken or left <= 0 or queue.closed or broker.stopping or not context.is_active():
                    return taken
                broker.clock.wait(broker.changed, queue.next_due(), real_seconds=left)

    def _received(self, queue: SubscriptionQueue, deliveries: Sequence[Delivery]) -> list[Any]:
        counts = bool(queue.settings.dead_letter_policy.dead_letter_topic)
        received = types.ReceivedMessage.pb()
        return [
            received(
                ack_id=delivery.ack_id,
                message=delivery.message,
                delivery_attempt=delivery.attempts if counts else 0,
            )
            for delivery in deliveries
        ]

    def _acknowledge(self, request: Any, context: grpc.ServicerContext) -> None:
        with self._broker.lock:
            if self._broker.stopping:  # too late to be kept, so it must not be answered as if it were
                raise CallError(grpc.StatusCode.UNAVAILABLE, "The service is stopping; acknowledge again.")
            self._broker.acknowledge(self._broker.queue(request.subscription), request.ack_ids)

    def _modify_ack_deadline(self, request: Any, context: grpc.ServicerContext) -> None:
        if not 0 <= request.ack_deadline_seconds <= 600:
            raise invalid_argument("Invalid ack deadline given; it should be 0 to 600 s.")
        queue = self._broker.queue(request.subscription)
        for ack_id in request.ack_ids:
            self._broker.extend(queue, ack_id, request.ack_deadline_seconds)

    def _streaming_pull(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        broker = self._broker
        first = next(requests)
        queue = broker.queue(first.subscription)
        if not 10 <= first.stream_ack_deadline_seconds <= 600:
            raise invalid_argument("Invalid stream_ack_deadline_seconds; it should be 10 to 600 s.")
        context.add_callback(self._wake)
        threading.Thread(target=self._read_stream, args=(queue, requests), name="streaming-pull", daemon=True).start()
        limit = first.max_outstanding_messages if first.max_outstanding_messages > 0 else 1000
        outstanding: set[str] = set()
        properties = {"message_ordering_enabled": queue.settings.enable_message_ordering}
        while context.is_active() and not queue.closed and not broker.stopping:
            with broker.changed:
                outstanding &= queue.leased.keys()
                if len(outstanding) >= limit:
                    broker.changed.wait(1)
                    continue
            if deliveries := self._wait(queue, limit - len(outstanding), 1, context):
                outstanding |= {delivery.ack_id for delivery in deliveries}
                yield types.StreamingPullResponse.pb()(
                    received_messages=self._received(queue, deliveries), subscription_properties=properties
                )

    def _read_stream(self, queue: SubscriptionQueue, requests: Iterator[Any]) -> None:
        try:
            for request in requests:
                if request.ack_ids:
                    self._broker.acknowledge(queue, request.ack_ids)
                pairs = zip(request.modify_deadline_ack_ids, request.modify_deadline_seconds, strict=True)
                for ack_id, seconds in pairs:
                    self._broker.extend(queue, ack_id, seconds)
        except grpc.RpcError:
            return  # the subscriber has closed its stream

    def _wake(self) -> None:
        with self._broker.changed:
            self._broker.changed.notify_all()
