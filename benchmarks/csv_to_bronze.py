"""A CSV from landing to bronze through the deployed function, beside what DuckDB and dlt do with the same file.

Ours reads the file twice from Storage (to know its content, and to read its rows), has it copied into bronze, judges every
value, and uploads gzip JSON lines with a manifest. DuckDB reads a local file and writes a local one.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import measure
from benchmarks.measure import Measurement, Result
from benchmarks.whole_path import Passed

ROOT = Path(__file__).resolve().parents[1]
Take = Callable[[Path], Passed]

OURS = "ours: landing → bronze"
CONVERSION = "ours: the loop alone"
REFERENCE = "DuckDB → JSON.gz"
PEERS = ROOT / ".venvs" / "bench" / "bin" / "python"
DLT = "dlt → JSON lines.gz"
DLT_ROWS = 1_000_000
"""dlt takes minutes for what takes the others seconds: it is measured once, and left out of files with more rows."""


def compare(csv: Path, rows: int, rounds: int, take: Take, peers: Path = PEERS) -> list[Result]:
    """Every contestant once per round, in turn, so that a busy moment of the machine meets all of them.

    ``take`` takes the file through a new world at a folder (see :mod:`benchmarks.whole_path`). ``peers`` is the interpreter
    of the peers' environment; without it ours are measured alone. Raises :class:`RuntimeError` for one that lost rows.
    """
    contestants = {**ours(csv, take), **(peers_of(csv, rows, peers) if peers.exists() else {})}
    measured: dict[str, list[Measurement]] = {name: [] for name in contestants}
    for number in range(1, rounds + 1):
        for name, contestant in contestants.items():
            if name == DLT and number > 1:
                continue
            print(f"round {number} of {rounds}: {name} …", end=" ", file=sys.stderr, flush=True)
            one = contestant()
            print(one, file=sys.stderr, flush=True)
            if one.rows != rows:
                raise RuntimeError(f"{name}: {rows} rows in, {one.rows} out")
            measured[name].append(one)
    return [Result(name, runs, csv.stat().st_size) for name, runs in measured.items()]


def ours(csv: Path, take: Take) -> dict[str, Callable[[], Measurement]]:
    """The function in a world of its own, and its loop without world and transfers."""

    def through_a_world() -> Measurement:
        with scratch() as home:
            return take(home).to_bronze

    def conversion() -> Measurement:
        path = os.pathsep.join((str(ROOT / "functions"), str(ROOT)))
        return _measured([sys.executable, "-m", "benchmarks.conversion", csv], environment={"PYTHONPATH": path})

    return {OURS: through_a_world, CONVERSION: conversion}


def peers_of(csv: Path, rows: int, python: Path) -> dict[str, Callable[[], Measurement]]:
    """DuckDB with every core, which is how it comes, and with one; dlt for files that it can be waited for."""
    duckdb, dlt = (Path(__file__).with_name(name) for name in ("duckdb_peer.py", "dlt_peer.py"))
    contestants: dict[str, Callable[[], Measurement]] = {
        REFERENCE: lambda: _measured([python, duckdb, csv], ["json"]),
        f"{REFERENCE}, 1 thread": lambda: _measured([python, duckdb, csv], ["json", "1"]),
        "DuckDB → Parquet": lambda: _measured([python, duckdb, csv], ["parquet"]),
        "DuckDB → Parquet, 1 thread": lambda: _measured([python, duckdb, csv], ["parquet", "1"]),
    }
    if rows <= DLT_ROWS:
        quiet = {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "CRITICAL"}
        contestants[DLT] = lambda: _measured([python, dlt, csv], environment=quiet)
    return contestants


def _measured(
    command: Sequence[str | Path], arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> Measurement:
    """Run a program that writes to the path after ``command``, which is gone when it has been measured."""
    with scratch() as folder:
        return measure.run([*command, folder / "out", *arguments], environment)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for what is written, removed with all that it holds."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
