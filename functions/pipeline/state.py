"""The state bucket as a small ledger: JSON objects that are created once, or replaced by compare-and-set.

Cloud Storage is strongly consistent for reads after writes and for listings, and takes preconditions on an object's
generation (https://cloud.google.com/storage/docs/consistency, .../request-preconditions). That is all that the protocol
needs. One trap is closed here: the client repeats an upload whose answer was lost, and the repetition of a write that *did*
land fails its own precondition. Every write therefore carries a token; on a failed precondition the object is read back,
and "it is mine" counts as success.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pipeline import clients
from pipeline.errors import Retryable

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket

TIMEOUT_SECONDS = 30
_MARK = "_write"


class Conflict(Retryable):
    """The object was changed by somebody else between reading and writing. Read again and decide anew."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as read or written. ``updated`` is Storage's clock, known after a write or a listing only."""

    name: str
    data: dict[str, Any]
    generation: int
    updated: datetime | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as listed: without its content, with its custom metadata."""

    name: str
    metadata: Mapping[str, str]
    updated: datetime
    generation: int


def read(name: str) -> Stored | None:
    """The object, or ``None`` where there is none."""
    from google.api_core.exceptions import NotFound

    blob = clients.state_bucket().blob(name)
    try:
        raw = blob.download_as_bytes(timeout=TIMEOUT_SECONDS)
    except NotFound:
        return None
    return Stored(name, json.loads(raw), int(blob.generation))


def create(name: str, data: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> Stored | None:
    """Create the object; ``None`` when somebody else had created it before."""
    try:
        return _write(clients.state_bucket(), name, data, 0, metadata)
    except Conflict:
        return None


def create_or_read(name: str, data: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> Stored:
    """Create the object, or read the one that was there first: that one holds."""
    stored = create(name, data, metadata) or read(name)
    if stored is None:
        raise Conflict(f"{name} was there and is gone")
    return stored


def replace(stored: Stored, data: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> Stored:
    """Replace the object if it is still the one that was read. Raises :class:`Conflict` if not."""
    return _write(clients.state_bucket(), stored.name, data, stored.generation, metadata)


def delete(name: str) -> None:
    """Delete the object; one that is gone already is fine."""
    from google.api_core.exceptions import NotFound

    try:
        clients.state_bucket().blob(name).delete(timeout=TIMEOUT_SECONDS)
    except NotFound:
        pass


def exists(name: str) -> bool:
    return bool(clients.state_bucket().blob(name).exists(timeout=TIMEOUT_SECONDS))


def listing(prefix: str, *, start: str | None = None, limit: int | None = None) -> Iterator[Listed]:
    """Objects below a prefix in the order of their names, one call per thousand."""
    blobs = clients.state_bucket().list_blobs(
        prefix=prefix,
        start_offset=start,
        max_results=limit,
        fields="items(name,metadata,updated,generation),nextPageToken",
        timeout=TIMEOUT_SECONDS,
    )
    for blob in blobs:
        yield Listed(blob.name, blob.metadata or {}, blob.updated, int(blob.generation))


def create_object(bucket: Bucket, name: str, data: Mapping[str, Any]) -> Stored | None:
    """Like :func:`create`, in another bucket: manifests are written this way."""
    try:
        return _write(bucket, name, data, 0, None)
    except Conflict:
        return None


def _write(bucket: Bucket, name: str, data: Mapping[str, Any], generation: int, metadata: Mapping[str, str] | None) -> Stored:
    from google.api_core.exceptions import NotFound, PreconditionFailed

    token = uuid.uuid4().hex
    content = {**data, _MARK: token}
    blob: Blob = bucket.blob(name)
    if metadata is not None:
        blob.metadata = dict(metadata)
    try:
        blob.upload_from_string(
            json.dumps(content, default=str),
            content_type="application/json",
            if_generation_match=generation,
            timeout=TIMEOUT_SECONDS,
        )
    except (PreconditionFailed, NotFound) as error:  # NotFound: the object to replace was deleted
        return _own_write(bucket, name, token, error)
    return Stored(name, content, int(blob.generation), blob.updated)


def _own_write(bucket: Bucket, name: str, token: str, error: Exception) -> Stored:
    """The object as stored if it carries our token: then our first try had landed. Else :class:`Conflict`."""
    from google.api_core.exceptions import NotFound

    blob = bucket.blob(name)
    try:
        content = json.loads(blob.download_as_bytes(timeout=TIMEOUT_SECONDS))
        if content.get(_MARK) == token:
            blob.reload(timeout=TIMEOUT_SECONDS)  # of the generation that was read, whose time a download does not tell
            return Stored(name, content, int(blob.generation), blob.updated)
    except NotFound:
        pass  # deleted or replaced since
    raise Conflict(f"{name} was changed by somebody else") from error
