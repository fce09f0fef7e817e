"""What the make-believe shop sells, where, and how it advertises: plain tables for :mod:`sandbox.company.trade`."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Market:
    """A country that the shop sells to. ``price_factor`` turns list prices into local ones; ``weight`` is its share."""

    country: str
    currency: str
    weight: float
    tax_percent: int
    price_factor: Decimal
    shipping: Decimal
    cities: tuple[str, ...]


MARKETS = (
    Market("DE", "EUR", 34, 19, Decimal(1), Decimal("4.90"), ("Köln", "Leipzig", "München", "Frankfurt\nam Main")),
    Market("FR", "EUR", 14, 20, Decimal(1), Decimal("6.90"), ("Lyon", "Nîmes", "Orléans")),
    Market("NL", "EUR", 10, 21, Decimal(1), Decimal("5.90"), ("Utrecht", "'s-Hertogenbosch", "Delft")),
    Market("AT", "EUR", 7, 20, Decimal(1), Decimal("6.90"), ("Wien", "Graz")),
    Market("GB", "GBP", 13, 20, Decimal("0.88"), Decimal("6.50"), ("Leeds", "Stoke-on-Trent", "Bath")),
    Market(
        "US",
        "USD",
        11,
        0,
        Decimal("1.12"),
        Decimal("14.00"),
        ("Portland, OR", "Austin, TX", 'Boise "the City of Trees"'),
    ),
    Market("CH", "CHF", 5, 8, Decimal("1.05"), Decimal("9.00"), ("Zürich", "Genève")),
    Market("SE", "SEK", 3, 25, Decimal(12), Decimal(89), ("Malmö", "Umeå")),
    Market("PL", "PLN", 2, 23, Decimal("4.4"), Decimal(25), ("Łódź", "Kraków")),
    # The bank that delivers the rates has none for this one: amounts that cannot be converted must show, not vanish.
    Market("NO", "NOK", 1, 25, Decimal(12), Decimal(99), ("Tromsø", "Bergen")),
)

RATES = {
    "USD": Decimal("0.930000"),
    "GBP": Decimal("1.170000"),
    "CHF": Decimal("1.050000"),
    "SEK": Decimal("0.087500"),
    "PLN": Decimal("0.232000"),
}
"""First rate of every currency that the bank quotes, in the reporting currency."""

CATEGORIES = {
    "Kitchen": (("Kettle", 49), ("Chopping Board", 24), ("Pan", 59), ("Teapot", 36), ("Apron", 19)),
    "Garden": (("Watering Can", 29), ("Trowel", 14), ("Bird Table", 45), ("Lantern", 33)),
    "Office": (("Desk Lamp", 69), ("Notebook", 9), ("Pen Tray", 17), ("Chair", 189)),
    "Bath": (("Towel", 22), ("Bath Mat", 27), ("Soap Dish", 11)),
    "Living": (("Blanket", 64), ("Vase", 39), ("Candle", 13), ("Rug", 149)),
}
"""Categories with their articles and the list price of the plainest make, reporting currency."""

MAKES = (("Plain", 100), ("Oak & Steel", 135), ("Enamelled", 120), ("Café", 110), ('12" Classic', 150))
"""Makes of an article, with the price in percent of the plainest."""

CAMPAIGNS = (
    # name, channel, objective, first and last month of the company's thirteen (0 to 12), budget
    ("Always On Prospecting", "facebook", "conversion", 0, 12, 9000),
    ("Summer Garden", "facebook", "traffic", 0, 2, 2500),
    ("Back to Desk", "facebook", "conversion", 3, 4, 3200),
    ("Winter Gifts", "facebook", "conversion", 5, 6, 6100),
    ("Spring Refresh", "facebook", "awareness", 9, 11, 2800),
    ("Retargeting Visitors", "facebook", "conversion", 2, 12, 4700),
    ("Search Brand", "google", "conversion", 0, 12, 5200),
    ("Search Kitchen", "google", "traffic", 0, 6, 3900),
    ("Shopping Feed", "google", "conversion", 4, 12, 7300),
    ("Display Awareness", "google", "awareness", 7, 9, 1500),
    ("Newsletter 2024", "email", "conversion", 0, 6, 400),
    ("Newsletter 2025", "email", "conversion", 7, 12, 450),
)

CHANNELS = (("direct", 27), ("google", 24), ("facebook", 21), ("organic", 16), ("email", 12))
"""What leads to an order, with its share."""

UTM = {
    "google": ("google", "cpc"),
    "facebook": ("facebook", "paid_social"),
    "email": ("newsletter", "email"),
    "organic": ("google", "organic"),
}
"""utm_source and utm_medium of a channel; a direct visit has neither."""

PAYMENTS = (("card", 55), ("paypal", 24), ("klarna", 13), ("bank_transfer", 8))

SEASON = (0.8, 0.75, 0.85, 0.85, 0.95, 0.9, 0.85, 0.8, 0.9, 1.0, 1.5, 1.6)
"""How lively trade is in each month of the year, January first."""

TICKET_CHANNELS = (("email", 48), ("web", 27), ("chat", 18), ("phone", 7))
TICKET_GROUPS = (("Orders", 45), ("Returns", 30), ("Product advice", 25))
TICKET_PRIORITIES = (("normal", 62), ("low", 18), ("high", 15), ("urgent", 5))
RATINGS = ((5, 46), (4, 27), (3, 12), (2, 7), (1, 8))
