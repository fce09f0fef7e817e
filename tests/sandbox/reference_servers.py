"""Other people's servers of the same services, against which the conformance suites run a second time.

Each is used wherever it is installed, without being asked for: a suite that only runs on request is not run. Google's own
emulator stands for Pub/Sub. For Cloud Storage there is fake-gcs-server, which is not Google's and departs from what Google
documents; each test that shows it is named in ``storage_departures``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

START_SECONDS = 60
PUBSUB_VARIABLE = "PUBSUB_CONFORMANCE_HOST"
STORAGE_VARIABLE = "STORAGE_CONFORMANCE_HOST"
FAKE_GCS_SERVER = "fake-gcs-server"


def pubsub_emulator() -> Path | None:
    """Google's own emulator, where a Cloud SDK with that component and a Java to run it are installed."""
    gcloud = shutil.which("gcloud")
    if gcloud is None or shutil.which("java") is None:
        return None
    program = Path(gcloud).resolve().parents[1] / "platform" / "pubsub-emulator" / "bin" / "cloud-pubsub-emulator"
    return program if program.exists() else None


def said() -> list[str]:
    """For the head of a test report: which reference servers take part, and how to have one."""
    pubsub = os.environ.get(PUBSUB_VARIABLE) or ("Google's emulator" if pubsub_emulator() else None)
    storage = os.environ.get(STORAGE_VARIABLE) or shutil.which(FAKE_GCS_SERVER)
    no_storage = f"alone (put {FAKE_GCS_SERVER} on the PATH, or set {STORAGE_VARIABLE})"
    no_pubsub = f"alone (install the Cloud SDK's pubsub-emulator, or set {PUBSUB_VARIABLE})"
    return [
        f"conformance of pubsub: our engine {f'and {pubsub}' if pubsub else no_pubsub}",
        f"conformance of storage: our engine {f'and {storage}' if storage else no_storage}",
    ]


@contextlib.contextmanager
def pubsub_reference() -> Iterator[str]:
    """``host:port`` of the reference: the one that is named, else Google's emulator, started and ended here. Skips without."""
    if named := os.environ.get(PUBSUB_VARIABLE):
        yield named
        return
    program = pubsub_emulator()
    if program is None:
        pytest.skip("no Cloud SDK with Google's Pub/Sub emulator here")
    port = _free_port()
    with _running([str(program), "--host=127.0.0.1", f"--port={port}"], port):
        yield f"127.0.0.1:{port}"


def has_storage_reference() -> bool:
    """Whether a server of Cloud Storage's API is named or installed."""
    return STORAGE_VARIABLE in os.environ or shutil.which(FAKE_GCS_SERVER) is not None


@contextlib.contextmanager
def storage_reference() -> Iterator[str]:
    """Base URL of the reference: the one that is named, else fake-gcs-server, started and ended here."""
    if named := os.environ.get(STORAGE_VARIABLE):
        yield named
        return
    program = shutil.which(FAKE_GCS_SERVER)
    assert program is not None, f"no {FAKE_GCS_SERVER} on the PATH"
    port = _free_port()
    address = f"127.0.0.1:{port}"
    options = ["-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-public-host", address]
    with _running([program, *options], port):
        yield f"http://{address}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    """A server in a process group of its own: Google's starts through a shell script, which would outlive a plain kill."""
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        end = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert server.poll() is None, f"{command[0]} ended with {server.returncode}"
            assert time.monotonic() < end, f"{command[0]} does not answer"
            time.sleep(0.1)
        yield
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
