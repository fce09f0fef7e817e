"""What the code expects of its cloud is what Terraform's text says: no plan needed."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .conftest import ENVIRONMENTS, REPOSITORY, TERRAFORM, clean_environment, terraform_binary

SETTING = re.compile(r"^(PIPELINE_[A-Z_]+|GOOGLE_CLOUD_PROJECT)$")
SANDBOX_ONLY = re.compile(r"(_EMULATOR_HOST|_URL)$")
LEFT_AT_DEFAULT = {
    "PIPELINE_HINT_SECONDS": "the sandbox hurries the sweeper; in the cloud ten minutes are right",
    "PIPELINE_DBT_COMMAND": "the sandbox may leave dbt's tests out; in the cloud they always run",
}
TOLD_UNASKED = {
    "PIPELINE_REGION": "part of the deployment's identity, for scripts that read a function's settings",
    "PIPELINE_CONTROL_AUDIENCE": "control's address, for whoever must call it with an identity token",
}


def text_of(*names: str) -> str:
    files = [TERRAFORM / name for name in names] if names else sorted(TERRAFORM.rglob("*.tf"))
    return "\n".join(re.sub(r"(?m)^\s*#.*$", "", file.read_text(encoding="utf-8")) for file in files)


def settings_set(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w.])((?:PIPELINE|GOOGLE)_[A-Z_]+)\s*=(?!=)", text))


def settings_read(folder: Path) -> dict[str, str]:
    """Names of settings that stand as string constants in the code, with a file that reads each."""
    found: dict[str, str] = {}
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and SETTING.match(node.value):
                found.setdefault(node.value, str(file.relative_to(REPOSITORY)))
    return found


def settings_of_dbt() -> dict[str, str]:
    """Names in ``env_var('…')`` of the dbt project, in the branches that run in the cloud."""
    found: dict[str, str] = {}
    for file in sorted((REPOSITORY / "dbt_job").rglob("*")):
        if file.suffix in {".yml", ".sql"} and "target" not in file.parts:
            for name in re.findall(r"env_var\('([A-Z_]+)'", file.read_text(encoding="utf-8")):
                if SETTING.match(name):
                    found.setdefault(name, str(file.relative_to(REPOSITORY)))
    return found


def test_every_setting_that_functions_read_is_set() -> None:
    read = settings_read(REPOSITORY / "functions")
    assert "PIPELINE_STATE_BUCKET" in read, "the test no longer finds the settings that the code reads"
    given = settings_set(text_of("functions.tf")) | set(LEFT_AT_DEFAULT)
    missing = {name: file for name, file in read.items() if name not in given}
    assert not missing, f"read by the code, not set by Terraform: {missing}"


def test_every_setting_that_the_job_reads_is_set() -> None:
    read = settings_read(REPOSITORY / "dbt_job") | settings_of_dbt()
    if not read:
        pytest.skip("no dbt_job yet")
    given = settings_set(text_of("functions.tf", "transform.tf")) | set(LEFT_AT_DEFAULT)
    missing = {name: file for name, file in read.items() if name not in given}
    assert not missing, f"read by the dbt job, not set by Terraform: {missing}"


def test_no_address_of_the_sandbox_is_set() -> None:
    assert not {name for name in settings_set(text_of()) if SANDBOX_ONLY.search(name)}


def test_every_setting_that_is_set_is_read() -> None:
    read = settings_read(REPOSITORY / "functions") | settings_read(REPOSITORY / "dbt_job") | settings_of_dbt()
    given = settings_set(text_of("functions.tf", "transform.tf"))
    assert given - set(read) == set(TOLD_UNASKED), "a setting is set in vain, or TOLD_UNASKED is out of date"
    assert set(LEFT_AT_DEFAULT) <= set(read), "LEFT_AT_DEFAULT is out of date"


def test_every_entry_point_is_a_door_of_main(contract: dict[str, Any]) -> None:
    main = REPOSITORY / "functions" / "main.py"
    if not main.exists():
        pytest.skip("no functions/main.py yet")
    doors = {node.name for node in ast.parse(main.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)}
    assert set(contract["functions"]) <= doors


def test_sources_are_not_named_in_terraform(contract: dict[str, Any]) -> None:
    # A new source is a block of the contract, never a change here. (Environments name accounts, tests name cases.)
    for source in contract["sources"]:
        assert not re.search(rf'"(ingest_)?{source}"', text_of()), f"{source} is written out in a .tf file"


@pytest.mark.parametrize(
    "forbidden",
    [
        "event_trigger",  # a trigger's subscription takes no dead letter policy
        "google_eventarc_trigger",
        "google_bigquery_dataset_iam_",  # would remove the authorised datasets of the access lists
        "google_bigquery_dataset_access",  # would fight with the access lists
        "google_project_iam_policy",  # replaces everybody else's grants
        "google_project_iam_binding",
        "invoker_iam_disabled",
        "allUsers",
        "google_service_account_key",
        "google_secret_manager_secret_version",  # values never pass through Terraform
    ],
)
def test_not_used(forbidden: str) -> None:
    assert forbidden not in text_of()


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_environment_has_values_and_backend(environment: str) -> None:
    values = (TERRAFORM / "environments" / f"{environment}.tfvars").read_text(encoding="utf-8")
    assert re.search(rf'(?m)^environment\s*=\s*"{environment}"$', values)
    assert re.search(rf"(?m)^protected\s*=\s*{str(environment == 'prod').lower()}$", values)
    backend = (TERRAFORM / "environments" / f"{environment}.backend.hcl").read_text(encoding="utf-8")
    assert re.search(r'(?m)^bucket\s*=\s*".+"$', backend)


def test_formatted() -> None:
    done = subprocess.run(
        [terraform_binary(), "fmt", "-check", "-recursive", "-diff", str(TERRAFORM)],
        capture_output=True, text=True, timeout=60, env=clean_environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
