"""Rows below a header of which only the header is known: values in the form in which the vendor writes such a column."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence

ROWS = 3
Value = Callable[[int], str]


def made_file(name: str, headers: Sequence[str], delimiter: str) -> bytes:
    """A file of this header with three rows, each cell valid for its column; an order of Shopify's has a second line."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(headers)
    form = next((form for part, form in _FORMS.items() if part in name), {})
    for number in range(1, ROWS + 1):
        cells = [_cell(header, number, form) for header in headers]
        writer.writerow(cells)
        if "shopify_orders" in name:
            writer.writerow([cell if _ON_EACH_LINE.search(header) else "" for header, cell in zip(headers, cells, strict=True)])
    return text.getvalue().encode()


def _cell(header: str, number: int, form: Mapping[str, Value]) -> str:
    for pattern, value in (*form.items(), *_EVERYWHERE.items()):
        if re.search(pattern, header):
            return value(number)
    return f"{header} {number}"


_ON_EACH_LINE = re.compile("^(Name|Email|Created at|Vendor|Lineitem.*)$")
_EVERYWHERE: Mapping[str, Value] = {
    r"(?i)e-?mail( address)?$|Email$": lambda n: f"person{n}@example.com",
    r"(?i)phone|mobile": lambda n: f"+44 20 7946 000{n}",
}
_SHOPIFY: Mapping[str, Value] = {
    r"^Name$": lambda n: f"#100{n}",
    r" at$": lambda n: f"2024-03-1{n} 09:00:00 +0100",
    r"^(Accepts|Tax Exempt|Lineitem requires|Lineitem taxable|Variant Requires|Variant Taxable|Gift)": lambda n: ("yes", "no")[
        n % 2
    ],
    r"^(Subtotal|Shipping|Taxes|Total|.*Price|.*price|.*discount|Discount Amount|Refunded Amount|Total Spent)$": lambda n: (
        f"{n}0.50"
    ),
    r"^Currency$": lambda n: "EUR",
    r"quantity|Qty|Total Orders": str,
    r"^Customer ID$": lambda n: f"'60211{n}",
    r"Zip$": lambda n: f"'0123{n}",
}
_SALESFORCE: Mapping[str, Value] = {
    r"^Id$|Id$": lambda n: f"0035g00000Ab{n}XY",
    r"^(CloseDate|Birthdate|ConvertedDate|LastActivityDate)$": lambda n: f"2024-05-0{n}",
    r"Date$|^SystemModstamp$": lambda n: f"2024-05-0{n}T09:30:00.000Z",
    r"^Is|^Has": lambda n: ("true", "false")[n % 2],
    r"^(Amount|AnnualRevenue|Probability)$": lambda n: f"{n}500.0",
    r"^CurrencyIsoCode$": lambda n: "USD",
}
_FORMS: Mapping[str, Mapping[str, Value]] = {
    "shopify": _SHOPIFY,
    "salesforce": _SALESFORCE,
    "zendesk": {
        r"^Id$": lambda n: f"90{n}",
        r"^(Created|Updated|Assigned|Initially assigned|Solved) at$": lambda n: f"2024-02-0{n} 10:15",
        r"^Satisfaction Score$": lambda n: ("Offered", "Good", "Bad")[n - 1],
        r"in minutes|^Reopens$|^Replies$|stations$|^Summation": str,
    },
    "hubspot": {
        r"^Record ID$": lambda n: f"5100{n}",
        r"Date$|^Last Contacted$|^Last NPS survey date$": lambda n: f"2023-02-2{n} 10:04",
        r"^(Annual Revenue|Total Revenue|Recent Deal Amount)$": lambda n: f"{n}000.5",
        r" IDs$": lambda n: f"70{n};71{n}",
    },
    "mailchimp": {
        r"_TIME$|^LAST_CHANGED$": lambda n: f"2023-06-2{n} 17:38:27",
        r"^CC$|^Country$": lambda n: "US",
        r"ID$": lambda n: f"c2cb068{n}",
    },
    "pipedrive": {
        r" - ID$": lambda n: f"{n}",
        r"date$": lambda n: f"2024-04-0{n}",
        r"Person - Email": lambda n: f"person{n}@example.com, person{n}@example.net",
        r"time$": lambda n: f"0{n}:30",
    },
    "zoho": {
        r"Id$|\.id$": lambda n: f"zcrm_415086800000012345{n}",
        r"^Closing Date$": lambda n: f"2024-06-0{n}",
        r"^Amount$": lambda n: f"{n}250.00",
        r"^Stage$": lambda n: ("Closed Won", "Negotiation/Review", "Closed Lost")[n - 1],
    },
    "woocommerce": {
        r"^ID$": lambda n: f"4{n}",
        r"price$": lambda n: f"{n}5.00",
        r"^(Published|Position|Stock)$|\?$": lambda n: "1",
    },
    "meta_ads_manager_en": {
        r"^Reporting": lambda n: f"2026-08-0{n}",
        r"^(Amount spent .*)$": lambda n: f"{n}2.34",
        r"^(Impressions|Reach|Results)$": lambda n: f"{n}234",
    },
    "meta_ads_manager_fr": {
        r"^Jour$": lambda n: f"0{n}/08/2026",
        r"^Montant dépensé": lambda n: f"{n} 234,56",
        r"^Impressions$": lambda n: f"{n} 234",
    },
}
