"""Which of several equal files is loaded: in every order of names, versions, workers and failures."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import arrivals, clients, contract, names, slices, state
from pipeline.sources import Account, PlannedSlice, Task
from tests.conftest import LocalCloud, cloud_at

SOURCE = contract.load().source("crm")
RUN = "20240704T051500Z-crm-00000000"
START = datetime(2024, 7, 4, 5, tzinfo=UTC)
_accounts = itertools.count()


@dataclass
class Dropped:
    """A file that landed, and the slice that is to load it."""

    content: str
    task: Task
    data: dict[str, Any]

    @property
    def status(self) -> str:
        piece = slices.read_slice(RUN, self.data["slice_id"])
        assert piece is not None
        return piece.status

    def set(self, status: str) -> None:
        piece = slices.read_slice(RUN, self.data["slice_id"])
        assert piece is not None
        piece.change(status=status)

    def plan(self) -> None:
        arrivals.note(self.data)
        slices.create_slice(self.data)

    def claim(self) -> arrivals.Verdict:
        return arrivals.claim(self.task, self.content).verdict


class Drops:
    """Files that land one after the other, in an account of their own."""

    def __init__(self, mode: str = "upsert", stream: str = "contacts") -> None:
        self.mode = mode
        self.stream = SOURCE.streams[stream]
        self.account = f"account-{next(_accounts)}"
        self.count = 0
        state.create(names.open_name(RUN), {})

    def drop(self, content: str, name: str = "a.csv", days: tuple[int, int] | None = None, *, planned: bool = True) -> Dropped:
        self.count += 1
        updated = (START + timedelta(seconds=self.count)).isoformat()
        file = {"bucket": "test-project-landing", "name": name, "generation": str(self.count), "size": 9, "md5": content,
                "updated": updated}  # fmt: skip
        window = tuple(date(2024, 7, day) for day in days) if days else (None, None)
        piece = PlannedSlice(
            self.stream.name, self.account, self.mode, {"file": file, "preset": {}}, *window, f"{name}#{self.count}"
        )
        data = slices.initial(RUN, piece, contract.load())
        task = Task(RUN, data["slice_id"], SOURCE, self.stream, Account(self.account), *window, piece.request, mode=self.mode)
        dropped = Dropped(content, task, data)
        if planned:
            dropped.plan()
        return dropped

    def load(self, *args: Any, **more: Any) -> str:
        """Drop a file and bring its slice to its end at once; returns ``loaded`` or ``skipped``."""
        dropped = self.drop(*args, **more)
        status = {"mine": "loaded", "loaded_elsewhere": "skipped", "in_flight_elsewhere": "waits"}[dropped.claim()]
        dropped.set(status if status != "waits" else "waiting")
        return status


@pytest.mark.usefixtures("local_cloud")
class TestRules:
    @pytest.mark.parametrize("mode", ["upsert", "snapshot", "dates"])
    def test_a_file_that_goes_back_to_what_it_was_is_loaded_again(self, mode: str) -> None:
        drops = Drops(mode)
        days = (1, 7) if mode == "dates" else None
        assert [drops.load(version, days=days) for version in ("v1", "v1", "v2", "v2", "v1", "v1")] == [
            "loaded", "skipped", "loaded", "skipped", "loaded", "skipped",
        ]  # fmt: skip

    def test_a_copy_under_a_new_name_is_skipped(self) -> None:
        drops = Drops()
        assert [drops.load(*file) for file in (("v1", "a.csv"), ("v2", "b.csv"), ("v1", "c.csv"), ("v1", "c.csv"))] == [
            "loaded", "loaded", "skipped", "skipped",
        ]  # fmt: skip
        assert drops.load("v3", "c.csv") == "loaded"
        assert drops.load("v1", "c.csv") == "loaded"

    def test_a_list_of_the_whole_is_compared_with_the_list_before_it_whatever_its_name(self) -> None:
        drops = Drops("snapshot")
        files = [("v1", "1.csv"), ("v1", "2.csv"), ("v2", "3.csv"), ("v1", "4.csv")]
        assert [drops.load(*file) for file in files] == ["loaded", "skipped", "loaded", "loaded"]

    def test_equal_files_of_other_days_are_other_files(self) -> None:
        """Two days without any order: both files hold a header alone, and both say something."""
        drops = Drops("dates")
        assert drops.load("header", "1.csv", (1, 1)) == "loaded"
        assert drops.load("header", "2.csv", (2, 2)) == "loaded"
        assert drops.load("header", "2 copy.csv", (2, 2)) == "skipped"
        assert drops.load("week", "week.csv", (1, 7)) == "loaded"
        assert drops.load("header", "2.csv", (2, 2)) == "loaded"

    def test_one_file_feeds_two_streams(self) -> None:
        drops = Drops()
        first = drops.load("v1")
        drops.stream = SOURCE.streams["orders"]
        assert (first, drops.load("v1"), drops.load("v1")) == ("loaded", "loaded", "skipped")

    def test_equal_files_at_once_are_loaded_once(self) -> None:
        drops = Drops()
        one, two = drops.drop("v1", "a.csv"), drops.drop("v1", "b.csv")
        assert (two.claim(), one.claim(), two.claim()) == ("mine", "in_flight_elsewhere", "mine")
        two.set("loaded")
        assert one.claim() == "loaded_elsewhere"

    def test_an_owner_that_failed_is_taken_over_and_its_retry_finds_it_so(self) -> None:
        drops = Drops()
        one, two = drops.drop("v1", "a.csv"), drops.drop("v1", "b.csv")
        assert one.claim() == "mine"
        one.set("failed")
        assert two.claim() == "mine"
        one.set("planned")
        assert one.claim() == "in_flight_elsewhere"
        two.set("loaded")
        assert one.claim() == "loaded_elsewhere"

    def test_a_version_that_failed_does_not_stand_between(self) -> None:
        drops = Drops()
        assert drops.load("v1") == "loaded"
        wrong = drops.drop("v2")
        again = drops.drop("v1")
        assert wrong.claim() == "mine"
        assert again.claim() == "in_flight_elsewhere"
        wrong.set("failed")
        assert again.claim() == "loaded_elsewhere"

    def test_content_that_was_loaded_stays_known_when_its_next_holder_fails(self) -> None:
        drops = Drops()
        assert [drops.load("v1"), drops.load("v2")] == ["loaded", "loaded"]
        back = drops.drop("v1")
        assert back.claim() == "mine"
        back.set("failed")
        assert drops.load("v1", "copy.csv") == "skipped"

    def test_a_list_waits_for_an_older_one_whose_event_is_late(self) -> None:
        drops = Drops("snapshot")
        assert drops.load("v1") == "loaded"
        clients.landing_bucket().blob("late.csv").upload_from_string("v2")
        late = clients.landing_bucket().get_blob("late.csv")
        newest = drops.drop("v1", planned=False)
        file = newest.task.request["file"]
        file["updated"], file["generation"] = (late.updated + timedelta(seconds=1)).isoformat(), str(late.generation + 1)
        newest.plan()
        assert newest.claim() == "in_flight_elsewhere"
        state.create(names.seen_name("test-project-landing", "late.csv", str(late.generation)), {})
        assert newest.claim() == "loaded_elsewhere"


@pytest.fixture(scope="module")
def shared_cloud() -> Iterator[LocalCloud]:
    with tempfile.TemporaryDirectory() as folder, cloud_at(Path(folder)) as cloud:
        yield cloud


def collapsed(contents: Sequence[str]) -> list[str]:
    return [content for content, _ in itertools.groupby(contents)]


def play(drops: Drops, files: list[tuple[str, str]], choices: Iterator[int], *, may_fail: bool) -> list[tuple[Dropped, str]]:
    """Have workers take slices up in any order, end and fail in any order, until every slice is settled."""
    dropped = [drops.drop(content, name) for content, name in files]
    open_, held, ended = list(dropped), list[Dropped](), dict[int, str]()
    for _ in range(60 * len(dropped) + 60):
        if not open_:
            return [(one, ended[id(one)]) for one in dropped]
        one = open_[next(choices) % len(open_)]
        if one in held:
            status = "failed" if may_fail and next(choices) % 4 == 0 else "loaded"
        else:
            verdict = one.claim()
            if verdict == "mine":
                held.append(one)
            if verdict != "loaded_elsewhere":
                continue
            status = "skipped"
        one.set(status)
        ended[id(one)] = status
        open_.remove(one)
    raise AssertionError("slices wait for each other")


FILES = st.lists(st.tuples(st.sampled_from(["v1", "v2"]), st.sampled_from(["a", "b"])), min_size=1, max_size=6)
CHOICES = st.lists(st.integers(0, 99), min_size=30, max_size=30)


@pytest.mark.usefixtures("shared_cloud")
@settings(max_examples=40, deadline=None)
@given(FILES, CHOICES, st.booleans())
def test_lists_in_any_order_of_workers_say_what_they_say_one_by_one(
    files: list[tuple[str, str]], choices: list[int], may_fail: bool
) -> None:
    ended = play(Drops("snapshot"), files, itertools.cycle(choices), may_fail=may_fail)
    good = [one.content for one, status in ended if status != "failed"]
    loaded = [one.content for one, status in ended if status == "loaded"]
    assert collapsed(loaded) == collapsed(good)
    if not may_fail:
        assert len(loaded) == len(collapsed(good))


@pytest.mark.usefixtures("shared_cloud")
@settings(max_examples=40, deadline=None)
@given(FILES, CHOICES, st.booleans())
def test_files_of_a_name_in_any_order_of_workers_end_as_they_end_one_by_one(
    files: list[tuple[str, str]], choices: list[int], may_fail: bool
) -> None:
    ended = play(Drops("upsert"), [(content, "a") for content, _ in files], itertools.cycle(choices), may_fail=may_fail)
    good = [one.content for one, status in ended if status != "failed"]
    loaded = [one.content for one, status in ended if status == "loaded"]
    if not may_fail:
        assert len(loaded) <= len(collapsed(good))
    assert set(loaded) == set(good)
    assert not good or loaded[-1] == good[-1]


@pytest.mark.usefixtures("shared_cloud")
@settings(max_examples=40, deadline=None)
@given(FILES)
def test_files_one_by_one_are_loaded_as_the_rule_says(files: list[tuple[str, str]]) -> None:
    drops = Drops()
    newest: dict[str, str] = {}
    known: set[str] = set()
    for content, name in files:
        changes_nothing = newest[name] == content if name in newest else content in known
        assert drops.load(content, name) == ("skipped" if changes_nothing else "loaded")
        if name in newest or not changes_nothing:  # a skipped copy leaves its name as new as it was
            newest[name] = content
        known.add(content)
