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
import itertools
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PENDING_SECONDS = 10.0
"""How long a request waits for a free instance before 429; Cloud Run's own minimum of its pending time."""

OPENING_SECONDS = 60.0

_HOP_BY_HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length"}

Check = Callable[[str | None], tuple[int, str] | None]
"""Judges a request's ``Authorization`` header; ``None`` lets it in, else (HTTP status, reason)."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """One function as deployed. ``environment`` is the whole environment of its instances."""

    name: str
    target: str
    source: Path
    timeout_seconds: float
    concurrency: int
    max_instances: int
    environment: Mapping[str, str]
    log: Path


@dataclass(slots=True)
class Instance:
    """A process that serves one function. ``port`` is set once it listens."""

    id: int
    function: str
    pid: int | None = None
    port: int | None = None
    in_flight: int = 0
    dead: bool = False
    changed: threading.Condition = field(default_factory=threading.Condition)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


class Zygote:
    """The warm parent process; started again by itself when it dies."""

    def __init__(self, log: Path, environment: Mapping[str, str]) -> None:
        self._log = log
        self._environment = dict(environment)
        self._instances: dict[int, Instance] = {}
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._stopping = False
        self._process: subprocess.Popen[bytes] | None = None
        self.pid: int | None = None
        self.imported = threading.Event()

    def start(self) -> None:
        """Launch the process; returns before its imports are done (commands queue up meanwhile)."""
        self.imported.clear()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sandbox.zygote"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environment,
                # Ctrl-C in the terminal is for the supervisor; it then ends the instances in order.
                start_new_session=True,
            )
        self.pid = self._process.pid
        threading.Thread(target=self._read, args=(self._process,), name="zygote-events", daemon=True).start()

    def fork(self, deployment: Deployment) -> Instance:
        """Ask for a new instance; it becomes ready (or dead) later."""
        with self._lock:
            instance = Instance(next(self._ids), deployment.name)
            self._instances[instance.id] = instance
            command = {
                "id": instance.id,
                "target": deployment.target,
                "source": str(deployment.source),
                "environment": dict(deployment.environment),
                "log": str(deployment.log),
                "threaded": deployment.concurrency > 1,
            }
            process = self._process
            try:
                if process is None or process.stdin is None:
                    raise BrokenPipeError
                process.stdin.write(json.dumps(command).encode() + b"\n")
                process.stdin.flush()
            except OSError:
                self._bury(instance)
        return instance

    def stop(self) -> None:
        """End every instance, then the zygote."""
        with self._lock:
            self._stopping = True
            process = self._process
        if process is None:
            return
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            kind = event["event"]
            if kind == "imported":
                self.imported.set()
            elif kind == "exited":
                self._exited(event["pid"])
            elif instance := self._instances.get(event["id"]):
                with instance.changed:
                    if kind == "started":
                        instance.pid = event["pid"]
                        if instance.dead:  # given up before it was born
                            os.kill(event["pid"], signal.SIGKILL)
                    else:
                        instance.port = event["port"]
                    instance.changed.notify_all()
        process.wait()
        with self._lock:
            for instance in self._instances.values():
                self._bury(instance)
            self._instances.clear()
            again = not self._stopping and self.imported.is_set()
            self._process = None
        # One that dies before its imports are done would die again: requests then fail with the log's name.
        if again:
            self.start()

    def _exited(self, pid: int) -> None:
        with self._lock:
            for instance in list(self._instances.values()):
                if instance.pid == pid:
                    del self._instances[instance.id]
                    self._bury(instance)

    @staticmethod
    def _bury(instance: Instance) -> None:
        with instance.changed:
            instance.dead = True
            instance.changed.notify_all()


class Pool:
    """The instances of one function, and the way of a request to one of them."""

    def __init__(self, deployment: Deployment, zygote: Zygote, pending_seconds: float = PENDING_SECONDS) -> None:
        self.deployment = deployment
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

    def handle(self, method: str, path: str, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        """Send a request to an instance and return its answer, or the one that Cloud Run would give in its stead."""
        instance = self._acquire()
        if instance is None:
            return _text(429, "The request was aborted because there was no available instance.")
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
                return _text(502, "The instance died before it took the request.")
            return _text(500, f"The instance could not start; see {self.deployment.log}")
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
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            if late.is_set() or time.monotonic() >= deadline:
                return self._too_late(instance)
            self._kill(instance)
            return _text(502, "The instance died while it served the request.")
        finally:
            timer.cancel()
            connection.close()
        kept = [(name, value) for name, value in response.getheaders() if name.lower() not in _HOP_BY_HOP]
        return Answer(response.status, kept, content)

    def _too_late(self, instance: Instance) -> Answer:
        self._kill(instance)
        return _text(504, f"The request took longer than {self.deployment.timeout_seconds:g} seconds.")

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


def _text(status: int, message: str) -> Answer:
    return Answer(status, [("Content-Type", "text/plain; charset=utf-8")], message.encode() + b"\n")


class Front:
    """The URL of a function. ``check`` is the IAM check in front of it; ``added_headers`` are put on every request."""

    def __init__(
        self,
        pool: Pool,
        port: int = 0,
        check: Check | None = None,
        added_headers: Callable[[], Mapping[str, str]] | None = None,
        opened: threading.Event | None = None,
    ) -> None:
        handler = _handler(pool, check, added_headers, opened)
        try:
            self._server = _Server(("127.0.0.1", port), handler)
        except OSError:
            # The port of the last run was only a wish: another program may have it by now.
            self._server = _Server(("127.0.0.1", 0), handler)
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, name=f"front-{self.port}", daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that went away is no event worth a traceback on the terminal."""


def _handler(
    pool: Pool,
    check: Check | None,
    added_headers: Callable[[], Mapping[str, str]] | None,
    opened: threading.Event | None,
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            added = {name.lower(): value for name, value in (added_headers() if added_headers else {}).items()}
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if opened is not None and not opened.wait(OPENING_SECONDS):
                self.answer(_text(503, "The world is still starting."))
                return
            refused = check(self.headers.get("Authorization")) if check else None
            if refused is not None:
                self.answer(_text(*refused))
                return
            headers = [
                (name, value)
                for name, value in self.headers.items()
                if name.lower() not in _HOP_BY_HOP and name.lower() not in added
            ]
            headers += added.items()
            if "X-Cloud-Trace-Context" not in self.headers:
                headers.append(("X-Cloud-Trace-Context", f"{secrets.token_hex(16)}/1;o=0"))
            self.answer(pool.handle(self.command, self.path, headers, body))

        def answer(self, answer: Answer) -> None:
            self.send_response_only(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        setattr(Handler, f"do_{method}", Handler.handle_any)
    return Handler


class FunctionsHost:
    """Every deployed function with its front.

    Requests that arrive before :meth:`open` wait at the door: so the fronts' addresses can be known before the world
    that the functions need is there.
    """

    def __init__(self, log_folder: Path, pending_seconds: float = PENDING_SECONDS) -> None:
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
        pool = Pool(deployment, self.zygote, self._pending_seconds)
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
        front = Front(self.pools[function], port, check, added_headers, self._opened)
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

    def stop(self) -> None:
        """Close the fronts, then end all instances."""
        self._opened.set()
        # Each waits for its loop to look up; together they wait once.
        stops = [threading.Thread(target=front.stop) for front in self._fronts]
        for thread in stops:
            thread.start()
        for thread in stops:
            thread.join()
        self._fronts.clear()
        self.zygote.stop()
