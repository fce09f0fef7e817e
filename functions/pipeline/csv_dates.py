"""Cells to days and instants: written with numbers in any order that is known, with names of months, or as one number.

A day is given as ``yyyy-mm-dd``, an instant as ``yyyy-mm-ddThh:mm:ss[.ffffff]Z``. Nothing is completed: a week is no day, a
year is no date, and a cell that could be two days without ``order`` is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo

from pipeline.csv_number_dates import epoch_moment, serial_moment
from pipeline.csv_zones import offset_of
from pipeline.month_names import MONTHS, WEEKDAYS

_DATE = re.compile(
    r"""(?: (?P<a>[0-9]{1,4}) (?P<mark>[-/.]) (?P<b>[0-9]{1,2}) (?P=mark) (?P<c>[0-9]{1,4})
          | (?P<day1>[0-9]{1,2}) (?: \.?[ ]? | - | / | (?:st|nd|rd|th|er|\.?[º°])?[ ](?:(?:de|of)[ ])? )
            (?P<month1>[^\W\d_]{3,14}) \.? (?: ,?[ ]? | - | / | [ ]del?[ ] ) (?P<year1>[0-9]{4})
          | (?P<day2>[0-9]{1,2}) - (?P<month2>[^\W\d_]{3,14}) - (?P<year2>[0-9]{2})
          | (?P<month3>[^\W\d_]{3,14}) \.?[ ] (?P<day3>[0-9]{1,2}) (?:st|nd|rd|th)? ,? [ ] (?P<year3>[0-9]{4})
          | (?P<year4>[0-9]{4}) (?P<mark4>[- /]) (?P<month4>[^\W\d_]{3,14}) (?P=mark4) (?P<day4>[0-9]{1,2}) )
        (?: (?: T | ,?[ ] | ,?[ ](?:at|um|à|às|kl\.?|klo|o|om|alle|ore|a[ ]las)[ ] )
            (?P<h>[0-9]{1,2}) (?: [:.h] (?P<m>[0-9]{2}) (?: [:.] (?P<s>[0-9]{2}) (?: [.,] (?P<f>[0-9]{1,9}) )? )? )?
            (?: [ \u00a0\u202f]? (?P<half>[AaPp]) \.? [ \u00a0]? [Mm]\.? | [ ]? (?:Uhr|hs?) )?
            (?: [ ]? (?P<zone> [+-][0-9]{1,2} (?: :?[0-9]{2} )? | \(? (?:UTC|GMT) (?: [+-][0-9]{1,2} (?: :?[0-9]{2} )? )? \)?
                | Z | [A-Z]{2,5} | [A-Z][A-Za-z_]+ (?: /[A-Za-z_+-]+[0-9]* )+ ) (?: [ ]\([^()]*\) )? )? )?""",
    re.VERBOSE,
)
_WEEKDAY = re.compile(r"(?P<name>[^\W\d_]+(?:-feira)?)\.?,?[ ]+(?:den[ ])?(?=\S)")
_C_TIME = re.compile(
    r"[^\W\d_]{3} (?P<month>[^\W\d_]{3}) {1,2}(?P<day>[0-9]{1,2}) (?P<time>[0-9:]{8})(?P<zone> [A-Z]{2,5})? (?P<year>[0-9]{4})"
)
"""``Wed Mar 13 10:00:00 CET 2024``, as C and Java print a time."""
_EAST_ASIAN = re.compile(r"(?P<year>[0-9]{4})[年년] ?(?P<month>[0-9]{1,2})[月월] ?(?P<day>[0-9]{1,2})[日일](?P<time>.*)")
_ISO_WEEK_DAY = re.compile(r"[0-9]{4}-?W[0-9]{2}-?[1-7]")
_EARLIEST_YEAR, _LATEST_YEAR = 1000, 9999


class Unreadable(ValueError):
    """A cell that is not what its column says. The row is set aside."""


def read_date(text: str, order: str | None) -> str:
    """The day as written; a time of day behind it is dropped, never converted to another zone."""
    match = _matched(text)
    return (_day(match, order, text) if match else _compact(text).date()).isoformat()


def read_timestamp(text: str, order: str | None, zone: tzinfo) -> str:
    """The instant in UTC. A day alone is its midnight; a time that a clock change repeats is the first of the two."""
    try:
        moment = datetime.fromisoformat(text) if text[4:5] == "-" and text[5:6] != "W" else None
    except ValueError:
        moment = None
    if moment is None:
        match = _matched(text)
        moment = _moment(match, order, text, zone) if match else _compact(text)
    if not _EARLIEST_YEAR < moment.year < _LATEST_YEAR:
        raise Unreadable(text)
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    elif offset := zone.utcoffset(moment):
        moment -= offset
    return moment.isoformat() + "Z"


def number_or(read: Callable[[str], str], kind: str, zone: tzinfo, *, day: bool) -> Callable[[str], str]:
    """Reader of numbers that stand for days or (not ``day``) instants, beside whatever ``read`` takes.

    ``kind``: see :data:`pipeline.csv_number_dates.NUMBER_DATES`. A spreadsheet's days are of ``zone``; the day of an instant
    is its day there.
    """

    def convert(text: str) -> str:
        moment: datetime | None
        if kind in ("unix_seconds", "unix_milliseconds"):
            moment = epoch_moment(text, milliseconds=kind == "unix_milliseconds")
            if moment is not None and day:
                moment = moment.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)
        else:
            moment = serial_moment(text, system_1904=kind == "excel_1904")
            if moment is not None and not day:
                moment -= zone.utcoffset(moment) or timedelta()
        if moment is None:
            return read(text)
        return moment.date().isoformat() if day else moment.isoformat() + "Z"

    return convert


def _matched(text: str) -> re.Match[str] | None:
    """The parts of a date, also behind the name of its weekday."""
    match = _DATE.fullmatch(text)
    if match is None and (weekday := _WEEKDAY.match(text)) and weekday["name"].casefold() in WEEKDAYS:
        match = _DATE.fullmatch(text, weekday.end())
    if match is None and (found := _EAST_ASIAN.fullmatch(text)):
        match = _DATE.fullmatch(f"{found['year']}-{found['month']}-{found['day']}{found['time']}")
    if match is None and (found := _C_TIME.fullmatch(text)):
        match = _DATE.fullmatch(f"{found['day']} {found['month']} {found['year']} {found['time']}{found['zone'] or ''}")
    return match


def _compact(text: str) -> datetime:
    """``20201124``, ``20201124120000``, ``20201124T120000Z``, ``2020-W48-2``. Eight digits in another order give no year of an
    export."""
    digits = len(text) >= 8 and text[:8].isdigit() and "1900" <= text[:4] <= "2199" and text[8:9] in ("", "T")
    if len(text) in (12, 14) and text.isascii() and text.isdigit() and "1900" <= text[:4] <= "2199":
        digits, text = True, f"{text[:8]}T{text[8:]}"
    if not digits and not _ISO_WEEK_DAY.fullmatch(text):
        raise Unreadable(text)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise Unreadable(text) from None


def _day(match: re.Match[str], order: str | None, text: str) -> date:
    if match["a"]:
        a, b, c = match["a"], match["b"], match["c"]
        if len(a) == 4:
            order = "ymd"
        elif order is None and match["mark"] == "." and len(c) == 4:
            order = "dmy"  # as dates with dots are written, unless the file says otherwise
        if order is None:
            raise Unreadable(text)
        by_letter = dict(zip(order, (a, b, c), strict=True))
        year, month, day = _year(by_letter["y"], text), int(by_letter["m"]), int(by_letter["d"])
    else:
        form = next(form for form in "1234" if match[f"month{form}"])
        year = _year(match[f"year{form}"], text)
        month, day = MONTHS.get(match[f"month{form}"].casefold(), 0), int(match[f"day{form}"])
    try:
        return date(year, month, day)
    except ValueError:
        raise Unreadable(text) from None


def _year(digits: str, text: str) -> int:
    """Two digits as POSIX reads them: 69 to 99 are of the last century."""
    if len(digits) == 4:
        return int(digits)
    if len(digits) != 2:
        raise Unreadable(text)
    return int(digits) + (1900 if digits >= "69" else 2000)


def _moment(match: re.Match[str], order: str | None, text: str, zone: tzinfo) -> datetime:
    day = _day(match, order, text)
    if match["h"] is None:
        return datetime(day.year, day.month, day.day)  # noqa: DTZ001 - the caller knows the zone
    hour, half = int(match["h"]), match["half"]
    if half is None and match["m"] is None:
        raise Unreadable(text)  # a lone number behind a day
    if half:
        if hour > 12 and half in "aA":
            raise Unreadable(text)
        # Some write 0:05 AM, and 13:05 PM: neither can be another time.
        hour = hour if hour > 12 else hour % 12 + (12 if half in "pP" else 0)
    micros = int((match["f"] or "").ljust(6, "0")[:6])
    clock = (hour, int(match["m"] or 0), int(match["s"] or 0), micros)
    midnight = clock == (24, 0, 0, 0) and not half  # 24:00 ends its day (ISO 8601)
    try:
        moment = datetime(day.year, day.month, day.day, *(0, 0, 0, 0) if midnight else clock)  # noqa: DTZ001
        moment += timedelta(days=midnight)
    except (ValueError, OverflowError):
        raise Unreadable(text) from None
    if not match["zone"]:
        return moment
    offset = offset_of(match["zone"], moment, zone)
    if offset is None:
        raise Unreadable(text)
    return moment.replace(tzinfo=timezone(offset))
