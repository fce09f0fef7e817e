"""Files that are set aside whole: why, in words that name the file, what was found, and what a person does next."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from pipeline import presets
from pipeline.contract import Stream
from pipeline.csv_dialect import Dialect
from pipeline.csv_reading import Reading
from pipeline.csv_text import readable
from pipeline.csv_values import ValueFormat
from pipeline.preset_fit import MOST_OF_ITS_COLUMNS, Fit, named_so
from pipeline.presets import Preset

UNRECOGNISED = "unrecognised"
FILE_SET_ASIDE = "file_set_aside"
HEADER_RECORDS = 20
"""A header is looked for in so many records; more stand before it only where a preset says so."""
_SHOWN_CHARS = 60
DELIMITERS = (",", ";", "\t", "|")
SAVE_SHEETS = "Save each of its sheets as CSV and drop those."


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a file is set aside whole, and what a person does next."""

    message: str
    next_step: str
    kind: str = FILE_SET_ASIDE


@dataclass(frozen=True, slots=True)
class Examined:
    """Exactly one of ``reading`` and ``problem``. ``stream`` is the best guess, ``unrecognised`` where there is none."""

    stream: str
    preset: Preset | None
    reading: Reading | None
    problem: Problem | None
    companions: tuple[Examined, ...] = ()
    """What else the file is read into: one for each companion of its preset."""


@dataclass(frozen=True, slots=True)
class Known:
    """What files are measured by: the presets of the deployment, the streams of the source that files are wanted for."""

    book: Sequence[Preset]
    streams: Mapping[str, Stream]

    @property
    def declared_encodings(self) -> tuple[str, ...]:
        """Encodings that presets declare, as they write them."""
        return tuple(dict.fromkeys(preset.format["encoding"] for preset in self.book if "encoding" in preset.format))

    def declaring(self, encoding: str | None) -> Known:
        """Those presets that declare this encoding; ``None``: that declare none."""
        return replace(self, book=[preset for preset in self.book if preset.format.get("encoding") == encoding])

    def stream_by_name(self, name: str) -> str | None:
        """The stream that a file's name speaks of: by a preset's ``file_name``, else because a stream's name stands in it."""
        for preset in self.book:
            if preset.file_name and preset.stream in self.streams and named_so(preset.file_name, name):
                return preset.stream
        words = re.sub(r"[^a-z0-9]+", "_", PurePosixPath(name).name.casefold())
        return max((stream for stream in self.streams if stream in words), key=len, default=None)

    def set_aside(self, name: str, message: str, next_step: str, stream: str | None = None) -> Examined:
        """A file set aside, under the stream that it most likely belongs to; ``message`` continues its name."""
        guess = stream if stream in self.streams else self.stream_by_name(name)
        return Examined(guess or UNRECOGNISED, None, None, Problem(f"{name} {message}", next_step))

    def empty(self, name: str, *, gzip: bool) -> Examined:
        """A file without a header: no rows, if its name says of what. An empty *list* would delete everything: refused."""
        stream = self.stream_by_name(name)
        if stream is None:
            return self.set_aside(name, "is empty, and its name says nothing of what", "Export it again with its header.")
        if self.streams[stream].mode == "snapshot":
            message = f"is empty; as the whole list of {stream} it would mark every one as deleted"
            return self.set_aside(name, message, "Export it again; a list that is truly empty still has its header.", stream)
        reading = Reading(
            preset=f"{presets.CANONICAL}{stream}",
            origin="pipeline.yaml",
            header_line=1,
            encoding="utf-8",
            encoding_declared=False,
            gzip=gzip,
            dialect=Dialect(),
            values=ValueFormat(),
            columns=(),
            guesses=(f"empty file, taken for {stream} by its name",),
        )
        return Examined(stream, None, reading, None)

    def unmatched(self, name: str, lines: Sequence[str], fits: Sequence[Fit]) -> Examined:
        """A file whose header fits no preset: the header, the nearest preset, and what that one misses."""
        header = _likely_header(lines)
        shown = ", ".join(map(_short, header[:12])) + (f", … ({len(header)} columns)" if len(header) > 12 else "")
        step = (
            "Drop a corrected export, or put a preset for this header under presets/ of the state bucket "
            "and run the source again."
        )
        near = min(fits, key=lambda fit: (-fit.matched, len(fit.missing), fit.preset.name), default=None)
        if near is None or near.matched < max(2, len(header) // 5):
            if len(header) == 1 and (len(_split_again(header[0])) > 2):
                again = (
                    "Save it as CSV again from the program that it came from, or take the outer quotes off, and drop it again."
                )
                return self.set_aside(name, f'holds each row as one cell in quotes, beginning with "{shown}"', again)
            if len(header) == 1 and near is not None:
                message = (
                    f"has but one column, {shown}, which makes it no table of {near.preset.stream} unless a preset says so"
                )
                return self.set_aside(name, message, step)
            where = f" (looked for in the first {HEADER_RECORDS} records)" if len(lines) > HEADER_RECORDS else ""
            return self.set_aside(name, f"has a header that no preset knows: {shown}{where}", step)
        if near.missing == (MOST_OF_ITS_COLUMNS,):
            stream = near.preset.stream
            message = f"fits no preset; its header is {shown}; {near.matched} of {len(header)} make it no table of {stream}"
            return self.set_aside(
                name, message, f"{step} Such a preset maps the others, or ignores them (ignore: ['*']).", stream
            )
        missing = ", ".join(f"'{lack}'" for lack in near.missing)
        nearest = f"the nearest preset is '{near.preset.name}' ({near.matched} headers), missing {missing}"
        stream = self.stream_by_name(name) or near.preset.stream
        return self.set_aside(name, f"fits no preset; its header is {shown}; {nearest}", step, stream)


def _short(cell: str) -> str:
    """A header as it is shown in a message: in one line, and not all of a text that was taken for one."""
    text = readable(" ".join(cell.split()))
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


def _split_again(cell: str) -> list[str]:
    """The cells of a line that stands in quotes as a whole, by the delimiter that gives most."""
    return max((cell.split(delimiter) for delimiter in DELIMITERS), key=len)


def numbered(lines: Sequence[str], dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """Records of a few lines with the line where each starts, read leniently."""
    reader = dialect.reader(lines)
    start = 1
    try:
        for record in reader:
            yield start, record
            start = reader.line_num + 1
    except csv.Error:
        return  # a cell beyond all bounds: what came before it is enough to judge


def _likely_header(lines: Sequence[str]) -> list[str]:
    """The first record that is neither blank nor a comment, split by the delimiter that gives the most even table."""
    best: tuple[float, int, list[str]] = (-1.0, 0, [])
    for delimiter in DELIMITERS:
        records = [record for _, record in numbered(lines, Dialect(delimiter)) if any(cell.strip() for cell in record)]
        widths = Counter(len(record) for record in records if len(record) > 1)
        width, count = widths.most_common(1)[0] if widths else (1, 0)
        header = next((record for record in records if not record[0].startswith("#")), [])
        best = max(best, (count / max(len(records), 1), width, header), key=lambda found: found[:2])
    return best[2]
