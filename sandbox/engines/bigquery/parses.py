"""Parse a statement once for all who only read it.

bqemulator parses the whole text of a statement about twenty times: to classify it, to ask whether it drops a routine,
a schema, a table, and so on. Parsing was more than half of the engine's time in a dbt run.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from typing import Any

#: Modules that look at a parsed statement and never change it. All others get a tree of their own.
READERS = frozenset(
    {
        "bqemulator.catalog.ddl_sync",
        "bqemulator.jobs.ddl_result",
        "bqemulator.jobs.executor",
        "bqemulator.jobs.routine_ddl",
        "bqemulator.sql.catalog_schema",
        "sandbox.engines.bigquery.definitions",
        "sandbox.engines.bigquery.partition_filters",
    }
)
KEPT = 16  # a statement is read while it runs, beside the views that it reads


def install() -> None:
    """Replace `sqlglot.parse_one` by one that shares trees among `READERS`."""
    import sqlglot

    parse = sqlglot.parse_one
    kept: OrderedDict[str, Any] = OrderedDict()

    def parse_one(sql: Any, read: Any = None, **options: Any) -> Any:
        reader = sys._getframe(1).f_globals.get("__name__")
        if reader not in READERS or read != "bigquery" or options:
            return parse(sql, read=read, **options)
        if sql in kept:
            kept.move_to_end(sql)
        else:
            kept[sql] = parse(sql, read=read)
            while len(kept) > KEPT:
                kept.popitem(last=False)
        return kept[sql]

    sqlglot.parse_one = parse_one
