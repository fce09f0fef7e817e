"""The model as the CRM, the shop and the help desk would put it into words: one record per thing, still clean.

Field names are the contract's; values are text in the contract's wording.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from sandbox.company.catalogue import UTM
from sandbox.company.export_files import Record
from sandbox.company.model import REPORTING_CURRENCY, Campaign, Contact, ExchangeRate, Order, OrderLine, Product, Ticket

CONTACT_FIELDS = (
    "contact_id", "email", "full_name", "phone", "country", "city", "lifecycle_stage", "email_opt_in", "created_at",
    "updated_at", "is_deleted",
)  # fmt: skip
PRODUCT_FIELDS = ("product_id", "product_name", "category", "price", "currency", "status", "created_at", "updated_at")
ORDER_FIELDS = (
    "order_id", "contact_id", "order_at", "amount", "currency", "tax", "shipping", "discount", "refund", "item_count",
    "status", "campaign_id", "channel", "payment_method", "utm_source", "utm_medium", "utm_campaign", "utm_id",
    "transaction_id", "user_pseudo_id", "is_repeat", "updated_at", "is_deleted",
)  # fmt: skip
ITEM_FIELDS = (
    "order_id", "line_number", "product_id", "product_name", "quantity", "unit_price", "discount", "line_total",
    "updated_at",
)  # fmt: skip
TICKET_FIELDS = (
    "ticket_id", "contact_id", "requester_email", "order_id", "product_id", "channel", "group_name", "status",
    "priority", "created_at", "first_response_at", "resolved_at", "closed_at", "reply_count", "reopen_count", "rating",
    "updated_at",
)  # fmt: skip
CAMPAIGN_FIELDS = (
    "campaign_id", "campaign_name", "channel", "objective", "status", "start_date", "end_date", "budget", "currency",
    "updated_at",
)  # fmt: skip
RATE_FIELDS = ("rate_date", "currency", "quote_currency", "rate")


def stamp(at: datetime) -> str:
    """A time as the contract words it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _stamp_until(at: datetime | None, until: datetime) -> str:
    return stamp(at) if at is not None and at <= until else ""


def contact_record(contact: Contact, updated_at: datetime, is_customer: bool) -> Record:
    """The contact as the CRM knew it at ``updated_at``."""
    return {
        "contact_id": contact.contact_id,
        "email": contact.email,
        "full_name": contact.full_name,
        "phone": contact.phone,
        "country": contact.country,
        "city": contact.city,
        "lifecycle_stage": "customer" if is_customer else "lead",
        "email_opt_in": str(contact.email_opt_in).lower(),
        "created_at": stamp(contact.created_at),
        "updated_at": stamp(updated_at),
        "is_deleted": "false",
    }


def product_record(product: Product, price: Decimal, updated_at: datetime) -> Record:
    """The product at this list price."""
    return {
        "product_id": product.product_id,
        "product_name": product.name,
        "category": product.category,
        "price": f"{price:.2f}",
        "currency": REPORTING_CURRENCY,
        "status": "active",
        "created_at": stamp(product.created_at),
        "updated_at": stamp(updated_at),
    }


def order_record(order: Order, is_repeat: bool, campaign_name: str) -> Record:
    """The order as the shop first exports it: without any refund, the CRM crediting what really led to it.

    The shop calls its own credits so and has no repeat flag for them.
    """
    source, medium = UTM.get(order.channel, ("", "")) if order.is_tagged else ("", "")
    is_paid_visit = order.is_tagged and order.campaign_id is not None
    return {
        "order_id": order.order_id,
        "contact_id": order.contact_id or "",
        "order_at": stamp(order.order_at),
        "amount": f"{order.amount:.2f}",
        "currency": order.currency,
        "tax": f"{order.tax:.2f}",
        "shipping": f"{order.shipping:.2f}",
        "discount": f"{order.discount:.2f}",
        "refund": "",
        "item_count": str(sum(line.quantity for line in order.lines)),
        "status": "credit" if order.credits else "fulfilled",
        "campaign_id": order.campaign_id or "",
        "channel": order.channel,
        "payment_method": order.payment_method,
        "utm_source": source,
        "utm_medium": medium,
        "utm_campaign": campaign_name if is_paid_visit else "",
        "utm_id": order.campaign_id or "" if is_paid_visit else "",
        "transaction_id": order.transaction_id,
        "user_pseudo_id": order.user_pseudo_id,
        "is_repeat": "" if order.credits else str(is_repeat).lower(),
        "updated_at": stamp(order.order_at + timedelta(minutes=7)),
        "is_deleted": "false",
    }


def refunded(record: Record, order: Order) -> Record:
    """The order's record once its refund was paid."""
    if order.refunded_at is None:
        return record
    status = "refunded" if order.refund == order.amount else "partially_refunded"
    return record | {"refund": f"{order.refund:.2f}", "status": status, "updated_at": stamp(order.refunded_at)}


def item_record(order_id: str, line: OrderLine, updated_at: str) -> Record:
    """One line of an order."""
    return {
        "order_id": order_id,
        "line_number": str(line.line_number),
        "product_id": line.product_id,
        "product_name": line.product_name,
        "quantity": str(line.quantity),
        "unit_price": f"{line.unit_price:.2f}",
        "discount": f"{line.discount:.2f}",
        "line_total": f"{line.total:.2f}",
        "updated_at": updated_at,
    }


def ticket_record(ticket: Ticket, until: datetime) -> Record:
    """The ticket as the help desk knew it at ``until``; what came later is not in it."""
    closed_at = ticket.resolved_at + timedelta(days=4) if ticket.resolved_at else None
    first_response = _stamp_until(ticket.first_response_at, until)
    resolved, closed = _stamp_until(ticket.resolved_at, until), _stamp_until(closed_at, until)
    status = "closed" if closed else "solved" if resolved else "pending" if first_response else "open"
    return {
        "ticket_id": ticket.ticket_id,
        "contact_id": ticket.contact_id or "",
        "requester_email": ticket.requester_email,
        "order_id": ticket.order_id or "",
        "product_id": ticket.product_id or "",
        "channel": ticket.channel,
        "group_name": ticket.group_name,
        "status": status,
        "priority": ticket.priority,
        "created_at": stamp(ticket.created_at),
        "first_response_at": first_response,
        "resolved_at": resolved,
        "closed_at": closed,
        "reply_count": str(ticket.reply_count) if first_response else "0",
        "reopen_count": str(ticket.reopen_count) if resolved else "0",
        "rating": str(ticket.rating) if resolved and ticket.rating else "",
        "updated_at": closed or resolved or first_response or stamp(ticket.created_at),
    }


def campaign_record(campaign: Campaign, as_of: date, updated_at: datetime) -> Record:
    """The campaign as the CRM lists it on ``as_of``."""
    return {
        "campaign_id": campaign.campaign_id,
        "campaign_name": campaign.name,
        "channel": campaign.channel,
        "objective": campaign.objective,
        "status": "active" if campaign.runs_on(as_of) else "completed",
        "start_date": campaign.start_date.isoformat(),
        "end_date": campaign.end_date.isoformat(),
        "budget": f"{campaign.budget:.2f}",
        "currency": campaign.currency,
        "updated_at": stamp(updated_at),
    }


def rate_record(rate: ExchangeRate) -> Record:
    """The bank's rate of a day and currency."""
    return {
        "rate_date": rate.rate_date.isoformat(),
        "currency": rate.currency,
        "quote_currency": REPORTING_CURRENCY,
        "rate": f"{rate.rate:f}",
    }
