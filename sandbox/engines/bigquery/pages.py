"""Lists page by page: bqemulator cuts a list off at ``maxResults`` and says nothing of the rest."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode

from sandbox.engines.bigquery.calls import ROUTE, method_of

LISTS = {"datasets.list": "datasets", "tables.list": "tables", "jobs.list": "jobs"}
PAGE_SIZE = 1000
ALL = 1_000_000


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list a request asks for. The token of a page is the number of entries before it."""

    key: str
    start: int
    size: int

    def of(self, body: bytes) -> bytes:
        """The part of the whole list in ``body``, with the token of the next one."""
        value = json.loads(body)
        whole = value.get(self.key)
        if not isinstance(whole, list):
            return body  # an error
        end = self.start + self.size
        value[self.key] = whole[self.start : end]
        if end < len(whole):
            value["nextPageToken"] = str(end)
        return json.dumps(value).encode()


def page_of(scope: MutableMapping[str, Any]) -> tuple[MutableMapping[str, Any], Page | None]:
    """For a list: the request for the whole of it, and the page that was asked for. Raises ValueError for a bad number."""
    route = ROUTE.match(scope["path"]) if scope["method"] == "GET" else None
    key = LISTS.get(method_of("GET", route["rest"].split("/"))) if route else None
    if key is None:
        return scope, None
    parameters = parse_qs(scope.get("query_string", b"").decode())
    start = int(parameters.pop("pageToken", ["0"])[0])
    size = int(parameters.pop("maxResults", [str(PAGE_SIZE)])[0])
    whole = urlencode({**parameters, "maxResults": str(ALL)}, doseq=True)
    return {**scope, "query_string": whole.encode()}, Page(key, start, size)
