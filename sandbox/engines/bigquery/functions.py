"""BigQuery functions that neither DuckDB nor bqemulator has, as Python functions of the DuckDB connection.

They run row by row: fine for the thousands of rows of a test, slow for millions. SQL that reads ISO timestamps should
use `timestamp(x)` or a cast, which DuckDB does natively.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from sandbox.engines.bigquery import casts

#: Second-level labels that are public suffixes under two-letter country codes. A heuristic: the public suffix list
#: itself is not among the engine's packages.
SECOND_LEVEL = frozenset({"co", "com", "org", "ac", "gov", "net"})
FRACTION = re.compile(r"%E(\*|\d)S")
SECONDS = re.compile(r"(:\d{2})(?:\.(\d+))?(?=[^\d:.]|$|[+-]\d\d:?\d\d$)")
ZONE_NAME = re.compile(r"([A-Za-z_/]+)$")


def net_host(url: str | None) -> str | None:
    """NET.HOST: the host as it is written, or None."""
    if url is None:
        return None
    text = url.strip()
    text = text if "//" in text.split("?")[0] else "//" + text
    host = urlsplit(text[text.index("//") :]).netloc.rsplit("@", 1)[-1]
    return (host if host.startswith("[") else host.split(":", 1)[0]) or None


def net_public_suffix(url: str | None) -> str | None:
    """NET.PUBLIC_SUFFIX, by the heuristic of `SECOND_LEVEL`."""
    host = net_host(url)
    if not host or "." not in host:
        return None
    labels = host.lower().split(".")
    if len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in SECOND_LEVEL:
        return ".".join(labels[-2:])
    return labels[-1]


def net_reg_domain(url: str | None) -> str | None:
    """NET.REG_DOMAIN: the public suffix and the label before it."""
    host, suffix = net_host(url), net_public_suffix(url)
    if not host or not suffix:
        return None
    rest = host.lower()[: -len(suffix) - 1]
    return f"{rest.split('.')[-1]}.{suffix}" if rest else None


def parse_timestamp(pattern: str | None, value: str | None) -> datetime.datetime | None:
    """PARSE_TIMESTAMP for patterns with %E*S, %E<n>S, %Ez, %z or %Z, which DuckDB's strptime lacks.

    Returns:
        The instant in UTC, without a zone.
    Raises:
        ValueError: the value does not match, in BigQuery's words.
    """
    if pattern is None or value is None:
        return None
    form, text = pattern, value.strip()
    if FRACTION.search(form):
        form = FRACTION.sub("%S.%f", form)
        found = SECONDS.search(text)
        if found:
            text = text[: found.end(1)] + "." + (found[2] or "0")[:6].ljust(6, "0") + text[found.end() :]
    for theirs, ours in (("%Ez", "%z"), ("%F", "%Y-%m-%d"), ("%T", "%H:%M:%S"), ("%R", "%H:%M")):
        form = form.replace(theirs, ours)
    zone = None
    if form.endswith("%Z"):
        form, named = form[:-2], ZONE_NAME.search(text)
        zone = named[1] if named else "UTC"
        text = text[: named.start()] if named else text
    try:
        parsed = datetime.datetime.strptime(text, form)  # noqa: DTZ007 (the zone is set below)
    except ValueError as error:
        raise ValueError(f'Failed to parse input string "{value}"') from error
    if zone and parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=ZoneInfo(zone))
    return parsed.astimezone(datetime.UTC).replace(tzinfo=None) if parsed.tzinfo else parsed


def add_to(connection: Any) -> None:
    """Create the functions on a DuckDB connection."""
    text_functions: dict[str, Callable[[str | None], str | None]] = {
        "local_net_host": net_host,
        "local_net_reg_domain": net_reg_domain,
        "local_net_public_suffix": net_public_suffix,
    }
    for name, function in text_functions.items():
        connection.create_function(name, function, ["VARCHAR"], "VARCHAR", null_handling="special")
    for name, on_error in (("local_parse_timestamp", "default"), ("local_safe_parse_timestamp", "return_null")):
        connection.create_function(
            name,
            parse_timestamp,
            ["VARCHAR", "VARCHAR"],
            "TIMESTAMP",
            null_handling="special",
            exception_handling=on_error,
        )
    for statement in casts.macros():
        connection.execute(statement)


def install() -> None:
    """Add the functions wherever bqemulator registers its own."""
    import bqemulator.sql.builtin_udfs as builtin

    register = builtin.register_builtin_udfs

    def with_ours(connection: Any) -> None:
        register(connection)
        add_to(connection)

    builtin.register_builtin_udfs = with_ours
