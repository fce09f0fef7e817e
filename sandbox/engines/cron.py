"""When a schedule is due: unix-cron as Cloud Scheduler reads it, in a time zone.

cronsim reads more than Cloud Scheduler does (six fields, ``L``, ``#``, ``@daily``), so what it may see is checked first:
a schedule that works here and is refused by Google would be a false green.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

FIELD = re.compile(r"[0-9A-Za-z*,/-]+")
NAMES = re.compile(r"(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)")


class CronError(ValueError):
    """The schedule or its time zone cannot be used; the message says why."""


def check(schedule: str, time_zone: str) -> None:
    """Raises :class:`CronError` unless ``schedule`` has exactly five unix-cron fields and ``time_zone`` is known."""
    fields = schedule.split()
    if schedule.startswith("@"):
        raise CronError(f"Schedule {schedule!r}: macros such as @daily are not supported; write the five fields.")
    if schedule.lower().startswith(("every", "1st", "first")):
        raise CronError(f"Schedule {schedule!r}: the English-like form is not emulated; write the five fields of cron.")
    if len(fields) != 5:
        raise CronError(f"Schedule {schedule!r} has {len(fields)} fields; it should have exactly five.")
    for field in fields:
        if not FIELD.fullmatch(field) or re.search("[A-Za-z]", NAMES.sub("", field)):
            raise CronError(f"Schedule {schedule!r}: {field!r} is not unix-cron; L, W, # and ? are not supported.")
    try:
        CronSim(schedule, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise CronError(f"Schedule {schedule!r} is not valid: {error}") from error
    _zone(time_zone)


def next_after(schedule: str, time_zone: str, moment: datetime) -> datetime:
    """The first time after ``moment`` (aware) that the schedule names, in UTC. Raises :class:`CronError`.

    A time that the spring change skips falls on the next existing minute; one that the autumn change repeats comes once.
    """
    try:
        return next(CronSim(schedule, moment.astimezone(_zone(time_zone)))).astimezone(UTC)
    except CronSimError as error:
        raise CronError(str(error)) from error
    except StopIteration:
        raise CronError(f"Schedule {schedule!r} names no date.") from None


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise CronError(f"Time zone {name!r} is not in the IANA database.") from error
