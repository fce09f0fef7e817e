"""Why a slice or a build waits, told in words; and what logs say last."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.ledger import Ledger
from sandbox.status import logs, words
from sandbox.status.facts import BackOff
from sandbox.status.slices import Surroundings, explain, explain_transform

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RUN = "20260301T115500Z-crm-0123abcd"
DIED = "its worker died; lease until 12:03:00 (in 3 min), until when nobody else may take it"


def later(seconds: float) -> str:
    return (NOW + timedelta(seconds=seconds)).isoformat()


def slice_of(status: str, **changes: Any) -> dict[str, Any]:
    return {
        "run_id": RUN,
        "slice_id": "s1",
        "source": "crm",
        "stream": "orders",
        "request": {"file": {"name": "orders.csv"}},
        "status": status,
        "attempts": 1,
        "rows": None,
        "checkpoint": None,
        **dict.fromkeys(("not_before", "published_at", "lease_until", "error")),
    } | changes


def around(**changes: Any) -> Surroundings:
    return Surroundings(**{"now": NOW, "up": True, "parallel_slices": {"crm": 4}} | changes)


REFUSED = BackOff("7", "s1", 3, later(40))
KNOWN = {"s1": "an earlier version is still being read"}


@pytest.mark.parametrize(
    ("data", "surroundings", "reason", "next_step"),
    [
        (slice_of("planned"), {}, "no more than 4 slices of crm are under way at a time", "whoever ends a slice releases it"),
        (slice_of("waiting", published_at=later(-5)), {}, "its message is under way, sent 11:59:55 (5 s ago)", "attempt 2"),
        (slice_of("waiting", published_at=later(-700)), {}, "never taken: it is lost", "the next sweep"),
        (slice_of("waiting", published_at=later(-5)), {"up": False}, "not taken", "`up`; the message is delivered at once"),
        (
            slice_of("waiting", published_at=later(-5)),
            {"back_off": {"s1": REFUSED}},
            "its message was refused 3 times and is in back-off",
            "it is delivered again 12:00:40 (in 40 s)",
        ),
        (
            slice_of("waiting", not_before=later(20), waits_for="run/s9"),
            {"words": KNOWN},
            "an earlier version is still being read",
            "the end of slice s9 releases it, or the sweeper wakes it then (attempt 2)",
        ),
        (
            slice_of("waiting", not_before=later(90)),
            {"words": KNOWN},
            "waits until 12:01:30 (in 1 min 30 s): an earlier version is still being read",
            "the sweeper wakes it then (attempt 2)",
        ),
        (slice_of("waiting", not_before=later(-9)), {"words": KNOWN}, "its wait ended 11:59:51 (9 s ago)", "the next sweep"),
        (slice_of("running", lease_until=later(180)), {"in_flight": 1}, "attempt 1 is at work", "it ends, or its lease does"),
        (slice_of("running", lease_until=later(180)), {}, DIED, "after that the sweeper sends it again"),
        (
            slice_of("running", lease_until=later(180), checkpoint={"cursor": 1}),
            {"up": False},
            "its worker died with the world",
            "`up`; then after that the sweeper sends it again from its checkpoint",
        ),
        (slice_of("running", lease_until=later(-1)), {}, "its worker ended without a word", "the next sweep"),
        (
            slice_of("extracted", rows=2000),
            {},
            "read into the bronze bucket (2,000 rows) at 11:59:55",
            "the loader brings it into BigQuery",
        ),
        (
            slice_of("extracted", rows=2000, not_before=later(60)),
            {"words": {"s1": "the load job load-s1-1 failed in passing"}},
            "the load waits until 12:01:00 (in 1 min): the load job load-s1-1 failed in passing",
            "the sweeper asks for the load then",
        ),
        (
            slice_of("extracted", rows=2000),
            {"back_off": {f"manifests/{RUN}/s1.json": REFUSED}},
            "its message was refused 3 times",
            "it is delivered again",
        ),
        (slice_of("failed", error={"message": "no preset", "next_step": "write one"}), {}, "no preset", "write one"),
    ],
)
def test_a_slice_says_why_it_waits(data: dict[str, Any], surroundings: dict[str, Any], reason: str, next_step: str) -> None:
    found = explain(data, NOW - timedelta(seconds=5), around(**surroundings))
    assert reason in found.reason
    assert next_step in found.next_step
    assert (found.file, found.stream, found.status) == ("orders.csv", "orders", data["status"])


def test_a_load_that_nobody_made_is_overdue() -> None:
    found = explain(slice_of("extracted", rows=1), NOW - timedelta(seconds=700), around())
    assert "nobody has loaded it since 11:48:20 (11 min 40 s ago)" in found.reason


@pytest.mark.parametrize(
    ("data", "surroundings", "reason", "next_step"),
    [
        ({}, {}, "no build yet", "drop a file"),
        ({"build": 1, "wants": [{}]}, {}, "asked for and not begun", "the next sweep"),
        ({"build": 2, "building": {"build": 2, "lease_until": later(60)}}, {"job_runs": True}, "dbt builds number 2", "ends"),
        (
            {"build": 2, "building": {"build": 2, "lease_until": later(60)}},
            {"up": False},
            "the job died with the world; its claim holds until 12:01:00 (in 1 min)",
            "`up`; then the sweeper starts the next build",
        ),
        ({"build": 2, "building": {"build": 2, "lease_until": later(-60)}}, {}, "the claim of build 2 is over", "next sweep"),
    ],
)
def test_a_build_says_why_it_waits(data: dict[str, Any], surroundings: dict[str, Any], reason: str, next_step: str) -> None:
    found = explain_transform(Ledger(transform=data), around(**surroundings))
    assert reason in found.reason
    assert next_step in found.next_step


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.6, "1 min"), (90, "1 min 30 s"), (3600, "1 h"), (90_000, "1 d 1 h")]
)
def test_spans(seconds: float, text: str) -> None:
    assert words.span(seconds) == text


def test_far_moments_show_their_day() -> None:
    assert words.at(NOW + timedelta(days=2), NOW) == "2026-03-03 12:00 (in 2 d)"


def test_the_newest_error_of_a_log_is_found(tmp_path: Path) -> None:
    log = tmp_path / "ingest.log"
    assert logs.last_error(log) is None
    entries = [
        json.dumps({"severity": "ERROR", "message": "no preset", "slice_id": "s1"}),
        "Traceback (most recent call last):",
        "google.api_core.exceptions.ServiceUnavailable: 503 away",
        json.dumps({"severity": "INFO", "message": "loaded"}),
    ]
    log.write_text("\n".join(entries[:1]) + "\n")
    first = logs.last_error(log)
    assert first is not None
    assert first.words == "no preset (s1)"
    assert first.at is not None
    log.write_text("\n".join(entries) + "\n")
    last = logs.last_error(log)
    assert last is not None
    assert last.words == "google.api_core.exceptions.ServiceUnavailable: 503 away"
    assert last.at is None, "something else was logged since, so the time of the file is not its time"


def test_why_a_slice_waits_is_in_the_log(tmp_path: Path) -> None:
    line = {"severity": "WARNING", "message": f"waits until {later(9)}: an earlier version is read", "slice_id": "s1"}
    (tmp_path / "ingest.log").write_text(json.dumps(line) + "\n")
    assert logs.waiting_reasons(tmp_path) == {"s1": "an earlier version is read"}
