"""Makes what Terraform makes in the cloud, from the same contract and under the same names, with the official clients.

Idempotent: what exists is left alone, except where functions are pushed to: their addresses change with every start.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from google.api_core import exceptions
from google.cloud import bigquery, scheduler_v1, secretmanager_v1
from google.protobuf import duration_pb2, field_mask_pb2

from pipeline import tables
from pipeline.contract import Contract, Source
from sandbox.cloud import Cloud
from sandbox.world import DATASETS

TIMEOUT_SECONDS = 30.0
DEAD_LETTERS = "dead-letters"
SWEEP = "sweep"


def provision(cloud: Cloud, contract: Contract, urls: Mapping[str, str]) -> list[str]:
    """Make the world. ``urls``: function name → URL of its front. Returns what was new, as ``kind name``.

    Raises what the clients raise: in the sandbox an engine that refuses is a bug to be seen, not a state to be handled.
    """
    return [
        *make_topics(cloud, contract),
        *make_buckets(cloud),
        *make_notifications(cloud, contract),
        *make_subscriptions(cloud, contract, urls),
        *make_secrets(cloud, contract),
        *make_schedules(cloud, contract, urls["control"]),
        *make_warehouse(cloud, contract),
    ]


def make_buckets(cloud: Cloud) -> list[str]:
    """Landing, bronze and state."""
    world = cloud.world
    have = {bucket.name for bucket in cloud.storage.list_buckets(timeout=TIMEOUT_SECONDS)}
    made = []
    for name in (world.landing_bucket, world.bronze_bucket, world.state_bucket):
        if name not in have:
            cloud.storage.create_bucket(name, location=world.location, timeout=TIMEOUT_SECONDS)
            made.append(f"bucket {name}")
    return made


def make_topics(cloud: Cloud, contract: Contract) -> list[str]:
    """A topic per source, and the fixed ones."""
    made = []
    for topic_id in (*contract.sources, "manifests", "transform", DEAD_LETTERS):
        try:
            cloud.publisher.create_topic(name=cloud.world.topic(topic_id), timeout=TIMEOUT_SECONDS)
            made.append(f"topic {topic_id}")
        except exceptions.AlreadyExists:
            pass
    return made


def make_notifications(cloud: Cloud, contract: Contract) -> list[str]:
    """Bronze tells ``manifests`` of new manifests; landing tells the source that is fed by files."""
    world = cloud.world
    wanted: list[tuple[str, str, str | None]] = [(world.bronze_bucket, "manifests", "manifests/")]
    wanted += [(world.landing_bucket, source.name, None) for source in contract.sources.values() if _reads_files(source)]
    made = []
    for bucket_name, topic_id, prefix in wanted:
        bucket = cloud.storage.bucket(bucket_name)
        have = {notification.topic_name for notification in bucket.list_notifications(timeout=TIMEOUT_SECONDS)}
        if topic_id not in have:
            bucket.notification(
                topic_name=topic_id,
                topic_project=world.project,
                event_types=["OBJECT_FINALIZE"],
                blob_name_prefix=prefix,
                payload_format="JSON_API_V1",
            ).create(timeout=TIMEOUT_SECONDS)
            made.append(f"notification {bucket_name} → {topic_id}")
    return made


def _reads_files(source: Source) -> bool:
    return any(stream.window == "files" for stream in source.streams.values())


def make_subscriptions(cloud: Cloud, contract: Contract, urls: Mapping[str, str]) -> list[str]:
    """A push subscription per function with a topic, named like it, and one that files dead letters with ``control``."""
    made = []
    for function in contract.functions.values():
        if function.topic is not None:
            made += _subscription(cloud, contract, function.name, function.topic, urls[function.name], urls[function.name])
    endpoint = f"{urls['control']}/dead-letters"
    made += _subscription(cloud, contract, DEAD_LETTERS, DEAD_LETTERS, endpoint, urls["control"])
    return made


def _subscription(
    cloud: Cloud, contract: Contract, subscription_id: str, topic_id: str, endpoint: str, audience: str
) -> list[str]:
    push = contract.push
    subscription: dict[str, Any] = {
        "name": cloud.world.subscription(subscription_id),
        "topic": cloud.world.topic(topic_id),
        "push_config": {
            "push_endpoint": endpoint,
            "oidc_token": {
                "service_account_email": cloud.world.service_account("pubsub-push"),
                "audience": audience,
            },
        },
        "ack_deadline_seconds": push.ack_deadline_seconds,
        "message_retention_duration": duration_pb2.Duration(seconds=push.retention_days * 86400),
        "retry_policy": {
            "minimum_backoff": duration_pb2.Duration(seconds=push.minimum_backoff_seconds),
            "maximum_backoff": duration_pb2.Duration(seconds=push.maximum_backoff_seconds),
        },
        # An empty policy means: never expires. Absent, Google deletes an idle subscription after 31 days.
        "expiration_policy": {},
    }
    if topic_id != DEAD_LETTERS:
        subscription["dead_letter_policy"] = {
            "dead_letter_topic": cloud.world.topic(DEAD_LETTERS),
            "max_delivery_attempts": push.max_delivery_attempts,
        }
    try:
        cloud.subscriber.create_subscription(request=subscription, timeout=TIMEOUT_SECONDS)
        return [f"subscription {subscription_id}"]
    except exceptions.AlreadyExists:
        changeable = [name for name in subscription if name not in ("name", "topic")]
        cloud.subscriber.update_subscription(
            request={"subscription": subscription, "update_mask": field_mask_pb2.FieldMask(paths=changeable)},
            timeout=TIMEOUT_SECONDS,
        )
        return []


def make_secrets(cloud: Cloud, contract: Contract) -> list[str]:
    """The secrets that the sources name, each with one made-up version."""
    parent = f"projects/{cloud.world.project}"
    made = []
    for secret_id in sorted({name for source in contract.sources.values() for name in source.secrets}):
        try:
            secret = cloud.secrets.create_secret(
                parent=parent,
                secret_id=secret_id,
                secret=secretmanager_v1.Secret({"replication": {"automatic": {}}}),
                timeout=TIMEOUT_SECONDS,
            )
        except exceptions.AlreadyExists:
            continue
        cloud.secrets.add_secret_version(
            parent=secret.name,
            payload=secretmanager_v1.SecretPayload(data=secrets.token_hex(16).encode()),
            timeout=TIMEOUT_SECONDS,
        )
        made.append(f"secret {secret_id}")
    return made


def run_message(source: str) -> dict[str, Any]:
    """The message that asks for a scheduled run: what the clock, a rerun and a backfill all send, with other dates."""
    return {
        "v": 1,
        "kind": "run",
        "source": source,
        "streams": [],
        "accounts": [],
        "from": None,
        "to": None,
        "reason": "schedule",
        "asked_by": "scheduler",
        "run_id": None,
        "asked_at": None,
    }


def make_schedules(cloud: Cloud, contract: Contract, control_url: str) -> list[str]:
    """``ingest-<source>`` per source, and the clocks that call ``control``."""
    world = cloud.world
    jobs: list[dict[str, Any]] = [
        {
            "name": f"{world.parent}/jobs/ingest-{source.name}",
            "schedule": source.schedule,
            "time_zone": source.time_zone,
            "pubsub_target": {
                "topic_name": world.topic(source.name),
                "data": json.dumps(run_message(source.name)).encode(),
            },
        }
        for source in contract.sources.values()
    ]
    jobs += [
        {
            "name": f"{world.parent}/jobs/{schedule.name}",
            "schedule": schedule.cron,
            "time_zone": schedule.time_zone,
            "http_target": {
                "uri": f"{control_url}{schedule.http_path}",
                "http_method": "POST",
                "oidc_token": {
                    "service_account_email": world.service_account("scheduler"),
                    "audience": control_url,
                },
            },
            "attempt_deadline": duration_pb2.Duration(seconds=contract.functions["control"].timeout_seconds),
        }
        for schedule in contract.schedules.values()
    ]
    made = []
    for job in jobs:
        try:
            cloud.scheduler.create_job(parent=world.parent, job=scheduler_v1.Job(job), timeout=TIMEOUT_SECONDS)
            made.append(f"schedule {job['name'].rsplit('/', 1)[1]}")
        except exceptions.AlreadyExists:
            cloud.scheduler.update_job(job=scheduler_v1.Job(job), timeout=TIMEOUT_SECONDS)
    return made


def make_warehouse(cloud: Cloud, contract: Contract) -> list[str]:
    """The datasets, every table of bronze, and the salt with its one row."""
    client = cloud.bigquery
    made = []
    have = {item.dataset_id for item in client.list_datasets(timeout=TIMEOUT_SECONDS)}
    for name in DATASETS:
        if name not in have:
            dataset = bigquery.Dataset(f"{client.project}.{name}")
            dataset.location = cloud.world.location
            client.create_dataset(dataset, exists_ok=True, timeout=TIMEOUT_SECONDS)
            made.append(f"dataset {name}")
    have = {item.table_id for item in client.list_tables(tables.DATASET, timeout=TIMEOUT_SECONDS)}
    for table in tables.bronze(contract):
        if table.name not in have:
            client.create_table(_table(client.project, table), exists_ok=True, timeout=TIMEOUT_SECONDS)
            made.append(f"table {tables.DATASET}.{table.name}")
    return [*made, *_salt(client)]


def _table(project: str, table: tables.Table) -> bigquery.Table:
    schema = [bigquery.SchemaField(column.name, column.type, description=column.description) for column in table.columns]
    made = bigquery.Table(f"{project}.{tables.DATASET}.{table.name}", schema=schema)
    made.description = table.description
    if table.partition is not None:
        made.time_partitioning = bigquery.TimePartitioning(type_=bigquery.TimePartitioningType.DAY, field=table.partition)
        made.require_partition_filter = table.require_partition_filter
    if table.cluster:
        made.clustering_fields = list(table.cluster)
    return made


def _salt(client: bigquery.Client) -> list[str]:
    name = f"{client.project}.silver_pii.salt"
    client.create_table(bigquery.Table(name, schema=[bigquery.SchemaField("salt", "STRING")]), exists_ok=True)
    if next(iter(client.query(f"select count(*) from `{name}`").result()))[0]:
        return []
    # Random for each world: whoever knows the salt can match hashes to people.
    salt = bigquery.ScalarQueryParameter("salt", "STRING", secrets.token_hex(32))
    client.query(
        f"insert into `{name}` (salt) values (@salt)", job_config=bigquery.QueryJobConfig(query_parameters=[salt])
    ).result()
    return ["salt"]
