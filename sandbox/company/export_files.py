"""CSV files as other people's systems write them: a table of records, and the style that the system writes in.

A record is ``{contract field: text}`` in the contract's own wording (decimals with a point, ISO dates, UTC times ending
in ``Z``); :class:`Style` says how the file words it.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

Record = dict[str, str]

LOADS = "loads"
NO_ROW = "no_row"
RAGGED = "ragged_row"
MISSING = "missing_required"
"""What becomes of a row: it loads, it is no row at all, or it is set aside, with too many or too few cells or without a
value that its field requires (or for the reason that :func:`unreadable` names)."""

DECIMAL_FIELDS = frozenset(
    [
        "amount",
        "tax",
        "shipping",
        "discount",
        "refund",
        "price",
        "unit_price",
        "line_total",
        "quantity",
        "budget",
        "rate",
    ]
)


@dataclass(frozen=True, slots=True)
class Style:
    """How a system writes its files.

    ``headers`` renames fields (others keep their name); ``dates`` is a ``strftime`` form for the date part, ``None``
    for ISO; ``time_zone`` (IANA) makes times local and drops their offset.
    """

    delimiter: str = ","
    encoding: str = "utf-8"
    line_end: str = "\n"
    decimal: str = "."
    dates: str | None = None
    time_zone: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def wording(self, name: str, text: str) -> str:
        """A value of a field as this system words it."""
        if not text:
            return text
        if name.endswith("_at") and (self.dates or self.time_zone):
            at = datetime.fromisoformat(text).astimezone(ZoneInfo(self.time_zone) if self.time_zone else UTC)
            return at.strftime((self.dates or "%Y-%m-%d") + " %H:%M:%S")
        if name.endswith("_date") and self.dates:
            return datetime.fromisoformat(text).strftime(self.dates)
        if name in DECIMAL_FIELDS and self.decimal != ".":
            return text.replace(".", self.decimal)
        return text


@dataclass(slots=True)
class Row:
    """One row of a file. ``cells`` replaces what the record would give, for rows that no record can express; no cells
    at all make an empty line.

    ``spoiled`` names the field because of which the row is set aside, empty where it is the row as a whole.
    """

    record: Record
    outcome: str = LOADS
    cells: list[str] | None = None
    spoiled: str = ""


@dataclass(slots=True)
class ExportFile:
    """One file of an export. ``stream`` is ``None`` for a file that nobody has a use for."""

    name: str
    stream: str | None
    fields: tuple[str, ...]
    rows: list[Row]
    style: Style = field(default_factory=Style)

    def cells(self, row: Row) -> list[str]:
        """The row's cells as the file has them."""
        if row.cells is not None:
            return row.cells
        return [self.style.wording(name, row.record.get(name, "")) for name in self.fields]

    def header(self) -> list[str]:
        """The cells of the first line."""
        return [self.style.headers.get(name, name) for name in self.fields]

    def texts(self) -> list[str]:
        """The header and every row as they stand in the file, line ends included; a quoted line break makes two."""
        line = io.StringIO()
        writer = csv.writer(line, delimiter=self.style.delimiter, lineterminator=self.style.line_end)
        texts = []
        for cells in [self.header(), *map(self.cells, self.rows)]:
            writer.writerow(cells)
            texts.append(line.getvalue())
            line.seek(0)
            line.truncate()
        return texts

    def content(self) -> bytes:
        """The file's bytes. A name ending in ``.gz`` is compressed, without a time stamp."""
        encoded = "".join(self.texts()).encode(self.style.encoding)
        return gzip.compress(encoded, compresslevel=6, mtime=0) if self.name.endswith(".gz") else encoded

    def write(self, folder: Path) -> None:
        """Writes the file into the folder, over one of the same name."""
        (folder / self.name).write_bytes(self.content())


def unreadable(name: str) -> str:
    """The reason why a row is set aside whose value in this field is not what the field says."""
    kind = "decimal" if name in DECIMAL_FIELDS else "timestamp" if name.endswith("_at") else "date"
    return f"unreadable_{kind}"


def has_one_meaning(text: str, time_zone: str) -> bool:
    """Whether a UTC time can be written as a local time without its offset: not in the hour that a day has twice."""
    local = datetime.fromisoformat(text).astimezone(ZoneInfo(time_zone))
    return local.replace(fold=0).utcoffset() == local.replace(fold=1).utcoffset()
