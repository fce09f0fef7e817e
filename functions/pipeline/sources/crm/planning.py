"""Which slices the dropped files make: each is looked at, and how it is to be read is frozen into its slice's request."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, date
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from pipeline import clients, names, originals, presets, state
from pipeline.contract import Source
from pipeline.csv_head import HEAD_BYTES, look
from pipeline.csv_reading import Reading
from pipeline.csv_refusals import UNRECOGNISED, Examined, Known, Problem
from pipeline.presets import Preset
from pipeline.sources import Account, Ask, PlannedSlice

if TYPE_CHECKING:
    from google.cloud.storage import Blob

TRANSFER_SECONDS = 60
"""For one request."""
DATA_SUFFIXES = (".csv", ".tsv", ".tab", ".psv", ".ssv", ".txt")
"""Each may be followed by ``.gz``. A file with another one is rejected by its name."""
IGNORED_NAMES = frozenset({"readme.md", "readme.txt", "presets.yaml", "presets.yml", "thumbs.db", "desktop.ini"})
"""Last parts of names (in any case) that are no data and are not planned; nor are hidden files and folder placeholders."""
_PRESETS_PREFIX = "presets/"
_LOOKING_AGAIN = ("scheduler", "sweeper")


def is_ignored(name: str) -> bool:
    """Whether an object of the landing bucket is no data by its name: a folder, a hidden file, one of IGNORED_NAMES."""
    path = PurePosixPath(name)
    return name.endswith("/") or path.name.casefold() in IGNORED_NAMES or any(part.startswith(".") for part in path.parts)


def discover(ask: Ask, source: Source, accounts: Sequence[Account]) -> Iterable[PlannedSlice]:
    """Slices for the dropped files: the one that a finalize event told of, or all that the landing bucket holds.

    The schedule and the sweeper pass over files that were planned before. A person who asks gets every file that was last
    changed on the days asked for (UTC, both inclusive; without days, all): what is loaded is skipped by its bytes, what was
    set aside is judged anew. Raises :class:`~pipeline.errors.ContractError` for a preset of the deployment that is wrong.
    """
    book = presets.load(source, _deployed_presets())
    if ask.landing_object is not None:
        if is_ignored(ask.landing_object["name"]):
            return
        yield from _asked_for(ask, _one(ask.landing_object, book, source, accounts))
        return
    seen = {listed.name for listed in state.listing(names.SEEN)} if ask.asked_by in _LOOKING_AGAIN else frozenset()
    for blob in clients.landing_bucket().list_blobs(timeout=TRANSFER_SECONDS):
        if is_ignored(blob.name) or not _is_asked(ask, blob):
            continue
        if names.seen_name(blob.bucket.name, blob.name, str(blob.generation)) in seen:
            continue
        yield from _asked_for(ask, _planned(blob, book, source, accounts))


def _asked_for(ask: Ask, planned: Iterable[PlannedSlice]) -> Iterator[PlannedSlice]:
    """Of the slices of one file, those of the streams that were asked for."""
    return (piece for piece in planned if not ask.streams or piece.stream in ask.streams)


def _deployed_presets() -> dict[str, bytes]:
    found = clients.state_bucket().list_blobs(prefix=_PRESETS_PREFIX, timeout=TRANSFER_SECONDS)
    names = (".yaml", ".yml")
    return {blob.name: blob.download_as_bytes(timeout=TRANSFER_SECONDS) for blob in found if blob.name.endswith(names)}


def _is_asked(ask: Ask, blob: Blob) -> bool:
    day = blob.updated.astimezone(UTC).date()
    return (ask.window_from is None or day >= ask.window_from) and (ask.window_to is None or day <= ask.window_to)


def _one(landing: Mapping[str, str], book: Sequence[Preset], source: Source, accounts: Sequence[Account]) -> list[PlannedSlice]:
    """The slices of one object at one generation; of one that is gone by now, a slice that says so."""
    bucket = clients.storage().bucket(landing["bucket"])
    blob = bucket.get_blob(landing["name"], generation=int(landing["generation"]), timeout=TRANSFER_SECONDS)
    if blob is not None and (planned := _planned(blob, book, source, accounts)):
        return planned
    file = {"size": None, "md5": None, "updated": None, **{name: landing[name] for name in ("bucket", "name", "generation")}}
    stream = Known(book, source.streams).stream_by_name(landing["name"]) or UNRECOGNISED
    return [_slice(file, stream, _account(None, accounts), "upsert", originals.gone(landing["name"]))]


def _planned(blob: Blob, book: Sequence[Preset], source: Source, accounts: Sequence[Account]) -> list[PlannedSlice]:
    """The slices of one object, one for each stream that its preset and the companions of it read it into.

    None when it was replaced in between: its successor is planned by itself.
    """
    from google.api_core.exceptions import NotFound

    file = {
        "bucket": blob.bucket.name,
        "name": blob.name,
        "generation": str(blob.generation),
        "size": blob.size,
        "md5": blob.md5_hash,
        "updated": blob.updated.astimezone(UTC).isoformat(),
    }
    account = _account(None, accounts)
    if not blob.name.casefold().removesuffix(".gz").endswith(DATA_SUFFIXES):
        problem = Problem(
            f"{blob.name} is no delimited text by its name; read are {', '.join(DATA_SUFFIXES)}, each also with .gz",
            "Export it as CSV and drop it again, or remove it.",
        )
        return [_slice(file, Known(book, source.streams).stream_by_name(blob.name) or UNRECOGNISED, account, "upsert", problem)]
    try:
        piece = functools.partial(_piece, blob)
        found = look(blob.name, blob.size, piece, book=book, streams=source.streams, time_zone=account.time_zone)
    except NotFound:
        return []
    return [_placed(file, each, source, accounts) for each in (found, *found.companions)]


def _placed(file: Mapping[str, Any], found: Examined, source: Source, accounts: Sequence[Account]) -> PlannedSlice:
    """The slice of what a file was found to be: with the account, mode and days that its preset names."""
    name, preset, reading = str(file["name"]), found.preset, found.reading
    account = _account(preset.account if preset else None, accounts)
    stream = source.streams.get(found.stream)
    mode = (preset.mode if preset else None) or (stream.mode if stream else "upsert")
    days: tuple[date, date] | None = None
    problem = found.problem
    if preset is not None and reading is not None:
        if preset.account is not None and account.id != preset.account:
            problem = Problem(
                f"{name}: preset '{preset.name}' names the account '{preset.account}', which is not set up",
                f"Add '{preset.account}' to the accounts of {source.name} or correct the preset, and run the source again.",
            )
            return _slice(file, found.stream, _account(None, accounts), "upsert", problem)
        if "time_zone" not in preset.format:
            reading = replace(reading, values=replace(reading.values, time_zone=account.time_zone))
        if mode == "dates":
            try:
                days = preset.covers(name)
                what = f"its name does not tell its days: '{preset.days}' is not found in it"
            except ValueError as error:
                what = f"its name does not tell its days: {error}"
            if days is None:
                step = f"Name the file so, or correct days.file_name of preset '{preset.name}', and run the source again."
                problem = Problem(f"{name}: {what}", step)
    plan = problem or reading
    if plan is None:
        raise AssertionError("a file is neither read nor set aside")
    return _slice(file, found.stream, account, mode, plan, days)


def _slice(
    file: Mapping[str, Any],
    stream: str,
    account: Account,
    mode: str,
    plan: Reading | Problem,
    days: tuple[date, date] | None = None,
) -> PlannedSlice:
    request = {"file": dict(file), **({"reject": asdict(plan)} if isinstance(plan, Problem) else {"preset": plan.to_json()})}
    identity = f"{file['bucket']}/{file['name']}#{file['generation']}"
    first, last = days or (None, None)
    return PlannedSlice(stream, account.id, mode, request, first, last, identity)


def _account(wanted: str | None, accounts: Sequence[Account]) -> Account:
    """The account that a preset names, else ``default``, else the only one."""
    by_id = {account.id: account for account in accounts}
    chosen = by_id.get(wanted or "default")
    return chosen or (accounts[0] if len(accounts) == 1 and wanted is None else Account("default"))


def _piece(blob: Blob, start: int) -> bytes:
    """So many bytes as they are stored, from ``start``."""
    end = start + HEAD_BYTES - 1
    piece: bytes = blob.download_as_bytes(start=start, end=end, raw_download=True, checksum=None, timeout=TRANSFER_SECONDS)
    return piece
