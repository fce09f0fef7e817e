"""Random files, built step by step: after every few builds the incremental tables must equal a full refresh, row for row.

Files come late and out of order, repeat content, correct, move, delete and spoil records, lose ledger lines, and bring
rates, campaigns, contacts and lines after the orders that need them; files of whole days supersede each other, and a version
that was replaced comes back. Usage: incremental_is_full.py SEED ROUNDS; exits with 1 on a difference.
"""

from __future__ import annotations

import datetime as dt
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from bronze import Bronze, Warehouse

TABLES = [
    "silver_pii.slv_crm__contacts",
    "silver.slv_crm__orders", "silver.slv_crm__order_lines", "silver.slv_crm__products", "silver.slv_crm__campaigns",
    "silver.slv_crm__support_tickets", "silver.slv_crm__exchange_rates",
    "silver.slv_set_aside",
    "gold.fact_orders", "gold.fact_order_items", "gold.fact_support_tickets", "gold.dim_contacts",
    "audit.aud_file_changes",
]  # fmt: skip
FIRST_DAY = dt.date(2026, 10, 20)
Record = dict[str, str]


class Shop:
    """Makes the files. ``now`` only moves on; what was made may be loaded later, in any order."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.made: list[dict[str, Any]] = []
        self.now = dt.datetime(2026, 11, 1)  # noqa: DTZ001  (printed with a Z)
        self.makers: dict[str, Callable[[], tuple[list[Record], str]]] = {
            "orders": self.orders, "order_items": self.order_items, "contacts": self.contacts, "products": self.products,
            "campaigns": self.campaigns, "exchange_rates": self.rates, "support_tickets": self.tickets,
        }  # fmt: skip

    def file(self) -> dict[str, Any]:
        """One file: the arguments of ``Bronze.add_slice``."""
        weights = {"orders": 4, "order_items": 2, "exchange_rates": 2}
        stream = self.random.choices(list(self.makers), [weights.get(name, 1) for name in self.makers])[0]
        self.now += dt.timedelta(minutes=self.random.randint(1, 90))
        rows, mode = self.makers[stream]()
        window = self.days() if mode == "upsert" and self.random.random() < 0.4 else None
        file_name = f"{stream}-{self.random.randint(1, 3)}.csv"
        before = [one for one in self.made if one["stream"] == stream]
        if before and self.random.random() < 0.2:  # the very file again: a version that was replaced comes back
            return self.keep({**self.random.choice(before), "file_at": f"{self.now.isoformat()}Z"})
        aside = [{"reason": "ragged"}] if self.random.random() < 0.1 else []
        account = self.random.choice(["a", "a", "b"])
        made = {
            "stream": stream,
            "rows": rows,
            "mode": "dates" if window else mode,
            "window": window,
            "file_name": file_name,
            "file_at": f"{self.now.isoformat()}Z",
            "account": account,
            "aside": aside,
        }
        return self.keep(made)

    def keep(self, made: dict[str, Any]) -> dict[str, Any]:
        self.made.append(made)
        return made

    def days(self) -> tuple[str, str]:
        """A window of whole days: few, so that they often cover each other, and sometimes overlap in part."""
        first = self.random.choice([0, 0, 2])
        return str(FIRST_DAY + dt.timedelta(first)), str(FIRST_DAY + dt.timedelta(self.random.choice([3, 3, 5])))

    def some(self, most: int) -> range:
        return range(self.random.randint(0, most))

    def day(self, before: int = 0) -> str:
        return str(FIRST_DAY + dt.timedelta(self.random.randint(-before, 11)))

    def changed(self, chance: float = 0.6) -> Record:
        if self.random.random() > chance:
            return {}
        return {"updated_at": f"{(self.now - dt.timedelta(hours=self.random.randint(0, 60))).isoformat()}Z"}

    def pick(self, **choices: list[Any]) -> Record:
        picked = {name: self.random.choice(values) for name, values in choices.items()}
        return {name: value for name, value in picked.items() if value is not None}

    def orders(self) -> tuple[list[Record], str]:
        mode = "snapshot" if self.random.random() < 0.1 else "upsert"
        rows = [
            {
                **self.pick(
                    order_id=[f"o{n}" for n in range(1, 20)],
                    contact_id=["c1", "c2", "c3", None],
                    contact_email=["a@example.com", "B@example.com", "x@example.com", None],
                    amount=["12.50", "99", "-3", "7.1", "oops", None, None],
                    currency=["GBP", "EUR", "eur", "JPY", None],
                    channel=["google", "FB", "direct", "pigeon", None],
                    campaign_id=["k1", "k2", "k9", None],
                    utm_id=["K1", "k3", "k8", None, None],
                    is_repeat=["true", "false", None],
                    refund=["1", None],
                    is_deleted=["true", "false", None, None, None],
                ),
                "order_at": f"{self.day()}T{self.random.randint(0, 23):02d}:15:00Z",
                **self.changed(),
            }
            for _ in self.some(9)
        ]
        return rows, mode

    def order_items(self) -> tuple[list[Record], str]:
        rows = []
        for order in {self.random.randint(1, 20) for _ in self.some(6)}:
            numbered = self.random.random() < 0.7
            for line in range(1, self.random.randint(1, 3) + 1):
                row = {
                    "order_id": f"o{order}",
                    **self.pick(
                        product_id=["p1", "p2", "p7", None], quantity=["1", "2", "-1", "x"], unit_price=["5", "5", None]
                    ),
                }
                rows.append(row | ({"line_number": str(line)} if numbered else {}) | self.changed(0.2))
        return rows, "upsert"

    def contacts(self) -> tuple[list[Record], str]:
        rows = [
            self.pick(
                contact_id=["c1", "c2", "c4", "c5"],
                email=["A@example.com", "b@example.com", None],
                country=["GB", "FR"],
                is_deleted=["true", None, None],
            )
            | self.changed()
            | self.pick(created_at=["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", None])
            for _ in self.some(3)
        ]
        return rows, "upsert"

    def products(self) -> tuple[list[Record], str]:
        return [
            {"product_id": f"p{n}", **self.pick(price=["1", "2", "dear"])} | self.changed(0.4)
            for n in range(1, 5)
            if self.random.random() < 0.7
        ], "snapshot"

    def campaigns(self) -> tuple[list[Record], str]:
        names = ["Red", "Blue", "Green"]
        return [
            {"campaign_id": f"k{n}", **self.pick(campaign_name=names, channel=["google", "meta"])}
            for n in range(1, 5)
            if self.random.random() < 0.6
        ], "snapshot"

    def rates(self) -> tuple[list[Record], str]:
        return [
            {"rate_date": self.day(5), **self.pick(currency=["EUR", "JPY"], rate=["0.85", "0.86", "0.0052"])}
            for _ in self.some(3)
        ], "upsert"

    def tickets(self) -> tuple[list[Record], str]:
        rows = [
            self.pick(
                ticket_id=["t1", "t2", "t3", "t4"],
                contact_id=["c1", "c8", None],
                requester_email=["X@example.com", None],
                rating=["5", "good", None],
            )
            | {"created_at": f"{self.day()}T10:00:00Z", "resolved_at": "2026-11-02T11:30:00Z", "reply_count": "1"}
            | self.changed()
            for _ in self.some(3)
        ]
        return rows, "upsert"


def main(seed: int, rounds: int) -> int:
    shop, bronze = Shop(seed), Bronze()
    bronze.create()
    waiting: list[dict[str, Any]] = []
    differences = compared = 0
    with tempfile.TemporaryDirectory() as scratch:
        warehouse = Warehouse(bronze, Path(scratch))
        warehouse.dbt("seed")
        for number in range(1, rounds + 1):
            bronze.build = number
            waiting += [shop.file() for _ in range(shop.random.randint(3, 9))]
            shop.random.shuffle(waiting)
            late = shop.random.randint(0, min(3, len(waiting) - 1)) if number < rounds else 0
            for one in waiting[late:]:
                bronze.add_slice(**one)
            waiting = waiting[:late]
            warehouse.dbt("run", build=number)
            if shop.random.random() < 0.2:
                lost = shop.random.choice(TABLES).split(".")[1]
                bronze.query(f"delete from audit.applied where model = '{lost}' and cut = {number}")
                print(f"seed {seed} build {number}: the ledger line of {lost} is lost")
            if number % 2 == 0 or number == rounds:
                step_by_step = {table: warehouse.rows(table) for table in TABLES}
                warehouse.dbt("run", "--full-refresh", build=number)
                for table in TABLES:
                    at_once = warehouse.rows(table)
                    compared += 1
                    if step_by_step[table] != at_once:
                        differences += 1
                        only = [one for one in step_by_step[table] if one not in at_once][:2]
                        missing = [one for one in at_once if one not in step_by_step[table]][:2]
                        print(f"seed {seed} build {number} {table} differs: only incremental {only}; only full {missing}")
        warehouse.dbt("test", "--exclude-resource-type", "unit_test", build=rounds)
        sizes = {table.split(".")[1]: len(warehouse.rows(table)) for table in TABLES}
    print(f"seed {seed}: {rounds} builds, {bronze.slices} files, rows {sizes}")
    print(f"seed {seed}: {compared} tables compared, {differences} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
