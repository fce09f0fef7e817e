"""A manifest becomes rows in BigQuery, exactly once.

A load job's id is made of the slice and the number of the try, so a second delivery meets the first one's job instead of
loading again. BigQuery's load jobs are atomic: a failed one left nothing behind, and only then does its number grow. A slice
has at most two jobs, each with a number of its own: its rows, and its rows that were set aside.
"""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from pipeline import bronze, clients, clock, contract, runs, slices, state, tables
from pipeline.errors import Rejected, Retryable, Wait
from pipeline.events import Delivery
from pipeline.journal import log, timed
from pipeline.slices import Slice
from pipeline.state import Conflict

if TYPE_CHECKING:
    from google.cloud.bigquery import LoadJob, LoadJobConfig

PASSING_REASONS = frozenset({"backendError", "internalError", "rateLimitExceeded", "jobBackendError", "jobInternalError"})
"""Error reasons after which the same load is tried again (cloud.google.com/bigquery/docs/error-messages)."""
QUOTA_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Load:
    """One load job of a slice: its rows into the stream's table, or its set-aside rows into ``set_aside``."""

    prefix: str
    table: str
    columns: tuple[tables.Column, ...]
    parts: Sequence[bronze.Part]

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)


def handle(delivery: Delivery) -> None:
    """A manifest was finalized. Every step can be repeated; a redelivery goes through all of them."""
    started = time.monotonic()
    names = bronze.parse_manifest_name(delivery.attributes.get("objectId", ""))
    if not delivery.is_finalize or names is None:
        log("load", f"not a manifest: {delivery.attributes.get('objectId')!r}", severity="WARNING")
        return
    run, slice_id = names
    manifest = bronze.read_manifest(run, slice_id)
    if manifest is None:
        log("load", "the manifest is gone", severity="WARNING", run_id=run, slice_id=slice_id)
        return
    piece = slices.read_slice(run, slice_id) or _rebuild(manifest)
    if piece.status != "loaded":
        try:
            _load(piece, manifest, started)
        except Rejected as error:
            slices.fail(piece, kind=error.kind, message=error.message, next_step=error.next_step)
        except Wait as wait:
            until = (clock.now() + timedelta(seconds=wait.seconds)).isoformat()
            piece.change(status="extracted", not_before=until)
            log("load", str(wait), severity="WARNING", run_id=run, slice_id=slice_id)
            return
        except Conflict:
            raise Retryable(f"{slice_id} was changed while it was loaded") from None
    runs.release(manifest["source"], contract.load().source(manifest["source"]).parallel_slices)
    runs.close(run)


def _load(piece: Slice, manifest: Mapping[str, Any], started: float) -> None:
    """Load rows and set-aside rows, leave the registration for the next build, set the slice ``loaded``."""
    names = {name: manifest[name] for name in ("run_id", "slice_id", "source", "stream", "account")}
    with timed("load", "loaded", rows=manifest["rows"], aside=manifest["aside"], **names):
        for load in loads_of(manifest):
            _run_job(piece, load, started)
        register(manifest)
        known = {name: manifest[name] for name in ("rows", "aside", "as_of")}
        piece.change(status="loaded", **known, checkpoint=None, lease_until=None, not_before=None, error=None)


def loads_of(manifest: Mapping[str, Any]) -> list[Load]:
    """The load jobs that a manifest needs: none for a slice without rows, since a job without URIs is an error."""
    stream = f"{manifest['source']}__{manifest['stream']}"
    parts, asides = bronze.from_json(manifest["parts"]), bronze.from_json(manifest["asides"])
    wanted = (
        Load("load", stream, tables.ROW_COLUMNS, parts),
        Load("aside", tables.SET_ASIDE.name, tables.SET_ASIDE_COLUMNS, asides),
    )
    return [load for load in wanted if load.rows]


def register(manifest: Mapping[str, Any]) -> None:
    """Leave the row by which the next build will know of the slice (see ``build.register``)."""
    names = ("run_id", "slice_id", "source", "mode", "file_name", "file_sha256", "file_at", "as_of", "rows", "aside")
    row = {name: manifest[name] for name in names} | {
        "stream": f"{manifest['source']}.{manifest['stream']}",
        "account_id": manifest["account"],
        "window_from": manifest["from"],
        "window_to": manifest["to"],
        "non_rows": manifest["non_rows"] or 0,
        "bytes": manifest["bytes"],
        "contract": manifest["contract"],
        "unknown_fields": manifest["unknown_fields"] or {},
        "api": manifest["api"],
    }
    state.create(f"loaded/{manifest['slice_id']}.json", row)


def _run_job(piece: Slice, load: Load, started: float) -> None:
    """Have a load done once. Raises :class:`Retryable` (still running, or a passing error), :class:`Wait` (quota) or
    :class:`Rejected` (the load was refused)."""
    number = piece.data["tries"].get(load.prefix, 1)
    labels = {"source": piece.data["source"], "stream": piece.data["stream"], "step": "load"}
    uris = [bronze.uri(part.name) for part in load.parts]
    job = insert_or_get(f"{load.prefix}-{piece.id}-{number}", uris, load.table, load.columns, labels)
    try:
        job.result(timeout=max(1.0, started + clients.timeout_seconds() - 30 - time.monotonic()))
    except concurrent.futures.TimeoutError:
        raise Retryable(f"{job.job_id} is still running") from None
    except Exception as error:
        if job.error_result is None:
            if clients.is_transient(error):
                raise Retryable(f"{job.job_id}: {error}") from error
            raise
        _refused(piece, load, job, number)
    if job.output_rows != load.rows:
        raise Rejected(
            f"{job.job_id} loaded {job.output_rows} rows into {load.table}, the manifest says {load.rows}",
            kind="row_count",
            next_step="Compare the parts in the manifest with the job, then reload the table.",
        )


def _job_config(columns: Sequence[tables.Column]) -> LoadJobConfig:
    """How JSON lines are appended to a table that exists: the schema is fixed, and one bad row refuses all."""
    from google.cloud import bigquery

    return bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.NEWLINE_DELIMITED_JSON,
        schema=[bigquery.SchemaField(column.name, column.type) for column in columns],
        write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
        create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
        max_bad_records=0,
    )


def insert_or_get(
    job_id: str,
    uris: Sequence[str],
    table: str,
    columns: Sequence[tables.Column],
    labels: Mapping[str, str] | None = None,
) -> LoadJob:
    """Have JSON lines appended to a table of bronze by the job of this id.

    If the id is taken it is ours (a redelivery, or our own insert whose answer was lost), so look at that one. Job ids are
    per location.
    """
    from google.api_core.exceptions import Conflict as AlreadyExists

    client, location, project = clients.bigquery(), clients.location(), clients.project()
    config = _job_config(columns)
    if labels:
        config.labels = dict(labels)
    target = f"{project}.{tables.DATASET}.{table}"
    try:
        job: LoadJob = client.load_table_from_uri(
            uris, target, job_id=job_id, location=location, project=project, job_config=config
        )
    except AlreadyExists:
        job = client.get_job(job_id, location=location, project=project)  # type: ignore[assignment]  # our id: a load job
    return job


def _refused(piece: Slice, load: Load, job: LoadJob, number: int) -> NoReturn:
    """Decide what a failed job means. Its id is spent, and it left nothing behind: the next try has the next number."""
    reason = (job.error_result or {}).get("reason", "")
    said = "; ".join(error.get("message", "") for error in (job.errors or [])[:3])
    piece.change(tries={**piece.data["tries"], load.prefix: number + 1})
    if reason == "quotaExceeded":
        raise Wait(QUOTA_SECONDS, f"{job.job_id}: {said}")
    if reason in PASSING_REASONS:
        raise Retryable(f"{job.job_id}: {reason}: {said}")
    raise Rejected(
        f"{job.job_id} was refused: {reason}: {said}",
        kind="load_refused",
        next_step="The objects in bronze are intact. Mend the table or the row named above, then retry the run.",
    )


def _rebuild(manifest: Mapping[str, Any]) -> Slice:
    """The state of a slice whose state object is gone: everything that matters stands in its manifest."""
    names = ("run_id", "slice_id", "source", "stream", "account", "mode", "from", "to", "request", "contract", "as_of")
    data = {name: manifest[name] for name in names} | {
        "v": 1,
        "identity": "",
        "status": "extracted",
        "epoch": 0,
        "attempts": 0,
        **dict.fromkeys(("token", "not_before", "published_at", "lease_until", "checkpoint", "error")),
        "rows": manifest["rows"],
        "aside": manifest["aside"],
        "tries": {},
    }
    slices.create_slice(data)
    piece = slices.read_slice(manifest["run_id"], manifest["slice_id"])
    if piece is None:
        raise Retryable(f"state of {manifest['slice_id']} cannot be rebuilt")
    return piece
