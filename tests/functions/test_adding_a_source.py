"""A source is one block of the contract, one door, one module: a made-up one needs nothing else to be extracted."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MADE_UP = Path(__file__).parent / "made_up_source"


def test_a_made_up_source_runs_with_nothing_else_touched(tmp_path: Path) -> None:
    functions = tmp_path / "functions"
    shutil.copytree(ROOT / "functions", functions, ignore=shutil.ignore_patterns("__pycache__"))
    yaml = functions / "pipeline.yaml"
    text = yaml.read_text(encoding="utf-8").replace("\njobs:\n", f"{(MADE_UP / 'function.yaml').read_text()}\njobs:\n", 1)
    yaml.write_text(text + (MADE_UP / "block.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    with (functions / "main.py").open("a", encoding="utf-8") as main:
        main.write((MADE_UP / "door.txt").read_text(encoding="utf-8"))
    shutil.copy(MADE_UP / "weather.py", functions / "pipeline" / "sources" / "weather.py")

    checks = [
        str(MADE_UP / "checks.py"),
        str(ROOT / "tests/functions/test_contract.py") + "::test_every_source_has_a_module_a_door_and_a_topic_of_its_name",
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", f"pythonpath={functions} {ROOT}", *checks]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "5 passed" in answer.stdout
