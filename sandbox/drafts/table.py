"""A file as a table, without knowing what it holds: its encoding, its delimiter, its header, the rows of its head."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.csv_dialect import Dialect
from pipeline.csv_foreign import foreign_bytes, foreign_text
from pipeline.csv_head import HEAD_BYTES, whole_lines
from pipeline.csv_refusals import DELIMITERS, numbered
from pipeline.csv_text import CHUNK_BYTES, Gunzip, NotRows, gunzip_head, is_gzip
from pipeline.declared_encoding import DeclaredEvidence
from pipeline.headers import unique_names
from pipeline.text_encodings import Encoding, WordEvidence, detect_encoding
from sandbox.drafts.shapes import is_day, is_number
from sandbox.world import WorldError

_HEADER_RECORDS = 20
_YEAR = re.compile("(?:19|20)[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Table:
    """What the head of a file shows. ``headers`` are as the reader names them, one for each column of ``rows``."""

    encoding: str
    encoding_guess: str | None
    """Why this one and what else it may be, where a preset should say so."""
    delimiter: str
    header_line: int
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]

    def column(self, index: int) -> list[str]:
        """Its cells that hold something, trimmed."""
        return [cell for row in self.rows if (cell := row[index].strip())]


def table_of(path: Path) -> Table:
    """Raises :class:`WorldError`, naming the file, for one that is no table of text or has no header."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            complete = not file.read(1)
        if is_gzip(head):
            head, complete = gunzip_head(head, 4 * HEAD_BYTES)
        if found := foreign_bytes(head):
            raise WorldError(f"{path} is {found}. Export it as CSV and try again.")
        encoding = _encoding(path, detect_encoding(head, complete=complete))
        lines = whole_lines(head, encoding.name, complete=complete)
    except OSError as error:
        raise WorldError(f"{path} cannot be read: {error.strerror}.") from error
    except NotRows as error:
        raise WorldError(f"{path} is not a table of text: {error}. Check how it was exported.") from error
    if not any(line.strip() for line in lines):
        raise WorldError(f"{path} is empty. Export it again with its header.")
    if found := foreign_text(lines):
        raise WorldError(f"{path} is {found}. Export it as CSV and try again.")
    delimiter = max(DELIMITERS, key=lambda tried: _evenness(lines, tried))
    records = list(numbered(lines, Dialect(delimiter)))
    if not complete and len(records) > 1:
        records.pop()
    width = _width([record for _, record in records])
    for position, (line, record) in enumerate(records[:_HEADER_RECORDS]):
        if len(record) == width and _is_header(record):
            rows = [below for _, below in records[position + 1 :] if len(below) == width and any(map(str.strip, below))]
            return Table(encoding.name, encoding.guess, delimiter, line, unique_names(record), rows)
    first = next((record for _, record in records if any(map(str.strip, record))), [])
    shown = ", ".join(cell.strip() for cell in first[:8])
    raise WorldError(f"{path} has no header: it begins with {shown}. Add a line that names its columns and try again.")


def _encoding(path: Path, by_head: Encoding) -> Encoding:
    """The encoding by all the bytes of the file; no guess where a preset cannot declare it, as some bytes are not in it."""
    if by_head.name.startswith(("utf-16", "utf-32")):
        return by_head
    found = _seen(path, WordEvidence()) or by_head
    if found.name == "utf-8" or _seen(path, DeclaredEvidence(found.name)):
        return Encoding(found.name)
    return found


def _seen(path: Path, evidence: WordEvidence | DeclaredEvidence) -> Encoding | None:
    with path.open("rb") as file:
        is_packed = is_gzip(file.read(2))
        file.seek(0)
        content = Gunzip(file) if is_packed else file
        while data := content.read(CHUNK_BYTES):
            evidence.feed(data)
    return evidence.verdict()


def _evenness(lines: Sequence[str], delimiter: str) -> tuple[float, int]:
    """The share of records that are as wide as most, of those wider than one; then how wide."""
    records = [record for _, record in numbered(lines, Dialect(delimiter)) if any(map(str.strip, record))]
    width = _width(records)
    return (sum(len(record) == width for record in records) / max(len(records), 1) if width > 1 else 0.0, width)


def _width(records: Sequence[Sequence[str]]) -> int:
    """The number of cells that most records have."""
    widths = Counter(len(record) for record in records if any(map(str.strip, record)))
    return max(widths, key=lambda width: (widths[width], width), default=0)


def _is_header(record: Sequence[str]) -> bool:
    """Names, not values: most cells filled, none a day, an address or a number; a year may be a name."""
    cells = [cell.strip() for cell in record]
    filled = [cell for cell in cells if cell]
    values = [cell for cell in filled if is_day(cell) or "@" in cell or (is_number(cell) and not _YEAR.fullmatch(cell))]
    return 2 * len(filled) > len(cells) and not values and not all(map(_YEAR.fullmatch, filled))
