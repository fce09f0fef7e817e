"""What importing costs a cold start: milliseconds, modules and memory of each door over functions-framework itself.

A fresh process for each figure; the least of a few, since noise only adds. What may be *imported* is guarded by a test
(``tests/functions/test_door_imports.py``), which does not depend on the clock.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import MIB

ROOT = Path(__file__).resolve().parents[1]
_PROGRAM = """
import sys, json, time
from benchmarks.processes import peak_rss_bytes
{before}
modules, wall, cpu = set(sys.modules), time.perf_counter(), time.process_time()
{imported}
took = time.perf_counter() - wall, time.process_time() - cpu
print(json.dumps([len(set(sys.modules) - modules), *took, peak_rss_bytes()]))
"""
_FRAMEWORK = "import functions_framework"
CLIENTS = {
    "ingest_crm": ("ingest", "storage", "pubsub"),
    "load_bronze": ("load", "storage", "pubsub", "bigquery"),
    "start_dbt": ("transform", "storage", "run_jobs"),
    "control": ("control", "storage", "pubsub"),
}
"""Module of each door, and the clients that a request of it makes."""


def first_use(door: str) -> str:
    """The statements by which a door's first request imports what it needs, and makes its clients."""
    module, *clients = CLIENTS[door]
    made = "; ".join(f"clients.{client}()" for client in clients)
    sources = "sources.find('crm'); " if door == "ingest_crm" else ""
    return f"from pipeline import {module}, clients, contract, sources; contract.load(); {sources}{made}"


def environment() -> Mapping[str, str]:
    """Of a deployed function, with addresses at which nobody answers: making a client asks nobody."""
    path = os.pathsep.join(str(ROOT / folder) for folder in ("functions", "dbt_job", ""))
    nobody = "127.0.0.1:9"
    addresses = {
        "STORAGE_EMULATOR_HOST": f"http://{nobody}",
        "BIGQUERY_EMULATOR_HOST": f"http://{nobody}",
        "PUBSUB_EMULATOR_HOST": nobody,
        "RUN_EMULATOR_HOST": nobody,
    }
    return {**os.environ, **addresses, "PYTHONPATH": path, "GOOGLE_CLOUD_PROJECT": "benchmark"}


@dataclass(frozen=True, slots=True)
class Import:
    """Modules and seconds are over what was imported before; the memory is the whole process's."""

    name: str
    modules: int
    wall_seconds: float
    cpu_seconds: float
    peak_rss_bytes: int

    def __str__(self) -> str:
        wall, cpu = self.wall_seconds * 1000, self.cpu_seconds * 1000
        return f"{self.name:28} {self.modules:5} modules {wall:7.1f} ms {cpu:7.1f} CPU ms {self.peak_rss_bytes / MIB:6.0f} MiB"


def cases() -> Mapping[str, tuple[str, str]]:
    """Name → (what is imported before, what is measured)."""
    doors = {door: (f"{_FRAMEWORK}; import main", f"from pipeline import {CLIENTS[door][0]}") for door in CLIENTS}
    first = {f"{door}, first request": (f"{_FRAMEWORK}; import main", first_use(door)) for door in CLIENTS}
    return {
        "functions-framework itself": ("", _FRAMEWORK),
        "main.py, all doors": (_FRAMEWORK, "import main"),
        **doors,
        **first,
        "dbt_job/job.py": ("", "import job"),
    }


def measure_imports(rounds: int) -> list[Import]:
    """The least of ``rounds`` for each case."""
    results = []
    for name, (before, imported) in cases().items():
        program = _PROGRAM.format(before=before, imported=imported)
        runs = []
        for _ in range(rounds):
            done = subprocess.run(
                [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=True
            )
            runs.append(json.loads(done.stdout))
        results.append(Import(name, runs[0][0], *map(min, list(zip(*runs, strict=True))[1:])))
    return results
