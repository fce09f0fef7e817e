"""Faults of the Storage engine, as the official client meets them: what it sees, and what became of the object."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from google.cloud.storage.retry import DEFAULT_RETRY

from sandbox.engines.faults import Call, Corrupt, Cut, Delay, Duplicate, Faults, JobFails, Refuse, Rule, Truncate
from sandbox.engines.storage import StorageEngine
from sandbox.engines.storage_errors import README

from .engine_clients import storage_client

ROOT = Path(__file__).resolve().parents[2]
CHUNK_BYTES = 256 * 1024
BUCKET = "sandbox-project-faults"
QUICK = DEFAULT_RETRY.with_delay(initial=0.01, maximum=0.05)


@pytest.fixture(scope="module", autouse=True)
def no_calls_in_the_background() -> Iterator[None]:
    """The client fetches a bucket's metadata in a thread of its own beside the first call that names the bucket.

    Left on, that call would now and then meet the fault that a test has set for another.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
        yield


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StorageEngine]:
    engine = StorageEngine(tmp_path_factory.mktemp("storage"))
    address = engine.start()
    storage_client(address).create_bucket(BUCKET)
    yield engine
    engine.stop()


@pytest.fixture
def faults(engine: StorageEngine) -> Iterator[Faults]:
    yield engine.faults
    engine.faults.reset()


@pytest.fixture
def bucket(engine: StorageEngine) -> Any:
    assert engine.store is not None
    return storage_client(engine.store.address).bucket(BUCKET)


def put(bucket: Any, name: str, content: bytes = b"content", retry: Any = None, **settings: Any) -> Any:
    blob = bucket.blob(name)
    blob.upload_from_string(content, retry=retry, timeout=10, **settings)
    return blob


def write_in_chunks(bucket: Any) -> None:
    with bucket.blob("big", chunk_size=CHUNK_BYTES).open("wb", retry=None) as out:
        out.write(b"x" * (CHUNK_BYTES + 1))


def delete_in_a_batch(bucket: Any, *names: str) -> None:
    with bucket.client.batch():
        for name in names:
            bucket.blob(name).delete()


def names(bucket: Any, prefix: str) -> list[str]:
    return [blob.name for blob in bucket.list_blobs(prefix=prefix)]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_refusal_reaches_the_client_and_its_retry_succeeds(bucket: Any, faults: Faults, status: int) -> None:
    rule = faults.add(Refuse(status), method="objects.insert", count=2)
    with pytest.raises(exceptions.GoogleAPICallError) as caught:
        put(bucket, f"refused/{status}")
    assert caught.value.code == status
    assert names(bucket, f"refused/{status}") == []
    put(bucket, f"refused/{status}", retry=QUICK)
    assert rule.hits == 2
    assert names(bucket, f"refused/{status}") == [f"refused/{status}"]


def test_reason_and_retry_after_are_the_faults_own(bucket: Any, faults: Faults, engine: StorageEngine) -> None:
    assert engine.store is not None
    faults.add(Refuse(403, "userRateLimitExceeded", "slow down", retry_after_seconds=7), method="objects.get")
    answer = requests.get(f"{engine.store.address}/storage/v1/b/{BUCKET}/o/any", timeout=10)
    assert (answer.status_code, answer.headers["Retry-After"]) == (403, "7")
    assert answer.json()["error"]["errors"][0]["reason"] == "userRateLimitExceeded"


@pytest.mark.parametrize("effect", [Cut(after=True), Refuse(503, after=True)])
def test_a_lost_answer_leaves_the_object_there(bucket: Any, faults: Faults, effect: Any) -> None:
    """The create-only upload of the pipeline: the client repeats it and hears that the object exists."""
    name = f"lost/{type(effect).__name__}"
    faults.add(effect, method="objects.insert", name=f"{BUCKET}/{name}")
    with pytest.raises(exceptions.PreconditionFailed):
        put(bucket, name, retry=QUICK, if_generation_match=0)
    assert bucket.blob(name).download_as_bytes() == b"content"


def test_a_duplicate_is_a_second_call(bucket: Any, faults: Faults) -> None:
    faults.add(Duplicate(), method="objects.insert", name="*/twice")
    first = put(bucket, "once-before")
    blob = put(bucket, "twice", b"c" * 300_000)
    assert blob.generation > first.generation
    assert blob.download_as_bytes() == b"c" * 300_000
    faults.add(Duplicate(), method="objects.insert", name="*/once")
    with pytest.raises(exceptions.PreconditionFailed):  # the second one finds what the first has made
        put(bucket, "once", if_generation_match=0)
    assert bucket.blob("once").download_as_bytes() == b"content"
    faults.add(Duplicate(), method="objects.delete")
    with pytest.raises(exceptions.NotFound):
        bucket.blob("once").delete(retry=None)


def test_a_rule_that_no_call_can_meet_is_refused(faults: Faults) -> None:
    with pytest.raises(ValueError, match=r"no call 'objects.isnert' here; there are buckets.delete, "):
        faults.add(Refuse(503), method="objects.isnert")
    with pytest.raises(ValueError, match=r"objects.list cannot meet Truncate; objects.download, objects.insert, "):
        faults.add(Truncate(1), method="objects.list")
    with pytest.raises(ValueError, match="no call of this engine can"):
        faults.add(JobFails("backendError"))


def test_a_cut_before_leaves_nothing(bucket: Any, faults: Faults) -> None:
    faults.add(Cut(), method="objects.insert")
    with pytest.raises(requests.ConnectionError):
        put(bucket, "cut")
    assert names(bucket, "cut") == []


@pytest.mark.parametrize(
    ("method", "act"),
    [
        ("objects.get", lambda bucket: bucket.get_blob("there", retry=None)),
        ("objects.list", lambda bucket: list(bucket.list_blobs(retry=None))),
        ("objects.download", lambda bucket: bucket.blob("there").download_as_bytes(retry=None)),
        ("objects.patch", lambda bucket: bucket.blob("there").patch(retry=None)),
        ("objects.update", lambda bucket: bucket.blob("there").update(retry=None)),
        ("objects.delete", lambda bucket: bucket.blob("there").delete(retry=None)),
        ("objects.compose", lambda bucket: bucket.blob("sum").compose([bucket.blob("there")], retry=None)),
        ("objects.rewrite", lambda bucket: bucket.blob("copy").rewrite(bucket.blob("there"), retry=None)),
        ("objects.copy", lambda bucket: bucket.copy_blob(bucket.blob("there"), bucket, "copy", retry=None)),
        ("buckets.get", lambda bucket: bucket.reload(retry=None)),
        ("buckets.list", lambda bucket: list(bucket.client.list_buckets(retry=None))),
        ("buckets.insert", lambda bucket: bucket.client.create_bucket("another-bucket", retry=None)),
        ("notifications.list", lambda bucket: list(bucket.list_notifications(retry=None))),
        ("notifications.insert", lambda bucket: bucket.notification(topic_name="t", topic_project="p").create(retry=None)),
        ("notifications.get", lambda bucket: bucket.get_notification("1", retry=None)),
        ("notifications.delete", lambda bucket: bucket.notification("t", notification_id="1").delete(retry=None)),
        ("buckets.patch", lambda bucket: bucket.patch(retry=None)),
        ("buckets.delete", lambda bucket: bucket.delete(retry=None)),
        ("projects.serviceAccount.get", lambda bucket: bucket.client.get_service_account_email(retry=None)),
        ("objects.insert.begin", write_in_chunks),
    ],
)
def test_every_method_can_be_refused_by_its_name(bucket: Any, faults: Faults, method: str, act: Any) -> None:
    put(bucket, "there")
    rule = faults.add(Refuse(503), method=method)
    with pytest.raises((exceptions.ServiceUnavailable, InvalidResponse)):
        act(bucket)
    assert rule.hits == 1


def test_the_readme_names_the_calls(faults: Faults) -> None:
    named = re.search(r"^Calls: (.*?)\.\n\(`objects.download`", (ROOT / README).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert named is not None
    assert re.findall(r"`([\w.]+)`", named[1]) == sorted(faults.offered)


def test_a_call_inside_a_batch_meets_its_fault(bucket: Any, faults: Faults) -> None:
    put(bucket, "batched/1")
    put(bucket, "batched/2")
    faults.add(Refuse(503), method="objects.delete", name="*batched/1")
    with pytest.raises(exceptions.ServiceUnavailable):
        delete_in_a_batch(bucket, "batched/1", "batched/2")
    assert names(bucket, "batched/") == ["batched/1"]


@pytest.mark.parametrize("effect", [Refuse(503), Cut(), Cut(after=True), Truncate(100_000)])
def test_a_resumable_upload_goes_on_where_it_was_cut(bucket: Any, faults: Faults, effect: Any) -> None:
    content = bytes(range(256)) * (3 * CHUNK_BYTES // 256) + b"the rest"
    name = f"resumed/{type(effect).__name__}"
    rule = faults.add(effect, method="objects.insert.chunk", name=f"*{name}", skip=1)
    with bucket.blob(name, chunk_size=CHUNK_BYTES).open("wb", retry=QUICK) as out:
        out.write(content)
    assert rule.hits == 1
    assert bucket.blob(name).download_as_bytes() == content


def test_a_truncated_upload_in_one_request_leaves_nothing(bucket: Any, faults: Faults) -> None:
    faults.add(Truncate(1000), method="objects.insert", name="*short")
    with pytest.raises(requests.ConnectionError):
        put(bucket, "short", b"x" * 1_000_000)
    assert names(bucket, "short") == []


def test_a_corrupted_upload_is_refused_where_a_checksum_was_promised(bucket: Any, faults: Faults) -> None:
    faults.add(Corrupt(), method="objects.insert", name="*corrupt-up")
    with pytest.raises(exceptions.BadRequest, match="CRC32C"):
        put(bucket, "corrupt-up", checksum="crc32c")
    assert names(bucket, "corrupt-up") == []


def test_a_broken_download_does_not_pass_as_whole(bucket: Any, faults: Faults) -> None:
    content = bytes(1_000_000)
    put(bucket, "down", content)
    rule = faults.add(Truncate(300_000), method="objects.download", name="*down")
    assert bucket.blob("down").download_as_bytes(retry=QUICK) == content
    assert rule.hits == 1
    faults.add(Corrupt(), method="objects.download", name="*down")
    with pytest.raises(DataCorruption):
        bucket.blob("down").download_as_bytes(retry=None)


def test_a_delay_goes_before_another_fault(bucket: Any, faults: Faults) -> None:
    faults.add(Delay(0.3), method="objects.get")
    faults.add(Refuse(503), method="objects.get")
    start = time.monotonic()
    with pytest.raises(exceptions.ServiceUnavailable):
        bucket.get_blob("any", retry=None)
    assert time.monotonic() - start >= 0.3


def test_rules_end_with_their_block(bucket: Any, faults: Faults) -> None:
    with faults.add(Refuse(503), count=None), pytest.raises(exceptions.ServiceUnavailable):
        bucket.get_blob("any", retry=None)
    assert bucket.get_blob("any", retry=None) is None
    assert faults.active() == []


def test_counting_skipping_and_probability_are_repeatable() -> None:
    def hits(rule: Rule) -> list[bool]:
        faults = Faults()
        faults.put(rule)
        return [bool(faults.meet(Call("objects.get", f"b/{number}"))) for number in range(100)]

    assert hits(Rule(Refuse(503), count=2, skip=3))[:6] == [False, False, False, True, True, False]
    drawn = hits(Rule(Refuse(503), count=None, probability=0.3, seed=7))
    assert 15 < sum(drawn) < 45
    assert drawn == hits(Rule(Refuse(503), count=None, probability=0.3, seed=7))
    assert drawn != hits(Rule(Refuse(503), count=None, probability=0.3, seed=8))


def test_a_predicate_and_details_narrow_a_rule() -> None:
    faults = Faults()
    faults.add(Cut(), detail={"upload": "resum*"}, count=None)
    faults.add(Refuse(500), when=lambda call: call.name.endswith("7"), count=None)
    assert faults.meet(Call("objects.insert", "b/1", {"upload": "resumable"})) == [Cut()]
    assert faults.meet(Call("objects.insert", "b/1", {"upload": "media"})) == []
    assert faults.meet(Call("objects.insert", "b/7")) == [Refuse(500)]


def test_rules_survive_the_wire_and_mistakes_are_named() -> None:
    rule = Rule(Refuse(429, "rateLimitExceeded", after=True), method="jobs.*", detail={"kind": "load"}, count=None, seed=3)
    assert Rule.from_json(rule.to_json()).to_json() == rule.to_json()
    with pytest.raises(ValueError, match="effects are Refuse"):
        Rule.from_json({"effect": "Explode"})
    with pytest.raises(ValueError, match="not a fault"):
        Rule.from_json({"effect": "Cut", "settings": {"how": "gently"}})
    with pytest.raises(ValueError, match="not a fault"):
        Rule.from_json({"effect": "Cut", "methods": "*"})


def test_an_upload_under_way_survives_a_refused_beginning(bucket: Any, faults: Faults, tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(b"y" * (CHUNK_BYTES * 2 + 1))
    faults.add(Refuse(503), method="objects.insert.begin", count=2)
    bucket.blob("from-file", chunk_size=CHUNK_BYTES).upload_from_filename(path, retry=QUICK)
    assert bucket.get_blob("from-file").size == CHUNK_BYTES * 2 + 1
