"""The public files that the reader is tried on, and how many records each holds by a count that is not ours.

They lie outside the repository (environment variable ``DEVELOP_DATA``, else ``../shared/data/develop`` beside it) and are never
copied into it: test seeds of Fivetran's dbt packages in the shape of Shopify's and Zendesk's tables, eight days of a gift
wholesaler's sales, Shopify's own sample products, acid tests for CSV readers, small government tables, and the header rows of
exports of a dozen vendors.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

DEVELOP = Path(os.environ.get("DEVELOP_DATA", Path(__file__).resolve().parents[3] / "shared" / "data" / "develop"))
needs_files = pytest.mark.skipif(
    not DEVELOP.is_dir(), reason="the public files are not here; DEVELOP_DATA names the folder that holds them"
)
DELIMITERS = {".csv": ",", ".ssv": ";", ".psv": "|", ".tsv": "\t"}
HEADERS_ALONE = "export_headers"
API_NAMES = "salesforce_fields"


def data_files() -> list[str]:
    """Names of the files that hold rows, relative to the folder."""
    names = [path.relative_to(DEVELOP).as_posix() for path in sorted(DEVELOP.rglob("*")) if path.suffix in DELIMITERS]
    return [name for name in names if not name.startswith((HEADERS_ALONE, API_NAMES))]


def header_sets() -> Iterator[tuple[str, str, list[str]]]:
    """(name, delimiter, headers) of the exports of which only the header row is known."""
    for path in sorted((DEVELOP / HEADERS_ALONE).glob("*.csv")):
        line = path.read_text(encoding="utf-8-sig")
        delimiter = ";" if line.count(";") > line.count(",") else ","
        yield f"{HEADERS_ALONE}/{path.name}", delimiter, next(csv.reader([line], delimiter=delimiter))
    for path in sorted((DEVELOP / API_NAMES).glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            fields = [row["SourceField"] for row in csv.DictReader(file) if row["DataType"]]
        yield f"{API_NAMES}/{path.name}", ",", fields


def records(raw: bytes, delimiter: str) -> list[list[str]]:
    """Every record as Python's csv module alone sees it, the header and blank ones too.

    Bytes that are no UTF-8 are read as Latin-1: every byte is a character of it, and none of the marks of CSV changes.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))


def rows_in(raw: bytes, delimiter: str) -> int:
    """Records of a file beside its header."""
    return max(len(records(raw, delimiter)) - 1, 0)
