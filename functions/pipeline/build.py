"""What the dbt job does around dbt: claim a numbered build, register the loaded slices in it, settle it at the end.

Every model of build N reads the slices with ``build <= N``, so all models see the same ones, however much is loaded in the
meantime. Registration is one load job per build: per-slice writes would meet BigQuery's limits on table modifications.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pipeline import clients, clock, load, messages, state, tables, transform
from pipeline.errors import Rejected, Retryable
from pipeline.journal import log
from pipeline.state import Conflict, Stored

MARGIN_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Build:
    """A claimed build. ``since``: the last build that was complete; what changed lies in ``(since, number]``."""

    number: int
    since: int
    token: str
    select: tuple[str, ...]
    full_refresh: bool


def claim(timeout_seconds: int) -> Build | None:
    """Claim the next build and take all wants; ``None`` when another job holds a living claim.

    Wants are merged: one that selects nothing wants everything, and one full refresh makes the build one.
    """
    for _ in range(20):
        stored = transform.read()
        data = stored.data
        if transform.is_building(data):
            return None
        number = data["build"] + 1
        # A killed build left its claim behind, and in it the wants that it took.
        wants = [*(data["building"] or {}).get("wants", []), *data["wants"]]
        token = uuid.uuid4().hex
        lease_until = (clock.now() + timedelta(seconds=timeout_seconds + MARGIN_SECONDS)).isoformat()
        selected = all(want["select"] for want in wants) and bool(wants)
        build = Build(
            number,
            data["done_build"],
            token,
            tuple(sorted({name for want in wants for name in want["select"]})) if selected else (),
            any(want["full_refresh"] for want in wants),
        )
        taken = [*data["taken"], *(want["id"] for want in wants)][-transform.TAKEN_KEPT :]
        building = {"build": number, "token": token, "lease_until": lease_until, "wants": wants}
        try:
            state.replace(stored, {**data, "build": number, "building": building, "wants": [], "taken": taken})
        except Conflict:
            continue
        log("build", f"build {number} claimed", build=number, since=build.since, wants=len(wants))
        return build
    raise Retryable("the claim of a build keeps losing")


def register(build: Build) -> int:
    """Register every slice loaded since the last build, and every failure, in one load job each. Returns the slices.

    A job killed between loading and deleting the markers leaves them for the next build; readers take a slice's
    smallest build.
    """
    count = _register(build, "loaded/", tables.SLICES)
    _register(build, "failures/", tables.FAILURES)
    return count


def _register(build: Build, prefix: str, table: tables.Table) -> int:
    markers = list(state.listing(prefix))
    if not markers:
        return 0
    known = {column.name for column in table.columns}
    rows = []
    for marker in markers:
        stored = state.read(marker.name)
        if stored is not None:
            rows.append({name: value for name, value in stored.data.items() if name in known} | {"build": build.number})
    text = "\n".join(json.dumps(row) for row in rows) + "\n"
    name = f"builds/{build.number}/{table.name}.jsonl"
    clients.state_bucket().blob(name).upload_from_string(text, timeout=state.TIMEOUT_SECONDS)
    _load(f"{table.name}-{build.number}-{build.token[:8]}", name, table, len(rows))
    for marker in markers:
        state.delete(marker.name)
    log("build", f"{len(rows)} {table.name} registered", build=build.number, rows=len(rows))
    return len(rows)


def _load(job_id: str, name: str, table: tables.Table, rows: int) -> None:
    uri = f"gs://{clients.state_bucket().name}/{name}"
    job = load.insert_or_get(job_id, [uri], table.name, table.columns)  # the token in the id makes it this build's
    job.result()
    if job.output_rows != rows:
        raise Rejected(
            f"{job_id} registered {job.output_rows} of {rows} rows",
            kind="row_count",
            next_step=f"Compare {uri} with {clients.project()}.{tables.DATASET}.{table.name}.",
        )


def finish(build: Build, *, complete: bool) -> None:
    """Settle the build and ask for the next one if wants came in meanwhile.

    Only a complete build (all models, none failed or skipped, nothing selected) moves ``done_build``: a later one then
    covers everything since. A build whose claim ran out while it worked settles nothing.
    """
    covered = {"done_build": build.number} if complete and not build.select else {}
    settled = _settle(build, lambda data: covered)
    if settled is None:
        return
    log("build", f"build {build.number} {'complete' if complete else 'failed'}", build=build.number,
        severity="INFO" if complete else "ERROR")  # fmt: skip
    if settled.data["wants"]:
        messages.publish("transform", {"v": 1, "kind": "transform", **settled.data["wants"][0]})


def give_up(build: Build) -> None:
    """End a build that came to nothing before any model ran, and want again what it took: the sweeper starts the next one.

    Nothing is published here: what stands in the way may still stand there, and once a minute is often enough to try.
    """
    if _settle(build, lambda data: {"wants": [*data["building"]["wants"], *data["wants"]]}) is not None:
        log("build", f"build {build.number} is given up and wanted again", severity="ERROR", build=build.number)


def _settle(build: Build, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Stored | None:
    """End the build's claim and make ``change`` of the state in one; ``None`` where another build has taken it over."""
    for _ in range(20):
        stored = transform.read()
        data = stored.data
        if (data["building"] or {}).get("token") != build.token:
            log("build", f"build {build.number} was taken over", severity="WARNING", build=build.number)
            return None
        try:
            return state.replace(stored, {**data, **change(data), "building": None})
        except Conflict:
            continue
    raise Retryable("the end of a build keeps losing")


def keep_artifacts(build: Build, folder: Path, names: Sequence[str]) -> None:
    """Keep dbt's artifacts beside the build, whatever became of it."""
    for name in names:
        path = folder / name
        if path.exists():
            blob = clients.state_bucket().blob(f"builds/{build.number}/artifacts/{name}")
            blob.upload_from_filename(str(path), timeout=300)


RESULT_COLUMNS = (
    ("build", "INT64"),
    ("node", "STRING"),
    ("status", "STRING"),
    ("seconds", "FLOAT64"),
    ("failures", "INT64"),
    ("message", "STRING"),
    ("finished_at", "TIMESTAMP"),
)


def keep_results(build: Build, folder: Path) -> int:
    """Append dbt's verdict on every node to ``audit.dbt_results``, which the first build creates. Returns the rows."""
    from google.cloud import bigquery

    path = folder / "run_results.json"
    if not path.exists():
        return 0
    rows = results_rows(build, json.loads(path.read_text(encoding="utf-8")))
    if not rows:
        return 0
    config = bigquery.LoadJobConfig(
        schema=[bigquery.SchemaField(name, kind) for name, kind in RESULT_COLUMNS],
        write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
    )
    job_id = f"dbt_results-{build.number}-{build.token[:8]}"
    client = clients.bigquery()
    target = f"{clients.project()}.audit.dbt_results"
    client.load_table_from_json(rows, target, job_id=job_id, location=clients.location(), job_config=config).result()
    return len(rows)


def results_rows(build: Build, results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows for ``audit.dbt_results`` out of dbt's run results: one per node of the build."""
    generated_at = results["metadata"]["generated_at"]
    return [
        {
            "build": build.number,
            "node": result["unique_id"],
            "status": result["status"],
            "seconds": round(result["execution_time"], 3),
            "failures": result.get("failures"),
            "message": result.get("message"),
            "finished_at": generated_at,
        }
        for result in results["results"]
    ]
