"""The benchmarks' file is the same on every machine, and is what a shop's export looks like."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path

import pytest

from benchmarks import orders_csv


def text_of(rows: int) -> str:
    return "".join(orders_csv.blocks(rows))


def test_so_many_rows_are_the_same_bytes_everywhere() -> None:
    """Another digest makes figures of other machines and other days incomparable: change it only on purpose."""
    digest = hashlib.sha256(text_of(1_000).encode()).hexdigest()
    assert digest == "07a43071b5b95a0cbf316249ae1d147d0ba025addf389ef7c7d644fa5cd73b19"


def test_ten_million_rows_are_a_gigabyte() -> None:
    assert 1e9 < len(text_of(10_000).encode()) * 1_000 < 1.1e9


@pytest.mark.parametrize("rows", [0, 1, orders_csv.BLOCK_ROWS, orders_csv.BLOCK_ROWS + 1])
def test_it_holds_the_rows_that_are_asked_for(rows: int) -> None:
    header, *records = csv.reader(io.StringIO(text_of(rows)), strict=True)
    assert len(records) == rows
    assert {len(record) for record in records} <= {len(header)}
    assert len({record[0] for record in records}) == rows


def test_some_cells_are_quoted_empty_or_not_ascii() -> None:
    text = text_of(500)
    assert '""50 %""' in text
    assert ",," in text
    assert not text.isascii()


def test_a_file_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    path = orders_csv.write(tmp_path, 10)
    assert path.read_text(encoding="utf-8") == text_of(10)
    path.write_text("kept", encoding="utf-8")
    assert orders_csv.write(tmp_path, 10).read_text(encoding="utf-8") == "kept"
