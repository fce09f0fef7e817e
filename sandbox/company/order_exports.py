"""The shop's exports of orders and their lines: a file a month, a file of lines a year, and corrections of both."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

from sandbox.company import crm_records as records
from sandbox.company import dirt as dirty
from sandbox.company.crm_records import stamp
from sandbox.company.dirt import Dirt
from sandbox.company.export_files import ExportFile, Record, Row, Style, has_one_meaning
from sandbox.company.model import REPORTING_TIME_ZONE, Company
from sandbox.company.trade import moment

CORRECTIONS = Style(
    delimiter=";",
    encoding="cp1252",
    line_end="\r\n",
    decimal=",",
    dates="%d.%m.%Y",
    time_zone=REPORTING_TIME_ZONE,
    headers={
        "order_id": "Bestellnummer", "contact_id": "Kundennummer", "order_at": "Bestellt am",
        "amount": "Gesamtbetrag", "currency": "Währung", "tax": "Enthaltene MwSt", "shipping": "Versand",
        "discount": "Rabatt", "refund": "Erstattet",
        "item_count": "Stückzahl", "status": "Status", "campaign_id": "Kampagne", "channel": "Kanal",
        "payment_method": "Zahlart", "is_repeat": "Stammkunde", "updated_at": "Geändert am", "is_deleted": "Gelöscht",
    },
)  # fmt: skip
CORRECTION_DAYS = 120
"""How far back the shop corrects orders in a file of their own; older months were exported again instead."""


@dataclass(slots=True)
class _Corrections:
    """Newer versions of orders and of the lines of some; ``late`` orders are in no other file."""

    orders: list[Record] = field(default_factory=list)
    items: list[Record] = field(default_factory=list)
    late: set[str] = field(default_factory=set)


def order_files(
    company: Company, orders: Mapping[str, Record], items: Mapping[str, list[Record]], dirt: Dirt
) -> list[ExportFile]:
    """All files of orders and their lines. ``orders`` and ``items`` are what the shop believes, by order id."""
    corrections = _correct(company, orders, items, dirt)
    corrected = {record["order_id"] for record in corrections.orders}
    monthly: dict[date, list[Row]] = defaultdict(list)
    for order in company.orders:
        if order.order_id not in corrections.late:
            record = orders[order.order_id]
            record = record if order.order_id in corrected else records.refunded(record, order)
            monthly[order.order_at.date().replace(day=1)].append(Row(dict(record)))
    files = []
    months = sorted(monthly)
    for month, following in zip(months, [*months[1:], None], strict=True):
        if following is not None:
            # Exported on the morning after, the file already holds the first orders of the next month.
            overlap = monthly[following][:3]
            monthly[month].extend(Row(dict(row.record)) for row in overlap)
            dirt.note("overlapping_exports", "a row stands in two files", (row.record["order_id"] for row in overlap))
        last_day = following - timedelta(days=1) if following else company.as_of
        files.append(ExportFile(f"orders_{last_day}.csv", "orders", records.ORDER_FIELDS, monthly[month]))
    _lose_orders(dirt, files)
    copied = files[len(files) // 2]
    copy = ExportFile(copied.name.replace(".csv", "_again.csv"), "orders", copied.fields, copied.rows)
    dirt.note("same_file_twice", "a file was dropped again under another name", [copy.name])
    rows = [Row(record) for record in corrections.orders]
    late_file = ExportFile(f"orders_{company.as_of}_corrected.csv", "orders", records.ORDER_FIELDS, rows, CORRECTIONS)
    _spoil_newest_versions(dirt, late_file, files[-1])
    return [*files, copy, late_file, *_item_files(company, items, corrections.items, dirt)]


def _correct(company: Company, orders: Mapping[str, Record], items: Mapping[str, list[Record]], dirt: Dirt) -> _Corrections:
    result = _Corrections()
    now = {"updated_at": stamp(moment(company.as_of, 21 * 3600))}
    since = moment(company.as_of - timedelta(days=CORRECTION_DAYS))

    def is_open(record: Record) -> bool:
        return datetime.fromisoformat(record["order_at"]) > since and all(
            has_one_meaning(record[name], REPORTING_TIME_ZONE) for name in ("order_at", "updated_at")
        )

    refunds = [order for order in company.orders if order.refunded_at is not None]
    for order in refunds:
        record = records.refunded(orders[order.order_id], order)
        if order.order_id not in dirt.hit_orders and is_open(record):
            result.orders.append(record)
    dirt.hit_orders.update(order.order_id for order in refunds)
    dirt.note(
        "late_refunds",
        "a refund comes with the corrections",
        (r["order_id"] for r in result.orders),
    )

    orders_of = Counter(record["contact_id"] for record in orders.values())

    def take(count: int, name: str, what: str, fits: Callable[[Record], bool]) -> list[Record]:
        taken = dirt.take_orders(orders.values(), count, lambda record: is_open(record) and fits(record))
        dirt.note(name, what, (record["order_id"] for record in taken))
        return taken

    for record in take(2, "deleted_orders", "the shop marks the order as deleted", dirty.is_guest):
        result.orders.append(record | now | {"is_deleted": "true"})
    for record in take(
        4,
        "moved_orders",
        "a correction moves the order by a day",
        # Of contacts with one order, so that no sequence changes; never into the hour that a day has twice.
        lambda r: dirty.is_sale_to_contact(r) and orders_of[r["contact_id"]] == 1 and r["order_at"][11:13] >= "04",
    ):
        order_at = datetime.fromisoformat(record["order_at"]) - timedelta(days=1)
        result.orders.append(record | now | {"order_at": stamp(order_at)})
    for record in take(6, "late_orders", "the order comes only with the corrections", dirty.is_sale_to_contact):
        result.orders.append(dict(record))
        result.late.add(record["order_id"])
    for record in take(
        6,
        "orders_with_fewer_lines",
        "a correction drops the order's last line",
        lambda r: dirty.is_sale_to_contact(r) and len(items[r["order_id"]]) > 1,
    ):
        *kept, dropped = items[record["order_id"]]
        less = Decimal(dropped["quantity"]) * Decimal(dropped["unit_price"]) - Decimal(dropped["discount"])
        rest = {
            "amount": f"{Decimal(record['amount']) - less:.2f}",
            "discount": f"{Decimal(record['discount']) - Decimal(dropped['discount']):.2f}",
            "item_count": str(int(record["item_count"]) - int(dropped["quantity"])),
        }
        result.orders.append(record | now | rest)
        result.items.extend(line | now for line in kept)
    return result


def _lose_orders(dirt: Dirt, files: list[ExportFile]) -> None:
    """Rows of guests that cannot be delivered, rows that stand twice, and lines that are no rows."""
    spared = dirt.hit_orders | set(dirt.findings["overlapping_exports"].ids)
    guests = [
        (file, row)
        for file in files
        for row in file.rows
        if dirty.is_guest(row.record) and row.record["order_id"] not in spared
    ]
    for index, (file, row) in enumerate(dirt.take(guests, 10)):
        dirt.hit_orders.add(row.record["order_id"])
        if index % 5 == 0:
            dirty.missing(dirt, file, row, "order_id")
        elif index % 5 == 1:
            dirty.unreadable(dirt, file, row, "amount", "12.4O")
        elif index % 5 == 2:
            dirty.unreadable(dirt, file, row, "order_at", "2025-02-30T10:00:00Z")
        elif index % 5 == 3:
            dirty.missing(dirt, file, row, "amount")
        else:
            dirty.ragged(dirt, file, row)
    for file in files[::3]:
        dirty.repeat_rows(dirt, file, 8)
    for file in files[1::4]:
        dirty.non_rows(dirt, file, 2)


def _spoil_newest_versions(dirt: Dirt, corrections: ExportFile, month: ExportFile) -> None:
    """The newest version of some orders cannot be read: the older, good one stays."""
    orders = {row.record["order_id"]: row.record for row in month.rows if row.record}
    spared = dirt.hit_orders | set(dirt.findings["overlapping_exports"].ids)
    for order_id in dirt.take([order_id for order_id in orders if order_id and order_id not in spared], 2):
        row = Row(dict(orders[order_id]))
        corrections.rows.append(row)
        dirty.unreadable(dirt, corrections, row, "amount", "tbd")
        dirt.note("bad_newest_versions", "the newest version is unreadable, the older one stays", [order_id])


def _item_files(company: Company, items: Mapping[str, list[Record]], corrected: list[Record], dirt: Dirt) -> list[ExportFile]:
    yearly: dict[int, list[Row]] = defaultdict(list)
    for order in company.orders:
        yearly[order.order_at.year].extend(Row(dict(line)) for line in items[order.order_id])
    corrected_orders = {line["order_id"] for line in corrected}
    files = []
    for year in sorted(yearly):
        day = min(date(year, 12, 31), company.as_of)
        file = ExportFile(f"order_items_{day}.csv.gz", "order_items", records.ITEM_FIELDS, yearly[year])
        lost = dirt.take([row for row in file.rows if row.record["order_id"] not in corrected_orders], 3)
        for index, row in enumerate(lost):
            if index == 0:
                dirty.unreadable(dirt, file, row, "quantity", "two")
            else:
                dirty.ragged(dirt, file, row)
        dirty.repeat_rows(dirt, file, 15)
        files.append(file)
    name = f"order_items_{company.as_of}_corrected.csv"
    return [*files, ExportFile(name, "order_items", records.ITEM_FIELDS, [Row(line) for line in corrected])]
