"""The figures of ``tests/twin/figures.py``, asked of the warehouse: gold and audit alone, in SQL.

Only what comes from CRM files is asked yet: contacts, orders, campaigns.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

Query = Callable[[str], Any]

SALES = "gold.fact_orders where order_type = 'sale'"
SINGLE = {
    "orders": f"select count(*) from {SALES}",
    "revenue": "select sum(amount_reporting) from gold.fact_orders",
    "contacts": (
        "select countif(not is_deleted and not is_inferred) from gold.dim_contacts where contact_key not in ('-1', '-2')"
    ),
    "buyers": f"select count(distinct contact_key) from {SALES} and contact_key != '-1'",
    "average_order_value": f"select sum(amount_reporting) / count(*) from {SALES}",
    "orders_per_buyer": f"select count(*) / count(distinct contact_key) from {SALES} and contact_key != '-1'",
}
REPEAT = {"flagged": "is_repeat_flagged", "derived": "is_repeat"}
GROUPED = {
    "revenue_by_month": "format_date('%Y-%m', order_date)",
    "revenue_by_channel": "channel",
    "revenue_by_country": "coalesce((select country from gold.dim_contacts c where c.contact_key = o.contact_key), '')",
}
ODDITIES = {
    "repeat_flag_missed": "select countif(is_repeat) from audit.aud_repeat_flag",
    "repeat_flag_false": "select countif(not is_repeat) from audit.aud_repeat_flag",
    "email_addresses": "select count(distinct email_hash) from gold.dim_contacts where not is_deleted",
    "shared_email_addresses": "select count(*) from audit.aud_shared_emails",
    "orders_before_contact": "select count(*) from audit.aud_orders_before_contact",
    "orders_of_unknown_contacts": (
        "select count(*) from gold.fact_orders o join gold.dim_contacts c using (contact_key) where c.is_inferred"
    ),
    "orders_of_unknown_campaigns": (
        "select count(*) from gold.fact_orders o"
        " join gold.dim_campaign c on c.campaign_key = o.crm_campaign_key where c.is_inferred"
    ),
    "channel_conflicts": "select count(*) from audit.aud_channel_conflicts",
    "channel_conflict_revenue": "select sum(amount_reporting) from audit.aud_channel_conflicts",
    "last_order_date": "select cast(max(order_date) as string) from gold.fact_orders",
}


def figures(query: Query) -> dict[str, Any]:
    """The same keys as ``tests.twin.figures.figures``, without those of ads and web analytics."""
    found: dict[str, Any] = {name: _single(query, sql) for name, sql in SINGLE.items()}
    found["currencies"] = [row[0] for row in query("select distinct currency from gold.fact_orders order by 1")]
    for name in ("average_order_value", "orders_per_buyer"):
        found[name] = _ratio(found[name])
    found["repeat_orders"] = {n: _single(query, f"select countif({c}) from {SALES}") for n, c in REPEAT.items()}
    found["repeat_rate"] = {
        n: _ratio(_single(query, f"select cast(countif({c}) as numeric) / count(*) from {SALES}")) for n, c in REPEAT.items()
    }
    found["repeat_revenue"] = {
        n: _text(_single(query, f"select sum(amount_reporting) from {SALES} and {c}")) for n, c in REPEAT.items()
    }
    found["repeat_revenue_by_month"] = {n: _sums(query, GROUPED["revenue_by_month"], c) for n, c in REPEAT.items()}
    for name, key in GROUPED.items():
        found[name] = _sums(query, key, "true")
    payments = query(f"select payment_method, count(*) from {SALES} group by 1 order by 1")
    found["orders_by_payment_method"] = {row[0]: row[1] for row in payments}
    campaigns = query(
        "select c.campaign_id, sum(o.amount_reporting) as revenue from gold.fact_orders o"
        " join gold.dim_campaign c on c.campaign_key = o.campaign_key group by 1 order by 2 desc, 1 limit 5"
    )
    found["top_campaigns"] = {row[0]: _text(row[1]) for row in campaigns}
    found["oddities"] = {name: _value(_single(query, sql)) for name, sql in ODDITIES.items()}
    return {name: _value(value) for name, value in found.items()}


def expected(wanted: dict[str, Any]) -> dict[str, Any]:
    """The part of a folder's figures that :func:`figures` gives."""
    kept = {name: value for name, value in wanted.items() if name != "ads"}
    return {**kept, "oddities": {name: value for name, value in wanted["oddities"].items() if name in ODDITIES}}


def _sums(query: Query, key: str, condition: str) -> dict[str, str]:
    rows = query(f"select {key} as k, sum(amount_reporting) from gold.fact_orders o where {condition} group by 1 order by 1")
    return {row[0]: _text(row[1]) for row in rows}


def _single(query: Query, sql: str) -> Any:
    (row,) = query(sql)
    return row[0]


def _value(value: Any) -> Any:
    return _text(value) if isinstance(value, Decimal) else value


def _text(amount: Decimal | None) -> str:
    return f"{(amount or Decimal(0)).normalize():f}"


def _ratio(value: Any) -> str:
    return f"{Decimal(str(value)).quantize(Decimal('0.000001'), ROUND_HALF_UP):f}"
