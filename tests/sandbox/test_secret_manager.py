"""Secret Manager's engine, through the official client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import google_crc32c
import pytest
from google.api_core import exceptions
from google.cloud.secretmanager_v1 import SecretManagerServiceClient

from sandbox.engines.journal import JournalError
from sandbox.engines.secret_manager import SecretManagerEngine

from .engine_clients import grpc_client

PARENT = "projects/sandbox-project"
AUTOMATIC = {"replication": {"automatic": {}}}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[SecretManagerEngine]:
    engine = SecretManagerEngine(tmp_path)
    yield engine
    engine.stop()


@pytest.fixture
def client(engine: SecretManagerEngine) -> Any:
    return grpc_client(SecretManagerServiceClient, engine.start())


def make(client: Any, secret_id: str, *values: bytes) -> str:
    secret = client.create_secret(parent=PARENT, secret_id=secret_id, secret=AUTOMATIC)
    for value in values:
        client.add_secret_version(parent=secret.name, payload={"data": value})
    return str(secret.name)


def test_the_latest_version_is_the_newest_one(client: Any) -> None:
    name = make(client, "token", b"one", b"two")
    answer = client.access_secret_version(name=f"{name}/versions/latest")
    assert answer.name == f"{name}/versions/2"
    assert answer.payload.data == b"two"
    assert answer.payload.data_crc32c == google_crc32c.value(b"two")
    assert client.access_secret_version(name=f"{name}/versions/1").payload.data == b"one"


def test_what_is_missing_is_not_found(client: Any) -> None:
    name = make(client, "empty")
    for wanted in (f"{name}/versions/latest", f"{name}/versions/1", f"{PARENT}/secrets/none/versions/latest"):
        with pytest.raises(exceptions.NotFound):
            client.access_secret_version(name=wanted)


def test_disabled_and_destroyed_versions_are_not_given_out(client: Any) -> None:
    name = make(client, "token", b"one")
    version = f"{name}/versions/1"
    client.disable_secret_version(name=version)
    with pytest.raises(exceptions.FailedPrecondition, match="DISABLED"):
        client.access_secret_version(name=version)
    client.enable_secret_version(name=version)
    assert client.access_secret_version(name=version).payload.data == b"one"
    client.destroy_secret_version(name=version)
    with pytest.raises(exceptions.FailedPrecondition, match="DESTROYED"):
        client.access_secret_version(name=version)
    with pytest.raises(exceptions.FailedPrecondition, match="DESTROYED"):
        client.enable_secret_version(name=version)


def test_a_disabled_latest_version_does_not_fall_back(client: Any) -> None:
    name = make(client, "token", b"one", b"two")
    client.disable_secret_version(name=f"{name}/versions/2")
    with pytest.raises(exceptions.FailedPrecondition):
        client.access_secret_version(name=f"{name}/versions/latest")


def test_lists_are_paged_and_versions_newest_first(client: Any) -> None:
    name = make(client, "many", *(b"%d" % number for number in range(12)))
    versions = [version.name for version in client.list_secret_versions(request={"parent": name, "page_size": 5})]
    assert versions == [f"{name}/versions/{number}" for number in range(12, 0, -1)]
    make(client, "another")
    assert [secret.name for secret in client.list_secrets(parent=PARENT)] == [f"{PARENT}/secrets/another", name]


def test_names_payloads_and_checksums_are_checked(client: Any) -> None:
    name = make(client, "token")
    with pytest.raises(exceptions.AlreadyExists):
        make(client, "token")
    with pytest.raises(exceptions.InvalidArgument):
        make(client, "has space")
    with pytest.raises(exceptions.InvalidArgument):
        client.add_secret_version(parent=name, payload={"data": b""})
    with pytest.raises(exceptions.InvalidArgument, match="crc32c"):
        client.add_secret_version(parent=name, payload={"data": b"x", "data_crc32c": 1})


def test_a_deleted_secret_takes_its_versions_along(client: Any) -> None:
    name = make(client, "token", b"one")
    client.delete_secret(name=name)
    make(client, "token", b"new")
    assert client.access_secret_version(name=f"{name}/versions/latest").name == f"{name}/versions/1"


def test_labels_can_be_changed_and_other_settings_are_refused(client: Any) -> None:
    name = make(client, "token")
    client.update_secret(secret={"name": name, "labels": {"a": "b"}}, update_mask={"paths": ["labels"]})
    assert client.get_secret(name=name).labels == {"a": "b"}
    with pytest.raises(exceptions.MethodNotImplemented, match="ttl"):
        client.create_secret(parent=PARENT, secret_id="other", secret={**AUTOMATIC, "ttl": {"seconds": 1}})


def test_a_call_that_is_missing_is_refused_by_name(client: Any) -> None:
    name = make(client, "token")
    with pytest.raises(exceptions.MethodNotImplemented, match="GetIamPolicy"):
        client.get_iam_policy(request={"resource": name})


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    first = SecretManagerEngine(tmp_path)
    client = grpc_client(SecretManagerServiceClient, first.start())
    name = make(client, "token", b"one", b"two")
    client.disable_secret_version(name=f"{name}/versions/1")
    second = SecretManagerEngine(tmp_path)
    with pytest.raises(JournalError, match="in use"):
        second.start()
    first.stop()
    client = grpc_client(SecretManagerServiceClient, second.start())
    try:
        assert client.access_secret_version(name=f"{name}/versions/latest").payload.data == b"two"
        with pytest.raises(exceptions.FailedPrecondition):
            client.access_secret_version(name=f"{name}/versions/1")
    finally:
        second.stop()
    assert (tmp_path / "versions.jsonl").stat().st_mode & 0o077 == 0, "others must not read the secrets"


def test_a_deletion_that_was_cut_leaves_nothing_of_the_secret(tmp_path: Path) -> None:
    engine = SecretManagerEngine(tmp_path)
    client = grpc_client(SecretManagerServiceClient, engine.start())
    name = make(client, "token", b"old", b"newer")
    versions = (tmp_path / "versions.jsonl").read_bytes()
    client.delete_secret(name=name)
    engine.stop()
    (tmp_path / "versions.jsonl").write_bytes(versions)  # as if killed right after the deed, before the clearing
    engine = SecretManagerEngine(tmp_path)
    try:
        client = grpc_client(SecretManagerServiceClient, engine.start())
        assert make(client, "token", b"another") == name
        assert client.access_secret_version(name=f"{name}/versions/latest").payload.data == b"another"
        assert client.access_secret_version(name=f"{name}/versions/latest").name.endswith("/versions/1")
    finally:
        engine.stop()
