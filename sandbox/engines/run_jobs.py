"""Cloud Run jobs: the engine for the unmodified google-cloud-run clients over an insecure gRPC channel."""

from __future__ import annotations

import logging
import re
import secrets
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import grpc
from google.cloud.run_v2 import types
from google.longrunning import operations_pb2

from sandbox.engines import run_jobs_settings as settings
from sandbox.engines.faults import Call, Delay, TaskFails, TaskHangs, TaskKilled, meet
from sandbox.engines.grpc_services import (
    PAGING,
    GrpcEngine,
    GrpcServer,
    Method,
    Service,
    already_exists,
    failed_precondition,
    invalid_argument,
    not_emulated,
    not_found,
    page,
    raw,
)
from sandbox.engines.journal import DirectoryLock, JournaledMap
from sandbox.engines.run_jobs_tasks import DEFAULT_TIMEOUT_SECONDS, JobHandle, Launcher, Run, Task, Tasks

__all__ = ["JobHandle", "Launcher", "Run", "RunJobsEngine"]

logger = logging.getLogger(__name__)

JOB_NAME = re.compile(r"projects/[^/]+/locations/[^/]+/jobs/[a-z][a-z0-9-]{0,62}")
OPERATION_WAIT_SECONDS = 30.0

ConditionState: Any = types.Condition.State
Reason: Any = types.Condition.ExecutionReason
Execution: TypeAlias = Any
"""A run_v2 Execution. Its annotations claim protobuf's Timestamp where proto-plus gives datetime, so they do not help."""


class RunJobsEngine(GrpcEngine):
    """Jobs, their executions and the long-running operations that stand for them. One task, no retries.

    Exactly one of two callbacks starts a task, in a thread of its own: ``launcher`` returns a handle, whose ``kill`` is
    called at the task's timeout and at a cancellation; ``run`` does the whole work and minds the timeout itself (it
    cannot be cancelled); ``kill`` ends what it runs, for faults. ``jobs`` names jobs that exist without CreateJob; None lets
    every well-formed name exist. Executions that run when the engine stops or dies are found as failed at the next start.

    Besides its calls, ``faults`` break the task of an execution (``task``; the name is the job's, and the ``detail`` has
    ``execution`` and ``arguments``): it fails, hangs, is killed, begins late.
    """

    def __init__(
        self,
        directory: Path,
        *,
        launcher: Launcher | None = None,
        run: Run | None = None,
        kill: Callable[[], object] | None = None,
        jobs: Iterable[str] | None = None,
        port: int = 0,
        server: GrpcServer | None = None,
    ) -> None:
        super().__init__(port=port, server=server)
        self._directory = directory
        self._tasks = Tasks(launcher, run, kill)
        self.faults.offer(("task",), TaskFails, TaskHangs, Delay, *([TaskKilled] if self._tasks.can_kill else []))
        self._known = None if jobs is None else frozenset(jobs)
        self._lock = threading.RLock()
        self._ended = threading.Condition(self._lock)
        self._stopping = False

    def start(self) -> str:
        """Opens the directory and serves it; returns the address ``127.0.0.1:<port>``."""
        self._directory_lock = DirectoryLock(self._directory)
        self._jobs = JournaledMap(self._directory / "jobs.jsonl")
        self._executions = JournaledMap(self._directory / "executions.jsonl")
        for name in self._executions:
            if not self._execution(name).completion_time:
                self._finish(name, None, "The engine ended while the task was running.")
        try:
            return super().start()
        except OSError:
            self._close()
            raise

    def stop(self) -> None:
        """Kills running tasks, stops serving and closes the directory; may be called again."""
        with self._ended:
            self._stopping = True
            self._ended.notify_all()
        self._tasks.stop()
        super().stop()
        self._close()

    def _close(self) -> None:
        with self._lock:
            if hasattr(self, "_directory_lock"):
                self._jobs.close()
                self._executions.close()
                self._directory_lock.release()

    def services(self) -> list[Service]:
        """``google.cloud.run.v2.Jobs`` and ``.Executions``, and ``google.longrunning.Operations``."""
        return [
            Service(
                "google.cloud.run.v2.Jobs",
                {
                    "CreateJob": Method(types.CreateJobRequest, self._create_job, "parent job job_id"),
                    "GetJob": Method(types.GetJobRequest, lambda request, _: self._job(request.name), "name"),
                    "ListJobs": Method(types.ListJobsRequest, self._list_jobs, f"parent {PAGING}"),
                    "DeleteJob": Method(types.DeleteJobRequest, self._delete_job, "name"),
                    "RunJob": Method(types.RunJobRequest, self._run_job, "name validate_only overrides"),
                },
            ),
            Service(
                "google.cloud.run.v2.Executions",
                {
                    "GetExecution": Method(types.GetExecutionRequest, lambda request, _: self._execution(request.name), "name"),
                    "ListExecutions": Method(types.ListExecutionsRequest, self._list_executions, f"parent {PAGING}"),
                    "CancelExecution": Method(types.CancelExecutionRequest, self._cancel_execution, "name"),
                },
            ),
            Service(
                "google.longrunning.Operations",
                {
                    "GetOperation": Method(
                        operations_pb2.GetOperationRequest, lambda request, _: self._operation(request.name), "name"
                    ),
                    "WaitOperation": Method(operations_pb2.WaitOperationRequest, self._wait_operation, "name timeout"),
                },
            ),
        ]

    # ---- jobs

    def _job(self, name: str) -> Any:
        with self._lock:
            if name in self._jobs:
                return types.Job.from_json(self._jobs[name])
        if JOB_NAME.fullmatch(name) and (self._known is None or name in self._known):
            return types.Job(name=name, template={"task_count": 1})
        raise not_found(f"Resource '{name.rsplit('/', 1)[-1]}' of kind 'JOB' in {name.rpartition('/jobs/')[0]} not found.")

    def _create_job(self, request: types.CreateJobRequest, context: grpc.ServicerContext) -> Any:
        name = f"{request.parent}/jobs/{request.job_id}"
        if not JOB_NAME.fullmatch(name):
            raise invalid_argument(f"Invalid job name: {name}")
        job: Any = types.Job(request.job, name=name, uid=secrets.token_hex(16), create_time=datetime.now(UTC))
        settings.check(job)
        with self._lock:
            if name in self._jobs:
                raise already_exists(f"Resource '{request.job_id}' already exists.")
            self._jobs[name] = types.Job.to_json(job, indent=None)
        operation = operations_pb2.Operation(name=_operation_name(name, request.job_id), done=True)
        operation.response.Pack(raw(job))
        return operation

    def _list_jobs(self, request: types.ListJobsRequest, context: grpc.ServicerContext) -> Any:
        prefix = f"{request.parent}/jobs/"
        with self._lock:
            names = sorted(name for name in {*self._jobs, *(self._known or ())} if name.startswith(prefix))
            shown, token = page(names, request)
            return types.ListJobsResponse(jobs=[self._job(name) for name in shown], next_page_token=token)

    def _delete_job(self, request: types.DeleteJobRequest, context: grpc.ServicerContext) -> Any:
        with self._lock:
            job = self._job(request.name)
            if request.name not in self._jobs:
                raise failed_precondition(f"{request.name} is a fixed job of the sandbox.")
            del self._jobs[request.name]
        operation = operations_pb2.Operation(name=_operation_name(request.name, "delete"), done=True)
        operation.response.Pack(raw(job))
        return operation

    # ---- executions

    def _run_job(self, request: types.RunJobRequest, context: grpc.ServicerContext) -> Any:
        job = self._job(request.name)
        overrides: Any = request.overrides
        arguments, environment = settings.arguments_and_environment(job, overrides)
        timeout = overrides.timeout or job.template.template.timeout
        timeout_seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else None
        name = f"{request.name}/executions/{request.name.rsplit('/', 1)[-1]}-{secrets.token_hex(3)}"
        now = datetime.now(UTC)
        execution: Execution = types.Execution(
            name=name,
            uid=secrets.token_hex(16),
            job=request.name,
            create_time=now,
            start_time=now,
            update_time=now,
            task_count=1,
            parallelism=1,
            running_count=1,
            template={
                "timeout": timedelta(seconds=timeout_seconds or DEFAULT_TIMEOUT_SECONDS),
                "containers": [{"args": arguments, "env": [{"name": k, "value": v} for k, v in environment.items()]}],
            },
            conditions=[_completed(ConditionState.CONDITION_RECONCILING)],
        )
        if request.validate_only:
            operation = operations_pb2.Operation(done=True)
            operation.response.Pack(raw(execution))
            return operation
        self._save(execution)
        task = Task(name, request.name, arguments, environment, timeout_seconds)
        threading.Thread(target=self._execute, args=(task,), name=_last(name), daemon=True).start()
        return self._operation(_operation_name(request.name, _last(name)))

    def _execute(self, task: Task) -> None:
        try:
            code, message = self._carry_out(task)
        except Exception as error:  # the callback could not start the task: the execution has failed and says why
            logger.exception("%s could not be run", task.execution)
            code, message = None, f"{type(error).__name__}: {error}"
        self._finish(task.execution, code, message)

    def _carry_out(self, task: Task) -> tuple[int | None, str]:
        if not self.faults:
            return self._tasks.carry_out(task)
        detail = {"execution": task.execution, "arguments": " ".join(task.arguments)}
        return self._tasks.carry_out(task, meet(self.faults, Call("task", task.job, detail)))

    def _finish(self, name: str, code: int | None, message: str) -> None:
        with self._ended:
            if self._stopping:
                return  # the directory is closed or closing; the next start finds the execution unfinished
            execution = self._execution(name)
            execution.running_count = 0
            if execution.cancelled_count:
                text = "The execution was cancelled."
                condition = _completed(ConditionState.CONDITION_FAILED, text, Reason.CANCELLED)
            elif code == 0:
                execution.succeeded_count = 1
                condition = _completed(ConditionState.CONDITION_SUCCEEDED)
            else:
                execution.failed_count = 1
                reason = Reason.EXECUTION_REASON_UNDEFINED if code is None else Reason.NON_ZERO_EXIT_CODE
                condition = _completed(ConditionState.CONDITION_FAILED, message, reason)
            execution.conditions = [condition]
            execution.completion_time = execution.update_time = datetime.now(UTC)
            self._save(execution)
            self._ended.notify_all()

    def _execution(self, name: str) -> Execution:
        with self._lock:
            if name not in self._executions:
                raise not_found(f"Resource '{name.rsplit('/', 1)[-1]}' of kind 'EXECUTION' not found.")
            return types.Execution.from_json(self._executions[name])

    def all_executions(self) -> list[Execution]:
        """Every execution, the oldest first."""
        with self._lock:
            return [self._execution(name) for name in self._executions]

    def _save(self, execution: Execution) -> None:
        with self._lock:
            self._executions[execution.name] = types.Execution.to_json(execution, indent=None)

    def _list_executions(self, request: types.ListExecutionsRequest, context: grpc.ServicerContext) -> Any:
        """Newest first; a parent that ends in ``/jobs/-`` means all jobs."""
        prefix = request.parent.removesuffix("/-") + "/"
        with self._lock:
            names = [name for name in reversed(list(self._executions)) if name.startswith(prefix)]
            shown, token = page(names, request)
            return types.ListExecutionsResponse(executions=[self._execution(name) for name in shown], next_page_token=token)

    def _cancel_execution(self, request: types.CancelExecutionRequest, context: grpc.ServicerContext) -> Any:
        if not self._tasks.can_cancel(request.name):
            raise not_emulated("cancelling an execution here: its task minds its own end")
        with self._lock:
            execution = self._execution(request.name)
            if execution.completion_time:
                raise failed_precondition(f"The execution {request.name} has ended.")
            execution.cancelled_count = 1
            self._save(execution)
        self._tasks.cancel(request.name)
        return self._operation(_operation_name(execution.job, _last(request.name)))

    # ---- operations: one per execution, found by its name

    def _operation(self, name: str) -> Any:
        location, _, identifier = name.partition("/operations/")
        job, separator, _ = identifier.rpartition("-")
        execution_name = f"{location}/jobs/{job}/executions/{identifier}"
        if not separator or execution_name not in self._executions:
            raise not_found(f"Operation {name} not found.")
        execution = self._execution(execution_name)
        operation = operations_pb2.Operation(name=name, done=bool(execution.completion_time))
        operation.metadata.Pack(raw(execution))
        if not operation.done:
            return operation
        if execution.succeeded_count:
            operation.response.Pack(raw(execution))
        else:
            operation.error.code = (grpc.StatusCode.CANCELLED if execution.cancelled_count else grpc.StatusCode.UNKNOWN).value[
                0
            ]
            operation.error.message = execution.conditions[0].message
        return operation

    def _wait_operation(self, request: Any, context: grpc.ServicerContext) -> Any:
        asked_seconds = request.timeout.seconds + request.timeout.nanos / 1e9
        with self._ended:
            self._ended.wait_for(
                lambda: self._stopping or self._operation(request.name).done,
                min(asked_seconds or OPERATION_WAIT_SECONDS, OPERATION_WAIT_SECONDS),
            )
            return self._operation(request.name)


def _completed(state: Any, message: str = "", reason: Any = Reason.EXECUTION_REASON_UNDEFINED) -> Any:
    condition: Any = types.Condition(type_="Completed", state=state, message=message)
    condition.last_transition_time = datetime.now(UTC)
    if reason != Reason.EXECUTION_REASON_UNDEFINED:
        condition.execution_reason = reason
    return condition


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _operation_name(job: str, identifier: str) -> str:
    """Operations are named after what they are about: real ones are opaque."""
    return f"{job.rpartition('/jobs/')[0]}/operations/{identifier}"
