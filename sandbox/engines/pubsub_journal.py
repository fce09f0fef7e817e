"""What survives of Pub/Sub: topics, subscriptions and unacknowledged messages, in an append-only journal."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from google.pubsub_v1 import types

from sandbox.engines.journal import DirectoryLock, Journal, Record
from sandbox.engines.pubsub_queue import Delivery, SubscriptionQueue
from sandbox.engines.pubsub_settings import DELETED_TOPIC

Topic = types.Topic.pb()
Subscription = types.Subscription.pb()
PubsubMessage = types.PubsubMessage.pb()

COMPACT_LINES = 20_000


class PubSubJournal:
    """The journal of one engine. After construction ``topics`` and ``queues`` hold what the directory remembers.

    The broker changes ``topics`` and ``queues`` itself, right after it has recorded the change here.
    """

    def __init__(self, root: Path) -> None:
        self.topics: dict[str, Any] = {}
        self.queues: dict[str, SubscriptionQueue] = {}
        self.last_id = 0
        self._directory_lock = DirectoryLock(root)
        self._journal = Journal(root / "journal.jsonl")
        waiting: dict[str, dict[str, Delivery]] = {}  # by subscription and message id
        for record in self._journal.replay():
            self._replay(record, waiting)
        for name, deliveries in waiting.items():
            for _, delivery in sorted(deliveries.items(), key=lambda item: int(item[0])):
                self.queues[name].add(delivery, 0.0)
        self.compact(minimum_lines=1000)

    def close(self) -> None:
        """Closes the journal and frees the directory."""
        self._journal.close()
        self._directory_lock.release()

    def topic(self, name: str, topic: Any | None) -> None:
        """Records a topic, or with None its end."""
        self._journal.append({"op": "topic", "name": name, "value": topic and _encode(topic)})

    def subscription(self, name: str, settings: Any | None) -> None:
        """Records a subscription's settings, or with None its end."""
        self._journal.append({"op": "subscription", "name": name, "value": settings and _encode(settings)})

    def message(self, message: Any, subscriptions: Sequence[str]) -> None:
        """Records a published message and who is to get it."""
        self._journal.append({"op": "message", "value": _encode(message), "subscriptions": list(subscriptions)})

    def failed(self, subscription: str, message_id: str, attempts: int) -> None:
        """Records that a delivery failed, so that attempts are counted across restarts."""
        self._journal.append({"op": "failed", "subscription": subscription, "id": message_id, "attempts": attempts})

    def done(self, subscription: str, message_ids: Sequence[str]) -> None:
        """Records that messages are acknowledged."""
        self._journal.append({"op": "done", "subscription": subscription, "ids": list(message_ids)})

    def compact(self, minimum_lines: int = COMPACT_LINES) -> None:
        """Shortens the journal when it is mostly history. Only when the state holds everything that is recorded."""
        if self._journal.lines > minimum_lines:
            live = len(self.topics) + sum(1 + len(queue.pending) for queue in self.queues.values())
            if self._journal.lines > 4 * live:
                self._journal.rewrite(self._snapshot())

    def forget_topic(self, name: str) -> None:
        """Removes a topic from memory; its subscriptions stay, bound to no topic."""
        del self.topics[name]
        for queue in self.queues.values():
            if queue.settings.topic == name:
                queue.settings.topic = DELETED_TOPIC

    def _replay(self, record: Record, waiting: dict[str, dict[str, Delivery]]) -> None:
        match record["op"]:
            case "topic" if record["value"] is None:
                self.forget_topic(record["name"])
            case "topic":
                self.topics[record["name"]] = _decode(Topic, record["value"])
            case "subscription" if record["value"] is None:
                del self.queues[record["name"]]
                waiting.pop(record["name"], None)
            case "subscription":
                settings = _decode(Subscription, record["value"])
                if record["name"] in self.queues:
                    self.queues[record["name"]].settings = settings
                else:
                    self.queues[record["name"]] = SubscriptionQueue(settings)
            case "message":
                message = _decode(PubsubMessage, record["value"])
                self.last_id = max(self.last_id, int(message.message_id))
                attempts: Mapping[str, int] = record.get("attempts", {})
                for name in record["subscriptions"]:
                    waiting.setdefault(name, {})[message.message_id] = Delivery(message, attempts.get(name, 0))
            case "failed":
                if delivery := waiting.get(record["subscription"], {}).get(record["id"]):
                    delivery.attempts = record["attempts"]
            case "done":
                for identifier in record["ids"]:
                    waiting.get(record["subscription"], {}).pop(identifier, None)

    def _snapshot(self) -> Iterator[Record]:
        for name, topic in self.topics.items():
            yield {"op": "topic", "name": name, "value": _encode(topic)}
        waiting: dict[str, tuple[Any, dict[str, int]]] = {}
        for name, queue in self.queues.items():
            yield {"op": "subscription", "name": name, "value": _encode(queue.settings)}
            for identifier, delivery in queue.pending.items():
                waiting.setdefault(identifier, (delivery.message, {}))[1][name] = delivery.attempts
        for message, attempts in waiting.values():
            yield {"op": "message", "value": _encode(message), "subscriptions": list(attempts), "attempts": attempts}


def _encode(message: Any) -> str:
    return base64.b64encode(message.SerializeToString()).decode()


def _decode(kind: Any, text: str) -> Any:
    return kind.FromString(base64.b64decode(text))
