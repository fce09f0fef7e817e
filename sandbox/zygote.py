"""The warm parent of the functions' instances: imports once, forks an instance in milliseconds.

Started as ``python -m sandbox.zygote`` by :mod:`sandbox.functions_host`. It stays single-threaded and never opens a gRPC
channel, because neither threads nor channels survive a fork. Commands arrive as JSON lines on standard input:

``{"id", "target", "source", "environment", "log", "threaded"}``
    Start an instance of the function ``target`` of the file ``source``, with exactly this environment.

Events leave as JSON lines on standard output: ``imported``; ``started`` (id, pid) when forked; ``ready`` (id, port) by the
instance itself once it listens; ``exited`` (pid, status). When standard input closes, which also happens when the parent
is killed, every instance is ended and the zygote leaves. An instance in turn leaves when its zygote is gone.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any, NoReturn

WARM_MODULES = (
    "functions_framework",
    "cloudevents.http",
    "werkzeug.serving",
    "google.cloud.storage",
    "google.cloud.bigquery",
    "google.cloud.pubsub_v1",
    "google.cloud.run_v2",
    "google.cloud.secretmanager_v1",
    "yaml",
    "jsonschema",
)
"""What the functions import sooner or later; paid once here instead of at each instance's first request."""

GRACE_SECONDS = 2.0


def _say(events: int, event: str, **fields: Any) -> None:
    # One write of less than PIPE_BUF bytes is atomic, so zygote and instances can share the pipe.
    os.write(events, json.dumps({"event": event, **fields}).encode() + b"\n")


def main() -> int:
    """Serve commands until standard input closes."""
    # Functions print; only events may use the pipe that the host reads.
    events = os.dup(1)
    os.dup2(2, 1)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.signal(signal.SIGCHLD, _ignore)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    lifeline_read, lifeline_write = os.pipe()
    for module in WARM_MODULES:
        __import__(module)
    if threading.active_count() != 1:
        print(f"zygote: imports started threads: {threading.enumerate()}", file=sys.stderr, flush=True)
    # Frozen objects are never touched by the collector, so their pages stay shared with the instances.
    gc.collect()
    gc.freeze()
    _say(events, "imported")

    children: set[int] = set()
    buffer = b""
    while True:
        readable, _, _ = select.select([0, wake_read], [], [])
        if wake_read in readable:
            os.read(wake_read, 4096)
            _reap(children, events)
        if 0 not in readable:
            continue
        data = os.read(0, 65536)
        if not data:
            _end(children)
            return 0
        *lines, buffer = (buffer + data).split(b"\n")
        for line in lines:
            command = json.loads(line)
            pid = os.fork()
            if pid == 0:
                for descriptor in (wake_read, wake_write, lifeline_write):
                    os.close(descriptor)
                _become_instance(command, lifeline_read, events)
            children.add(pid)
            _say(events, "started", id=command["id"], pid=pid)


def _ignore(_signal: int, _frame: FrameType | None) -> None:
    """SIGCHLD needs a handler for the wake-up descriptor to be written; the loop reaps."""


def _reap(children: set[int], events: int) -> None:
    while children:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        children.discard(pid)
        _say(events, "exited", pid=pid, status=os.waitstatus_to_exitcode(status))


def _end(children: set[int]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in children:
            os.kill(pid, number)
        deadline = time.monotonic() + GRACE_SECONDS
        while children and time.monotonic() < deadline:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            children.discard(pid)
            if pid == 0:
                time.sleep(0.02)


def _become_instance(command: dict[str, Any], lifeline: int, events: int) -> NoReturn:
    """Serve one function under functions-framework until killed. Never returns."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        log = os.open(command["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ.clear()
        os.environ.update(command["environment"])
        if hasattr(time, "tzset"):
            time.tzset()
        for folder in reversed(os.environ.get("PYTHONPATH", "").split(os.pathsep)):
            if folder and folder not in sys.path:
                sys.path.insert(0, folder)
        threading.Thread(target=_leave_with_the_zygote, args=(lifeline,), daemon=True).start()

        import functions_framework
        from werkzeug.serving import WSGIRequestHandler, make_server

        from sandbox.instance_clock import InstanceClock

        class Quiet(WSGIRequestHandler):
            """The functions log their own steps; a line per request would only repeat the front's."""

            def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
                pass

        app = functions_framework.create_app(target=command["target"], source=command["source"])  # type: ignore[no-untyped-call]
        server = make_server("127.0.0.1", 0, InstanceClock(app), threaded=command["threaded"], request_handler=Quiet)
        _say(events, "ready", id=command["id"], port=server.port)
        os.close(events)
        server.serve_forever()
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def _leave_with_the_zygote(lifeline: int) -> None:
    os.read(lifeline, 1)  # returns only at end of file: nobody ever writes
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
