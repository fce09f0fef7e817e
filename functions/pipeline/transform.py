"""Start the dbt job, once for however many asked.

One object, ``transform.json``, holds the wants and the building in progress; both sides change it by compare-and-set, so no
want can fall between "it is still running" and "it has just ended". The starter never notes "started": the job claims the
build itself (``pipeline.build``), and a job that finds a living claim goes home.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pipeline import clients, clock, names, state
from pipeline.errors import Retryable
from pipeline.events import Delivery, Unreadable
from pipeline.journal import log
from pipeline.state import Conflict, Stored

NAME = "transform.json"
EMPTY: Mapping[str, Any] = {"v": 1, "build": 0, "done_build": 0, "building": None, "wants": [], "taken": []}
SETTLE_SECONDS = 120
"""A transform waits for runs younger than this; for an older one (a backfill may take hours) it does not."""
TAKEN_KEPT = 200
"""Ids of wants that builds took, remembered so that a redelivered want does not build again."""


def handle(delivery: Delivery) -> None:
    """A transform is wanted: note it, and start the job if none is building."""
    if delivery.kind != "transform":
        raise Unreadable(f"message kind {delivery.kind!r} does not belong on the topic 'transform'")
    body = delivery.body
    want = {
        "id": str(body["id"]),
        "select": list(body.get("select") or []),
        "full_refresh": bool(body.get("full_refresh")),
    }
    current = add_want(want)
    if not is_due(current):
        return
    if others := runs_about_to_close(current):
        # Their closing asks again, and at the latest the sweeper does: one build for a batch of files, not one for each.
        log("transform", f"waits for {len(others)} runs that were just opened", runs=others[:5])
        return
    start_job()


def read() -> Stored:
    # Read first: it is missing once, and a creation that comes too late costs a write and a look at whose it is.
    return state.read(NAME) or state.create_or_read(NAME, dict(EMPTY))


def add_want(want: Mapping[str, Any]) -> Mapping[str, Any]:
    """Add a want unless it is there, or was taken. Returns the object as it then is."""
    for _ in range(20):
        stored = read()
        wants = stored.data["wants"]
        if want["id"] in stored.data["taken"] or any(other["id"] == want["id"] for other in wants):
            return stored.data
        try:
            return state.replace(stored, {**stored.data, "wants": [*wants, dict(want)]}).data
        except Conflict:
            continue
    raise Retryable(f"{NAME} keeps changing")


def is_building(data: Mapping[str, Any]) -> bool:
    """Whether a build holds a living claim. The lease of a killed job ends with the job's timeout."""
    building = data["building"]
    return building is not None and not clock.past(building["lease_until"])


def is_due(data: Mapping[str, Any]) -> bool:
    """Whether a job should start: something is wanted, or the last build died and left its wants undone."""
    return (bool(data["wants"]) or data["building"] is not None) and not is_building(data)


def runs_about_to_close(data: Mapping[str, Any]) -> list[str]:
    """Runs that were opened in the last ``SETTLE_SECONDS`` and are none of those that want this transform."""
    since = clock.now() - timedelta(seconds=SETTLE_SECONDS)
    wanting = {want["id"].split(".", 1)[0] for want in data["wants"]}
    young = [listed.name.removeprefix(names.OPEN) for listed in state.listing(names.OPEN) if listed.updated > since]
    return [run for run in young if run not in wanting]


def start_job() -> None:
    """Ask Cloud Run to execute the dbt job (run.googleapis.com v2, jobs.run)."""
    job = clients.setting("PIPELINE_DBT_JOB")
    operation = clients.run_jobs().run_job(name=job, timeout=state.TIMEOUT_SECONDS)
    log("transform", "dbt job started", execution=operation.metadata.name)
