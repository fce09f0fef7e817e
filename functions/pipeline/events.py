"""From a delivery to a message, and from an exception to what Pub/Sub should do. The door's one piece of machinery.

A push subscription's body becomes a CloudEvent by functions-framework; its ``data`` is Pub/Sub's wrapped message
(https://cloud.google.com/pubsub/docs/push). Returning acknowledges it. Raising is a negative acknowledgement: it is
delivered again after a back-off, and goes to the dead letters in the end. Since state decides and messages are hints,
only three things are raised: a message that cannot be read, storage out of reach, a load that still runs.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pipeline import journal
from pipeline.errors import PipelineError, Rejected, Retryable

if TYPE_CHECKING:
    from cloudevents.http import CloudEvent

VERSION = 1


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery of one message. ``published_at`` is Pub/Sub's clock and the same in every redelivery."""

    id: str
    published_at: datetime
    attributes: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def is_finalize(self) -> bool:
        """Whether Cloud Storage sent it: an object was finalized (pubsub-notifications, OBJECT_FINALIZE)."""
        return self.attributes.get("eventType") == "OBJECT_FINALIZE"

    @property
    def kind(self) -> str:
        return str(self.body.get("kind", ""))


class Unreadable(PipelineError):
    """The message is none of ours. Raised through the door, so that it ends among the dead letters with its content."""


def read(event: CloudEvent) -> Delivery:
    """The delivery in an event. Raises :class:`Unreadable`."""
    try:
        message = event.data["message"]
        body = json.loads(base64.b64decode(message.get("data") or "", validate=True))
        published_at = datetime.fromisoformat(message["publishTime"].replace("Z", "+00:00"))
        delivery = Delivery(str(message["messageId"]), published_at, message.get("attributes") or {}, body)
    except (TypeError, KeyError, AttributeError, ValueError, binascii.Error) as error:
        raise Unreadable(f"not a message of this pipeline: {error!r}") from error
    if not isinstance(body, dict):
        raise Unreadable(f"not a message of this pipeline: a JSON {type(body).__name__}")
    if not delivery.is_finalize and body.get("v") != VERSION:
        # Raised, not acknowledged: during a deployment the other revision may know this version.
        raise Unreadable(f"version {body.get('v')!r} of message kind {delivery.kind!r}: this revision reads {VERSION}")
    return delivery


def deliver(event: CloudEvent, handle: Callable[[Delivery], None]) -> None:
    """Run a handler on an event, and decide whether the delivery is acknowledged (return) or repeated (raise)."""
    _join_trace()
    try:
        delivery = read(event)
        handle(delivery)
    except Retryable as error:
        journal.log("door", f"will be delivered again: {error}", severity="WARNING")
        raise
    except Rejected as error:
        journal.log("door", error.message, severity="ERROR", kind=error.kind, next_step=error.next_step)
        raise
    except Exception as error:
        journal.log("door", f"{type(error).__name__}: {error}", severity="ERROR")
        raise


def _join_trace() -> None:
    from flask import has_request_context, request

    if has_request_context():
        journal.set_trace(request.headers.get("X-Cloud-Trace-Context"))
