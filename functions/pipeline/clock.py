"""The worker's clock, and instants as they stand in state objects.

A skewed clock costs a needless try, never correctness: order is decided by Storage's clock (``as_of``).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def now() -> datetime:
    """This moment in UTC, by the worker's clock."""
    return datetime.now(UTC)


def instant(value: str | None) -> datetime | None:
    """An ISO instant out of a state object or its mirror."""
    return datetime.fromisoformat(value) if value else None


def past(value: str | None, *, plus_seconds: float = 0) -> bool:
    """Whether an instant (or nothing) lies behind us."""
    moment = instant(value)
    return moment is None or moment + timedelta(seconds=plus_seconds) <= now()
