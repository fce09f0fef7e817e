"""Listing objects: prefix, delimiter, offsets, pages and glob over the sorted names."""

from __future__ import annotations

import base64
import binascii
import bisect
from collections.abc import Mapping
from typing import Any

from sandbox.engines.storage_conditions import whole_number
from sandbox.engines.storage_errors import invalid
from sandbox.engines.storage_names import glob_pattern
from sandbox.engines.storage_objects import ObjectStore

PARAMETERS = ("prefix", "delimiter", "startOffset", "endOffset", "pageToken", "maxResults", "matchGlob", "versions")
"""``versions`` changes nothing: versioning cannot be switched on, so the live versions are all there are."""
PAGE_SIZE = 1000


def _after(prefix: str) -> str:
    """The smallest text that sorts behind everything that starts with ``prefix``."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def list_buckets(store: ObjectStore, parameters: Mapping[str, str]) -> dict[str, Any]:
    """One page of the buckets, as ``storage#buckets``. The token of the next page is the last name of this one."""
    prefix, after = parameters.get("prefix", ""), parameters.get("pageToken", "")
    limit = min(whole_number(parameters, "maxResults") or PAGE_SIZE, PAGE_SIZE)
    names = sorted(name for name in store.buckets if name.startswith(prefix) and name > after)
    answer: dict[str, Any] = {"kind": "storage#buckets", "items": [store.buckets[name] for name in names[:limit]]}
    return answer | ({"nextPageToken": names[limit - 1]} if len(names) > limit else {})


def list_objects(store: ObjectStore, bucket: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    """One page of the bucket's objects, as ``storage#objects``. Raises 404 (bucket) and 400 (parameters).

    The cost depends on the page, not on the bucket: names are kept sorted and common prefixes are jumped over.
    """
    prefix, delimiter = parameters.get("prefix", ""), parameters.get("delimiter", "")
    limit = min(whole_number(parameters, "maxResults") or PAGE_SIZE, PAGE_SIZE)
    if limit < 0:
        raise invalid("Invalid value for maxResults: it should be positive.")
    end = parameters.get("endOffset", "")
    pattern = glob_pattern(parameters["matchGlob"]) if parameters.get("matchGlob") else None
    first = max(prefix, parameters.get("startOffset", ""))
    after = _read_token(parameters["pageToken"]) if parameters.get("pageToken") else None
    items: list[dict[str, Any]] = []
    prefixes: list[str] = []
    next_token = None
    with store.locked():
        names = store.names(bucket)
        position = bisect.bisect_left(names, first)
        if after is not None:
            behind = _after(after) if delimiter and after.endswith(delimiter) else after + "\0"
            position = max(position, bisect.bisect_left(names, behind))
        last = ""
        while position < len(names):
            name = names[position]
            if not name.startswith(prefix) or (end and name >= end):
                break
            position += 1
            if pattern is not None and not pattern.fullmatch(name):
                continue
            cut = name.find(delimiter, len(prefix)) if delimiter else -1
            if len(items) + len(prefixes) >= limit:
                next_token = base64.urlsafe_b64encode(last.encode()).decode()
                break
            if cut >= 0:
                last = name[: cut + len(delimiter)]
                prefixes.append(last)
                position = bisect.bisect_left(names, _after(last), position)
            else:
                last = name
                items.append(store.resource(store.get(bucket, name)))
    answer: dict[str, Any] = {"kind": "storage#objects"}
    if items:
        answer["items"] = items
    if prefixes:
        answer["prefixes"] = prefixes
    if next_token:
        answer["nextPageToken"] = next_token
    return answer


def _read_token(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token).decode()
    except (binascii.Error, ValueError):
        raise invalid(f"Invalid page token: {token}") from None
