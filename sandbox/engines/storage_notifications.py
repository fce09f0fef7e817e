"""Bucket notifications: which changes are announced, in which words, and their delivery to Pub/Sub.

Attributes and payload are those of Cloud Storage's Pub/Sub notifications (format JSON_API_V1). An announcement is
written to the journal with the change itself and struck out after the publisher took it, so a killed process announces
it at its next start: at least once, never lost, perhaps twice; as the real service promises.
"""

from __future__ import annotations

import heapq
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.engines.storage_errors import invalid

logger = logging.getLogger(__name__)

Publisher = Callable[[str, bytes, Mapping[str, str]], object]
"""Called with the topic (``projects/P/topics/T``), the data and the attributes; raises when it could not publish."""

EVENT_TYPES = ("OBJECT_FINALIZE", "OBJECT_METADATA_UPDATE", "OBJECT_DELETE", "OBJECT_ARCHIVE")
TOPIC = re.compile(r"//pubsub\.googleapis\.com/(projects/[^/]+/topics/[^/]+)")
SETTINGS = frozenset({"topic", "event_types", "object_name_prefix", "payload_format", "custom_attributes"})


@dataclass(frozen=True, slots=True)
class Announcement:
    """One message for Pub/Sub that is not yet known to be published."""

    id: int
    topic: str
    data: str
    attributes: dict[str, str]


def configuration(body: Mapping[str, Any], bucket: str, identifier: str) -> dict[str, Any]:
    """The notificationConfig resource for a creation request. Raises 400 when a setting is wrong."""
    if not TOPIC.fullmatch(str(body.get("topic", ""))):
        raise invalid("Invalid Google Cloud Pub/Sub topic; it should be //pubsub.googleapis.com/projects/P/topics/T.")
    if body.get("payload_format") not in ("JSON_API_V1", "NONE"):
        raise invalid("Invalid payload_format: it should be JSON_API_V1 or NONE.")
    unknown = set(body.get("event_types") or ()) - set(EVENT_TYPES)
    if unknown:
        raise invalid(f"Invalid event_types: {', '.join(sorted(unknown))}.")
    settings = {key: body[key] for key in SETTINGS if body.get(key)}
    return {
        "kind": "storage#notification",
        "id": identifier,
        "etag": identifier,
        "selfLink": f"/storage/v1/b/{bucket}/notificationConfigs/{identifier}",
        **settings,
    }


def message(
    config: Mapping[str, Any], event_type: str, resource: Mapping[str, Any], event_time: str, extra: Mapping[str, str]
) -> tuple[str, str, dict[str, str]] | None:
    """(topic, data, attributes) of the announcement of one event, or None when ``config`` does not ask for it."""
    if config.get("event_types") and event_type not in config["event_types"]:
        return None
    if not str(resource["name"]).startswith(config.get("object_name_prefix", "")):
        return None
    bucket = resource["bucket"]
    attributes = {
        **config.get("custom_attributes", {}),
        "notificationConfig": f"projects/_/buckets/{bucket}/notificationConfigs/{config['id']}",
        "eventType": event_type,
        "payloadFormat": config["payload_format"],
        "bucketId": bucket,
        "objectId": resource["name"],
        "objectGeneration": resource["generation"],
        "eventTime": event_time,
        **extra,
    }
    matched = TOPIC.fullmatch(config["topic"])
    assert matched is not None  # checked when the configuration was made
    data = json.dumps(resource, indent=2) if config["payload_format"] == "JSON_API_V1" else ""
    return matched[1], data, attributes


class Announcer:
    """Publishes announcements in its own thread, each again and again until the publisher takes it.

    One that cannot be published (its topic is missing) does not hold up the others.
    """

    RETRY_SECONDS = 0.5

    def __init__(self, publisher: Publisher | None, published: Callable[[Announcement], None]) -> None:
        self._publisher = publisher
        self._published = published
        self._due: list[tuple[float, int, Announcement]] = []
        self._changed = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins to publish. Without a publisher, announcements wait in the journal."""
        if self._publisher is not None:
            self._thread = threading.Thread(target=self._run, name="storage-announcer", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ends the thread; what is not published stays in the journal."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(1)

    def add(self, announcement: Announcement, delay_seconds: float = 0) -> None:
        """Queues one announcement."""
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + delay_seconds, announcement.id, announcement))
            self._changed.notify_all()

    def _next(self) -> Announcement | None:
        with self._changed:
            while not self._stopping:
                wait_seconds = self._due[0][0] - time.monotonic() if self._due else None
                if wait_seconds is not None and wait_seconds <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(wait_seconds)
        return None

    def _run(self) -> None:
        assert self._publisher is not None
        while (announcement := self._next()) is not None:
            try:
                self._publisher(announcement.topic, announcement.data.encode(), announcement.attributes)
            except Exception as error:  # whatever the publisher raises, the announcement must not be lost
                logger.warning("notification to %s not published, will try again: %s", announcement.topic, error)
                self.add(announcement, self.RETRY_SECONDS)
            else:
                self._published(announcement)
