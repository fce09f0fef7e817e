"""Files that come damaged, cut or empty, and bytes that change on their way: an error or a set-aside row, never a loss."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from pipeline import clients, file_bytes, ingest, originals, slices, sweep
from pipeline.sources.crm.fetching import PAGE_ROWS
from sandbox.engines.faults import Corrupt, Truncate
from tests.conftest import LocalCloud, run_door
from tests.functions.test_ingest import ORDERS, manifests, rows_of, the_slice, work
from tests.functions.zip_files import zipped

HEADER = "order_id,order_at,amount,currency\n"
ROWS = 15_000
"""Far more than a page, and than a range of a download."""
AMOUNTS = [str(Random(n).randrange(10**30)) for n in range(ROWS)]
LONG = HEADER + "".join(f"O{n},2025-03-01 10:00:00,{amount},EUR\n" for n, amount in enumerate(AMOUNTS))
CHUNK_BYTES = 64 * 1024


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of some hundred kilobytes takes several ranges."""
    monkeypatch.setattr(file_bytes, "DOWNLOAD_CHUNK_BYTES", CHUNK_BYTES)


def plan_only(cloud: LocalCloud, name: str, content: bytes | str) -> None:
    """Drop a file and have it planned; its slice is still to be read."""
    cloud.drop(name, content)
    (event,) = cloud.messages("crm")
    run_door(ingest.handle, event)


def go_on(cloud: LocalCloud) -> None:
    """Time passes: the slice that waits to be tried again is woken."""
    data = the_slice(cloud)
    piece = slices.read_slice(data["run_id"], data["slice_id"])
    assert piece is not None
    assert (piece.status, piece.data["not_before"] is not None) == ("waiting", True)
    piece.change(not_before="2025-01-01T00:00:00+00:00")
    assert sweep.sweep()["slices"] == 1
    work(cloud)


def counts(manifest: dict[str, Any]) -> tuple[int, int, int]:
    return (manifest["rows"], manifest["aside"], manifest["non_rows"])


def test_a_download_whose_checksum_does_not_fit_is_tried_again(local_cloud: LocalCloud) -> None:
    plan_only(local_cloud, "orders.csv", ORDERS)
    bent = local_cloud.storage.faults.add(Corrupt(), method="objects.download", name="*-landing/orders.csv")
    work(local_cloud)
    assert bent.hits == 1
    assert manifests(local_cloud) == []
    assert local_cloud.state("files/") == {}, "nobody owns bytes that are none"
    go_on(local_cloud)
    (manifest,) = manifests(local_cloud)
    assert counts(manifest) == (40, 0, 0)
    assert clients.bronze_bucket().blob(manifest["api"]["file_object"]).download_as_bytes() == ORDERS.encode()


PACKINGS: dict[str, tuple[str, Callable[[str], bytes]]] = {
    "plain": ("orders.csv", str.encode),
    "gzip": ("orders.csv.gz", lambda text: gzip.compress(text.encode(), 1)),
    "zip": ("orders.zip", lambda text: zipped(("orders.csv", text))),
}


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("range_number", [0, 1])
def test_a_range_that_comes_bent_spoils_what_was_kept_and_the_file_is_read_anew(
    local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch, packing: str, range_number: int
) -> None:
    """Pages that were checkpointed before the end showed it hold what the bent bytes said: they must not count."""
    name, pack = PACKINGS[packing]
    plan_only(local_cloud, name, pack(LONG))
    monkeypatch.setattr(ingest, "CHECKPOINT_SECONDS", -1)  # a checkpoint after every page
    ranges = 3 if packing == "zip" else 0  # of the archive's directory
    skip = ranges + range_number
    bent = local_cloud.storage.faults.add(Corrupt(), method="objects.download", name="*-bronze/files/*", skip=skip)
    work(local_cloud)
    assert bent.hits == 1
    assert manifests(local_cloud) == []
    assert the_slice(local_cloud)["checkpoint"] is None
    go_on(local_cloud)
    (manifest,) = manifests(local_cloud)
    assert counts(manifest) == (ROWS, 0, 0)
    assert [row["payload"]["amount"] for row in rows_of(manifest)] == AMOUNTS


def test_an_invocation_that_handed_over_what_came_bent_is_found_out_by_the_next(
    local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It never saw the end of the file; and the next one, which reads the first part again, has it as it is kept."""
    rows = (f"O{n},2025-03-01 10:00:00,{amount},EUR,{'wide' * 100}\n" for n, amount in enumerate(AMOUNTS[: 4 * PAGE_ROWS]))
    plan_only(local_cloud, "orders.csv", HEADER.replace("\n", ",note\n") + "".join(rows))  # the first page takes two ranges
    bent = local_cloud.storage.faults.add(Corrupt(), method="objects.download", name="*-bronze/files/*", skip=1)
    (message,) = local_cloud.messages("crm")
    with monkeypatch.context() as no_time:
        no_time.setenv("PIPELINE_TIMEOUT_SECONDS", "0")
        run_door(ingest.handle, message)
    handed_over = the_slice(local_cloud)
    assert (bent.hits, handed_over["status"], handed_over["checkpoint"]["cursor"]["rows"]) == (1, "waiting", PAGE_ROWS)
    work(local_cloud)
    assert manifests(local_cloud) == []
    go_on(local_cloud)
    (manifest,) = manifests(local_cloud)
    assert [row["payload"]["amount"] for row in rows_of(manifest)] == AMOUNTS[: 4 * PAGE_ROWS]


def test_a_range_that_breaks_off_is_taken_up_where_it_ended(local_cloud: LocalCloud) -> None:
    plan_only(local_cloud, "orders.csv", LONG)
    cut = local_cloud.storage.faults.add(Truncate(10_000), method="objects.download", name="*orders.csv", count=3)
    work(local_cloud)
    assert cut.hits == 3
    assert counts(manifests(local_cloud)[0]) == (ROWS, 0, 0)


def test_a_file_that_is_replaced_while_it_is_downloaded_loads_in_its_new_version_alone(
    local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_only(local_cloud, "orders.csv", LONG)
    newer = LONG.replace("EUR", "GBP")
    write = originals._Watch.write
    replaced: list[str] = []

    def replace_then_write(watch: Any, data: bytes) -> int:
        if not replaced:
            replaced.append(local_cloud.drop("orders.csv", newer))
        return write(watch, data)

    with monkeypatch.context() as patch:
        patch.setattr(originals._Watch, "write", replace_then_write)
        cut = local_cloud.storage.faults.add(Truncate(200_000), method="objects.download", name="*-landing/orders.csv")
        (message, *_) = local_cloud.messages("crm")
        run_door(ingest.handle, message)
    assert (len(replaced), cut.hits) == (1, 1)
    error = the_slice(local_cloud)["error"]
    assert error["kind"] == "landing_overwritten"
    assert "orders.csv was replaced or deleted" in error["message"]
    work(local_cloud)
    (manifest,) = manifests(local_cloud)
    assert counts(manifest) == (ROWS, 0, 0)
    assert {row["payload"]["currency"] for row in rows_of(manifest)} == {"GBP"}


@pytest.mark.parametrize("text", ["contact_id,email\n", "contact_id,email", "contact_id,email\r\n\r\n"])
@pytest.mark.parametrize("packing", PACKINGS)
def test_a_header_alone_is_a_file_without_rows(local_cloud: LocalCloud, packing: str, text: str) -> None:
    name, pack = PACKINGS[packing]
    local_cloud.drop(name.replace("orders", "people"), pack(text))
    work(local_cloud)
    (manifest,) = manifests(local_cloud)
    assert (manifest["stream"], manifest["rows"], manifest["aside"], manifest["parts"]) == ("contacts", 0, 0, [])
    assert manifest["non_rows"] == text.count("\r\n\r\n")


def test_an_empty_file_is_no_rows_of_what_its_name_says_and_else_set_aside(local_cloud: LocalCloud) -> None:
    for name in ("contacts.csv", "products.csv", "what.csv"):
        local_cloud.drop(name, b"")
    local_cloud.drop("empty.zip", zipped(("contacts 2.csv", b""), ("orders.csv", b"\n\n")))
    work(local_cloud)
    found = {manifest["file_name"]: manifest for manifest in manifests(local_cloud)}
    assert found["contacts.csv"]["rows"] == 0
    assert found["contacts.csv"]["api"]["guesses"] == ["empty file, taken for contacts by its name"]
    assert found["empty.zip/orders.csv"]["rows"] == 0
    failures = {failure["file_name"]: failure["message"] for failure in local_cloud.state("failures/").values()}
    assert set(failures) == {"products.csv", "what.csv"}
    assert "would mark every one as deleted" in failures["products.csv"]
    assert "its name says nothing of what" in failures["what.csv"]


def test_an_empty_copy_is_the_same_as_an_empty_file(local_cloud: LocalCloud) -> None:
    """All empty files hold the same bytes, so the second adds nothing."""
    for name in ("contacts.csv", "contacts (1).csv"):
        local_cloud.drop(name, b"")
    work(local_cloud)
    assert sorted(data["status"] for data in local_cloud.state("slices/").values()) == ["extracted", "skipped"]


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.98])
@pytest.mark.parametrize("packing", ["gzip", "zip"])
def test_a_compressed_file_that_is_cut_is_set_aside_whole(
    local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch, packing: str, keep: float
) -> None:
    name, pack = PACKINGS[packing]
    data = pack(LONG)
    monkeypatch.setattr(ingest, "CHECKPOINT_SECONDS", -1)
    local_cloud.drop(name, data[: int(keep * len(data))])
    work(local_cloud)
    assert manifests(local_cloud) == [], "no row of it is loaded"
    error = the_slice(local_cloud)["error"]
    assert error["kind"] == "file_set_aside"
    assert name in error["message"]
    assert "cut short" in error["message"] or "is missing or damaged" in error["message"]
    assert "Check whether its upload was complete" in error["next_step"]
    local_cloud.drop(name, data)
    work(local_cloud)
    assert counts(manifests(local_cloud)[0]) == (ROWS, 0, 0)


def test_a_small_gzip_file_that_is_cut_is_set_aside_when_it_is_looked_at(local_cloud: LocalCloud) -> None:
    local_cloud.drop("orders.csv.gz", gzip.compress(ORDERS.encode())[:-20])
    work(local_cloud)
    assert manifests(local_cloud) == []
    error = the_slice(local_cloud)["error"]
    assert "the gzip stream is cut short" in error["message"]
    assert "Check whether its upload was complete" in error["next_step"]


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("O99,2025-03-", "ragged_row"),
        ("O99", "ragged_row"),
        ('O99,2025-03-01 10:00:00,5.00,"EU', "unterminated_quote"),
        ("O99,2025-03-01 10:00:00,,EUR", "missing_required"),
        ("O99,2025-03-01 10:0,5.00,EUR", "unreadable_timestamp"),
    ],
)
def test_a_text_that_is_cut_in_its_last_row_loads_to_the_row_before(local_cloud: LocalCloud, end: str, reason: str) -> None:
    local_cloud.drop("orders.csv", LONG + end)
    work(local_cloud)
    (manifest,) = manifests(local_cloud)
    assert counts(manifest) == (ROWS, 1, 0)
    (aside,) = rows_of(manifest, "asides")
    assert (aside["payload"]["reason"], aside["_line"]) == (reason, ROWS + 2)
    assert aside["payload"]["raw"] == end


def test_a_text_that_is_cut_inside_a_character_says_so(local_cloud: LocalCloud) -> None:
    text = "contact_id,city\n1,Nîmes\n2,Orl\N{LATIN SMALL LETTER E WITH ACUTE}".encode()
    local_cloud.drop("contacts.csv", text[:-1])
    work(local_cloud)
    (manifest,) = manifests(local_cloud)
    assert counts(manifest) == (1, 1, 0)
    (aside,) = rows_of(manifest, "asides")
    assert (aside["payload"]["reason"], aside["payload"]["column"]) == ("undecodable", "city")


def test_a_file_of_two_bytes_a_character_that_is_cut_inside_one_says_so(local_cloud: LocalCloud) -> None:
    data = ("\ufeff" + LONG).encode("utf-16-le")[:-3]
    local_cloud.drop("orders.csv", data)
    work(local_cloud)
    (manifest,) = manifests(local_cloud)
    rows, aside, _ = counts(manifest)
    assert (rows, aside) == (ROWS - 1, 1)
