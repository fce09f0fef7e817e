"""The cloud services of one world: every engine, started together and stopped in order."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from sandbox import processes
from sandbox.clock import Clock
from sandbox.engines.bigquery_process import BigQueryProcess
from sandbox.engines.pubsub import PubSubEngine
from sandbox.engines.run_jobs import RunJobsEngine
from sandbox.engines.scheduler import SchedulerEngine
from sandbox.engines.secret_manager import SecretManagerEngine
from sandbox.engines.storage import StorageEngine
from sandbox.iam import Issuer
from sandbox.world import Addresses, World

RunJob = Callable[[Sequence[str], Mapping[str, str], float | None], int]
"""Runs the dbt job with a RunJob request's overrides (arguments, environment, timeout in seconds); returns its exit code."""


class Engine(Protocol):
    """What all engines in threads have in common."""

    def start(self) -> str: ...

    def stop(self) -> None: ...


class Services:
    """Engines in threads of this process, the warehouse in a process of its own.

    ``time_scale`` scales Pub/Sub's back-off alone; ``clock`` is whose time counts for back-off, deadlines, schedules and the
    times of objects. ``kill_job`` ends the dbt job that runs, for faults; it answers False when there is none.
    """

    def __init__(
        self,
        world: World,
        issuer: Issuer,
        run_job: RunJob,
        time_scale: float = 1.0,
        clock: Clock | None = None,
        kill_job: Callable[[], bool] | None = None,
    ) -> None:
        self._world = world
        clock = clock or Clock()
        self.pubsub = PubSubEngine(world.engine("pubsub"), token=issuer.token, clock=clock, time_scale=time_scale)
        self.storage = StorageEngine(world.engine("storage"), publisher=self.pubsub.publish, clock=clock)
        self.secret_manager = SecretManagerEngine(world.engine("secret-manager"))
        self.scheduler = SchedulerEngine(
            world.engine("scheduler"), publish=self.pubsub.publish, token=issuer.token, clock=clock
        )
        self.run_jobs = RunJobsEngine(world.engine("run-jobs"), run=run_job, kill=kill_job, jobs=[world.dbt_job])
        self.warehouse = warehouse_of(world)
        self._stops = contextlib.ExitStack()

    def start(self) -> Addresses:
        """Start everything; the slow warehouse comes up while the others do."""
        storage = self._begin(self.storage)
        self.warehouse.storage = storage
        warehouse = _Background(self.warehouse.start)
        self._stops.callback(self.warehouse.stop)
        secret_manager = self._begin(self.secret_manager)
        run = self._begin(self.run_jobs)
        pubsub = self._begin(self.pubsub)
        scheduler = self._begin(self.scheduler)
        bigquery = warehouse.result()
        return Addresses(storage, pubsub, bigquery, secret_manager, scheduler, run)

    def _begin(self, engine: Engine) -> str:
        address = engine.start()
        self._stops.callback(engine.stop)
        return address

    def stop(self) -> None:
        """Stop everything that was started, in the opposite order."""
        self._stops.close()

    @property
    def messages_waiting(self) -> bool:
        """Whether any subscription has a message that is not acknowledged."""
        return any(backlog.waiting or backlog.leased for backlog in self.pubsub.backlog().values())


def warehouse_of(world: World) -> BigQueryProcess:
    """The world's warehouse, not started."""
    return BigQueryProcess(
        world.engine("bigquery"),
        location=world.location,
        project=world.project,
        noted=lambda pid: processes.note(world.home, "bigquery", pid),
    )


class _Background:
    """A call in a thread of its own; :meth:`result` waits and raises what it raised."""

    def __init__(self, call: Callable[[], str]) -> None:
        self._call = call
        self._value: str | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._value = self._call()
        except BaseException as error:
            self._error = error

    def result(self) -> str:
        self._thread.join()
        if self._error is not None:
            raise self._error
        assert self._value is not None
        return self._value
