"""Eight days of real sales, a file per day: what the reader delivers equals a count that knows nothing of it, to the cent."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import pytest

from tests.develop import ledger
from tests.develop.files import DEVELOP, data_files, needs_files

pytestmark = needs_files
DAYS = [name for name in data_files() if name.startswith("online_retail_8days/")]


@dataclass(frozen=True)
class Sales:
    """What a day, or all of them, sold. ``repeated``: lines that are equal to an earlier one in every column that is read."""

    lines: int
    invoices: int
    cancellations: int
    repeated: int
    revenue: Decimal


class Sale(NamedTuple):
    """A line, by whoever has read it. ``content``: what two lines share that are the same."""

    invoice: str
    quantity: str
    unit_price: str
    content: tuple[object, ...]


def added_up(sales: Sequence[Sale]) -> Sales:
    invoices = {sale.invoice for sale in sales}
    return Sales(
        len(sales),
        len(invoices),
        sum(invoice.startswith("C") for invoice in invoices),
        len(sales) - len({sale.content for sale in sales}),
        sum((Decimal(sale.quantity) * Decimal(sale.unit_price) for sale in sales), Decimal()),
    )


def counted(names: list[str]) -> Sales:
    """By the csv module and decimal arithmetic alone."""
    rows: list[dict[str, str]] = []
    for name in names:
        with (DEVELOP / name).open(encoding="utf-8", newline="") as file:
            rows += csv.DictReader(file)
    named = ("InvoiceNo", "StockCode", "Description", "Quantity", "UnitPrice")
    return added_up([Sale(row["InvoiceNo"], row["Quantity"], row["UnitPrice"], tuple(map(row.get, named))) for row in rows])


def delivered(names: list[str]) -> Sales:
    """By the product's reader."""
    rows = []
    for name in names:
        raw = (DEVELOP / name).read_bytes()
        read = next(one for one in ledger.read(name, raw, 0) if one.line.stream == "order_items")
        assert read.asides == []
        rows += read.rows
    return added_up([Sale(row["order_id"], row["quantity"], row["unit_price"], tuple(sorted(row.items()))) for row in rows])


@pytest.mark.parametrize("name", DAYS)
def test_the_lines_of_a_day(name: str) -> None:
    assert delivered([name]) == counted([name])


def test_the_lines_of_all_days() -> None:
    found = delivered(DAYS)
    assert found == counted(DAYS)
    assert (found.lines, found.invoices, found.cancellations, found.revenue) == (22_523, 1_088, 136, Decimal("377488.45"))


def test_no_invoice_stands_in_two_files() -> None:
    assert sum(counted([name]).invoices for name in DAYS) == counted(DAYS).invoices


def test_a_cancellation_takes_back_what_was_sold() -> None:
    (read,) = [one for one in ledger.read(DAYS[0], (DEVELOP / DAYS[0]).read_bytes(), 0) if one.line.stream == "order_items"]
    taken_back = [row for row in read.rows if row["order_id"].startswith("C")]
    assert taken_back
    assert all(Decimal(row["quantity"]) < 0 for row in taken_back)


@pytest.mark.parametrize("name", DAYS)
def test_the_invoices_of_a_day(name: str) -> None:
    """An invoice is the first of its lines, which stand together; its buyer loses the ``.0`` of a spreadsheet."""
    with (DEVELOP / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    firsts = {row["InvoiceNo"]: row for row in reversed(rows)}
    (read,) = [one for one in ledger.read(name, (DEVELOP / name).read_bytes(), len(rows)) if one.line.stream == "orders"]
    assert read.line.loaded + read.line.non_rows == len(rows)
    assert [(row["order_id"], row.get("contact_id", ""), row["order_at"], row["currency"]) for row in read.rows] == [
        (number, first["CustomerID"].removesuffix(".0"), first["InvoiceDate"].replace(" ", "T") + "Z", "GBP")
        for number, first in sorted(firsts.items(), key=lambda item: rows.index(item[1]))
    ]
    assert not any("amount" in row for row in read.rows)
