"""The made-up source ``weather``: one page per day, and every trouble that a source may have."""

from collections.abc import Iterator
from datetime import date, timedelta

from pipeline.errors import Rejected, Wait
from pipeline.sources import Page, Task

waited: set[str] = set()


def fetch(task: Task) -> Iterator[Page]:
    """A row per day of the window. Oslo's quota makes each slice wait once, in the middle; Atlantis does not exist."""
    if task.account.id == "atlantis":
        raise Rejected("the station 'atlantis' does not exist", next_step="Remove it from the accounts.", kind="no_account")
    assert task.window_from is not None
    assert task.window_to is not None
    day = date.fromisoformat(task.cursor) if task.cursor else task.window_from
    while day <= task.window_to:
        if task.account.id == "oslo" and day > task.window_from and task.slice_id not in waited:
            waited.add(task.slice_id)
            raise Wait(0, "quota")
        rows = [{"station": task.account.id, "day": day.isoformat(), "degrees": 2**70, "sky": None}]
        if day.day == 1:
            rows.append({"station": task.account.id, "day": day.isoformat(), "degrees": float("nan")})
        day += timedelta(days=1)
        yield Page(rows=rows, cursor=day.isoformat(), unknown_fields={"sky": 1}, facts={"version": "v1"})
