"""Explains the state of a world: whether it is up, its runs and slices, its builds, and what a person should do next."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape

from sandbox import ledger
from sandbox.cloud import Cloud
from sandbox.engines.storage import StorageEngine
from sandbox.ledger import Ledger, SliceState
from sandbox.progress import Progress, describe
from sandbox.world import Addresses, Lock, World

_NEWEST_RUNS = 10


def show_status(world: World, console: Console | None = None) -> int:
    """Print the status. Returns 0."""
    console = console or Progress().console
    running = world.running()
    if running is None:
        console.print(f"down: {escape(str(world.home))}")
    else:
        console.print(f"{running.status}: {escape(str(world.home))} (process {running.pid})")
        if "console" in running.urls:
            console.print(f"control {running.urls['console']}")
    settings = world.read_settings()
    if settings is not None:
        filled = settings.data or f"the make-believe company, seed {settings.seed}"
        console.print(f"holds   {escape(filled)}; reports in {settings.reporting_currency}")
    with storage_of(world) as cloud:
        state = ledger.read(cloud)
        console.print(f"state   {describe(state)}")
        _runs(console, cloud, state)
        _builds(console, state)
        for name in ledger.dead_letters(cloud):
            console.print(f"[yellow]dead letter[/yellow] {escape(name)}")
    return 0


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


def _runs(console: Console, cloud: Cloud, state: Ledger) -> None:
    by_run: dict[str, list[SliceState]] = defaultdict(list)
    for item in state.slices:
        by_run[item.run_id].append(item)
    names = sorted(state.runs, reverse=True)
    if names:
        console.print(f"\nruns, newest first ({min(len(names), _NEWEST_RUNS)} of {len(names)})")
    for run_id in names[:_NEWEST_RUNS]:
        part = Ledger(slices=tuple(by_run[run_id]))
        counts = ", ".join(f"{count} {status}" for status, count in sorted(part.statuses.items())) or "no slices"
        mark = "open" if run_id in state.open_runs else state.outcomes.get(run_id, "closed")
        console.print(f"  {mark:<10}{run_id}  {counts}; {part.rows:,} rows, {part.aside:,} set aside")
    for outcome in ledger.unplanned(cloud, state):
        console.print(f"  [red]failed[/red] {outcome['run_id']}: {escape(str((outcome.get('error') or {}).get('message')))}")
    for failed in ledger.failures(cloud, state):
        error = failed.get("error") or {}
        file = ((failed.get("request") or {}).get("file") or {}).get("name", failed["slice_id"])
        console.print(f"  [yellow]failed[/yellow] {escape(str(file))}: {escape(str(error.get('message', '')))}")
        if error.get("next_step"):
            console.print(f"         → {escape(str(error['next_step']))}")


def _builds(console: Console, state: Ledger) -> None:
    if state.build == 0:
        console.print("\nno dbt build yet")
        return
    text = f"\ndbt build {state.build} is the newest, {state.done_build} the newest that ended well"
    if state.building is not None:
        text += f"; build {state.building} runs"
    if wants := len(state.transform.get("wants") or []):
        text += f"; {wants} asked for"
    console.print(text)
    if state.waiting_loads:
        console.print(f"{state.waiting_loads} loaded slices wait for the next build")
