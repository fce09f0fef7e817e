"""What Terraform would make, read from its own plan, against the contract and the code."""

from __future__ import annotations

import base64
import copy
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import ENVIRONMENTS, IMAGE, REPOSITORY, Json, one, resources

pytestmark = pytest.mark.slow

API_TYPES = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN"}
"""The API gives column types back by their older names; Terraform must write those or sees a difference for ever."""


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def plan(request: pytest.FixtureRequest, plans: Callable[[str], Json]) -> Json:
    return plans(request.param)


@pytest.fixture(scope="module")
def prod(plans: Callable[[str], Json]) -> Json:
    return plans("prod")


def test_valid(offline: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = offline("validate", "-no-color")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stdout, done.stdout


def test_terraforms_own_tests(offline: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = offline("test", "-no-color")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 failed" in done.stdout
    assert "Success! 0 passed" not in done.stdout, "no test was found"


def test_first_plan_only_creates(plan: Json) -> None:
    changes = {r["address"]: r["change"]["actions"] for r in plan["resource_changes"]}
    odd = {address: actions for address, actions in changes.items() if actions not in (["create"], ["read"], ["no-op"])}
    assert not odd
    failed = [c for c in plan.get("checks", []) if c["status"] == "fail"]
    assert not failed


def test_prod_is_protected_and_dev_is_not(plans: Callable[[str], Json]) -> None:
    for environment in ENVIRONMENTS:
        tables = resources(plans(environment), "google_bigquery_table", "google_cloud_run_v2_job")
        assert tables
        assert {r["values"]["deletion_protection"] for r in tables} == {environment == "prod"}


def test_functions_are_those_of_the_contract(plan: Json, contract: dict[str, Any]) -> None:
    planned = {
        f["values"]["build_config"][0]["entry_point"]: f["values"] for f in resources(plan, "google_cloudfunctions2_function")
    }
    assert set(planned) == set(contract["functions"])
    for name, block in contract["functions"].items():
        config = planned[name]["service_config"][0]
        assert planned[name]["name"] == name.replace("_", "-")
        assert config["timeout_seconds"] == block["timeout_seconds"]
        assert config["available_memory"] == f"{block['memory_mib']}Mi"
        assert config["max_instance_request_concurrency"] == block["concurrency"]
        assert config["max_instance_count"] == block["max_instances"]
        assert config["environment_variables"]["PIPELINE_TIMEOUT_SECONDS"] == str(block["timeout_seconds"])
        assert config["ingress_settings"] == ("ALLOW_ALL" if block.get("http") else "ALLOW_INTERNAL_ONLY")


def test_each_function_runs_as_itself(plan: Json) -> None:
    functions = resources(plan, "google_cloudfunctions2_function")
    accounts = [f["values"]["service_config"][0]["service_account_email"] for f in functions]
    assert len(set(accounts)) == len(functions)
    assert all(email.split("@")[0] == f["values"]["name"] for email, f in zip(accounts, functions, strict=True))


def test_names_are_those_that_the_code_and_the_sandbox_use(plan: Json, contract: dict[str, Any]) -> None:
    project = plan["variables"]["project_id"]["value"]
    sources = set(contract["sources"])
    pushed = {name for name, f in contract["functions"].items() if "topic" in f}
    names = {
        kind: {r["values"][key] for r in resources(plan, kind)}
        for kind, key in {
            "google_pubsub_topic": "name",
            "google_pubsub_subscription": "name",
            "google_storage_bucket": "name",
            "google_cloud_scheduler_job": "name",
            "google_bigquery_dataset": "dataset_id",
        }.items()
    }
    assert names["google_pubsub_topic"] == sources | {"manifests", "transform", "dead-letters"}
    assert names["google_pubsub_subscription"] == pushed | {"dead-letters"}
    assert names["google_storage_bucket"] == {f"{project}-{b}" for b in ("landing", "bronze", "state", "source")}
    assert names["google_cloud_scheduler_job"] == {f"ingest-{s}" for s in sources} | set(contract["schedules"])
    assert names["google_bigquery_dataset"] == {"bronze", "silver", "silver_pii", "gold", "audit"}


def test_schedule_sends_the_message_of_the_protocol(prod: Json, contract: dict[str, Any]) -> None:
    for source, block in contract["sources"].items():
        job = one(prod, f'google_cloud_scheduler_job.ingest["{source}"]')
        assert (job["schedule"], job["time_zone"]) == (block["schedule"], block["time_zone"])
        assert json.loads(base64.b64decode(job["pubsub_target"][0]["data"])) == {
            "v": 1, "kind": "run", "source": source, "streams": [], "accounts": [], "from": None, "to": None,
            "reason": "schedule", "asked_by": "scheduler", "run_id": None, "asked_at": None,
        }  # fmt: skip


def test_bronze_tables_are_those_of_the_code(prod: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "functions"))
    from pipeline import contract, tables  # needs functions/ on the path

    planned = {
        r["values"]["table_id"]: r["values"]
        for r in resources(prod, "google_bigquery_table")
        if r["values"]["dataset_id"] == "bronze"
    }
    wanted = {table.name: table for table in tables.bronze(contract.load())}
    assert set(planned) == set(wanted)
    for name, table in wanted.items():
        values = planned[name]
        columns = [(c["name"], c["type"], c["description"]) for c in json.loads(values["schema"])]
        assert columns == [(c.name, API_TYPES.get(c.type, c.type), c.description) for c in table.columns], name
        assert values["description"] == table.description
        assert [p["field"] for p in values["time_partitioning"]] == ([table.partition] if table.partition else [])
        assert tuple(values["clustering"] or ()) == table.cluster
        assert bool(values["require_partition_filter"]) == table.require_partition_filter


def test_nobody_rules_the_project(plan: Json) -> None:
    kinds = {r["type"] for r in resources(plan) if "_iam_" in r["type"]}
    assert "google_project_iam_member" in kinds
    strong = ("roles/owner", "roles/editor", "roles/viewer")
    grants = [r["values"] for r in resources(plan) if r["type"] in kinds]
    assert not [g for g in grants if g["role"] in strong]
    assert not [g for g in grants if g.get("member") in ("allUsers", "allAuthenticatedUsers")]
    unbounded = [
        g for r in resources(plan, "google_project_iam_member") if not (g := r["values"])["condition"]
    ]  # fmt: skip
    # On the whole project, without a condition: only to run queries (what they may read is granted elsewhere) and logs.
    assert {g["role"] for g in unbounded} <= {"roles/bigquery.jobUser", "roles/logging.logWriter"}
    assert not [g for g in grants if "admin" in g["role"].lower() and not g.get("condition")]


def test_dumps_are_create_only(plan: Json) -> None:
    bronze = [
        g["values"] for g in resources(plan, "google_storage_bucket_iam_member") if g["values"]["bucket"].endswith("-bronze")
    ]
    assert {g["role"] for g in bronze} == {"roles/storage.objectCreator", "roles/storage.objectViewer"}


def test_caches_of_this_machine_do_not_deploy(offline: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    """The archive is named by its hash, so a cache file in it would rebuild every function."""

    def archive() -> str:
        file = tmp_path / "plan.json"
        values = "-var-file=environments/prod.tfvars"
        done = offline("plan", "-no-color", values, f"-var=dbt_image={IMAGE}", json_file=file)
        assert done.returncode == 0, done.stdout + done.stderr
        name: str = one(json.loads(file.read_text(encoding="utf-8")), "google_storage_bucket_object.functions")["name"]
        return name

    before = archive()
    cache = REPOSITORY / "functions" / "pipeline" / "__pycache__"
    cache.mkdir(exist_ok=True)
    marker = cache / "archive_test.pyc"
    marker.write_bytes(b"not code")
    try:
        assert archive() == before
    finally:
        marker.unlink()


def test_new_source_is_a_block_of_the_contract(
    offline: Callable[..., subprocess.CompletedProcess[str]], contract: dict[str, Any], prod: Json, tmp_path: Path
) -> None:
    """A source with a secret and one stream of dates, and its function: all that they need is planned, nothing else moves."""
    ignored = shutil.ignore_patterns("__pycache__", ".terraform*", ".build")
    shutil.copytree(REPOSITORY / "terraform", tmp_path / "terraform", ignore=ignored)
    (tmp_path / "functions").mkdir()
    widened = copy.deepcopy(contract)
    widened["functions"]["ingest_weather"] = {**contract["functions"]["ingest_crm"], "topic": "weather"}
    widened["sources"]["weather"] = {
        **{name: contract["sources"]["crm"][name] for name in ("description", "schedule", "time_zone", "limits")},
        "secrets": ["weather-token"],
        "streams": {"days": {"grain": "One row per day.", "key": ["day"], "window": "dates", "mode": "dates", "fields": {}}},
    }
    (tmp_path / "functions" / "pipeline.yaml").write_text(yaml.safe_dump(widened), encoding="utf-8")
    values = ["-var-file=environments/prod.tfvars", f"-var=dbt_image={IMAGE}"]
    accounts = '-var=accounts={"crm":[{"id":"default","time_zone":"Europe/London"}],"weather":[{"id":"north"}]}'
    file = tmp_path / "plan.json"
    done = offline("plan", "-no-color", *values, accounts, json_file=file, folder=tmp_path / "terraform")
    assert done.returncode == 0, done.stdout + done.stderr
    wide = json.loads(file.read_text(encoding="utf-8"))
    assert not [c for c in wide["checks"] if c["status"] == "fail"]
    before, after = ({r["address"] for r in resources(plan)} for plan in (prod, wide))
    assert before < after
    assert after - before == {
        'google_bigquery_table.stream["weather__days"]',
        'google_cloud_run_v2_service_iam_member.push["ingest_weather"]',
        'google_cloud_scheduler_job.ingest["weather"]',
        'google_pubsub_subscription.push["ingest_weather"]',
        'google_pubsub_subscription_iam_member.dead_letters["ingest_weather"]',
        'google_pubsub_topic.flow["weather"]',
        'google_pubsub_topic_iam_member.function["control/weather"]',
        'google_pubsub_topic_iam_member.function["ingest_weather/manifests"]',
        'google_pubsub_topic_iam_member.function["ingest_weather/transform"]',
        'google_pubsub_topic_iam_member.function["ingest_weather/weather"]',
        'google_pubsub_topic_iam_member.function["load_bronze/weather"]',
        'google_secret_manager_secret.source["weather-token"]',
        'google_secret_manager_secret_iam_member.reader["weather-token/weather"]',
        'google_storage_bucket_iam_member.bronze_create["weather"]',
        'google_storage_bucket_iam_member.bronze_read["ingest_weather"]',
        'google_storage_bucket_iam_member.state["ingest_weather"]',
        'module.function["ingest_weather"].google_cloudfunctions2_function.this',
        'module.function["ingest_weather"].google_service_account.this',
    }
