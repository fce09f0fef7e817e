"""From a dropped file to a manifest: planned once, claimed once, resumable, and nothing under way is ever lost."""

from __future__ import annotations

import gzip
import hashlib
import json
from typing import Any

import pytest

from pipeline import bronze, clients, clock, errors, ingest, load, names, runs, slices, state, sweep
from tests.conftest import LocalCloud, Message, run_door

ORDERS = "order_id,contact_id,order_at,amount,currency\n" + "".join(
    f"O{n},C{n % 7},2025-03-{n % 28 + 1:02d} 10:00:00,{n}.50,EUR\n" for n in range(1, 41)
)


def work(cloud: LocalCloud, rounds: int = 20) -> None:
    """Deliver what waits on the source's topic until it is quiet."""
    for _ in range(rounds):
        waiting = cloud.messages("crm")
        if not waiting:
            return
        for message in waiting:
            run_door(ingest.handle, message)
    raise AssertionError("the topic does not fall quiet")


def the_slice(cloud: LocalCloud) -> dict[str, Any]:
    (data,) = cloud.state("slices/").values()
    return data


def rows_of(manifest: dict[str, Any], kind: str = "parts") -> list[dict[str, Any]]:
    lines = []
    for part in manifest[kind]:
        raw = clients.bronze_bucket().blob(part["name"]).download_as_bytes(raw_download=True)
        lines += [json.loads(line) for line in gzip.decompress(raw).splitlines()]
    return lines


def manifests(cloud: LocalCloud) -> list[dict[str, Any]]:
    return [json.loads(blob.download_as_bytes()) for blob in clients.bronze_bucket().list_blobs(prefix="manifests/")]


def test_a_dropped_file_becomes_a_manifest_with_its_rows(local_cloud: LocalCloud) -> None:
    local_cloud.drop("orders.csv", ORDERS)
    work(local_cloud)
    (manifest,) = manifests(local_cloud)
    assert (manifest["stream"], manifest["rows"], manifest["aside"]) == ("orders", 40, 0)
    rows = rows_of(manifest)
    assert [row["_row"] for row in rows] == list(range(1, 41))
    assert rows[0]["_line"] == 2
    assert rows[0]["_file"] == "orders.csv"
    assert rows[0]["payload"]["amount"] == "1.50"
    assert rows[0]["_date"] == manifest["as_of"][:10]
    assert the_slice(local_cloud)["status"] == "extracted"
    original = clients.bronze_bucket().blob(manifest["api"]["file_object"]).download_as_bytes()
    assert original == ORDERS.encode()
    (notification,) = local_cloud.messages("manifests")
    assert notification.data["message"]["attributes"]["objectId"].startswith("manifests/")


def test_the_manifest_tells_what_became_of_every_column(local_cloud: LocalCloud) -> None:
    preset = (
        "presets: [{name: till, source: crm, stream: orders, match: {headers: [Bon, Sum]}, constants: {currency: EUR}, "
        "columns: {order_id: Bon, order_at: [Moment, At], amount: Sum}, ignore: [Till*]}]"
    )
    clients.state_bucket().blob("presets/till.yaml").upload_from_string(preset)
    local_cloud.drop("till.csv", "Bon,At,Sum,Till no,Mood,Mood\n1,2025-03-04 10:00,5.00,7,good,\n")
    work(local_cloud)
    (manifest,) = manifests(local_cloud)
    told = {name: manifest["api"][name] for name in ("preset", "columns", "constants", "ignored_columns", "unknown_columns")}
    assert told == {
        "preset": "till",
        "columns": {"order_id": ["Bon"], "order_at": ["At"], "amount": ["Sum"]},
        "constants": {"currency": "EUR"},
        "ignored_columns": ["Till no"],
        "unknown_columns": ["Mood", "Mood_2"],
    }
    assert manifest["api"]["guesses"] == ["column Mood_2: its header stands more than once"]
    assert manifest["unknown_fields"] == {"Mood": 1, "Mood_2": 0}
    load.register(manifest)
    (registered,) = local_cloud.state("loaded/").values()
    assert registered["api"] == manifest["api"]


def test_one_event_of_a_file_of_two_streams_makes_two_manifests(local_cloud: LocalCloud) -> None:
    presets = """
presets:
  - {name: shop, source: crm, stream: orders, match: {headers: [No., Day, Sum, Item]}, one_row_per: No.,
     columns: {order_id: No., order_at: Day, amount: Sum}}
  - {name: shop_items, source: crm, stream: order_items, companion_of: shop,
     columns: {order_id: No., product_name: Item, quantity: Pieces}}
"""
    clients.state_bucket().blob("presets/shop.yaml").upload_from_string(presets)
    text = "No.,Day,Sum,Item,Pieces\n1,2025-03-04,9.00,Cap,1\n1,,,Mug,2\n2,2025-03-05,x,Cap,1\n"
    local_cloud.drop("shop.csv", text)
    (event,) = local_cloud.messages("crm")
    for _ in range(2):
        run_door(ingest.handle, event)
    work(local_cloud)
    found = {manifest["stream"]: manifest for manifest in manifests(local_cloud)}
    counts = {stream: [each[name] for name in ("rows", "aside", "non_rows")] for stream, each in found.items()}
    assert counts == {"orders": [1, 1, 1], "order_items": [3, 0, 0]}
    assert {each["file_sha256"] for each in found.values()} == {hashlib.sha256(text.encode()).hexdigest()}
    assert {data["status"] for data in local_cloud.state("slices/").values()} == {"extracted"}


def test_the_same_event_three_times_makes_one_run_and_one_manifest(local_cloud: LocalCloud) -> None:
    local_cloud.drop("orders.csv", ORDERS)
    (event,) = local_cloud.messages("crm")
    for _ in range(3):
        run_door(ingest.handle, event)
    slices = local_cloud.messages("crm")
    for message in [*slices, *slices, *slices]:
        run_door(ingest.handle, message)
    work(local_cloud)
    assert len(local_cloud.state("plans/")) == 1
    assert len(manifests(local_cloud)) == 1
    assert the_slice(local_cloud)["epoch"] == 1


def test_storage_telling_twice_makes_an_empty_second_run(local_cloud: LocalCloud) -> None:
    """Storage may send one change as two messages, each with an id of its own."""
    local_cloud.drop("orders.csv", ORDERS)
    (event,) = local_cloud.messages("crm")
    again = Message("another-id", {"message": {**event.data["message"], "messageId": "another-id"}})
    run_door(ingest.handle, event)
    run_door(ingest.handle, again)
    work(local_cloud)
    assert len(manifests(local_cloud)) == 1
    assert sorted(len(plan["slices"]) for plan in local_cloud.state("plans/").values()) == [0, 1]


def test_the_same_bytes_under_another_name_are_skipped(local_cloud: LocalCloud) -> None:
    local_cloud.drop("orders.csv", ORDERS)
    work(local_cloud)
    local_cloud.drop("copy of orders.csv", ORDERS)
    work(local_cloud)
    statuses = sorted(data["status"] for data in local_cloud.state("slices/").values())
    assert statuses == ["extracted", "skipped"]


def test_a_file_that_goes_back_is_loaded_again_though_events_come_late_twice_and_in_reverse(local_cloud: LocalCloud) -> None:
    events = []
    for content in (ORDERS, ORDERS + "O41,C1,2025-03-05 10:00:00,9.00,EUR\n", ORDERS):
        local_cloud.drop("orders.csv", content)
        work(local_cloud)
        events += local_cloud.taken["crm"]
    assert sorted(manifest["rows"] for manifest in manifests(local_cloud)) == [40, 40, 41]
    for event in reversed(events):
        run_door(ingest.handle, event)
    work(local_cloud)
    assert len(manifests(local_cloud)) == 3
    assert {data["status"] for data in local_cloud.state("slices/").values()} == {"extracted"}


def test_an_unknown_header_fails_the_slice_by_name_and_leaves_it_for_the_audit(local_cloud: LocalCloud) -> None:
    local_cloud.drop("weather.csv", "station,degrees\nOslo,3\n")
    work(local_cloud)
    data = the_slice(local_cloud)
    assert data["status"] == "failed"
    assert "weather.csv" in data["error"]["message"]
    assert data["error"]["next_step"]
    (outcome,) = local_cloud.state("outcomes/").values()
    assert outcome["status"] == "failed"
    (failure,) = local_cloud.state("failures/").values()
    assert failure["file_name"] == "weather.csv"
    assert local_cloud.state("open/") == {}


def test_a_retry_judges_the_file_by_todays_presets(local_cloud: LocalCloud) -> None:
    from pipeline import plan

    local_cloud.drop("bestellungen.csv", ORDERS.replace("order_id,", "Bestellnummer,"))
    work(local_cloud)
    data = the_slice(local_cloud)
    assert data["status"] == "failed"
    preset = (
        "presets: [{name: german_orders, source: crm, stream: orders, match: {headers: [Bestellnummer]},"
        " columns: {order_id: Bestellnummer, order_at: order_at, amount: amount, currency: currency, contact_id: contact_id}}]"
    )
    clients.state_bucket().blob("presets/german.yaml").upload_from_string(preset)
    piece = slices.read_slice(data["run_id"], data["slice_id"])
    assert piece is not None
    state.create(names.open_name(data["run_id"]), {})
    slices.retry(piece, plan.refrozen(data["run_id"], piece.data))
    assert runs.release("crm", 4) == 1
    work(local_cloud)
    (manifest,) = manifests(local_cloud)
    assert (manifest["stream"], manifest["rows"]) == ("orders", 40)


class TestUnderWay:
    """A worker that dies, is slow, or is outrun."""

    @pytest.fixture
    def claimed(self, local_cloud: LocalCloud) -> dict[str, Any]:
        local_cloud.drop("orders.csv", ORDERS)
        (event,) = local_cloud.messages("crm")
        run_door(ingest.handle, event)
        return the_slice(local_cloud)

    def test_a_dead_workers_slice_is_taken_up_when_its_lease_ends(
        self, local_cloud: LocalCloud, claimed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (hint,) = local_cloud.messages("crm")
        piece = slices.read_slice(claimed["run_id"], claimed["slice_id"])
        assert piece is not None
        monkeypatch.setenv("PIPELINE_TIMEOUT_SECONDS", "-60")  # the lease of the dead is over at once
        slices.claim(piece)
        monkeypatch.setenv("PIPELINE_TIMEOUT_SECONDS", "60")
        run_door(ingest.handle, hint)  # the redelivery of the dead worker's message is a stale hint
        assert manifests(local_cloud) == []
        assert sweep.sweep()["slices"] == 1
        work(local_cloud)
        assert len(manifests(local_cloud)) == 1
        assert the_slice(local_cloud)["epoch"] == 2

    def test_a_zombie_cannot_spoil_what_its_successor_keeps(self, local_cloud: LocalCloud, claimed: dict[str, Any]) -> None:
        first = slices.read_slice(claimed["run_id"], claimed["slice_id"])
        assert first is not None
        token = slices.claim(first)
        second = slices.read_slice(claimed["run_id"], claimed["slice_id"])
        assert second is not None
        second.change(status="waiting", lease_until=None)
        slices.claim(second)
        with pytest.raises(errors.LeaseLost):
            first.checkpoint(token, checkpoint={"cursor": 1})

    def test_a_lost_hint_is_sent_again(
        self, local_cloud: LocalCloud, claimed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert local_cloud.messages("crm"), "the hint that is lost here"
        assert sweep.sweep()["slices"] == 0, "it still counts as under way"
        monkeypatch.setenv("PIPELINE_HINT_SECONDS", "0")
        assert sweep.sweep()["slices"] == 1
        work(local_cloud)
        assert len(manifests(local_cloud)) == 1

    def test_a_manifest_outranks_the_state(self, local_cloud: LocalCloud, claimed: dict[str, Any]) -> None:
        """A zombie's manifest, if it is first, is complete and valid; whoever comes next moves on to the load."""
        hints = local_cloud.messages("crm")
        piece = slices.read_slice(claimed["run_id"], claimed["slice_id"])
        assert piece is not None
        slices.claim(piece)
        writer = bronze.SliceWriter(piece.data)
        bronze.write_manifest(piece.data, writer, {})
        run_door(ingest.handle, hints[0])
        assert the_slice(local_cloud)["status"] == "extracted"

    def test_a_shut_gate_lets_nothing_through(self, local_cloud: LocalCloud, claimed: dict[str, Any]) -> None:
        until = "2999-01-01T00:00:00+00:00"
        state.create(names.gate_name("crm", "default"), {"not_before": until, "reason": "quota"})
        work(local_cloud)
        data = the_slice(local_cloud)
        assert (data["status"], data["not_before"], data["attempts"]) == ("waiting", until, 0)

    def test_a_cancelled_run_stops(self, local_cloud: LocalCloud, claimed: dict[str, Any]) -> None:
        state.create(names.cancel_name(claimed["run_id"]), {})
        work(local_cloud)
        assert the_slice(local_cloud)["status"] == "cancelled"
        (outcome,) = local_cloud.state("outcomes/").values()
        assert outcome["status"] == "cancelled"

    def test_a_slice_that_dies_each_time_ends_failed(self, local_cloud: LocalCloud, claimed: dict[str, Any]) -> None:
        piece = slices.read_slice(claimed["run_id"], claimed["slice_id"])
        assert piece is not None
        piece.change(attempts=slices.MAX_CLAIMS_WITHOUT_PROGRESS)
        work(local_cloud)
        assert the_slice(local_cloud)["error"]["kind"] == "dies_each_time"


def test_a_long_file_goes_through_continuations(local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no time left after any page, each invocation keeps one page and hands over; the rows come out whole."""
    header = "order_id,order_at,amount,currency\n"
    body = "".join(f"O{n},2025-03-01 10:00:00,1.00,EUR\n" for n in range(1_234))
    local_cloud.drop("orders.csv", header + body)
    monkeypatch.setenv("PIPELINE_TIMEOUT_SECONDS", "0")
    work(local_cloud)
    (manifest,) = manifests(local_cloud)
    assert manifest["rows"] == 1_234
    assert [row["_row"] for row in rows_of(manifest)] == list(range(1, 1_235))
    assert len({part["name"] for part in manifest["parts"]}) == 3
    assert the_slice(local_cloud)["epoch"] == 3


def test_release_keeps_no_more_than_its_share_in_flight(local_cloud: LocalCloud) -> None:
    for number in range(6):
        local_cloud.drop(f"orders-{number}.csv", ORDERS.replace("O", f"O{number}-"))
    local_cloud.messages("crm")  # their events are lost; the schedule finds them
    asked = {"source": "crm", "reason": "schedule", "asked_by": "scheduler"}
    moment = clock.now()
    from pipeline import plan

    plan.start(names.run_id("crm", moment, "seed"), asked, moment)
    assert len(local_cloud.messages("crm")) == 4
    statuses = sorted(data["status"] for data in local_cloud.state("slices/").values())
    assert statuses == ["planned"] * 2 + ["waiting"] * 4


def test_a_message_that_nobody_reads_is_refused(local_cloud: LocalCloud) -> None:
    from pipeline.events import Unreadable

    for body in (b"not json", b"[]", b'{"v": 2, "kind": "run"}', b'{"v": 1, "kind": "dance"}'):
        clients.pubsub().publish("projects/test-project/topics/crm", body).result()
    for message in local_cloud.messages("crm"):
        with pytest.raises(Unreadable):
            run_door(ingest.handle, message)


def test_a_run_for_an_unknown_stream_closes_failed_with_the_next_step(local_cloud: LocalCloud) -> None:
    from pipeline import plan

    moment = clock.now()
    run = names.run_id("crm", moment, "seed")
    plan.start(run, {"source": "crm", "streams": ["dreams"]}, moment)
    (outcome,) = local_cloud.state("outcomes/").values()
    assert outcome["status"] == "failed"
    assert "dreams" in outcome["error"]["message"]
    assert "orders" in outcome["error"]["next_step"]
    assert local_cloud.state("open/") == {}


def test_what_is_no_data_by_its_name_makes_no_slice(local_cloud: LocalCloud) -> None:
    for name in ("README.md", "2025/presets.yaml", ".hidden.csv"):
        local_cloud.drop(name, "hello")
    work(local_cloud)
    assert local_cloud.state("slices/") == {}
    assert {outcome["status"] for outcome in local_cloud.state("outcomes/").values()} == {"succeeded"}


def test_the_sweeper_asks_for_a_file_whose_event_was_lost_and_for_nothing_else(
    local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_HINT_SECONDS", "0")
    local_cloud.drop("README.md", "hello")
    local_cloud.messages("crm")
    assert sweep.sweep()["landing_runs"] == 0
    local_cloud.drop("orders.csv", ORDERS)
    local_cloud.messages("crm")  # lost
    assert sweep.sweep()["landing_runs"] == 1
    work(local_cloud)
    assert len(manifests(local_cloud)) == 1
    assert sweep.sweep()["landing_runs"] == 0


def test_the_end_of_a_slice_releases_the_next_run_too(local_cloud: LocalCloud) -> None:
    """Each dropped file is a run of its own: without the sweeper, the last of many must not stay planned."""
    for number in range(9):
        local_cloud.drop(f"orders-{number}.csv", ORDERS.replace("O", f"O{number}-"))
    work(local_cloud)
    assert [data["status"] for data in local_cloud.state("slices/").values()] == ["extracted"] * 9
