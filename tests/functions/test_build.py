"""Wants and builds: none is lost, none is built twice at a time, and a killed one is made good."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline import build, clock, messages, names, runs, slices, state, transform
from tests.conftest import LocalCloud, run_door


def want(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "select": [], "full_refresh": False, **more}


@pytest.mark.usefixtures("local_cloud")
class TestClaim:
    def test_wants_are_taken_together_and_once(self) -> None:
        transform.add_want(want("a"))
        transform.add_want(want("b", select=["fact_orders"]))
        transform.add_want(want("a"))
        claimed = build.claim(60)
        assert claimed is not None
        assert (claimed.number, claimed.since, claimed.select) == (1, 0, ())
        assert transform.read().data["wants"] == []

    def test_a_second_job_goes_home(self) -> None:
        transform.add_want(want("a"))
        assert build.claim(60) is not None
        transform.add_want(want("b"))
        assert build.claim(60) is None
        assert not transform.is_due(transform.read().data)

    def test_a_redelivered_want_is_not_built_again(self) -> None:
        transform.add_want(want("a"))
        claimed = build.claim(60)
        assert claimed is not None
        build.finish(claimed, complete=True)
        assert not transform.is_due(transform.add_want(want("a")))
        assert transform.is_due(transform.add_want(want("b")))

    def test_a_complete_build_moves_the_line_and_a_failed_or_selected_one_does_not(self) -> None:
        for number, (complete, select, done) in enumerate([(True, [], 1), (False, [], 1), (True, ["x"], 1), (True, [], 4)], 1):
            transform.add_want(want(f"w{number}", select=select))
            claimed = build.claim(60)
            assert claimed is not None
            assert claimed.number == number
            build.finish(claimed, complete=complete)
            assert transform.read().data["done_build"] == done

    def test_a_killed_builds_wants_are_taken_again(self) -> None:
        transform.add_want(want("a", full_refresh=True))
        assert build.claim(-120) is not None  # its lease is over at once: the job was killed
        assert transform.is_due(transform.read().data)
        again = build.claim(60)
        assert again is not None
        assert (again.number, again.full_refresh) == (2, True)

    def test_a_build_that_was_taken_over_settles_nothing(self) -> None:
        transform.add_want(want("a"))
        slow = build.claim(-120)
        quick = build.claim(60)
        assert slow is not None
        assert quick is not None
        build.finish(slow, complete=True)
        assert transform.is_building(transform.read().data)
        assert transform.read().data["done_build"] == 0


def test_a_want_that_came_in_during_the_build_is_asked_for_at_its_end(local_cloud: LocalCloud) -> None:
    transform.add_want(want("a"))
    claimed = build.claim(60)
    assert claimed is not None
    transform.add_want(want("b"))
    build.finish(claimed, complete=True)
    (message,) = local_cloud.messages("transform")
    from pipeline import events

    assert events.read(message).body["id"] == "b"  # type: ignore[arg-type]


def test_closing_a_run_twice_wants_one_transform(local_cloud: LocalCloud) -> None:
    moment = clock.now()
    run = names.run_id("crm", moment, "seed")
    state.create(names.open_name(run), {})
    data = {"run_id": run, "slice_id": "s1", "source": "crm", "stream": "orders", "account": "default", "status": "loaded",
            "epoch": 1, "rows": 3, "aside": 0}  # fmt: skip
    state.create(names.plan_name(run), {"slices": [data]})
    slices.create_slice(data)
    assert [runs.close(run), runs.close(run)] == ["succeeded", "succeeded"]
    from pipeline import events

    ids = {events.read(message).body["id"] for message in local_cloud.messages("transform")}  # type: ignore[arg-type]
    assert len(ids) == 1


class TestStart:
    """When the job is started: at once, unless another run is about to close."""

    @pytest.fixture
    def started(self, local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        starts: list[int] = []
        monkeypatch.setattr(transform, "start_job", lambda: starts.append(1))
        return starts

    def ask(self, name: str, cloud: LocalCloud) -> None:
        messages.publish("transform", {"v": 1, "kind": "transform", "id": name})
        for message in cloud.messages("transform"):
            run_door(transform.handle, message)

    def test_a_want_starts_the_job(self, local_cloud: LocalCloud, started: list[int]) -> None:
        state.create(names.open_name("20250301T000000Z-crm-00000001"), {})  # its own run, not yet taken off the list
        self.ask("20250301T000000Z-crm-00000001.17", local_cloud)
        assert started == [1]

    def test_it_waits_for_a_run_that_was_just_opened(self, local_cloud: LocalCloud, started: list[int]) -> None:
        other = "20250301T000000Z-crm-00000002"
        state.create(names.open_name(other), {})
        self.ask("20250301T000000Z-crm-00000001.17", local_cloud)
        assert started == []
        self.ask(f"{other}.18", local_cloud)
        assert started == [1]

    def test_it_does_not_wait_for_a_long_backfill(
        self, local_cloud: LocalCloud, started: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transform, "SETTLE_SECONDS", -1)  # the other run is older than that
        state.create(names.open_name("20250301T000000Z-crm-00000002"), {})
        self.ask("20250301T000000Z-crm-00000001.17", local_cloud)
        assert started == [1]
