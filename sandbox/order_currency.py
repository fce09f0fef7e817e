"""The currency in which a folder's orders are mostly written: the reporting currency of a world made from that folder."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pipeline import contract, presets
from pipeline.csv_head import HEAD_BYTES, examine
from pipeline.csv_refusals import Problem
from pipeline.csv_text import NotRows
from pipeline.sources.crm import decided_of, is_ignored, pages_of
from sandbox.landing import PRESETS_FILE, files_of


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
            head = file.read(HEAD_BYTES)
            complete = path.stat().st_size <= len(head)
            found = examine(name, head, complete=complete, book=book, streams=source.streams)
            if found.reading is None or found.stream != "orders":
                continue
            file.seek(0)
            try:
                reading = decided_of(file, found.reading, name)
                if isinstance(reading, Problem):
                    continue
                file.seek(0)
                for page in pages_of(file, reading, {"rows": 0}, {}):
                    counts.update(code.strip().upper() for row in page.rows if (code := row.get("currency")))
            except NotRows:
                continue  # cut short: it will be set aside whole
    return min(counts, key=lambda code: (-counts[code], code), default=None)
