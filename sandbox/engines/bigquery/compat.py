"""Install every correction, in the order that they need."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sandbox.engines.bigquery import (
    casts,
    definitions,
    functions,
    http_faults,
    information_schema,
    jobs,
    load_job,
    offsets,
    parses,
    partition_filters,
    requests,
    rules,
    statements,
    tables,
    versions,
)
from sandbox.engines.bigquery.storage_objects import StorageObjects


def install(location: str, storage: str | None, scratch: Path) -> None:
    """Correct bqemulator in this process.

    Args:
        location: the location of all datasets and jobs, such as `EU`.
        storage: base address of the Storage engine for `gs://`, or None.
        scratch: existing directory for the files of running load jobs.
    Raises:
        versions.WrongVersion: an installed package is not the one that the corrections fit.
        RuntimeError: `bqemulator.server` was imported before; it has already taken the uncorrected names.
    """
    versions.check()
    if "bqemulator.server" in sys.modules:
        raise RuntimeError("bqemulator.server was imported before the corrections were installed")
    parses.install()
    rules.install()
    casts.install()
    functions.install()
    statements.install()
    offsets.install()
    information_schema.install()
    partition_filters.install()
    definitions.install()
    _keep_no_history()
    tables.install(location)
    jobs.install(location, load_job.make_executor(StorageObjects(storage), scratch))
    requests.install(location)
    http_faults.install(location)


def _keep_no_history() -> None:
    """bqemulator copies the whole table after every write, for FOR SYSTEM_TIME AS OF. Only explicit snapshots stay."""
    import bqemulator.versioning.snapshots as snapshots

    capture = snapshots.SnapshotManager.capture

    def on_request(self: Any, project: str, dataset: str, table: str, *, kind: str = "AUTO") -> Any:
        return capture(self, project, dataset, table, kind=kind) if kind == "USER" else None

    snapshots.SnapshotManager.capture = on_request
