"""One JSON line per step, in the form that Cloud Logging reads from a function's standard output.

``severity``, ``message`` and ``logging.googleapis.com/trace`` are Cloud Logging's own field names
(https://cloud.google.com/logging/docs/structured-logging); the rest is ours. Secrets and personal data never come here:
callers pass counts and ids.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_trace: ContextVar[str | None] = ContextVar("trace", default=None)


def set_trace(header: str | None) -> None:
    """Join this invocation's lines to the request's trace. ``header`` is ``X-Cloud-Trace-Context`` (``TRACE/SPAN;o=1``)."""
    project = os.environ.get("GOOGLE_CLOUD_PROJECT", "")
    trace_id = (header or "").split("/", 1)[0]
    _trace.set(f"projects/{project}/traces/{trace_id}" if trace_id and project else None)


def log(step: str, message: str, *, severity: str = "INFO", **fields: Any) -> None:
    """Write one line. ``fields`` with the value ``None`` are left out."""
    line: dict[str, Any] = {"severity": severity, "message": message, "step": step}
    if trace := _trace.get():
        line["logging.googleapis.com/trace"] = trace
    line.update({name: value for name, value in fields.items() if value is not None})
    print(json.dumps(line, default=str, ensure_ascii=False), file=sys.stdout, flush=True)


@contextmanager
def timed(step: str, message: str, **fields: Any) -> Iterator[dict[str, Any]]:
    """Log the step when it ends well, with its seconds; the block may add fields to the dict that it is given,
    or change the ``message``."""
    start = time.monotonic()
    more: dict[str, Any] = {}
    yield more
    message = more.pop("message", message)
    log(step, message, seconds=round(time.monotonic() - start, 3), **{**fields, **more})
