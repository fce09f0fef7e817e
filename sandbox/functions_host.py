"""Cloud Run's part for the functions: instances on demand, concurrency, deployed timeouts, a door for each function.

The functions run unmodified under functions-framework, a process each, forked from a warm :mod:`sandbox.zygote`. In front of
each function stands a :class:`Front` on its own port, which does what Cloud Run does
(https://cloud.google.com/run/docs/about-concurrency, /configuring/request-timeout):

- at most ``concurrency`` requests per instance at a time, at most ``max_instances`` instances, started on demand;
- a request that finds all busy waits a little, then gets 429;
- at the deadline the caller gets 504. The instance is then killed, which Cloud Run may do later or not at all: the sandbox
  takes the harsher way, so that nothing relies on work after the deadline;
- an instance that dies in the middle of a request gives 502, one that cannot start gives 500.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sandbox.clock import Clock
from sandbox.front import HOP_BY_HOP, Answer, Check, Front, text
from sandbox.instance_clock import HEADER as NOW_HEADER
from sandbox.instances import Deployment, Instance, Zygote

__all__ = ["Deployment", "FunctionsHost", "Pool"]

PENDING_SECONDS = 10.0
"""How long a request waits for a free instance before 429; Cloud Run's own minimum of its pending time."""

GRACE_SECONDS = 10.0


class Pool:
    """The instances of one function, and the way of a request to one of them."""

    def __init__(
        self, deployment: Deployment, zygote: Zygote, pending_seconds: float = PENDING_SECONDS, clock: Clock | None = None
    ) -> None:
        self.deployment = deployment
        self._clock = clock or Clock()
        self._zygote = zygote
        self._pending_seconds = pending_seconds
        self._instances: list[Instance] = []
        self._freed = threading.Condition()

    @property
    def in_flight(self) -> int:
        with self._freed:
            return sum(instance.in_flight for instance in self._living())

    @property
    def instances(self) -> int:
        with self._freed:
            return len(self._living())

    @property
    def pids(self) -> list[int]:
        """Process ids of the instances that are up."""
        with self._freed:
            return [instance.pid for instance in self._living() if instance.pid is not None]

    def handle(self, method: str, path: str, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        """Send a request to an instance and return its answer, or the one that Cloud Run would give in its stead."""
        instance = self._acquire()
        if instance is None:
            return text(429, "The request was aborted because there was no available instance.")
        try:
            return self._forward(instance, method, path, headers, body)
        finally:
            with self._freed:
                instance.in_flight -= 1
                self._freed.notify()

    def kill(self) -> int | None:
        """Kill an instance, a busy one first. Returns its process id, ``None`` when there is none."""
        with self._freed:
            candidates = sorted(self._living(), key=lambda instance: -instance.in_flight)
        for instance in candidates:
            if instance.pid is not None:
                self._kill(instance)
                return instance.pid
        return None

    def _living(self) -> list[Instance]:
        self._instances = [instance for instance in self._instances if not instance.dead]
        return self._instances

    def _acquire(self) -> Instance | None:
        give_up = time.monotonic() + self._pending_seconds
        with self._freed:
            while True:
                living = self._living()
                free = [instance for instance in living if instance.in_flight < self.deployment.concurrency]
                if free:
                    chosen = min(free, key=lambda instance: instance.in_flight)
                elif len(living) < self.deployment.max_instances:
                    chosen = self._zygote.fork(self.deployment)
                    self._instances.append(chosen)
                else:
                    left = give_up - time.monotonic()
                    if left <= 0:
                        return None
                    self._freed.wait(left)
                    continue
                chosen.in_flight += 1
                return chosen

    def _forward(self, instance: Instance, method: str, path: str, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        deadline = time.monotonic() + self.deployment.timeout_seconds
        with instance.changed:
            instance.changed.wait_for(
                lambda: instance.port is not None or instance.dead, timeout=self.deployment.timeout_seconds
            )
            port, dead = instance.port, instance.dead
        if dead:
            if port is not None:
                return text(502, "The instance died before it took the request.")
            return text(500, f"The instance could not start; see {self.deployment.log}")
        if port is None:
            return self._too_late(instance)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=max(0.01, deadline - time.monotonic()))
        # The socket's timeout is per read, the deadline is for the whole request: a timer holds the latter.
        late = threading.Event()

        def end() -> None:
            late.set()
            self._kill(instance)

        timer = threading.Timer(max(0.0, deadline - time.monotonic()), end)
        timer.daemon = True
        timer.start()
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers:
                if name.lower() != NOW_HEADER.lower():
                    connection.putheader(name, value)
            if not self._clock.real:
                connection.putheader(NOW_HEADER, self._clock.now().isoformat())
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            if late.is_set() or time.monotonic() >= deadline:
                return self._too_late(instance)
            self._kill(instance)
            return text(502, "The instance died while it served the request.")
        finally:
            timer.cancel()
            connection.close()
        kept = [(name, value) for name, value in response.getheaders() if name.lower() not in HOP_BY_HOP]
        return Answer(response.status, kept, content)

    def _too_late(self, instance: Instance) -> Answer:
        self._kill(instance)
        return text(504, f"The request took longer than {self.deployment.timeout_seconds:g} seconds.")

    def _kill(self, instance: Instance) -> None:
        with instance.changed:
            if instance.pid is not None and not instance.dead:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(instance.pid, signal.SIGKILL)
            # Not chosen again from now on; the zygote's "exited" follows.
            instance.dead = True
            instance.changed.notify_all()
        with self._freed:
            self._freed.notify_all()


class FunctionsHost:
    """Every deployed function with its front.

    Requests that arrive before :meth:`open` wait at the door: so the fronts' addresses can be known before the world
    that the functions need is there. The instances live by ``clock`` (real time by default).
    """

    def __init__(self, log_folder: Path, pending_seconds: float = PENDING_SECONDS, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        log_folder.mkdir(parents=True, exist_ok=True)
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR") if name in os.environ}
        root = str(Path(__file__).resolve().parent.parent)
        self.zygote = Zygote(log_folder / "zygote.log", {**kept, "PYTHONPATH": root})
        self._pending_seconds = pending_seconds
        self._opened = threading.Event()
        self.pools: dict[str, Pool] = {}
        self._fronts: list[Front] = []

    def start(self) -> None:
        """Begin the zygote's imports (about a second); :meth:`deploy` need not wait for them."""
        self.zygote.start()

    def open(self) -> None:
        """Let requests in."""
        self._opened.set()

    def deploy(self, deployment: Deployment, *, port: int = 0, check: Check | None = None) -> Front:
        """Open the function's front and return it. ``port`` is a wish: another is taken when it is in use."""
        pool = Pool(deployment, self.zygote, self._pending_seconds, self._clock)
        self.pools[deployment.name] = pool
        return self.open_front(deployment.name, port=port, check=check)

    def open_front(
        self,
        function: str,
        *,
        port: int = 0,
        check: Check | None = None,
        added_headers: Callable[[], Mapping[str, str]] | None = None,
    ) -> Front:
        """Open one more front of a deployed function."""
        front = Front(self.pools[function].handle, port, check, added_headers, self._opened)
        self._fronts.append(front)
        front.start()
        return front

    def kill(self, function: str) -> int | None:
        """Kill one instance of a function, a busy one first. Returns its process id, ``None`` when there is none."""
        return self.pools[function].kill()

    @property
    def in_flight(self) -> int:
        """Requests that instances are working on now, over all functions."""
        return sum(pool.in_flight for pool in self.pools.values())

    def drain(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Take no new request, and give those under way the time that Cloud Run gives after SIGTERM."""
        for front in self._fronts:
            front.closing = True
        deadline = time.monotonic() + grace_seconds
        while self.in_flight and time.monotonic() < deadline:
            time.sleep(0.02)

    def stop(self) -> None:
        """Close the fronts, then end all instances, whatever they are at."""
        self._opened.set()
        # Each waits for its loop to look up; together they wait once.
        stops = [threading.Thread(target=front.stop) for front in self._fronts]
        for thread in stops:
            thread.start()
        for thread in stops:
            thread.join()
        self._fronts.clear()
        self.zygote.stop()
