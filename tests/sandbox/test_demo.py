"""The demo's choices before anything is started, and its verdict at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import demo, ledger, summary
from sandbox.cloud import Cloud
from sandbox.demo import DemoOptions, exports_of, settings_of
from sandbox.engines.storage import StorageEngine
from sandbox.progress import Progress
from sandbox.provision import make_buckets
from sandbox.world import Addresses, World, WorldError

RUN = "20250630T051500Z-crm-0123abcd"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    world = World(tmp_path / "home")
    engine = StorageEngine(world.engine("storage"))
    cloud = Cloud(world, Addresses(engine.start(), pubsub="", bigquery="", secret_manager="", scheduler="", run=""))
    make_buckets(cloud)
    yield cloud
    cloud.close()
    engine.stop()


def _put(cloud: Cloud, name: str, content: object, **metadata: str) -> None:
    blob = cloud.storage.bucket(cloud.world.state_bucket).blob(name)
    blob.metadata = metadata
    blob.upload_from_string(json.dumps(content))


def _exports(folder: Path, *currencies: str) -> Path:
    folder.mkdir()
    rows = "".join(f"{number},2025-06-01T10:00:00Z,10.00,{code}\n" for number, code in enumerate(currencies))
    (folder / "orders.csv").write_text(f"order_id,order_at,amount,currency\n{rows}")
    return folder


def _judged(cloud: Cloud) -> summary.Summary:
    found = summary.Summary()
    state = ledger.read(cloud)
    summary.judge_slices(cloud, state, found)
    summary.judge_build(cloud, state, found)
    return found


def _build(cloud: Cloud, *, done: int, **statuses: str) -> None:
    _put(cloud, "transform.json", {"build": 1, "done_build": done, "building": None, "wants": []})
    results: list[dict[str, Any]] = [
        {"unique_id": name.replace("__", "."), "status": status, "message": "why"} for name, status in statuses.items()
    ]
    _put(cloud, "builds/1/artifacts/run_results.json", {"results": results})


def test_a_missing_environment_is_named_with_make_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "PROJECT_ROOT", tmp_path)
    monkeypatch.setattr(demo, "DBT_PYTHON", tmp_path / ".venvs" / "dbt" / "bin" / "python")
    with pytest.raises(WorldError, match=r"\.venvs/dbt/bin/python is missing: run `make install`"):
        demo.check_environments()


def test_a_data_folder_that_is_not_there_fails_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="is not a folder"):
        demo.demo(DemoOptions(tmp_path / "home", tmp_path / "none"), Progress())
    assert not (tmp_path / "home").exists()


def test_the_reporting_currency_is_the_orders_commonest(tmp_path: Path) -> None:
    folder = _exports(tmp_path / "exports", "SEK", "GBP", "GBP")
    options = DemoOptions(tmp_path / "home", folder)
    assert settings_of(options, folder).reporting_currency == "GBP"
    chosen = DemoOptions(tmp_path / "home", folder, currency="USD")
    assert settings_of(chosen, folder).reporting_currency == "USD"


def test_a_home_keeps_its_data_its_seed_and_its_currency(tmp_path: Path) -> None:
    folder = _exports(tmp_path / "exports", "GBP")
    home = tmp_path / "home"
    World(home).write_settings(settings_of(DemoOptions(home, folder), folder))
    assert settings_of(DemoOptions(home, folder), folder).reporting_currency == "GBP"
    with pytest.raises(WorldError, match="holds data folder"):
        settings_of(DemoOptions(home), folder)
    with pytest.raises(WorldError, match="reports in GBP"):
        settings_of(DemoOptions(home, folder, currency="USD"), folder)


def test_the_company_s_exports_are_written_once(tmp_path: Path) -> None:
    options = DemoOptions(tmp_path / "home")
    folder = exports_of(options)
    names = sorted(path.name for path in folder.iterdir())
    assert "presets.yaml" in names
    (folder / names[0]).write_text("changed by hand")
    assert exports_of(options) == folder
    assert (folder / names[0]).read_text() == "changed by hand"


def test_a_file_that_was_set_aside_is_told_and_is_no_problem(cloud: Cloud) -> None:
    error = {"kind": "file_set_aside", "message": "no preset knows it", "next_step": "write one"}
    state = {"slice_id": "s1", "stream": "orders", "request": {"file": {"name": "odd.csv"}}, "error": error}
    _put(cloud, f"slices/{RUN}/s1.json", state, status="failed", error_kind="file_set_aside")
    _build(cloud, done=1, model__a="success", test__b="warn")
    found = _judged(cloud)
    assert found.problems == []
    assert found.set_aside_files == [("odd.csv", "no preset knows it — write one")]
    assert (found.models, found.tests, found.warnings) == (1, 1, 1)


def test_any_other_failed_slice_is_a_problem(cloud: Cloud) -> None:
    error = {"kind": "load_refused", "message": "BigQuery said no", "next_step": "look"}
    _put(cloud, f"slices/{RUN}/s1.json", {"slice_id": "s1", "stream": "orders", "error": error}, status="failed")
    _build(cloud, done=1, model__a="success")
    assert _judged(cloud).problems == ["slice s1 (orders) failed: BigQuery said no — look"]


@pytest.mark.parametrize("status", ["error", "fail"])
def test_a_failed_node_is_a_problem_by_its_name(cloud: Cloud, status: str) -> None:
    _build(cloud, done=0, model__a="success", test__b=status)
    assert _judged(cloud).problems == [f"dbt test.b: {status}: why"]


def test_a_build_that_left_nothing_is_a_problem(cloud: Cloud) -> None:
    assert _judged(cloud).problems == ["no dbt build has run"]
    _put(cloud, "transform.json", {"build": 1, "done_build": 0, "building": None, "wants": []})
    assert _judged(cloud).problems == ["dbt build 1 did not end well; see the log of the dbt job"]


def test_open_runs_and_dead_letters_are_problems(cloud: Cloud) -> None:
    _build(cloud, done=1, model__a="success")
    _put(cloud, f"open/{RUN}", {})
    _put(cloud, "dead/1.json", {})
    assert _judged(cloud).problems == [f"run {RUN} is still open", "1 dead letters; see the console"]
