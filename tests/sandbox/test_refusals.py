"""What the engines do not emulate is refused by name, and the README says exactly what that is.

The official clients are asked which calls exist, and every one that an engine lacks is made through them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud.run_v2 import ExecutionsClient, JobsClient
from google.cloud.scheduler_v1 import CloudSchedulerClient
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.pubsub_v1 import PublisherClient, SubscriberClient

from sandbox.engines import grpc_services
from sandbox.engines.grpc_services import Method, Service
from sandbox.engines.pubsub import PubSubEngine
from sandbox.engines.pubsub_services import SubscriberService, publisher_service
from sandbox.engines.run_jobs import RunJobsEngine
from sandbox.engines.scheduler import SchedulerEngine
from sandbox.engines.secret_manager import SecretManagerEngine

from .engine_clients import grpc_client

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / grpc_services.README
PARENT = "projects/sandbox-project"
LOCATION = f"{PARENT}/locations/europe-west1"
CLIENTS = {
    "pubsub": (PublisherClient, SubscriberClient),
    "run_jobs": (JobsClient, ExecutionsClient),
    "scheduler": (CloudSchedulerClient,),
    "secret_manager": (SecretManagerServiceClient,),
}


class Listening:
    """A channel that only notes which methods a client could call."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def note(self, path: str, *arguments: Any, **settings: Any) -> Any:
        self.paths.append(path)
        return lambda *arguments, **settings: None

    unary_unary = unary_stream = stream_unary = stream_stream = note

    def close(self) -> None:
        """Nothing is open."""


def calls_of(client: Any) -> dict[str, str]:
    """Every call that the official client knows: path (``/service/Method``) → the client's method for it."""
    transport = client.get_transport_class("grpc")(host="none", channel=grpc.insecure_channel("127.0.0.1:1"))
    listening = Listening()
    transport._logged_channel = transport._grpc_channel = listening
    transport._stubs = {}  # those that it has made are of the other channel
    for name in dir(type(transport)):
        if isinstance(getattr(type(transport), name), property) and not name.startswith("_"):
            getattr(transport, name)
    return {path: re.sub(r"(?<!^)(?=[A-Z])", "_", path.rsplit("/", 1)[1]).lower() for path in listening.paths}


@dataclass(frozen=True)
class Row:
    """One line of the README's table."""

    service: str
    calls: frozenset[str]
    refused_calls: frozenset[str]
    refused_fields: frozenset[str]


def table() -> dict[str, Row]:
    rows = re.findall(r"^\| `(google[\w.]+)` \|(.*)\|(.*)\|(.*)\|$", README.read_text(encoding="utf-8"), re.MULTILINE)
    cells = [(service, [frozenset(re.findall(r"`([\w.]+)`", cell)) for cell in row]) for service, *row in rows]
    return {service: Row(service, *names) for service, names in cells}


def emulated() -> dict[str, Service]:
    """The services that the engines register, by name."""
    broker: Any = None  # the methods are only named, not called
    nowhere = Path("none")
    services = [
        publisher_service(broker),
        SubscriberService(broker).service(),
        *RunJobsEngine(nowhere, run=lambda *_: 0).services(),
        *SchedulerEngine(nowhere, publish=lambda *_: None).services(),
        *SecretManagerEngine(nowhere).services(),
    ]
    return {service.name: service for service in services}


def lacks(path: str) -> bool:
    """Whether no engine has the call."""
    _, service, method = path.split("/")
    return service not in EMULATED or method not in EMULATED[service].methods


EMULATED = emulated()


def refused_fields(name: str, method: Method) -> set[str]:
    if method.reads is None:
        return set()
    message = method.request.pb() if hasattr(method.request, "pb") else method.request
    return {f"{name}.{field.name}" for field in message.DESCRIPTOR.fields} - {f"{name}.{one}" for one in method.reads.split()}


def test_the_readme_names_every_call_of_every_service() -> None:
    known: dict[str, set[str]] = {name: set() for name in EMULATED}
    for path in [path for kinds in CLIENTS.values() for kind in kinds for path in calls_of(kind)]:
        _, service, method = path.split("/")
        known.setdefault(service, set()).add(method)
    assert table() == {service: expected_row(service, methods) for service, methods in known.items()}


def expected_row(service: str, known: set[str]) -> Row:
    handled = EMULATED[service].methods if service in EMULATED else {}
    fields = {field for name, method in handled.items() for field in refused_fields(name, method)}
    return Row(service, frozenset(handled), frozenset(known - handled.keys()), frozenset(fields))


def test_no_field_is_read_that_does_not_exist() -> None:
    for service in EMULATED.values():
        for name, method in service.methods.items():
            message = method.request.pb() if hasattr(method.request, "pb") else method.request
            fields = {field.name for field in message.DESCRIPTOR.fields}
            assert set((method.reads or "").split()) <= fields, f"{service.name}/{name}"


# ---- through the official clients


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    root = tmp_path_factory.mktemp("engines")
    engines = {
        "pubsub": PubSubEngine(root / "pubsub"),
        "run_jobs": RunJobsEngine(root / "run_jobs", run=lambda *_: 0),
        "scheduler": SchedulerEngine(root / "scheduler", publish=lambda *_: None),
        "secret_manager": SecretManagerEngine(root / "secret_manager"),
    }
    yield {name: engine.start() for name, engine in engines.items()}
    for engine in engines.values():
        engine.stop()


def missing_calls() -> list[Any]:
    return [
        pytest.param(engine, kind, path, method, id=path[1:])
        for engine, kinds in CLIENTS.items()
        for kind in kinds
        for path, method in calls_of(kind).items()
        if lacks(path)
    ]


@pytest.mark.parametrize(("engine", "kind", "path", "method"), missing_calls())
def test_a_call_that_is_missing_is_refused_with_its_name(
    addresses: dict[str, str], engine: str, kind: Any, path: str, method: str
) -> None:
    client = grpc_client(kind, addresses[engine])
    if hasattr(client, method):
        call = functools.partial(getattr(client, method), request={})
    else:  # what operation.cancel() calls
        call = functools.partial(getattr(client.transport.operations_client, method), "any")
    with pytest.raises(exceptions.MethodNotImplemented) as caught:
        call(retry=None, timeout=10)
    assert caught.value.message == f"The sandbox does not emulate the call {path}; see {grpc_services.README}."


def pubsub_topic(**settings: Any) -> Any:
    return lambda client: client.create_topic(request={"name": f"{PARENT}/topics/refused", **settings}, retry=None)


def pubsub_subscription(**settings: Any) -> Any:
    request = {"name": f"{PARENT}/subscriptions/refused", "topic": f"{PARENT}/topics/any", **settings}
    return lambda client: client.create_subscription(request=request, retry=None)


def run_job(**overrides: Any) -> Any:
    return lambda client: client.run_job(request={"name": f"{LOCATION}/jobs/dbt", "overrides": overrides}, retry=None)


def made_job(task: dict[str, Any], **template: Any) -> Any:
    job = {"template": {"template": {"max_retries": 0, **task}, **template}}
    return lambda client: client.create_job(parent=LOCATION, job_id="refused", job=job, retry=None)


def scheduled(**settings: Any) -> Any:
    target = {"topic_name": f"{PARENT}/topics/any", "data": b"x"}
    job = {"name": f"{LOCATION}/jobs/refused", "schedule": "0 5 * * *", "pubsub_target": target, **settings}
    return lambda client: client.create_job(parent=LOCATION, job=job, retry=None)


def secret(**settings: Any) -> Any:
    whole = {"replication": {"automatic": {}}, **settings}
    return lambda client: client.create_secret(parent=PARENT, secret_id="refused", secret=whole, retry=None)


SETTINGS: list[tuple[str, Any, Any, str]] = [
    ("pubsub", PublisherClient, pubsub_topic(kms_key_name="k"), "the topic setting kms_key_name"),
    (
        "pubsub",
        PublisherClient,
        pubsub_topic(message_retention_duration={"seconds": 600}),
        "setting message_retention_duration",
    ),
    ("pubsub", PublisherClient, pubsub_topic(schema_settings={"schema": "s"}), "the topic setting schema_settings"),
    ("pubsub", SubscriberClient, pubsub_subscription(filter="attributes.a"), "the subscription setting filter"),
    (
        "pubsub",
        SubscriberClient,
        pubsub_subscription(enable_exactly_once_delivery=True),
        "setting enable_exactly_once_delivery",
    ),
    ("pubsub", SubscriberClient, pubsub_subscription(retain_acked_messages=True), "setting retain_acked_messages"),
    ("pubsub", SubscriberClient, pubsub_subscription(bigquery_config={"table": "a.b.c"}), "setting bigquery_config"),
    (
        "pubsub",
        SubscriberClient,
        pubsub_subscription(push_config={"push_endpoint": "http://127.0.0.1:1", "no_wrapper": {"write_metadata": True}}),
        "the subscription setting push_config.no_wrapper",
    ),
    ("run_jobs", JobsClient, run_job(task_count=2), "several tasks"),
    ("run_jobs", JobsClient, run_job(container_overrides=[{"args": ["a"]}, {"args": ["b"]}]), "several containers"),
    (
        "run_jobs",
        JobsClient,
        run_job(container_overrides=[{"env": [{"name": "A", "value_source": {"secret_key_ref": {"secret": "s"}}}]}]),
        "the environment variable setting value_source",
    ),
    ("run_jobs", JobsClient, lambda client: client.run_job(request={"name": "j", "etag": "e"}), "RunJob with etag"),
    ("run_jobs", JobsClient, made_job({"max_retries": 3}), "retries of tasks"),
    ("run_jobs", JobsClient, made_job({"max_retries": None}), "retries of tasks (max_retries, 3 unless it is given)"),
    ("run_jobs", JobsClient, made_job({}, task_count=2), "several tasks"),
    ("run_jobs", JobsClient, made_job({"volumes": [{"name": "v"}]}), "the job setting template.template.volumes"),
    ("run_jobs", JobsClient, made_job({"containers": [{"working_dir": "/"}]}), "the container setting working_dir"),
    (
        "run_jobs",
        ExecutionsClient,
        lambda client: client.list_executions(request={"parent": f"{LOCATION}/jobs/dbt", "show_deleted": True}),
        "ListExecutions with show_deleted",
    ),
    (
        "scheduler",
        CloudSchedulerClient,
        scheduled(pubsub_target=None, app_engine_http_target={"relative_uri": "/"}),
        "App Engine",
    ),
    (
        "scheduler",
        CloudSchedulerClient,
        scheduled(pubsub_target=None, http_target={"uri": "http://127.0.0.1:1", "oauth_token": {"scope": "s"}}),
        "OAuth tokens",
    ),
    ("secret_manager", SecretManagerServiceClient, secret(ttl={"seconds": 60}), "the secret setting ttl"),
    ("secret_manager", SecretManagerServiceClient, secret(topics=[{"name": "t"}]), "the secret setting topics"),
    ("secret_manager", SecretManagerServiceClient, secret(rotation={"rotation_period": {"seconds": 9}}), "setting rotation"),
    ("secret_manager", SecretManagerServiceClient, secret(version_aliases={"a": 1}), "setting version_aliases"),
    (
        "secret_manager",
        SecretManagerServiceClient,
        lambda client: client.list_secrets(request={"parent": PARENT, "filter": "a"}),
        "ListSecrets with filter",
    ),
    (
        "secret_manager",
        SecretManagerServiceClient,
        lambda client: client.list_secret_versions(request={"parent": f"{PARENT}/secrets/s", "filter": "a"}),
        "ListSecretVersions with filter",
    ),
    (
        "secret_manager",
        SecretManagerServiceClient,
        lambda client: client.destroy_secret_version(request={"name": f"{PARENT}/secrets/s/versions/1", "etag": "e"}),
        "DestroySecretVersion with etag",
    ),
]


@pytest.mark.parametrize(("engine", "kind", "act", "named"), SETTINGS, ids=[named for *_, named in SETTINGS])
def test_a_field_that_would_be_ignored_is_refused_with_its_name(
    addresses: dict[str, str], engine: str, kind: Any, act: Any, named: str
) -> None:
    with pytest.raises(exceptions.MethodNotImplemented) as caught:
        act(grpc_client(kind, addresses[engine]))
    assert named in caught.value.message
    assert caught.value.message.endswith(f"; see {grpc_services.README}.")
