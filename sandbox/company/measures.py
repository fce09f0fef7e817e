"""Figures of the current records, as gold must give them, worked out in plain Python without the warehouse's SQL.

* A rate holds on its own day and at most :data:`FILL_DAYS` days after it, for the order's day in the reporting zone.
* ``amount × rate`` is rounded half away from zero to nine decimals, as BigQuery's NUMERIC does (with amounts in cents
  and rates of six decimals nothing is ever rounded); where no rate holds there is no amount in the reporting currency.
* A sale has an amount of zero or more, a credit a negative one. Counts, buyers and sequence are of sales, revenue is of
  both. A repeat order is a contact's second or later sale by ``(order_at, order_id)``; guests have no sequence.
* An order's campaign, while there is no web analytics, is the one that ``utm_id`` names, if anybody lists it, else the
  one that the CRM names, listed or not.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.company.export_files import Record
from sandbox.company.model import REPORTING_CURRENCY, REPORTING_TIME_ZONE

FILL_DAYS = 7


class Rates:
    """Exchange rates filled forward. ``on`` gives ``None`` where no rate holds."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._rates = {(r["currency"], date.fromisoformat(r["rate_date"])): Decimal(r["rate"]) for r in records}

    def on(self, day: date, currency: str) -> Decimal | None:
        """Units of the reporting currency for one unit: the day's rate, else the last one of the seven days before."""
        if currency == REPORTING_CURRENCY:
            return Decimal(1)
        for age in range(FILL_DAYS + 1):
            rate = self._rates.get((currency, day - timedelta(days=age)))
            if rate is not None:
                return rate
        return None

    def convert(self, text: str, day: date, currency: str) -> Decimal | None:
        """An amount in the reporting currency, nine decimals, or ``None`` where no rate holds."""
        rate = self.on(day, currency)
        return None if rate is None else (Decimal(text) * rate).quantize(Decimal("1e-9"), ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class _Sale:
    """A current order (credits too) with what follows from the other streams."""

    record: Record
    day: date
    amount: Decimal
    reporting: Decimal | None
    refund_reporting: Decimal | None
    country: str
    country_as_delivered: str
    channel: str
    campaign_id: str
    rule: str
    number: int | None
    """Position in the contact's sales from 1; ``None`` for guests and credits."""


def _sales(records: Mapping[str, list[Record]]) -> list[_Sale]:
    rates = Rates(records["exchange_rates"])
    delivered = {contact["contact_id"]: contact["country"].strip() for contact in records["contacts"]}
    countries = {contact_id: _country(text) for contact_id, text in delivered.items()}
    campaigns = {campaign["campaign_id"] for campaign in records["campaigns"]}
    zone = ZoneInfo(REPORTING_TIME_ZONE)
    numbers: Counter[str] = Counter()
    sales = []
    orders = [order for order in records["orders"] if order["is_deleted"] != "true"]
    for order in sorted(orders, key=lambda order: (order["order_at"], order["order_id"])):
        day = datetime.fromisoformat(order["order_at"]).astimezone(zone).date()
        is_numbered = bool(order["contact_id"]) and Decimal(order["amount"]) >= 0
        numbers[order["contact_id"]] += is_numbered
        rule = "order_utm_id" if order["utm_id"] in campaigns else "crm_campaign_id" if order["campaign_id"] else "none"
        sales.append(
            _Sale(
                record=order,
                day=day,
                amount=Decimal(order["amount"]),
                reporting=rates.convert(order["amount"], day, order["currency"]),
                refund_reporting=rates.convert(order["refund"] or "0", day, order["currency"]),
                country=countries.get(order["contact_id"], ""),
                country_as_delivered=delivered.get(order["contact_id"], ""),
                channel=order["channel"].strip().lower(),
                campaign_id=order["utm_id"] if rule == "order_utm_id" else order["campaign_id"],
                rule=rule,
                number=numbers[order["contact_id"]] if is_numbered else None,
            )
        )
    return sales


def _country(text: str) -> str:
    return {"germany": "DE"}.get(text.strip().lower(), text.strip().upper())


def _text(amount: Decimal) -> str:
    """Exact and plain: no exponent, no trailing zeros."""
    return f"{amount.normalize():f}"


def _sums(sales: Iterable[_Sale], key: Callable[[_Sale], str]) -> dict[str, dict[str, Any]]:
    """Sales, credits, and money by a key; the reporting sum leaves out what has no rate, which is counted."""
    groups: dict[str, list[_Sale]] = defaultdict(list)
    for sale in sales:
        groups[key(sale)].append(sale)
    return {name: _money(groups[name]) for name in sorted(groups)}


def _money(sales: Sequence[_Sale]) -> dict[str, Any]:
    return {
        "orders": sum(sale.amount >= 0 for sale in sales),
        "credits": sum(sale.amount < 0 for sale in sales),
        "revenue": _text(sum((sale.reporting or Decimal(0) for sale in sales), Decimal(0))),
        "refund": _text(sum((sale.refund_reporting or Decimal(0) for sale in sales), Decimal(0))),
        "without_rate": sum(sale.reporting is None for sale in sales),
    }


def measure(records: Mapping[str, list[Record]]) -> dict[str, Any]:
    """All figures of the current records, given by stream. Plain data, amounts as text."""
    sales = _sales(records)
    known = {contact["contact_id"] for contact in records["contacts"]}
    buyers = {sale.record["contact_id"] for sale in sales if sale.number is not None}
    by_currency: dict[str, Decimal] = defaultdict(Decimal)
    for sale in sales:
        by_currency[sale.record["currency"]] += sale.amount
    return {
        "orders": _money(sales),
        "amount_by_currency": {currency: _text(amount) for currency, amount in sorted(by_currency.items())},
        "sale_revenue": _money([sale for sale in sales if sale.amount >= 0])["revenue"],
        "guest_orders": sum(not sale.record["contact_id"] and sale.amount >= 0 for sale in sales),
        "buyers": len(buyers),
        "buyers_known": len(buyers & known),
        "orders_of_unknown_contacts": sum(sale.record["contact_id"] not in known | {""} for sale in sales),
        "orders_before_contact": _orders_before_contact(sales, records["contacts"]),
        "repeat": _repeat(sales),
        "by_month": _sums(sales, lambda sale: f"{sale.day:%Y-%m}"),
        "by_channel": _sums(sales, lambda sale: sale.channel),
        "by_country": _sums(sales, lambda sale: sale.country),
        "by_country_as_delivered": _sums(sales, lambda sale: sale.country_as_delivered),
        "by_payment_method": _sums(sales, lambda sale: sale.record["payment_method"]),
        "by_campaign": _sums(sales, lambda sale: sale.campaign_id),
        "by_rule": _sums(sales, lambda sale: sale.rule),
        "by_crm_campaign": _sums(sales, lambda sale: sale.record["campaign_id"]),
        "contacts": _contacts(records["contacts"]),
        "items": _items(records["order_items"], sales),
        "tickets": _tickets(records["support_tickets"], records["contacts"]),
    }


def _orders_before_contact(sales: Iterable[_Sale], contacts: Iterable[Record]) -> int:
    created = {contact["contact_id"]: contact["created_at"] for contact in contacts}
    return sum(sale.record["order_at"] < created.get(sale.record["contact_id"], "") for sale in sales)


def _repeat(sales: Sequence[_Sale]) -> dict[str, Any]:
    flagged = [sale for sale in sales if sale.record["is_repeat"] == "true"]
    derived = [sale for sale in sales if (sale.number or 0) > 1]
    return {
        "flagged": _money(flagged),
        "derived": _money(derived),
        "missed": sum(sale.record["is_repeat"] == "false" for sale in derived),
        "false": sum((sale.number or 0) <= 1 for sale in flagged),
        "flagged_by_month": _sums(flagged, lambda sale: f"{sale.day:%Y-%m}"),
        "derived_by_month": _sums(derived, lambda sale: f"{sale.day:%Y-%m}"),
    }


def _contacts(contacts: Sequence[Record]) -> dict[str, Any]:
    living = [contact for contact in contacts if contact["is_deleted"] != "true"]
    addresses = Counter(contact["email"].strip().lower() for contact in living)
    return {
        "contacts": len(living),
        "addresses": len(addresses),
        "shared_addresses": sum(count > 1 for count in addresses.values()),
        "opted_in": sum(contact["email_opt_in"] == "true" for contact in living),
        "customers": sum(contact["lifecycle_stage"] == "customer" for contact in living),
    }


def _items(items: Sequence[Record], sales: Sequence[_Sale]) -> dict[str, Any]:
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for line in items:
        totals[line["order_id"]] += _line_total(line)
    orders = {sale.record["order_id"]: sale for sale in sales}
    uneven = [i for i, sale in orders.items() if totals[i] + Decimal(sale.record["shipping"]) != sale.amount]
    return {
        "lines": len(items),
        "lines_of_missing_orders": sum(line["order_id"] not in orders for line in items),
        "units": _text(sum((Decimal(line["quantity"]) for line in items), Decimal(0))),
        "orders_that_do_not_add_up": sorted(uneven),
    }


def _line_total(line: Record) -> Decimal:
    if line["line_total"]:
        return Decimal(line["line_total"])
    return Decimal(line["quantity"]) * Decimal(line["unit_price"]) - Decimal(line["discount"] or "0")


def _tickets(tickets: Sequence[Record], contacts: Sequence[Record]) -> dict[str, Any]:
    known = {contact["contact_id"] for contact in contacts}
    addresses = {contact["email"].strip().lower() for contact in contacts}
    strangers = [
        ticket["requester_email"].strip().lower() in addresses for ticket in tickets if ticket["contact_id"] not in known
    ]
    ratings = Counter(ticket["rating"] for ticket in tickets if ticket["rating"])
    return {
        "tickets": len(tickets),
        "by_status": dict(sorted(Counter(ticket["status"] for ticket in tickets).items())),
        "by_channel": dict(sorted(Counter(ticket["channel"] for ticket in tickets).items())),
        "rated": sum(ratings.values()),
        "satisfied": ratings["4"] + ratings["5"],
        "resolved": sum(bool(ticket["resolved_at"]) for ticket in tickets),
        "reopened": sum(int(ticket["reopen_count"]) > 0 for ticket in tickets),
        "found_by_address": sum(strangers),
        "of_unknown_contacts": len(strangers) - sum(strangers),
        "resolved_before_created": sum("" < ticket["resolved_at"] < ticket["created_at"] for ticket in tickets),
    }
