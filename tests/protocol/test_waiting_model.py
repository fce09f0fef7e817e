"""A slice that waits for another one's end is never forgotten, and without any one of the rules it can be."""

from __future__ import annotations

import pytest

from tests.protocol.waiting_model import Rules, explore


def test_without_any_fault_it_is_woken_though_no_sweeper_comes() -> None:
    assert explore(Rules(sweeper=False), kills=0, losses=0) == []


def test_after_kills_and_lost_messages_the_sweeper_wakes_it() -> None:
    assert explore(Rules(), kills=3, losses=2) == []


@pytest.mark.parametrize("left_out", ["end_releases", "sleeper_looks"])
def test_without_the_sweeper_both_looks_are_needed(left_out: str) -> None:
    assert explore(Rules(sweeper=False, **{left_out: False}), kills=0, losses=0)


@pytest.mark.parametrize("faults", [{"kills": 1, "losses": 0}, {"kills": 0, "losses": 1}])
def test_without_the_sweeper_one_fault_is_enough(faults: dict[str, int]) -> None:
    assert explore(Rules(sweeper=False), **faults)
