"""Plans of the three environments, made without network where the offline runner stands beside the repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
TERRAFORM = REPOSITORY / "terraform"
ENVIRONMENTS = ("dev", "staging", "prod")
IMAGE = "europe-west1-docker.pkg.dev/some-project/pipeline/dbt@sha256:" + "0123456789abcdef" * 4

Json = dict[str, Any]


@pytest.fixture(scope="session")
def contract() -> Json:
    data: Json = yaml.safe_load((REPOSITORY / "functions" / "pipeline.yaml").read_text(encoding="utf-8"))
    return data


def terraform_binary() -> str:
    found = shutil.which("terraform")
    if not found:
        pytest.skip("no terraform on PATH")
    return found


def clean_environment() -> dict[str, str]:
    # A configuration of this machine (mirrors, credentials) must not decide what the tests see.
    return {name: value for name, value in os.environ.items() if not name.startswith("TF_") or name == "TF_OFFLINE_CACHE"}


@pytest.fixture(scope="session")
def offline() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs terraform against the providers' real schemas with no provider, network or account."""
    given = os.environ.get("TF_OFFLINE")
    runner = Path(given) if given else REPOSITORY.parent / "shared" / "tools" / "tf-offline" / "tf-offline"
    if not runner.is_file():
        pytest.skip("no offline runner for terraform: set TF_OFFLINE to the path of tf-offline")
    terraform_binary()

    def run(*arguments: str, json_file: Path | None = None, folder: Path = TERRAFORM) -> subprocess.CompletedProcess[str]:
        head = [str(runner), *(["--json", str(json_file)] if json_file else []), str(folder)]
        return subprocess.run(
            [*head, *arguments], capture_output=True, text=True, timeout=600, env=clean_environment(), check=False
        )

    return run


@pytest.fixture(scope="session")
def plans(
    offline: Callable[..., subprocess.CompletedProcess[str]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Json]:
    """The plan of an environment as JSON (``terraform show -json``), made once."""
    made: dict[str, Json] = {}
    folder = tmp_path_factory.mktemp("plans")

    def plan(environment: str) -> Json:
        if environment not in made:
            file = folder / f"{environment}.json"
            values = f"-var-file=environments/{environment}.tfvars"
            done = offline("plan", "-no-color", values, f"-var=dbt_image={IMAGE}", json_file=file)
            assert done.returncode == 0, done.stdout + done.stderr
            made[environment] = json.loads(file.read_text(encoding="utf-8"))
        return made[environment]

    return plan


def resources(plan: Json, *types: str) -> list[Json]:
    """Planned resources of all modules; with ``types`` only those."""

    def walk(module: Json) -> Iterator[Json]:
        yield from module.get("resources", [])
        for child in module.get("child_modules", []):
            yield from walk(child)

    return [r for r in walk(plan["planned_values"]["root_module"]) if not types or r["type"] in types]


def one(plan: Json, address: str) -> Json:
    """Values of the resource at an address."""
    found = [r["values"] for r in resources(plan) if r["address"] == address]
    assert found, f"{address} is not planned"
    values: Json = found[0]
    return values
