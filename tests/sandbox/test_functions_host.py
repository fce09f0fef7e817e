"""The functions' host does what Cloud Run does: instances, concurrency, timeouts, crashes."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from sandbox.functions_host import Deployment, FunctionsHost

SOURCE = Path(__file__).parent / "functions_under_test" / "main.py"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FunctionsHost]:
    host = FunctionsHost(tmp_path_factory.mktemp("logs"), pending_seconds=0.5)
    host.start()
    host.open()
    yield host
    host.stop()


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(
        name="answer",
        target="answer",
        source=SOURCE,
        timeout_seconds=30,
        concurrency=1,
        max_instances=1,
        environment={"GREETING": "hello", "PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE.parent)},
        log=tmp_path / "answer.log",
    )


def _deploy(host: FunctionsHost, deployment: Deployment, name: str, **changes: object) -> str:
    changed = replace(deployment, name=f"{name}-{time.monotonic_ns()}", target=name, **changes)  # type: ignore[arg-type]
    return host.deploy(changed).url


def _pool(host: FunctionsHost, prefix: str):  # type: ignore[no-untyped-def]
    return next(pool for name, pool in reversed(host.pools.items()) if name.startswith(prefix))


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} was not written"
        time.sleep(0.01)


def test_request_and_answer_pass_through_unchanged(
    host: FunctionsHost, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json")
    url = _deploy(host, deployment, "answer")
    response = requests.put(f"{url}/runs?x=1", data="text", headers={"Authorization": "Bearer t"}, timeout=30)
    seen = response.json()
    assert (response.status_code, response.headers["X-Answer"]) == (201, "yes")
    assert (seen["method"], seen["path"], seen["body"]) == ("PUT", "/runs?x=1", "text")
    assert seen["authorization"] == "Bearer t"
    assert seen["greeting"] == "hello"
    assert seen["credentials"] is None, "an instance has the environment of its deployment and nothing else"
    assert len(seen["trace"].split("/")[0]) == 32


def test_a_push_becomes_a_cloud_event_and_output_goes_to_the_log(host: FunctionsHost, deployment: Deployment) -> None:
    url = _deploy(host, deployment, "receive")
    message = {"data": "aGVsbG8=", "messageId": "1", "publishTime": "2026-01-01T00:00:00Z", "attributes": {}}
    body = {"message": message, "subscription": "projects/p/subscriptions/s"}
    assert requests.post(url, json=body, timeout=30).ok
    line = json.loads(deployment.log.read_text().splitlines()[-1])
    assert line["type"] == "google.cloud.pubsub.topic.v1.messagePublished"
    assert line["data"] == "aGVsbG8="


def test_concurrency_one_means_an_instance_each_up_to_the_maximum(host: FunctionsHost, deployment: Deployment) -> None:
    url = _deploy(host, deployment, "sleep", max_instances=2)
    with ThreadPoolExecutor(2) as pool:
        pids = {response.text for response in pool.map(lambda _: requests.get(f"{url}?seconds=0.4", timeout=30), "ab")}
    assert len(pids) == 2
    assert _pool(host, "sleep").instances == 2


def test_all_busy_gives_429_after_the_pending_time(host: FunctionsHost, deployment: Deployment, tmp_path: Path) -> None:
    url = _deploy(host, deployment, "sleep")
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(requests.get, f"{url}?seconds=3&started={tmp_path}/started", timeout=30)
        _wait_for(tmp_path / "started")
        assert requests.get(f"{url}?seconds=0", timeout=30).status_code == 429
        assert busy.result().status_code == 200


def test_a_request_waits_its_turn_within_the_pending_time(host: FunctionsHost, deployment: Deployment) -> None:
    url = _deploy(host, deployment, "sleep")
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: requests.get(f"{url}?seconds=0.1", timeout=30), "ab"))
    assert [answer.status_code for answer in answers] == [200, 200]
    assert len({answer.text for answer in answers}) == 1


def test_concurrency_shares_one_instance(host: FunctionsHost, deployment: Deployment) -> None:
    url = _deploy(host, deployment, "sleep", concurrency=4, max_instances=1)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: requests.get(f"{url}?seconds=0.6", timeout=30), "abcd"))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert len({answer.text for answer in answers}) == 1


def test_the_deadline_gives_504_and_a_new_instance(host: FunctionsHost, deployment: Deployment, tmp_path: Path) -> None:
    url = _deploy(host, deployment, "sleep", timeout_seconds=1.0)
    start = time.monotonic()
    late = requests.get(f"{url}?seconds=60&started={tmp_path}/started", timeout=30)
    assert late.status_code == 504
    assert time.monotonic() - start < 20
    old = (tmp_path / "started").read_text()
    again = requests.get(f"{url}?seconds=0", timeout=30)
    assert again.status_code == 200
    assert again.text != old, "the instance that missed its deadline must not serve on"


def test_an_instance_killed_in_the_middle_gives_502_and_is_replaced(
    host: FunctionsHost, deployment: Deployment, tmp_path: Path
) -> None:
    url = _deploy(host, deployment, "sleep")
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(requests.get, f"{url}?seconds=60&started={tmp_path}/started", timeout=30)
        _wait_for(tmp_path / "started")
        killed = _pool(host, "sleep").kill()
        assert busy.result().status_code == 502
    assert requests.get(f"{url}?seconds=0", timeout=30).text != str(killed)


def test_an_exception_is_500_and_the_instance_lives_on(host: FunctionsHost, deployment: Deployment) -> None:
    url = _deploy(host, deployment, "crash")
    assert [requests.get(url, timeout=30).status_code for _ in range(2)] == [500, 500]
    assert _pool(host, "crash").instances == 1
    assert "on purpose" in deployment.log.read_text()


def test_a_vanished_process_is_502(host: FunctionsHost, deployment: Deployment) -> None:
    url = _deploy(host, deployment, "vanish")
    assert requests.get(url, timeout=30).status_code == 502
    assert requests.get(url, timeout=30).status_code == 502, "a new instance is started for the next request"


def test_a_source_that_cannot_be_imported_is_500(host: FunctionsHost, deployment: Deployment, tmp_path: Path) -> None:
    broken = tmp_path / "main.py"
    broken.write_text("import a_module_that_is_not_there\n")
    response = requests.get(_deploy(host, deployment, "answer", source=broken), timeout=30)
    assert response.status_code == 500
    assert "a_module_that_is_not_there" in deployment.log.read_text()


def test_a_check_in_front_refuses_before_any_instance_starts(host: FunctionsHost, deployment: Deployment) -> None:
    named = replace(deployment, name="guarded")
    front = host.deploy(named, check=lambda authorization: None if authorization == "Bearer good" else (401, "no"))
    assert requests.get(front.url, timeout=30).status_code == 401
    assert host.pools["guarded"].instances == 0
    assert requests.get(front.url, headers={"Authorization": "Bearer good"}, timeout=30).status_code == 201


def test_a_dead_zygote_is_replaced_and_its_instances_go_with_it(tmp_path: Path, deployment: Deployment) -> None:
    host = FunctionsHost(tmp_path / "logs")
    host.start()
    host.open()
    try:
        front = host.deploy(deployment)
        before = requests.get(front.url, timeout=30).json()["pid"]
        old = host.zygote.pid
        assert old is not None
        os.kill(old, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while host.zygote.pid == old or host.pools["answer"].instances:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert requests.get(front.url, timeout=30).json()["pid"] != before
        _assert_gone(before)
    finally:
        host.stop()


def test_stop_leaves_no_process(tmp_path: Path, deployment: Deployment) -> None:
    host = FunctionsHost(tmp_path / "logs")
    host.start()
    host.open()
    pid = requests.get(host.deploy(deployment).url, timeout=30).json()["pid"]
    zygote = host.zygote.pid
    host.stop()
    _assert_gone(pid)
    assert zygote is not None
    _assert_gone(zygote)


def _assert_gone(pid: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    raise AssertionError(f"process {pid} is still there")


def test_drain_lets_requests_end_and_takes_no_new_ones(tmp_path: Path, deployment: Deployment) -> None:
    host = FunctionsHost(tmp_path / "logs")
    host.start()
    host.open()
    try:
        url = host.deploy(replace(deployment, target="sleep")).url
        with ThreadPoolExecutor(1) as pool:
            under_way = pool.submit(requests.get, f"{url}?seconds=1&started={tmp_path}/started", timeout=30)
            _wait_for(tmp_path / "started")
            host.drain()
            assert host.in_flight == 0
            assert under_way.result().status_code == 200
        assert requests.get(f"{url}?seconds=0", timeout=30).status_code == 503
    finally:
        host.stop()


def test_drain_does_not_wait_for_ever(tmp_path: Path, deployment: Deployment) -> None:
    host = FunctionsHost(tmp_path / "logs")
    host.start()
    host.open()
    try:
        url = host.deploy(replace(deployment, target="sleep")).url
        with ThreadPoolExecutor(1) as pool:
            under_way = pool.submit(requests.get, f"{url}?seconds=600&started={tmp_path}/started", timeout=60)
            _wait_for(tmp_path / "started")
            host.drain(grace_seconds=0.2)
            host.stop()
            assert under_way.result().status_code == 502
    finally:
        host.stop()
