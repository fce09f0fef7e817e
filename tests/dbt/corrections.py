"""What a correction costs and does, one after the other on one warehouse: which dates of fact_orders each file replaces."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from bronze import Bronze, Warehouse

SELECTED = [
    "slv_slices", "slv_set_aside", "slv_superseded", "slv_crm__contacts", "slv_contact_refs", "slv_crm__orders",
    "slv_crm__order_lines", "slv_orders_resolved", "slv_crm__exchange_rates", "slv_crm__campaigns", "slv_campaign_refs",
    "slv_fx_daily", "fact_orders", "aud_set_aside",
]  # fmt: skip


def order(number: int, day: int, amount: str = "10", **more: str) -> dict[str, str]:
    return {
        "order_id": f"o{number}",
        "contact_id": "c1",
        "order_at": f"2026-01-{day:02d}T12:00:00Z",
        "amount": amount,
        "currency": "GBP",
        **more,
    }


class Story:
    """Builds after each file and tells which dates were replaced."""

    def __init__(self, warehouse: Warehouse, scratch: Path) -> None:
        self.warehouse, self.bronze, self.compiled = warehouse, warehouse.bronze, scratch / "target" / "compiled"

    def replaced(self, stream: str, rows: list[dict[str, str]], at: str, **more: Any) -> list[str]:
        self.bronze.add_slice(stream, rows, file_at=at, **more)
        self.warehouse.dbt("run", "--select", *SELECTED, build=self.bronze.build)
        self.bronze.build += 1
        (compiled,) = self.compiled.rglob("fact_orders.sql")
        said = re.search(r"replace_dates: (\[.*?\])", compiled.read_text())
        assert said is not None
        return [str(day) for day in json.loads(said.group(1))]

    def orders(self) -> dict[str, tuple[Any, ...]]:
        found = self.bronze.query("select order_id, order_date, amount_reporting, contact_order_number from gold.fact_orders")
        return {one[0]: (str(one[1]), *one[2:]) for one in found}

    def match(self, order_id: str) -> str:
        ((found,),) = self.bronze.query(f"select contact_match from gold.fact_orders where order_id = '{order_id}'")
        return str(found)


def main() -> None:
    bronze = Bronze()
    bronze.create()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        warehouse = Warehouse(bronze, scratch)
        warehouse.dbt("seed")
        story = Story(warehouse, scratch)

        first = [order(1, 2), order(2, 4), order(3, 6, currency="EUR")]
        story.replaced("orders", first, "2026-02-02T05:00:00Z")
        assert story.orders()["o2"] == ("2026-01-04", Decimal(10), 2)
        assert story.orders()["o3"] == ("2026-01-06", None, 3), "no rate is NULL, not 0"

        assert story.replaced("orders", first, "2026-02-03T05:00:00Z") == [], "the same content again replaces nothing"
        late = [order(1, 9, "1"), order(2, 9, "1")]
        assert story.replaced("orders", late, "2026-02-01T05:00:00Z") == [], "an older file that comes late changes nothing"

        assert story.replaced("orders", [order(2, 4, "11")], "2026-02-04T05:00:00Z") == ["2026-01-04"], (
            "a corrected order, its one date"
        )
        assert story.orders()["o2"][1] == 11

        moved = story.replaced("orders", [order(1, 5)], "2026-02-05T05:00:00Z")
        assert moved == ["2026-01-02", "2026-01-04", "2026-01-05"], (
            f"where it stood, where it stands, whom it renumbers: {moved}"
        )
        assert {name: values[2] for name, values in story.orders().items()} == {"o2": 1, "o1": 2, "o3": 3}
        assert story.orders()["o1"][0] == "2026-01-05", "the emptied date keeps no ghost"

        spoilt = story.replaced("orders", [order(2, 4, "1.1.1")], "2026-02-06T05:00:00Z")
        assert spoilt == [], "a version that does not cast is set aside and the good one stays"
        assert bronze.query("select column_name, bad_value from audit.aud_set_aside") == [("amount", "1.1.1")]

        rates = [{"rate_date": "2026-01-04", "currency": "EUR", "rate": "0.85"}]
        assert "2026-01-06" in story.replaced("exchange_rates", rates, "2026-02-07T05:00:00Z"), (
            "a late rate reaches the days it is carried to"
        )
        assert story.orders()["o3"][1] == Decimal("8.5")

        gone = story.replaced("orders", [order(1, 5), order(3, 6, currency="EUR")], "2026-02-08T05:00:00Z", mode="snapshot")
        assert gone == ["2026-01-04", "2026-01-05", "2026-01-06"], (
            f"absent from the whole list, and the later ones renumbered: {gone}"
        )
        assert {name: values[2] for name, values in story.orders().items()} == {"o1": 1, "o3": 2}

        days = {"mode": "dates", "window": ("2026-01-20", "2026-01-21")}
        first_version = [order(8, 20), order(9, 21, updated_at="2026-01-22T00:00:00Z")]
        story.replaced("orders", first_version, "2026-02-08T06:00:00Z", **days)
        second_version = [order(9, 21, "11", updated_at="2026-01-23T00:00:00Z")]
        assert story.replaced("orders", second_version, "2026-02-08T07:00:00Z", **days) == ["2026-01-20", "2026-01-21"]
        assert "o8" not in story.orders(), "a newer file of the same days withdraws what it lacks"
        story.replaced("orders", first_version, "2026-02-08T08:00:00Z", **days)
        assert story.orders()["o8"][1] == 10
        assert story.orders()["o9"][1] == 10, "the first version again holds whole, against a newer updated_at too"

        bare = {name: value for name, value in order(7, 25).items() if name != "amount"}
        story.replaced("orders", [bare], "2026-02-08T09:00:00Z")
        assert story.orders()["o7"][1] is None, "neither the order nor its lines give an amount"
        line = {"order_id": "o7", "quantity": "2", "unit_price": "3.5"}
        assert story.replaced("order_items", [line, line], "2026-02-08T10:00:00Z") == ["2026-01-25"]
        assert story.orders()["o7"][1] == 14

        buyer = {"contact_email": "Buyer@example.com", "contact_id": "lost"}
        story.replaced("orders", [order(6, 26) | buyer], "2026-02-08T11:00:00Z")
        assert story.match("o6") == "inferred"
        contact = {"contact_id": "c6", "email": "buyer@example.com"}
        assert story.replaced("contacts", [contact], "2026-02-08T12:00:00Z") == ["2026-01-26"]
        assert story.match("o6") == "email", "a contact that comes later finds its orders"

        failure = {
            "slice_id": "sx",
            "stream": "crm.orders",
            "file_name": "x.csv",
            "kind": "rejected",
            "message": "unknown header",
            "next_step": "add a preset",
        }
        bronze.add_failure(**failure, failed_at="2026-02-09T05:00:00Z")
        files = "select reason from audit.aud_set_aside where unit = 'file'"
        assert bronze.query(files) == [("rejected: unknown header",)]
        story.replaced("orders", [order(1, 5)], "2026-02-10T05:00:00Z", file_name="x.csv")
        assert bronze.query(files) == [], "a file that loads in the end is no finding"
    print("corrections: all as told")


if __name__ == "__main__":
    main()
