"""Lazily built clients of Google Cloud, and the settings of this deployment. The one module that reads the environment.

Nothing else in the pipeline knows an address. Where the official clients have a variable for another address
(``STORAGE_EMULATOR_HOST``, ``PUBSUB_EMULATOR_HOST``, ``BIGQUERY_EMULATOR_HOST``) it is theirs to read; for those that have
none we add one of the same form. Without any variable, application default credentials lead to Google.
"""

from __future__ import annotations

import functools
import ipaddress
import json
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipeline.errors import ContractError

if TYPE_CHECKING:
    from google.cloud.bigquery import Client as BigQueryClient
    from google.cloud.pubsub_v1 import PublisherClient
    from google.cloud.run_v2 import JobsClient
    from google.cloud.storage import Bucket
    from google.cloud.storage import Client as StorageClient

_HTTP_PLANES = ("STORAGE_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST")
_GRPC_PLANES = ("PUBSUB_EMULATOR_HOST", "RUN_EMULATOR_HOST")
_DATA_PLANES = (*_HTTP_PLANES, *_GRPC_PLANES)
"""Services that hold one deployment's state, messages and rows together: all of them are Google's, or none is."""
_BESIDE = ("SECRETMANAGER_EMULATOR_HOST", "SCHEDULER_EMULATOR_HOST")
"""May be given alone, but like all others only on this machine."""


def setting(name: str, default: str | None = None) -> str:
    """A setting of this deployment. Raises :class:`ContractError` when it is missing and has no default."""
    value = os.environ.get(name, default)
    if value is None:
        raise ContractError(
            f"environment variable {name} is not set",
            next_step="Terraform sets it on every function; for a run by hand, export it.",
        )
    return value


def project() -> str:
    return setting("GOOGLE_CLOUD_PROJECT")


def location() -> str:
    """BigQuery's location. Job ids are per location, so every job call names it."""
    return setting("PIPELINE_BIGQUERY_LOCATION", "EU")


def timeout_seconds() -> int:
    """The deployed timeout of this function: its time budget and the length of a slice's lease."""
    return int(setting("PIPELINE_TIMEOUT_SECONDS", "540"))


def hint_seconds() -> int:
    """How long a published message counts as under way before the sweeper sends it again."""
    return int(setting("PIPELINE_HINT_SECONDS", "600"))


def accounts() -> dict[str, list[dict[str, Any]]]:
    """Whose data each source extracts: ``{"crm": [{"id": "default", "time_zone": "Europe/London"}], ...}``."""
    try:
        value = json.loads(setting("PIPELINE_ACCOUNTS", "{}"))
    except ValueError as error:
        raise ContractError(f"PIPELINE_ACCOUNTS is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ContractError("PIPELINE_ACCOUNTS is not a JSON object of lists")
    return value


def check_addresses() -> None:
    """Refuse a half-local world: with one data plane elsewhere, all must be, and only on this machine.

    A function that wrote state to an emulator and rows to a real warehouse would corrupt both; one that sent either to
    another machine would hand them to a stranger, as emulators ask nobody who they are. Raises :class:`ContractError`.
    """
    given = {name: os.environ[name] for name in (*_DATA_PLANES, *_BESIDE) if name in os.environ}
    for name, address in given.items():
        _check_address(name, address)
    planes = [name for name in _DATA_PLANES if name in given]
    if planes and (missing := [name for name in _DATA_PLANES if name not in given]):
        raise ContractError(
            f"{', '.join(planes)} set but not {', '.join(missing)}: emulated and real services do not mix",
            next_step=f"Set {', '.join(missing)} too, or unset the others.",
        )


def _check_address(name: str, address: str) -> None:
    """An address as the official clients take it: a base URL for HTTP, ``host:port`` for gRPC. Other machines are refused."""
    step = f"Unset {name} to reach Google, or give it an address of this machine."
    if not address:
        # The clients disagree about it: one goes to Google, another to nowhere.
        raise ContractError(f"{name} is set, but empty", next_step=step)
    wants_url = name in _HTTP_PLANES
    form = "http://127.0.0.1:8080" if wants_url else "127.0.0.1:8080"
    try:
        parts = urlsplit(address if wants_url else f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None or (wants_url and parts.scheme not in ("http", "https")) or "://" in address[8:]:
        raise ContractError(f"{name}: '{_shown(address)}' is no address like {form}", next_step=step)
    if "@" in address:
        raise ContractError(f"{name}={_shown(address)} holds credentials, which no emulator asks for", next_step=step)
    if host != "localhost" and not _is_loopback(host):
        raise ContractError(f"{name}={_shown(address)} is not on this machine", next_step=step)


def _shown(address: str) -> str:
    """An address without what stands before its ``@``: that may be a password."""
    return address.rsplit("@", 1)[-1]


def _is_loopback(host: str) -> bool:
    """By its number, never by its name: what a name resolves to is another's to decide."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@functools.cache
def storage() -> StorageClient:
    from google.cloud.storage import Client

    check_addresses()
    # For traces that nobody takes, the client reads every bucket it meets and looks for it anew at each "not found", in
    # threads of its own. Object roles do not allow that read (it needs storage.buckets.get): a refused call for each.
    os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    return Client(project=project())


@functools.cache
def _bucket(variable: str) -> Bucket:
    return storage().bucket(setting(variable))


def landing_bucket() -> Bucket:
    """Where people and exports drop files. Read only."""
    return _bucket("PIPELINE_LANDING_BUCKET")


def bronze_bucket() -> Bucket:
    """Immutable dumps: objects are created, never overwritten."""
    return _bucket("PIPELINE_BRONZE_BUCKET")


def state_bucket() -> Bucket:
    """Runs, slices, builds: the one ledger."""
    return _bucket("PIPELINE_STATE_BUCKET")


@functools.cache
def pubsub() -> PublisherClient:
    from google.cloud.pubsub_v1 import PublisherClient

    check_addresses()
    return PublisherClient()


@functools.cache
def bigquery() -> BigQueryClient:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.bigquery import Client

    check_addresses()
    local = bool(os.environ.get("BIGQUERY_EMULATOR_HOST"))
    credentials = AnonymousCredentials() if local else None  # type: ignore[no-untyped-call]
    return Client(project=project(), location=location(), credentials=credentials)


@functools.cache
def run_jobs() -> JobsClient:
    from google.cloud.run_v2 import JobsClient

    client: JobsClient = _grpc_client(JobsClient, "RUN_EMULATOR_HOST")
    return client


def _grpc_client(client: Any, variable: str) -> Any:
    check_addresses()
    host = os.environ.get(variable)
    if not host:
        return client()
    import grpc

    # A channel of our own is the only way that needs neither TLS nor credentials.
    transport = client.get_transport_class("grpc")
    return client(transport=transport(host=host, channel=grpc.insecure_channel(host)))


def is_transient(error: BaseException) -> bool:
    """Whether an error of a client means "not now" rather than "never": a 429, a 5xx, a broken connection, a timeout,
    a download whose checksum does not fit."""
    import requests
    from google.api_core import exceptions
    from google.cloud.storage.exceptions import DataCorruption

    passing = (
        DataCorruption,
        exceptions.ServerError,
        exceptions.TooManyRequests,
        exceptions.RetryError,
        requests.exceptions.ConnectionError,
        requests.exceptions.Timeout,
        requests.exceptions.ChunkedEncodingError,
        ConnectionError,
        TimeoutError,
    )
    return isinstance(error, passing)
