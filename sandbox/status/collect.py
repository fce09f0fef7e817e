"""Collects the status of a world: from its running supervisor and engines, or from the directories that they left."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import requests

from pipeline import contract as contracts
from pipeline.slices import SETTLED
from sandbox import ledger
from sandbox.cloud import Cloud
from sandbox.engines.storage import StorageEngine
from sandbox.ledger import Ledger, SliceState
from sandbox.status import inside as insides
from sandbox.status import warehouse
from sandbox.status.facts import BucketFact, EngineFact, Inside, RunFact, SliceFact, WorldStatus
from sandbox.status.logs import waiting_reasons
from sandbox.status.slices import Surroundings, explain, explain_transform
from sandbox.world import Addresses, Lock, Running, Settings, World, WorldError
from sandbox.world_faults import active_faults

EXPLAINED = 200
"""Of so many slices the state object is read; a backfill may have thousands that wait for their turn."""
NEWEST_RUNS = 100
_ALIVE_SECONDS = 1.0


def collect(world: World) -> WorldStatus:
    """Look at the world now. Raises :class:`WorldError` while it starts, or while another verb holds it."""
    running = world.running()
    if running is not None and running.status != "up":
        raise WorldError(
            "this world is just starting; ask again in a few seconds"
            if running.status == "starting"
            else "another verb is at work on this world; ask again when it is done"
        )
    contract = contracts.load()
    with storage_of(world) as cloud:  # of a world that is not up it takes the lock
        if running is not None:
            inside = _ask(running)
            faults = active_faults(running)
            datasets, note = warehouse.of_running(running.parsed_addresses().bigquery)
        else:
            inside = insides.of_directories(world, contract.functions)
            faults = []
            datasets, note = warehouse.of_directory(world.engine("bigquery"))
        state = ledger.read(cloud)
        around = _surroundings(world, running, inside, {name: one.parallel_slices for name, one in contract.sources.items()})
        settings = world.read_settings()
        status, explanation = _state(world, running)
        return WorldStatus(
            home=str(world.home),
            state=status,
            explanation=explanation,
            control_url=running.urls.get("console", "") if running else "",
            holds=_holds(settings),
            reporting_currency=settings.reporting_currency if settings else "",
            engines=_engines(running),
            inside=inside,
            runs=_runs(cloud, state),
            run_counts=dict(Counter(_run_status(state, run) for run in state.runs)),
            slice_counts=dict(state.statuses),
            rows_loaded=state.rows,
            rows_set_aside=state.aside,
            slices=_slices(cloud, state, around),
            transform=explain_transform(state, around),
            dead_letters_filed=ledger.dead_letters(cloud),
            buckets=_buckets(cloud),
            warehouse=datasets,
            warehouse_note=note,
            faults=faults,
        )


@contextlib.contextmanager
def storage_of(world: World) -> Iterator[Cloud]:
    """The running world's clients, or storage alone, started to be read."""
    running = world.running()
    if running is not None and running.addresses:
        with contextlib.closing(Cloud(world, running.parsed_addresses())) as cloud:
            yield cloud
        return
    lock = Lock(world.home)
    engine = StorageEngine(world.engine("storage"))
    try:
        nowhere = Addresses(engine.start(), pubsub="", bigquery="", secret_manager="", scheduler="", run="")
        with contextlib.closing(Cloud(world, nowhere)) as cloud:
            yield cloud
    finally:
        engine.stop()
        lock.release()


def _ask(running: Running) -> Inside:
    try:
        return insides.ask(running.urls["inside"])
    except (KeyError, requests.RequestException) as error:
        raise WorldError(f"the supervisor (process {running.pid}) does not answer: {error}") from error


def _state(world: World, running: Running | None) -> tuple[str, str]:
    if running is not None:
        return "up", f"process {running.pid}"
    last = world.last_run()
    if last is not None and last.status != "down":
        what = "while it started" if last.status == "starting" else "without stopping"
        return "killed", f"process {last.pid} ended {what}; nothing that was answered is lost, and `up` goes on from here"
    return "stopped", "`up` starts it again"


def _holds(settings: Settings | None) -> str:
    if settings is None:
        return "nothing yet"
    if settings.data is None and settings.seed is None:
        return "what was dropped into it"
    return settings.data or f"the make-believe company, seed {settings.seed}"


def _engines(running: Running | None) -> list[EngineFact]:
    addresses = running.addresses if running else dict.fromkeys(Addresses.__dataclass_fields__, "")
    return [EngineFact(name, address, bool(address) and _answers(address)) for name, address in addresses.items()]


def _answers(address: str) -> bool:
    parts = urlsplit(address if "//" in address else f"//{address}")
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=_ALIVE_SECONDS):
            return True
    except OSError:
        return False


def _surroundings(world: World, running: Running | None, inside: Inside, parallel_slices: dict[str, int]) -> Surroundings:
    now = datetime.fromisoformat(inside.clock.now) if inside.clock else datetime.now(UTC)
    return Surroundings(
        now=now,
        up=running is not None,
        in_flight=inside.in_flight,
        job_runs=inside.job_runs,
        parallel_slices=parallel_slices,
        words=waiting_reasons(world.logs),
        back_off={entry.about: entry for queue in inside.queues for entry in queue.back_off if entry.about},
    )


def _run_status(state: Ledger, run: str) -> str:
    return "open" if run in state.open_runs else state.outcomes.get(run) or "closed"


def _runs(cloud: Cloud, state: Ledger) -> list[RunFact]:
    by_run: dict[str, list[SliceState]] = defaultdict(list)
    for item in state.slices:
        by_run[item.run_id].append(item)
    errors = {outcome["run_id"]: outcome.get("error") or {} for outcome in ledger.unplanned(cloud, state)}
    found = []
    for run in sorted(state.runs, reverse=True)[:NEWEST_RUNS]:
        part = Ledger(slices=tuple(by_run[run]))
        error = str(errors.get(run, {}).get("message", ""))
        found.append(RunFact(run, _run_status(state, run), dict(part.statuses), part.rows, part.aside, error))
    return found


def _slices(cloud: Cloud, state: Ledger, around: Surroundings) -> list[SliceFact]:
    """The slices that are not settled, then those that failed."""
    bucket = cloud.storage.bucket(cloud.world.state_bucket)
    wanted = [item for item in state.slices if item.status not in SETTLED]
    wanted += [item for item in state.slices if item.status == "failed"]
    found = []
    for item in wanted[:EXPLAINED]:
        name = f"slices/{item.run_id}/{item.slice_id}.json"
        blob, data = bucket.get_blob(name, timeout=ledger.TIMEOUT_SECONDS), ledger.read_json(bucket, name)
        if blob is None or data is None or data["status"] in SETTLED - {"failed"}:
            continue  # it went on meanwhile
        found.append(explain(data, blob.updated, around))
    return found


def _buckets(cloud: Cloud) -> list[BucketFact]:
    found = []
    for bucket in cloud.storage.list_buckets(timeout=ledger.TIMEOUT_SECONDS):
        sizes: list[Any] = [
            blob.size or 0
            for blob in bucket.list_blobs(fields="items(name,size),nextPageToken", timeout=ledger.TIMEOUT_SECONDS)
        ]
        found.append(BucketFact(bucket.name, len(sizes), sum(sizes)))
    return found
