"""What the account of each file says, from the state and the objects that the pipeline itself wrote."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from pipeline import ingest
from sandbox import file_report
from sandbox.cloud import Cloud
from sandbox.file_report import FileAccount
from sandbox.world import Addresses, World
from tests.conftest import PROJECT, LocalCloud, run_door

ORDERS = """\
order_id,order_at,amount,currency,gift note
O1,2024-05-01T10:00:00Z,10.00,EUR,
O2,2024-05-01T11:00:00Z,ten,EUR,

O3,2024-05-01T12:00:00Z,eleven,EUR,happy birthday
O4,2024-05-01T13:00:00Z,14.00
O5,2024-05-01T13:00:00Z,15.00,EUR,
"""


@contextmanager
def seen_by_the_sandbox(local_cloud: LocalCloud) -> Iterator[Cloud]:
    """The sandbox's own clients of the deployment that a test filled."""
    assert local_cloud.storage.store is not None
    storage = local_cloud.storage.store.address
    world = World(Path("no home needed"), project=PROJECT)
    cloud = Cloud(world, Addresses(storage, pubsub="", bigquery="", secret_manager="", scheduler="", run=""))
    yield cloud
    cloud.close()


def extract_all(local_cloud: LocalCloud) -> None:
    while messages := local_cloud.messages("crm"):
        for message in messages:
            run_door(ingest.handle, message)


@pytest.fixture
def found(local_cloud: LocalCloud) -> dict[str, FileAccount]:
    local_cloud.drop("orders.csv", ORDERS)
    local_cloud.drop("copy of orders.csv", ORDERS)
    local_cloud.drop("weather.csv", "day,degrees\n2024-05-01,20\n")
    extract_all(local_cloud)
    with seen_by_the_sandbox(local_cloud) as cloud:
        return {account.name: account for account in file_report.accounts(cloud)}


def test_every_row_of_a_file_is_accounted_for(found: dict[str, FileAccount]) -> None:
    read = [account for name, account in found.items() if "orders" in name and account.in_file is not None]
    assert len(read) == 1, "the same bytes are read once"
    (orders,) = read
    assert (orders.in_file, orders.loaded, orders.aside, orders.non_rows) == (6, 2, 3, 1)
    assert orders.preset == "canonical:orders"
    assert "2 × unreadable_decimal in amount, first in line 3: 'ten'" in orders.notes
    assert "1 × ragged_row, first in line 6: '3 cells, header has 5'" in orders.notes
    assert "columns that no field takes: gift note" in orders.notes


def test_a_file_that_was_not_read_says_why(found: dict[str, FileAccount]) -> None:
    (again,) = (account for name, account in found.items() if "orders" in name and account.in_file is None)
    assert again.status == "skipped"
    assert "the same bytes" in again.notes[0]
    weather = found["weather.csv"]
    assert (weather.status, weather.in_file) == ("set aside", None)
    assert "day, degrees" in weather.notes[0]
    assert " — " in weather.notes[0], "the next step stands behind the reason"


def test_it_is_shown_for_people(found: dict[str, FileAccount]) -> None:
    text = io.StringIO()
    file_report.show(Console(file=text, width=200, highlight=False), list(found.values()))
    assert "= loaded" in text.getvalue()
    assert "weather.csv (unrecognised): weather.csv" in text.getvalue()
    empty = io.StringIO()
    file_report.show(Console(file=empty), [])
    assert empty.getvalue() == "no file was dropped yet\n"
