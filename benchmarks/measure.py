"""Runs of contestants on the same file, and how they are told: wall and CPU seconds, memory, and the ratio to a reference."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import MIB


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of one contestant. The peak is the whole process's, the largest of several."""

    wall_seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    output_bytes: int
    rows: int

    def __str__(self) -> str:
        return f"{self.wall_seconds:.2f} s, {self.cpu_seconds:.2f} CPU s, peak {self.peak_rss_bytes / MIB:.0f} MiB"


def run(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Measurement:
    """Run a contestant that prints a measurement as JSON in its last line."""
    done = subprocess.run(command, stdout=subprocess.PIPE, env={**os.environ, **(environment or {})}, text=True, check=True)
    return Measurement(**json.loads(done.stdout.splitlines()[-1]))


@dataclass(frozen=True, slots=True)
class Result:
    """All runs of one contestant on ``input_bytes``."""

    name: str
    runs: Sequence[Measurement]
    input_bytes: int

    @property
    def wall(self) -> list[float]:
        return sorted(run.wall_seconds for run in self.runs)

    @property
    def cpu(self) -> list[float]:
        return sorted(run.cpu_seconds for run in self.runs)

    @property
    def peak_rss_bytes(self) -> int:
        return max(run.peak_rss_bytes for run in self.runs)

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "input_bytes": self.input_bytes, "runs": [asdict(run) for run in self.runs]}


COLUMNS = ("", "wall min", "median", "max", "CPU min", "rows/s", "MB/s", "peak MiB", "out MB", "× wall", "× CPU")


def table(results: Sequence[Result], reference: str) -> str:
    """A table of results; the last two columns compare the least wall and CPU seconds with those of ``reference``."""
    base = next((result for result in results if result.name == reference), None)
    lines = [COLUMNS]
    for result in results:
        wall, cpu, one = result.wall, result.cpu, result.runs[0]
        lines.append(
            (
                result.name,
                f"{wall[0]:.2f}",
                f"{statistics.median(wall):.2f}",
                f"{wall[-1]:.2f}",
                f"{cpu[0]:.2f}",
                f"{one.rows / wall[0]:,.0f}",
                f"{result.input_bytes / wall[0] / 1e6:.1f}",
                f"{result.peak_rss_bytes / MIB:.0f}",
                f"{one.output_bytes / 1e6:.1f}",
                f"{wall[0] / base.wall[0]:.2f}" if base else "-",
                f"{cpu[0] / base.cpu[0]:.2f}" if base else "-",
            )
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    return "\n".join("  ".join(map(_justified, line, widths, range(len(line)))).rstrip() for line in lines)


def _justified(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if column else cell.ljust(width)
