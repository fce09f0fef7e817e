"""The measures of the make-believe shop's truth, asked of the warehouse: gold and audit alone, in SQL."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

Query = Callable[[str], Any]

MONEY = """
  countif(order_type = 'sale') as orders, countif(order_type = 'credit') as credits,
  coalesce(sum(amount_reporting), 0) as revenue, coalesce(sum(refund_reporting), 0) as refund,
  countif(amount_reporting is null) as without_rate"""
FROM = """
from gold.fact_orders as o
join gold.dim_contacts as c on c.contact_key = o.contact_key
join gold.dim_channel as h on h.channel_key = o.channel_key
join gold.dim_campaign as p on p.campaign_key = o.campaign_key
join gold.dim_campaign as q on q.campaign_key = o.crm_campaign_key"""
CUTS = {
    "by_month": "format_date('%Y-%m', order_date)",
    "by_channel": "h.channel",
    "by_country_as_delivered": "if(o.contact_key = '-1' or c.is_inferred, '', c.country)",
    "by_payment_method": "payment_method",
    "by_campaign": "if(o.campaign_key = '-1', '', p.campaign_id)",
    "by_rule": "attribution_rule",
    "by_crm_campaign": "if(o.crm_campaign_key = '-1', '', q.campaign_id)",
}
SINGLE = {
    "sale_revenue": "select sum(amount_reporting) from gold.fact_orders where order_type = 'sale'",
    "guest_orders": "select count(*) from gold.fact_orders where order_type = 'sale' and contact_key = '-1'",
    "buyers": "select count(distinct contact_key) from gold.fact_orders where order_type = 'sale' and contact_key != '-1'",
    "buyers_known": "select countif(first_order_date is not null and not is_inferred) from gold.dim_contacts",
    "orders_of_unknown_contacts": f"select countif(c.is_inferred) {FROM}",
    "orders_before_contact": "select count(*) from audit.aud_orders_before_contact",
}
LIVING = "from gold.dim_contacts where not is_deleted and not is_inferred and contact_key not in ('-1', '-2')"
CONTACTS = {
    "contacts": f"select count(*) {LIVING}",
    "addresses": f"select count(distinct email_hash) {LIVING}",
    "shared_addresses": "select count(*) from audit.aud_shared_emails",
    "opted_in": f"select countif(email_opt_in) {LIVING}",
    "customers": f"select countif(lifecycle_stage = 'customer') {LIVING}",
}
TICKETS = {
    "tickets": "select count(*) from gold.fact_support_tickets",
    "rated": "select count(rating) from gold.fact_support_tickets",
    "satisfied": "select countif(rating >= 4) from gold.fact_support_tickets",
    "resolved": "select count(resolved_at) from gold.fact_support_tickets",
    "reopened": "select countif(is_reopened) from gold.fact_support_tickets",
    "found_by_address": "select countif(contact_match in ('email', 'shared_email')) from gold.fact_support_tickets",
    "of_unknown_contacts": (
        "select countif(c.is_inferred) from gold.fact_support_tickets as t"
        " join gold.dim_contacts as c on c.contact_key = t.contact_key"
    ),
    "resolved_before_created": "select countif(resolved_at < created_at) from gold.fact_support_tickets",
}


def measures(query: Query) -> dict[str, Any]:
    """The keys of :attr:`sandbox.company.Truth.measures` that gold can answer, in the same form."""
    repeat = {"flagged": "is_repeat_flagged", "derived": "is_repeat"}
    found: dict[str, Any] = {name: _cut(query, key) for name, key in CUTS.items()}
    found["orders"] = _money(next(iter(query(f"select {MONEY} {FROM}"))))
    found["amount_by_currency"] = {
        row[0]: _text(row[1]) for row in query("select currency, sum(amount) from gold.fact_orders group by 1 order by 1")
    }
    found |= {name: _single(query, sql) for name, sql in SINGLE.items()}
    found["repeat"] = {name: _money(next(iter(query(f"select {MONEY} {FROM} where {c}")))) for name, c in repeat.items()}
    found["repeat"] |= {f"{name}_by_month": _cut(query, CUTS["by_month"], c) for name, c in repeat.items()}
    found["repeat"]["missed"] = _single(query, "select countif(is_repeat) from audit.aud_repeat_flag")
    found["repeat"]["false"] = _single(query, "select countif(not is_repeat) from audit.aud_repeat_flag")
    found["contacts"] = {name: _single(query, sql) for name, sql in CONTACTS.items()}
    found["tickets"] = {name: _single(query, sql) for name, sql in TICKETS.items()}
    for column in ("status", "channel"):
        rows = query(f"select {column}, count(*) from gold.fact_support_tickets group by 1 order by 1")
        found["tickets"][f"by_{column}"] = {row[0]: row[1] for row in rows}
    return found


def expected(truth: dict[str, Any]) -> dict[str, Any]:
    """The part of a truth's measures that :func:`measures` gives: all but lines, and countries put right."""
    return {name: value for name, value in truth.items() if name not in ("items", "by_country")}


def _cut(query: Query, key: str, condition: str = "true") -> dict[str, dict[str, Any]]:
    rows = query(f"select {key} as k, {MONEY} {FROM} where {condition} group by 1 order by 1")
    return {row["k"]: _money(row) for row in rows}


def _money(row: Any) -> dict[str, Any]:
    return {name: _text(row[name]) for name in ("orders", "credits", "revenue", "refund", "without_rate")}


def _single(query: Query, sql: str) -> Any:
    return _text(next(iter(query(sql)))[0])


def _text(value: Any) -> Any:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else value
