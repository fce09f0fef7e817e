"""A whole world killed twice in the middle of its work: `up` goes on, and gold ends equal to what was dropped."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sandbox import landing, ledger
from sandbox.cloud import Cloud
from sandbox.dbt_runner import DBT_PYTHON
from sandbox.ledger import Ledger
from sandbox.status import collect
from sandbox.world import World

from .world_process import AheadWorld, descendants

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
WAIT_SECONDS = 240
RING_SECONDS = 20.0
FILES, ROWS = 4, 400


@contextmanager
def world_in_a_process(home: Path, hours: float) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "functions")])}
    command = [sys.executable, "-m", "tests.sandbox.world_process", str(home), str(hours)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield process
    finally:
        below = descendants(process.pid)
        process.kill()
        process.wait(10)
        for pid in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def write_exports(folder: Path, rng: random.Random) -> dict[str, Decimal]:
    """Order files with amounts by chance; returns order id → amount."""
    truth = {}
    folder.mkdir()
    for number in range(FILES):
        lines = ["order_id,contact_id,order_at,amount,currency"]
        for row in range(ROWS):
            amount = Decimal(rng.randrange(1, 100_000)) / 100
            truth[f"O{number}-{row}"] = amount
            lines.append(f"O{number}-{row},C{row},2024-{row % 12 + 1:02d}-05 12:00:00,{amount},EUR")
        (folder / f"orders {number}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    contacts = [f"C{row},c{row}@example.com,2023-05-01 08:00:00,NL" for row in range(ROWS)]
    (folder / "contacts.csv").write_text("\n".join(["contact_id,email,created_at,country", *contacts]) + "\n", encoding="utf-8")
    return truth


def when(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def cloud_of(world: World) -> Cloud:
    running = world.running()
    assert running is not None
    return Cloud(world, running.parsed_addresses())


@pytest.mark.skipif(not DBT_PYTHON.exists(), reason=f"no environment at {DBT_PYTHON.parents[1]}: run `make install`")
def test_gold_is_whole_after_a_kill_amid_extraction_and_one_amid_dbt(tmp_path: Path) -> None:
    rng = random.Random(4)
    truth = write_exports(tmp_path / "exports", rng)
    world = World(tmp_path / "home")

    with world_in_a_process(world.home, 0) as process:
        with contextlib.closing(cloud_of(world)) as cloud:
            landing.drop_folder(cloud, tmp_path / "exports")
            when(lambda: any(item.status in ("extracted", "loaded") for item in ledger.read(cloud).slices))
        time.sleep(rng.uniform(0, 0.5))
        below = descendants(process.pid)
        for pid in [process.pid, *below]:  # at one blow: supervisor, warehouse, functions
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(10)
    status = collect(world)
    assert status.state == "killed"
    assert sum(status.slice_counts.values()) > 0
    assert all(one.reason and one.next_step for one in status.slices)
    assert not status.warehouse_note

    with world_in_a_process(world.home, 3) as process:
        with contextlib.closing(cloud_of(world)) as cloud:
            ringer = Ringer()
            when(lambda: ringer.state(cloud).building)
        time.sleep(rng.uniform(0, 3))
        below = descendants(process.pid)
        os.kill(process.pid, signal.SIGKILL)  # the supervisor alone: what it started has to end by itself, or by the next
        process.wait(10)
        with AheadWorld(world.home, 9) as last:
            when(lambda: not set(below) & set(_living()))
            state = last.wait_idle(600, sweep_seconds=RING_SECONDS)
            found = {row.order_id: row.amount for row in last.query("select order_id, amount from gold.fact_orders")}
            contacts = next(iter(last.query("select count(*) as n from gold.dim_contacts where contact_id is not null"))).n
            slices = [row.slice_id for row in last.query("select slice_id from bronze.slices")]
            rows = next(iter(last.query("select count(*) as n from bronze.crm__orders where _date > '2000-01-01'"))).n
    assert found == truth
    assert rows == FILES * ROWS, "no row twice in bronze"
    assert contacts >= ROWS
    assert len(set(slices)) == FILES + 1
    assert state.settled
    assert state.statuses["loaded"] == FILES + 1


class Ringer:
    """Rings the sweeper as the clock does each minute, a little oftener: each ring may start a job until one claims."""

    def __init__(self) -> None:
        self._rung_at = 0.0

    def state(self, cloud: Cloud) -> Ledger:
        """Ring when it is time to; what the state bucket then says."""
        if time.monotonic() - self._rung_at > RING_SECONDS:
            self._rung_at = time.monotonic()
            cloud.scheduler.run_job(name=f"{cloud.world.parent}/jobs/sweep")
        return ledger.read(cloud)


def _living() -> list[int]:
    listing = subprocess.run(["ps", "-A", "-o", "pid=,stat="], capture_output=True, text=True, check=True).stdout
    return [int(pid) for pid, state in (line.split(None, 1) for line in listing.splitlines()) if not state.startswith("Z")]
