"""The currency in which a folder's orders are mostly written: the reporting currency of a world made from that folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

from pipeline import contract, presets
from pipeline.csv_head import HEAD_BYTES, examine, head_of
from pipeline.csv_refusals import Problem
from pipeline.csv_text import NotRows, Readable
from pipeline.presets import Preset
from pipeline.sources.crm import decided_of, is_ignored, pages_of
from pipeline.sources.crm.file_names import is_no_member
from pipeline.sources.crm.members import MEMBER_HEAD_BYTES
from pipeline.zip_archive import Archive, Refused, is_zip
from sandbox.landing import PRESETS_FILE, files_of

Opener = Callable[[], AbstractContextManager[Readable]]


def commonest_currency(folder: Path) -> str | None:
    """ISO 4217 code that most orders of the folder's files carry (at a draw the first by name); ``None`` without any.

    Files are read as the source ``crm`` reads them, with the folder's own presets; one that it would set aside counts nothing.
    Raises :class:`~pipeline.errors.ContractError` for presets that are wrong, ``WorldError`` for a missing folder.
    """
    source = contract.load().files_source
    own = folder / PRESETS_FILE
    book = presets.load(source, {PRESETS_FILE: own.read_bytes()} if own.is_file() else None)
    counts: Counter[str] = Counter()
    for name, path in files_of(folder):
        if is_ignored(name):
            continue
        with path.open("rb") as file:
            for shown, head_bytes, opened in _tables(file, name):
                try:
                    counts.update(_currencies(shown, head_bytes, opened, book))
                except NotRows:
                    continue  # cut short: it will be set aside whole
    return min(counts, key=lambda code: (-counts[code], code), default=None)


def _tables(file: BinaryIO, name: str) -> Iterator[tuple[str, int, Opener]]:
    """The file, or the members of an archive: shown name, bytes by which it is judged, and how it is opened (again)."""

    def opened() -> AbstractContextManager[Readable]:
        file.seek(0)
        return nullcontext(file)

    if not is_zip(file.read(4)):
        yield name, HEAD_BYTES, opened
        return
    try:
        archive = Archive(file, name)
    except Refused:
        return
    for member in archive.members:
        if not is_no_member(member.name) and member.problem is None:
            yield f"{name}/{member.name}", MEMBER_HEAD_BYTES, lambda inside=member.name: archive.open(inside)  # type: ignore[misc]


def _currencies(name: str, head_bytes: int, opened: Opener, book: Sequence[Preset]) -> Iterator[str]:
    """The currency of each order of a file, as far as it says one."""
    streams = contract.load().files_source.streams
    with opened() as stream:
        head, complete = head_of(stream, head_bytes)
    found = examine(name, head, complete=complete, book=book, streams=streams)
    if found.reading is None or found.stream != "orders":
        return
    with opened() as stream:
        reading = decided_of(stream, found.reading, name)
    if isinstance(reading, Problem):
        return
    with opened() as stream:
        for page in pages_of(stream, reading, {"rows": 0}, {}):
            yield from (code.strip().upper() for row in page.rows if (code := row.get("currency")))
