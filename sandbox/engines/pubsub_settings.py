"""What Pub/Sub accepts as names, topics, subscriptions and messages, and what of it the engine does not emulate."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from sandbox.engines.grpc_services import invalid_argument, only

RESOURCE = re.compile(
    r"projects/[a-z0-9][a-z0-9:.-]{3,61}[a-z0-9]/(topics|subscriptions)/(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}"
)
DELETED_TOPIC = "_deleted-topic_"
UPDATABLE = {
    "push_config",
    "ack_deadline_seconds",
    "labels",
    "retry_policy",
    "dead_letter_policy",
    "message_retention_duration",
    "expiration_policy",
}
TOPIC_SETTINGS = {"name", "labels", "message_storage_policy", "state", "satisfies_pzs"}
SUBSCRIPTION_SETTINGS = UPDATABLE | {"name", "topic", "enable_message_ordering", "state", "detached"}
PUSH_SETTINGS = {"push_endpoint", "oidc_token", "attributes", "pubsub_wrapper"}
"""What may be set, with effect or (as the engines' README says) without; anything else is refused by name."""
MAX_PUBLISH_BYTES = 10_000_000
MAX_PUBLISH_MESSAGES = 1000
MAX_ATTRIBUTES = 100


def check_name(name: str, collection: str) -> None:
    """Raises INVALID_ARGUMENT unless ``name`` is ``projects/P/<collection>/ID`` with an id as Google takes it."""
    matched = RESOURCE.fullmatch(name)
    if matched is None or matched[1] != collection:
        raise invalid_argument(f"Invalid resource name given (name={name}).")


def check_topic(topic: Any) -> None:
    """Raises INVALID_ARGUMENT for the name and UNIMPLEMENTED for settings without effect here."""
    check_name(topic.name, "topics")
    only(topic, TOPIC_SETTINGS, "the topic setting ")


def complete_subscription(subscription: Any) -> None:
    """Checks a subscription and fills in Google's defaults. Raises INVALID_ARGUMENT and UNIMPLEMENTED."""
    check_name(subscription.name, "subscriptions")
    only(subscription, SUBSCRIPTION_SETTINGS, "the subscription setting ")
    only(subscription.push_config, PUSH_SETTINGS, "the subscription setting push_config.")
    endpoint = subscription.push_config.push_endpoint
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise invalid_argument(f"Invalid push endpoint given (endpoint={endpoint}).")
    if not subscription.ack_deadline_seconds:
        subscription.ack_deadline_seconds = 10
    if not 10 <= subscription.ack_deadline_seconds <= 600:
        seconds = subscription.ack_deadline_seconds
        raise invalid_argument(f"Invalid ack deadline given (ack_deadline={seconds}); it should be 10 to 600 s.")
    _complete_policies(subscription)
    if not subscription.HasField("message_retention_duration"):
        subscription.message_retention_duration.seconds = 7 * 86_400
    if not subscription.HasField("expiration_policy"):
        subscription.expiration_policy.ttl.seconds = 31 * 86_400


def _complete_policies(subscription: Any) -> None:
    if subscription.HasField("dead_letter_policy"):
        policy = subscription.dead_letter_policy
        check_name(policy.dead_letter_topic, "topics")
        policy.max_delivery_attempts = policy.max_delivery_attempts or 5
        if not 5 <= policy.max_delivery_attempts <= 100:
            raise invalid_argument("Invalid max_delivery_attempts: it should be 5 to 100.")
    if subscription.HasField("retry_policy"):
        policy = subscription.retry_policy
        if not policy.HasField("minimum_backoff"):
            policy.minimum_backoff.seconds = 10
        if not policy.HasField("maximum_backoff"):
            policy.maximum_backoff.seconds = 600
        minimum, maximum = backoff_limits(subscription)
        if not 0 <= minimum <= maximum <= 600:
            raise invalid_argument("Invalid retry policy: 0 s <= minimum_backoff <= maximum_backoff <= 600 s.")


def backoff_limits(subscription: Any) -> tuple[float, float]:
    """Shortest and longest back-off in seconds; without a retry policy Pub/Sub redelivers at once."""
    if not subscription.HasField("retry_policy"):
        return 0.0, 0.0
    policy = subscription.retry_policy
    return seconds(policy.minimum_backoff), seconds(policy.maximum_backoff)


def seconds(duration: Any) -> float:
    """A google.protobuf.Duration in seconds."""
    return float(duration.seconds) + float(duration.nanos) / 1e9


def update_subscription(current: Any, wanted: Any, mask: FieldMask) -> Any:
    """The subscription with the masked fields taken from ``wanted``. Raises INVALID_ARGUMENT."""
    if not mask.paths:
        raise invalid_argument("The update_mask in the UpdateSubscriptionRequest must be set.")
    for path in mask.paths:
        if path.split(".")[0] not in UPDATABLE:
            raise invalid_argument(f"Invalid update_mask provided in the UpdateSubscriptionRequest: {path}.")
    updated = type(current)()
    updated.CopyFrom(current)
    mask.MergeMessage(wanted, updated, replace_message_field=True, replace_repeated_field=True)
    complete_subscription(updated)
    return updated


def check_messages(messages: Sequence[Any]) -> None:
    """Raises INVALID_ARGUMENT for what Pub/Sub refuses to publish (limits of its documentation)."""
    if not messages:
        raise invalid_argument("The value for message_count is too small. You passed 0 in the request.")
    if len(messages) > MAX_PUBLISH_MESSAGES:
        raise invalid_argument(f"The value for message_count is too large. You passed {len(messages)} in the request.")
    if sum(message.ByteSize() for message in messages) > MAX_PUBLISH_BYTES:
        raise invalid_argument(f"The request is larger than {MAX_PUBLISH_BYTES} bytes.")
    for message in messages:
        if not message.data and not message.attributes:
            raise invalid_argument("Some messages in the batch are empty.")
        if len(message.attributes) > MAX_ATTRIBUTES:
            raise invalid_argument(f"A message has more than {MAX_ATTRIBUTES} attributes.")
        for key, value in message.attributes.items():
            if not 0 < len(key.encode()) <= 256 or len(value.encode()) > 1024 or key.startswith("goog"):
                raise invalid_argument(f"Invalid attribute {key!r}: at most 256 bytes, its value 1,024, no 'goog…'.")
        if len(message.ordering_key.encode()) > 1024:
            raise invalid_argument("The ordering key is longer than 1024 bytes.")
