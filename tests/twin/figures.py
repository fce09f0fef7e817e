"""The figures of a dashboard's five tables, worked out from the CSV files alone: what the warehouse must give for them.

    python tests/twin/figures.py [folder]      prints them as JSON, of tests/twin/data where no folder is named

Nothing of the project's own code is used here, so that both cannot be wrong in the same way: the standard library's ``csv``
and ``Decimal``, and text for every amount. Money is in the orders' one currency, ratios are rounded half up to six decimals.
The folder holds contacts.csv, orders.csv, campaigns.csv, meta_ads.csv and ga4.csv, in UTF-8 with comma and header.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

Row = dict[str, str]
FILES = ("contacts", "orders", "campaigns", "meta_ads", "ga4")
NO_CAMPAIGN_NAMES = frozenset({"(organic)", "(direct)", "(referral)", "(none)", "(not set)", "(data deleted)", "<Other>"})
TWIN = Path(__file__).resolve().parent / "data"


def figures(folder: Path) -> dict[str, Any]:
    """All figures of a folder. Raises :class:`FileNotFoundError` where a file is missing, :class:`KeyError` for a column."""
    tables = {name: read(folder / f"{name}.csv") for name in FILES}
    orders, contacts, campaigns = tables["orders"], tables["contacts"], tables["campaigns"]
    country = {contact["contact_id"]: contact["country"] for contact in contacts}
    repeat = repeat_orders(orders)
    buyers = {order["contact_id"] for order in orders}
    flagged = [order for order in orders if order["is_repeat"] == "True"]
    derived = [order for order in orders if order["order_id"] in repeat]
    by_campaign = sums(orders, lambda order: order["campaign_id"])
    return {
        "orders": len(orders),
        "currencies": sorted({order["currency"] for order in orders}),
        "revenue": text(total(orders, "amount")),
        "average_order_value": ratio(total(orders, "amount"), len(orders)),
        "contacts": len(contacts),
        "buyers": len(buyers),
        "orders_per_buyer": ratio(len(orders), len(buyers)),
        "repeat_orders": {"flagged": len(flagged), "derived": len(derived)},
        "repeat_rate": {"flagged": ratio(len(flagged), len(orders)), "derived": ratio(len(derived), len(orders))},
        "repeat_revenue": {"flagged": text(total(flagged, "amount")), "derived": text(total(derived, "amount"))},
        "repeat_revenue_by_month": {"flagged": sums(flagged, month), "derived": sums(derived, month)},
        "revenue_by_month": sums(orders, month),
        "revenue_by_channel": sums(orders, lambda order: order["channel"]),
        "revenue_by_country": sums(orders, lambda order: country.get(order["contact_id"], "")),
        "orders_by_payment_method": dict(sorted(Counter(order["payment_method"] for order in orders).items())),
        "top_campaigns": dict(sorted(by_campaign.items(), key=lambda item: (-Decimal(item[1]), item[0]))[:5]),
        "ads": ads(tables["meta_ads"], campaigns),
        "oddities": oddities(tables, repeat),
    }


def read(path: Path) -> list[Row]:
    """The rows of one file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def repeat_orders(orders: Iterable[Row]) -> set[str]:
    """Ids of the orders that are their contact's second or later one, by time, then by id."""
    seen: set[str] = set()
    repeat: set[str] = set()
    for order in sorted(orders, key=lambda order: (order["order_ts"], order["order_id"])):
        if order["contact_id"] in seen:
            repeat.add(order["order_id"])
        seen.add(order["contact_id"])
    return repeat


def ads(rows: list[Row], campaigns: Iterable[Row]) -> dict[str, Any]:
    """Totals of the ad rows; every ratio is one of sums."""
    channel = {campaign["campaign_id"]: campaign["channel"] for campaign in campaigns}
    spend, clicks, impressions = total(rows, "spend"), total(rows, "clicks"), total(rows, "impressions")
    return {
        "rows": len(rows),
        "first_date": min(row["date"] for row in rows),
        "last_date": max(row["date"] for row in rows),
        "spend": text(spend),
        "impressions": text(impressions),
        "clicks": text(clicks),
        "conversions": text(total(rows, "conversions")),
        "ctr": ratio(clicks, impressions),
        "cpc": ratio(spend, clicks),
        "cost_per_conversion": ratio(spend, total(rows, "conversions")),
        "spend_by_campaign_channel": sums(rows, lambda row: channel.get(row["campaign_id"], ""), "spend"),
    }


def oddities(tables: dict[str, list[Row]], repeat: set[str]) -> dict[str, Any]:
    """What is wrong in the tables, counted, for the audits to be measured by."""
    orders, contacts, ga4 = tables["orders"], tables["contacts"], tables["ga4"]
    created = {contact["contact_id"]: contact["created_at"] for contact in contacts}
    addresses = Counter(contact["email"].strip().lower() for contact in contacts)
    channel = {campaign["campaign_id"]: campaign["channel"] for campaign in tables["campaigns"]}
    names = {name for campaign in tables["campaigns"] for name in (campaign["campaign_id"], campaign["campaign_name"])}
    last_spend = max(row["date"] for row in tables["meta_ads"])
    late = [order for order in orders if order["order_date"] > last_spend]
    conflicts = [order for order in orders if channel.get(order["campaign_id"], order["channel"]) != order["channel"]]
    events = {event["transaction_id"]: event for event in ga4}
    linked = [order for order in orders if order["transaction_id"] in events]
    quotients = [Decimal(events[order["transaction_id"]]["value_usd"]) / Decimal(order["amount"]) for order in linked]
    return {
        "repeat_flag_missed": sum(order["is_repeat"] == "False" and order["order_id"] in repeat for order in orders),
        "repeat_flag_false": sum(order["is_repeat"] == "True" and order["order_id"] not in repeat for order in orders),
        "email_addresses": len(addresses),
        "shared_email_addresses": sum(count > 1 for count in addresses.values()),
        "orders_before_contact": sum(order["order_ts"] < created.get(order["contact_id"], "") for order in orders),
        "orders_of_unknown_contacts": sum(order["contact_id"] not in created for order in orders),
        "orders_of_unknown_campaigns": sum(order["campaign_id"] not in channel for order in orders),
        "channel_conflicts": len(conflicts),
        "channel_conflict_revenue": text(total(conflicts, "amount")),
        "last_order_date": max(order["order_date"] for order in orders),
        "orders_after_last_spend": len(late),
        "revenue_after_last_spend": text(total(late, "amount")),
        "ga4_transactions": len(ga4),
        "ga4_linked_orders": len(linked),
        "ga4_value_usd": text(total(ga4, "value_usd")),
        "ga4_value_per_amount_mean": ratio(sum(quotients, Decimal(0)), len(quotients)),
        "ga4_names_that_are_campaigns": sum(event["campaign_name"] in names for event in ga4),
        "ga4_no_campaign_names": dict(
            sorted(Counter(event["campaign_name"] for event in ga4 if event["campaign_name"] in NO_CAMPAIGN_NAMES).items())
        ),
    }


def month(order: Row) -> str:
    """The month of an order, ``yyyy-mm``."""
    return order["order_date"][:7]


def total(rows: Iterable[Row], column: str) -> Decimal:
    """The exact sum of a column."""
    return sum((Decimal(row[column]) for row in rows), Decimal(0))


def sums(rows: Iterable[Row], key: Callable[[Row], str], column: str = "amount") -> dict[str, str]:
    """The exact sums of a column by a key, sorted by it."""
    groups: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        groups[key(row)] += Decimal(row[column])
    return {name: text(groups[name]) for name in sorted(groups)}


def text(amount: Decimal) -> str:
    """Exact and plain: no exponent, no trailing zeros after the point."""
    return f"{amount.normalize():f}"


def ratio(dividend: Decimal | int, divisor: Decimal | int) -> str | None:
    """A quotient with six decimals, ``None`` for nothing to divide by."""
    if not divisor:
        return None
    return f"{(Decimal(dividend) / Decimal(divisor)).quantize(Decimal('0.000001'), ROUND_HALF_UP):f}"


def as_json(folder: Path) -> str:
    """The figures as the text that is kept in figures.json."""
    return json.dumps(figures(folder), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(as_json(Path(sys.argv[1]) if len(sys.argv) > 1 else TWIN))
