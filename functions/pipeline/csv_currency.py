"""The currency that a header or a cell names: ``Amount spent (CAD)``, ``12.00 EUR``, ``€ 12``.

A sign that several currencies share (``$``, ``¥``, ``kr``) names none by itself; a preset says which one it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

CODES = frozenset(
    """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP
    CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR
    ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT
    MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD
    SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND
    VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG
    """.split()  # noqa: SIM905 - a list of 150 words is a list, not code
)
"""ISO 4217, the active codes of money: no metals, funds or tests."""
SIGNS: Mapping[str, str] = {
    "€": "EUR", "£": "GBP", "₹": "INR", "₩": "KRW", "₺": "TRY", "₽": "RUB", "₴": "UAH", "₫": "VND", "₱": "PHP", "₪": "ILS",
    "฿": "THB", "zł": "PLN", "kč": "CZK", "ft": "HUF", "us$": "USD", "ca$": "CAD", "c$": "CAD", "au$": "AUD", "a$": "AUD",
    "nz$": "NZD", "hk$": "HKD", "r$": "BRL", "mx$": "MXN", "s$": "SGD", "nt$": "TWD", "rp": "IDR", "rm": "MYR", "s/": "PEN",
    "৳": "BDT", "₦": "NGN", "₡": "CRC", "₲": "PYG", "₵": "GHS", "₸": "KZT", "₼": "AZN", "₾": "GEL",
    "sfr": "CHF", "руб": "RUB", "лв": "BGN", "грн": "UAH",
}  # fmt: skip
"""Signs that mean one currency, in lower case and without a full stop."""
MARK = r"(?:[A-Za-z]{3}|[A-Z]{0,3}[$€£¥₹₩₺₽₴₫₱₪฿৳₦₡₲₵₸₼₾]|[Kk]r\.?|[Zz]ł|[Kk]č|Ft|S?Fr\.?|R[sp]\.?|RM|S/|руб\.?|лв\.?|грн\.?)"
"""What may stand beside a number for its currency, as a regular expression."""
_BESIDE = " +()\u00a0\u202f\u2009-\u2010\u2011\u2012\u2013\u2014\u2212\uff0d"
_NUMBER = re.compile(r"[-+(]?[0-9][0-9.,'\s\u00a0\u202f\u2009\u2019]*(?:/-|[-)])?")


def code_of(mark: str, signs: Mapping[str, str]) -> str | None:
    """ISO 4217 code of a code or sign as somebody wrote it; ``None`` where it names no currency, or more than one.

    ``signs``: what a preset says of signs; they take precedence over :data:`SIGNS`.
    """
    text = mark.strip().strip("()[]").strip()
    declared = {sign.casefold(): code for sign, code in signs.items()}
    if text.casefold() in declared:
        return declared[text.casefold()]
    return text.upper() if text.upper() in CODES else SIGNS.get(text.casefold().rstrip("."))


def mark_in(cell: str) -> str:
    """What stands in a cell beside its number, without blanks; empty for a number alone."""
    return _NUMBER.sub("", cell, count=1).strip(_BESIDE)
