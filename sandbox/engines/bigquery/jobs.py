"""Jobs: their ids are used once, their results are bounded in memory, and a statement is all or nothing."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from sandbox.engines.bigquery import transactions
from sandbox.engines.bigquery.statements import body

#: bqemulator keeps every result for ever; a client reads its result at once.
RESULTS_KEPT = 100
RESULTS_BYTES = 256 * 1024 * 1024
ANONYMOUS_DATASET = "_bqemu_anonymous"
#: Key under which an upload's job reference travels inside the configuration, and is taken out again.
REFERENCE = "_jobReference"


class Results(OrderedDict[str, Any]):
    """Results of query jobs by job id, newest kept, bounded in number and bytes."""

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        while len(self) > RESULTS_KEPT or (len(self) > 1 and self._bytes() > RESULTS_BYTES):
            self.popitem(last=False)

    def _bytes(self) -> int:
        return sum(int(getattr(table, "nbytes", 0)) for table in self.values())


class _Failed(Exception):
    """Carries the record of a failed statement out of its transaction."""

    def __init__(self, job: Any) -> None:
        super().__init__("statement failed")
        self.job = job


def install(location: str, execute_load_job: Any) -> None:
    """Replace the parts of bqemulator's job routes that this module is about.

    Args:
        location: the one location that jobs and datasets are in.
        execute_load_job: the coroutine function of `load_job.make_executor`.
    """
    import bqemulator.jobs.executor as executor

    results = executor.JOB_RESULTS = Results()
    executor.execute_load_job = execute_load_job
    import bqemulator.api.routes.jobs as routes
    import bqemulator.api.routes.upload as upload

    routes.JOB_RESULTS = results
    routes.execute_load_job = upload.execute_load_job = execute_load_job
    _install_queries(routes)
    _install_refusals(routes)
    _install_responses(routes, upload, location)
    _install_uploads(upload, location)


def _install_queries(routes: Any) -> None:
    from bqemulator.domain.errors import InvalidQueryError
    from bqemulator.jobs.executor import _parse_script_or_raise
    from bqemulator.scripting.ast import SqlStmt

    handle = routes._handle_query_job

    def is_single(sql: str) -> bool:
        try:
            statements = _parse_script_or_raise(sql).statements
        except Exception:
            return False  # the handler reports what is wrong
        # A script's earlier statements stay when a later one fails, as in BigQuery.
        return len(statements) == 1 and isinstance(statements[0], SqlStmt)

    def merged(job: Any, config: dict[str, Any]) -> Any:
        """The record keeps the request (labels, priority, ...); bqemulator keeps only the text of the query."""
        query = {**config["query"], **(job.configuration or {}).get("query", {})}
        return job.model_copy(update={"configuration": {**config, "query": query}})

    async def handle_query(
        project_id: str, job_id: str, config: dict[str, Any], *, dry_run: bool, ctx: Any, caller: Any, now: Any
    ) -> Any:
        query = config["query"]
        target = query.get("destinationTable") or {}
        if target and target.get("datasetId") != ANONYMOUS_DATASET:
            raise InvalidQueryError(
                "The local BigQuery does not write query results to a destination table: use CREATE TABLE AS SELECT"
            )
        if query.get("useLegacySql"):
            raise InvalidQueryError("The local BigQuery does not run legacy SQL")
        arguments = {"dry_run": dry_run, "ctx": ctx, "caller": caller, "now": now}
        if dry_run or not is_single(query.get("query", "")):
            out = await handle(project_id, job_id, config, **arguments)
            return out if dry_run else merged(out, config)
        try:
            with transactions.transaction(ctx):
                job = merged(await handle(project_id, job_id, config, **arguments), config)
                if job.error_result:
                    raise _Failed(job)
                ctx.catalog.upsert_job(job)
        except _Failed as failure:
            return failure.job
        return job

    routes._handle_query_job = handle_query


def _install_refusals(routes: Any) -> None:
    from bqemulator.domain.errors import InvalidQueryError

    async def refuse_extract(*_positional: Any, **_named: Any) -> Any:
        raise InvalidQueryError("The local BigQuery does not run extract jobs")

    routes.execute_extract_job = refuse_extract
    run_statement = routes.execute_query_job

    async def refuse_export(project_id: str, job_id: str, bq_sql: str, *rest: Any, **named: Any) -> Any:
        if body(bq_sql)[:6].upper() == "EXPORT":
            raise InvalidQueryError("The local BigQuery does not run EXPORT DATA")
        return await run_statement(project_id, job_id, bq_sql, *rest, **named)

    routes.execute_query_job = refuse_export


def _install_responses(routes: Any, upload: Any, location: str) -> None:
    """Answer with the job's own location, type and every error of its `errors` list."""
    for module in (routes, upload):
        build = module._build_job_response

        def response(project_id: str, job_id: str, job: Any, config: dict[str, Any], build: Any = build) -> dict[str, Any]:
            out: dict[str, Any] = build(project_id, job_id, job, {**config, "jobType": job.job_type})
            out["jobReference"]["location"] = location
            out["id"] = f"{project_id}:{location}.{job_id}"
            statistics = dict(out.get("statistics") or {})
            warnings = statistics.pop("_errors", None)
            statistics.setdefault("creationTime", str(int(job.creation_time.timestamp() * 1000)))
            out["statistics"] = statistics
            error = out["status"].get("errorResult")
            if error and "_errors" in error:
                out["status"]["errors"] = error["_errors"]
                out["status"]["errorResult"] = {k: v for k, v in error.items() if k != "_errors"}
            elif warnings:
                out["status"]["errors"] = warnings
            return out

        module._build_job_response = response


def _install_uploads(upload: Any, location: str) -> None:
    """Uploads obey the job id that the client chose; bqemulator would make up one and load a retry twice."""
    from bqemulator.domain.errors import AlreadyExistsError

    upload._PERMITTED_MEDIA_CONTENT_TYPES += ("*/*",)  # what google-cloud-bigquery sends
    configuration_of = upload._load_configuration_from_envelope
    run_load = upload._run_load

    def with_reference(envelope: dict[str, Any]) -> dict[str, Any]:
        return {**configuration_of(envelope), REFERENCE: envelope.get("jobReference") or {}}

    async def run_named(*, project_id: str, configuration: dict[str, Any], media_path: str, ctx: Any) -> Any:
        wanted = configuration.pop(REFERENCE, {}).get("jobId")
        if wanted and ctx.catalog.get_job(project_id, wanted) is not None:
            raise AlreadyExistsError(f"Already Exists: Job {project_id}:{location}.{wanted}")
        minted = upload._new_job_id
        upload._new_job_id = lambda: wanted or minted()  # requests are served one at a time
        try:
            return await run_load(project_id=project_id, configuration=configuration, media_path=media_path, ctx=ctx)
        finally:
            upload._new_job_id = minted

    upload._load_configuration_from_envelope = with_reference
    upload._run_load = run_named
