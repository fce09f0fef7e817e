"""Dropped files, from landing to pages: planned by name and generation, owned by their bytes, kept in bronze as they came."""

from __future__ import annotations

import base64
import gzip
import json
import tracemalloc
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from pipeline import bronze, clients, contract, file_bytes, names, originals, slices, state
from pipeline import plan as planner
from pipeline.errors import ContractError, Rejected, Skip, Wait
from pipeline.sources import Account, Ask, Page, PlannedSlice, Task, crm
from pipeline.text_encodings import WordEvidence
from tests.conftest import LocalCloud

SOURCE = contract.load().source("crm")
ACCOUNTS = (Account("default", "Europe/London"),)
CONTACTS = "contact_id,email,created_at\n1,a@example.com,2024-07-01 10:00:00\n2,b@example.com,2024-07-02 10:00:00\n"
RUN = "20240704T051500Z-crm-00000000"


def ask(**more: Any) -> Ask:
    return Ask("crm", RUN, datetime(2024, 7, 4, tzinfo=UTC), **more)


def plan(accounts: tuple[Account, ...] = ACCOUNTS, **more: Any) -> list[PlannedSlice]:
    return list(crm.discover(ask(**more), SOURCE, accounts))


def task(planned: PlannedSlice, slice_id: str = "s1", cursor: Any = None) -> Task:
    stream = SOURCE.streams.get(planned.stream, SOURCE.streams["contacts"])
    return Task(RUN, slice_id, SOURCE, stream, ACCOUNTS[0], None, None, planned.request, cursor)


def fetch(planned: PlannedSlice, **more: Any) -> list[Page]:
    return list(crm.fetch(task(planned, **more)))


def reject_of(planned: PlannedSlice) -> Rejected:
    with pytest.raises(Rejected) as caught:
        fetch(planned)
    return caught.value


def test_a_dropped_file_is_planned_with_everything_frozen(local_cloud: LocalCloud) -> None:
    generation = local_cloud.drop("in/contacts.csv", CONTACTS)
    (planned,) = plan()
    assert (planned.stream, planned.account, planned.mode) == ("contacts", "default", "upsert")
    assert planned.identity == f"test-project-landing/in/contacts.csv#{generation}"
    file = planned.request["file"]
    assert {name: file[name] for name in ("bucket", "name", "generation", "size")} == {
        "bucket": "test-project-landing",
        "name": "in/contacts.csv",
        "generation": generation,
        "size": len(CONTACTS),
    }
    assert planned.request["preset"]["values"]["time_zone"] == "Europe/London"


def test_its_rows_come_with_lines_facts_and_the_original_is_kept(local_cloud: LocalCloud) -> None:
    local_cloud.drop("in/contacts.csv", CONTACTS)
    (planned,) = plan()
    (page,) = fetch(planned)
    assert page.rows[0] == {"contact_id": "1", "email": "a@example.com", "created_at": "2024-07-01T09:00:00Z"}
    assert (page.lines, page.cursor, page.non_rows) == ([2, 3], None, 0)
    facts = page.facts
    assert (facts["file_name"], facts["encoding"], facts["delimiter"]) == ("in/contacts.csv", "utf-8", ",")
    assert facts["file_at"] == planned.request["file"]["updated"]
    assert facts["file_object"] == f"files/crm/{facts['file_sha256']}/contacts.csv"
    assert clients.bronze_bucket().blob(facts["file_object"]).download_as_bytes() == CONTACTS.encode()


def test_one_object_is_planned_at_its_generation_even_when_seen(local_cloud: LocalCloud) -> None:
    generation = local_cloud.drop("contacts.csv", CONTACTS)
    local_cloud.drop("other.csv", CONTACTS)
    landing = {"bucket": "test-project-landing", "name": "contacts.csv", "generation": generation}
    state.create(names.seen_name(**landing), {})
    (planned,) = plan(landing_object=landing)
    assert planned.request["file"]["generation"] == generation


def test_an_object_that_is_gone_says_so(local_cloud: LocalCloud) -> None:
    generation = local_cloud.drop("contacts.csv", CONTACTS)
    local_cloud.drop("contacts.csv", CONTACTS + "3,c@example.com,\n")
    landing = {"bucket": "test-project-landing", "name": "contacts.csv", "generation": generation}
    (planned,) = plan(landing_object=landing)
    assert (planned.stream, reject_of(planned).kind) == ("contacts", "landing_overwritten")


def test_a_file_replaced_after_planning_is_rejected_and_its_successor_loads(local_cloud: LocalCloud) -> None:
    local_cloud.drop("contacts.csv", CONTACTS)
    (planned,) = plan()
    local_cloud.drop("contacts.csv", CONTACTS + "3,c@example.com,\n")
    assert reject_of(planned).kind == "landing_overwritten"
    (page,) = fetch(*plan(), slice_id="s2")
    assert len(page.rows) == 3


def test_the_schedule_passes_over_what_was_planned_and_a_person_does_not(local_cloud: LocalCloud) -> None:
    generation = local_cloud.drop("contacts.csv", CONTACTS)
    local_cloud.drop("new.csv", CONTACTS)
    state.create(names.seen_name("test-project-landing", "contacts.csv", generation), {})
    for who in ("scheduler", "sweeper"):
        assert [planned.request["file"]["name"] for planned in plan(asked_by=who)] == ["new.csv"]
    assert len(plan(asked_by="ann@example.com")) == 2


def test_streams_and_days_that_were_asked_for(local_cloud: LocalCloud) -> None:
    local_cloud.drop("contacts.csv", CONTACTS)
    local_cloud.drop("products.csv", "product_id,product_name\n1,x\n")
    assert [planned.stream for planned in plan(streams=("products",))] == ["products"]
    today = clients.landing_bucket().get_blob("contacts.csv").updated.astimezone(UTC).date()
    assert len(plan(window_from=today, window_to=today)) == 2
    assert plan(window_to=today - timedelta(days=1)) == []
    assert plan(window_from=today + timedelta(days=1)) == []


def test_nothing_dropped_is_passed_over_in_silence(local_cloud: LocalCloud) -> None:
    for name in ("README.md", "presets.yaml", "in/.hidden.csv", "folder/", ".DS_Store"):
        local_cloud.drop(name, "x")
    for name, content in {"report.xlsx": b"PK", "notes.pdf": b"%PDF", "orders": b"a", "what.csv": b"Foo,Bar\n1,2\n"}.items():
        local_cloud.drop(name, content)
    found = {planned.request["file"]["name"]: planned for planned in plan()}
    assert set(found) == {"report.xlsx", "notes.pdf", "orders", "what.csv"}
    for name, planned in found.items():
        error = reject_of(planned)
        assert (error.kind, name in error.message, bool(error.next_step)) == ("file_set_aside", True, True)
    assert found["orders"].stream == "orders"
    assert found["what.csv"].stream == "unrecognised"


def test_the_same_bytes_are_loaded_once(local_cloud: LocalCloud) -> None:
    local_cloud.drop("contacts.csv", CONTACTS)
    local_cloud.drop("copy of contacts.csv", CONTACTS)
    one, two = plan()
    data = slices.initial(RUN, one, contract.load())
    slices.create_slice(data)
    fetch(one, slice_id=data["slice_id"])
    with pytest.raises(Wait):
        fetch(two, slice_id="s2")
    stored = slices.read_slice(RUN, data["slice_id"])
    assert stored is not None
    stored.change(status="loaded")
    with pytest.raises(Skip, match="same bytes"):
        fetch(two, slice_id="s2")
    assert len(fetch(one, slice_id=data["slice_id"])) == 1  # its owner may read it again: a redelivery


def test_an_export_that_is_compressed_anew_is_the_same_file(local_cloud: LocalCloud) -> None:
    names_ = ("contacts.csv", "contacts-1.csv.gz", "contacts-2.csv.gz")
    for name, data in zip(
        names_, (CONTACTS.encode(), *(gzip.compress(CONTACTS.encode(), mtime=n) for n in (1, 2))), strict=True
    ):
        local_cloud.drop(name, data)
    by_name = {planned.request["file"]["name"]: planned for planned in plan()}
    data = slices.initial(RUN, by_name["contacts.csv"], contract.load())
    slices.create_slice({**data, "status": "loaded"})
    fetch(by_name["contacts.csv"], slice_id=data["slice_id"])
    for name in names_[1:]:
        with pytest.raises(Skip, match="same bytes"):
            fetch(by_name[name], slice_id=name)


def test_a_few_bytes_that_hold_a_thousand_times_as_many_do_not_fill_memory(local_cloud: LocalCloud) -> None:
    rows = b"contact_id,city\n" + b"1,\n" * 20_000_000
    data = gzip.compress(rows, 1)
    watch = originals._Watch(WordEvidence(), gzip=True)
    del rows
    tracemalloc.start()
    try:
        watch.write(data)
        assert tracemalloc.get_traced_memory()[1] < 8 * originals.INFLATE_BYTES
    finally:
        tracemalloc.stop()


def test_a_file_goes_on_from_every_page(local_cloud: LocalCloud) -> None:
    rows = "".join(f"{n},u{n}@example.com,2024-07-01\n" if n % 9 else f"{n}\n" for n in range(1, 1_701))
    local_cloud.drop("contacts.csv.gz", gzip.compress(("contact_id,email,created_at\n" + rows).encode()))
    (planned,) = plan()
    whole = fetch(planned)
    assert [page.cursor["rows"] if page.cursor else None for page in whole] == [500, 1000, 1500, None]
    assert sum(len(page.rows) for page in whole) + sum(len(page.aside) for page in whole) == 1_700
    for number, page in enumerate(whole[:-1], start=1):
        assert fetch(planned, cursor=page.cursor) == whole[number:]


def test_going_on_needs_the_original_no_more(local_cloud: LocalCloud) -> None:
    local_cloud.drop("contacts.csv", "contact_id,email,created_at\n" + "".join(f"{n},,\n" for n in range(600)))
    (planned,) = plan()
    first, second = fetch(planned)
    clients.landing_bucket().blob("contacts.csv").delete()
    assert fetch(planned, cursor=first.cursor) == [second]


@pytest.mark.parametrize("compressed", [False, True])
def test_an_accent_after_the_head_is_not_lost(local_cloud: LocalCloud, compressed: bool) -> None:
    rows = "".join(f"{n},Paris\n" for n in range(20_000)) + "20000,Orléans\n"
    data = ("contact_id,city\n" + rows).encode("cp1252")
    local_cloud.drop("contacts.csv", gzip.compress(data) if compressed else data)
    pages = fetch(*plan())
    assert pages[-1].rows[-1] == {"contact_id": "20000", "city": "Orléans"}
    assert pages[0].facts["encoding"] == "cp1252"
    assert any("cp1252" in guess for guess in pages[0].facts["guesses"])
    assert not any(page.aside for page in pages)


@pytest.mark.parametrize(
    ("encoding", "towns"),
    [
        ("cp1250", ("Plzeň", "Říčany", "Dvůr Králové")),
        ("cp1251", ("Москва", "Екатеринбург", "Уфа")),
        ("cp932", ("東京都", "大阪市", "横浜市")),
        ("gb18030", ("北京市", "上海市", "广州市")),
        ("utf-16-le", ("Plzeň", "東京都", "Москва")),
        ("utf-16", ("Plzeň", "東京都", "Москва")),
    ],
)
def test_a_file_goes_on_from_every_page_in_any_encoding(
    local_cloud: LocalCloud, encoding: str, towns: tuple[str, str, str]
) -> None:
    rows = "".join(f"{n},{towns[n % 3] if n > 9_000 else 'Paris'}\n" for n in range(11_000))
    local_cloud.drop("contacts.csv", ("contact_id,city\n" + rows).encode(encoding))
    (planned,) = plan()
    whole = fetch(planned)
    assert [row["city"] for page in whole for row in page.rows][-3:] == [towns[n % 3] for n in range(10_997, 11_000)]
    assert not any(page.aside for page in whole)
    for number, page in enumerate(whole[:-1], start=1):
        assert fetch(planned, cursor=json.loads(json.dumps(page.cursor))) == whole[number:]


def test_the_words_of_the_whole_file_correct_those_of_its_head(local_cloud: LocalCloud) -> None:
    rows = "0,café\n" + "".join(f"{n},Paris\n" for n in range(20_000)) + "20001,Dvůr Králové\n20002,Říčany\n20003,Čelákovice\n"
    local_cloud.drop("contacts.csv", ("contact_id,city\n" + rows).encode("cp1250"))
    (planned,) = plan()
    assert planned.request["preset"]["encoding"] == "cp1252"
    pages = fetch(planned)
    assert pages[-1].rows[-1]["city"] == "Čelákovice"
    (guess,) = pages[0].facts["guesses"]
    assert guess.startswith("encoding cp1250")


def test_rows_that_are_not_utf8_are_set_aside_with_line_and_column(local_cloud: LocalCloud) -> None:
    rows = "".join(f"{n},Orléans\n" for n in range(1, 101))
    local_cloud.drop("contacts.csv", ("contact_id,city\n" + rows).encode() + b"101,Nimes\n102,N\xeemes\n103,Paris\n")
    (page,) = fetch(*plan())
    assert (len(page.rows), page.rows[0]["city"]) == (102, "Orléans")
    (aside,) = page.aside
    assert (aside.reason, aside.line, aside.column, aside.raw) == ("undecodable", 103, "city", "102,N\\xeemes")
    assert any("some bytes are not" in guess for guess in page.facts["guesses"])


DECLARED = """
presets:
  - name: club
    source: crm
    stream: contacts
    match: {headers: [Member]}
    columns: {contact_id: Member, city: Town}
    format: {encoding: %s}
"""


@pytest.mark.parametrize(("declared", "encoding"), [("windows-1250", "cp1250"), ("cp850", "cp850"), ("Shift_JIS", "shift_jis")])
@pytest.mark.parametrize("late", [False, True])
def test_a_file_that_is_not_in_its_declared_encoding_is_refused_with_the_place(
    local_cloud: LocalCloud, declared: str, encoding: str, late: bool
) -> None:
    clients.state_bucket().blob("presets/club.yaml").upload_from_string(DECLARED % declared)
    start = "Member,Town\n" + ("1,Paris\n" * 20_000 if late else "")
    bad = "1,A\n".encode(encoding) + (b"2,\x81 \n" if encoding != "cp850" else b"")
    local_cloud.drop("members.csv", start.encode(encoding) + bad)
    (planned,) = plan()
    if encoding == "cp850":  # which has every byte
        assert fetch(planned)[0].facts["encoding"] == "cp850"
        return
    error = reject_of(planned)
    assert error.kind == "file_set_aside"
    assert f"members.csv is not in {encoding}, which preset 'club' declares: byte {len(start) + 6:,} in line" in error.message
    assert f"in line {start.count(chr(10)) + 2:,} is 0x81" in error.message
    assert "format.encoding in preset 'club'" in error.next_step


def test_a_declared_encoding_wins_over_what_the_words_say(local_cloud: LocalCloud) -> None:
    clients.state_bucket().blob("presets/club.yaml").upload_from_string(DECLARED % "windows-1252")
    local_cloud.drop("members.csv", "Member,Town\n1,Dvůr Králové\n2,Říčany\n3,Čelákovice\n".encode("cp1250"))
    (page,) = fetch(*plan())
    assert (page.facts["encoding"], page.facts["guesses"]) == ("cp1252", [])
    assert page.rows[1]["city"] == "Øíèany"


def test_a_file_that_is_cut_short_inside_its_compression_is_set_aside_whole(local_cloud: LocalCloud) -> None:
    rows = "".join(f"{n},Paris{n * 7919}\n" for n in range(20_000))
    local_cloud.drop("contacts.csv.gz", gzip.compress(("contact_id,city\n" + rows).encode())[:-2000])
    error = reject_of(*plan())
    assert (error.kind, "cut short" in error.message) == ("file_set_aside", True)


def test_a_file_stored_with_a_content_encoding_is_read_as_stored(local_cloud: LocalCloud) -> None:
    blob = clients.landing_bucket().blob("contacts.csv")
    blob.content_encoding = "gzip"
    blob.upload_from_string(gzip.compress(CONTACTS.encode()), content_type="text/csv")
    (page,) = fetch(*plan())
    assert len(page.rows) == 2


def test_an_empty_file_is_planned_without_a_range(local_cloud: LocalCloud) -> None:
    local_cloud.drop("contacts.csv", b"")
    (page,) = fetch(*plan())
    assert (page.rows, page.aside, page.cursor) == ([], [], None)


OWN = """
presets:
  - name: club
    source: crm
    stream: contacts
    match: {headers: [Member]}
    columns: {contact_id: Member, created_at: Joined}
    account: club
    mode: snapshot
"""


def test_a_deployments_preset_names_account_and_mode(local_cloud: LocalCloud) -> None:
    clients.state_bucket().blob("presets/club.yaml").upload_from_string(OWN)
    local_cloud.drop("members.csv", "Member,Joined\n1,2024-07-01 10:00\n")
    (planned,) = plan(accounts=(*ACCOUNTS, Account("club", "Asia/Tokyo")))
    assert (planned.account, planned.mode, planned.stream) == ("club", "snapshot", "contacts")
    (page,) = fetch(planned)
    assert page.rows[0]["created_at"] == "2024-07-01T01:00:00Z"
    assert "account 'club', which is not set up" in reject_of(*plan()).message


def test_a_wrong_preset_of_the_deployment_stops_planning_with_its_name(local_cloud: LocalCloud) -> None:
    clients.state_bucket().blob("presets/club.yaml").upload_from_string(OWN.replace("contact_id", "member_id"))
    local_cloud.drop("contacts.csv", CONTACTS)
    with pytest.raises(ContractError, match=r"presets/club\.yaml: preset 'club'"):
        plan()


def test_a_file_set_aside_loads_after_a_preset_was_added(local_cloud: LocalCloud) -> None:
    generation = local_cloud.drop("members.csv", "Member,Joined\n1,2024-07-01 10:00\n")
    (planned,) = plan()
    assert "no preset knows: Member, Joined" in reject_of(planned).message
    clients.state_bucket().blob("presets/club.yaml").upload_from_string(OWN.replace("    account: club\n", ""))
    landing = {"bucket": "test-project-landing", "name": "members.csv", "generation": generation}
    (again,) = plan(landing_object=landing)
    (page,) = fetch(again)
    assert page.rows[0]["contact_id"] == "1"


def _peak_bytes(planned: PlannedSlice) -> int:
    tracemalloc.start()
    try:
        for page in crm.fetch(task(planned, slice_id=planned.identity)):
            assert page.rows
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_file(local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_bytes, "DOWNLOAD_CHUNK_BYTES", 256 * 1024)

    def content(rows: int) -> str:
        return "contact_id,email,city\n" + "".join(f"{n},u{n}@example.com,Paris\n" for n in range(rows))

    local_cloud.drop("large.csv", content(160_000))
    local_cloud.drop("small.csv", content(40_000))
    peaks: Mapping[str, int] = {planned.request["file"]["name"]: _peak_bytes(planned) for planned in plan()}
    assert peaks["large.csv"] < 1.3 * peaks["small.csv"]


def test_what_the_head_leaves_open_is_decided_by_the_kept_file_once(local_cloud: LocalCloud) -> None:
    rows = [f"{n},{'28' if n == 9_700 else '02'}/01/2024,5" for n in range(16_000)]
    local_cloud.drop("orders.csv", "order_id,order_at,amount\n" + "\n".join(rows) + "\n")
    (planned,) = plan()
    assert planned.request["preset"]["undecided"] == ("order_at",)
    first, *others = fetch(planned)
    assert first.rows[0]["order_at"] == "2024-01-02T00:00:00Z"
    assert first.facts["guesses"] == ["order_at: day before month, as in '28/01/2024'"]
    assert first.cursor is not None
    assert first.cursor["values"]["date_orders"]["order_at"] == "dmy"
    again = fetch(planned, cursor=first.cursor)
    assert [page.rows for page in again] == [page.rows for page in others]


def test_a_file_that_leaves_a_column_open_to_its_end_is_set_aside_by_name(local_cloud: LocalCloud) -> None:
    rows = [f"{n},02/01/2024,5" for n in range(16_000)]
    local_cloud.drop("orders.csv", "order_id,order_at,amount\n" + "\n".join(rows) + "\n")
    (planned,) = plan()
    rejected = reject_of(planned)
    assert rejected.kind == "file_set_aside"
    assert "orders.csv: column 'order_at': '02/01/2024' may begin with its day or its month" in str(rejected)


SHOP = """
presets:
  - name: web_orders
    source: crm
    stream: orders
    match: {headers: [Name, Created at, Total, Lineitem name]}
    columns: {order_id: Name, order_at: Created at, amount: Total}
    one_row_per: Name
  - name: web_order_items
    source: crm
    stream: order_items
    companion_of: web_orders
    columns: {order_id: Name, product_name: Lineitem name, quantity: Lineitem quantity}
"""
SHOP_ORDERS = (
    "Name,Created at,Total,Lineitem quantity,Lineitem name\n"
    "#1,2024-03-01 10:00,30.00,1,Cap\n#1,,,2,Mug\n#1,,,1,Pen\n#2,2024-03-02 10:00,9.00,1,Cap\n#2,,,1,Mug\n"
)


def deploy(text: str) -> None:
    clients.state_bucket().blob("presets/own.yaml").upload_from_string(text)


def test_a_file_of_two_streams_is_planned_twice_and_loads_into_both(local_cloud: LocalCloud) -> None:
    deploy(SHOP)
    generation = local_cloud.drop("orders.csv", SHOP_ORDERS)
    orders, items = plan()
    assert (orders.stream, items.stream, orders.identity) == ("orders", "order_items", items.identity)
    ids = [names.slice_id(RUN, each) for each in (orders, items)]
    assert ids[0] != ids[1]
    for each, slice_id, rows in zip((orders, items), ids, (2, 5), strict=True):
        (page,) = fetch(each, slice_id=slice_id)
        assert len(page.rows) == rows
        assert len(page.rows) + len(page.aside) + page.non_rows == 5
        assert page.facts["preset"] == each.request["preset"]["preset"]
    landing = {"bucket": "test-project-landing", "name": "orders.csv", "generation": generation}
    for asked in ({"streams": ("order_items",)}, {"streams": ("order_items",), "landing_object": landing}):
        assert plan(**asked) == [items]


def run_of(name: str, generation: str, message: str, **more: Any) -> str:
    run = names.run_id("crm", datetime(2024, 7, 4, tzinfo=UTC), message)
    landing = {"bucket": "test-project-landing", "name": name, "generation": generation}
    planner.start(run, {"source": "crm", "reason": "file", "landing_object": landing, **more}, datetime(2024, 7, 4, tzinfo=UTC))
    return run


def streams_of(run: str) -> list[str]:
    stored = state.read(names.plan_name(run))
    assert stored is not None
    return [each["stream"] for each in stored.data["slices"]]


def test_an_event_that_comes_twice_plans_both_slices_once(local_cloud: LocalCloud) -> None:
    deploy(SHOP)
    generation = local_cloud.drop("orders.csv", SHOP_ORDERS)
    first = run_of("orders.csv", generation, "one")
    assert streams_of(first) == ["orders", "order_items"]
    assert run_of("orders.csv", generation, "one") == first  # a redelivery
    assert len(list(slices.list_slices(first))) == 2
    assert streams_of(run_of("orders.csv", generation, "two")) == []


def test_a_planner_that_dies_between_two_slices_of_a_file_is_finished_by_its_redelivery(local_cloud: LocalCloud) -> None:
    deploy(SHOP)
    generation = local_cloud.drop("orders.csv", SHOP_ORDERS)
    run = run_of("orders.csv", generation, "one")
    lost = next(each for each in slices.list_slices(run) if each.metadata["stream"] == "order_items")
    state.delete(lost.name)
    run_of("orders.csv", generation, "one")
    assert {each.metadata["stream"] for each in slices.list_slices(run)} == {"orders", "order_items"}


def test_an_ask_for_one_stream_leaves_the_file_to_the_schedule(local_cloud: LocalCloud) -> None:
    deploy(SHOP)
    local_cloud.drop("orders.csv", SHOP_ORDERS)
    run = names.run_id("crm", datetime(2024, 7, 4, tzinfo=UTC), "asked")
    planner.start(run, {"source": "crm", "streams": ["orders"]}, datetime(2024, 7, 4, tzinfo=UTC))
    assert streams_of(run) == ["orders"]
    assert [each.stream for each in plan(asked_by="scheduler")] == ["orders", "order_items"]


def test_each_of_a_files_slices_is_retried_as_itself(local_cloud: LocalCloud) -> None:
    deploy(SHOP.replace("quantity: Lineitem quantity", "quantity: Pieces"))
    generation = local_cloud.drop("orders.csv", SHOP_ORDERS)
    run = run_of("orders.csv", generation, "one")
    deploy(SHOP)
    for listed in slices.list_slices(run):
        piece = slices.read_slice(run, slices.slice_id_of(listed))
        assert piece is not None
        frozen = planner.refrozen(run, piece.data)
        assert frozen["stream"] == piece.data["stream"]
        assert frozen["request"]["preset"]["preset"] == f"web_{frozen['stream']}"


def test_a_file_that_turns_out_to_be_of_two_streams_gets_its_second_slice(local_cloud: LocalCloud) -> None:
    generation = local_cloud.drop("export.csv", SHOP_ORDERS)
    run = run_of("export.csv", generation, "one")
    assert streams_of(run) == ["orders"]  # set aside under the nearest preset's stream
    deploy(SHOP)
    (listed,) = slices.list_slices(run)
    piece = slices.read_slice(run, slices.slice_id_of(listed))
    assert piece is not None
    local_cloud.messages("crm")
    assert planner.refrozen(run, piece.data)["stream"] == "orders"
    (sent,) = local_cloud.messages("crm")
    message = json.loads(base64.b64decode(sent.data["message"]["data"]))
    assert (message["streams"], message["landing_object"]["name"]) == (["order_items"], "export.csv")
    asked = {name: message.get(name) for name in ("source", "streams", "reason", "asked_by", "landing_object")}
    planner.start(message["run_id"], asked, datetime.fromisoformat(message["asked_at"]))
    assert streams_of(message["run_id"]) == ["order_items"]


DAYS = """
presets:
  - name: till
    source: crm
    stream: orders
    match: {headers: [Till, Bon, At, Sum]}
    columns: {order_id: Bon, order_at: At, amount: Sum}
    ignore: [Till]
    mode: dates
    days: {file_name: 'till_(?P<from>\\d{4}-\\d\\d-\\d\\d)_(?P<to>\\d{4}-\\d\\d-\\d\\d)'}
"""


def test_a_file_may_be_everything_of_the_days_in_its_name(local_cloud: LocalCloud) -> None:
    deploy(DAYS)
    till = "Till,Bon,At,Sum\n1,7,2024-07-01 10:00,5.00\n"
    local_cloud.drop("TILL_2024-07-01_2024-07-07.csv", till)
    (planned,) = plan()
    assert (planned.mode, planned.window_from, planned.window_to) == ("dates", date(2024, 7, 1), date(2024, 7, 7))
    data = slices.initial(RUN, planned, contract.load())
    assert "/from=2024-07-01/to=2024-07-07/" in bronze.part_prefix(data)


@pytest.mark.parametrize("name", ["till.csv", "till_2024-07-09_2024-07-01.csv", "till_2024-07-01_2024-07-77.csv"])
def test_a_name_that_does_not_tell_its_days_sets_the_file_aside(local_cloud: LocalCloud, name: str) -> None:
    deploy(DAYS)
    local_cloud.drop(name, "Till,Bon,At,Sum\n1,7,2024-07-01 10:00,5.00\n")
    (planned,) = plan()
    error = reject_of(planned)
    assert planned.stream == "orders"
    assert name in error.message
    assert "'till'" in error.next_step
    if name == "till.csv":
        assert "(?P<from>" in error.message


def test_a_retry_takes_over_the_days_that_a_mended_pattern_finds(local_cloud: LocalCloud) -> None:
    deploy(DAYS.replace("till_", "register_"))
    generation = local_cloud.drop("till_2024-07-01_2024-07-07.csv", "Till,Bon,At,Sum\n1,7,2024-07-01 10:00,5.00\n")
    run = run_of("till_2024-07-01_2024-07-07.csv", generation, "one")
    (listed,) = slices.list_slices(run)
    piece = slices.read_slice(run, slices.slice_id_of(listed))
    assert piece is not None
    assert (piece.data["from"], "reject" in piece.data["request"]) == (None, True)
    piece.change(status="failed")
    deploy(DAYS)
    slices.retry(piece, planner.refrozen(run, piece.data))
    again = slices.read_slice(run, piece.id)
    assert again is not None
    assert (again.status, again.data["mode"]) == ("planned", "dates")
    assert (again.data["from"], again.data["to"]) == ("2024-07-01", "2024-07-07")
