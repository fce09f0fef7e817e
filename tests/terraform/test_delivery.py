"""The build and the dbt image, as far as text can tell: no builder runs here."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import REPOSITORY

BUILT_IN = {"PROJECT_ID", "BUILD_ID"}
IGNORED = shutil.ignore_patterns("__pycache__", "target", "logs", ".user.yml")


@pytest.fixture(scope="module")
def build() -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load((REPOSITORY / "cloudbuild.yaml").read_text(encoding="utf-8"))
    return data


def test_steps_wait_for_steps_that_come_before(build: dict[str, Any]) -> None:
    seen: set[str] = set()
    for step in build["steps"]:
        assert step["id"] not in seen
        # Without waitFor a step waits for all before it, which hides the order that is meant.
        assert set(step["waitFor"]) <= seen | {"-"}, step["id"]
        seen.add(step["id"])


def ancestors(build: dict[str, Any], step_id: str) -> set[str]:
    waits = {step["id"]: set(step["waitFor"]) - {"-"} for step in build["steps"]}
    found = set(waits[step_id])
    for parent in waits[step_id]:
        found |= ancestors(build, parent)
    return found


def test_nothing_is_deployed_unchecked(build: dict[str, Any]) -> None:
    assert {"lint", "types", "tests", "terraform-format", "dbt-image", "plan"} <= ancestors(build, "apply")
    assert "tests" not in ancestors(build, "lint") | ancestors(build, "types")


def test_apply_is_gated_and_applies_the_plan_that_was_made(build: dict[str, Any]) -> None:
    apply = next(step["script"] for step in build["steps"] if step["id"] == "apply")
    gate = apply[: apply.index("terraform apply")]
    assert build["substitutions"]["_APPLY"] == "false"
    assert '[ "${_APPLY}" != "true" ]' in gate
    assert "exit 0" in gate
    assert re.search(r"terraform apply .*pipeline\.tfplan", apply)
    assert "-auto-approve" not in apply


def test_substitutions_are_declared_and_used(build: dict[str, Any]) -> None:
    text = yaml.safe_dump({name: value for name, value in build.items() if name != "substitutions"})
    used = {name for name in re.findall(r"\$\{(\w+)\}", text) if name.startswith("_") or name.isupper()}
    assert {name for name in used if name.startswith("_")} == set(build["substitutions"])
    assert {name for name in used if not name.startswith("_")} == BUILT_IN


def test_make_targets_of_the_build_exist(build: dict[str, Any]) -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = {
        word
        for step in build["steps"]
        for line in step["script"].splitlines()
        if line.startswith("make ")
        for word in line.split()[1:]
    }
    assert targets
    for target in targets:
        assert re.search(rf"(?m)^{target}:", makefile), f"make {target}"


# --- the image --------------------------------------------------------------------------------------------------------


def instructions() -> list[list[str]]:
    text = (REPOSITORY / "dbt_job" / "Dockerfile").read_text(encoding="utf-8")
    joined = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", text))
    return [shlex.split(line) for line in joined.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder /app of the image, made by the Dockerfile's own COPY lines."""
    app = tmp_path_factory.mktemp("app")
    for name, *words in instructions():
        if name != "COPY":
            continue
        *sources, target = words
        for source in sources:
            if (REPOSITORY / source).is_dir():
                shutil.copytree(REPOSITORY / source, app / target, ignore=IGNORED)
            else:
                place = app / target / Path(source).name if target.endswith("/") else app / target
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(REPOSITORY / source, place)
    return app


def test_image_is_not_root_and_installs_only_what_is_locked() -> None:
    lines = instructions()
    users = [words[1] for words in lines if words[0] == "USER"]
    assert users
    assert users[-1] not in ("0", "root")
    installs = [" ".join(words) for words in lines if "pip" in words and "install" in words]
    assert installs
    assert all("--require-hashes" in line for line in installs)
    assert lines[-1][0] == "ENTRYPOINT"


def test_context_holds_what_is_copied() -> None:
    lines = (REPOSITORY / "dbt_job" / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = {line[1:] for line in lines if line.startswith("!")}
    copied = {source for name, *words in instructions() if name == "COPY" for source in words[:-1]}
    assert lines[1] == "*"
    assert copied == let_in


@pytest.mark.slow
def test_image_holds_all_that_the_job_needs(image: Path) -> None:
    """The job's modules import, the contract loads and dbt parses, from the copied files alone."""
    python = REPOSITORY / ".venvs" / "dbt" / "bin" / "python"
    if not python.exists():
        pytest.skip("no .venvs/dbt: make install")
    reporting = {"PIPELINE_REPORTING_CURRENCY": "EUR", "PIPELINE_REPORTING_TIME_ZONE": "Europe/Berlin"}
    settings = {**reporting, "GOOGLE_CLOUD_PROJECT": "some-project", "PATH": os.environ["PATH"], "HOME": str(image)}
    code = (
        "import runpy, sys; names = runpy.run_path('dbt_job/job.py')\n"
        "assert names['contract'].load().functions\n"
        "from dbt.cli.main import dbtRunner\n"
        "where = ['--project-dir', 'dbt_job', '--profiles-dir', 'dbt_job', '--target', 'prod']\n"
        "result = dbtRunner().invoke(['parse', *where])\n"
        "sys.exit(0 if result.success else str(result.exception))"
    )
    done = subprocess.run(
        [str(python), "-c", code], cwd=image, env=settings, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
