"""Topics, subscriptions and messages of the Pub/Sub engine: who gets what, when again, and what survives a restart."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sandbox.clock import Clock
from sandbox.engines.grpc_services import already_exists, not_found
from sandbox.engines.pubsub_faults import PubSubFaults
from sandbox.engines.pubsub_journal import PubSubJournal, PubsubMessage
from sandbox.engines.pubsub_queue import Delivery, SubscriptionQueue
from sandbox.engines.pubsub_settings import backoff_limits

LOG_LENGTH = 5000
REDELIVERY_SECONDS = 0.1
"""Pause before a redelivery without a retry policy. The real service has none; a loop here must not burn a core."""
DEAD_LETTER = "CloudPubSubDeadLetterSource"


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """One line of the delivery log.

    ``outcome``: acknowledged, nacked, expired, dead-lettered, dropped, or undeliverable (its dead letter topic is
    missing). ``detail`` is the HTTP status of a push, or why there is none. ``seconds`` runs from delivery to outcome.
    """

    at: datetime
    subscription: str
    message_id: str
    attempt: int
    outcome: str
    detail: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much a subscription still has: ``waiting`` not handed out, ``leased`` handed out and unanswered."""

    waiting: int
    leased: int


class Broker:
    """The state behind the Pub/Sub calls. Methods may be called from any thread.

    ``clock`` tells the time. ``time_scale`` stretches or shrinks back-off, ``ack_deadline_scale`` the subscriptions' ack
    deadlines (not the extensions that a pull subscriber asks for); both may be changed at any time. ``changed`` is notified
    whenever something may have become deliverable.
    """

    def __init__(
        self,
        root: Path,
        *,
        clock: Clock,
        faults: PubSubFaults,
        time_scale: float = 1.0,
        ack_deadline_scale: float = 1.0,
    ) -> None:
        self.clock = clock
        self.time_scale = time_scale
        self.ack_deadline_scale = ack_deadline_scale
        self.faults = faults
        self.log: deque[DeliveryRecord] = deque(maxlen=LOG_LENGTH)
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.stopping = False
        self._handed_out: dict[str, float] = {}
        self._journal = PubSubJournal(root)
        self.topics = self._journal.topics
        self.queues = self._journal.queues
        self._ids = itertools.count(max(self._journal.last_id, time.time_ns() // 1000) + 1)

    def close(self) -> None:
        """Wakes everyone who waits, and closes the journal."""
        with self.changed:
            self.stopping = True
            self.changed.notify_all()
            self._journal.close()

    # ---- topics and subscriptions

    def topic(self, name: str) -> Any:
        """The topic; raises NOT_FOUND."""
        if name not in self.topics:
            raise not_found(f"Resource not found (resource={name.rsplit('/', 1)[-1]}).")
        return self.topics[name]

    def queue(self, name: str) -> SubscriptionQueue:
        """The subscription; raises NOT_FOUND."""
        if name not in self.queues:
            raise not_found(f"Resource not found (resource={name.rsplit('/', 1)[-1]}).")
        return self.queues[name]

    def put_topic(self, topic: Any, *, new: bool) -> None:
        """Creates or replaces a topic; raises ALREADY_EXISTS."""
        with self.changed:
            if new and topic.name in self.topics:
                raise already_exists(f"Resource already exists in the project (resource={_last(topic.name)}).")
            self._journal.topic(topic.name, topic)
            self.topics[topic.name] = topic

    def delete_topic(self, name: str) -> None:
        """Removes a topic; its subscriptions stay and hold what they have. Raises NOT_FOUND."""
        with self.changed:
            self.topic(name)
            self._journal.topic(name, None)
            self._journal.forget_topic(name)

    def put_subscription(self, settings: Any, *, new: bool) -> None:
        """Creates a subscription or changes its settings; raises NOT_FOUND (topic) and ALREADY_EXISTS."""
        with self.changed:
            if new:
                if settings.name in self.queues:
                    raise already_exists(f"Resource already exists in the project (resource={_last(settings.name)}).")
                self.topic(settings.topic)
            self._journal.subscription(settings.name, settings)
            if new:
                self.queues[settings.name] = SubscriptionQueue(settings)
            else:
                self.queue(settings.name).settings = settings
            self.changed.notify_all()

    def delete_subscription(self, name: str) -> None:
        """Removes a subscription and its messages; raises NOT_FOUND."""
        with self.changed:
            queue = self.queue(name)
            self._journal.subscription(name, None)
            del self.queues[name]
            queue.closed = True
            self.changed.notify_all()

    # ---- messages

    def publish(self, topic: str, messages: Sequence[Any]) -> list[str]:
        """Gives each message an id and a time and hands it to the topic's subscriptions. Raises NOT_FOUND."""
        with self.changed:
            self.topic(topic)
            queues = [queue for queue in self.queues.values() if queue.settings.topic == topic]
            identifiers = []
            for given in messages:
                message = PubsubMessage()
                message.CopyFrom(given)
                message.message_id = str(next(self._ids))
                message.publish_time.FromDatetime(self.clock.now())
                identifiers.append(message.message_id)
                if not queues:
                    continue  # nobody subscribes: Pub/Sub forgets it at once
                self._journal.message(message, [queue.name for queue in queues])
                for queue in queues:
                    self._enqueue(queue, message)
            self._journal.compact()
            self.changed.notify_all()
            return identifiers

    def _enqueue(self, queue: SubscriptionQueue, message: Any) -> None:
        for copy in range(self.faults.copies(queue.name, message)):
            due = self.clock.seconds() + self.faults.delay_seconds(queue.name, message)
            queue.add(Delivery(message, is_copy=copy > 0), due)

    def take(self, queue: SubscriptionQueue, limit: int, lease_seconds: float | None = None) -> list[Delivery]:
        """Hands out up to ``limit`` deliveries that are due; may be empty. ``lease_seconds`` overrides the deadline."""
        with self.changed:
            if lease_seconds is None:
                lease_seconds = queue.settings.ack_deadline_seconds * self.ack_deadline_scale
            taken: list[Delivery] = []
            while len(taken) < limit:
                found = queue.take(limit - len(taken), self.clock.seconds(), lease_seconds)
                if not found:
                    break
                for delivery in found:
                    if self.faults.drops(queue.name, delivery.message):
                        self._finish(queue, [delivery.ack_id], "dropped", "by a fault")
                    else:
                        self._handed_out[delivery.ack_id] = self.clock.seconds()
                        taken.append(delivery)
            if taken:
                self.changed.notify_all()  # whoever watches over deadlines has a new one
            return taken

    def acknowledge(
        self, queue: SubscriptionQueue, ack_ids: Iterable[str], detail: str = "", outcome: str = "acknowledged"
    ) -> None:
        """Ends deliveries for good. Ids whose deadline has passed are ignored, as Pub/Sub does."""
        with self.changed:
            if self.stopping:
                return  # too late to be kept: the message comes again at the next start
            self._finish(queue, ack_ids, outcome, detail)
            self.changed.notify_all()

    def _finish(self, queue: SubscriptionQueue, ack_ids: Iterable[str], outcome: str, detail: str) -> None:
        released = [delivery for ack_id in ack_ids if (delivery := queue.release(ack_id))]
        identifiers = [delivery.message.message_id for delivery in released if not delivery.is_copy]
        if identifiers and not queue.closed:
            self._journal.done(queue.name, identifiers)
        for delivery in released:
            queue.finish(delivery, self.clock.seconds())
            self._note(queue, delivery, outcome, detail)
        self._journal.compact()

    def extend(self, queue: SubscriptionQueue, ack_id: str, seconds: float) -> None:
        """Moves a deadline; 0 s gives the delivery back (a nack)."""
        with self.changed:
            if seconds <= 0:
                self.fail(queue, ack_id, "nacked", "")
            elif delivery := queue.leased.get(ack_id):
                delivery.leased_until = self.clock.seconds() + seconds
                self.changed.notify_all()

    def fail(self, queue: SubscriptionQueue, ack_id: str, outcome: str, detail: str) -> None:
        """A delivery was refused or not answered in time: it comes again after its back-off, or is dead-lettered."""
        with self.changed:
            delivery = None if self.stopping else queue.release(ack_id)
            if delivery is None:
                return
            self._note(queue, delivery, outcome, detail)
            policy = queue.settings.dead_letter_policy
            if policy.dead_letter_topic and delivery.attempts >= policy.max_delivery_attempts:
                if policy.dead_letter_topic in self.topics:
                    self._dead_letter(queue, delivery)
                    return
                self._note(queue, delivery, "undeliverable", f"no topic {policy.dead_letter_topic}")
            if not delivery.is_copy and not queue.closed:
                self._journal.failed(queue.name, delivery.message.message_id, delivery.attempts)
            minimum, maximum = backoff_limits(queue.settings)
            backoff_seconds = min(maximum, minimum * 2 ** (min(delivery.attempts, 60) - 1)) * self.time_scale
            queue.retry(delivery, self.clock.seconds() + (backoff_seconds or REDELIVERY_SECONDS))
            self.changed.notify_all()

    def _dead_letter(self, queue: SubscriptionQueue, delivery: Delivery) -> None:
        """Published first, struck out second: a death in between sends it twice, never loses it."""
        source = delivery.message
        _, project, _, name = queue.name.split("/")
        letter = PubsubMessage(data=source.data, ordering_key=source.ordering_key, attributes=source.attributes)
        letter.attributes[f"{DEAD_LETTER}Subscription"] = name
        letter.attributes[f"{DEAD_LETTER}SubscriptionProject"] = project
        letter.attributes[f"{DEAD_LETTER}DeliveryCount"] = str(delivery.attempts)
        letter.attributes[f"{DEAD_LETTER}TopicPublishTime"] = source.publish_time.ToJsonString()
        if not delivery.is_copy:
            self.publish(queue.settings.dead_letter_policy.dead_letter_topic, [letter])
            self._journal.done(queue.name, [source.message_id])
        queue.finish(delivery, self.clock.seconds())
        self._note(queue, delivery, "dead-lettered", queue.settings.dead_letter_policy.dead_letter_topic)
        self.changed.notify_all()

    def expire(self, now: float) -> None:
        """Fails every delivery whose deadline has passed."""
        with self.changed:
            for queue in list(self.queues.values()):
                for ack_id in queue.expired(now):
                    self.fail(queue, ack_id, "expired", "no answer by the ack deadline")

    def backlog(self) -> dict[str, Backlog]:
        """What each subscription still has, by its name."""
        with self.lock:
            return {name: Backlog(queue.waiting, len(queue.leased)) for name, queue in self.queues.items()}

    def _note(self, queue: SubscriptionQueue, delivery: Delivery, outcome: str, detail: str) -> None:
        now = self.clock.seconds()
        seconds = now - self._handed_out.pop(delivery.ack_id, now)
        identifier, attempt = delivery.message.message_id, delivery.attempts
        self.log.append(DeliveryRecord(self.clock.now(), queue.name, identifier, attempt, outcome, detail, seconds))


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1]
