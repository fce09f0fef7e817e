"""Ids and addresses: one customer stays one however a program dressed up its id, and those without an id do not become one."""

from __future__ import annotations

import pytest

from pipeline.csv_dates import Unreadable
from pipeline.csv_ids import read_reference, references, refers
from tests.functions.reading import asides, payloads, reading_of


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("17850", "17850"),
        ("'0123", "0123"),
        ('="0123"', "0123"),
        ("'s-Hertogenbosch", "'s-Hertogenbosch"),
        (" A1\u00a0", "A1"),
        ("\ufeffA1\u200b", "A1"),
        ("#1001", "#1001"),
        ("A 1", "A 1"),
        ("NULL", ""),
        ("(null)", ""),
        ("NaN", ""),
        ("#N/A", ""),
        ("\\N", ""),
        ("-", ""),
        ("NA", "NA"),
        ("17850.0", "17850.0"),
        ("1e5", "1e5"),
    ],
)
def test_an_id_is_its_text_without_what_programs_put_around_it(cell: str, value: str) -> None:
    assert read_reference(cell, an_id=True) == value


@pytest.mark.parametrize(
    ("cell", "address"),
    [
        ("Ann Lee <ann@example.com>", "ann@example.com"),
        ("<ann@example.com>", "ann@example.com"),
        ("mailto:Ann@example.com", "Ann@example.com"),
        (" ann@example.com\u200b", "ann@example.com"),
        ("a@example.com; b@example.com", "a@example.com; b@example.com"),
        ("ask Ann", "ask Ann"),
        ("n/a", ""),
    ],
)
def test_an_address_is_itself_without_the_name_beside_it(cell: str, address: str) -> None:
    assert read_reference(cell, an_id=False) == address


@pytest.mark.parametrize("cell", ["1.7E+10", "1,23457E+12", "#REF!", "#NAME?", "#VALUE!", "####"])
def test_what_a_spreadsheet_has_broken_is_no_id(cell: str) -> None:
    with pytest.raises(Unreadable):
        read_reference(cell, an_id=True)
    assert read_reference(cell, an_id=False) == cell


def test_ids_and_addresses_are_read_so_and_no_other_text() -> None:
    assert [name for name in ("contact_id", "email", "contact_email", "status", "phone", "email_opt_in") if refers(name)] == [
        "contact_id",
        "email",
        "contact_email",
    ]
    (row,) = payloads("contact_id,email,city,full_name\n'007, ann@example.com ,NA,'007\n")
    assert row == {"contact_id": "007", "email": "ann@example.com", "city": "NA", "full_name": "'007"}


def test_rows_without_an_id_do_not_become_one_record() -> None:
    data = "contact_id,email\nNULL,NULL\nnull,n/a\n1,none\n"
    assert payloads(data) == [{"contact_id": "1"}]
    assert [(aside.reason, aside.line, aside.column, aside.value) for aside in asides(data)] == [
        ("missing_required", 2, "contact_id", "NULL"),
        ("missing_required", 3, "contact_id", "null"),
    ]


def test_an_id_that_was_cut_is_set_aside_wherever_it_stands() -> None:
    rows = [f"{n},2024-01-02,5,{n}" for n in range(9_000)]
    rows[5_000] = "1.7E+10,2024-01-02,5,7"
    rows[5_001] = "5001,2024-01-02,5,#REF!"
    found = asides("order_id,order_at,amount,contact_id\n" + "\n".join(rows) + "\n")
    assert [(aside.reason, aside.line, aside.column, aside.value) for aside in found] == [
        ("unreadable_id", 5002, "order_id", "1.7E+10"),
        ("unreadable_id", 5003, "contact_id", "#REF!"),
    ]


@pytest.mark.parametrize(
    "cell", [" 1", "1 ", "'1", '="1"', "NULL", "nan", "é", "1.7E+10", "#####", "1\x1f", "-", "#REF!", "<a@b>"]
)
def test_a_column_is_taken_as_it_stands_only_where_no_cell_needs_reading(cell: str) -> None:
    assert references(["7", "A-8", "#9", cell, ""]) is None
    assert references(["7", "A-8", "#9", ""]) == ["7", "A-8", "#9", ""]


def test_text_in_formulas_is_taken_out_and_that_is_said() -> None:
    data = 'contact_id,email,city\n1,,"=""0123"""\n2,,"\'90s"\n'
    assert [row["city"] for row in payloads(data)] == ["0123", "'90s"]
    assert reading_of(data).guesses == ("text stands in formulas: '=\"0123\"' is '0123'",)
