"""A CSV of make-believe orders, as a shop's export looks: ids, times, decimals, words, some quotes and empty cells.

The same number of rows makes the same bytes on every machine: one seed, no clock.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

HEADER = (
    "order_id,contact_id,order_at,amount,currency,tax,discount,item_count,status,payment_method,"
    "utm_source,utm_medium,utm_campaign\n"
)
"""The contract's own names of ``crm.orders``, so the file needs no preset."""
BLOCK_ROWS = 50_000
_SEED = 20_251_124
_START = datetime(2023, 1, 1)  # noqa: DTZ001 - exports write times without a zone
_STATUSES = ("paid", "paid", "paid", "shipped", "shipped", "refunded", "cancelled", "pending")
_PAYMENTS = ("card", "paypal", "invoice", '"card, debit"', '"bank transfer"')
_CHANNELS = ("google,cpc", "facebook,paid_social", "newsletter,email", ",", "bing,cpc", ",referral")
_CAMPAIGNS = ("spring_2025", "brand_search", "", '"Sale ""50 %"" off"', "retargeting_eu", "winterkollektion_für_alle", "")


def blocks(rows: int) -> Iterator[str]:
    """The file's text in blocks of so many rows, the header first; orders come in the order of their time, as exports do."""
    yield HEADER
    draw = random.Random(_SEED)
    for start in range(1, rows + 1, BLOCK_ROWS):
        count = min(BLOCK_ROWS, rows + 1 - start)
        cells = zip(
            range(start, start + count),
            draw.choices(range(1, 2_000_000), k=count),
            draw.choices(range(299, 250_000), k=count),
            draw.choices(("", "", "", "5.00", "10.00", "2.50"), k=count),
            draw.choices("11112234", k=count),
            draw.choices(_STATUSES, k=count),
            draw.choices(_PAYMENTS, k=count),
            draw.choices(_CHANNELS, k=count),
            draw.choices(_CAMPAIGNS, k=count),
            strict=True,
        )
        yield "".join(
            f"O{number:010d},C{contact:07d},{_START + timedelta(seconds=number * 7)},{cents // 100}.{cents % 100:02d},EUR,"
            f"{cents // 600}.{cents % 97:02d},{discount},{items},{status},{payment},{channel},{campaign}\n"
            for number, contact, cents, discount, items, status, payment, channel, campaign in cells
        )


def write(folder: Path, rows: int) -> Path:
    """Make ``orders_<rows>.csv`` unless it is there. Returns its path."""
    path = folder / f"orders_{rows}.csv"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        half_made = path.with_suffix(".part")
        with half_made.open("w", encoding="utf-8", newline="") as file:
            file.writelines(blocks(rows))
        half_made.rename(path)
    return path
