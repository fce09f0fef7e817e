"""What the Storage engine remembers: in memory for answering, in a journal and files for surviving."""

from __future__ import annotations

import base64
import bisect
import itertools
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sandbox.clock import Clock
from sandbox.engines import storage_notifications as notifications
from sandbox.engines.journal import DirectoryLock, Journal, Record
from sandbox.engines.storage_names import data_path

logger = logging.getLogger(__name__)

Resource = dict[str, Any]


class StoredState:
    """What the engine remembers, and how it survives. All methods may be called from any thread.

    On disk: ``objects/<bucket>/<name>~<generation>`` holds the bytes, ``journal.jsonl`` everything else. An object
    exists once its journal line is written; bytes without a line are what a dead process left, removed at the start.
    """

    def __init__(self, root: Path, publisher: notifications.Publisher | None = None, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._lock = threading.RLock()
        self._directory_lock = DirectoryLock(root)
        self.data_root = root / "objects"
        self.incoming_root = root / "incoming"
        self.address = ""  # of the server in front; part of the links in every resource
        self.buckets: dict[str, Resource] = {}
        self._objects: dict[str, dict[str, Resource]] = {}
        self._names: dict[str, list[str]] = {}  # sorted, for listing
        self._configs: dict[str, dict[str, Resource]] = {}
        self._unpublished: dict[int, notifications.Announcement] = {}
        self._generation = 0
        self._last_time = ""
        self._journal = Journal(root / "journal.jsonl")
        for record in self._journal.replay():
            self._apply(record)
        self._announcement_ids = itertools.count(max(self._unpublished, default=time.time_ns() // 1000) + 1)
        self._tidy()
        self.announcer = notifications.Announcer(publisher, self._announced)
        for announcement in self._unpublished.values():
            self.announcer.add(announcement)

    def close(self) -> None:
        """Ends the announcements and frees the directory."""
        self.announcer.stop()
        with self._lock:
            self._journal.close()
            self._directory_lock.release()

    @property
    def unannounced(self) -> int:
        """How many announcements are not published yet."""
        with self._lock:
            return len(self._unpublished)

    # ---- journal

    def _apply(self, record: Record) -> None:
        """Makes one recorded change in memory: the only place where the state changes, so replay cannot differ."""
        bucket, value = record.get("bucket", ""), record.get("value")
        match record["op"]:
            case "bucket" if value is not None:
                self.buckets[bucket] = value
                self._objects.setdefault(bucket, {})
                self._names.setdefault(bucket, [])
                self._configs.setdefault(bucket, {})
            case "bucket":
                for kept in (self.buckets, self._objects, self._names, self._configs):
                    kept.pop(bucket, None)
            case "object":
                objects, names, name = self._objects[bucket], self._names[bucket], record["name"]
                if value is None:
                    objects.pop(name)
                    del names[bisect.bisect_left(names, name)]
                else:
                    if name not in objects:
                        bisect.insort(names, name)
                    objects[name] = value
                    self._generation = max(self._generation, int(value["generation"]))
                    self._last_time = max(self._last_time, value["updated"])
            case "config" if value is not None:
                self._configs[bucket][record["id"]] = value
            case "config":
                self._configs[bucket].pop(record["id"], None)
            case "published":
                self._unpublished.pop(record["id"], None)
            case "reached":
                self._generation = max(self._generation, record["generation"])
                self._last_time = max(self._last_time, record["time"])
        for entry in record.get("announce", ()):
            announcement = notifications.Announcement(**entry)
            self._unpublished[announcement.id] = announcement

    def _record(self, record: Record) -> None:
        self._journal.append(record)
        self._apply(record)
        for entry in record.get("announce", ()):
            self.announcer.add(self._unpublished[entry["id"]])

    def _announced(self, announcement: notifications.Announcement) -> None:
        with self._lock:
            self._record({"op": "published", "id": announcement.id})

    def _snapshot(self) -> Iterator[Record]:
        # The objects that are left need not be those with the greatest generation and time that were given.
        yield {"op": "reached", "generation": self._generation, "time": self._last_time}
        for bucket, value in self.buckets.items():
            yield {"op": "bucket", "bucket": bucket, "value": value}
            for identifier, config in self._configs[bucket].items():
                yield {"op": "config", "bucket": bucket, "id": identifier, "value": config}
            for name, resource in self._objects[bucket].items():
                yield {"op": "object", "bucket": bucket, "name": name, "value": resource}
        for waiting in self._unpublished.values():
            fields = {"id": waiting.id, "topic": waiting.topic, "data": waiting.data, "attributes": waiting.attributes}
            yield {"op": "announce", "announce": [fields]}

    def _tidy(self) -> None:
        """After a replay: removes what belongs to no object, and shortens a journal that is mostly history."""
        shutil.rmtree(self.incoming_root, ignore_errors=True)
        self.incoming_root.mkdir(parents=True)
        self.data_root.mkdir(exist_ok=True)
        found = {Path(folder, name) for folder, _, names in os.walk(self.data_root) for name in names}
        for bucket, objects in self._objects.items():
            for name, resource in list(objects.items()):
                path = data_path(self.data_root, resource)
                if path in found and path.stat().st_size == int(resource["size"]):
                    found.discard(path)
                else:  # a hand in the directory, or a power cut: contents are not forced onto the disk
                    logger.error("the bytes of gs://%s/%s are not all in %s; the object is dropped", bucket, name, path)
                    self._apply({"op": "object", "bucket": bucket, "name": name, "value": None})
        for orphan in found:
            orphan.unlink()
        live = sum(map(len, self._objects.values())) + len(self.buckets) + len(self._unpublished)
        if self._journal.lines > 2 * live + 1000:
            self._journal.rewrite(self._snapshot())

    # ---- clock, links

    def _now(self) -> str:
        """Server time, RFC 3339 in milliseconds; never earlier than any time given before (lock held)."""
        text = self._clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._last_time = max(self._last_time, text)
        return self._last_time

    def resource(self, stored: Mapping[str, Any]) -> Resource:
        """The object resource as the API shows it: what is stored, with identity and links."""
        bucket, name, generation = stored["bucket"], stored["name"], stored["generation"]
        path = f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}"
        etag = base64.b64encode(f"{generation}/{stored['metageneration']}".encode()).decode()
        return {
            "kind": "storage#object",
            "id": f"{bucket}/{name}/{generation}",
            "selfLink": f"{self.address}{path}",
            "mediaLink": f"{self.address}/download{path}?generation={generation}&alt=media",
            **stored,
            "etag": etag,
        }

    def _announcements(self, event_type: str, stored: Resource, extra: Mapping[str, str]) -> list[Record]:
        event_time = self._clock.now().isoformat(timespec="microseconds").replace("+00:00", "Z")
        out = []
        for config in self._configs[stored["bucket"]].values():
            made = notifications.message(config, event_type, self.resource(stored), event_time, extra)
            if made is not None:
                topic, data, attributes = made
                entry = {"id": next(self._announcement_ids), "topic": topic, "data": data, "attributes": attributes}
                out.append(entry)
        return out
