"""What columns prove of how they are written, what stays open, and who is asked then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.csv_evidence import DayEvidence, Days, NumberEvidence, Numbers, judge_days, judge_numbers
from pipeline.csv_reading import Reading
from pipeline.csv_refusals import Problem
from pipeline.sources.crm import decided_of
from tests.functions.reading import Trickle, asides, pages, payloads, problem_of, reading_of


def numbers(columns: Mapping[str, Iterable[str]], delimiter: str = ",", integers: str = "", **declared: str) -> Numbers:
    evidence = {name: NumberEvidence(integers=name in integers) for name in columns}
    for name, cells in columns.items():
        evidence[name].feed(cells)
    return judge_numbers(evidence, delimiter=delimiter, **declared)


def days(columns: Mapping[str, Iterable[str]]) -> Days:
    evidence = {name: DayEvidence() for name in columns}
    for name, cells in columns.items():
        evidence[name].feed(cells)
    return judge_days(evidence)


@pytest.mark.parametrize(
    ("cells", "decimal", "thousands"),
    [
        (["12.50", "3"], ".", ","),
        (["12,50", "3"], ",", "."),
        (["1.234,50"], ",", "."),
        (["1,234.50"], ".", ","),
        (["1 234,50"], ",", " "),
        (["1'234.50"], ".", "'"),
        (["1 234", "0,5"], ",", " "),
        (["1 234", "1,234"], ",", " "),
        (["1.234.567"], ",", "."),
        (["0.125"], ".", ","),
        (["12", "3"], ".", ""),
        (["1.234"], ".", ""),
        (["1 234"], ".", " "),
        ([], ".", ""),
    ],
)
def test_the_marks_of_numbers_are_proven(cells: list[str], decimal: str, thousands: str) -> None:
    found = numbers({"a": cells})
    assert found.marks.get("a", found.marks[""]) == (decimal, thousands)
    assert (found.ambiguous, found.conflicts) == ({}, {})


def test_numbers_that_prove_nothing_or_both_are_said_to() -> None:
    assert numbers({"a": ["1,234", "5"]}).ambiguous == {"a": "1,234"}
    assert numbers({"a": ["1.234", "5"]}, ";").ambiguous == {"a": "1.234"}
    assert numbers({"a": ["1,5", "2.5"]}).conflicts == {"a": ("2.5", "1,5")}
    declared = numbers({"a": ["1,234", "5"]}, decimal=".")
    assert (declared.marks["a"], declared.ambiguous) == ((".", ","), {})


def test_columns_may_write_numbers_each_in_its_way() -> None:
    found = numbers({"a": ["1,5"], "b": ["2.5"], "c": ["12"]})
    assert (found.marks["a"], found.marks["b"]) == ((",", "."), (".", ","))
    assert found.marks[""] == (".", "")
    assert found.guesses == ["a: decimal mark ',', as in '1,5'"]
    assert numbers({"a": ["1,5"], "b": ["2.5"], "c": ["1,234"]}).ambiguous == {"c": "1,234"}


def test_a_column_that_proves_nothing_is_read_as_the_others() -> None:
    found = numbers({"a": ["1,234"], "b": ["2.5"]})
    assert found.marks[""] == (".", ",")
    assert found.unproven == {"a": "1,234"}
    assert found.guesses == ["a: decimal mark '.', as in the file's other columns"]


def test_a_count_has_no_fraction() -> None:
    assert numbers({"a": ["1,234"]}, integers="a").marks["a"] == (".", ",")
    assert numbers({"a": ["1.234"]}, ";", integers="a").marks["a"] == (",", ".")
    assert numbers({"a": ["1,000"]}, integers="a").ambiguous == {"a": "1,000"}


def test_the_order_of_days_is_proven_by_column_else_by_the_file() -> None:
    found = days({"a": ["01/02/2024", "13/02/2024"], "b": ["03/04/2024"], "c": ["2024-01-02"], "d": ["05.06.2024"]})
    assert found.orders == {"a": "dmy", "b": "dmy", "d": "dmy", "": "dmy"}
    assert found.unproven == {"b": "03/04/2024", "d": "05.06.2024"}
    assert not found.ambiguous
    assert [guess.split(":")[0] for guess in found.guesses] == ["a", "b", "d"]


def test_dots_stand_behind_a_day_unless_the_column_says_otherwise() -> None:
    assert days({"a": ["13/02/2024"], "b": ["05.06.2024"], "c": ["05.06.24"]}).orders == dict.fromkeys(
        ["a", "b", "c", ""], "dmy"
    )
    other = days({"a": ["02/13/2024"], "b": ["05.06.2024"], "c": ["05.06.2024", "11.24.2024"]})
    assert (other.orders["b"], other.orders["c"]) == ("dmy", "mdy")
    rows = payloads("order_id,order_at,amount\n1,05.06.2024,5\n2,11.24.2024,5\n")
    assert rows[0]["order_at"] == "2024-05-06T00:00:00Z"


def test_days_that_prove_nothing_or_both_are_said_to() -> None:
    assert days({"a": ["01/02/2024"]}).ambiguous == {"a": "01/02/2024"}
    assert days({"a": ["13/02/2024", "02/13/2024"]}).conflicts == {"a": ("13/02/2024", "02/13/2024")}
    mixed = days({"a": ["13/02/2024"], "b": ["02/13/2024"], "c": ["01/01/2024"]})
    assert (mixed.orders, mixed.ambiguous) == ({"a": "dmy", "b": "mdy"}, {"c": "01/01/2024"})


def test_years_of_two_digits() -> None:
    assert days({"a": ["98/11/24"]}).orders["a"] == "ymd"
    assert days({"a": ["05.01.21"]}).orders["a"] == "dmy"
    assert days({"a": ["24/11/20"]}).orders["a"] == "dmy"
    assert days({"a": ["99.99.99", "32/13/2024", "13/13/2024"]}).ambiguous == {"a": "32/13/2024"}


@given(st.lists(st.dates(), min_size=1), st.sampled_from(["%d/%m/%Y", "%m/%d/%Y"]), st.integers(1, 5))
def test_an_order_is_never_proven_wrongly_and_evidence_may_come_in_pieces(wanted: list, shape: str, size: int) -> None:  # type: ignore[type-arg]
    cells = [day.strftime(shape) for day in wanted if day.year > 999]
    evidence = DayEvidence()
    for start in range(0, len(cells), size):
        evidence.feed(cells[start : start + size])
    found = judge_days({"a": evidence})
    order = {"%d/%m/%Y": "dmy", "%m/%d/%Y": "mdy"}[shape]
    assert found.orders.get("a", order) == order
    assert ("a" in found.orders) == any(day.day > 12 for day in wanted if day.year > 999)
    assert found.conflicts == {}
    assert found == days({"a": cells})


# --- the whole file is asked -----------------------------------------------------------------------------------------


def long_file(column: str, early: str, late: str, rows: int = 16_000, at: int = 12_000) -> str:
    """Rows whose ``column`` says ``early``, and ``late`` in one row that no sample holds."""
    lines = [f"order_id,order_at,amount,{column}"]
    lines += [f'{n},2024-01-02,5,"{late if n == at else early}"' for n in range(rows)]
    return "\n".join(lines) + "\n"


def decided(data: str) -> Reading | Problem:
    reading = reading_of(data)
    assert reading.undecided
    return decided_of(Trickle(data.encode(), 1 << 20), Reading.from_json(reading.to_json()), "far.csv")


def test_a_row_far_down_decides_the_order_of_days() -> None:
    data = long_file("updated_at", "01/02/2024", "28/02/2024")
    assert reading_of(data).undecided == ("updated_at",)
    found = decided(data)
    assert isinstance(found, Reading)
    assert (found.undecided, found.values.date_orders["updated_at"]) == ((), "dmy")
    assert found.guesses == ("updated_at: day before month, as in '28/02/2024'",)
    assert payloads(data)[0]["updated_at"] == "2024-02-01T00:00:00Z"


def test_a_row_far_down_decides_the_decimal_mark() -> None:
    data = long_file("tax", "1,234", "0,50")
    found = decided(data)
    assert isinstance(found, Reading)
    assert found.values.marks_of("tax") == (",", ".")
    assert payloads(data)[0]["tax"] == "1.234"


def test_a_whole_file_that_leaves_a_column_open_is_set_aside_with_column_and_value() -> None:
    found = decided(long_file("updated_at", "01/02/2024", "02/02/2024"))
    assert isinstance(found, Problem)
    assert found.message.startswith("far.csv: column 'updated_at': '01/02/2024' may begin")
    found = decided(long_file("tax", "1,234", "2,345"))
    assert isinstance(found, Problem)
    assert "column 'tax': '1,234' may be a thousand or a fraction" in found.message


def test_an_order_taken_from_other_columns_is_not_trusted_before_the_whole_file_was_asked() -> None:
    """The head would have read ``updated_at`` as ``order_at`` is written, and 01/02 as the first of February."""
    rows = [f"{n},{n % 28 + 1:02}/02/2024,5,{'02/28/2024' if n == 12_000 else '01/02/2024'}" for n in range(16_000)]
    data = "order_id,order_at,amount,updated_at\n" + "\n".join(rows) + "\n"
    assert "updated_at" in reading_of(data).undecided
    first = payloads(data)[0]
    assert (first["order_at"], first["updated_at"]) == ("2024-02-01T00:00:00Z", "2024-01-02T00:00:00Z")


def test_a_column_that_the_samples_found_empty_is_asked_for_too() -> None:
    rows = [f"{n},{n % 28 + 1:02}/02/2024,5,{'02/28/2024' if n == 12_000 else ''}" for n in range(16_000)]
    data = "order_id,order_at,amount,updated_at\n" + "\n".join(rows) + "\n"
    assert "updated_at" in reading_of(data).undecided
    assert [row["updated_at"] for row in payloads(data) if "updated_at" in row] == ["2024-02-28T00:00:00Z"]


def test_a_value_that_contradicts_a_proven_mark_is_set_aside() -> None:
    rows = [f"{n},2024-02-01,{n}.50" for n in range(16_000)]
    rows[12_001] = '12001,2024-02-01,"1,50"'
    found = asides("order_id,order_at,amount\n" + "\n".join(rows) + "\n")
    assert [(aside.reason, aside.value) for aside in found] == [("unreadable_decimal", "1,50")]


def test_one_day_in_another_order_anywhere_in_the_file_refuses_it_unless_a_preset_says_the_order() -> None:
    """A file of both orders would load every day up to the twelfth of the one half wrongly, without a sound."""
    rows = [f"{n},{n % 28 + 1:02}/02/2024,5" for n in range(16_000)]
    rows[12_000] = "12000,02/28/2024,5"
    data = "order_id,order_at,amount\n" + "\n".join(rows) + "\n"
    found = decided(data)
    assert isinstance(found, Problem)
    assert found.message == "far.csv: column 'order_at' has days in two orders: '13/02/2024' and '02/28/2024'"
    own = """
presets:
  - {name: mine, source: crm, stream: orders, match: {headers: [order_id]}, columns: {order_id: order_id, order_at: order_at,
     amount: amount}, format: {date_order: dmy}}
"""
    assert [(aside.reason, aside.value) for aside in asides(data, extra=own)] == [("unreadable_timestamp", "02/28/2024")]


def test_what_is_proven_in_the_head_needs_no_pass_over_the_file() -> None:
    assert reading_of(long_file("tax", "1.50", "2")).undecided == ()
    assert reading_of(long_file("updated_at", "2024-01-02", "2024-01-02")).undecided == ()
    assert reading_of(long_file("updated_at", "28.02.2024", "01.02.2024")).undecided == ()


# --- numbers that stand for days -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "kind", "value"),
    [
        ("44159.5", "excel", "2020-11-24T12:00:00Z"),
        ("1606219200", "unix_seconds", "2020-11-24T12:00:00Z"),
        ("1606219200000", "unix_milliseconds", "2020-11-24T12:00:00Z"),
    ],
)
def test_a_whole_column_of_numbers_is_known_by_its_range_and_said(cell: str, kind: str, value: str) -> None:
    data = f"order_id,order_at,amount\n1,{cell},5\n2,{cell},5\n"
    reading = reading_of(data)
    assert reading.values.number_dates == {"order_at": kind}
    (guess,) = reading.guesses
    assert guess.startswith("order_at: ")
    assert f"'{cell}' is 2020-11-24 12:00:00" in guess
    assert payloads(data)[0]["order_at"] == value


@pytest.mark.parametrize("cells", [["44159", "soon"], ["44159", "1606219200"], ["2024"], ["160621920"], ["9160621920"]])
def test_numbers_of_no_one_plausible_range_stay_unreadable(cells: list[str]) -> None:
    data = "order_id,order_at,amount\n" + "".join(f"{n},{cell},5\n" for n, cell in enumerate(cells))
    assert reading_of(data).values.number_dates == {}
    assert len(asides(data)) == len(cells)


def test_a_preset_says_what_numbers_stand_for() -> None:
    own = """
presets:
  - {name: mine, source: crm, stream: orders, match: {headers: [Nr]}, columns: {order_id: Nr, order_at: Day, amount: Sum},
     format: {number_dates: excel_1904, time_zone: Europe/Berlin}}
"""
    (page,) = pages("Nr,Day,Sum\n1,42697.5,5\n2,2020-11-24 12:00,5\n", extra=own)
    assert [row["order_at"] for row in page.rows] == ["2020-11-24T11:00:00Z", "2020-11-24T11:00:00Z"]
    assert reading_of("Nr,Day,Sum\n1,42697.5,5\n", extra=own).guesses == ()


def test_a_column_of_its_own_marks_is_read_by_them() -> None:
    rows = payloads('order_id,order_at,amount,tax,item_count\n1,2024-01-02,"1,5",2.5,"1,234"\n')
    assert (rows[0]["amount"], rows[0]["tax"], rows[0]["item_count"]) == ("1.5", "2.5", "1234")
    assert (
        "column 'amount' writes numbers in two ways"
        in problem_of('order_id,order_at,amount\n1,2024-01-02,"1,5"\n2,2024-01-02,2.5\n').message
    )


# --- ids -------------------------------------------------------------------------------------------------------------


def test_ids_that_were_taken_for_numbers_are_ids_again_and_that_is_said() -> None:
    data = "order_id,contact_id,order_at,amount\n1,17850.0,2024-01-02,5\n2,,2024-01-02,5\n3,13047.0,2024-01-02,5\n"
    assert [row.get("contact_id") for row in payloads(data)] == ["17850", None, "13047"]
    assert reading_of(data).guesses == ("contact_id: ids were taken for numbers, '17850.0' is 17850",)


def test_an_id_is_text_where_one_of_them_is() -> None:
    data = "order_id,contact_id,order_at,amount\n007,17850.0,2024-01-02,5\n2,17850.1,2024-01-02,5\n"
    assert [(row["order_id"], row["contact_id"]) for row in payloads(data)] == [("007", "17850.0"), ("2", "17850.1")]
    own = """
presets:
  - {name: mine, source: crm, stream: orders, match: {headers: [Nr]}, columns: {order_id: Nr, order_at: Day, amount: Sum},
     format: {numeric_ids: true}}
"""
    assert [row["order_id"] for row in payloads("Nr,Day,Sum\n8.0,2024-01-02,5\nA8.0,2024-01-02,5\n", extra=own)] == [
        "8",
        "A8.0",
    ]


def test_an_id_that_a_spreadsheet_has_cut_is_set_aside() -> None:
    """Another id with the same first digits would look the same, and replace it."""
    data = "order_id,order_at,amount\n1.23457E+12,2024-01-02,5\n2,2024-01-02,5\n"
    (aside,) = asides(data)
    assert (aside.reason, aside.column, aside.value) == ("unreadable_id", "order_id", "1.23457E+12")
    assert [row["order_id"] for row in payloads(data)] == ["2"]
