"""The calls of the JSON API that the engine knows, by the name Google gives them. Every other call is refused."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from sandbox.engines import storage_conditions as conditions
from sandbox.engines import storage_fields
from sandbox.engines.storage_errors import invalid, not_emulated, not_found
from sandbox.engines.storage_listing import PARAMETERS as LIST_PARAMETERS
from sandbox.engines.storage_listing import list_buckets, list_objects
from sandbox.engines.storage_objects import WRITABLE, ObjectStore, Resource, check_metadata
from sandbox.engines.storage_requests import Request, Response, json_response
from sandbox.engines.storage_transfers import download, upload
from sandbox.engines.storage_uploads import Incoming, Sessions, copy_into

BUCKET_SETTINGS = frozenset(
    {"name", "location", "locationType", "storageClass", "labels", "lifecycle", "iamConfiguration", "cors", "rpo"}
    | {"softDeletePolicy", "versioning", "kind", "id", "projectNumber", "timeCreated", "updated", "metageneration"}
    | {"etag", "selfLink"}
)
"""Settings that a bucket may be created with. They are kept and shown; lifecycle and access rules do nothing here."""

MAX_COMPOSE_SOURCES = 32


class Calls:
    """Carries out one request against the store."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._sessions = Sessions()

    def upload_target(self, upload_id: str) -> str:
        """``bucket/object`` of a resumable upload, empty when there is no such upload."""
        return self._sessions.target(upload_id)

    def handle(self, request: Request) -> Response:
        """The answer to ``request``; raises :class:`~sandbox.engines.storage_errors.ApiError`."""
        match request.segments:
            case ["upload", "storage", "v1", "b", bucket, "o"]:
                return upload(self._store, self._sessions, request, bucket)
            case ["download", "storage", "v1", "b", bucket, "o", name] if request.method in ("GET", "HEAD"):
                request.allow("generation", *conditions.TARGET_PARAMETERS)
                return download(self._store, request, bucket, name)
            case ["storage", "v1", *path]:
                answer = self._json_call(request, path)
            case _:
                raise not_emulated(f"{request.method} {request.target}")
        if isinstance(answer, Response):
            return answer
        if answer is None:
            return Response(204)
        fields = request.parameters.get("fields")
        return json_response(storage_fields.select(answer, storage_fields.parse(fields)) if fields else answer)

    def _json_call(self, request: Request, path: list[str]) -> Resource | Response | None:
        store, parameters = self._store, request.parameters
        match request.method, path:
            case "GET", ["b"]:
                request.allow("project", "prefix", "maxResults", "pageToken")
                return list_buckets(store, parameters)
            case "POST", ["b"]:
                request.allow("project", "enableObjectRetention")
                return store.create_bucket(_bucket_settings(request.json()))
            case "GET", ["b", bucket]:
                request.allow(*conditions.TARGET_PARAMETERS)
                return store.bucket(bucket)
            case "PATCH", ["b", bucket]:
                request.allow("ifMetagenerationMatch", "ifMetagenerationNotMatch")
                return store.patch_bucket(bucket, _bucket_settings(request.json()), parameters)
            case "DELETE", ["b", bucket]:
                request.allow()
                store.delete_bucket(bucket)
                return None
            case _, ["b", bucket, "notificationConfigs", *rest]:
                return self._notification_configs(request, bucket, rest)
            case "GET", ["b", bucket, "o"]:
                request.allow(*LIST_PARAMETERS)
                return list_objects(store, bucket, parameters)
            case _, ["b", bucket, "o", name]:
                return self._object(request, bucket, name)
            case "POST", ["b", bucket, "o", name, "compose"]:
                request.allow("ifGenerationMatch", "ifMetagenerationMatch")
                return self._compose(request, bucket, name)
            case "POST", ["b", bucket, "o", name, "rewriteTo" | "copyTo" as verb, "b", to_bucket, "o", to_name]:
                request.allow(*conditions.TARGET_PARAMETERS, *conditions.SOURCE_PARAMETERS, "sourceGeneration", "rewriteToken")
                copied = self._copy(request, (bucket, name), (to_bucket, to_name))
                return copied if verb == "copyTo" else _rewrite_answer(copied)
            case "GET", ["projects", project, "serviceAccount"]:
                address = f"service-1@gs-project-accounts.{project}.iam.gserviceaccount.com"
                return {"kind": "storage#serviceAccount", "email_address": address}
        raise not_emulated(f"{request.method} {request.target}")

    def _notification_configs(self, request: Request, bucket: str, rest: list[str]) -> Resource | None:
        request.allow()
        match request.method, rest:
            case "GET", []:
                return {"kind": "storage#notifications", "items": list(self._store.configs(bucket).values())}
            case "POST", []:
                return self._store.add_config(bucket, request.json())
            case "GET", [identifier]:
                configs = self._store.configs(bucket)
                if identifier not in configs:
                    raise not_found(f"Notification {identifier} not found.")
                return configs[identifier]
            case "DELETE", [identifier]:
                self._store.remove_config(bucket, identifier)
                return None
        raise not_emulated(f"{request.method} {request.target}")

    def _object(self, request: Request, bucket: str, name: str) -> Resource | Response | None:
        store, parameters = self._store, request.parameters
        request.allow("generation", *conditions.TARGET_PARAMETERS)
        match request.method:
            case "GET" | "HEAD" if parameters.get("alt") == "media":
                return download(store, request, bucket, name)
            case "GET":
                stored = store.get(bucket, name, parameters.get("generation"))
                conditions.check(parameters, stored, reading=True)
                return store.resource(stored)
            case "PATCH":
                return store.patch(bucket, name, request.json(), parameters)
            case "PUT":
                return store.patch(bucket, name, request.json(), parameters, replace=True)
            case "DELETE":
                store.delete(bucket, name, parameters)
                return None
        raise not_emulated(f"{request.method} {request.target}")

    def _copy(self, request: Request, source: tuple[str, str], target: tuple[str, str]) -> Resource:
        stored = self._store.get(*source, request.parameters.get("sourceGeneration"))
        conditions.check(request.parameters, stored, source=True)
        body = request.json()
        check_metadata(body)
        given = {key: value for key, value in body.items() if key in WRITABLE}
        # As in the real service: metadata in the request replaces the source's as a whole.
        return self._store.link(stored, *target, given or stored, request.parameters)

    def _compose(self, request: Request, bucket: str, name: str) -> Resource:
        body = request.json()
        for key in body.keys() - {"kind", "sourceObjects", "destination"}:
            raise not_emulated(f"the setting {key} of compose")
        sources = body.get("sourceObjects") or []
        if not 1 <= len(sources) <= MAX_COMPOSE_SOURCES:
            raise invalid(f"The number of source components provided ({len(sources)}) should be 1 to 32.")
        incoming = Incoming(self._store.incoming_root)
        components = 0
        try:
            for source in sources:
                generation = str(source["generation"]) if source.get("generation") else None
                stored, descriptor = self._store.open(bucket, source["name"], generation)
                with os.fdopen(descriptor, "rb"):
                    wanted: Mapping[str, Any] = source.get("objectPreconditions") or {}
                    conditions.check({key: str(value) for key, value in wanted.items()}, stored)
                    copy_into(incoming, descriptor)
                components += stored.get("componentCount", 1)
        except BaseException:
            incoming.discard()
            raise
        destination = body.get("destination") or {}
        return self._store.commit(bucket, name, incoming, destination, request.parameters, component_count=components)


def _rewrite_answer(copied: Resource) -> Resource:
    return {
        "kind": "storage#rewriteResponse",
        "totalBytesRewritten": copied["size"],
        "objectSize": copied["size"],
        "done": True,
        "resource": copied,
    }


def _bucket_settings(body: dict[str, Any]) -> dict[str, Any]:
    """The settings of a request for a bucket; raises 501 for those whose effect would be missing."""
    for key, value in body.items():
        if key not in BUCKET_SETTINGS and value:
            raise not_emulated(f"the bucket setting {key}")
    if (body.get("versioning") or {}).get("enabled"):
        raise not_emulated("object versioning")
    return body
