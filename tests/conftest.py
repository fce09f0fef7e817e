"""Fixtures that every room shares: the embedded engines, and a pipeline in this process that uses them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline import clients, contract, events
from sandbox.engines.bigquery_process import BigQueryProcess
from sandbox.engines.pubsub import PubSubEngine
from sandbox.engines.storage import StorageEngine
from tests.sandbox import reference_servers

PROJECT = "test-project"
TOPICS = (*contract.load().sources, "manifests", "transform", "dead-letters")


def pytest_report_header() -> list[str]:
    """Which servers the conformance suites of the engines run against."""
    return reference_servers.said()


@dataclass
class Message:
    """What lay in a topic, in the form in which functions-framework gives it to a door."""

    id: str
    data: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return {"id": self.id}[name]


@dataclass
class LocalCloud:
    """Storage and Pub/Sub in this process, with the buckets, topics and notifications of a deployment."""

    storage: StorageEngine
    pubsub: PubSubEngine
    subscriber: Any = None
    taken: dict[str, list[Message]] = field(default_factory=dict)

    def messages(self, topic: str, at_most: int = 50) -> list[Message]:
        """Take (and acknowledge) what waits on a topic, oldest first, once Storage has told of all its changes."""
        assert self.storage.store is not None
        while self.storage.store.unannounced:
            time.sleep(0.01)
        name = f"projects/{PROJECT}/subscriptions/{topic}-tests"
        found: list[Message] = []
        request = {"subscription": name, "max_messages": at_most, "return_immediately": True}
        while received := self.subscriber.pull(request=request, timeout=10).received_messages:
            self.subscriber.acknowledge(request={"subscription": name, "ack_ids": [one.ack_id for one in received]})
            found += [_as_event(one.message) for one in received]
        self.taken.setdefault(topic, []).extend(found)
        return found

    def drop(self, name: str, content: bytes | str) -> str:
        """Put a file into landing; returns its generation."""
        blob = clients.landing_bucket().blob(name)
        blob.upload_from_string(content)
        return str(blob.generation)

    def state(self, prefix: str) -> dict[str, dict[str, Any]]:
        """Every JSON object of the state bucket below a prefix."""
        blobs = clients.state_bucket().list_blobs(prefix=prefix)
        return {blob.name: json.loads(blob.download_as_bytes() or b"{}") for blob in blobs}


def _as_event(message: Any) -> Message:
    import base64

    wrapped = {
        "data": base64.b64encode(message.data).decode(),
        "attributes": dict(message.attributes),
        "messageId": message.message_id,
        "publishTime": message.publish_time.isoformat(),
    }
    return Message(message.message_id, {"message": wrapped})


@contextmanager
def cloud_at(folder: Path, bigquery: BigQueryProcess | None = None) -> Iterator[LocalCloud]:
    """A fresh deployment's storage and queues below a folder, and the pipeline's own clients pointed at them.

    Without ``bigquery`` nothing listens at its address: a test that loads brings its own.
    """
    pubsub = PubSubEngine(folder / "pubsub")
    pubsub_address = pubsub.start()
    storage = StorageEngine(folder / "storage", publisher=pubsub.publish)
    storage_address = storage.start()
    if bigquery is not None:
        bigquery.storage = storage_address
        bigquery.start()
    settings = {
        "STORAGE_EMULATOR_HOST": storage_address,
        "PUBSUB_EMULATOR_HOST": pubsub_address,
        "BIGQUERY_EMULATOR_HOST": bigquery.address if bigquery else "http://127.0.0.1:9",
        "RUN_EMULATOR_HOST": "127.0.0.1:9",
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "PIPELINE_LANDING_BUCKET": f"{PROJECT}-landing",
        "PIPELINE_BRONZE_BUCKET": f"{PROJECT}-bronze",
        "PIPELINE_STATE_BUCKET": f"{PROJECT}-state",
        "PIPELINE_ACCOUNTS": json.dumps({"crm": [{"id": "default", "time_zone": "Europe/London"}]}),
        "PIPELINE_TIMEOUT_SECONDS": "60",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        forget_clients()
        cloud = LocalCloud(storage, pubsub)
        _provision(cloud)
        yield cloud
    cloud.subscriber.close()
    if bigquery is not None:
        bigquery.stop()
    storage.stop()
    pubsub.stop()
    forget_clients()


@pytest.fixture
def local_cloud(tmp_path: Path) -> Iterator[LocalCloud]:
    """A deployment's storage and queues, new for each test."""
    with cloud_at(tmp_path) as cloud:
        yield cloud


def forget_clients() -> None:
    """Clients are cached for the life of an instance; a test is a new instance."""
    for cached in (clients.storage, clients._bucket, clients.pubsub, clients.bigquery, clients.run_jobs):
        cached.cache_clear()


def _provision(cloud: LocalCloud) -> None:
    from google.cloud import pubsub_v1

    cloud.subscriber = pubsub_v1.SubscriberClient()
    for topic in TOPICS:
        path = f"projects/{PROJECT}/topics/{topic}"
        clients.pubsub().create_topic(name=path)
        cloud.subscriber.create_subscription(name=f"projects/{PROJECT}/subscriptions/{topic}-tests", topic=path)
    for name in ("landing", "bronze", "state"):
        clients.storage().create_bucket(f"{PROJECT}-{name}")
    for bucket, topic, prefix in (("landing", "crm", None), ("bronze", "manifests", "manifests/")):
        clients.storage().bucket(f"{PROJECT}-{bucket}").notification(
            topic_name=topic,
            topic_project=PROJECT,
            event_types=["OBJECT_FINALIZE"],
            payload_format="JSON_API_V1",
            blob_name_prefix=prefix,
        ).create()


def run_door(handler: Any, message: Message) -> None:
    """Deliver a message to a handler through the door's own machinery."""
    events.deliver(message, handler)  # type: ignore[arg-type]  # the same shape as a CloudEvent
