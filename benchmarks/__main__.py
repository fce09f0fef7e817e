"""``python -m benchmarks [csv] [load] [imports] [--rows N] [--rounds N]``: measures, prints, and keeps the figures as JSON."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import csv_to_bronze, door_imports, measure, orders_csv, whole_path
from benchmarks.csv_to_bronze import PEERS, ROOT
from benchmarks.processes import MIB
from benchmarks.whole_path import Passed
from pipeline import contract

RESULTS = ROOT / ".benchmarks"
"""Results, and the generated files; git ignores it."""
WHAT = ("csv", "load", "imports")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 if the function took more memory than it is deployed with."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", nargs="*", default=WHAT, metavar="csv|load|imports", help="all, if none is named")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the CSV, 106 bytes each (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (%(default)s)")
    parser.add_argument("--timeout-seconds", type=float, help="time limit of ingest_crm (as deployed)")
    parser.add_argument("--folder", type=Path, default=RESULTS, help="for the CSV and the results (.benchmarks)")
    parser.add_argument("--peers", type=Path, default=PEERS, help="interpreter of the peers' environment (.venvs/bench)")
    wanted = parser.parse_args(arguments)
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}
    load = os.getloadavg()[0]
    print(f"{machine['cores']} cores, Python {machine['python']}, {machine['system']}; load average before: {load:.1f}")
    said: dict[str, Any] = {"at": datetime.datetime.now(datetime.UTC).isoformat(), "machine": machine, "load_before": load}
    csv = orders_csv.write(wanted.folder, wanted.rows) if {"csv", "load"} & set(wanted.what) else Path()
    passed: list[Passed] = []

    def take(home: Path) -> Passed:
        """The first world loads what it has read, if that is wanted; the others would only measure it again."""
        load = "load" in wanted.what and not passed
        passed.append(whole_path.take(csv, wanted.rows, home, load=load, timeout_seconds=wanted.timeout_seconds))
        return passed[-1]

    if "csv" in wanted.what:
        if not wanted.peers.exists():
            print("no peers: `make bench` makes their environment, .venvs/bench", file=sys.stderr)
        results = csv_to_bronze.compare(csv, wanted.rows, wanted.rounds, take, wanted.peers)
        size = csv.stat().st_size / 1e6
        print(f"\n{csv.name}: {wanted.rows:,} rows, {size:.1f} MB; seconds; × is against {csv_to_bronze.REFERENCE}")
        print(measure.table(results, csv_to_bronze.REFERENCE))
        said["csv"] = [result.to_json() for result in results]
    elif "load" in wanted.what:
        with csv_to_bronze.scratch() as home:
            take(home)
    if "load" in wanted.what:
        print(f"\nlanding → bronze in {passed[0].invocations} invocations: {passed[0].to_bronze}")
        print(f"bronze → local BigQuery: {passed[0].loaded}")
        said["load"] = asdict(passed[0])
    if "imports" in wanted.what:
        imports = door_imports.measure_imports(wanted.rounds)
        print("\n" + "\n".join(map(str, imports)))
        said["imports"] = [asdict(each) for each in imports]
    kept = wanted.folder / f"{said['at'][:19].replace(':', '')}.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(said, indent=1), encoding="utf-8")
    print(f"\nkept in {kept}")
    limit_mib = contract.load().functions[whole_path.FUNCTION].memory_mib
    peak = max((one.to_bronze.peak_rss_bytes for one in passed), default=0)
    if peak > limit_mib * MIB:
        print(f"{whole_path.FUNCTION} took {peak / MIB:.0f} MiB, and is deployed with {limit_mib}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
