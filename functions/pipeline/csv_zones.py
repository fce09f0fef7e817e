"""The zone that stands behind a time: ``+01:00``, ``(UTC+1)``, ``Europe/Paris``, ``CEST``.

An abbreviation means what the zone of the file means by it: ``BST`` is an hour before Greenwich in London, ``CST`` six behind
it in Chicago and eight before it in Shanghai. Without that, those alone are known that hardly stand for two zones of the world
(RFC 5322, 4.3, has the American ones): ``IST`` and ``CST`` are not among them.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

_OFFSET = re.compile(r"(?:UTC|GMT)?(?P<sign>[+-])(?P<hours>[0-9]{1,2})(?::?(?P<minutes>[0-9]{2}))?")
_FIXED_HOURS = {
    **{"Z": 0, "UT": 0, "UTC": 0, "GMT": 0, "WET": 0, "WEST": 1, "CET": 1, "MEZ": 1, "CEST": 2, "MESZ": 2, "EET": 2, "EEST": 3},
    **{"EST": -5, "EDT": -4, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "AKST": -9, "AKDT": -8, "HST": -10},
    **{"JST": 9, "KST": 9, "AEST": 10, "AEDT": 11, "AWST": 8, "NZST": 12, "NZDT": 13, "MSK": 3, "SAST": 2},
}


def offset_of(written: str, moment: datetime, zone: tzinfo) -> timedelta | None:
    """How far before UTC a zone is, as it is written behind ``moment``; ``None`` for one that is not known.

    ``zone``: that of the file, whose own abbreviations are understood.
    """
    name = written.strip("()")
    if found := _OFFSET.fullmatch(name):
        shift = timedelta(hours=int(found["hours"]), minutes=int(found["minutes"] or 0))
        return None if shift >= timedelta(days=1) else -shift if found["sign"] == "-" else shift
    if "/" in name:
        try:
            return ZoneInfo(name).utcoffset(moment)
        except (KeyError, ValueError, OSError):
            return None
    for instant in (moment, moment.replace(month=1, day=1), moment.replace(month=7, day=1)):
        if name not in ("UTC", "GMT") and zone.tzname(instant) == name:
            return zone.utcoffset(instant)
    hours = _FIXED_HOURS.get(name)
    return None if hours is None else timedelta(hours=hours)
