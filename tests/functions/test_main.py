"""The doors are thin, and each one opens. What they import is guarded in ``test_door_imports.py``."""

from __future__ import annotations

import threading
from pathlib import Path

import functions_framework
import pytest

from pipeline import contract

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", contract.load().functions)
def test_a_door_opens_under_functions_framework(name: str) -> None:
    app = functions_framework.create_app(name, str(ROOT / "functions" / "main.py"))
    client = app.test_client()
    if contract.load().functions[name].http:
        assert client.get("/healthz").json["status"] == "ok"
    else:
        # A push with a body that is none of ours: not acknowledged, so it ends among the dead letters.
        push = {"message": {"data": "bm8=", "messageId": "1", "publishTime": "2025-01-01T00:00:00Z"}, "subscription": "s"}
        assert client.post("/", json=push).status_code == 500


@pytest.mark.usefixtures("local_cloud")
def test_control_answers_a_body_over_a_real_connection() -> None:
    """Framework and door read the same socket: whoever reads second must not wait for bytes that the first has taken."""
    import requests
    from werkzeug.serving import make_server

    app = functions_framework.create_app("control", str(ROOT / "functions" / "main.py"))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        letter = {"message": {"messageId": "1", "data": "bm8="}, "subscription": "s"}
        assert requests.post(f"{url}/dead-letters", json=letter, timeout=20).status_code == 204
        planned = requests.post(f"{url}/runs", json={"source": "crm", "dry_run": True}, timeout=20)
        assert planned.json() == {"source": "crm", "dry_run": True, "slices": []}
        assert requests.post(f"{url}/runs", json={"source": "fax"}, timeout=20).status_code == 422
        assert requests.post(f"{url}/sweep", timeout=20).status_code == 200
    finally:
        server.shutdown()
