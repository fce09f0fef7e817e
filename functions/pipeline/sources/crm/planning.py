"""Which slices the dropped files make: each is looked at, and how it is to be read is frozen into its slice's request."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC
from typing import TYPE_CHECKING

from pipeline import clients, names, originals, presets, state
from pipeline.contract import Source
from pipeline.csv_foreign import office_document
from pipeline.csv_head import HEAD_BYTES, look
from pipeline.csv_refusals import SAVE_SHEETS, Problem
from pipeline.file_bytes import TRANSFER_SECONDS
from pipeline.sources import Account, Ask, PlannedSlice
from pipeline.sources.crm.file_names import is_ignored, no_table
from pipeline.sources.crm.members import member_slices
from pipeline.sources.crm.placing import Placing
from pipeline.zip_archive import is_zip

if TYPE_CHECKING:
    from google.cloud.storage import Blob

_PRESETS_PREFIX = "presets/"
_LOOKING_AGAIN = ("scheduler", "sweeper")


def discover(ask: Ask, source: Source, accounts: Sequence[Account]) -> Iterable[PlannedSlice]:
    """Slices for the dropped files: the one that a finalize event told of, or all that the landing bucket holds.

    The schedule and the sweeper pass over files that were planned before. A person who asks gets every file that was last
    changed on the days asked for (UTC, both inclusive; without days, all): what is loaded is skipped by its bytes, what was
    set aside is judged anew. Raises :class:`~pipeline.errors.ContractError` for a preset of the deployment that is wrong.
    """
    placing = Placing(presets.load(source, _deployed_presets()), source, accounts)
    if ask.landing_object is not None:
        if is_ignored(ask.landing_object["name"]):
            return
        yield from _asked_for(ask, _one(ask.landing_object, placing))
        return
    seen = {listed.name for listed in state.listing(names.SEEN)} if ask.asked_by in _LOOKING_AGAIN else frozenset()
    for blob in clients.landing_bucket().list_blobs(timeout=TRANSFER_SECONDS):
        if is_ignored(blob.name) or not _is_asked(ask, blob):
            continue
        if names.seen_name(blob.bucket.name, blob.name, str(blob.generation)) in seen:
            continue
        yield from _asked_for(ask, _planned(blob, placing))


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


def _one(landing: Mapping[str, str], placing: Placing) -> list[PlannedSlice]:
    """The slices of one object at one generation; of one that is gone by now, a slice that says so."""
    bucket = clients.storage().bucket(landing["bucket"])
    blob = bucket.get_blob(landing["name"], generation=int(landing["generation"]), timeout=TRANSFER_SECONDS)
    if blob is not None and (planned := _planned(blob, placing)):
        return planned
    file = {"size": None, "md5": None, "updated": None, **{name: landing[name] for name in ("bucket", "name", "generation")}}
    return [placing.set_aside(file, originals.gone(landing["name"]))]


def _planned(blob: Blob, placing: Placing) -> list[PlannedSlice]:
    """The slices of one object, one for each stream that its preset and the companions of it read it into, for an archive
    those of each of its members.

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
    try:
        piece = functools.cache(functools.partial(_piece, blob))
        if blob.size and is_zip(piece(0)):
            if office := office_document(piece(0)):
                return [placing.set_aside(file, Problem(f"{blob.name} is {office}", SAVE_SHEETS))]
            return list(member_slices(blob, file, placing))
        if problem := no_table(blob.name):
            return [placing.set_aside(file, problem)]
        streams, zone = placing.source.streams, placing.time_zone
        found = look(blob.name, blob.size, piece, book=placing.book, streams=streams, time_zone=zone)
    except NotFound:
        return []
    return list(placing.of(file, found))


def _piece(blob: Blob, start: int) -> bytes:
    """So many bytes as they are stored, from ``start``."""
    end = start + HEAD_BYTES - 1
    piece: bytes = blob.download_as_bytes(start=start, end=end, raw_download=True, checksum=None, timeout=TRANSFER_SECONDS)
    return piece
