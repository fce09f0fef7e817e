"""What the state bucket says, and how it is told."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import ledger
from sandbox.cloud import Cloud
from sandbox.dbt_runner import Nodes
from sandbox.engines.storage import StorageEngine
from sandbox.progress import Progress, describe
from sandbox.provision import make_buckets
from sandbox.world import Addresses, World

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


def test_an_empty_bucket_is_settled(cloud: Cloud) -> None:
    state = ledger.read(cloud)
    assert state.settled
    assert (state.build, state.done_build, state.building) == (0, 0, None)


def test_runs_slices_and_transform(cloud: Cloud) -> None:
    _put(cloud, f"open/{RUN}", {})
    _put(cloud, f"slices/{RUN}/s1.json", {}, status="loaded", stream="orders", rows="10", aside="1")
    error = {"kind": "file_set_aside", "message": "no preset", "next_step": "write one"}
    _put(cloud, f"slices/{RUN}/s2.json", {"slice_id": "s2", "error": error}, status="failed", error_kind="file_set_aside")
    _put(cloud, "transform.json", {"build": 2, "done_build": 1, "building": {"build": 2}, "wants": [{"id": "x"}]})
    state = ledger.read(cloud)
    assert state.open_runs == (RUN,)
    assert (state.rows, state.aside) == (10, 1)
    assert (state.build, state.done_build, state.building) == (2, 1, 2)
    assert not state.settled
    assert [failed["error"] for failed in ledger.failures(cloud, state)] == [error]
    assert describe(state, Nodes(3, 12)) == (
        "1 run (1 open) · slices: 1 loaded, 1 failed · 10 rows loaded · 1 row set aside · dbt build 2: 3 of 12 nodes"
    )


def test_a_run_that_could_not_be_planned_is_found_by_its_outcome(cloud: Cloud) -> None:
    error = {"kind": "ask", "message": "no such stream", "next_step": "ask for another"}
    outcome = {"run_id": RUN, "status": "failed", "error": error}
    _put(cloud, f"outcomes/2025-06-30/{RUN}.json", outcome, status="failed")
    _put(cloud, "outcomes/2025-06-30/20250630T051500Z-crm-00000000.json", {}, status="succeeded")
    state = ledger.read(cloud)
    assert len(state.runs) == 2
    assert ledger.unplanned(cloud, state) == [outcome]


@pytest.mark.parametrize("left", ["open", "want", "building"])
def test_each_thing_that_is_left_is_not_settled(cloud: Cloud, left: str) -> None:
    if left == "open":
        _put(cloud, f"open/{RUN}", {})
    want = [{"id": "x"}] if left == "want" else []
    building = {"build": 1} if left == "building" else None
    _put(cloud, "transform.json", {"build": 1, "done_build": 0, "building": building, "wants": want})
    assert not ledger.read(cloud).settled


def test_dbt_s_results_come_from_the_build_s_artifacts(cloud: Cloud) -> None:
    assert ledger.dbt_results(cloud, 3) == []
    results = [{"unique_id": "model.x", "status": "success", "message": "", "execution_time": 1.0}]
    _put(cloud, "builds/3/artifacts/run_results.json", {"results": results})
    assert ledger.dbt_results(cloud, 3) == results


def test_without_a_terminal_progress_is_plain_lines() -> None:
    out = io.StringIO()
    progress = Progress(out)
    with progress.stage("load [x]"):
        progress.show("1 of 2 [files]")
    progress.say("done")
    assert "\x1b" not in out.getvalue()
    assert "1 of 2 [files]" in out.getvalue()
    assert out.getvalue().splitlines()[-1] == "done"
    assert progress.seconds["load [x]"] >= 0
