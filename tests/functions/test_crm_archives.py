"""Archives that are dropped: every member is planned, kept, read, skipped, set aside and retried like a file of its own."""

from __future__ import annotations

import gzip
import hashlib
import tracemalloc
from random import Random
from typing import Any

import pytest

from pipeline import clients, control, file_bytes, ingest, names, runs, slices
from pipeline import plan as planner
from pipeline.sources import PlannedSlice, crm
from sandbox import file_report
from tests.conftest import LocalCloud, run_door
from tests.functions.test_crm_source import CONTACTS, DAYS, SHOP, SHOP_ORDERS, deploy, fetch, plan, reject_of, task
from tests.functions.test_ingest import ORDERS, manifests, rows_of, work
from tests.functions.zip_files import bent, with_flag, zipped
from tests.sandbox.test_file_report import seen_by_the_sandbox

NON_MEMBERS = (("__MACOSX/", ""), ("__MACOSX/._orders.csv", b"\0\5\26"), ("in/", ""), ("in/.DS_Store", b"\0"))


def by_file(planned: list[PlannedSlice]) -> dict[str, PlannedSlice]:
    return {names.shown_file(each.request["file"]): each for each in planned}


def loaded_files(cloud: LocalCloud) -> list[str]:
    return sorted(manifest["file_name"] for manifest in manifests(cloud))


def statuses(cloud: LocalCloud) -> dict[str, str]:
    return {names.shown_file(data["request"]["file"]): data["status"] for data in cloud.state("slices/").values()}


def test_every_member_is_planned_as_a_file_of_its_own(local_cloud: LocalCloud) -> None:
    data = zipped(*NON_MEMBERS, ("orders.csv", ORDERS), ("in/contacts.csv", CONTACTS))
    generation = local_cloud.drop("export.zip", data)
    orders, contacts = plan()
    place = f"test-project-landing/export.zip#{generation}"
    assert (orders.stream, orders.identity) == ("orders", f"{place}/orders.csv")
    assert (contacts.stream, contacts.identity) == ("contacts", f"{place}/in/contacts.csv")
    assert contacts.request["file"]["member"] == "in/contacts.csv"
    assert contacts.request["file"]["non_members"] == [name for name, _ in NON_MEMBERS]


def test_rows_and_facts_are_those_of_the_member_and_the_archive_is_kept_once(local_cloud: LocalCloud) -> None:
    data = zipped(*NON_MEMBERS, ("orders.csv", ORDERS), ("in/contacts.csv", CONTACTS))
    local_cloud.drop("2025/export.zip", data)
    work(local_cloud)
    found = {manifest["stream"]: manifest for manifest in manifests(local_cloud)}
    assert {stream: manifest["rows"] for stream, manifest in found.items()} == {"orders": 40, "contacts": 2}
    orders = found["orders"]
    assert orders["file_name"] == "2025/export.zip/orders.csv"
    assert orders["file_sha256"] == hashlib.sha256(ORDERS.encode()).hexdigest()
    assert orders["api"]["non_members"] == [name for name, _ in NON_MEMBERS]
    assert rows_of(orders)[0]["_file"] == "2025/export.zip/orders.csv"
    assert rows_of(orders)[0]["_line"] == 2
    kept = [blob.name for blob in clients.bronze_bucket().list_blobs(prefix="files/")]
    assert {manifest["api"]["file_object"] for manifest in found.values()} == set(kept)
    assert len(kept) == 1
    assert clients.bronze_bucket().blob(kept[0]).download_as_bytes() == data


def test_an_archive_is_known_by_its_bytes(local_cloud: LocalCloud) -> None:
    data = zipped(("orders.csv", ORDERS))
    for name in ("a.csv", "b", "c.bin"):
        local_cloud.drop(name, data)
    local_cloud.drop("d.zip", ORDERS)
    local_cloud.drop("e.zip", b"")
    found = by_file(plan())
    assert sorted(found) == ["a.csv/orders.csv", "b/orders.csv", "c.bin/orders.csv", "d.zip", "e.zip"]
    for name in ("d.zip", "e.zip"):
        assert f"{name} is named as a zip archive, and is none" in reject_of(found[name]).message


@pytest.mark.parametrize("first", ["xl/styles.xml", "[Content_Types].xml", "custom.xml"])
@pytest.mark.parametrize("name", ["orders.xlsx", "orders.zip", "orders.csv"])
def test_a_workbook_is_no_archive_of_xml(local_cloud: LocalCloud, first: str, name: str) -> None:
    members = dict.fromkeys((first, "[Content_Types].xml", "xl/workbook.xml"), "<x/>")
    local_cloud.drop(name, zipped(*members.items()))
    (planned,) = plan()
    error = reject_of(planned)
    assert planned.stream == "orders"
    assert f"{name} is an Excel workbook" in error.message
    assert error.next_step == "Save each of its sheets as CSV and drop those."


def test_what_is_no_table_is_set_aside_by_name_and_the_rest_loads(local_cloud: LocalCloud) -> None:
    inner = zipped(("orders.csv", ORDERS))
    workbook = zipped(("[Content_Types].xml", "<x/>"), ("xl/workbook.xml", "<x/>"))
    data = zipped(
        ("orders.csv", ORDERS),
        ("contacts.csv.gz", gzip.compress(CONTACTS.encode())),
        ("logo.png", b"\x89PNG"),
        ("older.zip", inner),
        ("older.csv", inner),
        ("prices.xlsx", workbook),
        ("products.csv", workbook),
        ("weather.csv", "station,degrees\nOslo,3\n"),
    )
    local_cloud.drop("export.zip", data)
    work(local_cloud)
    assert loaded_files(local_cloud) == ["export.zip/contacts.csv.gz", "export.zip/orders.csv"]
    failures = {failure["file_name"]: failure for failure in local_cloud.state("failures/").values()}
    wanted = {
        "export.zip/logo.png": "no delimited text by its name",
        "export.zip/older.zip": "an archive inside an archive",
        "export.zip/older.csv": "a zip archive",
        "export.zip/prices.xlsx": "a spreadsheet",
        "export.zip/products.csv": "an Excel workbook",
        "export.zip/weather.csv": "no preset knows: station, degrees",
    }
    assert set(failures) == set(wanted)
    for name, why in wanted.items():
        assert (name in failures[name]["message"], why in failures[name]["message"]) == (True, True)
        assert (failures[name]["kind"], bool(failures[name]["next_step"])) == ("file_set_aside", True)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (zipped(), "an archive without a file"),
        (zipped(*NON_MEMBERS), "without a file: it holds __MACOSX/, __MACOSX/._orders.csv, in/"),
        (zipped(("orders.csv", ORDERS))[:-30], "is missing or damaged"),
        (zipped(("orders.csv", ORDERS))[:40], "is missing or damaged"),
    ],
)
def test_an_archive_that_holds_nothing_or_is_cut_is_set_aside_whole(local_cloud: LocalCloud, data: bytes, why: str) -> None:
    local_cloud.drop("orders.zip", data)
    work(local_cloud)
    (failure,) = local_cloud.state("failures/").values()
    assert (failure["file_name"], failure["stream"], failure["kind"]) == ("orders.zip", "crm.orders", "file_set_aside")
    assert why in failure["message"]
    assert "drop it again" in failure["next_step"]


@pytest.mark.parametrize("rows", [40, 40_000])
def test_a_damaged_member_gives_no_row_and_the_others_load(local_cloud: LocalCloud, rows: int) -> None:
    """A small one shows it when it is planned, a large one when it is hashed."""
    orders = "order_id,order_at,amount\n" + "".join(f"{n},2025-03-01,{n * 7919 % 1000}\n" for n in range(rows))
    data = zipped(("contacts.csv", CONTACTS), ("orders.csv", orders), ("products.csv", "product_id,product_name\n1,Cap\n"))
    middle = data.index(b"orders.csv") + (data.index(b"products.csv") - data.index(b"orders.csv")) // 2
    local_cloud.drop("export.zip", bent(data, middle))
    work(local_cloud)
    assert loaded_files(local_cloud) == ["export.zip/contacts.csv", "export.zip/products.csv"]
    (failure,) = local_cloud.state("failures/").values()
    assert "export.zip/orders.csv is not a table of text to its end: it is damaged in the archive" in failure["message"]


def test_encrypted_and_doubled_members_are_set_aside(local_cloud: LocalCloud) -> None:
    local_cloud.drop("secret.zip", with_flag(zipped(("orders.csv", ORDERS)), 1))
    with pytest.warns(UserWarning, match="Duplicate"):
        local_cloud.drop("twice.zip", zipped(("orders.csv", ORDERS), ("orders.csv", ORDERS)))
    found = by_file(plan())
    assert "is encrypted" in reject_of(found["secret.zip/orders.csv"]).message
    assert "2 times" in reject_of(found["twice.zip/orders.csv"]).message
    assert {each.stream for each in found.values()} == {"orders"}


def test_the_same_table_is_loaded_once_however_it_is_packed(local_cloud: LocalCloud) -> None:
    other = CONTACTS + "3,c@example.com,2024-07-03 10:00:00\n"
    drops: list[tuple[str, Any, list[str]]] = [
        ("export.zip", zipped(("orders.csv", ORDERS), ("contacts.csv", CONTACTS)), ["extracted", "extracted"]),
        ("orders.csv", ORDERS, ["skipped"]),
        ("orders.csv.gz", gzip.compress(ORDERS.encode()), ["skipped"]),
        ("again.zip", zipped(("orders.csv.gz", gzip.compress(ORDERS.encode()))), ["skipped"]),
        ("export.zip", zipped(("contacts.csv", other), ("orders.csv", ORDERS)), ["extracted", "skipped"]),
        ("export.zip", zipped(("contacts.csv", CONTACTS), ("orders.csv", ORDERS)), ["extracted", "skipped"]),
    ]
    known: set[str] = set()
    for name, data, wanted in drops:
        local_cloud.drop(name, data)
        work(local_cloud)
        now = local_cloud.state("slices/")
        assert sorted(now[each]["status"] for each in now.keys() - known) == wanted, name
        known |= now.keys()


def test_two_equal_members_are_loaded_once(local_cloud: LocalCloud) -> None:
    local_cloud.drop("export.zip", zipped(("orders.csv", ORDERS), ("copy of orders.csv", ORDERS)))
    work(local_cloud)
    assert sorted(statuses(local_cloud).values()) == ["extracted", "skipped"]


def test_a_member_of_two_streams_is_read_into_both(local_cloud: LocalCloud) -> None:
    deploy(SHOP)
    local_cloud.drop("export.zip", zipped(("web.csv", SHOP_ORDERS), ("contacts.csv", CONTACTS)))
    work(local_cloud)
    counts = {each["stream"]: (each["rows"], each["non_rows"]) for each in manifests(local_cloud)}
    assert counts == {"orders": (2, 3), "order_items": (5, 0), "contacts": (2, 0)}


def test_a_member_goes_on_from_every_page(local_cloud: LocalCloud) -> None:
    rows = "".join(f"{n},u{n}@example.com,2024-07-01\n" if n % 9 else f"{n}\n" for n in range(1, 17_001))
    members = (("orders.csv", ORDERS), ("contacts.csv", "contact_id,email,created_at\n" + rows))
    local_cloud.drop("export.zip", zipped(*members))
    planned = by_file(plan())["export.zip/contacts.csv"]
    whole = fetch(planned)
    assert sum(len(page.rows) + len(page.aside) for page in whole) == 17_000
    clients.landing_bucket().blob("export.zip").delete()
    for number in (1, len(whole) - 1):
        assert fetch(planned, cursor=whole[number - 1].cursor) == whole[number:]


def test_a_long_member_goes_through_continuations(local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "".join(f"O{n},2025-03-01 10:00:00,1.00,EUR\n" for n in range(12_345))
    local_cloud.drop("export.zip", zipped(("contacts.csv", CONTACTS), ("o.csv", "order_id,order_at,amount,currency\n" + body)))
    monkeypatch.setenv("PIPELINE_TIMEOUT_SECONDS", "0")
    work(local_cloud, rounds=60)
    (manifest,) = (each for each in manifests(local_cloud) if each["stream"] == "orders")
    assert [row["_row"] for row in rows_of(manifest)] == list(range(1, 12_346))
    assert len(manifest["parts"]) > 1


def test_an_archive_that_is_replaced_says_so_and_its_successor_loads(local_cloud: LocalCloud) -> None:
    local_cloud.drop("export.zip", zipped(("orders.csv", ORDERS)))
    (old,) = plan()
    local_cloud.drop("export.zip", zipped(("orders.csv", ORDERS + "O41,C1,2025-03-05 10:00:00,9.00,EUR\n")))
    error = reject_of(old)
    assert (error.kind, "export.zip/orders.csv was replaced" in error.message) == ("landing_overwritten", True)
    (new,) = plan()
    (page,) = fetch(new)
    assert len(page.rows) == 41


def test_what_a_members_head_leaves_open_is_decided_by_all_of_it(local_cloud: LocalCloud) -> None:
    rows = "".join(f"{n},{'28' if n == 29_700 else '02'}/01/2024,5\n" for n in range(30_000))
    local_cloud.drop("export.zip", zipped(("orders.csv", "order_id,order_at,amount\n" + rows)))
    (planned,) = plan()
    assert planned.request["preset"]["undecided"] == ("order_at",)
    assert fetch(planned)[0].rows[0]["order_at"] == "2024-01-02T00:00:00Z"


def test_an_accent_after_a_members_head_is_not_lost(local_cloud: LocalCloud) -> None:
    rows = "".join(f"{n},Paris\n" for n in range(60_000)) + "60000,Orléans\n"
    local_cloud.drop("export.zip", zipped(("contacts.csv", ("contact_id,city\n" + rows).encode("cp1252"))))
    pages = fetch(*plan())
    assert pages[-1].rows[-1] == {"contact_id": "60000", "city": "Orléans"}


def test_memory_grows_neither_with_the_archive_nor_with_the_member(
    local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_bytes, "DOWNLOAD_CHUNK_BYTES", 256 * 1024)

    def archive(rows: int, filler_bytes: int) -> bytes:
        table = "contact_id,email,city\n" + "".join(f"{n},u{n}@example.com,Paris\n" for n in range(rows))
        return zipped(("scan.tif", Random(1).randbytes(filler_bytes)), ("contacts.csv", table))

    local_cloud.drop("large.zip", archive(160_000, 30_000_000))
    local_cloud.drop("small.zip", archive(40_000, 1_000))
    peaks = {}
    for name in ("small.zip", "large.zip"):
        landing = {"bucket": "test-project-landing", "name": name}
        landing["generation"] = str(clients.landing_bucket().get_blob(name).generation)
        tracemalloc.start()
        try:
            contacts = by_file(plan(landing_object=landing))[f"{name}/contacts.csv"]
            assert all(page.rows for page in crm.fetch(task(contacts, slice_id=name)))
            peaks[name] = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peaks["large.zip"] < 1.3 * peaks["small.zip"]


PRESET = (
    "presets: [{name: club, source: crm, stream: contacts, match: {headers: [Member]}, "
    "columns: {contact_id: Member, created_at: Joined}}]"
)


def retried(cloud: LocalCloud, name: str) -> slices.Slice:
    """The failed slice of a file, put back to work as ``control`` does it."""
    (data,) = (data for data in cloud.state("slices/").values() if names.shown_file(data["request"]["file"]) == name)
    piece = slices.read_slice(data["run_id"], data["slice_id"])
    assert piece is not None
    assert piece.status == "failed"
    runs.reopen(piece.run)
    slices.retry(piece, planner.refrozen(piece.run, piece.data))
    runs.release("crm", 4)
    work(cloud)
    again = slices.read_slice(piece.run, piece.id)
    assert again is not None
    return again


def test_a_member_that_was_set_aside_is_retried_as_itself(local_cloud: LocalCloud) -> None:
    members = (("contacts.csv", CONTACTS), ("club.csv", "Member,Joined\n7,2024-07-01 10:00\n"), ("other.csv", "Foo,Bar\n1,2\n"))
    local_cloud.drop("export.zip", zipped(*members))
    work(local_cloud)
    assert list(statuses(local_cloud).values()).count("failed") == 2
    deploy(PRESET)
    again = retried(local_cloud, "export.zip/club.csv")
    assert (again.status, again.data["request"]["file"]["member"]) == ("extracted", "club.csv")
    assert loaded_files(local_cloud) == ["export.zip/club.csv", "export.zip/contacts.csv"]
    assert len(local_cloud.state("plans/")) == 1, "nobody needs to be asked for another run"


def test_an_archive_that_was_refused_whole_is_retried_as_its_members(local_cloud: LocalCloud) -> None:
    """As after an update that reads what the version before it refused."""
    generation = local_cloud.drop("export.zip", zipped(("contacts.csv", CONTACTS), ("orders.csv", ORDERS)))
    landing = {"bucket": "test-project-landing", "name": "export.zip", "generation": generation}
    (event,) = local_cloud.messages("crm")
    file = {**landing, "size": 1, "md5": None, "updated": None}
    reject = {"message": "export.zip is a zip archive; unpack it", "next_step": "…", "kind": "file_set_aside"}
    refused = PlannedSlice("unrecognised", "default", "upsert", {"file": file, "reject": reject}, identity=f"x#{generation}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crm, "discover", lambda *_: [refused])
        run_door(ingest.handle, event)
        work(local_cloud)
    assert statuses(local_cloud) == {"export.zip": "failed"}
    assert retried(local_cloud, "export.zip").status == "extracted"
    assert loaded_files(local_cloud) == ["export.zip/contacts.csv", "export.zip/orders.csv"]


def test_events_that_come_twice_plan_every_member_once(local_cloud: LocalCloud) -> None:
    local_cloud.drop("export.zip", zipped(("contacts.csv", CONTACTS), ("orders.csv", ORDERS)))
    (event,) = local_cloud.messages("crm")
    for _ in range(2):
        run_door(ingest.handle, event)
    work(local_cloud)
    assert len(local_cloud.state("slices/")) == 2
    assert len(local_cloud.state("seen/")) == 1
    assert plan(asked_by="scheduler") == []


def test_a_dry_run_and_the_account_of_files_name_the_members(local_cloud: LocalCloud) -> None:
    local_cloud.drop("export.zip", zipped(*NON_MEMBERS, ("orders.csv", ORDERS), ("logo.png", b"\x89PNG")))
    answer = control.app.test_client().post("/runs", json={"source": "crm", "dry_run": True}).get_json()
    assert sorted(each["file"] for each in answer["slices"]) == ["export.zip/logo.png", "export.zip/orders.csv"]
    work(local_cloud)
    with seen_by_the_sandbox(local_cloud) as cloud:
        found = {account.name: account for account in file_report.accounts(cloud)}
    assert (found["export.zip/orders.csv"].in_file, found["export.zip/orders.csv"].status) == (40, "extracted")
    assert "no file of the archive: __MACOSX/, __MACOSX/._orders.csv, in/, in/.DS_Store" in found["export.zip/orders.csv"].notes
    assert found["export.zip/logo.png"].status == "set aside"


def test_an_archive_that_is_gone_when_its_member_is_retried_says_so(local_cloud: LocalCloud) -> None:
    local_cloud.drop("export.zip", zipped(("weather.csv", "station,degrees\nOslo,3\n")))
    work(local_cloud)
    clients.landing_bucket().blob("export.zip").delete()
    again = retried(local_cloud, "export.zip/weather.csv")
    assert again.data["error"]["kind"] == "landing_overwritten"


MAILCHIMP = (
    "Email Address,First Name,MEMBER_RATING,OPTIN_TIME,LAST_CHANGED,LEID,EUID\n"
    "{name}@example.com,Ann,2,2023-06-21 17:38:27,2023-06-22 17:38:27,448,{name}\n"
)


def test_an_audience_of_mailchimp_is_read_as_it_is_downloaded(local_cloud: LocalCloud) -> None:
    """Whether somebody agreed to mail stands in the names of the files in the archive."""
    kinds = ("subscribed", "unsubscribed", "cleaned")
    members = [(f"{kind}_email_audience_export_0a1b.csv", MAILCHIMP.format(name=kind)) for kind in kinds]
    local_cloud.drop("audience_export_0a1b.zip", zipped(*members))
    work(local_cloud)
    rows = [row["payload"] for manifest in manifests(local_cloud) for row in rows_of(manifest)]
    agreed = {row["contact_id"]: row["email_opt_in"] for row in rows}
    assert agreed == {"subscribed": "true", "unsubscribed": "false", "cleaned": "false"}


@pytest.mark.parametrize(
    ("archive", "member", "days"),
    [
        ("export.zip", "till_2024-07-01_2024-07-07.csv", ("2024-07-01", "2024-07-07")),
        ("till_2024-07-01_2024-07-07.zip", "july.csv", ("2024-07-01", "2024-07-07")),
        ("till_2024-07-01_2024-07-31.zip", "till_2024-07-01_2024-07-07.csv", ("2024-07-01", "2024-07-07")),
    ],
)
def test_the_days_of_a_member_stand_in_its_name_or_else_in_the_archives(
    local_cloud: LocalCloud, archive: str, member: str, days: tuple[str, str]
) -> None:
    deploy(DAYS)
    local_cloud.drop(archive, zipped((member, "Till,Bon,At,Sum\n1,7,2024-07-01 10:00,5.00\n")))
    (planned,) = plan()
    assert planned.mode == "dates"
    assert (str(planned.window_from), str(planned.window_to)) == days


def test_equal_members_of_other_days_are_other_files(local_cloud: LocalCloud) -> None:
    deploy(DAYS)
    quiet = "Till,Bon,At,Sum\n"
    local_cloud.drop("week.zip", zipped(*((f"till_2024-07-0{day}_2024-07-0{day}.csv", quiet) for day in (1, 2))))
    work(local_cloud)
    assert list(statuses(local_cloud).values()) == ["extracted", "extracted"]
