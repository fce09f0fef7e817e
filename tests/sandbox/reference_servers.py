"""Other people's servers of the same services, against which the conformance suites run a second time where one is at hand.

What is found is used without being asked for: a suite that only runs on request is not run.
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

START_SECONDS = 60
PUBSUB_VARIABLE = "PUBSUB_CONFORMANCE_HOST"
STORAGE_VARIABLE = "STORAGE_CONFORMANCE_HOST"


def pubsub_emulator() -> Path | None:
    """Google's own emulator, where a Cloud SDK with that component and a Java to run it are installed."""
    gcloud = shutil.which("gcloud")
    if gcloud is None or shutil.which("java") is None:
        return None
    program = Path(gcloud).resolve().parents[1] / "platform" / "pubsub-emulator" / "bin" / "cloud-pubsub-emulator"
    return program if program.exists() else None


def storage_emulator() -> Path | None:
    """``fake-gcs-server``, where it is on the PATH."""
    program = shutil.which("fake-gcs-server")
    return Path(program) if program else None


def said() -> list[str]:
    """For the head of a test report: which reference servers take part, and how to have one."""
    pubsub = os.environ.get(PUBSUB_VARIABLE) or ("Google's emulator" if pubsub_emulator() else None)
    storage = os.environ.get(STORAGE_VARIABLE) or ("fake-gcs-server" if storage_emulator() else None)
    no_pubsub = f"alone (install the Cloud SDK's pubsub-emulator, or set {PUBSUB_VARIABLE})"
    no_storage = f"alone (put fake-gcs-server on the PATH, or set {STORAGE_VARIABLE})"
    return [
        f"conformance of pubsub: our engine {f'and {pubsub}' if pubsub else no_pubsub}",
        f"conformance of storage: our engine {f'and {storage}' if storage else no_storage}",
    ]


@contextlib.contextmanager
def pubsub_reference() -> Iterator[str]:
    """``host:port`` of the reference: the one that is named, else Google's emulator, started and ended here."""
    if named := os.environ.get(PUBSUB_VARIABLE):
        yield named
        return
    program = pubsub_emulator()
    assert program is not None
    port = _free_port()
    with _running([str(program), "--host=127.0.0.1", f"--port={port}"], port):
        yield f"127.0.0.1:{port}"


@contextlib.contextmanager
def storage_reference() -> Iterator[str]:
    """Base URL of the reference: the one that is named, else a ``fake-gcs-server`` that keeps everything in memory."""
    if named := os.environ.get(STORAGE_VARIABLE):
        yield named
        return
    program = storage_emulator()
    assert program is not None
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(program), "-backend=memory", "-scheme=http", "-host=127.0.0.1", f"-port={port}", f"-external-url={url}"]
    with _running(command, port):
        yield url


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
