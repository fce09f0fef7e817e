"""The operations of the Storage engine on buckets, notification settings and objects."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.engines import storage_conditions as conditions
from sandbox.engines import storage_notifications as notifications
from sandbox.engines.journal import Record
from sandbox.engines.storage_errors import conflict, not_emulated, not_found
from sandbox.engines.storage_names import check_bucket, check_object, data_path
from sandbox.engines.storage_state import Resource, StoredState
from sandbox.engines.storage_uploads import Incoming, verify

__all__ = ["WRITABLE", "ObjectStore", "Resource", "check_metadata"]

NO_PARAMETERS: Mapping[str, str] = {}

WRITABLE = (
    "cacheControl",
    "contentDisposition",
    "contentEncoding",
    "contentLanguage",
    "contentType",
    "customTime",
    "metadata",
    "storageClass",
)
"""Fields of an object that a client may set."""
OUTPUT_ONLY = frozenset(
    {"kind", "id", "selfLink", "mediaLink", "name", "bucket", "generation", "metageneration", "size", "md5Hash", "crc32c"}
    | {"etag", "timeCreated", "updated", "timeStorageClassUpdated", "timeFinalized", "componentCount", "owner"}
)
"""Fields that clients send back as they got them; they have no effect in the real service either."""


def check_metadata(metadata: Mapping[str, Any]) -> None:
    """Raises 501 for a field of an object whose effect would be missing (holds, retention, access, keys, …)."""
    for key, value in metadata.items():
        if key not in WRITABLE and key not in OUTPUT_ONLY and value:
            raise not_emulated(f"the object setting {key}")


class ObjectStore(StoredState):
    """Every change is on the disk before its method returns; every method may be called from any thread."""

    # ---- buckets

    def bucket(self, name: str) -> Resource:
        """The bucket resource; raises 404."""
        if name not in self.buckets:
            raise not_found("The specified bucket does not exist.")
        return self.buckets[name]

    def create_bucket(self, settings: Mapping[str, Any]) -> Resource:
        """Makes a bucket; raises 400 for its name and 409 when it exists."""
        name = str(settings.get("name", ""))
        check_bucket(name)
        with self._lock:
            if name in self.buckets:
                raise conflict("Your previous request to create the named bucket succeeded and you already own it.")
            now = self._now()
            value = {
                "kind": "storage#bucket",
                "id": name,
                "selfLink": f"/storage/v1/b/{name}",
                "projectNumber": "1",
                "location": "US",
                "storageClass": "STANDARD",
                **settings,
                "timeCreated": now,
                "updated": now,
                "metageneration": "1",
                "etag": "CAE=",
            }
            self._record({"op": "bucket", "bucket": name, "value": value})
            return value

    def patch_bucket(self, name: str, settings: Mapping[str, Any], parameters: Mapping[str, str]) -> Resource:
        """Changes settings of a bucket; null removes one."""
        with self._lock:
            current = self.bucket(name)
            conditions.check(parameters, {"generation": "0", "metageneration": current["metageneration"]})
            value = {key: kept for key, kept in {**current, **settings}.items() if kept is not None}
            value |= {"metageneration": str(int(current["metageneration"]) + 1), "updated": self._now()}
            self._record({"op": "bucket", "bucket": name, "value": value})
            return value

    def delete_bucket(self, name: str) -> None:
        """Removes an empty bucket; raises 409 when it is not."""
        with self._lock:
            self.bucket(name)
            if self._objects[name]:
                raise conflict("The bucket you tried to delete is not empty.")
            self._record({"op": "bucket", "bucket": name, "value": None})

    def configs(self, bucket: str) -> dict[str, Resource]:
        """The bucket's notification configurations by id."""
        with self._lock:
            self.bucket(bucket)
            return dict(self._configs[bucket])

    def add_config(self, bucket: str, body: Mapping[str, Any]) -> Resource:
        """Makes a notification configuration."""
        with self._lock:
            self.bucket(bucket)
            identifier = str(max(map(int, self._configs[bucket]), default=0) + 1)
            value = notifications.configuration(body, bucket, identifier)
            self._record({"op": "config", "bucket": bucket, "id": identifier, "value": value})
            return value

    def remove_config(self, bucket: str, identifier: str) -> None:
        """Removes a notification configuration; raises 404."""
        with self._lock:
            if identifier not in self.configs(bucket):
                raise not_found(f"Notification {identifier} not found.")
            self._record({"op": "config", "bucket": bucket, "id": identifier, "value": None})

    # ---- objects

    def get(self, bucket: str, name: str, generation: str | None = None) -> Resource:
        """What is stored about the live object; raises 404, also for a generation that is not the live one."""
        with self._lock:
            self.bucket(bucket)
            stored = self._objects[bucket].get(name)
            if stored is None or generation not in (None, stored["generation"]):
                raise not_found(f"No such object: {bucket}/{name}")
            return stored

    def find(self, bucket: str, name: str) -> Resource | None:
        """What is stored about the live object, or None; raises 404 for the bucket only."""
        with self._lock:
            self.bucket(bucket)
            return self._objects[bucket].get(name)

    def names(self, bucket: str) -> list[str]:
        """The sorted names; for reading under :meth:`locked` only."""
        self.bucket(bucket)
        return self._names[bucket]

    def locked(self) -> threading.RLock:
        """The lock that keeps the state still while several reads belong together."""
        return self._lock

    def open(self, bucket: str, name: str, generation: str | None = None) -> tuple[Resource, int]:
        """The stored object and an open descriptor of its bytes, which stay readable if it is replaced meanwhile."""
        with self._lock:
            stored = self.get(bucket, name, generation)
            return stored, os.open(data_path(self.data_root, stored), os.O_RDONLY)

    def commit(
        self,
        bucket: str,
        name: str,
        incoming: Incoming,
        metadata: Mapping[str, Any],
        parameters: Mapping[str, str],
        promised: Mapping[str, str] = NO_PARAMETERS,
        component_count: int | None = None,
    ) -> Resource:
        """Makes ``incoming`` the live object; returns its resource.

        Raises 404 (bucket), 400 (name, ``promised`` checksums) and 412 (preconditions in ``parameters``). A composite
        object (``component_count``) has no MD5, as in the real service.
        """
        try:
            check_metadata(metadata)
            incoming.finish()
            check_object(name)
            crc32c, md5 = incoming.crc32c, incoming.md5 if component_count is None else None
            verify(promised, crc32c, md5)
            facts: Resource = {"size": str(incoming.size_bytes), "crc32c": crc32c}
            facts |= {"md5Hash": md5} if md5 is not None else {"componentCount": component_count}
            return self._install(bucket, name, incoming.path, facts, metadata, parameters)
        finally:
            incoming.discard()

    def link(
        self,
        source: Mapping[str, Any],
        bucket: str,
        name: str,
        metadata: Mapping[str, Any],
        parameters: Mapping[str, str],
    ) -> Resource:
        """Makes ``bucket/name`` a copy of the stored object ``source``, without copying bytes. Raises as commit."""
        check_object(name)
        path = self.incoming_root / f"{time.time_ns()}-{threading.get_ident()}"
        try:
            with self._lock:
                self.get(source["bucket"], source["name"], source["generation"])
                os.link(data_path(self.data_root, source), path)
            facts = {key: source[key] for key in ("size", "crc32c", "md5Hash", "componentCount") if key in source}
            return self._install(bucket, name, path, facts, metadata, parameters)
        finally:
            path.unlink(missing_ok=True)

    def _install(
        self,
        bucket: str,
        name: str,
        path: Path,
        facts: Mapping[str, Any],
        metadata: Mapping[str, Any],
        parameters: Mapping[str, str],
    ) -> Resource:
        with self._lock:
            old = self.find(bucket, name)
            conditions.check(parameters, old)
            # Microseconds, like Google's; strictly increasing even when the clock stands or steps back.
            generation = str(max(self._generation + 1, int(self._clock.now().timestamp() * 1_000_000)))
            now = self._now()
            stored = {
                "name": name,
                "bucket": bucket,
                "generation": generation,
                "metageneration": "1",
                "contentType": "application/octet-stream",
                "storageClass": "STANDARD",
                "timeCreated": now,
                "updated": now,
                "timeStorageClassUpdated": now,
                "timeFinalized": now,
                **facts,
                **{key: metadata[key] for key in WRITABLE if metadata.get(key) is not None},
            }
            target = data_path(self.data_root, stored)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
            extra = {"overwroteGeneration": old["generation"]} if old else {}
            announce = self._announcements("OBJECT_FINALIZE", stored, extra)
            if old:
                announce += self._announcements("OBJECT_DELETE", old, {"overwrittenByGeneration": generation})
            self._change_object(stored, stored, announce)
            if old:
                data_path(self.data_root, old).unlink(missing_ok=True)
            return self.resource(stored)

    def _change_object(self, identity: Resource, value: Resource | None, announce: list[Record]) -> None:
        record = {"op": "object", "bucket": identity["bucket"], "name": identity["name"], "value": value}
        self._record(record | {"announce": announce} if announce else record)

    def patch(
        self, bucket: str, name: str, body: Mapping[str, Any], parameters: Mapping[str, str], *, replace: bool = False
    ) -> Resource:
        """Changes metadata (PATCH), or sets all of it (``replace``: PUT); raises the metageneration."""
        check_metadata(body)
        with self._lock:
            current = self.get(bucket, name, parameters.get("generation"))
            conditions.check(parameters, current)
            stored = {key: value for key, value in current.items() if not (replace and key in WRITABLE)}
            stored.setdefault("storageClass", current["storageClass"])
            for key in WRITABLE:
                if key not in body:
                    continue
                value = body[key]
                if key == "metadata" and value is not None:
                    merged = {**stored.get("metadata", {}), **value}
                    value = {entry: text for entry, text in merged.items() if text is not None} or None
                if value is None:
                    stored.pop(key, None)
                else:
                    stored[key] = value
            stored |= {"metageneration": str(int(current["metageneration"]) + 1), "updated": self._now()}
            self._change_object(stored, stored, self._announcements("OBJECT_METADATA_UPDATE", stored, {}))
            return self.resource(stored)

    def delete(self, bucket: str, name: str, parameters: Mapping[str, str]) -> None:
        """Removes the live object; raises 404 and 412."""
        with self._lock:
            current = self.get(bucket, name, parameters.get("generation"))
            conditions.check(parameters, current)
            self._change_object(current, None, self._announcements("OBJECT_DELETE", current, {}))
            data_path(self.data_root, current).unlink(missing_ok=True)
