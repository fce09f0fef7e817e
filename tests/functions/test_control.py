"""The HTTP door: asks, retries, sweeps and looks; refuses what it does not understand, in problem details."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from pipeline import control, ingest, transform
from tests.conftest import LocalCloud, run_door
from tests.functions.test_ingest import ORDERS, work


@pytest.fixture
def http(local_cloud: LocalCloud) -> Iterator[FlaskClient]:
    with control.app.test_client() as client:
        yield client


def test_a_run_is_asked_for_with_the_schedulers_own_message(http: FlaskClient, local_cloud: LocalCloud) -> None:
    answer = http.post("/runs", json={"source": "crm", "reason": "rerun of yesterday"})
    assert answer.status_code == 202
    (message,) = local_cloud.messages("crm")
    run_door(ingest.handle, message)
    (plan,) = local_cloud.state("plans/").values()
    assert plan["run_id"] == answer.json["run_id"]
    assert plan["asked"]["reason"] == "rerun of yesterday"


def test_an_idempotency_key_makes_a_repetition_the_same_run(http: FlaskClient, local_cloud: LocalCloud) -> None:
    answers = [http.post("/runs", json={"source": "crm"}, headers={"Idempotency-Key": "k1"}) for _ in range(2)]
    assert answers[0].json == answers[1].json
    for message in local_cloud.messages("crm"):
        run_door(ingest.handle, message)
    assert len(local_cloud.state("plans/")) == 1


def test_a_dry_run_says_what_it_would_do_and_does_nothing(http: FlaskClient, local_cloud: LocalCloud) -> None:
    local_cloud.drop("orders.csv", ORDERS)
    local_cloud.messages("crm")
    answer = http.post("/runs", json={"source": "crm", "dry_run": True})
    assert answer.status_code == 200
    assert [piece["file"] for piece in answer.json["slices"]] == ["orders.csv"]
    assert local_cloud.messages("crm") == []
    assert local_cloud.state("") == {}


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({}, 400, "source"),
        ({"source": "fax"}, 422, "fax"),
        ({"source": "crm", "streams": ["dreams"]}, 422, "dreams"),
        ({"source": "crm", "accounts": ["nobody"]}, 422, "nobody"),
        ({"source": "crm", "from": "yesterday"}, 400, "from"),
        ({"source": "crm", "streams": "orders"}, 400, "streams"),
        ({"source": "crm", "urgency": 1}, 400, "urgency"),
        (["crm"], 400, "object"),
    ],
)
def test_what_is_not_understood_is_refused_without_effect(
    http: FlaskClient, local_cloud: LocalCloud, body: Any, status: int, word: str
) -> None:
    answer = http.post("/runs", json=body)
    assert (answer.status_code, answer.content_type) == (status, control.PROBLEM)
    assert word in json.loads(answer.data)["detail"]
    assert local_cloud.messages("crm") == []
    assert local_cloud.state("") == {}


def test_runs_are_listed_and_opened(http: FlaskClient, local_cloud: LocalCloud) -> None:
    local_cloud.drop("orders.csv", ORDERS)
    local_cloud.drop("weather.csv", "station,degrees\nOslo,3\n")
    work(local_cloud)
    shown = {run["status"]: run["run_id"] for run in http.get("/runs").json["runs"]}
    assert set(shown) == {"running", "failed"}
    run = http.get(f"/runs/{shown['failed']}").json
    (piece,) = run["slices"]
    assert (piece["file"], piece["status"]) == ("weather.csv", "failed")
    assert run["outcome"]["missing"][0]["slice_id"] == piece["slice_id"]
    assert http.get("/runs/20250101T000000Z-crm-00000000").status_code == 404
    assert http.get("/runs/nonsense").status_code == 404


def test_a_retry_opens_the_run_again_and_repeats_the_failed_slices_only(http: FlaskClient, local_cloud: LocalCloud) -> None:
    local_cloud.drop("weather.csv", "station,degrees\nOslo,3\n")
    work(local_cloud)
    (name,) = local_cloud.state("outcomes/")
    run = name.rsplit("/", 1)[1].removesuffix(".json")
    answer = http.post(f"/runs/{run}/retry")
    assert (answer.status_code, answer.json["retried"]) == (202, 1)
    work(local_cloud)
    (piece,) = local_cloud.state("slices/").values()
    assert (piece["status"], piece["epoch"]) == ("failed", 2)
    assert local_cloud.state("open/") == {}


def test_a_dead_letter_is_filed_once_with_its_content(http: FlaskClient, local_cloud: LocalCloud) -> None:
    push = {"message": {"messageId": "77", "data": "bm8=", "attributes": {"CloudPubSubDeadLetterSourceSubscription": "s"}}}
    assert [http.post("/dead-letters", json=push).status_code for _ in range(2)] == [204, 204]
    (letter,) = http.get("/dead-letters").json["dead_letters"]
    assert letter["envelope"] == push
    assert http.post("/dead-letters", json={"hello": 1}).status_code == 400


def test_a_transform_is_asked_for_and_shown(http: FlaskClient, local_cloud: LocalCloud) -> None:
    answer = http.post("/transforms", json={"select": ["fact_orders+"], "full_refresh": True})
    assert answer.status_code == 202
    (message,) = local_cloud.messages("transform")
    from pipeline import events

    transform.add_want(events.read(message).body)  # type: ignore[arg-type]
    assert http.get("/transforms").json["wants"][0]["select"] == ["fact_orders+"]


def test_the_sweeper_sends_nothing_when_nothing_is_due(http: FlaskClient, local_cloud: LocalCloud) -> None:
    swept = http.post("/sweep").json
    assert set(swept.values()) == {0}
    assert local_cloud.messages("crm") == []


def test_the_index_names_what_there_is_to_look_at(http: FlaskClient) -> None:
    shown = http.get("/").json
    assert {"/", "/runs", "/runs/<run>", "/transforms", "/dead-letters", "/healthz"} == set(shown)
    assert all(shown.values())
