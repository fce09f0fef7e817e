"""Cloud Storage's contract, through the official client.

Runs against the engine, and also against another server where there is one (``reference_servers``): what passes here and
fails there is a fault of one of them.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import google_crc32c
import pytest
import requests
from google.api_core import exceptions
from google.cloud import storage
from google.cloud.storage.exceptions import InvalidResponse

from sandbox.engines.storage import StorageEngine
from sandbox.engines.storage_errors import README

from .engine_clients import storage_client
from .reference_servers import STORAGE_VARIABLE, has_storage_reference, storage_reference
from .storage_departures import DEPARTURES, HANGS, departure

CHUNK_BYTES = 256 * 1024


REFERENCE = [pytest.param("reference", marks=pytest.mark.slow)] if has_storage_reference() else []


@pytest.fixture(scope="module", params=["engine", *REFERENCE])
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "reference":
        with storage_reference() as address:
            yield address
        return
    engine = StorageEngine(tmp_path_factory.mktemp("storage"))
    yield engine.start()
    engine.stop()


@pytest.fixture(autouse=True)
def known_departures(request: pytest.FixtureRequest) -> None:
    """Holds fake-gcs-server to its list: what is on it must fail, what is not must pass. A server that is named has no list."""
    callspec = getattr(request.node, "callspec", None)
    if callspec is None or callspec.params.get("host") != "reference" or STORAGE_VARIABLE in os.environ:
        return
    if why := departure(request.node.name, HANGS):
        pytest.skip(f"fake-gcs-server {why}")
    if why := departure(request.node.name, DEPARTURES):
        request.applymarker(pytest.mark.xfail(reason=f"fake-gcs-server {why}", strict=True))


@pytest.fixture(scope="module")
def client(host: str) -> Any:
    return storage_client(host)


@pytest.fixture
def bucket(client: Any) -> Iterator[Any]:
    bucket = client.create_bucket(f"test-{uuid.uuid4().hex}", location="EU")
    yield bucket
    bucket.delete(force=True)


def put(bucket: Any, name: str, content: bytes | str = b"x", **settings: Any) -> Any:
    blob = bucket.blob(name)
    blob.upload_from_string(content, timeout=10, **settings)
    return blob


def listed(client: Any, bucket: Any, **settings: Any) -> list[str]:
    return [blob.name for blob in client.list_blobs(bucket.name, **settings)]


# ---- buckets


def test_a_bucket_exists_once(client: Any, bucket: Any) -> None:
    with pytest.raises(exceptions.Conflict):
        client.create_bucket(bucket.name)
    assert client.get_bucket(bucket.name).location == "EU"
    assert bucket.name in [found.name for found in client.list_buckets()]


def test_a_bucket_with_objects_is_not_deleted(bucket: Any) -> None:
    put(bucket, "kept")
    with pytest.raises(exceptions.Conflict):
        bucket.delete()
    assert bucket.blob("kept").exists()


def test_what_is_missing_is_not_found(client: Any, bucket: Any) -> None:
    assert bucket.get_blob("none") is None
    assert client.lookup_bucket(f"none-{uuid.uuid4().hex}") is None
    for call in (bucket.blob("none").download_as_bytes, bucket.blob("none").delete, bucket.blob("none").reload):
        with pytest.raises(exceptions.NotFound):
            call()


# ---- uploads


def test_an_upload_has_identity_size_and_checksums(bucket: Any) -> None:
    before = put(bucket, "a/b.txt", b"hello", content_type="text/plain")
    blob = bucket.get_blob("a/b.txt")
    assert (blob.size, blob.content_type, blob.metageneration) == (5, "text/plain", 1)
    assert blob.generation == before.generation
    assert blob.crc32c == base64.b64encode(google_crc32c.Checksum(b"hello").digest()).decode()
    assert blob.md5_hash == base64.b64encode(hashlib.md5(b"hello", usedforsecurity=False).digest()).decode()
    assert blob.updated == blob.time_created


def test_a_stream_of_unknown_length(bucket: Any) -> None:
    content = os.urandom(5 * CHUNK_BYTES + 123)
    with bucket.blob("stream", chunk_size=CHUNK_BYTES).open("wb") as file:
        for start in range(0, len(content), 100_000):
            file.write(content[start : start + 100_000])
    assert bucket.blob("stream").download_as_bytes() == content


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, 2 * CHUNK_BYTES, 2 * CHUNK_BYTES + 1])
def test_resumable_uploads_of_every_shape(bucket: Any, size: int) -> None:
    content = os.urandom(size)
    blob = bucket.blob("file", chunk_size=CHUNK_BYTES)
    blob.upload_from_file(io.BytesIO(content))
    assert blob.size == size
    assert bucket.blob("file").download_as_bytes() == content
    with bucket.blob("stream", chunk_size=CHUNK_BYTES).open("wb") as file:
        file.write(content)
    assert bucket.blob("stream").download_as_bytes() == content


def test_data_that_looks_like_a_boundary_is_data(host: str, bucket: Any) -> None:
    content = b"\r\n--xx\r\nContent-Type: text/plain\r\n\r\n--xx-\r\n\r\n--xx"
    body = b'--xx\r\ncontent-type: application/json\r\n\r\n{"name":"odd"}\r\n--xx\r\ncontent-type: a/b\r\n\r\n'
    url = f"{host}/upload/storage/v1/b/{bucket.name}/o?uploadType=multipart"
    headers = {"content-type": "multipart/related; boundary=xx"}
    answer = requests.post(url, data=body + content + b"\r\n--xx--\r\n", headers=headers, timeout=10)
    assert answer.status_code == 200, answer.text
    assert bucket.blob("odd").download_as_bytes() == content


def test_metadata_travels_with_an_upload(bucket: Any) -> None:
    blob = bucket.blob("meta", chunk_size=CHUNK_BYTES)
    blob.metadata = {"run_id": "r1", "rows": "10"}
    blob.cache_control = "no-store"
    blob.upload_from_file(io.BytesIO(b"m" * 300_000), content_type="application/x-ndjson")
    found = bucket.get_blob("meta")
    assert found.metadata == {"run_id": "r1", "rows": "10"}
    assert (found.content_type, found.cache_control) == ("application/x-ndjson", "no-store")


def test_a_broken_upload_leaves_nothing(bucket: Any) -> None:
    def write() -> None:
        with bucket.blob("half", chunk_size=CHUNK_BYTES).open("wb") as file:
            file.write(b"h" * 3 * CHUNK_BYTES)
            raise RuntimeError("the writer fails")

    with pytest.raises(RuntimeError):
        write()
    assert not bucket.blob("half").exists()


@pytest.mark.parametrize("checksum", ['"crc32c":"AAAAAA=="', '"md5Hash":"AAAAAAAAAAAAAAAAAAAAAA=="'])
def test_a_wrong_checksum_is_refused(host: str, bucket: Any, checksum: str) -> None:
    body = f'--xx\r\ncontent-type: application/json\r\n\r\n{{"name":"bad",{checksum}}}\r\n--xx\r\n\r\ndata\r\n--xx--'
    url = f"{host}/upload/storage/v1/b/{bucket.name}/o?uploadType=multipart"
    headers = {"content-type": "multipart/related; boundary=xx"}
    answer = requests.post(url, data=body, headers=headers, timeout=10)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == 400
    assert not bucket.blob("bad").exists()


# ---- generations and preconditions


def test_generations_rise_and_metadata_changes_keep_them(bucket: Any) -> None:
    first = put(bucket, "a")
    second = put(bucket, "a", b"y")
    assert second.generation > first.generation
    blob = bucket.get_blob("a")
    blob.metadata = {"status": "loaded"}
    blob.patch()
    again = bucket.get_blob("a")
    assert (again.generation, again.metageneration) == (second.generation, blob.metageneration)
    assert again.metageneration == 2
    assert again.metadata == {"status": "loaded"}
    again.metadata = {"status": None, "rows": "1"}
    again.patch()
    assert bucket.get_blob("a").metadata == {"rows": "1"}


def upload_string(bucket: Any, **conditions: Any) -> None:
    bucket.blob("a").upload_from_string(b"new", **conditions)


def upload_stream(bucket: Any, **conditions: Any) -> None:
    with bucket.blob("a", chunk_size=CHUNK_BYTES).open("wb", **conditions) as file:
        file.write(b"n" * 2 * CHUNK_BYTES)


def delete(bucket: Any, **conditions: Any) -> None:
    bucket.blob("a").delete(**conditions)


def patch(bucket: Any, **conditions: Any) -> None:
    blob = bucket.blob("a")
    blob.metadata = {"k": "v"}
    blob.patch(**conditions)


def compose(bucket: Any, **conditions: Any) -> None:
    bucket.blob("a").compose([bucket.blob("source")], **conditions)


def copy(bucket: Any, **conditions: Any) -> None:
    bucket.copy_blob(bucket.blob("source"), bucket, "a", **conditions)


def rewrite(bucket: Any, **conditions: Any) -> None:
    bucket.blob("a").rewrite(bucket.blob("source"), **conditions)


CHANGES: list[Callable[..., None]] = [upload_string, upload_stream, delete, patch, compose, copy, rewrite]


@pytest.mark.parametrize("change", CHANGES)
def test_a_stale_generation_is_refused(bucket: Any, change: Callable[..., None]) -> None:
    put(bucket, "source", b"s")
    stale = put(bucket, "a", b"first").generation
    current = put(bucket, "a", b"old").generation
    with pytest.raises((exceptions.PreconditionFailed, InvalidResponse)) as caught:
        change(bucket, if_generation_match=stale)
    # BlobWriter lets the upload's own error through; everything else raises PreconditionFailed.
    assert getattr(caught.value, "code", None) == 412 or caught.value.response.status_code == 412
    assert bucket.blob("a").download_as_bytes() == b"old"
    change(bucket, if_generation_match=current)


@pytest.mark.parametrize("change", [upload_string, upload_stream, compose, copy, rewrite])
def test_create_only(bucket: Any, change: Callable[..., None]) -> None:
    put(bucket, "source", b"s")
    change(bucket, if_generation_match=0)
    with pytest.raises((exceptions.PreconditionFailed, InvalidResponse)):
        change(bucket, if_generation_match=0)


def test_metageneration_preconditions(bucket: Any) -> None:
    blob = put(bucket, "a")
    blob.metadata = {"k": "1"}
    blob.patch(if_metageneration_match=1)
    blob.metadata = {"k": "2"}
    with pytest.raises(exceptions.PreconditionFailed):
        blob.patch(if_metageneration_match=1)
    with pytest.raises(exceptions.PreconditionFailed):
        blob.delete(if_metageneration_match=1)
    with pytest.raises(exceptions.PreconditionFailed):
        blob.upload_from_string(b"y", if_metageneration_match=7)
    blob.delete(if_metageneration_match=2)


def test_preconditions_on_the_source_of_a_copy(bucket: Any) -> None:
    source = put(bucket, "source", b"s")
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.copy_blob(source, bucket, "copy", if_source_generation_match=1)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("copy").rewrite(source, if_source_generation_match=1)
    assert not bucket.blob("copy").exists()
    bucket.copy_blob(source, bucket, "copy", if_source_generation_match=source.generation)
    assert bucket.blob("copy").download_as_bytes() == b"s"


def test_reading_with_preconditions(bucket: Any) -> None:
    old = put(bucket, "a").generation
    new = put(bucket, "a", b"new").generation
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("a").reload(if_generation_match=old)
    assert bucket.blob("a", generation=new).download_as_bytes() == b"new"
    with pytest.raises(exceptions.NotFound):
        bucket.blob("a", generation=old).download_as_bytes()


def test_of_many_that_create_exactly_one_wins(bucket: Any) -> None:
    def create(number: int) -> str:
        try:
            bucket.blob("race").upload_from_string(str(number), if_generation_match=0)
        except exceptions.PreconditionFailed:
            return "refused"
        return str(number)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(create, range(8)))
    winners = [result for result in results if result != "refused"]
    assert len(winners) == 1, results
    assert bucket.blob("race").download_as_text() == winners[0]


# ---- listing


def test_listing_by_prefix_delimiter_and_offsets(client: Any, bucket: Any) -> None:
    for name in ("l/x/1", "l/y/1", "l/y/2", "l/z", "m"):
        put(bucket, name)
    assert listed(client, bucket, prefix="l/y") == ["l/y/1", "l/y/2"]
    found = client.list_blobs(bucket.name, prefix="l/", delimiter="/")
    assert [blob.name for blob in found] == ["l/z"]
    assert found.prefixes == {"l/x/", "l/y/"}
    assert listed(client, bucket, start_offset="l/y/2") == ["l/y/2", "l/z", "m"]
    assert listed(client, bucket, start_offset="l/y", end_offset="l/z") == ["l/y/1", "l/y/2"]
    assert listed(client, bucket, match_glob="l/**/1") == ["l/x/1", "l/y/1"]
    assert listed(client, bucket, match_glob="l/{x,y}/?") == ["l/x/1", "l/y/1", "l/y/2"]
    assert listed(client, bucket, max_results=2) == ["l/x/1", "l/y/1"]


def test_pages_hold_every_name_once(client: Any, bucket: Any) -> None:
    names = [f"{folder}/{number}" for folder in "abcd" for number in range(3)] + ["e"]
    for name in names:
        put(bucket, name)
    pages = [[blob.name for blob in page] for page in client.list_blobs(bucket.name, page_size=4).pages]
    assert [len(page) for page in pages] == [4, 4, 4, 1]
    assert [name for page in pages for name in page] == names
    found = client.list_blobs(bucket.name, delimiter="/", page_size=2)
    assert [blob.name for blob in found] == ["e"]
    assert found.prefixes == {"a/", "b/", "c/", "d/"}


def test_a_partial_answer_holds_the_fields_asked_for(client: Any, bucket: Any) -> None:
    put(bucket, "a").metadata = {}
    blob = bucket.blob("b")
    blob.metadata = {"status": "loaded"}
    blob.upload_from_string(b"x")
    found = list(client.list_blobs(bucket.name, fields="items(name,metadata,updated),nextPageToken"))
    assert [(one.name, one.metadata, one.size) for one in found] == [("a", None, None), ("b", {"status": "loaded"}, None)]
    assert all(one.updated for one in found)


@pytest.mark.parametrize("name", ["dt=2026-01-01/a=1/part 0+%ü.json", "x#y?z&a=b", "a//b", "trail/", "~t~1", "…/é", "x" * 900])
def test_names_of_every_kind(client: Any, bucket: Any, name: str) -> None:
    put(bucket, name, f"content of {name}")
    assert bucket.blob(name).download_as_text() == f"content of {name}"
    assert listed(client, bucket) == [name]


def test_a_name_may_be_the_folder_of_another(bucket: Any) -> None:
    put(bucket, "k", b"1")
    put(bucket, "k/child", b"2")
    put(bucket, "k/child/grandchild", b"3")
    contents = [bucket.blob(name).download_as_bytes() for name in ("k", "k/child", "k/child/grandchild")]
    assert contents == [b"1", b"2", b"3"]


# ---- downloads, copies, deletions


def test_ranges_and_seeking(bucket: Any) -> None:
    content = os.urandom(3 * CHUNK_BYTES)
    put(bucket, "a", content)
    blob = bucket.blob("a")
    assert blob.download_as_bytes(start=1, end=3) == content[1:4]
    assert blob.download_as_bytes(start=len(content) - 2) == content[-2:]
    with pytest.raises(exceptions.RequestRangeNotSatisfiable):
        blob.download_as_bytes(start=len(content) + 1)
    with blob.open("rb", chunk_size=CHUNK_BYTES) as file:
        file.seek(1000)
        assert file.read(10) == content[1000:1010]
    chunked, target = bucket.blob("a", chunk_size=CHUNK_BYTES), io.BytesIO()
    chunked.download_to_file(target)
    assert target.getvalue() == content


def test_gzip_is_kept_as_it_came_and_inflated_on_the_way_out(host: str, bucket: Any) -> None:
    plain = b"line\n" * 10_000
    blob = bucket.blob("rows.json", chunk_size=CHUNK_BYTES)
    blob.content_encoding = "gzip"
    blob.upload_from_file(io.BytesIO(gzip.compress(plain)), content_type="application/json")
    found = bucket.get_blob("rows.json")
    assert found.content_encoding == "gzip"
    assert found.size < len(plain)
    assert gzip.decompress(found.download_as_bytes(raw_download=True)) == plain
    assert found.download_as_bytes() == plain
    url = f"{host}/storage/v1/b/{bucket.name}/o/rows.json?alt=media"
    assert requests.get(url, headers={"Accept-Encoding": "identity"}, timeout=10).content == plain


def test_compose_joins_in_the_order_given(bucket: Any) -> None:
    put(bucket, "1", b"aa")
    put(bucket, "2", b"bb")
    blob = bucket.blob("joined")
    blob.content_type = "text/plain"
    blob.compose([bucket.blob("2"), bucket.blob("1"), bucket.blob("2")])
    found = bucket.get_blob("joined")
    assert found.download_as_bytes() == b"bbaabb"
    assert (found.component_count, found.md5_hash, found.content_type) == (3, None, "text/plain")


def test_a_copy_keeps_metadata_and_survives_its_source(bucket: Any) -> None:
    source = bucket.blob("source")
    source.metadata = {"k": "v"}
    source.upload_from_string(b"content", content_type="text/csv")
    token, _, _ = bucket.blob("rewritten").rewrite(source)
    assert token is None
    bucket.copy_blob(source, bucket, "copied")
    source.delete()
    for name in ("rewritten", "copied"):
        found = bucket.get_blob(name)
        assert (found.metadata, found.content_type) == ({"k": "v"}, "text/csv")
        assert found.download_as_bytes() == b"content"


def test_a_batch_deletes_and_reports_what_is_missing(client: Any, bucket: Any) -> None:
    for number in range(3):
        put(bucket, str(number))
    with client.batch():
        for number in range(3):
            bucket.blob(str(number)).delete()
    assert listed(client, bucket) == []
    put(bucket, "present")

    def delete_two() -> None:
        with client.batch():
            bucket.blob("absent").delete()
            bucket.blob("present").delete()

    with pytest.raises(exceptions.NotFound):
        delete_two()
    assert listed(client, bucket) == []


def test_a_reader_keeps_its_generation_while_the_object_is_replaced(host: str, bucket: Any) -> None:
    put(bucket, "a", b"1" * 4_000_000)
    url = f"{host}/storage/v1/b/{bucket.name}/o/a?alt=media"
    with requests.get(url, stream=True, timeout=10) as answer:
        chunks = answer.iter_content(1000)
        first = next(chunks)
        put(bucket, "a", b"2")
        assert first + b"".join(chunks) == b"1" * 4_000_000


def test_a_slow_upload_holds_up_nobody(host: str, bucket: Any) -> None:
    parts = urlsplit(host)
    with socket.create_connection((parts.hostname or "", parts.port or 80)) as slow:
        slow.sendall(
            f"POST /upload/storage/v1/b/{bucket.name}/o?uploadType=media&name=slow HTTP/1.1\r\n"
            f"Host: {parts.netloc}\r\nContent-Length: 100\r\n\r\n12".encode()
        )
        answered = threading.Event()
        threading.Thread(target=lambda: (bucket.blob("a").exists(), answered.set()), daemon=True).start()
        assert answered.wait(20)


# ---- calls as the pipeline makes them


def test_a_pinned_generation_is_read_as_it_came_or_not_at_all(bucket: Any) -> None:
    packed = gzip.compress(b"a,b\n" * 50_000, mtime=0)
    before = bucket.blob("export.csv", chunk_size=CHUNK_BYTES)
    before.content_encoding = "gzip"
    before.upload_from_string(packed, content_type="text/csv")
    pinned = bucket.blob("export.csv", generation=before.generation)
    whole = io.BytesIO()
    pinned.download_to_file(whole, raw_download=True, checksum="crc32c", timeout=10)
    assert whole.getvalue() == packed
    with pinned.open("rb", chunk_size=CHUNK_BYTES, raw_download=True, timeout=10) as stream:
        assert stream.read(10) == packed[:10]
        stream.seek(-5, io.SEEK_END)
        assert stream.read() == packed[-5:]
    put(bucket, "export.csv", b"another")
    for read in (lambda: pinned.download_to_file(io.BytesIO(), raw_download=True), pinned.reload):
        with pytest.raises(exceptions.NotFound):
            read()


def test_a_pinned_generation_is_copied_into_another_bucket_once(client: Any, bucket: Any) -> None:
    source = put(bucket, "export.csv", b"x" * 300_000)
    pinned = bucket.blob("export.csv", generation=source.generation)
    other = client.create_bucket(f"other-{uuid.uuid4().hex}")
    try:
        kept, token, rounds = other.blob("kept"), None, 0
        while token is not None or rounds == 0:
            token, _, _ = kept.rewrite(pinned, token=token, if_generation_match=0, timeout=10)
            rounds += 1
        assert kept.download_as_bytes() == b"x" * 300_000
        with pytest.raises(exceptions.PreconditionFailed):
            other.blob("kept").rewrite(pinned, if_generation_match=0, timeout=10)
        put(bucket, "export.csv", b"another")
        with pytest.raises(exceptions.NotFound):
            other.blob("late").rewrite(pinned, if_generation_match=0, timeout=10)
    finally:
        other.delete(force=True)


def test_a_listing_goes_on_where_it_was_left(client: Any, bucket: Any) -> None:
    for name in ("open/1", "open/2", "open/3", "runs/1"):
        blob = bucket.blob(name)
        blob.metadata = {"status": name}
        blob.upload_from_string("{}", content_type="application/json", if_generation_match=0)
    fields = "items(name,metadata,updated,generation),nextPageToken"
    found = list(bucket.list_blobs(prefix="open/", start_offset="open/2", max_results=1, fields=fields, timeout=10))
    assert [(blob.name, blob.metadata) for blob in found] == [("open/2", {"status": "open/2"})]
    assert found[0].generation == bucket.get_blob("open/2").generation
    assert [blob.name for blob in bucket.list_blobs(prefix="open/", start_offset="open/2", fields=fields)] == [
        "open/2",
        "open/3",
    ]


def test_an_object_that_is_gone_is_not_replaced(bucket: Any, tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{}")
    blob = bucket.blob("state.json")
    blob.upload_from_filename(tmp_path / "state.json", timeout=10)
    seen = blob.generation
    blob.delete(timeout=10)
    with pytest.raises((exceptions.PreconditionFailed, exceptions.NotFound)):
        bucket.blob("state.json").upload_from_string("{}", if_generation_match=seen, timeout=10)
    assert not bucket.blob("state.json").exists(timeout=10)


# ---- the engine alone


def test_every_departure_names_a_test() -> None:
    """A test that was renamed would leave its entry behind."""
    assert {name.split("[")[0] for name in (*DEPARTURES, *HANGS)} <= globals().keys()


def test_a_client_needs_the_environment_variable_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = StorageEngine(tmp_path)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", engine.start())
    try:
        bucket = storage.Client(project="sandbox-project").create_bucket("landing")
        blob = put(bucket, "a", b"content")
        assert blob.download_as_bytes() == b"content"  # follows mediaLink, which must lead back to the engine
        assert requests.get(blob.media_link, timeout=10).content == b"content"
    finally:
        engine.stop()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/storage/v1/b/some-bucket/iam"),
        ("GET", "/storage/v1/b/some-bucket/o?softDeleted=true"),
        ("POST", "/storage/v1/b/some-bucket/o/a/moveTo/o/b"),
        ("POST", "/storage/v1/b/some-bucket/lockRetentionPolicy"),
        ("GET", "/storage/v1/b/some-bucket/folders"),
        ("GET", "/storage/v1/b/some-bucket/managedFolders"),
        ("GET", "/storage/v1/b/some-bucket/anywhereCaches"),
        ("POST", "/storage/v1/b/some-bucket/o/bulkRestore"),
        ("POST", "/storage/v1/b/some-bucket/o/watch"),
        ("PUT", "/some-bucket/a-name"),
        ("GET", "/some-bucket/a-name?X-Goog-Algorithm=GOOG4-RSA-SHA256"),
        ("POST", "/some-bucket/a-name?uploads"),
    ],
)
def test_calls_that_are_missing_are_refused_by_name(tmp_path: Path, method: str, path: str) -> None:
    engine = StorageEngine(tmp_path)
    try:
        host = engine.start()
        requests.post(f"{host}/storage/v1/b", json={"name": "some-bucket"}, timeout=10).raise_for_status()
        answer = requests.request(method, host + path, timeout=10)
        assert answer.status_code == 501
        assert path.split("?")[0] in answer.json()["error"]["message"]
    finally:
        engine.stop()


def changed(resource: Any, **settings: Any) -> Any:
    for name, value in settings.items():
        setattr(resource, name, value)
    return resource


KEY = b"k" * 32
KMS_KEY = "projects/p/locations/l/keyRings/r/cryptoKeys/k"
REFUSED: list[tuple[str, Callable[[Any], Any]]] = [
    ("GET /storage/v1/b/refusing/iam", lambda bucket: bucket.get_iam_policy(retry=None)),
    ("GET /storage/v1/b/refusing/iam/testPermissions", lambda bucket: bucket.test_iam_permissions(["x"], retry=None)),
    ("GET /storage/v1/b/refusing/acl", lambda bucket: bucket.acl.reload()),
    ("GET /storage/v1/b/refusing/defaultObjectAcl", lambda bucket: bucket.default_object_acl.reload()),
    ("GET /storage/v1/b/refusing/o/a/acl", lambda bucket: bucket.blob("a").make_public()),
    ("PUT /storage/v1/b/refusing", lambda bucket: bucket.update(retry=None)),
    ("the bucket setting retentionPolicy", lambda bucket: changed(bucket, retention_period=9).patch(retry=None)),
    (
        "the bucket setting defaultEventBasedHold",
        lambda bucket: changed(bucket, default_event_based_hold=True).patch(retry=None),
    ),
    ("the bucket setting encryption", lambda bucket: changed(bucket, default_kms_key_name=KMS_KEY).patch(retry=None)),
    ("the bucket setting billing", lambda bucket: changed(bucket, requester_pays=True).patch(retry=None)),
    ("the bucket setting autoclass", lambda bucket: changed(bucket, autoclass_enabled=True).patch(retry=None)),
    ("object versioning", lambda bucket: changed(bucket, versioning_enabled=True).patch(retry=None)),
    ("the parameter softDeleted=True", lambda bucket: list(bucket.list_blobs(soft_deleted=True, retry=None))),
    (
        "the parameter includeFoldersAsPrefixes=True",
        lambda bucket: list(bucket.list_blobs(delimiter="/", include_folders_as_prefixes=True, retry=None)),
    ),
    ("restore", lambda bucket: bucket.restore_blob("a", generation=1, retry=None)),
    ("moveTo", lambda bucket: bucket.move_blob(bucket.blob("a"), "b", retry=None)),
    ("hmacKeys", lambda bucket: list(bucket.client.list_hmac_keys(retry=None))),
    ("encryption keys of the caller", lambda bucket: bucket.blob("e", encryption_key=KEY).upload_from_string(b"", retry=None)),
    ("encryption keys of the caller", lambda bucket: bucket.blob("a", encryption_key=KEY).download_as_bytes(retry=None)),
    (
        "encryption keys of the caller",
        lambda bucket: bucket.blob("e", encryption_key=KEY).rewrite(bucket.blob("a"), retry=None),
    ),
    ("the parameter kmsKeyName", lambda bucket: bucket.blob("e", kms_key_name=KMS_KEY).upload_from_string(b"", retry=None)),
    ("the parameter predefinedAcl", lambda bucket: put(bucket, "p", predefined_acl="publicRead", retry=None)),
    ("the object setting temporaryHold", lambda bucket: changed(bucket.blob("a"), temporary_hold=True).patch(retry=None)),
    ("the object setting eventBasedHold", lambda bucket: changed(bucket.blob("a"), event_based_hold=True).patch(retry=None)),
    (
        "the object setting retention",
        lambda bucket: changed(bucket.blob("a").retention, mode="Unlocked").blob.patch(retry=None),
    ),
]


@pytest.mark.parametrize(("named", "act"), REFUSED, ids=[f"{number}-{named}" for number, (named, _) in enumerate(REFUSED)])
def test_the_client_hears_what_is_not_emulated(tmp_path: Path, named: str, act: Callable[[Any], Any]) -> None:
    engine = StorageEngine(tmp_path)
    try:
        bucket = storage_client(engine.start()).create_bucket("refusing")
        put(bucket, "a")
        with pytest.raises((exceptions.MethodNotImplemented, InvalidResponse)) as caught:
            act(bucket)
        assert named in str(caught.value)
        assert f"; see {README}." in str(caught.value)
        assert [blob.name for blob in bucket.list_blobs()] == ["a"], "nothing was done"
    finally:
        engine.stop()


def test_buckets_are_listed_page_by_page(tmp_path: Path) -> None:
    engine = StorageEngine(tmp_path)
    try:
        client = storage_client(engine.start())
        names = [client.create_bucket(f"bucket-{number}").name for number in range(5)]
        pages = [[bucket.name for bucket in page] for page in client.list_buckets(page_size=2).pages]
        assert pages == [names[:2], names[2:4], names[4:]]
        assert [bucket.name for bucket in client.list_buckets(max_results=3)] == names[:3]
    finally:
        engine.stop()


@pytest.mark.parametrize("name", ["ab", "Upper", "goog-x", "has space"])
def test_bucket_names_that_google_refuses(tmp_path: Path, name: str) -> None:
    engine = StorageEngine(tmp_path)
    try:
        assert requests.post(f"{engine.start()}/storage/v1/b", json={"name": name}, timeout=10).status_code == 400
    finally:
        engine.stop()


def test_a_large_upload_does_not_grow_the_engine(tmp_path: Path) -> None:
    """200 MB through the engine in this process: far less of it may stay in memory than went through."""
    resource = pytest.importorskip("resource")
    engine = StorageEngine(tmp_path)
    try:
        bucket = storage_client(engine.start()).create_bucket("large")
        block = os.urandom(1 << 20)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with bucket.blob("large", chunk_size=4 << 20).open("wb") as file:
            for _ in range(200):
                file.write(block)
        grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        assert bucket.get_blob("large").size == 200 << 20
        assert grown_mib < 80, f"the client's buffers included, {grown_mib:.0f} MiB"
    finally:
        engine.stop()


def test_stopping_is_prompt_though_a_client_keeps_its_connection(tmp_path: Path) -> None:
    engine = StorageEngine(tmp_path)
    with requests.Session() as session:
        session.get(f"{engine.start()}/storage/v1/b", timeout=10).raise_for_status()
        start = time.monotonic()
        engine.stop()
        engine.stop()
        assert time.monotonic() - start < 5
