"""What is published, and where: hints that say what the state bucket already knows. A lost one is the sweeper's to repeat."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pipeline import bronze, clients, names, state


def publish(topic: str, body: Mapping[str, Any], attributes: Mapping[str, str] | None = None) -> None:
    """Publish and wait until Pub/Sub has it. A lost message is the sweeper's to repeat."""
    publisher = clients.pubsub()
    path = publisher.topic_path(clients.project(), topic)
    publisher.publish(path, json.dumps(body).encode(), **(attributes or {})).result(timeout=state.TIMEOUT_SECONDS)


def publish_slice(run: str, slice_: str, epoch: int) -> None:
    publish(names.source_of(run), {"v": 1, "kind": "slice", "run_id": run, "slice_id": slice_, "epoch": epoch})


def publish_ask(run: str, asked: Mapping[str, Any], asked_at: datetime) -> None:
    """Ask for a run under a given id: what the scheduler sends, with the two facts that a repetition must keep."""
    body = {**asked, "v": 1, "kind": "run", "run_id": run, "asked_at": asked_at.isoformat()}
    publish(names.source_of(run), body)


def publish_manifest(run: str, slice_: str) -> None:
    """Send what Storage sends when the manifest is finalized, with the attributes that the loader reads."""

    bucket = clients.bronze_bucket().name
    name = bronze.manifest_name(run, slice_)
    attributes = {"eventType": "OBJECT_FINALIZE", "bucketId": bucket, "objectId": name, "payloadFormat": "JSON_API_V1"}
    publish("manifests", {"kind": "storage#object", "bucket": bucket, "name": name}, attributes)
