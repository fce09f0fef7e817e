"""One world, used for many trials: everything that a deployment has, with wires between functions and engines."""

from __future__ import annotations

import collections
import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import requests

from sandbox import ledger
from sandbox.dbt_runner import DBT_PYTHON, DbtRunner
from sandbox.engines.faults import JobFails
from sandbox.engines.remote_faults import RemoteRule
from sandbox.functions_host import Deployment
from sandbox.supervisor import Supervisor
from sandbox.world import FUNCTIONS_FOLDER
from tests.reliability.callers import process_of
from tests.reliability.exports import Export, exports
from tests.reliability.report import Happened
from tests.reliability.storm import Fault, Storm
from tests.reliability.wire import PASS, Call, Verdict, Wire

DOORS = Path(__file__).with_name("doors.py")
SERVICES = {"storage": "STORAGE_EMULATOR_HOST", "bigquery": "BIGQUERY_EMULATOR_HOST"}
SHOWN = 160
"""Characters of a call in the trace: an upload's first ones name its object."""
LOOKS = 5
"""In a row at which nothing may be under way before a trial counts as still: a message may be between two places."""
WAITS_SECONDS = (30, 120, 700, 700, 4000, 4000, 4000, 4000)
"""By how much the clock moves on each time that all is still and not done: over hints, leases, and hours."""
TRIAL_SECONDS = 120.0
"""In which all must have come to a stand, ten times as long with the real dbt: only a loop would take longer."""


class Unsettled(AssertionError):
    """All is still, hours have passed, and something is open."""


class StormyWorld(Supervisor):
    """A supervisor whose functions reach their engines over wires. ``real_dbt``: the dbt job with dbt, in its own process."""

    def __init__(self, home: Path, *, real_dbt: bool = False, **options: Any) -> None:
        self.real_dbt = real_dbt
        self._patience_seconds = TRIAL_SECONDS * (10 if real_dbt else 1)
        self._ahead = home / "ahead"
        home.mkdir(parents=True, exist_ok=True)
        self._move_clock_to(0.0)
        self._lock = threading.Lock()
        self._storm: Storm | None = None
        self._pending: list[tuple[int, Callable[[], None]]] = []
        self._threads: list[threading.Thread] = []
        self._named: collections.Counter[Fault] = collections.Counter()
        self._rules: list[RemoteRule] = []
        self.happened = Happened()
        self._started = time.monotonic()
        names = ("ingest_crm", "load_bronze", "start_dbt", "control", "dbt")
        self.wires = {(name, service): Wire(name, service, self._judge) for name in names for service in SERVICES}
        variables = {name: self._variables(name) for name in names}
        super().__init__(
            home,
            functions_env_overrides=variables,
            time_scale=0.002,
            functions_source=DOORS,
            **options,
        )
        self._dbt_variables = variables["dbt"]

    def _variables(self, function: str) -> dict[str, str]:
        wires = {variable: self.wires[function, service].address for service, variable in SERVICES.items()}
        folders = os.pathsep.join((str(FUNCTIONS_FOLDER), str(DOORS.parent)))
        return {**wires, "MOVABLE_CLOCK": str(self._ahead), "PYTHONPATH": folders}

    def start(self) -> Self:
        super().start()
        for (_, service), wire in self.wires.items():
            wire.engine = getattr(self.addresses, service)
        environment = self.world.job_environment(self.contract, self.settings, self.addresses)
        deployment = Deployment(
            name="dbt",
            target="dbt",
            source=DOORS,
            timeout_seconds=600,
            concurrency=1,
            max_instances=2,
            environment={**environment, **self._dbt_variables},
            log=self.world.logs / "dbt.log",
        )
        self._job_url = self.host.deploy(deployment).url
        return self

    def _make_dbt(self) -> None:
        """The real job on a machine with the moved clock. Its addresses are the engines' own: a storm may only kill it."""
        environment = self.world.job_environment(self.contract, self.settings, self.addresses, "run")
        self.dbt = DbtRunner(
            self.world.home,
            {**environment, "MOVABLE_CLOCK": str(self._ahead)},
            self.contract.jobs["dbt"].timeout_seconds,
            self.world.logs / "dbt.log",
            command=(str(DBT_PYTHON), str(DOORS.with_name("moved_clock.py"))),
        )
        self._stops.callback(self.dbt.stop)

    def stop(self) -> None:
        super().stop()
        for wire in self.wires.values():
            wire.stop()

    def _run_job(self, arguments: Sequence[str], environment: Mapping[str, str], timeout_seconds: float | None) -> int:
        if self.real_dbt:
            return super()._run_job(arguments, environment, timeout_seconds)
        return 0 if requests.post(self._job_url, timeout=600).ok else 1

    # --- one trial ------------------------------------------------------------------------------------------------

    def trial(self, storm: Storm, files: Sequence[Export] | None = None) -> Happened:
        """Drop the files (all exports where none are named) into the storm and wait until all has settled.

        Raises :class:`Unsettled` when it does not.
        """
        self._started = time.monotonic()
        self.happened = Happened()
        self._give_pages(storm.pages_per_invocation)
        files = exports(big=storm.big) if files is None else files
        early = [export for export in files if not export.replaces]
        random.Random(storm.order_seed).shuffle(early)
        late = [export for export in files if export.replaces]
        self._pending = [(nth, self._asker(who)) for nth, who in storm.asks]
        self._let_loose(storm)
        if storm.dbt_dies_after_seconds is not None and self.real_dbt:
            self._in_background(lambda: self._kill_dbt(storm.dbt_dies_after_seconds or 0.0))
        for export in early:
            self._put(export)
            self._pending += [(storm.replace_at, self._replacer(new)) for new in late if new.name == export.name]
        try:
            self._wait_until_still()
            if storm.is_quiet:
                self._settle()
            for _, act in self._take_pending(10**9):
                act()
            self._settle()
        finally:
            self._calm()
        return self.happened

    def _calm(self) -> None:
        """End the storm, and count what it did."""
        self._storm = None
        happened = self.happened
        if failed := sum(rule.hits for rule in self._rules):
            happened.faults["load job failed"] += failed
        self._rules.clear()
        self.services.warehouse.faults.reset()
        self.services.pubsub.faults.reset()
        for thread in self._threads:
            thread.join(self._patience_seconds)
        self._threads.clear()
        happened.seconds = time.monotonic() - self._started
        log = self.services.pubsub.deliveries(10**6)
        arrived = [record.message_id for record in log if record.outcome != "dropped"]
        lost = {record.message_id for record in log} - set(arrived)
        happened.deliveries, happened.lost = len(arrived), len(lost)
        happened.published = len(set(arrived)) + len(lost)
        happened.repeated = len(arrived) - len(set(arrived))

    def clear(self) -> None:
        """Forget the last trial: all objects and rows, and the time that passed."""
        store = self.services.storage.store
        assert store is not None
        for bucket in (self.world.landing_bucket, self.world.bronze_bucket, self.world.state_bucket):
            for name in list(store.names(bucket)):
                store.delete(bucket, name, {})
        for table in self.cloud.bigquery.list_tables("bronze"):
            self.query(f"truncate table bronze.{table.table_id}")
        self.services.pubsub.broker.log.clear()
        self._move_clock_to(0.0)

    def _let_loose(self, storm: Storm) -> None:
        with self._lock:
            self._storm = storm
            self._named.clear()
        for job in storm.failed_jobs:
            failure = JobFails(job.reason)
            self._rules.append(
                self.services.warehouse.faults.add(failure, method="jobs.insert", name=f"{job.prefix}-*", skip=job.nth - 1)
            )
        faults = self.services.pubsub.faults
        faults.reset()
        faults.duplicate(storm.copies)
        if storm.within_seconds:
            faults.shuffle(storm.within_seconds, seed=storm.seed)
        for loss in storm.losses:
            faults.drop_next(_nth_message(loss.subscription, loss.nth), count=10**6)

    def _replacer(self, export: Export) -> Callable[[], None]:
        def replace() -> None:
            self._note(f"{export.name} is replaced")
            self._put(export)

        return replace

    def _put(self, export: Export) -> None:
        self.cloud.storage.bucket(self.world.landing_bucket).blob(export.name).upload_from_string(export.content)

    def _asker(self, who: str) -> Callable[[], None]:
        def ask() -> None:
            self._note(f"a {who} asks for all files")
            if who == "schedule":
                self.fire("crm")
            else:
                self._call("/runs", {"source": "crm", "reason": "a person asks"})

        return ask

    def _call(self, path: str, body: Mapping[str, Any] | None = None) -> None:
        """Call ``control``, which may be killed meanwhile: then the next one asks again."""
        with contextlib.suppress(requests.RequestException):
            requests.post(self.urls["control"] + path, json=body or {}, headers=self.operator_headers(), timeout=60)

    def _give_pages(self, pages: int | None) -> None:
        """A function that believes its time is over hands its slice over after each page."""
        environment = self.host.pools["ingest_crm"].deployment.environment
        seconds = "0" if pages else f"{self.contract.functions['ingest_crm'].timeout_seconds:g}"
        if environment["PIPELINE_TIMEOUT_SECONDS"] != seconds:
            assert isinstance(environment, dict)
            environment["PIPELINE_TIMEOUT_SECONDS"] = seconds
            while self.kill("ingest_crm") is not None:
                pass

    def _note(self, event: str) -> None:
        self.happened.trace.append(f"{time.monotonic() - self._started:6.2f} s  {event}")

    # --- faults ---------------------------------------------------------------------------------------------------

    def _judge(self, call: Call) -> Verdict:
        with self._lock:
            storm = self._storm
            if storm is None:
                return PASS
            key = (call.function, call.service)
            self.happened.calls[key] += 1
            nth = self.happened.calls[key]
        if key == ("ingest_crm", "storage"):
            for _, act in self._take_pending(nth):
                self._in_background(act)
        for fault in storm.faults:
            if (fault.function, fault.service) == key and fault.nth == self._count(fault, call, nth):
                self.happened.faults[fault.what] += 1
                self._note(f"{fault} ({call.method} {call.what[:SHOWN]})")
                return self._verdict(fault, call)
        return PASS

    def _count(self, fault: Fault, call: Call, nth: int) -> int:
        """The how manieth of the calls that the fault is about this one is; 0 for one that it is not about."""
        if not fault.where:
            return nth
        if fault.where not in call.what:
            return 0
        with self._lock:
            self._named[fault] += 1
            return self._named[fault]

    def _verdict(self, fault: Fault, call: Call) -> Verdict:
        match fault.what:
            case "killed before":
                return Verdict(cut=True, and_then=lambda: self._kill_caller(call))
            case "killed after":
                return Verdict(lost=True, and_then=lambda: self._kill_caller(call))
            case "refused 503":
                return Verdict(status=503)
            case "refused 429":
                return Verdict(status=429)
            case "cut":
                return Verdict(cut=True)
            case "answer lost":
                return Verdict(lost=True)
            case "time passes":
                self._pass(700)
                self._in_background(lambda: self._call("/sweep"))
                return PASS

    def _kill_caller(self, call: Call) -> None:
        pid = process_of(call.port, self.host.pools[call.function].pids)
        if pid is None:
            self.kill(call.function)
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _kill_dbt(self, seconds: float) -> None:
        deadline = time.monotonic() + self._patience_seconds
        while not self.dbt.running and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(seconds)
        if self.dbt.kill():
            self.happened.faults["dbt killed"] += 1
            self._note("dbt killed")

    def _take_pending(self, nth: int) -> list[tuple[int, Callable[[], None]]]:
        with self._lock:
            due = [pending for pending in self._pending if pending[0] <= nth]
            self._pending = [pending for pending in self._pending if pending[0] > nth]
        return due

    def _in_background(self, act: Callable[[], None]) -> None:
        thread = threading.Thread(target=act, daemon=True)
        self._threads.append(thread)
        thread.start()

    # --- time -----------------------------------------------------------------------------------------------------

    def _move_clock_to(self, seconds: float) -> None:
        draft = self._ahead.with_suffix(".draft")
        draft.write_text(str(seconds))
        draft.replace(self._ahead)

    def _pass(self, seconds: float) -> None:
        with self._lock:
            self._move_clock_to(float(self._ahead.read_text()) + seconds)

    def _wait_until_still(self) -> None:
        deadline = time.monotonic() + self._patience_seconds
        looks = 0
        while looks < LOOKS:
            looks = 0 if self._is_moving() else looks + 1
            if time.monotonic() > deadline:
                raise Unsettled(f"not still after {self._patience_seconds:g} seconds: {self.services.pubsub.backlog()}")
            time.sleep(0.01)

    def _is_moving(self) -> bool:
        store = self.services.storage.store
        assert store is not None
        acting = any(thread.is_alive() for thread in self._threads)
        return acting or self.delivering or bool(store.unannounced) or self.dbt.running

    def _settle(self) -> None:
        """Let time pass and the sweeper sweep whenever all is still, until nothing is open any more."""
        for seconds in (0, *WAITS_SECONDS):
            if seconds:
                self._note(f"all is still, and not done: the clock moves by {seconds} s, and the sweeper sweeps")
                self._pass(seconds)
                self._call("/sweep")
                self.happened.waits += 1
            self._wait_until_still()
            state = self.ledger()
            if state.settled and self._all_seen():
                return
        raise Unsettled(describe(state))

    def _all_seen(self) -> bool:
        store = self.services.storage.store
        assert store is not None
        live = {store.get(self.world.landing_bucket, name)["generation"] for name in store.names(self.world.landing_bucket)}
        seen = {name.rsplit(".", 1)[1] for name in store.names(self.world.state_bucket) if name.startswith("seen/")}
        return live <= seen


def describe(state: ledger.Ledger) -> str:
    """What is open, for the message of a failure."""
    pending = [f"{item.slice_id} ({item.stream}) {item.status}" for item in state.slices]
    return f"open runs {state.open_runs}, transform {dict(state.transform)}, slices {pending}"


def _nth_message(subscription: str, nth: int) -> Callable[[str, Any], bool]:
    """Whether a delivery is one of the ``nth`` message that the subscription hands out, counting each message once."""
    met: dict[str, int] = {}

    def matches(name: str, message: Any) -> bool:
        if not name.endswith(f"/{subscription}"):
            return False
        return met.setdefault(message.message_id, len(met) + 1) == nth

    return matches
