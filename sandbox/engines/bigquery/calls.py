"""The calls of BigQuery's REST API that the local one answers, each with what a request may say. All else is refused by name.

bqemulator answers more than that, and passes over what it does not know; nobody has looked whether it does so rightly.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import parse_qs

README = "sandbox/engines/bigquery/README.md"
ROUTE = re.compile(r"^(?P<upload>/(?:resumable/)?upload)?/bigquery/v2/projects/(?P<project>[^/]+)/(?P<rest>.+?)/?$")
OWN_PATHS = ("/healthz", "/readyz")
WORDS = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
LISTED = {"GET": "list", "POST": "insert"}

EVERYWHERE = {"alt", "prettyPrint", "fields", "key", "quotaUser", "userIp", "projection", "$.xgafv"}
"""Query parameters that any call may carry; ``fields`` is not obeyed, so an answer holds more than was asked for."""
PAGES = {"maxResults", "pageToken"}
INTEGERS = "formatOptions.useInt64Timestamp"
CALLS: Mapping[str, Collection[str]] = {
    "datasets.list": PAGES | {"all"},
    "datasets.insert": (),
    "datasets.get": (),
    "datasets.patch": (),
    "datasets.update": (),
    "datasets.delete": {"deleteContents"},
    "tables.list": PAGES,
    "tables.insert": (),
    "tables.get": {"view"},
    "tables.patch": (),
    "tables.update": (),
    "tables.delete": (),
    "tabledata.list": PAGES | {"startIndex", "selectedFields", INTEGERS},
    "tabledata.insertAll": (),
    "jobs.list": PAGES | {"stateFilter", "parentJobId", "allUsers"},
    "jobs.insert": {"uploadType", "upload_id"},
    "jobs.get": {"location"},
    "jobs.cancel": {"location"},
    "jobs.query": (),
    "jobs.getQueryResults": PAGES | {"startIndex", "location", "timeoutMs", INTEGERS},
}
"""Method → the query parameters that it obeys, or that have no effect in BigQuery's answer either."""

RESOURCE = {"kind", "etag", "id", "selfLink", "creationTime", "lastModifiedTime", "location", "labels", "description"}
RESOURCE |= {"friendlyName", "type"}
DATASET = RESOURCE | {"datasetReference", "access", "defaultTableExpirationMs", "defaultPartitionExpirationMs"}
TABLE = RESOURCE | {"tableReference", "schema", "timePartitioning", "requirePartitionFilter", "clustering", "numRows"}
TABLE |= {"numBytes", "numLongTermBytes", "numTotalLogicalBytes", "numActiveLogicalBytes", "streamingBuffer"}
TABLE |= {"view", "materializedView", "externalDataConfiguration", "rangePartitioning", "tableConstraints"}
"""The last five are refused by ``tables.py``, which knows when they only come back as they went."""
CONFIGURATION = {"query", "load", "copy", "extract", "labels", "dryRun", "jobTimeoutMs", "jobType"}
QUERY = {"query", "useLegacySql", "useQueryCache", "priority", "parameterMode", "queryParameters", "defaultDataset"}
QUERY |= {"destinationTable", "createDisposition", "writeDisposition", "maximumBytesBilled", "schemaUpdateOptions"}
COPY = {"sourceTable", "sourceTables", "destinationTable", "createDisposition", "writeDisposition"}
QUERIES = {"kind", "query", "maxResults", "timeoutMs", "dryRun", "useQueryCache", "useLegacySql", "parameterMode"}
QUERIES |= {"queryParameters", "location", "labels", "formatOptions", "requestId", "maximumBytesBilled", "jobTimeoutMs"}
QUERIES |= {"jobCreationMode"}
BODIES: Mapping[str, Collection[str]] = {
    "datasets.insert": DATASET,
    "datasets.patch": DATASET,
    "datasets.update": DATASET,
    "tables.insert": TABLE,
    "tables.patch": TABLE,
    "tables.update": TABLE,
    "tabledata.insertAll": {"kind", "rows", "skipInvalidRows", "ignoreUnknownValues"},
    "jobs.query": QUERIES,
}
"""Method → the parts of its body that are obeyed or, as the README says, recorded. A load's options: ``load_request.py``."""
COLUMN_SETTINGS = ("defaultValueExpression", "collation", "roundingMode", "rangeElementType")
"""Of a column: these would be shown, and do nothing."""
CONFIGURATIONS: Mapping[str, Collection[str]] = {"query": QUERY, "copy": COPY}


def method_of(verb: str, segments: list[str], *, upload: bool = False) -> str:
    """Google's name of a call, ``tables.get``; what has none is named by its verb and path."""
    match segments:
        case ["jobs"] if verb == "POST" or (upload and verb == "PUT"):
            return "jobs.insert"
        case ["queries"] if verb == "POST":
            return "jobs.query"
        case ["queries", _] if verb == "GET":
            return "jobs.getQueryResults"
        case ["jobs", _, "cancel"] if verb == "POST":
            return "jobs.cancel"
        case ["datasets", _, "tables", _, "data"] if verb == "GET":
            return "tabledata.list"
        case ["datasets", _, "tables", _, "insertAll"] if verb == "POST":
            return "tabledata.insertAll"
        case ["datasets", _, collection] | [collection] if verb in LISTED:
            return f"{collection}.{LISTED[verb]}"
        case ["datasets", _, collection, item] | [collection, item] if verb in WORDS and ":" not in item:
            return f"{collection}.{WORDS[verb]}"
    return f"{verb} {'/'.join(segments)}"


def not_emulated(verb: str, path: str, query_string: str, body: Mapping[str, Any], location: str) -> str | None:
    """What of a request the local BigQuery does not do; None when it does all of it."""
    if path in OWN_PATHS:
        return None
    route = ROUTE.match(path)
    if route is None:
        return f"the call {verb} {path}"
    method = method_of(verb, route["rest"].split("/"), upload=bool(route["upload"]))
    if method not in CALLS:
        return f"the call {method}"
    for name in parse_qs(query_string).keys() - EVERYWHERE - {*CALLS[method]}:
        return f"the parameter {name} of {method}"
    if method in BODIES and (name := _unknown(body, BODIES[method])):
        return f"{method} with {name}"
    if method.startswith("tables.") and (name := _column_setting((body.get("schema") or {}).get("fields") or [])):
        return f"{method} with columns that have a {name}"
    if method == "jobs.insert":
        return _job(body.get("configuration") or {})
    given = str(body.get("location") or location)
    if method == "datasets.insert" and given.lower() != location.lower():
        return f"datasets in {given}: everything here is in {location}"
    return None


def _job(configuration: Mapping[str, Any]) -> str | None:
    if name := _unknown(configuration, CONFIGURATION):
        return f"jobs.insert with {name}"
    for kind, known in CONFIGURATIONS.items():
        if name := _unknown(configuration.get(kind) or {}, known):
            return f"{kind} jobs with {name}"
    return None


def _column_setting(fields: list[dict[str, Any]]) -> str | None:
    for field in fields:
        if name := next((name for name in COLUMN_SETTINGS if field.get(name)), _column_setting(field.get("fields") or [])):
            return name
    return None


def _unknown(given: Mapping[str, Any], known: Collection[str]) -> str | None:
    """The first part that is set and not known."""
    unset: tuple[Any, ...] = (None, False, "", [], {})
    return next((name for name, value in given.items() if name not in known and value not in unset), None)
