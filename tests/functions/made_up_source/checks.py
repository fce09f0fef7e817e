"""Run against a copy of ``functions/`` that has the made-up source; see ``test_adding_a_source.py``."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline import clients, contract, ingest, names, plan, sweep
from tests.conftest import LocalCloud, run_door


def work(cloud: LocalCloud) -> None:
    for _ in range(30):
        waiting = cloud.messages("weather")
        for message in waiting:
            run_door(ingest.handle, message)
        if not waiting and not sweep.sweep()["slices"]:
            return
    raise AssertionError("the run does not come to rest")


def manifests() -> list[dict[str, Any]]:
    return [json.loads(blob.download_as_bytes()) for blob in clients.bronze_bucket().list_blobs(prefix="manifests/")]


def start(**asked: Any) -> str:
    moment = datetime(2025, 3, 8, 23, 30, tzinfo=UTC)
    run = names.run_id("weather", moment, json.dumps(asked))
    plan.start(run, {"source": "weather", **asked}, moment)
    return run


@pytest.fixture(autouse=True)
def accounts(local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    stations = [{"id": "oslo", "time_zone": "Europe/Oslo"}, {"id": "lima", "time_zone": "America/Lima"}]
    monkeypatch.setenv("PIPELINE_ACCOUNTS", json.dumps({"weather": stations}))


def test_windows_are_cut_in_each_accounts_own_day(local_cloud: LocalCloud) -> None:
    start()
    windows = {(s["account"], s["from"], s["to"]) for s in local_cloud.state("slices/").values()}
    assert windows == {
        ("oslo", "2025-03-07", "2025-03-09"), ("oslo", "2025-03-04", "2025-03-06"), ("oslo", "2025-03-03", "2025-03-03"),
        ("lima", "2025-03-06", "2025-03-08"), ("lima", "2025-03-03", "2025-03-05"), ("lima", "2025-03-02", "2025-03-02"),
    }  # fmt: skip


def test_every_day_is_extracted_once_through_waits_and_continuations(local_cloud: LocalCloud) -> None:
    start(**{"from": "2025-02-25", "to": "2025-03-08"})
    work(local_cloud)
    days = []
    for manifest in manifests():
        assert manifest["api"] == {"version": "v1"}
        for part in manifest["parts"]:
            raw = clients.bronze_bucket().blob(part["name"]).download_as_bytes(raw_download=True)
            for line in gzip.decompress(raw).splitlines():
                row = json.loads(line)
                assert row["payload"]["degrees"] == str(2**70), "a number beyond 64 bits is kept as text"
                days.append((row["_account_id"], row["payload"]["day"]))
    assert len(days) == len(set(days)) == 2 * 12
    assert sum(manifest["aside"] for manifest in manifests()) == 2, "NaN is no JSON: set aside on 1 March"
    assert sum(manifest["unknown_fields"]["sky"] for manifest in manifests()) == 24
    assert {s["status"] for s in local_cloud.state("slices/").values()} == {"extracted"}


def test_one_bad_account_fails_alone_and_says_what_to_do(local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_ACCOUNTS", json.dumps({"weather": [{"id": "lima"}, {"id": "atlantis"}]}))
    start(**{"from": "2025-03-08", "to": "2025-03-08"})
    work(local_cloud)
    found = {s["account"]: s for s in local_cloud.state("slices/").values()}
    assert found["lima"]["status"] == "extracted"
    assert found["atlantis"]["error"] == {
        "kind": "no_account",
        "message": "the station 'atlantis' does not exist",
        "next_step": "Remove it from the accounts.",
    }


def test_no_more_slices_fly_than_the_contract_allows(local_cloud: LocalCloud) -> None:
    start(**{"from": "2025-01-01", "to": "2025-03-08"})
    assert len(local_cloud.messages("weather")) == contract.load().source("weather").parallel_slices
