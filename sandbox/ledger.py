"""Reads what the pipeline's state bucket says: runs, slices, transform. Reads only; the pipeline alone writes it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.api_core.exceptions import NotFound
from google.cloud.storage import Bucket

from sandbox.cloud import Cloud

TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class SliceState:
    """One slice as its object's metadata tells it."""

    run_id: str
    slice_id: str
    status: str
    stream: str
    rows: int
    aside: int
    error_kind: str | None


@dataclass(frozen=True, slots=True)
class Ledger:
    """A look at the state bucket. Not one instant: the objects are listed one after another."""

    open_runs: tuple[str, ...] = ()
    outcomes: Mapping[str, str] = field(default_factory=dict)
    """Closed run → succeeded, partial, failed or cancelled."""
    slices: tuple[SliceState, ...] = ()
    transform: Mapping[str, Any] = field(default_factory=dict)
    waiting_loads: int = 0
    """Slices that are loaded and wait for the next build."""

    @property
    def statuses(self) -> Counter[str]:
        return Counter(item.status for item in self.slices)

    @property
    def runs(self) -> frozenset[str]:
        """Every run, open and closed."""
        return frozenset(self.outcomes) | frozenset(self.open_runs) | {item.run_id for item in self.slices}

    @property
    def rows(self) -> int:
        return sum(item.rows for item in self.slices if item.status == "loaded")

    @property
    def aside(self) -> int:
        return sum(item.aside for item in self.slices)

    @property
    def building(self) -> int | None:
        """Number of the build that runs now."""
        building = self.transform.get("building")
        return int(building["build"]) if building else None

    @property
    def build(self) -> int:
        """Number of the newest build, 0 before the first."""
        return int(self.transform.get("build") or 0)

    @property
    def done_build(self) -> int:
        """Number of the newest build that ended well."""
        return int(self.transform.get("done_build") or 0)

    @property
    def settled(self) -> bool:
        """Every run is closed and nothing is asked of the transform."""
        return not self.open_runs and not self.transform.get("wants") and self.building is None


def read(cloud: Cloud) -> Ledger:
    """Look at the state bucket now."""
    bucket = cloud.storage.bucket(cloud.world.state_bucket)
    # The open runs first: a run that closes in between then shows as open, never as finished without its transform.
    open_runs = tuple(blob.name.removeprefix("open/") for blob in _listing(bucket, "open/"))
    outcomes = {
        blob.name.rsplit("/", 1)[1].removesuffix(".json"): (blob.metadata or {}).get("status", "")
        for blob in _listing(bucket, "outcomes/")
    }
    slices = tuple(_slice(blob.name, blob.metadata or {}) for blob in _listing(bucket, "slices/"))
    waiting = sum(1 for _ in _listing(bucket, "loaded/"))
    return Ledger(open_runs, outcomes, slices, read_json(bucket, "transform.json") or {}, waiting)


def _listing(bucket: Bucket, prefix: str) -> Iterator[Any]:
    try:
        yield from bucket.list_blobs(prefix=prefix, timeout=TIMEOUT_SECONDS)
    except NotFound:
        return


def _slice(name: str, metadata: Mapping[str, str]) -> SliceState:
    _, run_id, file = name.split("/", 2)
    return SliceState(
        run_id=run_id,
        slice_id=file.removesuffix(".json"),
        status=metadata.get("status", "planned"),
        stream=metadata.get("stream", ""),
        rows=int(metadata.get("rows", 0)),
        aside=int(metadata.get("aside", 0)),
        error_kind=metadata.get("error_kind"),
    )


def read_json(bucket: Bucket, name: str) -> dict[str, Any] | None:
    """A state object's content, ``None`` where there is none."""
    try:
        content = json.loads(bucket.blob(name).download_as_bytes(timeout=TIMEOUT_SECONDS))
    except NotFound:
        return None
    assert isinstance(content, dict)
    return content


def failures(cloud: Cloud, ledger: Ledger) -> list[dict[str, Any]]:
    """The failed slices with their error (``kind``, ``message``, ``next_step``) and their request."""
    bucket = cloud.storage.bucket(cloud.world.state_bucket)
    failed = [item for item in ledger.slices if item.status == "failed"]
    found = (read_json(bucket, f"slices/{item.run_id}/{item.slice_id}.json") for item in failed)
    return [state for state in found if state]


def unplanned(cloud: Cloud, ledger: Ledger) -> list[dict[str, Any]]:
    """Outcomes of the runs that failed before they had a slice, with their ``error``."""
    bucket = cloud.storage.bucket(cloud.world.state_bucket)
    planned = {item.run_id for item in ledger.slices}
    failed = [run_id for run_id, status in ledger.outcomes.items() if status == "failed" and run_id not in planned]
    names = (f"outcomes/{run_id[:4]}-{run_id[4:6]}-{run_id[6:8]}/{run_id}.json" for run_id in failed)
    return [outcome for outcome in (read_json(bucket, name) for name in names) if outcome]


def dbt_results(cloud: Cloud, build: int) -> list[dict[str, Any]]:
    """Results of a build's nodes (dbt's ``run_results.json``): ``unique_id``, ``status``, ``message``, ``execution_time``."""
    bucket = cloud.storage.bucket(cloud.world.state_bucket)
    artifact = read_json(bucket, f"builds/{build}/artifacts/run_results.json")
    return list(artifact["results"]) if artifact else []


def dead_letters(cloud: Cloud) -> list[str]:
    """Names of the dead letters on file."""
    bucket = cloud.storage.bucket(cloud.world.state_bucket)
    return [blob.name for blob in _listing(bucket, "dead/")]
