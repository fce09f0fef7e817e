"""The make-believe web shop as it really is: who bought what, when, and through which campaign.

Every system that a shop would have (CRM, shop, help desk, ad platform, web analytics) is a *view* of this one model,
so that what the views say about the same order agrees, apart from the dirt that a view adds. All times are aware and in
UTC, all money is :class:`~decimal.Decimal` in major units of the record's ``currency``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

AS_OF = date(2025, 6, 30)
"""The company's "today" where none is asked for: its last day of trade. Nothing depends on the real calendar."""

REPORTING_CURRENCY = "EUR"
"""The currency that the company keeps its books in, and the commonest one of its orders."""

REPORTING_TIME_ZONE = "Europe/Berlin"
"""IANA name of the zone whose days the company reports by; its exports without an offset are in it too."""


@dataclass(frozen=True, slots=True)
class Product:
    """A product of the shop; ``price`` is its list price in the reporting currency."""

    product_id: str
    name: str
    category: str
    price: Decimal
    created_at: datetime
    withdrawn_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign on one channel, running from ``start_date`` to ``end_date``, both inclusive."""

    campaign_id: str
    name: str
    channel: str
    objective: str
    start_date: date
    end_date: date
    budget: Decimal
    currency: str

    def runs_on(self, day: date) -> bool:
        """Whether the campaign was live on this day."""
        return self.start_date <= day <= self.end_date


@dataclass(frozen=True, slots=True)
class Contact:
    """A person known to the CRM. ``user_pseudo_id`` is the browser id under which web analytics would know them."""

    contact_id: str
    email: str
    full_name: str
    phone: str
    country: str
    city: str
    email_opt_in: bool
    created_at: datetime
    user_pseudo_id: str


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One line of an order, in the order's currency; ``quantity`` is negative on a credit."""

    line_number: int
    product_id: str
    product_name: str
    quantity: int
    unit_price: Decimal
    discount: Decimal

    @property
    def total(self) -> Decimal:
        """Line amount after discount."""
        return self.unit_price * self.quantity - self.discount


@dataclass(frozen=True, slots=True)
class Order:
    """An order, or (``credits`` set) the credit of an earlier one, whose amounts are negative.

    ``contact_id`` is ``None`` for a guest. ``channel`` and ``campaign_id`` are what really led to the order; ``tax``
    and ``shipping`` are contained in the amount; ``refund`` is what was paid back at ``refunded_at``, as a positive
    number. ``is_tagged``: the visit's address carried utm parameters.
    """

    order_id: str
    contact_id: str | None
    country: str
    order_at: datetime
    currency: str
    lines: tuple[OrderLine, ...]
    tax: Decimal
    shipping: Decimal
    channel: str
    campaign_id: str | None
    is_tagged: bool
    payment_method: str
    transaction_id: str
    user_pseudo_id: str
    refund: Decimal = Decimal(0)
    refunded_at: datetime | None = None
    credits: str | None = None

    @property
    def amount(self) -> Decimal:
        """Order total with tax and shipping, before refunds."""
        return sum((line.total for line in self.lines), self.shipping)

    @property
    def discount(self) -> Decimal:
        """Discount already taken off the amount."""
        return sum((line.discount for line in self.lines), Decimal(0))


@dataclass(frozen=True, slots=True)
class Ticket:
    """A request to the help desk; ``rating`` is 1 to 5, ``None`` when the contact did not answer the survey."""

    ticket_id: str
    contact_id: str | None
    requester_email: str
    order_id: str | None
    product_id: str | None
    channel: str
    group_name: str
    priority: str
    created_at: datetime
    first_response_at: datetime | None
    resolved_at: datetime | None
    reply_count: int
    reopen_count: int
    rating: int | None


@dataclass(frozen=True, slots=True)
class ExchangeRate:
    """Units of the reporting currency that one unit of ``currency`` bought on ``rate_date``; six decimals."""

    rate_date: date
    currency: str
    rate: Decimal


@dataclass(frozen=True, slots=True)
class Company:
    """The whole shop from ``first_day`` to ``as_of``, both inclusive. Orders are sorted by time, credits included."""

    seed: int
    scale: float
    first_day: date
    as_of: date
    products: tuple[Product, ...]
    campaigns: tuple[Campaign, ...]
    contacts: tuple[Contact, ...]
    orders: tuple[Order, ...]
    tickets: tuple[Ticket, ...]
    rates: tuple[ExchangeRate, ...]


def repeat_order_ids(orders: Iterable[Order]) -> frozenset[str]:
    """Ids of the sales that are their contact's second or later one. Guests and credits never are."""
    seen: set[str] = set()
    repeat: set[str] = set()
    for order in sorted(orders, key=lambda order: (order.order_at, order.order_id)):
        if order.contact_id is None or order.credits is not None:
            continue
        if order.contact_id in seen:
            repeat.add(order.order_id)
        seen.add(order.contact_id)
    return frozenset(repeat)
