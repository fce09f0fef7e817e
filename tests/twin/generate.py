"""Invents five small tables such as stand behind a marketing dashboard, wrong in known ways.

    python tests/twin/generate.py [folder]     writes them, into tests/twin/data where no folder is named

Every value is drawn from a seeded generator. The oddities are those that such tables are known to have, and each is planted
in the number that its constant says: ``figures.py`` finds them again, the audits must too.
"""

from __future__ import annotations

import csv
import io
import random
import sys
from collections import Counter
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

Row = dict[str, str]

SEED = 20230301
CONTACTS, ORDERS, CAMPAIGNS, AD_DAYS = 400, 120, 12, 25
SHARED_ADDRESSES = 9
REPEAT_FLAGS_MISSED = REPEAT_FLAGS_FALSE = 7
"""As many one way as the other, so that the totals hide them."""
ORDERS_BEFORE_CONTACT = 8
CHANNEL_CONFLICTS = 14

FIRST_DAY = date(2023, 3, 1)
ORDER_DAYS = 92
SPEND_DAYS = 61
"""The spend ends a month before the orders do."""
USD_PER_EUR = Decimal("1.08")

COUNTRIES = (("DE", 40), ("FR", 20), ("NL", 14), ("IT", 10), ("ES", 9), ("AT", 7))
CHANNELS = (("facebook", 30), ("google", 28), ("direct", 22), ("organic", 12), ("email", 8))
CAMPAIGN_CHANNELS = (
    "facebook",
    "facebook",
    "facebook",
    "facebook",
    "facebook",
    "google",
    "google",
    "google",
    "google",
    "direct",
    "organic",
    "display",
)
MEDIUMS = {"facebook": "social", "google": "paid_search", "direct": "none", "organic": "organic", "email": "referral"}
PAYMENTS = (("card", 60), ("paypal", 25), ("klarna", 10), ("bank_transfer", 5))
OBJECTIVES = ("awareness", "traffic", "conversion")
GA4_NAMES = (("(organic)", 34), ("(direct)", 26), ("(referral)", 18), ("<Other>", 13), ("(data deleted)", 9))

COLUMNS = {
    "contacts": "contact_id,email,created_at,country,phone,email_opt_in",
    "orders": "order_id,contact_id,user_pseudo_id,order_ts,order_date,amount,currency,items,campaign_id,channel,utm_source,"
    "utm_medium,transaction_id,is_repeat,payment_method",
    "campaigns": "campaign_id,campaign_name,channel,objective,start_date,end_date,status",
    "meta_ads": "campaign_id,date,impressions,clicks,spend,conversions,ctr,cpc",
    "ga4": "event_ts,user_pseudo_id,value_usd,transaction_id,source,medium,campaign_name",
}


def tables() -> dict[str, list[Row]]:
    """The rows of every table, by its name."""
    contacts = make_contacts(random.Random(f"{SEED}/contacts"))
    campaigns = make_campaigns(random.Random(f"{SEED}/campaigns"))
    orders = make_orders(random.Random(f"{SEED}/orders"), contacts, campaigns)
    return {
        "contacts": contacts,
        "orders": orders,
        "campaigns": campaigns,
        "meta_ads": make_ads(random.Random(f"{SEED}/ads"), campaigns),
        "ga4": make_ga4(random.Random(f"{SEED}/ga4"), orders),
    }


def files() -> dict[str, bytes]:
    """The files' bytes, by their names."""
    contents = {}
    for name, rows in tables().items():
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS[name].split(","), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        contents[f"{name}.csv"] = text.getvalue().encode()
    return contents


def draw(rng: random.Random, shares: tuple[tuple[str, int], ...]) -> str:
    """One of the words, as often as its share says."""
    return rng.choices([word for word, _ in shares], [share for _, share in shares])[0]


def short(amount: Decimal) -> str:
    """An amount as a data frame writes it: without trailing zeros, but with one digit after the point."""
    digits = f"{amount.normalize():f}"
    return digits if "." in digits else f"{digits}.0"


def make_contacts(rng: random.Random) -> list[Row]:
    """Contacts of the two years before the first order; some neighbours share an address."""
    contacts = []
    for number in range(1, CONTACTS + 1):
        created_at = datetime.fromisoformat("2021-03-01") + timedelta(seconds=rng.randrange(2 * 365 * 86400))
        contacts.append(
            {
                "contact_id": f"P-{number:05d}",
                "email": f"reader{number:04d}@example.{rng.choice(('com', 'org', 'net'))}",
                "created_at": created_at.isoformat(sep=" "),
                "country": draw(rng, COUNTRIES),
                "phone": rng.choice(("+00 {} {}", "00{}-{}", "({}) {} ext. 4")).format(
                    rng.randrange(100, 1000), rng.randrange(10**6, 10**7)
                ),
                "email_opt_in": str(rng.random() < 0.55),
            }
        )
    for number in sorted(rng.sample(range(0, CONTACTS, 2), SHARED_ADDRESSES)):
        contacts[number + 1]["email"] = contacts[number]["email"].upper() if number % 4 else contacts[number]["email"]
    rng.shuffle(contacts)
    return contacts


def make_campaigns(rng: random.Random) -> list[Row]:
    """Campaigns inside the days that spend is known of."""
    campaigns = []
    for number, channel in enumerate(CAMPAIGN_CHANNELS, start=1):
        start = FIRST_DAY + timedelta(days=rng.randrange(20))
        campaigns.append(
            {
                "campaign_id": f"TWIN-{number:02d}",
                "campaign_name": f"Twin campaign {number:02d}",
                "channel": channel,
                "objective": rng.choice(OBJECTIVES),
                "start_date": start.isoformat(),
                "end_date": (start + timedelta(days=rng.randrange(AD_DAYS, 41))).isoformat(),
                "status": rng.choice(("active", "active", "paused")),
            }
        )
    return campaigns


def make_orders(rng: random.Random, contacts: list[Row], campaigns: list[Row]) -> list[Row]:
    """Orders with their true repeat flag first, then the wrong ones; the oddities never fall on one order twice."""
    buyers = rng.sample([contact["contact_id"] for contact in contacts], round(ORDERS * 0.8))
    # Every buyer once, and some of them again.
    placed_by = buyers + [rng.choice(buyers) for _ in range(ORDERS - len(buyers))]
    moments = sorted(rng.sample(range(ORDER_DAYS * 24), ORDERS))
    rng.shuffle(placed_by)
    seen: set[str] = set()
    orders = []
    for number, (hour, contact_id) in enumerate(zip(moments, placed_by, strict=True), start=1):
        order_at = datetime.combine(FIRST_DAY, datetime.min.time()) + timedelta(hours=hour)
        channel = draw(rng, CHANNELS)
        own = [campaign["campaign_id"] for campaign in campaigns if campaign["channel"] == channel]
        if not own:
            # No campaign runs on e-mail. Orders of that channel come about where channels are made to conflict.
            channel = "facebook"
            own = [campaign["campaign_id"] for campaign in campaigns if campaign["channel"] == channel]
        orders.append(
            {
                "order_id": f"B-{rng.randrange(16**8):08x}",
                "contact_id": contact_id,
                "user_pseudo_id": f"browser_{number:03d}_{rng.randrange(1000):03d}",
                "order_ts": order_at.isoformat(sep=" "),
                "order_date": order_at.date().isoformat(),
                "amount": short(Decimal(rng.randrange(1_500, 90_000)) / 100),
                "currency": "EUR",
                "items": rng.choice(("1", "1", "1", "2", "3")),
                "campaign_id": rng.choice(own),
                "channel": channel,
                "utm_source": channel,
                "utm_medium": MEDIUMS[channel],
                "transaction_id": f"TX-{rng.randrange(16**10):010x}",
                "is_repeat": str(contact_id in seen),
                "payment_method": draw(rng, PAYMENTS),
            }
        )
        seen.add(contact_id)
    plant(rng, orders, contacts)
    rng.shuffle(orders)
    return orders


def plant(rng: random.Random, orders: list[Row], contacts: list[Row]) -> None:
    """Wrong repeat flags, contacts younger than their order, and orders on another channel than their campaign."""
    missed = rng.sample([order for order in orders if order["is_repeat"] == "True"], REPEAT_FLAGS_MISSED)
    false = rng.sample([order for order in orders if order["is_repeat"] == "False"], REPEAT_FLAGS_FALSE)
    for order in missed:
        order["is_repeat"] = "False"
    for order in false:
        order["is_repeat"] = "True"
    count = Counter(order["contact_id"] for order in orders)
    early = rng.sample(
        [order for order in orders if count[order["contact_id"]] == 1 and order not in false], ORDERS_BEFORE_CONTACT
    )
    by_id = {contact["contact_id"]: contact for contact in contacts}
    for order in early:
        created_at = datetime.fromisoformat(order["order_ts"]) + timedelta(days=rng.randrange(1, 30), minutes=11)
        by_id[order["contact_id"]]["created_at"] = created_at.isoformat(sep=" ")
    for order in rng.sample([order for order in orders if order not in early], CHANNEL_CONFLICTS):
        order["channel"] = "email" if rng.random() < 0.6 else "direct" if order["channel"] != "direct" else "organic"
        order["utm_source"] = order["channel"]
        order["utm_medium"] = MEDIUMS[order["channel"]]


def make_ads(rng: random.Random, campaigns: list[Row]) -> list[Row]:
    """One row per campaign and day, most of the spend on campaigns that are not Facebook's; ``ctr`` and ``cpc`` derived."""
    rows = []
    for campaign in campaigns:
        start = date.fromisoformat(campaign["start_date"])
        daily = 30 if campaign["channel"] == "google" else 6
        for offset in range(AD_DAYS):
            impressions = rng.randrange(20, 90 * daily)
            clicks = sum(rng.random() < 0.03 for _ in range(impressions)) if rng.random() < 0.9 else 0
            spend = Decimal(rng.randrange(0, 100 * daily)) / 100
            rows.append(
                {
                    "campaign_id": campaign["campaign_id"],
                    "date": (start + timedelta(days=offset)).isoformat(),
                    "impressions": str(impressions),
                    "clicks": str(clicks),
                    "spend": short(spend),
                    "conversions": str(sum(rng.random() < 0.04 for _ in range(clicks))),
                    "ctr": short(round(Decimal(clicks) / impressions, 6)),
                    "cpc": short(round(spend / clicks, 6)) if clicks else "0.0",
                }
            )
    rng.shuffle(rows)
    last_day = max(row["date"] for row in rows)
    if last_day > (FIRST_DAY + timedelta(days=SPEND_DAYS)).isoformat():
        raise AssertionError(f"spend runs to {last_day}, beyond the day that it should end")
    return rows


def make_ga4(rng: random.Random, orders: list[Row]) -> list[Row]:
    """One transaction per order, in dollars that do not come of its amount alone, under names that are no campaigns."""
    rows = []
    for order in orders:
        quotient = USD_PER_EUR * Decimal(rng.choice((1, 1, 2, 4))) * Decimal(rng.randrange(80, 121)) / 100
        rows.append(
            {
                "event_ts": order["order_ts"],
                "user_pseudo_id": order["user_pseudo_id"],
                "value_usd": short(round(Decimal(order["amount"]) * quotient, 0)),
                "transaction_id": order["transaction_id"],
                "source": order["utm_source"],
                "medium": order["utm_medium"],
                "campaign_name": draw(rng, GA4_NAMES),
            }
        )
    rng.shuffle(rows)
    return rows


def write(folder: Path) -> None:
    """Writes the five files into the folder, over those of the same names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files().items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent / "data")
