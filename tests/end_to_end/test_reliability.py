"""The real chain under faults ends exactly where the quiet one does: bronze rows, ``bronze.slices``, every gold table."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import landing
from sandbox.supervisor import Supervisor
from tests.end_to_end.conftest import QUICK, TWIN, settings

pytestmark = pytest.mark.slow

MANY = 60_000
"""Rows of one big file: enough that an invocation can be caught in the middle of it."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The twin's files and one big one."""
    folder = tmp_path_factory.mktemp("files") / "exports"
    shutil.copytree(TWIN, folder)
    lines = (f"BIG{n},big{n}@example.com,2021-01-01 00:00:{n % 60:02d},NL" for n in range(MANY))
    text = "contact_id,email,created_at,country\n" + "\n".join(lines) + "\n"
    (folder / "many_contacts.csv").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def quiet(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What comes out when nothing goes wrong."""
    with Supervisor(tmp_path_factory.mktemp("quiet"), settings=settings("EUR"), dbt_command="run") as world:
        same_salt(world)
        run(world, folder)
        return snapshot(world)


def run(world: Supervisor, folder: Path, during: Callable[[], None] = lambda: None) -> None:
    landing.upload_presets(world.cloud, folder)
    landing.drop_folder(world.cloud, folder)
    during()
    world.fire("crm")
    world.wait_idle(600)


def snapshot(world: Supervisor) -> dict[str, list[str]]:
    """Every row of bronze, its ledgers and gold, without what differs from run to run: ids of runs and slices, times."""
    client = world.cloud.bigquery
    tables = {"bronze.slices": "stream, account_id, mode, file_name, file_sha256, rows, aside, non_rows, unknown_fields"}
    tables["bronze.failures"] = "distinct stream, file_name, kind, message"
    for table in client.list_tables("bronze"):
        if table.table_id not in ("slices", "failures"):
            tables[f"bronze.{table.table_id}"] = "_account_id, _row, _file, _line, payload"
    for table in client.list_tables("gold"):
        if table.table_type == "TABLE":
            tables[f"gold.{table.table_id}"] = "*"
    found = {}
    for name, columns in tables.items():
        needs_day = name.startswith("bronze.") and name not in ("bronze.slices", "bronze.failures")
        where = " where _date >= date '2000-01-01'" if needs_day else ""
        rows = client.query(f"select {columns} from {name}{where}").result()
        hidden = name.startswith("gold.")
        found[name] = sorted(str({k: v for k, v in row.items() if not (hidden and k.startswith("_"))}) for row in rows)
    return found


def assert_same(found: dict[str, list[str]], wanted: dict[str, list[str]]) -> None:
    assert found.keys() == wanted.keys()
    assert len(wanted["gold.fact_orders"]) == 120, "the quiet run itself did not fill gold"
    for name, rows in wanted.items():
        assert len(found[name]) == len(rows), f"{name}: {len(found[name])} rows, the quiet run has {len(rows)}"
        assert found[name] == rows, f"{name} differs from the quiet run"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Supervisor]:
    """A world in which a lost hint is noticed after two seconds, and a function lives for half a minute."""
    with Supervisor(
        tmp_path, settings=settings("EUR"), functions_env_overrides=QUICK, timeouts={"ingest_crm": 30}, dbt_command="run"
    ) as world:
        same_salt(world)
        yield world


def same_salt(world: Supervisor) -> None:
    """Each world has a salt of its own; hashes are compared here."""
    world.query("update silver_pii.salt set salt = 'the same' where true")


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come to that")


def test_every_event_three_times_and_out_of_order(world: Supervisor, folder: Path, quiet: dict[str, list[str]]) -> None:
    world.services.pubsub.faults.duplicate(3)
    world.services.pubsub.faults.shuffle(1.0, seed=1)
    run(world, folder)
    assert_same(snapshot(world), quiet)


def test_lost_events(world: Supervisor, folder: Path, quiet: dict[str, list[str]]) -> None:
    """A file's own event, a slice's hint, a manifest's event and a want for a transform: each lost for good, once."""
    lost: list[str] = []

    def lose(subscription: str, word: bytes) -> Callable[[str, Any], bool]:
        def matches(name: str, message: Any) -> bool:
            hit = name.endswith(f"/{subscription}") and word in message.data
            if hit:
                lost.append(subscription)
            return hit

        return matches

    faults = world.services.pubsub.faults
    faults.drop_next(lose("ingest_crm", b'"name": "orders.csv"'))
    faults.drop_next(lose("ingest_crm", b'"kind": "slice"'))
    faults.drop_next(lose("load_bronze", b"manifests/"))
    faults.drop_next(lose("start_dbt", b"transform"))
    run(world, folder)
    assert len(lost) >= 4
    assert_same(snapshot(world), quiet)


def test_functions_killed_in_the_middle(world: Supervisor, folder: Path, quiet: dict[str, list[str]]) -> None:
    killed: list[str] = []

    def kill() -> None:
        for function, status in (("ingest_crm", "running"), ("load_bronze", "extracted")):
            until(lambda status=status: any(s.status == status and s.stream == "contacts" for s in world.ledger().slices))
            assert world.kill(function) is not None
            killed.append(function)

    run(world, folder, during=kill)
    assert killed == ["ingest_crm", "load_bronze"]
    assert any(s["attempts"] > 0 or s["epoch"] > 1 for s in slices(world)), "no slice was ever begun again"
    assert_same(snapshot(world), quiet)


def slices(world: Supervisor) -> list[dict[str, Any]]:
    import json

    bucket = world.cloud.storage.bucket(world.world.state_bucket)
    return [json.loads(blob.download_as_bytes()) for blob in bucket.list_blobs(prefix="slices/")]
