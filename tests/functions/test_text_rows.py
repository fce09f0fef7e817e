"""Rows kept by column are written as the same JSON as their dicts, whatever stands in their cells."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.text_rows import TextRows

AWKWARD = st.sampled_from(
    ["", 'a "quoted" word', "back\\slash", "\x7f", "tab\t", "line\nend", '","amount":""', "é ü 漢 😀", "{}", "\x00"]
)
CELL = AWKWARD | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@st.composite
def text_rows(draw: st.DrawFn) -> TextRows:
    size = draw(st.integers(0, 6))
    column = st.lists(CELL, min_size=size, max_size=size) | st.lists(CELL.filter(bool), min_size=size, max_size=size)
    fields = draw(st.lists(st.sampled_from(["order_id", "amount", 'od"d', "naïve", "%s", "{0}"]), unique=True, max_size=5))
    extra = draw(
        st.lists(st.tuples(st.sampled_from(["Notes", 'Size "EU"', "Größe"]), column), unique_by=lambda e: e[0], max_size=3)
    )
    return TextRows(fields, [draw(column) for _ in fields], size, extra)


@given(text_rows())
def test_the_json_of_columns_is_the_json_of_their_rows(rows: TextRows) -> None:
    texts = rows.json_texts()
    if texts is None:
        assert all("" in column for column in rows.columns)
    else:
        assert [json.loads(text) for text in texts] == list(rows)


@given(text_rows(), st.data())
def test_the_rows_that_are_kept_are_the_same_rows(rows: TextRows, data: st.DataObject) -> None:
    wanted = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    assert list(rows.only(wanted)) == [row for row, keep in zip(rows, wanted, strict=True) if keep]


def test_they_read_as_any_sequence_of_dicts() -> None:
    rows = TextRows(["id", "name"], [["1", "2"], ["", "Ada"]], 2, [("Notes", ["vip", ""])])
    assert rows == [{"id": "1", "_extra": {"Notes": "vip"}}, {"id": "2", "name": "Ada"}]
    assert (len(rows), rows[-1], rows[:1]) == (2, {"id": "2", "name": "Ada"}, [rows[0]])
    with pytest.raises(IndexError):
        rows[2]


def test_text_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError):
        TextRows(["id"], [["1\ud800"]], 1).json_texts()
