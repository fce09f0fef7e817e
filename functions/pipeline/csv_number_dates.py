"""Days and times written as one number: the serial days of spreadsheets, the seconds of Unix.

Excel counts days from 1900 as if that year had had a 29 February, in workbooks of old Macs from 1904; the fraction is the
time of day by the clock on the wall
(https://support.microsoft.com/office/e7fe7167-48a9-4b96-bb53-5612a800b487). Unix counts from 1970 in UTC.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal

NUMBER_DATES = ("excel", "excel_1904", "unix_milliseconds", "unix_seconds")
"""What a number may stand for: serial days of the 1900 or the 1904 system, milliseconds or seconds of Unix."""
_PLAUSIBLE = {
    # From 1990 to 2099: what a table of customers or orders may hold, and no two of them overlap but Excel's.
    "excel": (32_874, 73_050),
    "excel_1904": (31_412, 71_588),
    "unix_seconds": (631_152_000, 4_102_444_799),
    "unix_milliseconds": (631_152_000_000, 4_102_444_799_999),
}
# With few digits before it, a comma could as well be a thousands mark: 44,159 is no day of February 1900.
_SERIAL = re.compile(r"[0-9]{1,7}|[0-9]{4,7}[.,][0-9]+")
_EPOCH = re.compile(r"-?[0-9]{1,14}(?:\.[0-9]+)?")
_LEAP_DAY_OF_1900 = 60
_UNIX_START = datetime(1970, 1, 1)  # noqa: DTZ001 - UTC, said by the caller
_DAY_MILLISECONDS = 86_400_000


def serial_moment(text: str, *, system_1904: bool) -> datetime | None:
    """The wall-clock time of a serial day, to the millisecond; ``None`` for what is none, such as 29 February 1900."""
    if not _SERIAL.fullmatch(text):
        return None
    whole, _, part = text.replace(",", ".").partition(".")
    days = int(whole)
    if system_1904:
        start = datetime(1904, 1, 1)  # noqa: DTZ001 - a time on the wall
    elif days in (0, _LEAP_DAY_OF_1900):
        return None
    else:
        start = datetime(1899, 12, 31 if days < _LEAP_DAY_OF_1900 else 30)  # noqa: DTZ001
    milliseconds = int((Decimal(f"0.{part or 0}") * _DAY_MILLISECONDS).to_integral_value())
    try:
        return start + timedelta(days=days, milliseconds=milliseconds)
    except OverflowError:
        return None


def epoch_moment(text: str, *, milliseconds: bool) -> datetime | None:
    """The time in UTC (without its zone) of a count since 1970; ``None`` for what is none."""
    if not _EPOCH.fullmatch(text):
        return None
    count = Decimal(text) * (1000 if milliseconds else 1_000_000)
    try:
        return _UNIX_START + timedelta(microseconds=int(count))
    except OverflowError:
        return None


def plausible_number_dates(text: str) -> frozenset[str]:
    """Which of :data:`NUMBER_DATES` a cell can be, within the years of a customer's life."""
    whole = re.split("[.,]", text, maxsplit=1)[0]
    if not (whole.isascii() and whole.isdigit()) or not (_SERIAL.fullmatch(text) or _EPOCH.fullmatch(text)):
        return frozenset()
    return frozenset(kind for kind, (low, high) in _PLAUSIBLE.items() if low <= int(whole) <= high)


def shown_as(kind: str, text: str) -> str:
    """A guess in words, with what it makes of a cell."""
    if kind in ("unix_seconds", "unix_milliseconds"):
        moment = epoch_moment(text, milliseconds=kind == "unix_milliseconds")
        return f"{kind.removeprefix('unix_')} since 1970: '{text}' is {moment} UTC"
    moment, other = (serial_moment(text, system_1904=kind == one) for one in ("excel_1904", "excel"))
    if kind == "excel":
        moment, other = serial_moment(text, system_1904=False), serial_moment(text, system_1904=True)
    return f"serial days of a spreadsheet: '{text}' is {moment}; if it counts from 1904, which a preset must say, {other}"
