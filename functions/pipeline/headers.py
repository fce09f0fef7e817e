"""Headers: how they are compared, and how a table's own become unique names.

A header that a preset names may hold ``*``, which stands for anything: ``Amount spent (*)`` is the column of the amount in
whatever currency. It is the only such sign: headers are full of brackets and question marks.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Sequence

from pipeline.csv_shields import INVISIBLE


def plain(header: str) -> str:
    """A header as headers are compared: without invisible characters and outer blanks, in one case, each run of blanks one,
    letters with their accents however they were composed."""
    if not header.isascii():
        header = unicodedata.normalize("NFKC", header.translate(INVISIBLE))
    return " ".join(header.split()).casefold()


def is_pattern(header: str) -> bool:
    return "*" in header


@functools.lru_cache(maxsize=4096)
def _pattern(header: str) -> re.Pattern[str]:
    return re.compile("(.*)".join(map(re.escape, plain(header).split("*"))))


def is_named(present: str, header: str) -> bool:
    """Whether ``header`` of a preset means ``present``, which :func:`plain` made."""
    return bool(_pattern(header).fullmatch(present)) if is_pattern(header) else plain(header) == present


def found(header: str, present: Iterable[str]) -> list[str]:
    """Those of a file's headers (as :func:`plain` made them) that ``header`` of a preset means, in the file's order."""
    return [name for name in present if name and is_named(name, header)]


def starred(header: str, name: str) -> str:
    """What the first ``*`` of ``header`` stands for in a file's header ``name``; empty where they do not match."""
    match = _pattern(header).fullmatch(plain(name)) if is_pattern(header) else None
    return match[1].strip() if match else ""


def unique_names(header: Sequence[str]) -> list[str]:
    """Headers as they are shown: trimmed, a nameless one by its position, a repeated one with its count: ``Phone_2``."""
    names: list[str] = []
    taken: set[str] = set()
    for position, cell in enumerate(header, start=1):
        name = base = " ".join(cell.translate(INVISIBLE).split()) or f"column_{position}"
        count = 1
        while plain(name) in taken:
            count += 1
            name = f"{base}_{count}"
        taken.add(plain(name))
        names.append(name)
    return names


def stacked(rows: Sequence[Sequence[str]]) -> list[str]:
    """Several header rows as one: the cells of each column, from above, joined by a blank; the last row gives the width.

    A single row stays as it stands.
    """
    if len(rows) < 2:
        return list(rows[0]) if rows else []
    width = len(rows[-1])
    return [" ".join(filter(None, (row[index].strip() for row in rows if index < len(row)))) for index in range(width)]
