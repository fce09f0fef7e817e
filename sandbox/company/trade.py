"""Grows the make-believe shop from a seed.

Every part draws from a generator of its own, seeded by ``"<seed>/<part>"``: a change to how tickets come about does not
move a single order.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import TypeVar

from sandbox.company import catalogue
from sandbox.company.model import (
    AS_OF,
    REPORTING_CURRENCY,
    Campaign,
    Company,
    Contact,
    ExchangeRate,
    Order,
    OrderLine,
    Product,
    Ticket,
)

CENT = Decimal("0.01")
CONTACTS = 3000
RATE_DAYS_BEFORE = 7
LINE_COUNTS = ((1, 36), (2, 31), (3, 18), (4, 10), (5, 5))
T = TypeVar("T")
MARKETS = {market.country: market for market in catalogue.MARKETS}


def build_company(seed: int = 1, as_of: date = AS_OF, scale: float = 1.0) -> Company:
    """The shop that this seed stands for: 13 months of trade ending on ``as_of``.

    ``scale`` multiplies the number of contacts, and with it orders and tickets; products, campaigns and rates stay.
    Raises :class:`ValueError` for a scale that is not positive.
    """
    if scale <= 0:
        raise ValueError(f"scale must be positive, not {scale}")
    months = _months_before(as_of, 12)
    products = _products(random.Random(f"{seed}/products"), months[0], as_of)
    campaigns = _campaigns(random.Random(f"{seed}/campaigns"), months, as_of)
    contacts = _contacts(random.Random(f"{seed}/contacts"), max(20, round(CONTACTS * scale)), months[0], as_of)
    sales = _sales(random.Random(f"{seed}/orders"), contacts, products, campaigns, months[0], as_of)
    orders = _after_sales(random.Random(f"{seed}/after sales"), sales, as_of)
    tickets = _tickets(random.Random(f"{seed}/tickets"), contacts, orders, as_of)
    rates = _rates(random.Random(f"{seed}/rates"), months[0] - timedelta(days=RATE_DAYS_BEFORE), as_of)
    return Company(seed, scale, months[0], as_of, products, campaigns, contacts, orders, tickets, rates)


def moment(day: date, second: int = 0) -> datetime:
    """A time of day in UTC, ``second`` seconds after midnight."""
    return datetime.combine(day, time(), UTC) + timedelta(seconds=second)


def days_between(first: date, last: date) -> Iterator[date]:
    """Every day from first to last, both inclusive."""
    for offset in range((last - first).days + 1):
        yield first + timedelta(days=offset)


def draw(rng: random.Random, shares: Sequence[tuple[T, float]]) -> T:
    """One of the values, as often as its share says."""
    return rng.choices([value for value, _ in shares], [share for _, share in shares])[0]


def _months_before(as_of: date, count: int) -> list[date]:
    """First days of the ``count`` months before the month of ``as_of``, and of that month."""
    last = as_of.year * 12 + as_of.month - 1
    return [date(month // 12, month % 12 + 1, 1) for month in range(last - count, last + 1)]


def _products(rng: random.Random, first_day: date, as_of: date) -> tuple[Product, ...]:
    made = [
        (f"{make} {article}", category, Decimal(price * percent // 100) + Decimal("0.90"))
        for category, articles in catalogue.CATEGORIES.items()
        for article, price in articles
        for make, percent in catalogue.MAKES
    ]
    chosen = sorted(rng.sample(range(len(made)), 60))
    products = []
    for number, index in enumerate(chosen, start=1):
        name, category, price = made[index]
        created_at = moment(first_day - timedelta(days=rng.randrange(30, 700)), rng.randrange(8 * 3600, 17 * 3600))
        products.append(Product(f"SKU-{number:04d}", name, category, price, created_at))
    # One product leaves the list before the last snapshot and is never marked in any way: its absence is the news.
    gone = rng.randrange(len(products))
    products[gone] = replace(products[gone], withdrawn_at=moment(as_of - timedelta(days=75), 9 * 3600))
    return tuple(products)


def _campaigns(rng: random.Random, months: Sequence[date], as_of: date) -> tuple[Campaign, ...]:
    campaigns = []
    for number, (name, channel, objective, first, last, budget) in enumerate(catalogue.CAMPAIGNS, start=1):
        end_date = months[last + 1] - timedelta(days=1) if last + 1 < len(months) else as_of
        if channel == "email":
            campaign_id = f"nl-{number:02d}"
        else:
            # As long as the ad platforms' own ids: more digits than a float keeps.
            campaign_id = f"{23 if channel == 'facebook' else 17}85{rng.randrange(10**13, 10**14)}"
        campaigns.append(
            Campaign(campaign_id, name, channel, objective, months[first], end_date, Decimal(budget), REPORTING_CURRENCY)
        )
    return tuple(campaigns)


def _contacts(rng: random.Random, count: int, first_day: date, as_of: date) -> tuple[Contact, ...]:
    shares = [(market, market.weight) for market in catalogue.MARKETS]
    seconds = int((moment(as_of, 18 * 3600) - moment(first_day - timedelta(days=180))).total_seconds())
    created = sorted(rng.randrange(seconds) for _ in range(count))
    contacts = []
    for number, second in enumerate(created, start=1):
        market = draw(rng, shares)
        domain = draw(rng, [("example.com", 5), ("example.org", 3), ("example.net", 2)])
        contacts.append(
            Contact(
                contact_id=f"{number:07d}",  # leading zeros: an id is text, whatever it looks like
                email=f"{rng.choice(('hello', 'shop', 'mail', 'post', 'home'))}.{number:05d}@{domain}",
                full_name=f"Contact {number:05d}",
                phone=rng.choice(("+00 {:03d} {:06d}", "00-{:03d}-{:06d}", "({:03d}) {:06d} x7")).format(
                    rng.randrange(1000), rng.randrange(10**6)
                ),
                country=market.country,
                city=rng.choice(market.cities),
                email_opt_in=rng.random() < 0.6,
                created_at=moment(first_day - timedelta(days=180), second),
                user_pseudo_id=f"{rng.randrange(10**9, 2 * 10**9)}.{rng.randrange(10**9, 2 * 10**9)}",
            )
        )
    return tuple(contacts)


def _order_times(rng: random.Random, start: datetime, end: datetime) -> Iterator[datetime]:
    """When somebody who came at ``start`` orders: ever rarer, and by the season."""
    at = start + timedelta(hours=rng.expovariate(1 / 200))
    gap_days = rng.choice((30, 60, 120, 300))
    while at < end:
        if rng.random() < catalogue.SEASON[at.month - 1] / max(catalogue.SEASON):
            yield at.replace(microsecond=0)
        at += timedelta(days=rng.expovariate(1 / gap_days))
        gap_days += 8


def _sales(
    rng: random.Random,
    contacts: Sequence[Contact],
    products: Sequence[Product],
    campaigns: Sequence[Campaign],
    first_day: date,
    as_of: date,
) -> list[Order]:
    opening, closing = moment(first_day, 6 * 3600), moment(as_of, 21 * 3600)
    visits: list[tuple[datetime, Contact, bool]] = []
    for contact in contacts:
        if rng.random() < 0.72:
            start = contact.created_at
            if start < opening:
                # Known before the shop opened: they come one by one, not all on the first day.
                start = opening + timedelta(days=rng.randrange(150))
            for at in _order_times(rng, start, closing):
                visits.append((at, contact, False))
        elif rng.random() < 0.25:
            # Never a customer of the CRM's, but somebody like them ordered as a guest once.
            at = opening + timedelta(seconds=rng.randrange(int((closing - opening).total_seconds())))
            visits.append((at, contact, True))
    visits.sort(key=lambda visit: (visit[0], visit[1].contact_id))
    orders = []
    for number, (at, contact, is_guest) in enumerate(visits, start=1):
        market = MARKETS[contact.country]
        sold = [product for product in products if product.withdrawn_at is None or product.withdrawn_at > at]
        lines = tuple(_line(rng, position, rng.choice(sold), market) for position in range(1, draw(rng, LINE_COUNTS) + 1))
        goods = sum((line.total for line in lines), Decimal(0))
        shipping = market.shipping if goods < 80 * market.price_factor else Decimal(0)
        channel = draw(rng, catalogue.CHANNELS)
        live = [campaign for campaign in campaigns if campaign.channel == channel and campaign.runs_on(at.date())]
        orders.append(
            Order(
                order_id=f"W{100000 + number}",
                contact_id=None if is_guest else contact.contact_id,
                country=contact.country,
                order_at=at,
                currency=market.currency,
                lines=lines,
                tax=_tax(goods + shipping, market),
                shipping=shipping,
                channel=channel,
                campaign_id=rng.choice(live).campaign_id if live else None,
                is_tagged=rng.random() < 0.8,
                payment_method=draw(rng, catalogue.PAYMENTS),
                transaction_id=f"T-{rng.randrange(16**10):010x}",
                user_pseudo_id=contact.user_pseudo_id,
            )
        )
    return orders


def _line(rng: random.Random, position: int, product: Product, market: catalogue.Market) -> OrderLine:
    unit_price = (product.price * market.price_factor).quantize(CENT, ROUND_HALF_UP)
    quantity = draw(rng, ((1, 78), (2, 16), (3, 4), (6, 2)))
    percent = draw(rng, ((0, 82), (10, 12), (25, 6)))
    discount = (unit_price * quantity * percent / 100).quantize(CENT, ROUND_HALF_UP)
    return OrderLine(position, product.product_id, product.name, quantity, unit_price, discount)


def _tax(amount: Decimal, market: catalogue.Market) -> Decimal:
    """Tax contained in an amount."""
    return (amount * market.tax_percent / (100 + market.tax_percent)).quantize(CENT, ROUND_HALF_UP)


def _after_sales(rng: random.Random, sales: Sequence[Order], as_of: date) -> tuple[Order, ...]:
    """Refunds on some sales, and credits (orders of their own, with negative amounts) for some others."""
    closing = moment(as_of, 20 * 3600)
    orders: list[Order] = []
    for sale in sales:
        luck = rng.random()
        at = (sale.order_at + timedelta(days=rng.randrange(2, 30), seconds=rng.randrange(3600))).replace(microsecond=0)
        share = draw(rng, ((Decimal(1), 5), (Decimal("0.5"), 3), (Decimal("0.2"), 2)))
        if luck < 0.04 and at < closing:
            refund = (sale.amount * share).quantize(CENT, ROUND_HALF_UP)
            orders.append(replace(sale, refund=refund, refunded_at=at))
            continue
        orders.append(sale)
        if luck > 0.985 and at < closing:
            orders.append(_credit(sale, at, len(orders)))
    return tuple(sorted(orders, key=lambda order: (order.order_at, order.order_id)))


def _credit(sale: Order, at: datetime, number: int) -> Order:
    line = sale.lines[0]
    back = replace(line, line_number=1, quantity=-line.quantity, discount=-line.discount)
    return replace(
        sale,
        order_id=f"CR{100000 + number}",
        order_at=at,
        lines=(back,),
        tax=_tax(back.total, MARKETS[sale.country]),
        shipping=Decimal(0),
        credits=sale.order_id,
        transaction_id="",
        is_tagged=False,
    )


def _tickets(rng: random.Random, contacts: Sequence[Contact], orders: Sequence[Order], as_of: date) -> tuple[Ticket, ...]:
    people = {contact.contact_id: contact for contact in contacts}
    closing = moment(as_of, 18 * 3600)
    asked: list[tuple[datetime, str, Order | None]] = []
    for order in orders:
        if order.contact_id is not None and order.credits is None and rng.random() < 0.18:
            asked.append((order.order_at + timedelta(hours=rng.expovariate(1 / 90)), order.contact_id, order))
    for contact in contacts:
        if rng.random() < 0.035:
            asked.append((contact.created_at + timedelta(hours=rng.expovariate(1 / 400)), contact.contact_id, None))
    # Opened and answered between 07:00 and 20:00 UTC, so that no local time of the export falls into the hour that a
    # change of clocks has twice.
    opened = [(_desk_time(at), contact_id, about) for at, contact_id, about in asked]
    opened = sorted((entry for entry in opened if entry[0] < closing), key=lambda entry: (entry[0], entry[1]))
    tickets = []
    for number, (at, contact_id, about) in enumerate(opened, start=1):
        responded_at = _desk_time(at + timedelta(minutes=rng.expovariate(1 / 300)))
        resolved_at = _desk_time(responded_at + timedelta(minutes=rng.expovariate(1 / 1500)))
        is_answered, is_resolved = responded_at < closing, resolved_at < closing and rng.random() < 0.94
        product_id = about.lines[0].product_id if about is not None and rng.random() < 0.5 else None
        tickets.append(
            Ticket(
                ticket_id=str(40000 + number),
                contact_id=contact_id,
                requester_email=people[contact_id].email,
                order_id=about.order_id if about is not None else None,
                product_id=product_id,
                channel=draw(rng, catalogue.TICKET_CHANNELS),
                group_name=draw(rng, catalogue.TICKET_GROUPS),
                priority=draw(rng, catalogue.TICKET_PRIORITIES),
                created_at=at,
                first_response_at=responded_at if is_answered else None,
                resolved_at=resolved_at if is_resolved else None,
                reply_count=draw(rng, ((1, 52), (2, 27), (3, 14), (5, 7))) if is_answered else 0,
                reopen_count=draw(rng, ((0, 91), (1, 7), (2, 2))) if is_resolved else 0,
                rating=draw(rng, catalogue.RATINGS) if is_resolved and rng.random() < 0.45 else None,
            )
        )
    return tuple(tickets)


def _desk_time(at: datetime) -> datetime:
    """The same time if the desk is open (07:00 to 20:00 UTC), else when it next opens; whole seconds."""
    at = at.replace(microsecond=0)
    if at.hour < 7:
        return at.replace(hour=7)
    if at.hour >= 20:
        return at.replace(hour=7) + timedelta(days=1)
    return at


def _rates(rng: random.Random, first: date, last: date) -> tuple[ExchangeRate, ...]:
    rates = []
    for currency, first_rate in catalogue.RATES.items():
        rate = first_rate
        for day in days_between(first, last):
            # Steps of at most 0.4 %; six decimals, so that an amount in cents converts without rounding.
            rate = (rate * (1 + Decimal(rng.randrange(-40, 41)) / 10000)).quantize(Decimal("0.000001"), ROUND_HALF_UP)
            rates.append(ExchangeRate(day, currency, rate))
    return tuple(rates)
