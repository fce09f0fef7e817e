"""Where the clients may lead: to Google with all of a deployment, or to this machine with all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline import clients
from pipeline.errors import ContractError
from sandbox.world import Addresses
from tests.conftest import forget_clients

LOCAL = {
    "STORAGE_EMULATOR_HOST": "http://127.0.0.1:4443",
    "PUBSUB_EMULATOR_HOST": "127.0.0.1:8085",
    "BIGQUERY_EMULATOR_HOST": "http://127.0.0.1:9050",
    "RUN_EMULATOR_HOST": "127.0.0.1:8086",
}
BESIDE = ("SECRETMANAGER_EMULATOR_HOST", "SCHEDULER_EMULATOR_HOST")
OPENERS: dict[str, Callable[[], Any]] = {
    "storage": clients.storage,
    "landing": clients.landing_bucket,
    "pubsub": clients.pubsub,
    "bigquery": clients.bigquery,
    "run_jobs": clients.run_jobs,
}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*LOCAL, *BESIDE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "test-project")
    monkeypatch.setenv("PIPELINE_LANDING_BUCKET", "test-landing")
    forget_clients()


def set_all(monkeypatch: pytest.MonkeyPatch, **changed: str | None) -> None:
    for name, address in {**LOCAL, **changed}.items():
        if address is not None:
            monkeypatch.setenv(name, address)


def test_without_variables_all_is_google_s() -> None:
    clients.check_addresses()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "localhost", "[::1]"])
def test_a_world_on_this_machine_is_fine(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, **{name: address.replace("127.0.0.1", host) for name, address in LOCAL.items()})
    clients.check_addresses()


@pytest.mark.parametrize("left_out", list(LOCAL))
@pytest.mark.parametrize("opened", list(OPENERS))
def test_no_client_opens_in_a_half_local_world(opened: str, left_out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, **{left_out: None})
    with pytest.raises(ContractError, match=f"not {left_out}: emulated and real services do not mix") as refused:
        OPENERS[opened]()
    assert left_out in refused.value.next_step


@pytest.mark.parametrize("opened", list(OPENERS))
def test_no_client_opens_with_an_address_elsewhere(opened: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, PUBSUB_EMULATOR_HOST="203.0.113.7:8085")
    with pytest.raises(ContractError, match=r"PUBSUB_EMULATOR_HOST=203\.0\.113\.7:8085 is not on this machine"):
        OPENERS[opened]()


@pytest.mark.parametrize("name", [*LOCAL, *BESIDE])
@pytest.mark.parametrize(
    "host",
    ["203.0.113.7", "example.com", "127.0.0.1.example.com", "localhost.example.com", "0.0.0.0", "[2001:db8::1]"],
)
def test_every_address_elsewhere_is_refused(name: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"http://{host}:80" if name in clients._HTTP_PLANES else f"{host}:80"
    set_all(monkeypatch, **{name: address})
    with pytest.raises(ContractError, match=f"{name}=.* is not on this machine") as refused:
        clients.check_addresses()
    assert f"Unset {name}" in refused.value.next_step


@pytest.mark.parametrize("name", [*LOCAL, *BESIDE])
@pytest.mark.parametrize("address", ["", "here", "127.0.0.1", "http://", "ftp://127.0.0.1:21", "127.0.0.1:port"])
def test_what_is_no_address_is_refused(name: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, **{name: address})
    with pytest.raises(ContractError, match=name):
        clients.check_addresses()


def test_the_form_of_the_other_protocol_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, PUBSUB_EMULATOR_HOST="http://127.0.0.1:8085")
    with pytest.raises(ContractError, match="is no address like 127"):
        clients.check_addresses()
    set_all(monkeypatch, PUBSUB_EMULATOR_HOST=LOCAL["PUBSUB_EMULATOR_HOST"], STORAGE_EMULATOR_HOST="127.0.0.1:4443")
    with pytest.raises(ContractError, match="is no address like http"):
        clients.check_addresses()


@pytest.mark.parametrize("address", ["http://me:hush@127.0.0.1:4443", "http://127.0.0.1:4443@203.0.113.7:80"])
def test_credentials_in_an_address_are_refused_and_not_repeated(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, STORAGE_EMULATOR_HOST=address)
    with pytest.raises(ContractError, match="holds credentials") as refused:
        clients.check_addresses()
    assert "hush" not in refused.value.message


def test_secrets_and_schedules_may_stand_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRETMANAGER_EMULATOR_HOST", "127.0.0.1:1")
    clients.check_addresses()


def test_every_address_that_the_sandbox_gives_is_checked() -> None:
    given = Addresses("s", "p", "b", "m", "c", "r").environment()
    assert set(given) == {*LOCAL, *BESIDE}
