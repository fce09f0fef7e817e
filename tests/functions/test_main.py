"""The doors are thin: what they import is little, and each one opens."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import functions_framework
import pytest

from pipeline import contract

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("google.cloud", "grpc", "pipeline", "yaml", "jsonschema", "orjson")


def test_importing_the_doors_loads_nothing_of_the_pipeline() -> None:
    """A cold start pays for what is imported: count modules instead of timing them."""
    code = (
        "import sys, json; import functions_framework; before = set(sys.modules); import main;"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "functions", capture_output=True, text=True, check=True)
    loaded = [name for name in json.loads(answer.stdout) if name.startswith(HEAVY)]
    assert loaded == []


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
