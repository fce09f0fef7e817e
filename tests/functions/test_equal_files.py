"""Two equal files that are dropped at the same moment: one is loaded, the other goes as soon as that is certain."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline import events, ingest, runs, slices, sweep
from pipeline.slices import Slice
from pipeline.sources.crm.fetching import PAGE_ROWS
from sandbox.engines.faults import Delay
from tests.conftest import LocalCloud, Message, run_door
from tests.functions.test_ingest import manifests, work

ROWS = PAGE_ROWS + 10
ORDERS = "order_id,order_at,amount,currency\n" + "".join(f"O{n},2025-03-01 10:00:00,1.00,EUR\n" for n in range(ROWS))


class Pair:
    """Two equal files: the first is under way, one page is kept of it; the second is about to be read."""

    def __init__(self, cloud: LocalCloud, patch: pytest.MonkeyPatch) -> None:
        self.cloud = cloud
        for name in ("orders.csv", "copy of orders.csv"):
            cloud.drop(name, ORDERS)
        for event in cloud.messages("crm"):
            run_door(ingest.handle, event)
        first, self.second_message = cloud.messages("crm")
        self.reads = cloud.storage.faults.add(Delay(0), method="objects.download", name="*-landing/*", count=None)
        with patch.context() as no_time:
            no_time.setenv("PIPELINE_TIMEOUT_SECONDS", "0")  # the first hands over after its first page
            run_door(ingest.handle, first)
        (self.first_message,) = cloud.messages("crm")

    def slice_of(self, message: Message) -> Slice:
        body = events.read(message).body  # type: ignore[arg-type]  # the same shape as a CloudEvent
        piece = slices.read_slice(body["run_id"], body["slice_id"])
        assert piece is not None
        return piece

    @property
    def first(self) -> Slice:
        return self.slice_of(self.first_message)

    @property
    def second(self) -> Slice:
        return self.slice_of(self.second_message)

    @property
    def rows(self) -> list[int]:
        return [manifest["rows"] for manifest in manifests(self.cloud)]


@pytest.fixture
def pair(local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> Pair:
    return Pair(local_cloud, monkeypatch)


def test_the_second_is_skipped_as_soon_as_the_first_is_read_and_is_not_read_again(pair: Pair, local_cloud: LocalCloud) -> None:
    run_door(ingest.handle, pair.second_message)
    assert (pair.second.status, pair.second.data["waits_for"]) == ("waiting", f"{pair.first.run}/{pair.first.id}")
    assert local_cloud.messages("crm") == [], "it is not woken before there is something to decide"
    run_door(ingest.handle, pair.first_message)
    (woken,) = local_cloud.messages("crm")
    run_door(ingest.handle, woken)
    assert (pair.first.status, pair.second.status) == ("extracted", "skipped")
    assert pair.rows == [ROWS]
    assert pair.reads.hits == 2, "each file is read once"


def test_the_second_is_loaded_when_the_first_fails(pair: Pair, local_cloud: LocalCloud) -> None:
    run_door(ingest.handle, pair.second_message)
    pair.first.change(attempts=slices.MAX_CLAIMS_WITHOUT_PROGRESS)
    run_door(ingest.handle, pair.first_message)
    work(local_cloud)
    assert (pair.first.status, pair.second.status) == ("failed", "extracted")
    assert pair.rows == [ROWS]
    assert pair.reads.hits == 2


def test_the_second_is_woken_by_the_sweeper_when_the_first_is_killed_after_its_last_word(
    pair: Pair, local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_door(ingest.handle, pair.second_message)

    def killed(*args: Any) -> int:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(runs, "release", killed)
        with pytest.raises(SystemExit):
            run_door(ingest.handle, pair.first_message)
    assert (pair.first.status, pair.second.status) == ("extracted", "waiting")
    assert sweep.sweep()["released"] == 1
    work(local_cloud)
    assert pair.second.status == "skipped"


def test_a_first_that_ends_while_the_second_lies_down_is_not_missed(
    pair: Pair, local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end came before there was anybody to wake; so who lies down looks once more."""
    sleep = ingest.Extraction.sleep

    def sleep_late(extraction: ingest.Extraction, *args: Any, **more: Any) -> None:
        run_door(ingest.handle, pair.first_message)
        sleep(extraction, *args, **more)

    monkeypatch.setattr(ingest.Extraction, "sleep", sleep_late)
    run_door(ingest.handle, pair.second_message)
    work(local_cloud)
    assert (pair.first.status, pair.second.status) == ("extracted", "skipped")


def test_a_first_that_never_ends_is_asked_after_now_and_then(pair: Pair, local_cloud: LocalCloud) -> None:
    for _ in range(3):
        run_door(ingest.handle, pair.second_message)
        assert sweep.sweep()["slices"] == 0, "not before its time"
        pair.second.change(not_before="2025-01-01T00:00:00+00:00")
        assert sweep.sweep()["slices"] == 1
        (pair.second_message,) = local_cloud.messages("crm")
    assert pair.second.data["attempts"] <= 1, "waiting is no failed try"
    assert pair.reads.hits == 2


def test_a_second_whose_file_is_replaced_while_it_waits_says_so(pair: Pair, local_cloud: LocalCloud) -> None:
    run_door(ingest.handle, pair.second_message)
    local_cloud.drop("copy of orders.csv", ORDERS + "x")
    pair.first.change(attempts=slices.MAX_CLAIMS_WITHOUT_PROGRESS)
    run_door(ingest.handle, pair.first_message)
    work(local_cloud)
    assert pair.second.data["error"]["kind"] == "landing_overwritten"
    assert pair.rows == [ROWS], "its successor has the rows"
