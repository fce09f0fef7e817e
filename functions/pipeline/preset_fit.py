"""How well the presets fit a file, by its header and name."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline import headers
from pipeline.contract import Stream
from pipeline.headers import plain
from pipeline.presets import Preset

MOST_OF_ITS_COLUMNS = "most of its columns"
"""What a table lacks of which the contract knows the fewer columns: it is somebody else's."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How well a preset fits a header. ``missing`` names what it lacks: headers to match, or required fields."""

    preset: Preset
    matched: int
    missing: tuple[str, ...]
    whole: bool = False
    """Every filled cell of the header is known."""

    @property
    def is_clear(self) -> bool:
        """Whether so many cells are headers that the record is one, wherever it stands."""
        return self.matched >= (2 if self.whole else 3)

    @property
    def score(self) -> tuple[int, bool, bool]:
        """More headers win; at a draw the preset that also names the file, and any preset over a canonical one."""
        return (self.matched, self.preset.file_name is not None, not self.preset.is_canonical)


def fit(preset: Preset, header: Sequence[str], file_name: str, streams: Mapping[str, Stream]) -> Fit | None:
    """How ``preset`` fits a header; ``None`` where it cannot be meant: another file name, or nothing in common.

    A canonical preset fits only where it can place more than half of the columns, and more than one: a lone ``contact_id`` in
    somebody's table does not make it a table of contacts.
    """
    if preset.file_name is not None and not named_so(preset.file_name, file_name):
        return None
    present = list(dict.fromkeys(filter(None, map(plain, header))))
    matched = sum(map(preset.knows, present))
    if not matched:
        return None
    missing = [name for name in preset.match_headers if not headers.found(name, present)]
    stream = streams.get(preset.stream)
    if stream and preset.decline is None:
        missing += lacking(preset, stream, present, missing)
    if preset.is_canonical and (matched < 2 or 2 * matched <= len(present)):
        missing = missing or [MOST_OF_ITS_COLUMNS]
    return Fit(preset, matched, tuple(missing), whole=matched == len(present))


def lacking(preset: Preset, stream: Stream, present: Sequence[str], said: Sequence[str] = ()) -> list[str]:
    """The headers of required fields that a file does not have, where none of ``said`` says so already."""
    missing = []
    for name in preset.required_of(stream):
        column = preset.columns.get(name)
        if name in preset.constants:
            continue
        if column is not None and column.currency_of is not None:
            column = preset.columns[column.currency_of]
        if column is not None and column.found(present) and (not column.minutes or column.minutes_found(present)):
            continue
        wanted = column.named if column else (name,)
        if not set(wanted) & set(said):
            missing.append(" or ".join(wanted))
    return missing


def named_so(pattern: str, file_name: str) -> bool:
    """Whether an object's name matches a glob: by the whole object name or its last part, in any case."""
    name = file_name.casefold()
    return any(fnmatch.fnmatchcase(tried, pattern.casefold()) for tried in (name, PurePosixPath(name).name))
