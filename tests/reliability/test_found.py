"""Holes that the storms found, each with the one fault that shows it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipeline import bronze, errors, ingest, names, runs, slices, state
from pipeline.sources import Page
from tests.conftest import LocalCloud, run_door
from tests.reliability.exports import exports
from tests.reliability.outcome import Outcome, differences, outcome
from tests.reliability.storm import QUIET, FailedJob, Fault, Storm
from tests.reliability.stormy_world import StormyWorld

ORDERS = "order_id,contact_id,order_at,amount,currency\n" + "".join(
    f"O{n},C{n},2025-03-{n + 1:02d} 10:00:00,{n}.50,EUR\n" for n in range(20)
)


def calm_but(*faults: Fault, failed_jobs: tuple[FailedJob, ...] = ()) -> Storm:
    """A quiet day with these faults."""
    return replace(QUIET, big=False, faults=faults, failed_jobs=failed_jobs)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("storm", "file", "builds"),
    [
        # The state said "failed", the note for the warehouse came after it, and a settled slice is never looked at again.
        pytest.param(
            calm_but(Fault("ingest_crm", "storage", 1, "killed before", where="failures/")),
            "poster.pdf",
            1,
            id="a failure that nobody notes",
        ),
        # The client asks again, meets its own job, and the build died of "already exists".
        pytest.param(
            calm_but(Fault("dbt", "bigquery", 1, "answer lost", where="slices-1-")),
            "tickets.csv",
            1,
            id="a registration whose answer is lost",
        ),
        # The build ended as failed, with the wants that it had taken: nothing asked for another one.
        pytest.param(
            calm_but(failed_jobs=(FailedJob("slices", 1, "backendError"),)),
            "tickets.csv",
            2,
            id="a registration that fails in passing",
        ),
    ],
)
def test_a_single_fault_is_made_good(storm: Storm, file: str, builds: int, world: StormyWorld, quiet: Outcome) -> None:
    """One file, so that no other run's transform makes good what this one's did not."""
    files = [export for export in exports(big=False) if export.name == file]
    world.clear()
    happened = world.trial(storm, files)
    assert sum(happened.faults.values()) == 1, "the fault found no call"
    assert list(differences(outcome(world), quiet, files)) == []
    assert world.ledger().done_build == builds


def planned(cloud: LocalCloud) -> slices.Slice:
    """A slice that was released, and its message taken by nobody."""
    cloud.drop("orders.csv", ORDERS)
    (event,) = cloud.messages("crm")
    run_door(ingest.handle, event)
    (data,) = cloud.state("slices/").values()
    piece = slices.read_slice(data["run_id"], data["slice_id"])
    assert piece is not None
    return piece


def test_a_page_that_is_half_written_when_storage_fails_is_not_kept(local_cloud: LocalCloud) -> None:
    """Its rows lay in the open part and the cursor before them: the continuation wrote them a second time."""

    class Torn(list[Any]):
        """Set-aside rows that break off: what the writer has of the page by then are its rows."""

        def __iter__(self) -> Any:
            raise errors.Retryable("Storage is out of reach")

    piece = planned(local_cloud)
    extraction = ingest.Extraction(piece, slices.claim(piece), ends_at=float("inf"))
    rows: list[dict[str, str]] = [{"order_id": "O1"}]
    extraction._keep(Page(rows=rows, cursor={"rows": 1}))
    page = Page(rows=[{"order_id": "O2"}], cursor={"rows": 2})
    extraction.writer.add(page, None)  # it got so far
    page.aside = Torn()
    with pytest.raises(errors.Retryable):
        extraction._keep(page)
    extraction.sleep(20, "Storage is out of reach")
    stored = slices.read_slice(piece.run, piece.id)
    assert stored is not None
    kept = stored.data["checkpoint"]
    assert sum(part["rows"] for part in (kept or {}).get("parts", [])) == ((kept or {}).get("cursor") or {"rows": 0})["rows"]


def test_a_manifest_that_outranks_a_failure_opens_the_run_again(local_cloud: LocalCloud) -> None:
    """A zombie's manifest made a failed slice "extracted"; its run was closed, so nobody looked after the load."""
    piece = planned(local_cloud)
    piece.change(status="failed", error={"kind": "dies_each_time", "message": "…", "next_step": "…"})
    assert runs.close(piece.run) == "failed"
    piece.data["as_of"] = "2025-03-01T00:00:00+00:00"
    bronze.write_manifest(piece.data, bronze.SliceWriter(piece.data), {})
    ingest.extract(piece.run, piece.id, piece.epoch)
    assert state.exists(names.open_name(piece.run))
    assert [data["status"] for data in local_cloud.state("slices/").values()] == ["extracted"]


def test_a_stale_hint_does_not_repeat_a_load_that_was_refused(local_cloud: LocalCloud) -> None:
    piece = planned(local_cloud)
    piece.data["as_of"] = "2025-03-01T00:00:00+00:00"
    bronze.write_manifest(piece.data, bronze.SliceWriter(piece.data), {})
    local_cloud.messages("manifests")
    refused = {"kind": "load_refused", "message": "…", "next_step": "…"}
    piece.change(status="failed", rows=0, error=refused)
    ingest.extract(piece.run, piece.id, piece.epoch)
    assert local_cloud.messages("manifests") == []
    assert [data["status"] for data in local_cloud.state("slices/").values()] == ["failed"]
