"""What a world is: a home folder, names, settings, and the environment that functions and job are deployed with.

A world's state (objects, queues, warehouse, logs) lives under its ``home`` and stays between runs. While a supervisor runs
it, ``<home>/world.json`` says who it is and at which addresses the world answers.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from pipeline.contract import Contract, Function

PROJECT_ROOT = Path(__file__).resolve().parent.parent
FUNCTIONS_FOLDER = PROJECT_ROOT / "functions"
STATE_ROOT = PROJECT_ROOT / ".sandbox"

PROJECT_ID = "sandbox-project"
REGION = "europe-west1"
LOCATION = "EU"
DATASETS = ("bronze", "silver", "silver_pii", "gold", "audit")

_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")


class WorldError(Exception):
    """The world cannot do what was asked; the message says what to do about it."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the engines listen: HTTP base URLs for storage and bigquery, ``host:port`` of gRPC for the others."""

    storage: str
    pubsub: str
    bigquery: str
    secret_manager: str
    scheduler: str
    run: str

    def environment(self) -> dict[str, str]:
        return {
            "STORAGE_EMULATOR_HOST": self.storage,
            "PUBSUB_EMULATOR_HOST": self.pubsub,
            "BIGQUERY_EMULATOR_HOST": self.bigquery,
            "SECRETMANAGER_EMULATOR_HOST": self.secret_manager,
            "SCHEDULER_EMULATOR_HOST": self.scheduler,
            "RUN_EMULATOR_HOST": self.run,
        }


@dataclass(frozen=True, slots=True)
class Settings:
    """Choices made when the world was first filled; kept in ``<home>/settings.json`` so that every later run agrees."""

    reporting_currency: str
    reporting_time_zone: str
    accounts: Mapping[str, list[dict[str, str]]]
    data: str | None = None
    seed: int | None = None


def default_home(data: Path | None) -> Path:
    """``.sandbox/company``, or a home of its own for each data folder."""
    if data is None:
        return STATE_ROOT / "company"
    whole = data.resolve()
    return STATE_ROOT / "worlds" / f"{whole.name}-{hashlib.sha256(str(whole).encode()).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True)
class World:
    """Names and places of one world. Holds nothing open."""

    home: Path
    project: str = PROJECT_ID
    region: str = REGION
    location: str = LOCATION

    # places

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    def engine(self, name: str) -> Path:
        """Directory of an engine's own files."""
        return self.home / name

    # names, as Terraform makes them

    @property
    def landing_bucket(self) -> str:
        return f"{self.project}-landing"

    @property
    def bronze_bucket(self) -> str:
        return f"{self.project}-bronze"

    @property
    def state_bucket(self) -> str:
        return f"{self.project}-state"

    def topic(self, topic_id: str) -> str:
        return f"projects/{self.project}/topics/{topic_id}"

    def subscription(self, subscription_id: str) -> str:
        return f"projects/{self.project}/subscriptions/{subscription_id}"

    @property
    def parent(self) -> str:
        """Parent of scheduler jobs and Cloud Run jobs."""
        return f"projects/{self.project}/locations/{self.region}"

    @property
    def dbt_job(self) -> str:
        return f"{self.parent}/jobs/dbt"

    def service_account(self, name: str) -> str:
        return f"{name}@{self.project}.iam.gserviceaccount.com"

    # environments, as Terraform sets them

    def _deployed(self, settings: Settings, addresses: Addresses) -> dict[str, str]:
        return {
            **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            **addresses.environment(),
            "GOOGLE_CLOUD_PROJECT": self.project,
            "PIPELINE_REGION": self.region,
            "PIPELINE_BIGQUERY_LOCATION": self.location,
            "PIPELINE_LANDING_BUCKET": self.landing_bucket,
            "PIPELINE_BRONZE_BUCKET": self.bronze_bucket,
            "PIPELINE_STATE_BUCKET": self.state_bucket,
            "PIPELINE_ACCOUNTS": json.dumps(settings.accounts),
            "PIPELINE_DBT_JOB": self.dbt_job,
            # Cloud Run's containers run in UTC; a developer's machine may not.
            "TZ": "Etc/UTC",
        }

    def function_environment(
        self, function: Function, settings: Settings, addresses: Addresses, timeout_seconds: float | None = None
    ) -> dict[str, str]:
        """The whole environment of a function's instances. ``PIPELINE_CONTROL_AUDIENCE`` is added when its URL is known."""
        return {
            **self._deployed(settings, addresses),
            "PIPELINE_TIMEOUT_SECONDS": f"{timeout_seconds or function.timeout_seconds:g}",
            "PYTHONPATH": str(FUNCTIONS_FOLDER),
            "K_SERVICE": function.name.replace("_", "-"),
            "K_REVISION": f"{function.name.replace('_', '-')}-sandbox",
        }

    def job_environment(
        self, contract: Contract, settings: Settings, addresses: Addresses, command: str = "build"
    ) -> dict[str, str]:
        """The environment of the dbt job. ``command``: ``build``, or ``run`` to leave the tests out."""
        return {
            **self._deployed(settings, addresses),
            "PIPELINE_DBT_TARGET": "sandbox",
            "PIPELINE_DBT_COMMAND": command,
            "PIPELINE_TIMEOUT_SECONDS": str(contract.jobs["dbt"].timeout_seconds),
            "PIPELINE_REPORTING_CURRENCY": settings.reporting_currency,
            "PIPELINE_REPORTING_TIME_ZONE": settings.reporting_time_zone,
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        }

    # settings and the running supervisor

    @property
    def settings_path(self) -> Path:
        return self.home / "settings.json"

    def read_settings(self) -> Settings | None:
        """``None`` in a home that was never filled."""
        try:
            return Settings(**json.loads(self.settings_path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def write_settings(self, settings: Settings) -> None:
        _write_whole(self.settings_path, asdict(settings))

    @property
    def running_path(self) -> Path:
        return self.home / "world.json"

    def running(self) -> Running | None:
        """Who runs this world now; ``None`` when nobody does, whatever an old ``world.json`` says."""
        if not is_locked(self.home):
            return None
        try:
            return Running(**json.loads(self.running_path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def last_run(self) -> Running | None:
        """What ``world.json`` says, alive or not: the ports and processes of the last run."""
        try:
            return Running(**json.loads(self.running_path.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write_running(self, running: Running) -> None:
        _write_whole(self.running_path, asdict(running))


@dataclass(frozen=True, slots=True)
class Running:
    """Content of ``world.json``.

    ``urls``: each function's, ``console`` for a browser, ``faults`` and ``inside`` for the command line. ``pids``: by role.
    """

    pid: int
    status: str
    addresses: dict[str, str] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)

    def parsed_addresses(self) -> Addresses:
        return Addresses(**self.addresses)


class Lock:
    """Keeps a second supervisor out of a home. The system frees it when the process dies, so it is never stale."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._file: IO[str] = (home / "lock").open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            self._file.close()
            raise WorldError(
                f"this world is already up (process {holder}, home {home}). "
                "`down` stops it; `--home` makes another world beside it."
            ) from None
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        self._file.close()


def is_locked(home: Path) -> bool:
    """Whether a supervisor (or another verb) holds this home right now."""
    try:
        file = (home / "lock").open("r")
    except FileNotFoundError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _write_whole(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    draft.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    draft.replace(path)
