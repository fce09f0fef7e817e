"""The processes of the functions: what is deployed, the warm parent that forks instances, and each instance's life."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


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
