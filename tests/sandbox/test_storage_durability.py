"""What the Storage engine keeps through restarts and kills, and what it announces to Pub/Sub."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.clock import Clock
from sandbox.engines.journal import Journal, JournalError
from sandbox.engines.storage import StorageEngine

from .engine_clients import storage_client

TOPIC = "projects/sandbox-project/topics/manifests"
WAIT_SECONDS = 10
Message = tuple[str, dict[str, Any], Mapping[str, str]]


class Listener:
    """A publisher that keeps what it is told, or refuses."""

    def __init__(self) -> None:
        self.messages: queue.Queue[Message] = queue.Queue()
        self.refusals = 0

    def __call__(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise ConnectionError("Pub/Sub is away")
        self.messages.put((topic, json.loads(data) if data else {}, attributes))

    def next(self) -> Message:
        return self.messages.get(timeout=WAIT_SECONDS)


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def bucket(tmp_path: Path, listener: Listener) -> Iterator[Any]:
    engine = StorageEngine(tmp_path, publisher=listener)
    yield storage_client(engine.start()).create_bucket("bronze")
    engine.stop()


def notify(bucket: Any, **settings: Any) -> Any:
    settings = {"event_types": ["OBJECT_FINALIZE"], "payload_format": "JSON_API_V1", **settings}
    config = bucket.notification(topic_name="manifests", topic_project="sandbox-project", **settings)
    config.create()
    return config


# ---- restarts


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    engine = StorageEngine(tmp_path)
    bucket = storage_client(engine.start()).create_bucket("state")
    blob = bucket.blob("a/b")
    blob.metadata = {"k": "v"}
    blob.upload_from_string(b"first")
    blob.upload_from_string(b"second")
    bucket.blob("gone").upload_from_string(b"x")
    bucket.blob("gone").delete()
    notify(bucket)
    with pytest.raises(JournalError, match="in use"):
        StorageEngine(tmp_path).start()
    engine.stop()
    again = StorageEngine(tmp_path)
    try:
        found = storage_client(again.start()).get_bucket("state")
        assert [one.name for one in found.list_blobs()] == ["a/b"]
        kept = found.get_blob("a/b")
        assert (kept.generation, kept.metadata, kept.updated) == (blob.generation, {"k": "v"}, blob.updated)
        assert kept.download_as_bytes() == b"second"
        assert len(list(found.list_notifications())) == 1
        kept.upload_from_string(b"third")
        assert kept.generation > blob.generation
    finally:
        again.stop()
    assert len([path for path in (tmp_path / "objects").rglob("*") if path.is_file()]) == 1


def test_what_a_dead_process_left_half_done_is_cleared_away(tmp_path: Path) -> None:
    engine = StorageEngine(tmp_path)
    storage_client(engine.start()).create_bucket("state").blob("a").upload_from_string(b"x")
    engine.stop()
    journal = tmp_path / "journal.jsonl"
    complete = journal.read_bytes()
    journal.write_bytes(complete + b'{"op":"object","bucket":"state","na')
    (tmp_path / "incoming" / "half").write_bytes(b"half")
    orphan = tmp_path / "objects" / "state" / "b~1700000000000000"
    orphan.write_bytes(b"moved into place, never recorded")
    engine = StorageEngine(tmp_path)
    try:
        bucket = storage_client(engine.start()).bucket("state")
        assert [blob.name for blob in bucket.list_blobs()] == ["a"]
        assert not orphan.exists()
        assert not list((tmp_path / "incoming").iterdir())
        assert journal.read_bytes() == complete
    finally:
        engine.stop()


def test_a_journal_damaged_in_its_middle_is_not_trusted(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"op":1}\n{"op":\n{"op":3}\n')
    with pytest.raises(JournalError, match="line 2"):
        list(Journal(path).replay())


def make_long_history(host: str) -> None:
    """1,100 changes of one object's metadata."""
    with requests.Session() as session:
        for number in range(1100):
            body = {"metadata": {"n": str(number)}}
            session.patch(f"{host}/storage/v1/b/state/o/a", json=body, timeout=10).raise_for_status()


def test_a_long_history_is_shortened_at_the_start(tmp_path: Path) -> None:
    engine = StorageEngine(tmp_path)
    host = engine.start()
    bucket = storage_client(host).create_bucket("state")
    bucket.blob("a").upload_from_string(b"x")
    make_long_history(host)
    engine.stop()
    engine = StorageEngine(tmp_path)
    try:
        blob = storage_client(engine.start()).bucket("state").get_blob("a")
        assert (blob.metadata, blob.metageneration) == ({"n": "1099"}, 1101)
        assert len((tmp_path / "journal.jsonl").read_bytes().splitlines()) < 10
    finally:
        engine.stop()


def test_generations_rise_though_history_was_shortened_and_the_clock_begins_again(tmp_path: Path) -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    clock = Clock(start, scale=0)
    engine = StorageEngine(tmp_path, clock=clock)
    host = engine.start()
    bucket = storage_client(host).create_bucket("state")
    bucket.blob("a").upload_from_string(b"x")
    make_long_history(host)
    clock.advance(3600)
    newest = bucket.blob("b")
    newest.upload_from_string(b"x")
    newest.delete()
    engine.stop()
    for _ in range(2):
        engine = StorageEngine(tmp_path, clock=Clock(start, scale=0))
        bucket = storage_client(engine.start()).bucket("state")
        engine.stop()
    engine = StorageEngine(tmp_path, clock=Clock(start, scale=0))
    try:
        again = storage_client(engine.start()).bucket("state").blob("b")
        again.upload_from_string(b"y")
        assert again.generation > newest.generation
        assert again.updated >= newest.updated
    finally:
        engine.stop()


def test_an_object_whose_bytes_a_power_cut_shortened_is_not_served(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    engine = StorageEngine(tmp_path)
    bucket = storage_client(engine.start()).create_bucket("state")
    for name in ("whole", "short"):
        bucket.blob(name).upload_from_string(b"0123456789")
    engine.stop()
    (path,) = (tmp_path / "objects" / "state").glob("short~*")
    path.write_bytes(b"01234")
    engine = StorageEngine(tmp_path)
    try:
        bucket = storage_client(engine.start()).bucket("state")
        assert [blob.name for blob in bucket.list_blobs()] == ["whole"]
        assert "gs://state/short" in caplog.text
    finally:
        engine.stop()


# ---- notifications


def test_a_new_object_is_announced_as_storage_does(bucket: Any, listener: Listener) -> None:
    config = notify(bucket, blob_name_prefix="manifests/")
    bucket.blob("rows/x").upload_from_string(b"not announced")
    blob = bucket.blob("manifests/r/s.json")
    blob.metadata = {"k": "v"}
    blob.upload_from_string(b"{}", content_type="application/json")
    topic, resource, attributes = listener.next()
    assert topic == TOPIC
    event_time = attributes["eventTime"]
    assert event_time.endswith("Z")
    assert attributes == {
        "eventType": "OBJECT_FINALIZE",
        "bucketId": "bronze",
        "objectId": "manifests/r/s.json",
        "objectGeneration": str(blob.generation),
        "notificationConfig": f"projects/_/buckets/bronze/notificationConfigs/{config.notification_id}",
        "payloadFormat": "JSON_API_V1",
        "eventTime": event_time,
    }
    assert resource["kind"] == "storage#object"
    assert (resource["name"], resource["size"], resource["metadata"]) == ("manifests/r/s.json", "2", {"k": "v"})
    assert resource["generation"] == str(blob.generation)
    assert listener.messages.empty()


def test_overwriting_deleting_and_changing_metadata(bucket: Any, listener: Listener) -> None:
    notify(bucket, event_types=None, custom_attributes={"own": "1"})
    first = bucket.blob("a")
    first.upload_from_string(b"1")
    old = str(first.generation)
    assert listener.next()[2]["eventType"] == "OBJECT_FINALIZE"
    first.upload_from_string(b"2")
    new = str(first.generation)
    events = [listener.next()[2] for _ in range(2)]
    assert [event["eventType"] for event in events] == ["OBJECT_FINALIZE", "OBJECT_DELETE"]
    assert (events[0]["overwroteGeneration"], events[0]["objectGeneration"]) == (old, new)
    assert (events[1]["overwrittenByGeneration"], events[1]["objectGeneration"]) == (new, old)
    assert events[0]["own"] == "1"
    first.metadata = {"k": "v"}
    first.patch()
    assert listener.next()[2]["eventType"] == "OBJECT_METADATA_UPDATE"
    bucket.copy_blob(first, bucket, "b")
    assert listener.next()[2]["eventType"] == "OBJECT_FINALIZE"
    first.delete()
    assert listener.next()[2]["eventType"] == "OBJECT_DELETE"


def test_settings_can_be_listed_and_removed(bucket: Any, listener: Listener) -> None:
    config = notify(bucket, payload_format="NONE")
    listed = list(bucket.list_notifications())
    assert [(one.notification_id, one.topic_name) for one in listed] == [(config.notification_id, "manifests")]
    bucket.blob("a").upload_from_string(b"1")
    assert listener.next()[1] == {}, "payload NONE carries no data"
    config.delete()
    assert list(bucket.list_notifications()) == []
    bucket.blob("b").upload_from_string(b"1")
    assert listener.messages.empty()


def test_an_announcement_is_repeated_until_it_is_taken(bucket: Any, listener: Listener) -> None:
    notify(bucket)
    listener.refusals = 2
    bucket.blob("a").upload_from_string(b"1")
    assert listener.next()[2]["objectId"] == "a"


def test_announcements_survive_a_restart_until_they_are_taken(tmp_path: Path, listener: Listener) -> None:
    engine = StorageEngine(tmp_path)  # nobody to publish to: as if killed between the change and its announcement
    bucket = storage_client(engine.start()).create_bucket("bronze")
    notify(bucket)
    bucket.blob("a").upload_from_string(b"1")
    engine.stop()
    engine = StorageEngine(tmp_path, publisher=listener)
    engine.start()
    assert listener.next()[2]["objectId"] == "a"
    engine.stop()
    engine = StorageEngine(tmp_path, publisher=listener)
    engine.start()
    engine.stop()
    assert listener.messages.empty(), "taken once, it is not announced again"
