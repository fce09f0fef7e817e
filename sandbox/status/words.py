"""Times and sizes as a person reads them."""

from __future__ import annotations

from datetime import datetime


def span(seconds: float) -> str:
    """A duration with its two greatest units: ``4 min 3 s``."""
    whole = round(abs(seconds))
    for size, unit, less_size, less_unit in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // less_size
            return f"{whole // size} {unit} {rest} {less_unit}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def at(moment: datetime, now: datetime) -> str:
    """A moment and how far it is from now, in UTC: ``05:15:00 (in 3 min)``, ``03-01 05:15 (2 d ago)``."""
    seconds = (moment - now).total_seconds()
    shown = f"{moment:%H:%M:%S}" if abs(seconds) < 12 * 3600 else f"{moment:%Y-%m-%d %H:%M}"
    return f"{shown} (in {span(seconds)})" if seconds > 0 else f"{shown} ({span(seconds)} ago)"


def size(size_bytes: int) -> str:
    """Bytes in the unit that fits: ``3.4 MB``."""
    number = float(size_bytes)
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"
