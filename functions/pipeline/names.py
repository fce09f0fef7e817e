"""Names: of runs, slices, and the objects of the state bucket.

The names carry the protocol's idempotence: whoever repeats a step arrives at the same name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from pipeline.sources import PlannedSlice

OPEN = "open/"
SEEN = "seen/"


def run_id(source: str, asked_at: datetime, seed: str) -> str:
    """``<asked_at>-<source>-<8 hex of the seed>``. The seed is the message's id or an idempotency key: a redelivery
    makes the same run."""
    digest = hashlib.sha256(seed.encode()).hexdigest()[:8]
    return f"{asked_at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{source}-{digest}"


def source_of(run: str) -> str:
    """The source in a run's id."""
    return run.split("-", 1)[1].rsplit("-", 1)[0]


def day_of(run: str) -> date:
    """The UTC day on which a run was asked for: part of the names of its plan and outcome."""
    return datetime.strptime(run[:8], "%Y%m%d").replace(tzinfo=UTC).date()


def slice_id(run: str, planned: PlannedSlice) -> str:
    """``s`` and 16 hex digits: fits into a BigQuery job id."""
    parts = (run, planned.stream, planned.account, planned.window_from, planned.window_to, planned.identity)
    return "s" + hashlib.sha256("|".join(str(part) for part in parts).encode()).hexdigest()[:16]


def open_name(run: str) -> str:
    return OPEN + run


def plan_name(run: str) -> str:
    return f"plans/{day_of(run)}/{run}.json"


def outcome_name(run: str) -> str:
    return f"outcomes/{day_of(run)}/{run}.json"


def slice_name(run: str, slice_: str) -> str:
    return f"slices/{run}/{slice_}.json"


def cancel_name(run: str) -> str:
    return f"cancel/{run}"


def gate_name(source: str, account: str) -> str:
    return f"gates/{source}/{account}.json"


def seen_name(bucket: str, name: str, generation: str) -> str:
    """Marker of a landing object that some run has planned."""
    return f"{SEEN}{hashlib.sha256(f'{bucket}/{name}'.encode()).hexdigest()[:16]}.{generation}"


def shown_file(file: Mapping[str, Any]) -> str:
    """A landing object's name; of a member of an archive, the archive's name and its own: ``export.zip/orders.csv``."""
    return f"{file['name']}/{file['member']}" if file.get("member") else str(file["name"])


def arrivals_prefix(source: str, stream: str, account: str) -> str:
    """Where the arrivals of files are noted, the newest first: see ``arrivals``."""
    return f"arrivals/{source}/{stream}/{account}/"


def file_name(source: str, stream: str, account: str, sha256: str) -> str:
    """Which slice holds a file's content. One file may feed several streams, so each has an owner of its own."""
    return f"files/{source}/{stream}/{account}/{sha256}.json"
