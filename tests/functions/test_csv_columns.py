"""A shortcut for a whole column says what the converter of its cells says, or nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.csv_columns import column_reader
from pipeline.csv_values import Unreadable, ValueFormat, converter

NUMBERS = st.from_regex(r"-?[0-9]{0,4}[.,]?[0-9]{0,3}-?", fullmatch=True) | st.sampled_from(
    ["1,234.50", "1e3", "--", "٣", "1\n2"]
)
CLOCK = st.from_regex(r"(0[0-9]|1[0-9]|2[0-4]):[0-6][0-9](:[0-6][0-9](\.[0-9]{1,3})?)?", fullmatch=True)
DAY = st.sampled_from(
    ["2025-03-30", "2025-10-26", "2024-02-29", "2025-02-29", "14/03/2025", "03/14/2025", "2011-12-30", "1847-12-01"]
)
ZONE = st.sampled_from(["", "", "", "Z", "+02:00", " -0400", "+05:45", " PM", " UTC"])
INSTANTS = st.builds(lambda day, mark, clock, zone: day + mark + clock + zone, DAY, st.sampled_from([" ", "T"]), CLOCK, ZONE)


def said_by_shortcut(type_: str, form: ValueFormat, column: Sequence[str]) -> list[str] | None:
    convert = converter("f", type_, form)
    assert convert is not None
    shortcut = column_reader(type_, form, convert)
    said = None if shortcut is None else shortcut(column)
    return None if said is None else list(said)


def said_by_converter(type_: str, form: ValueFormat, column: Sequence[str]) -> list[str]:
    convert = converter("f", type_, form)
    assert convert is not None
    return [convert(cell) if cell else "" for cell in column]


@given(st.lists(NUMBERS, min_size=1, max_size=4), st.sampled_from([(".", ""), (".", ","), (",", "."), (",", ""), (",", " ")]))
@example(["1", "-", "2"], (".", ""))
@example(["5-"], (".", ""))
@example(["1.5", "-.5"], (".", ""))
def test_decimals(column: list[str], marks: tuple[str, str]) -> None:
    form = ValueFormat(decimal=marks[0], thousands=marks[1])
    said = said_by_shortcut("decimal", form, column)
    if said is not None:
        assert said == said_by_converter("decimal", form, column)


@given(
    st.lists(st.just("") | INSTANTS, min_size=1, max_size=4),
    st.sampled_from(["Etc/UTC", "Europe/London", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia", "America/New_York"]),
    st.sampled_from(["dmy", "mdy", ""]),
)
@example(["2025-04-06 01:45:00"], "Australia/Lord_Howe", "")
def test_timestamps(column: list[str], zone: str, order: str) -> None:
    form = ValueFormat(time_zone=zone, date_orders={"f": order} if order else {})
    said = said_by_shortcut("timestamp", form, column)
    if said is not None:
        assert said == said_by_converter("timestamp", form, column)


@pytest.mark.parametrize(
    ("type_", "form", "column"),
    [
        ("decimal", ValueFormat(), ["12.50", "", "-3", "0.10"]),
        ("decimal", ValueFormat(decimal=",", thousands="."), ["12,50", "-3", ""]),
        ("timestamp", ValueFormat(time_zone="Europe/London"), ["2025-07-01 10:20:30", "", "2025-12-01T10:20"]),
        ("timestamp", ValueFormat(date_orders={"": "dmy"}), ["14/03/2025 09:26:53"]),
        ("timestamp", ValueFormat(), ["2025-03-14 09:26:53 -0400", "2025-03-14T09:26:53Z"]),
    ],
)
def test_a_clean_column_takes_the_shortcut(type_: str, form: ValueFormat, column: list[str]) -> None:
    assert said_by_shortcut(type_, form, column) == said_by_converter(type_, form, column)


def test_a_word_for_no_value_is_never_passed_by() -> None:
    assert said_by_shortcut("decimal", ValueFormat(null_values=("0",)), ["0", "1"]) is None


def test_an_unreadable_cell_is_left_to_the_converter() -> None:
    assert said_by_shortcut("decimal", ValueFormat(), ["12.50", "about ten"]) is None
    with pytest.raises(Unreadable):
        said_by_converter("decimal", ValueFormat(), ["about ten"])
