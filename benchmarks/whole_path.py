"""One file through a whole local world: dropped into landing, read by ``ingest_crm``, loaded by ``load_bronze``.

Everything is what `make up` starts: the functions unmodified, each instance a process of its own behind its front, their
messages through Pub/Sub, their bytes through Storage's HTTP. What is measured is the function's process; engines and fronts
share the machine's cores with it, and are counted in no figure but the seconds that pass.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import processes
from benchmarks.measure import Measurement
from sandbox import ledger
from sandbox.supervisor import Supervisor

if TYPE_CHECKING:
    from google.cloud.storage import Blob

FUNCTION = "ingest_crm"
LIMIT_SECONDS = 7200.0
_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of a file's rows in the local BigQuery."""

    wall_seconds: float
    """From the manifest in bronze to the slice that is set ``loaded``."""
    cpu_seconds: float
    """Of ``load_bronze``, which only waits for the job."""
    peak_rss_bytes: int
    """Of ``load_bronze``."""
    warehouse_cpu_seconds: float
    warehouse_peak_rss_bytes: int
    parts: int
    largest_part_rows: int
    slices: int
    """Rows of ``bronze.slices``."""
    slice_rows: int
    """Rows that ``bronze.slices`` tells of."""
    table_rows: int
    """Rows that the table holds."""

    def __str__(self) -> str:
        rate, peaks = self.table_rows / self.wall_seconds, (self.peak_rss_bytes, self.warehouse_peak_rss_bytes)
        mib, warehouse_mib = (f"{peak / processes.MIB:.0f} MiB" for peak in peaks)
        return (
            f"{self.table_rows:,} rows in {self.wall_seconds:.1f} s ({rate:,.0f} rows/s), from {self.parts} parts of at most"
            f" {self.largest_part_rows:,} rows; bronze.slices: {self.slices} slice of {self.slice_rows:,} rows\n"
            f"  load_bronze: {self.cpu_seconds:.1f} CPU s, peak {mib}\n"
            f"  the local BigQuery: {self.warehouse_cpu_seconds:.1f} CPU s, peak {warehouse_mib}"
        )


@dataclass(frozen=True, slots=True)
class Passed:
    """A file's way from landing to bronze, and on into the warehouse if that was asked for."""

    to_bronze: Measurement
    invocations: int
    """Each but the last handed over to the next at its time limit."""
    loaded: Loaded | None = None


def take(csv: Path, rows: int, home: Path, *, load: bool = False, timeout_seconds: float | None = None) -> Passed:
    """Take ``csv`` of so many rows through a new world at ``home``.

    ``timeout_seconds`` stands in for the deployed time limit of ``ingest_crm``. Raises :class:`RuntimeError` when rows are
    missing anywhere, :class:`TimeoutError` when it takes too long.
    """
    timeouts = {} if timeout_seconds is None else {FUNCTION: timeout_seconds}
    with Supervisor(home, timeouts=timeouts, dbt_command="run") as world:
        world.drop(csv)
        manifest_at, manifest = _manifest(world)
        landed_at: datetime = world.cloud.storage.bucket(world.world.landing_bucket).get_blob(csv.name).time_created
        _expect(rows, manifest["rows"], "the manifest")
        pids = world.host.pools[FUNCTION].pids
        to_bronze = Measurement(
            wall_seconds=(manifest_at - landed_at).total_seconds(),
            cpu_seconds=sum(map(processes.cpu_seconds, pids)),
            peak_rss_bytes=max(map(processes.peak_rss_bytes, pids)),
            output_bytes=manifest["bytes"],
            rows=manifest["rows"],
        )
        loaded = _loaded(world, manifest, manifest_at, rows) if load else None
        return Passed(to_bronze, int(_slice(world, manifest).metadata["epoch"]), loaded)


def _manifest(world: Supervisor) -> tuple[datetime, dict[str, Any]]:
    """When the file's manifest was made, by Storage's clock, and what it says."""
    bucket = world.cloud.storage.bucket(world.world.bronze_bucket)
    for _ in _looks():
        for blob in bucket.list_blobs(prefix="manifests/", max_results=1):
            return blob.time_created, dict(json.loads(blob.download_as_bytes()))
        if failed := ledger.failures(world.cloud, ledger.read(world.cloud)):
            raise RuntimeError(f"the file was set aside: {failed[0]['error']}")
    raise TimeoutError(f"no manifest in {LIMIT_SECONDS:g} seconds")


def _slice(world: Supervisor, manifest: Mapping[str, Any]) -> Blob:
    """The slice's state object; its metadata mirrors the state."""
    name = f"slices/{manifest['run_id']}/{manifest['slice_id']}.json"
    return world.cloud.storage.bucket(world.world.state_bucket).get_blob(name)


def _loaded(world: Supervisor, manifest: Mapping[str, Any], manifest_at: datetime, rows: int) -> Loaded:
    """Wait until the slice is loaded and the build has registered it. The rest of the build is not waited for."""
    state = world.cloud.storage.bucket(world.world.state_bucket)
    pool = world.host.pools["load_bronze"]
    warehouse = world.services.warehouse.pid
    assert warehouse is not None
    before = processes.cpu_seconds(warehouse)
    loaded_at = None
    for _ in _looks():
        if loaded_at is None and (piece := _slice(world, manifest)).metadata["status"] == "loaded":
            loaded_at, loader = piece.updated, pool.pids
            took, peak = processes.cpu_seconds(warehouse) - before, processes.peak_rss_bytes(warehouse)
        if loaded_at is not None and not any(state.list_blobs(prefix="loaded/", max_results=1)):
            break  # the build took the slice's registration, and put it into bronze.slices
    else:
        raise TimeoutError(f"not loaded in {LIMIT_SECONDS:g} seconds")
    table = f"bronze.crm__{manifest['stream']}"
    ((in_table,),) = world.query(f"select count(*) from {table} where _date >= date '2000-01-01'")
    ((slices, slice_rows),) = world.query(
        "select count(*), sum(`rows`) from bronze.slices where as_of >= timestamp '2000-01-01'"
    )
    _expect(rows, in_table, table)
    _expect(rows, slice_rows, "bronze.slices")
    return Loaded(
        wall_seconds=(loaded_at - manifest_at).total_seconds(),
        cpu_seconds=sum(map(processes.cpu_seconds, loader)),
        peak_rss_bytes=max(map(processes.peak_rss_bytes, loader)),
        warehouse_cpu_seconds=took,
        warehouse_peak_rss_bytes=peak,
        parts=len(manifest["parts"]),
        largest_part_rows=max(part["rows"] for part in manifest["parts"]),
        slices=slices,
        slice_rows=slice_rows,
        table_rows=in_table,
    )


def _looks() -> Iterator[None]:
    """One look after another, some time apart, until the limit."""
    give_up = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < give_up:
        yield
        time.sleep(_POLL_SECONDS)


def _expect(rows: int, found: int, where: str) -> None:
    if found != rows:
        raise RuntimeError(f"{rows:,} rows in the file, {found:,} in {where}")
