"""Run the local BigQuery as a child process, with the interpreter of its own environment.

The engine's packages do not fit beside the pipeline's; see `sandbox/engines/bigquery/__init__.py`. The address that
`start` returns goes into `BIGQUERY_EMULATOR_HOST`.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from sandbox.engines.remote_faults import RemoteFaults

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".venvs" / "bigquery"
START_SECONDS = 60.0
STOP_SECONDS = 15.0
REMEDY = (
    "make it with `make install`, or by hand:\n"
    "  python3 -m venv .venvs/bigquery\n"
    "  .venvs/bigquery/bin/pip install --require-hashes -r requirements/bigquery.txt\n"
    "  .venvs/bigquery/bin/python -m sandbox.engines.bigquery.prepare"
)


class BigQueryUnavailable(RuntimeError):
    """The local BigQuery cannot be started, or ended by itself; the message says what to do."""


class BigQueryProcess:
    """One local BigQuery over one data directory (a second one on the same directory fails: DuckDB locks the file).

    Args:
        directory: where tables and jobs are kept; made when missing.
        storage: base address of the Storage engine, `http://host:port`, or None when nothing is loaded from `gs://`.
        port: port on 127.0.0.1; 0 chooses one at the first start and keeps it over restarts.
        location: location of all datasets and jobs.
        project: project id of requests that name none.
        environment: the virtual environment made from `requirements/bigquery.txt`.
        noted: called with the process id as soon as there is one, for whoever has to end it after this process was killed.
    """

    def __init__(
        self,
        directory: Path,
        *,
        storage: str | None = None,
        port: int = 0,
        location: str = "EU",
        project: str = "sandbox-project",
        environment: Path = ENVIRONMENT,
        noted: Callable[[int], None] = lambda pid: None,
    ) -> None:
        self.directory = directory
        self.storage = storage
        self.port = port
        self.location = location
        self.project = project
        self.environment = environment
        self._noted = noted
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Base address of the REST API, without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def faults(self) -> RemoteFaults:
        """Faults on purpose, of the running process; they end with it."""
        return RemoteFaults(self.address)

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self.process.pid if self.process and self.process.poll() is None else None

    @property
    def log(self) -> Path:
        """The child's standard error: warnings and errors of the engine."""
        return self.directory / "bigquery.log"

    def start(self, timeout_seconds: float = START_SECONDS) -> str:
        """Start the process and wait until it answers (about 4 s).

        Returns:
            `address`.
        Raises:
            BigQueryUnavailable: the environment is missing or wrong, or the process ended or did not answer in time.
        """
        if self.pid:
            return self.address
        python = self.environment / "bin" / "python"
        if not python.exists():
            raise BigQueryUnavailable(f"the local BigQuery has no environment at {self.environment}: {REMEDY}")
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = self.port or _free_port()
        command = [
            str(python), "-m", "sandbox.engines.bigquery",
            "--directory", str(self.directory.resolve()), "--port", str(self.port),
            "--location", self.location, "--project", self.project, "--lifeline",
            *(["--storage", self.storage] if self.storage else []),
        ]  # fmt: skip
        # Emulator variables and a PYTHONPATH of the parent are not for the engine.
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ")}
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C in the terminal is for the supervisor, which stops this one last. Its standard input
            # is a lifeline: it ends with this process, however that dies, and a warehouse without a world would only block it.
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=kept,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._noted(self.process.pid)
        self._wait(timeout_seconds)
        return self.address

    def _wait(self, timeout_seconds: float) -> None:
        process = self.process
        assert process is not None
        assert process.stdout is not None
        deadline = time.monotonic() + timeout_seconds
        ready, _, _ = select.select([process.stdout], [], [], timeout_seconds)
        line = process.stdout.readline() if ready else b""
        if not line:
            detail = self._last_words()
            self.kill()
            what = "did not start in time" if not ready else "ended while it started"
            raise BigQueryUnavailable(f"the local BigQuery {what} (log: {self.log}).\n{detail}\nIf its packages: {REMEDY}")
        self.port = int(json.loads(line)["address"].rsplit(":", 1)[1])
        while not self.answers():
            if time.monotonic() > deadline:
                self.kill()
                raise BigQueryUnavailable(f"the local BigQuery does not answer at {self.address} (log: {self.log})")
            time.sleep(0.05)

    def answers(self, timeout_seconds: float = 2.0) -> bool:
        """True when the process answers its health check. It does not while it runs a long job."""
        try:
            with urllib.request.urlopen(f"{self.address}/healthz", timeout=timeout_seconds) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def stop(self, timeout_seconds: float = STOP_SECONDS) -> None:
        """Ask the process to end after the running job, and kill it when it does not in time."""
        process = self.process
        if process is None:
            return
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout_seconds)
        self.kill()

    def kill(self) -> None:
        """End the process at once. What it acknowledged is kept."""
        process, self.process = self.process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()

    def restart(self) -> str:
        """Stop and start on the same port. Returns `address`."""
        self.stop()
        return self.start()

    def __enter__(self) -> BigQueryProcess:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-5:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
