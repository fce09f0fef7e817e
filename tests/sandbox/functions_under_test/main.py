"""Functions that behave and misbehave, for the tests of the functions' host."""

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import flask
import functions_framework
from cloudevents.http import CloudEvent


@functions_framework.http
def answer(request: flask.Request) -> tuple[str, int, dict[str, str]]:
    """What the function sees of the world and of the request."""
    seen = {
        "pid": os.getpid(),
        "greeting": os.environ.get("GREETING"),
        "credentials": os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"),
        "path": request.full_path,
        "method": request.method,
        "body": request.get_data(as_text=True),
        "authorization": request.headers.get("Authorization"),
        "trace": request.headers.get("X-Cloud-Trace-Context"),
    }
    return json.dumps(seen), 201, {"X-Answer": "yes"}


@functions_framework.http
def sleep(request: flask.Request) -> str:
    """Note the start in the file ``started``, then sleep ``seconds``."""
    if marker := request.args.get("started"):
        Path(marker).write_text(str(os.getpid()))
    time.sleep(float(request.args["seconds"]))
    return str(os.getpid())


@functions_framework.http
def crash(_: flask.Request) -> str:
    """An exception of the function's own: functions-framework answers 500 and the instance lives on."""
    raise RuntimeError("on purpose")


@functions_framework.http
def vanish(_: flask.Request) -> str:
    """The process ends without an answer, as when memory runs out."""
    os._exit(137)


@functions_framework.cloud_event
def receive(event: CloudEvent) -> None:
    """Print the message of a Pub/Sub push."""
    print(json.dumps({"severity": "INFO", "type": event["type"], "data": event.data["message"]["data"]}), flush=True)


@functions_framework.http
def tell_time(request: flask.Request) -> dict[str, object]:
    """What the function's clocks show; ``seconds`` (optional) later."""
    began = time.monotonic()
    time.sleep(float(request.args.get("seconds", 0)))
    return {
        "pid": os.getpid(),
        "now": datetime.now(UTC).isoformat(),
        "time": time.time(),
        "monotonic": time.monotonic(),
        "took": time.monotonic() - began,
        "headers": [name for name, _ in request.headers],
    }
