"""What the warehouse holds: asked of the running engine, or read from the files of one that is not up."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import requests

from sandbox.engines.bigquery_process import ENVIRONMENT, ROOT
from sandbox.status.facts import DatasetFact, TableFact

INVENTORY = "/_sandbox/inventory"
_ASK_SECONDS = 3.0
_READ_SECONDS = 60.0

Found = tuple[list[DatasetFact], str]
"""The datasets, and why they are not known where they are not."""


def of_running(address: str) -> Found:
    """Ask the engine, which does one thing at a time."""
    try:
        answer = requests.get(address + INVENTORY, timeout=_ASK_SECONDS)
        answer.raise_for_status()
    except requests.Timeout:
        return [], f"busy: a statement has been running for more than {_ASK_SECONDS:g} s"
    except requests.RequestException as error:
        return [], f"does not answer: {error}"
    return _datasets(answer.json()), ""


def of_directory(directory: Path) -> Found:
    """Read the files, also those of an engine that was killed."""
    python = ENVIRONMENT / "bin" / "python"
    if not directory.exists():
        return [], "nothing yet"
    if not python.exists():
        return [], f"cannot be read without {ENVIRONMENT.relative_to(ROOT)}: run `make install`"
    try:
        done = subprocess.run(
            [str(python), "-m", "sandbox.engines.bigquery.inventory", str(directory)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=_READ_SECONDS,
        )
    except subprocess.CalledProcessError as error:
        return [], f"cannot be read: {error.stderr.strip().splitlines()[-1:] or error}"
    except subprocess.TimeoutExpired:
        return [], f"could not be read within {_READ_SECONDS:g} s"
    return _datasets(json.loads(done.stdout)), ""


def _datasets(entries: Iterable[Mapping[str, Any]]) -> list[DatasetFact]:
    return [
        DatasetFact(name, [TableFact(one["table"], one["kind"], one["rows"]) for one in group if one["table"]])
        for name, group in groupby(entries, key=lambda entry: str(entry["dataset"]))
    ]
