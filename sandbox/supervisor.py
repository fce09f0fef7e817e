"""Starts, holds together and stops everything of one world.

::

    with Supervisor(home) as world:
        world.drop(path)
        world.wait_idle()
        rows = world.query("select count(*) from gold.fact_orders")

Engines and fronts live in threads of this process; the functions, the warehouse and the dbt job are processes of their own.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests
from google.cloud.bigquery.table import RowIterator

from pipeline import contract as contracts
from pipeline.contract import Contract
from sandbox import landing, ledger, processes
from sandbox.clock import Clock
from sandbox.cloud import Cloud
from sandbox.dbt_runner import DbtRunner
from sandbox.engines.pubsub import PubSubEngine
from sandbox.front import Front
from sandbox.functions_host import Deployment, FunctionsHost
from sandbox.iam import Issuer, invoker_check
from sandbox.ledger import Ledger
from sandbox.provision import provision
from sandbox.services import Services
from sandbox.status import inside
from sandbox.world import FUNCTIONS_FOLDER, Addresses, Lock, Running, Settings, World, WorldError
from sandbox.world_faults import WorldFaults

MAX_INSTANCES = 6
"""Per function, if the contract allows as many: what the cloud would start, within what a laptop can carry."""
SWEEP_SECONDS = 5.0
STALLED_SECONDS = 900.0
"""Longer than the lease of a killed function and the time that a lost message counts as under way: both heal by themselves."""
_POLL_SECONDS = 0.3
_CALL_TIMEOUT_SECONDS = 310.0

DEFAULT_SETTINGS = Settings(
    reporting_currency="EUR",
    reporting_time_zone="Etc/UTC",
    accounts={"crm": [{"id": "default", "time_zone": "Etc/UTC"}]},
)


class Supervisor:
    """One running world. A context manager; :meth:`start` and :meth:`stop` do the same by hand.

    ``settings``: for a home that was never filled; one that was keeps its own.
    ``functions_env_overrides``: function name → variables added to its environment.
    ``timeouts``: function name → seconds, in the place of the deployed timeout.
    ``time_scale``: of Pub/Sub's back-off; 0.01 makes ten seconds a tenth of one.
    ``clock``: the world's time, real by default. ``world.clock.advance(seconds)`` lets time pass at once, for the engines and
    the functions; the warehouse and the dbt job keep the machine's time.
    ``dbt_command``: ``build``, or ``run`` to leave the tests out.
    """

    settings: Settings
    issuer: Issuer
    host: FunctionsHost
    services: Services
    faults: WorldFaults
    """Breaks calls of every engine on purpose, while the world is up."""
    dbt: DbtRunner
    addresses: Addresses
    cloud: Cloud

    def __init__(
        self,
        home: Path,
        *,
        settings: Settings | None = None,
        functions_env_overrides: Mapping[str, Mapping[str, str]] | None = None,
        timeouts: Mapping[str, float] | None = None,
        max_instances: int = MAX_INSTANCES,
        time_scale: float = 1.0,
        clock: Clock | None = None,
        dbt_command: str = "build",
        dbt_environment: Mapping[str, str] | None = None,
        contract: Contract | None = None,
        functions_source: Path = FUNCTIONS_FOLDER / "main.py",
    ) -> None:
        self.world = World(home.resolve())
        self.contract = contract or contracts.load()
        self.urls: dict[str, str] = {}
        """Function name → URL of its front; ``console`` → the front for a browser; ``faults`` → where faults are set."""
        self.made: list[str] = []
        """What provisioning found missing and made, as ``kind name``."""
        self.idle_seconds = 0.0
        """While :meth:`wait_idle` waits: for how long nothing has moved."""
        self._wanted_settings = settings or DEFAULT_SETTINGS
        self._overrides = functions_env_overrides or {}
        self._timeouts = timeouts or {}
        self._max_instances = max_instances
        self._time_scale = time_scale
        self.clock = clock or Clock()
        self._dbt_command = dbt_command
        self._dbt_environment = dict(dbt_environment or {})
        self._source = functions_source
        self._stops = contextlib.ExitStack()

    # --- life -----------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> Self:
        """Bring everything up and provision it. Raises :class:`WorldError` when the home is in use."""
        self._stops.callback(Lock(self.world.home).release)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop everything, the last started first; state stays in the home."""
        self._stops.close()

    def _start(self) -> None:
        world = self.world
        last = world.last_run()
        self._announce("starting")
        processes.end_leftovers(world.home)
        world.logs.mkdir(parents=True, exist_ok=True)
        self.settings = world.read_settings() or self._wanted_settings
        self.issuer = Issuer.of(world.home)
        self.host = FunctionsHost(world.logs, clock=self.clock)
        self.host.start()
        self._stops.callback(self.host.stop)
        # Fronts before engines: what Pub/Sub still has from yesterday is pushed at once, and waits at the fronts' doors.
        environments = self._open_fronts(last.urls if last else {})
        self.services = Services(world, self.issuer, self._run_job, self._time_scale, self.clock, self._kill_job)
        self._stops.callback(self.services.stop)
        self.addresses = self.services.start()
        self._open_faults(last.urls if last else {})
        self._make_dbt()
        self._open_inside(last.urls if last else {})
        for name, environment in environments.items():
            function = self.contract.functions[name]
            environment.update(world.function_environment(function, self.settings, self.addresses, self._timeouts.get(name)))
            environment["PIPELINE_CONTROL_AUDIENCE"] = self.urls["control"]
            environment.update(self._overrides.get(name, {}))
        self.host.open()
        self._stops.callback(self.clock.join(busy=lambda: self.host.in_flight > 0 or self.dbt.running))
        self.cloud = Cloud(world, self.addresses)
        self._stops.callback(self.cloud.close)
        self.made = provision(self.cloud, self.contract, self.urls)
        world.write_settings(self.settings)
        self._announce("up", self.addresses)
        self._stops.callback(self.host.drain)
        # A schedule that came due while the fronts close would be told that they are closed, and say that it failed.
        self._stops.callback(self.services.scheduler.stop)
        self._stops.callback(self._announce, "down")

    def _announce(self, status: str, addresses: Addresses | None = None) -> None:
        self.world.write_running(
            Running(pid=os.getpid(), status=status, addresses=asdict(addresses) if addresses else {}, urls=self.urls)
        )

    def _open_fronts(self, last_urls: Mapping[str, str]) -> dict[str, dict[str, str]]:
        """Deploy every function; their environments are filled in once the addresses are known."""
        ports = {name: _port(url) for name, url in last_urls.items()}
        account = self.world.service_account
        environments: dict[str, dict[str, str]] = {name: {} for name in self.contract.functions}
        for name, function in self.contract.functions.items():
            deployment = Deployment(
                name=name,
                target=name,
                source=self._source,
                timeout_seconds=self._timeouts.get(name, function.timeout_seconds),
                concurrency=function.concurrency,
                max_instances=min(function.max_instances, self._max_instances),
                environment=environments[name],
                log=self.world.logs / f"{name}.log",
            )
            invokers = {account("pubsub-push")}
            if function.http:
                invokers |= {account("scheduler"), account("operator")}
            check = invoker_check(self.issuer, _audience(self.urls, name), invokers)
            self.urls[name] = self.host.deploy(deployment, port=ports.get(name, 0), check=check).url
        # A browser has no identity token; in the cloud `gcloud run services proxy` adds it, here this front does.
        console = self.host.open_front("control", port=ports.get("console", 0), added_headers=self.operator_headers)
        self.urls["console"] = console.url
        return environments

    def _open_faults(self, last_urls: Mapping[str, str]) -> None:
        self.faults = WorldFaults(self.services)
        self._serve("faults", self.faults.front(_port(last_urls.get("faults"))))

    def _open_inside(self, last_urls: Mapping[str, str]) -> None:
        self._serve("inside", inside.front_of(self, _port(last_urls.get("inside"))))

    def _serve(self, name: str, front: Front) -> None:
        front.start()
        self._stops.callback(front.stop)
        self.urls[name] = front.url

    def _make_dbt(self) -> None:
        environment = self.world.job_environment(self.contract, self.settings, self.addresses, self._dbt_command)
        self.dbt = DbtRunner(
            self.world.home,
            {**environment, **self._dbt_environment},
            self.contract.jobs["dbt"].timeout_seconds,
            self.world.logs / "dbt.log",
        )
        self._stops.callback(self.dbt.stop)

    def _run_job(self, arguments: Sequence[str], environment: Mapping[str, str], timeout_seconds: float | None) -> int:
        return self.dbt.run(arguments, environment, timeout_seconds)

    def _kill_job(self) -> bool:
        return self.dbt.kill()

    # --- acts -----------------------------------------------------------------------------------------------------

    def operator_headers(self) -> dict[str, str]:
        """Headers with which the operator (you) may call ``control``."""
        token = self.issuer.token(self.world.service_account("operator"), self.urls["control"])
        return {"Authorization": f"Bearer {token}"}

    def fire(self, schedule: str) -> None:
        """Ring a scheduler job now: ``ingest-<source>`` (or just the source), or ``sweep``."""
        fire(self.cloud, schedule)

    def sweep(self) -> None:
        """Call the sweeper, as the clock does each minute. Raises :class:`requests.HTTPError` when it fails."""
        url = f"{self.urls['control']}{self.contract.schedules['sweep'].http_path}"
        requests.post(url, headers=self.operator_headers(), timeout=_CALL_TIMEOUT_SECONDS).raise_for_status()

    def drop(self, path: Path, name: str | None = None) -> str:
        """Drop a file into landing under ``name`` (its own by default). Returns the object's name."""
        return landing.drop_file(self.cloud, path, name)

    def drop_folder(self, folder: Path) -> landing.Dropped:
        """Give the deployment the folder's presets, then drop every file that landing does not have."""
        landing.upload_presets(self.cloud, folder)
        return landing.drop_folder(self.cloud, folder)

    @property
    def pubsub(self) -> PubSubEngine:
        """The queues' engine: its backlog and delivery log."""
        return self.services.pubsub

    def publish(self, topic: str, body: Mapping[str, Any], attributes: Mapping[str, str] | None = None) -> str:
        """Publish a message to a topic by its short id. Returns the message id."""
        future = self.cloud.publisher.publish(self.cloud.world.topic(topic), json.dumps(body).encode(), **(attributes or {}))
        return str(future.result(timeout=30))

    def query(self, sql: str) -> RowIterator:
        """Ask the warehouse."""
        return self.cloud.bigquery.query(sql).result()

    def kill(self, function: str) -> int | None:
        """Kill an instance of a function, a busy one first. Returns its process id, ``None`` when there is none."""
        return self.host.kill(function)

    def ledger(self) -> Ledger:
        """What the state bucket says now."""
        return ledger.read(self.cloud)

    # --- waiting --------------------------------------------------------------------------------------------------

    @property
    def delivering(self) -> bool:
        """Whether messages wait or requests are being worked on."""
        return self.services.messages_waiting or self.host.in_flight > 0

    def wait_idle(
        self,
        timeout_seconds: float = 1800.0,
        *,
        until: Callable[[Ledger], bool] = lambda state: state.settled,
        watch: Callable[[Ledger], None] = lambda _: None,
        sweep_seconds: float = SWEEP_SECONDS,
        ignore_job: bool = False,
    ) -> Ledger:
        """Wait until ``until`` holds (every run closed, no build wanted or running) and nothing is under way.

        Calls the sweeper every ``sweep_seconds``, and ``watch`` at each look. ``ignore_job``: a running dbt job is no
        reason to wait. Raises :class:`WorldError` after
        ``timeout_seconds``, or when nothing has moved for long although nobody is at work.
        """
        start = moved = swept = time.monotonic()
        previous: Ledger | None = None
        quiet = 0
        while True:
            working = self.dbt.running
            busy = self.delivering or (working and not ignore_job)
            state = self.ledger()
            now = time.monotonic()
            quiet = quiet + 1 if until(state) and not busy else 0
            # Twice, because a message may be between two of the places that were looked at.
            if quiet == 2:
                return state
            if working or self.host.in_flight or state != previous:
                moved, previous = now, state
            self.idle_seconds = now - moved
            watch(state)
            if now - moved > STALLED_SECONDS:
                raise WorldError(f"nothing has moved for {STALLED_SECONDS:g} seconds: {_where(state)}")
            if now - start > timeout_seconds:
                raise WorldError(f"not done after {timeout_seconds:g} seconds: {_where(state)}")
            if quiet == 0 and now - swept >= sweep_seconds:
                self.sweep()
                swept = time.monotonic()
            time.sleep(_POLL_SECONDS)


def fire(cloud: Cloud, schedule: str) -> None:
    """Run a scheduler job now. Raises :class:`WorldError` naming those that exist."""
    names = {job.name.rsplit("/", 1)[1]: job.name for job in cloud.scheduler.list_jobs(parent=cloud.world.parent)}
    name = schedule if schedule in names else f"ingest-{schedule}"
    if name not in names:
        raise WorldError(f"there is no schedule '{schedule}'; there are {', '.join(sorted(names))}")
    cloud.scheduler.run_job(name=names[name], timeout=_CALL_TIMEOUT_SECONDS)


def _port(url: str | None) -> int:
    """The port of a URL of the last run, to be taken again; 0 (any) without one."""
    return int(url.rsplit(":", 1)[1]) if url else 0


def _audience(urls: Mapping[str, str], name: str) -> Callable[[], str]:
    return lambda: urls[name]


def _where(state: Ledger) -> str:
    statuses = ", ".join(f"{count} {status}" for status, count in state.statuses.items()) or "none"
    building = f"build {state.building} is marked as running" if state.building else "no build runs"
    wants = len(state.transform.get("wants") or [])
    return f"{len(state.open_runs)} runs open, slices: {statuses}; {building}, {wants} builds asked for. See the logs."
