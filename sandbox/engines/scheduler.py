"""Cloud Scheduler: the engine for the unmodified google-cloud-scheduler client over an insecure gRPC channel."""

from __future__ import annotations

import logging
import re
import threading
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc
from google.cloud.scheduler_v1 import types

from sandbox.clock import Clock
from sandbox.engines import cron, outbound
from sandbox.engines.faults import Call, Cut, Delay, Drop, Duplicate, Failure, Refuse, carry_out, meet
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
    only,
    page,
    raw,
)
from sandbox.engines.journal import DirectoryLock, JournaledMap
from sandbox.engines.scheduler_targets import HttpCall, Job, Post, Publish, Targets, seconds, send

__all__ = ["HttpCall", "Post", "Publish", "SchedulerEngine"]

logger = logging.getLogger(__name__)

JOB_NAME = re.compile(r"projects/[^/]+/locations/[^/]+/jobs/[A-Za-z0-9_-]{1,500}")
RUN_JOB = "RunJob"
State: Any = types.Job.State
UPDATABLE = (
    "description",
    "pubsub_target",
    "http_target",
    "schedule",
    "time_zone",
    "retry_config",
    "attempt_deadline",
)
SETTINGS = {*UPDATABLE, "name", "state", "status", "user_update_time", "schedule_time", "last_attempt_time"}
HTTP_SETTINGS = {"uri", "http_method", "headers", "body", "oidc_token"}


class SchedulerEngine(GrpcEngine):
    """Jobs with a Pub/Sub or an HTTP target, fired by their cron schedule or by RunJob.

    ``publish`` delivers Pub/Sub targets; ``post`` makes HTTP calls (by default really), with bearer tokens from
    ``token(service account, audience)``. A run that was accepted, by RunJob or because its time had come, is carried out by
    the next engine if this one dies before its end: at least once, as in the real service. A time that passed while no engine
    ran is made up for once, if that was at most ``MAKE_UP_SECONDS`` ago. ``clock`` tells the time (by default the real one;
    of one that is simulated no time is left out); ``ticking`` False fires by RunJob alone. Only one engine may use the
    directory at a time.

    Besides its calls, ``faults`` break the ringing of a job (``ring``: missed, twice, late by the clock; its ``detail`` has
    ``by``: ``schedule`` or ``RunJob``) and each try of its target (``attempt``). The name of both is the job's.
    """

    TICK_SECONDS = 0.5
    MAKE_UP_SECONDS = 600.0
    """Long enough for a restart. A laptop that was closed over night shall not begin its day with yesterday's schedules."""

    def __init__(
        self,
        directory: Path,
        *,
        publish: Publish,
        post: Post = send,
        token: outbound.TokenSource | None = None,
        port: int = 0,
        server: GrpcServer | None = None,
        clock: Clock | None = None,
        ticking: bool = True,
    ) -> None:
        super().__init__(port=port, server=server)
        self.faults.offer(("ring",), Drop, Duplicate, Delay)
        self.faults.offer(("attempt",), Refuse, Cut, Delay, Duplicate)
        self._directory = directory
        self._targets = Targets(publish, post, token)
        self._clock = clock or Clock()
        self._ticking = ticking
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._stopping = False
        self._closed = False
        self._trying = 0  # executions under way, without those that pause before their next try
        self._retries: list[float] = []  # when those go on

    def start(self) -> str:
        """Opens the directory, serves it and begins to tick; returns the address ``127.0.0.1:<port>``."""
        self._directory_lock = DirectoryLock(self._directory)
        self._jobs = JournaledMap(self._directory / "jobs.jsonl")
        self._runs = JournaledMap(self._directory / "runs.jsonl")  # accepted and not ended: id → job as it was
        now = self._clock.now()
        for job in [self._job(name) for name in self._jobs]:
            due = job.schedule_time if self._ticking and job.state == State.ENABLED else None
            if due and 0 <= (now - due).total_seconds() <= self.MAKE_UP_SECONDS:
                self._runs[_run_id(job)] = types.Job.to_json(job, indent=None)
            self._save(self._with_next_time(job))
        left = list(self._runs)
        self._trying = len(left)
        try:
            address = super().start()
        except OSError:
            self._close()
            raise
        self._leave = self._clock.join(busy=self._busy, next_due=self._next_due)
        for run in left:
            self._begin(run)
        if self._ticking:
            threading.Thread(target=self._tick, name="scheduler", daemon=True).start()
        return address

    def stop(self) -> None:
        """Stops ticking and serving and closes the directory; may be called again."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        super().stop()
        self._close()

    def _close(self) -> None:
        with self._lock:
            self._closed = True
            if hasattr(self, "_leave"):
                self._leave()
            if hasattr(self, "_directory_lock"):
                self._jobs.close()
                self._runs.close()
                self._directory_lock.release()

    def services(self) -> list[Service]:
        """``google.cloud.scheduler.v1.CloudScheduler``."""
        return [
            Service(
                "google.cloud.scheduler.v1.CloudScheduler",
                {
                    "CreateJob": Method(types.CreateJobRequest, self._create, "parent job"),
                    "GetJob": Method(types.GetJobRequest, lambda request, _: self._job(request.name), "name"),
                    "ListJobs": Method(types.ListJobsRequest, self._list, f"parent {PAGING}"),
                    "UpdateJob": Method(types.UpdateJobRequest, self._update, "job update_mask"),
                    "DeleteJob": Method(types.DeleteJobRequest, self._delete, "name"),
                    "PauseJob": Method(types.PauseJobRequest, self._pause, "name"),
                    "ResumeJob": Method(types.ResumeJobRequest, self._resume, "name"),
                    "RunJob": Method(types.RunJobRequest, lambda request, _: self.fire(request.name), "name"),
                },
            )
        ]

    # ---- calls

    def _job(self, name: str) -> Job:
        with self._lock:
            if name not in self._jobs:
                raise not_found(f"Job not found: {name}")
            return types.Job.from_json(self._jobs[name])

    def _save(self, job: Job) -> Job:
        self._jobs[job.name] = types.Job.to_json(job, indent=None)
        return job

    def _with_next_time(self, job: Job, passed: datetime | None = None) -> Job:
        if job.state == State.ENABLED:
            job.schedule_time = cron.next_after(job.schedule, job.time_zone, passed or self._clock.now())
        else:
            job.schedule_time = None
        return job

    def _create(self, request: types.CreateJobRequest, context: grpc.ServicerContext) -> Job:
        job: Job = types.Job(request.job)
        _check(job, request.parent)
        with self._lock:
            if job.name in self._jobs:
                raise already_exists(f"Job already exists: {job.name}")
            job.state = State.ENABLED
            job.user_update_time = self._clock.now()
            return self._save(self._with_next_time(job))

    def _list(self, request: types.ListJobsRequest, context: grpc.ServicerContext) -> types.ListJobsResponse:
        with self._lock:
            names = sorted(name for name in self._jobs if name.startswith(f"{request.parent}/jobs/"))
            shown, token = page(names, request)
            return types.ListJobsResponse(jobs=[self._job(name) for name in shown], next_page_token=token)

    def _update(self, request: types.UpdateJobRequest, context: grpc.ServicerContext) -> Job:
        """Takes the masked fields; without a mask, all that a client may set."""
        paths = list(request.update_mask.paths) or list(UPDATABLE)
        if unknown := set(paths) - set(UPDATABLE):
            raise invalid_argument(f"Fields that cannot be updated: {', '.join(sorted(unknown))}.")
        with self._lock:
            job, given = self._job(request.job.name), raw(request.job)
            changed = raw(job)
            for path in paths:
                changed.ClearField(path)
                presence = given.DESCRIPTOR.fields_by_name[path].has_presence
                if presence and given.HasField(path):
                    getattr(changed, path).CopyFrom(getattr(given, path))
                elif not presence:
                    setattr(changed, path, getattr(given, path))
            _check(job, job.name.rpartition("/jobs/")[0])
            job.user_update_time = self._clock.now()
            return self._save(self._with_next_time(job))

    def _delete(self, request: types.DeleteJobRequest, context: grpc.ServicerContext) -> None:
        with self._lock:
            self._job(request.name)
            del self._jobs[request.name]

    def _pause(self, request: types.PauseJobRequest, context: grpc.ServicerContext) -> Job:
        return self._set_state(request.name, State.PAUSED)

    def _resume(self, request: types.ResumeJobRequest, context: grpc.ServicerContext) -> Job:
        return self._set_state(request.name, State.ENABLED)

    def _set_state(self, name: str, state: Any) -> Job:
        with self._lock:
            job = self._job(name)
            if job.state == state:
                raise failed_precondition(f"The job is already {state.name}: {name}")
            job.state = state
            return self._save(self._with_next_time(job))

    def all_jobs(self) -> list[Job]:
        """Every job, as GetJob shows it."""
        with self._lock:
            return [self._job(name) for name in self._jobs]

    # ---- firing

    @property
    def at_work(self) -> bool:
        """Whether a run is under way, one that pauses before its next try too."""
        with self._lock:
            return len(self._runs) > 0

    def fire(self, name: str) -> Job:
        """Runs a job now, in its own thread (RunJob); a paused one too. Raises NOT_FOUND."""
        with self._lock:
            job = self._job(name)
            run = self._accept(f"{name} {RUN_JOB} {uuid.uuid4().hex}", job)
            self._begin(run)
        return job

    def _accept(self, run: str, job: Job) -> str:
        """Note a run: from here on it is not lost, not even when its job is deleted (lock held)."""
        self._runs[run] = types.Job.to_json(job, indent=None)
        self._trying += 1
        return run

    def _begin(self, run: str) -> None:
        job = types.Job.from_json(self._runs[run])
        threading.Thread(target=self._run, args=(run, job), name=f"fire-{job.name}", daemon=True).start()

    def _tick(self) -> None:
        with self._changed:
            while not self._stopping:
                now = self._clock.now()
                for job in self._due(now):
                    # Named by its time, and begun last: who dies in between and comes again makes this run, not another.
                    run = self._accept(_run_id(job), job)
                    # A laptop that wakes up makes up for nothing; a clock that was moved leaves nothing out.
                    passed = max(now, job.schedule_time) if self._clock.real else job.schedule_time
                    self._save(self._with_next_time(job, passed))
                    self._begin(run)
                if not self._due(now):
                    self._clock.wait(self._changed, self._next_due(self._clock.seconds()), real_seconds=self.TICK_SECONDS)

    def _due(self, now: datetime) -> list[Job]:
        """The jobs whose time has come, the earliest first (lock held)."""
        jobs = [self._job(name) for name in self._jobs]
        due = [job for job in jobs if job.state == State.ENABLED and job.schedule_time and job.schedule_time <= now]
        return sorted(due, key=lambda job: (job.schedule_time, job.name))

    def _busy(self) -> bool:
        """Whether a job runs, or is due and does not yet."""
        with self._lock:
            if self._stopping:
                return False
            retrying = any(moment <= self._clock.seconds() for moment in self._retries)
            return self._trying > 0 or retrying or (self._ticking and bool(self._due(self._clock.now())))

    def _next_due(self, after: float) -> float | None:
        """The first time after ``after`` (the clock's seconds) at which a job fires or is tried again."""
        with self._lock:
            times = list(self._retries)
            if self._ticking and not self._stopping:
                jobs = [self._job(name) for name in self._jobs]
                times += [self._clock.seconds_at(job.schedule_time) for job in jobs if job.schedule_time]
            return min((moment for moment in times if moment > after), default=None)

    def _run(self, run: str, job: Job) -> None:
        """One execution: the first try, and as many more as the retry settings allow."""
        try:
            ended = None
            for _ in range(self._times(run, job)):
                ended = self._attempts(job)
            with self._lock:
                if self._closed or (self._stopping and ended is None):
                    return  # stopped in the middle: the next engine makes this run
                self._runs.pop(run, None)  # first, so that a death in between does not make it twice
                if ended is not None:
                    self._note_attempt(job.name, *ended)
        finally:
            with self._lock:
                self._trying -= 1

    def _times(self, run: str, job: Job) -> int:
        """How often this run is made: once, unless a fault wants otherwise; never by an engine that stops meanwhile."""
        if not self.faults:
            return 1
        by = RUN_JOB if f" {RUN_JOB} " in run else "schedule"
        effect = meet(self.faults, Call("ring", job.name, {"by": by}), self._sleep)
        if isinstance(effect, Drop) or self._stopping:
            logger.warning("scheduler job %s does not ring", job.name)
            return 0
        return effect.times if isinstance(effect, Duplicate) else 1

    def _attempts(self, job: Job) -> tuple[grpc.StatusCode, str] | None:
        """How the last try ended; None when the engine stops before the last one."""
        retry = job.retry_config
        pause_seconds = seconds(retry.min_backoff_duration, 5.0)
        end = self._clock.seconds() + (seconds(retry.max_retry_duration, 0.0) or float("inf"))
        doublings = retry.max_doublings or 5
        for attempt in range(retry.retry_count + 1):
            if attempt:
                if not self._sleep(pause_seconds):
                    return None
                if self._clock.seconds() > end:
                    break
                if attempt <= doublings:
                    pause_seconds = min(pause_seconds * 2, seconds(retry.max_backoff_duration, 3600.0))
            code, message = carry_out(
                self.faults,
                lambda: Call("attempt", job.name),
                lambda: self._targets.attempt(job),
                _failed,
                self._sleep,
            )
            if code is grpc.StatusCode.OK:
                break
            logger.warning("scheduler job %s failed: %s", job.name, message)
        return code, message

    def _sleep(self, pause_seconds: float) -> bool:
        """Wait before the next try; False when the engine stops meanwhile."""
        with self._changed:
            until = self._clock.seconds() + pause_seconds
            self._retries.append(until)
            self._trying -= 1
            while not self._stopping and self._clock.seconds() < until:
                self._clock.wait(self._changed, until)
            self._trying += 1
            self._retries.remove(until)
            return not self._stopping

    def _note_attempt(self, name: str, code: grpc.StatusCode, message: str) -> None:
        if name not in self._jobs:
            return
        job = self._job(name)
        job.last_attempt_time = self._clock.now()
        raw(job).status.code = code.value[0]
        raw(job).status.message = message
        self._save(job)


def _run_id(job: Job) -> str:
    """Of the run for the time that the job's schedule names next."""
    return f"{job.name} {job.schedule_time.isoformat()}"


def _failed(effect: Failure) -> tuple[grpc.StatusCode, str]:
    if isinstance(effect, Refuse):
        return grpc.StatusCode[effect.code], f"the target answered {effect.http_status}: {effect.message}"
    return grpc.StatusCode.UNAVAILABLE, "the connection was cut on purpose"


def _check(job: Job, parent: str) -> None:
    """Raises INVALID_ARGUMENT for what Cloud Scheduler refuses, UNIMPLEMENTED for what only the engine lacks."""
    if not JOB_NAME.fullmatch(job.name) or not job.name.startswith(f"{parent}/jobs/"):
        raise invalid_argument(f"Job name must be {parent}/jobs/JOB_ID, and is {job.name!r}.")
    if "app_engine_http_target" in job:
        raise not_emulated("App Engine targets")
    only(job, SETTINGS, "the job setting ")
    if "pubsub_target" not in job and "http_target" not in job:
        raise invalid_argument("Job target is missing: pubsub_target or http_target.")
    if "http_target" in job:
        if not job.http_target.uri.startswith(("http://", "https://")):
            raise invalid_argument(f"HttpTarget.uri is not valid: {job.http_target.uri!r}.")
        if "oauth_token" in job.http_target:
            raise not_emulated("OAuth tokens of HTTP targets")
        only(job.http_target, HTTP_SETTINGS, "the job setting http_target.")
    elif not job.pubsub_target.data and not job.pubsub_target.attributes:
        raise invalid_argument("PubsubTarget must have data or at least one attribute.")
    job.time_zone = job.time_zone or "Etc/UTC"
    try:
        cron.check(job.schedule, job.time_zone)
    except cron.CronError as error:
        raise invalid_argument(str(error)) from error
