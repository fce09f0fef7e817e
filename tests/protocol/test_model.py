"""The protocol of a slice holds in every history; and without any one of its rules it does not."""

from __future__ import annotations

from tests.protocol.model import Faults, Protocol, explore, without


def test_every_history_ends_closed_with_the_rows_once() -> None:
    found = explore(Protocol(), Faults(kills=1, duplicates=1, losses=1))
    assert found.states > 1_000, "the model explores too little to mean anything"
    assert found.broken == []
    assert found.stuck == []


def test_two_kills_and_two_losses() -> None:
    found = explore(Protocol(), Faults(kills=2, duplicates=0, losses=2))
    assert found.broken == []
    assert found.stuck == []


def test_without_the_sweeper_a_slice_gets_stuck() -> None:
    found = explore(without(Protocol(), "sweeper"), Faults(kills=1, duplicates=0, losses=0))
    assert found.stuck, "a single kill should leave a slice that nobody wakes"


def test_without_state_first_and_sweeper_a_hand_over_gets_stuck() -> None:
    naive = without(without(Protocol(), "sweeper"), "state_first")
    assert explore(naive, Faults(kills=0, duplicates=0, losses=0)).stuck


def test_without_a_fixed_job_id_rows_are_loaded_twice() -> None:
    found = explore(without(Protocol(), "fixed_job_id"), Faults(kills=0, duplicates=1, losses=0))
    assert any(rule.startswith("rows are in the table twice") for rule in found.broken)


def test_without_repeating_later_steps_and_sweeper_a_run_stays_open() -> None:
    naive = without(without(Protocol(), "repeats_later_steps"), "sweeper")
    assert explore(naive, Faults(kills=1, duplicates=0, losses=0)).stuck
