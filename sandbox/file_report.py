"""Accounts for every file that was dropped: rows in it = loaded + set aside + declared non-rows, and how it was read.

Read from what the pipeline itself keeps: the slices of the state bucket, the manifests and set-aside rows of the bronze bucket.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.api_core.exceptions import NotFound
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline import names
from sandbox import ledger
from sandbox.cloud import Cloud
from sandbox.ledger import TIMEOUT_SECONDS
from sandbox.summary import TOLERATED_FAILURES

_REASONS = 3
"""So many reasons for set-aside rows are shown of one file, the commonest first."""


@dataclass(slots=True)
class FileAccount:
    """One file in one stream. ``loaded`` and the counts after it are ``None`` where the file was not read to its end."""

    name: str
    stream: str
    status: str
    preset: str = ""
    loaded: int | None = None
    aside: int | None = None
    non_rows: int | None = None
    notes: list[str] = field(default_factory=list)
    """Guesses, commonest reasons of set-aside rows, or why the whole file was not loaded."""

    @property
    def in_file(self) -> int | None:
        """Records below the header, as the reader counted them."""
        return None if self.loaded is None else self.loaded + (self.aside or 0) + (self.non_rows or 0)


def accounts(cloud: Cloud) -> list[FileAccount]:
    """Every file that some run has planned, in the order of names, each arrival of it once per stream."""
    found = [_account(cloud, state) for state in _file_slices(cloud)]
    return sorted(found, key=lambda account: (account.name, account.stream, account.status))


def _file_slices(cloud: Cloud) -> Iterator[dict[str, Any]]:
    bucket = cloud.storage.bucket(cloud.world.state_bucket)
    for item in ledger.read(cloud).slices:
        state = ledger.read_json(bucket, f"slices/{item.run_id}/{item.slice_id}.json")
        if state and state["request"].get("file"):
            yield state


def _account(cloud: Cloud, state: Mapping[str, Any]) -> FileAccount:
    account = FileAccount(names.shown_file(state["request"]["file"]), state["stream"], state["status"])
    account.preset = (state["request"].get("preset") or {}).get("preset", "")
    bronze = cloud.storage.bucket(cloud.world.bronze_bucket)
    manifest = ledger.read_json(bronze, f"manifests/{state['run_id']}/{state['slice_id']}.json")
    if manifest is None:
        if (state["error"] or {}).get("kind") in TOLERATED_FAILURES:
            account.status = "set aside"
        account.notes = [" — ".join(filter(None, ((state["error"] or {}).get(key) for key in ("message", "next_step"))))]
        return account
    account.loaded, account.aside, account.non_rows = manifest["rows"], manifest["aside"], manifest["non_rows"] or 0
    account.notes = [f"found out: {guess}" for guess in manifest["api"].get("guesses", [])]
    if others := manifest["api"].get("non_members"):
        account.notes.append(f"no file of the archive: {', '.join(others)}")
    if manifest["unknown_fields"]:
        account.notes.append(f"columns that no field takes: {', '.join(manifest['unknown_fields'])}")
    account.notes += _reasons(cloud, manifest["asides"])
    if state["error"]:
        account.notes.append(state["error"]["message"])
    return account


def _reasons(cloud: Cloud, parts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why rows were set aside, each reason with its number and its first row."""
    counts: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], str] = {}
    bronze = cloud.storage.bucket(cloud.world.bronze_bucket)
    for part in parts:
        try:
            content = bronze.blob(part["name"]).download_as_bytes(raw_download=True, timeout=TIMEOUT_SECONDS)
        except NotFound:
            return [f"{part['name']} is gone"]
        for line in gzip.decompress(content).splitlines():
            row = json.loads(line)
            payload = row["payload"]
            reason = (payload["reason"], payload.get("column") or "")
            counts[reason] += 1
            value = f": {payload['value']!r}" if payload.get("value") else ""
            first.setdefault(reason, f"line {row.get('_line')}{value}")
    shown = [
        f"{count:,} × {name}{f' in {column}' if column else ''}, first in {first[name, column]}"
        for (name, column), count in counts.most_common(_REASONS)
    ]
    if more := len(counts) - _REASONS:
        shown += [f"and {more} more reasons in audit.aud_set_aside"] if more > 0 else []
    return shown


def show(console: Console, found: Sequence[FileAccount]) -> None:
    """Print the accounts for people; every number of a line adds up to its first."""
    if not found:
        console.print("no file was dropped yet")
        return
    table = Table(box=None, title="Rows in each file", title_justify="left")
    for name in ("file", "stream", "preset", "status"):
        table.add_column(name, overflow="fold")
    for name in ("in file", "= loaded", "+ set aside", "+ non-rows"):
        table.add_column(name, justify="right")
    for account in found:
        counts = (account.in_file, account.loaded, account.aside, account.non_rows)
        table.add_row(
            *map(escape, (account.name, account.stream, account.preset, account.status)),
            *("" if count is None else f"{count:,}" for count in counts),
        )
    console.print(table)
    for account in found:
        for note in account.notes:
            console.print(f"[bold]{escape(account.name)}[/bold] ({escape(account.stream)}): {escape(note)}")
