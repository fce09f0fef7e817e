"""The ledger: created once, replaced only by who read the newest, and one's own lost answer is no conflict."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pipeline import clients, state
from tests.conftest import LocalCloud, forget_clients


@pytest.mark.usefixtures("local_cloud")
class TestLedger:
    def test_the_first_creation_holds(self) -> None:
        assert state.create("a", {"n": 1}) is not None
        assert state.create("a", {"n": 2}) is None
        assert state.create_or_read("a", {"n": 3}).data["n"] == 1

    def test_only_the_newest_generation_is_replaced(self) -> None:
        first = state.create_or_read("a", {"n": 1})
        second = state.replace(first, {"n": 2})
        with pytest.raises(state.Conflict):
            state.replace(first, {"n": 9})
        assert state.replace(second, {"n": 3}).data["n"] == 3

    def test_one_of_many_creators_wins(self) -> None:
        with ThreadPoolExecutor(8) as pool:
            created = list(pool.map(lambda n: state.create("a", {"n": n}), range(16)))
        winners = [stored for stored in created if stored is not None]
        assert len(winners) == 1
        stored = state.read("a")
        assert stored is not None
        assert stored.data["n"] == winners[0].data["n"]

    def test_a_deleted_object_cannot_be_replaced(self) -> None:
        stored = state.create_or_read("a", {"n": 1})
        state.delete("a")
        state.delete("a")  # gone already: fine
        with pytest.raises(state.Conflict):
            state.replace(stored, {"n": 2})

    def test_metadata_shows_in_a_listing(self) -> None:
        state.create("x/1", {}, {"status": "planned"})
        state.create("x/2", {}, {"status": "loaded"})
        state.create("y/1", {})
        listed = list(state.listing("x/"))
        assert [(one.name, one.metadata["status"]) for one in listed] == [("x/1", "planned"), ("x/2", "loaded")]

    def test_the_answer_of_a_write_that_landed_may_be_lost(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The client repeats the upload, the repetition fails its own precondition: read back, it is ours."""
        from google.api_core.exceptions import PreconditionFailed
        from google.cloud.storage import Blob

        upload = Blob.upload_from_string

        def lose_the_answer(self: Blob, *args: Any, **more: Any) -> None:
            upload(self, *args, **more)
            raise PreconditionFailed("the repetition met the first try")

        monkeypatch.setattr(Blob, "upload_from_string", lose_the_answer)
        stored = state.create("a", {"n": 1})
        assert stored is not None
        assert stored.data["n"] == 1
        found = clients.state_bucket().get_blob("a")
        assert (stored.generation, stored.updated) == (found.generation, found.updated)

    def test_an_object_that_is_not_there_costs_one_call(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The Storage client would look for the bucket too, in a thread of its own, each time that an object is not found."""
        started: list[str] = []
        start = threading.Thread.start

        def noted(self: threading.Thread) -> None:
            started.append(self.name)
            start(self)

        forget_clients()  # the one that made the buckets knows them
        monkeypatch.setattr(threading.Thread, "start", noted)
        for _ in range(3):
            assert state.read("b") is None
        assert [name for name in started if "background" in name] == []


def test_a_listing_follows_its_pages(local_cloud: LocalCloud) -> None:
    for number in range(12):
        state.create(f"many/{number:02d}", {})
    assert [one.name for one in state.listing("many/", limit=5)] == [f"many/{n:02d}" for n in range(5)]
    assert len(list(state.listing("many/"))) == 12
