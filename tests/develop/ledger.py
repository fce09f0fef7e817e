"""What becomes of each public file: the row of it that ``expected.csv`` holds, and ``python -m tests.develop`` prints."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from pipeline.csv_reading import Reading
from pipeline.csv_refusals import Examined
from pipeline.sources import Aside, Page
from pipeline.sources.crm import decided_of, pages_of
from tests.develop.files import DELIMITERS, DEVELOP, data_files, header_sets, rows_in
from tests.develop.made_rows import made_file
from tests.functions import reading

HERE = Path(__file__).parent
OWN_PRESETS = (HERE / "presets.yaml").read_text(encoding="utf-8")
EXPECTED = HERE / "expected.csv"


@dataclass(frozen=True)
class Line:
    """One file read into one stream. Rows in = loaded + set aside + non-rows."""

    file: str
    preset: str
    stream: str
    rows_in: int
    loaded: int
    set_aside: int
    non_rows: int
    columns: str
    """The fields that a column of the file was found for."""
    why: str
    """Why rows, or the whole file, were set aside."""


@dataclass(frozen=True)
class Read:
    """A file as read: its line of the ledger and the pages themselves."""

    line: Line
    pages: Sequence[Page] = ()

    @property
    def rows(self) -> list[Mapping[str, Any]]:
        return [row for page in self.pages for row in page.rows]

    @property
    def asides(self) -> list[Aside]:
        return [aside for page in self.pages for aside in page.aside]


def read(name: str, raw: bytes, count: int) -> list[Read]:
    """A file through the reader, once for each stream that it feeds. ``count``: its records by an independent count."""
    found = reading.judge(raw, name, OWN_PRESETS)
    if found.problem is not None:
        why = found.problem.message.removeprefix(name).strip(" :") if found.preset else "no preset fits its header"
        return [Read(Line(name, found.preset.name if found.preset else "", "", count, 0, count, 0, "", f"file: {why}"))]
    return [_read(name, raw, count, each) for each in (found, *found.companions)]


def _read(name: str, raw: bytes, count: int, found: Examined) -> Read:
    assert found.reading is not None, found.problem
    decided = decided_of(io.BytesIO(raw), found.reading, name)
    assert isinstance(decided, Reading), decided
    pages = list(pages_of(io.BytesIO(raw), decided, {"rows": 0}, {}))
    asides = [aside for page in pages for aside in page.aside]
    reasons = Counter(f"{aside.reason} {aside.column or ''}".strip() for aside in asides)
    line = Line(
        name,
        decided.preset,
        found.stream,
        count,
        sum(len(page.rows) for page in pages),
        len(asides),
        sum(page.non_rows for page in pages),
        " ".join(column.field for column in decided.columns),
        "; ".join(f"{count} × {reason}" for reason, count in sorted(reasons.items())),
    )
    return Read(line, pages)


def everything() -> list[Line]:
    """The whole ledger: files with rows first, then header sets with made rows below them."""
    lines = []
    for name in data_files():
        raw = (DEVELOP / name).read_bytes()
        lines += [one.line for one in read(name, raw, rows_in(raw, DELIMITERS[Path(name).suffix]))]
    for name, delimiter, headers in header_sets():
        raw = made_file(name, headers, delimiter)
        lines += [one.line for one in read(name, raw, rows_in(raw, delimiter))]
    return lines


def expected() -> list[Line]:
    """The ledger as it is committed."""
    with EXPECTED.open(encoding="utf-8", newline="") as file:
        return [
            Line(**{**row, **{name: int(row[name]) for name in ("rows_in", "loaded", "set_aside", "non_rows")}})  # type: ignore[arg-type]
            for row in csv.DictReader(file)
        ]


def write(lines: Sequence[Line], path: Path = EXPECTED) -> None:
    """Write a ledger as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([column.name for column in fields(Line)])
        writer.writerows(astuple(line) for line in lines)


def table(lines: Sequence[Line]) -> str:
    """A ledger for people, in Markdown."""
    shown = [
        "| file | preset | stream | rows in | loaded | set aside | non-rows | why | columns |",
        "|---|---|---|--:|--:|--:|--:|---|---|",
    ]
    for line in lines:
        numbers = " | ".join(str(number) for number in (line.rows_in, line.loaded, line.set_aside, line.non_rows))
        why = line.why.replace("|", "\\|")
        shown.append(f"| {line.file} | {line.preset} | {line.stream} | {numbers} | {why} | {line.columns} |")
    return "\n".join(shown) + "\n"
