"""One DuckDB transaction around a job, its catalogue rows and its own record, or around one change of a definition.

bqemulator commits each of them separately, so a killed process could leave rows loaded and the job unknown: the same
job sent again would load them twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

#: What a statement can change of the catalogue that bqemulator keeps in memory and answers from.
CACHED = ("_datasets", "_tables", "_jobs", "_routines", "_snapshots", "_mviews", "_row_access")


@contextlib.contextmanager
def transaction(context: Any) -> Iterator[None]:
    """Commit what the body did, or undo it, the catalogue in memory included, and raise what it raised."""
    connection, cache = context.engine.connection, context.catalog._cache
    saved = {name: dict(getattr(cache, name)) for name in CACHED}
    connection.execute("BEGIN")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # DuckDB itself has ended the transaction after some failures (a commit that cannot be done).
        with contextlib.suppress(Exception):
            connection.execute("ROLLBACK")
        for name, rows in saved.items():
            getattr(cache, name).clear()
            getattr(cache, name).update(rows)
        raise
