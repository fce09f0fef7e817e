"""Amounts that name their currency."""

from __future__ import annotations

import pytest

from pipeline.csv_amounts import named_in
from pipeline.csv_currency import code_of, mark_in
from tests.functions.reading import asides, payloads, reading_of

OWN = """
presets:
  - {name: mine, source: crm, stream: orders, match: {headers: [Nr]}, columns: {order_id: Nr, order_at: Day, amount: Sum,
     tax: Tax, currency: CURRENCY}}
"""


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("€ 12", "EUR"),
        ("12.00 EUR", "EUR"),
        ("12,00eur", "EUR"),
        ("-CA$12", "CAD"),
        ("US$ 1,200.50", "USD"),
        ("12 zł", "PLN"),
        ("12", None),
        ("$12", None),
        ("12 kr.", None),
        ("12 apples", None),
    ],
)
def test_the_currency_that_a_cell_names(cell: str, code: str | None) -> None:
    assert code_of(mark_in(cell), {}) == code
    assert code_of(mark_in("$12"), {"$": "CAD"}) == "CAD"


def test_a_shared_sign_names_itself() -> None:
    assert (named_in("$12", {}), named_in("12 kr.", {}), named_in("12 pcs", {}), named_in("12", {})) == ("$", "kr", "", "")


def test_signs_are_found_out_and_said() -> None:
    data = "order_id,order_at,amount,currency\n1,2024-01-02,€ 12,EUR\n2,2024-01-02,13.50,EUR\n3,2024-01-02,(14.00) EUR,EUR\n"
    assert [row["amount"] for row in payloads(data)] == ["12", "13.50", "-14.00"]
    assert reading_of(data).guesses == ("amounts name their currency, as in '€ 12'",)


def test_a_unit_is_no_currency() -> None:
    data = "order_id,order_at,amount\n1,2024-01-02,€ 12\n2,2024-01-02,12 PCS\n3,2024-01-02,12 lei\n"
    assert [(aside.reason, aside.value) for aside in asides(data)] == [
        ("unreadable_decimal", "12 PCS"),
        ("mixed_currencies", "12 lei"),
    ]


def test_two_currencies_without_a_field_for_them_are_not_added_up() -> None:
    data = "order_id,order_at,amount\n1,2024-01-02,€ 12\n2,2024-01-02,12 EUR\n3,2024-01-02,$12\n4,2024-01-02,12\n"
    assert [row["order_id"] for row in payloads(data)] == ["1", "2", "4"]
    assert [(aside.reason, aside.column, aside.value) for aside in asides(data)] == [("mixed_currencies", "amount", "$12")]
    assert reading_of(data).guesses == ("amounts are in EUR, as in '€ 12'; one in another currency is set aside",)


def test_an_amount_must_be_in_the_currency_of_its_row() -> None:
    rows = (
        "Nr,Day,Sum,Tax,Cur\n1,2024-01-02,€ 12,€ 2,EUR\n2,2024-01-02,$12,2,CAD\n3,2024-01-02,$12,2,EUR\n4,2024-01-02,£12,$2,\n"
    )
    own = OWN.replace("CURRENCY", "Cur")
    assert [row["order_id"] for row in payloads(rows, extra=own)] == ["1", "2"]
    assert [(aside.line, aside.reason, aside.column) for aside in asides(rows, extra=own)] == [
        (4, "mixed_currencies", "Sum"),
        (5, "mixed_currencies", "Tax"),
    ]


def test_the_currency_of_the_amount_is_that_of_the_other_amounts() -> None:
    rows = "Nr,Day,Sum,Tax\n1,2024-01-02,€ 12,€ 2\n2,2024-01-02,£12,2\n3,2024-01-02,£12,€ 2\n"
    own = OWN.replace("CURRENCY", "{currency_of: amount}")
    assert [(row["order_id"], row["currency"]) for row in payloads(rows, extra=own)] == [("1", "EUR"), ("2", "GBP")]
    assert [(aside.line, aside.column) for aside in asides(rows, extra=own)] == [(4, "Tax")]


def test_a_constant_is_the_currency_of_every_row() -> None:
    own = OWN.replace(", currency: CURRENCY}", "}, constants: {currency: GBP}")
    rows = "Nr,Day,Sum,Tax\n1,2024-01-02,£12,2\n2,2024-01-02,12 USD,2\n"
    assert [row["order_id"] for row in payloads(rows, extra=own)] == ["1"]
