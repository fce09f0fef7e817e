"""Provisioning against the real engines: Terraform's names, once."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from pipeline import contract as contracts
from pipeline import tables
from sandbox.cloud import Cloud
from sandbox.iam import Issuer
from sandbox.provision import provision
from sandbox.services import Services
from sandbox.world import DATASETS, World

pytestmark = pytest.mark.slow

CONTRACT = contracts.load()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    world = World(tmp_path_factory.mktemp("home"))
    services = Services(world, Issuer.of(world.home), lambda arguments, environment, timeout_seconds: 0)
    cloud = Cloud(world, services.start())
    yield cloud
    cloud.close()
    services.stop()


def _urls(port: int) -> dict[str, str]:
    return dict.fromkeys(CONTRACT.functions, f"http://127.0.0.1:{port}")


@pytest.fixture(scope="module")
def made(cloud: Cloud) -> list[str]:
    return provision(cloud, CONTRACT, _urls(1))


def test_everything_has_terraform_s_name(cloud: Cloud, made: list[str]) -> None:
    buckets = {bucket.name for bucket in cloud.storage.list_buckets()}
    assert buckets == {"sandbox-project-landing", "sandbox-project-bronze", "sandbox-project-state"}
    project = f"projects/{cloud.world.project}"
    subscriptions = {s.name: s for s in cloud.subscriber.list_subscriptions(project=project)}
    assert set(subscriptions) == {
        f"{project}/subscriptions/{name}" for name in ("ingest_crm", "load_bronze", "start_dbt", "dead-letters")
    }
    loader = subscriptions[f"{project}/subscriptions/load_bronze"]
    assert loader.topic == f"{project}/topics/manifests"
    assert loader.ack_deadline_seconds == CONTRACT.push.ack_deadline_seconds
    assert loader.dead_letter_policy.max_delivery_attempts == CONTRACT.push.max_delivery_attempts
    assert loader.push_config.oidc_token.service_account_email.startswith("pubsub-push@")
    letters = subscriptions[f"{project}/subscriptions/dead-letters"]
    assert letters.push_config.push_endpoint == "http://127.0.0.1:1/dead-letters"
    assert not letters.dead_letter_policy.dead_letter_topic


def test_notifications_go_where_the_functions_listen(cloud: Cloud, made: list[str]) -> None:
    found = {
        (bucket, n.topic_name, n.blob_name_prefix, tuple(n.event_types))
        for bucket in (cloud.world.bronze_bucket, cloud.world.landing_bucket)
        for n in cloud.storage.bucket(bucket).list_notifications()
    }
    assert found == {
        ("sandbox-project-bronze", "manifests", "manifests/", ("OBJECT_FINALIZE",)),
        ("sandbox-project-landing", "crm", None, ("OBJECT_FINALIZE",)),
    }


def test_schedules_ring_with_the_run_message_and_call_the_sweeper(cloud: Cloud, made: list[str]) -> None:
    jobs = {job.name.rsplit("/", 1)[1]: job for job in cloud.scheduler.list_jobs(parent=cloud.world.parent)}
    assert set(jobs) == {"ingest-crm", "sweep"}
    ingest = jobs["ingest-crm"]
    assert ingest.schedule == CONTRACT.sources["crm"].schedule
    message = json.loads(ingest.pubsub_target.data)
    assert (message["kind"], message["source"], message["run_id"]) == ("run", "crm", None)
    assert jobs["sweep"].http_target.uri == "http://127.0.0.1:1/sweep"
    assert jobs["sweep"].http_target.oidc_token.audience == "http://127.0.0.1:1"


def test_the_warehouse_has_every_bronze_table_with_its_partition_and_cluster(cloud: Cloud, made: list[str]) -> None:
    assert {item.dataset_id for item in cloud.bigquery.list_datasets()} == set(DATASETS)
    for table in tables.bronze(CONTRACT):
        found = cloud.bigquery.get_table(f"bronze.{table.name}")
        kinds = {"INTEGER": "INT64", "INT64": "INT64"}
        columns = [(field.name, kinds.get(field.field_type, field.field_type)) for field in found.schema]
        assert columns == [(column.name, column.type) for column in table.columns], table.name
        partition = found.time_partitioning.field if found.time_partitioning else None
        assert (partition, tuple(found.clustering_fields or ())) == (table.partition, table.cluster), table.name
        assert bool(found.require_partition_filter) == table.require_partition_filter, table.name


def test_a_second_time_makes_nothing_new_but_moves_the_pushes(cloud: Cloud, made: list[str]) -> None:
    salt = list(cloud.bigquery.query("select salt from silver_pii.salt").result())
    assert provision(cloud, CONTRACT, _urls(2)) == []
    subscription = cloud.subscriber.get_subscription(subscription=cloud.world.subscription("ingest_crm"))
    assert subscription.push_config.push_endpoint == "http://127.0.0.1:2"
    sweep = cloud.scheduler.get_job(name=f"{cloud.world.parent}/jobs/sweep")
    assert sweep.http_target.uri == "http://127.0.0.1:2/sweep"
    again = list(cloud.bigquery.query("select salt from silver_pii.salt").result())
    assert [row.salt for row in again] == [row.salt for row in salt]
    assert len(again) == 1
    assert len(again[0].salt) == 64
