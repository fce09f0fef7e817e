"""Pushes: due messages of push subscriptions are posted to their endpoints, each in its own thread."""

from __future__ import annotations

import base64
import http.client
import json
import threading
import time
from typing import Any

from sandbox.engines.faults import Call, Drop, Failure, Refuse, carry_out
from sandbox.engines.outbound import TokenSource, send
from sandbox.engines.pubsub_broker import Broker
from sandbox.engines.pubsub_queue import Delivery, SubscriptionQueue

ACKNOWLEDGING = frozenset({102, 200, 201, 202, 204})
"""Statuses that acknowledge a push; every other one, 429 too, is a nack (documentation of push subscriptions)."""

DROPPED = -1
"""In the place of a status: lost on the way by a fault."""


def push_body(settings: Any, delivery: Delivery) -> dict[str, Any]:
    """The JSON body of a wrapped push. ``deliveryAttempt`` is only there with a dead letter policy."""
    message = delivery.message
    publish_time = message.publish_time.ToJsonString()
    wrapped: dict[str, Any] = {}
    if message.attributes:
        wrapped["attributes"] = dict(message.attributes)
    if message.data:
        wrapped["data"] = base64.b64encode(message.data).decode()
    wrapped |= {"messageId": message.message_id, "message_id": message.message_id}
    if message.ordering_key:
        wrapped["orderingKey"] = message.ordering_key
    wrapped |= {"publishTime": publish_time, "publish_time": publish_time}
    body: dict[str, Any] = {"message": wrapped, "subscription": settings.name}
    if settings.dead_letter_policy.dead_letter_topic:
        body["deliveryAttempt"] = delivery.attempts
    return body


class Pusher:
    """Watches the broker: ends leases at their deadlines, and sends what is due.

    At most ``max_in_flight`` pushes per subscription are unanswered at a time. ``token(service account, audience)``
    makes the bearer token for subscriptions with an OIDC token; they cannot be pushed without it.
    """

    def __init__(self, broker: Broker, token: TokenSource | None, max_in_flight: int) -> None:
        self._broker = broker
        self._token = token
        self._max_in_flight = max_in_flight

    def start(self) -> None:
        """Begins to push, until the broker stops."""
        self._leave = self._broker.clock.join(busy=self._busy, next_due=self._next_due)
        threading.Thread(target=self._run, name="pubsub-pusher", daemon=True).start()

    def _run(self) -> None:
        broker = self._broker
        with broker.changed:
            while not broker.stopping:
                broker.expire(broker.clock.seconds())
                for queue in list(broker.queues.values()):
                    self._dispatch(queue)
                broker.clock.wait(broker.changed, min(self._moments(), default=None))
        self._leave()

    def _dispatch(self, queue: SubscriptionQueue) -> None:
        endpoint = queue.settings.push_config.push_endpoint
        room = self._max_in_flight - queue.pushes_in_flight
        if not endpoint or room <= 0:
            return
        for delivery in self._broker.take(queue, room):
            queue.pushes_in_flight += 1
            deadline_seconds = self._broker.clock.real_seconds(delivery.leased_until - self._broker.clock.seconds())
            threading.Thread(
                target=self._push, args=(queue, delivery, delivery.ack_id, deadline_seconds), name="push", daemon=True
            ).start()

    def _moments(self) -> list[float]:
        """When there is something to do: leases end, pushes become due (broker's lock held)."""
        moments = []
        for queue in self._broker.queues.values():
            if (expiry := queue.next_expiry()) is not None:
                moments.append(expiry)
            pushes = queue.settings.push_config.push_endpoint and queue.pushes_in_flight < self._max_in_flight
            if pushes and (due := queue.next_due()) is not None:
                moments.append(due)
        return moments

    def _busy(self) -> bool:
        """Whether a push is unanswered, or something is due and not begun."""
        broker = self._broker
        with broker.lock:
            if broker.stopping:
                return False
            pushing = any(queue.pushes_in_flight for queue in broker.queues.values())
            return pushing or min(self._moments(), default=float("inf")) <= broker.clock.seconds()

    def _next_due(self, after: float) -> float | None:
        """The first time after ``after`` at which a message or the end of a lease is due, pulled messages too."""
        with self._broker.lock:
            pulled = [due for queue in self._broker.queues.values() if (due := queue.next_due()) is not None]
            return min((moment for moment in (*self._moments(), *pulled) if moment > after), default=None)

    def _push(self, queue: SubscriptionQueue, delivery: Delivery, ack_id: str, deadline_seconds: float) -> None:
        status, detail = 0, ""
        try:
            status = carry_out(
                self._broker.faults,
                lambda: _call(queue, delivery),
                lambda: self._post(queue.settings, delivery, deadline_seconds),
                _failure,
                self._delay,
            )
            detail = str(status)
        except (OSError, http.client.HTTPException, RuntimeError) as error:
            detail = f"{type(error).__name__}: {error}"
        finally:
            # ack_id is that of this very delivery: once its deadline has passed, a late answer changes nothing.
            with self._broker.changed:
                queue.pushes_in_flight -= 1
                if status == DROPPED:
                    self._broker.acknowledge(queue, [ack_id], "by a fault", "dropped")
                elif status in ACKNOWLEDGING:
                    self._broker.acknowledge(queue, [ack_id], detail)
                else:
                    self._broker.fail(queue, ack_id, "nacked", detail)
                self._broker.changed.notify_all()

    def _post(self, settings: Any, delivery: Delivery, deadline_seconds: float) -> int:
        """Sends the push and returns the answer's status. Raises OSError, HTTPException, and RuntimeError without a token."""
        config = settings.push_config
        headers = {"Content-Type": "application/json", "From": "noreply@google.com"}
        if config.HasField("oidc_token"):
            if self._token is None:
                raise RuntimeError("the subscription asks for an OIDC token, and the engine has no source of them")
            audience = config.oidc_token.audience or config.push_endpoint
            bearer = self._token(config.oidc_token.service_account_email, audience)
            headers["Authorization"] = f"Bearer {bearer}"
        body = json.dumps(push_body(settings, delivery)).encode()
        return send("POST", config.push_endpoint, body, headers, max(deadline_seconds, 0.001))

    def _delay(self, seconds: float) -> None:
        time.sleep(seconds)
        if self._broker.stopping:
            raise ConnectionAbortedError("the engine has stopped")


def _call(queue: SubscriptionQueue, delivery: Delivery) -> Call:
    message = delivery.message
    known = {
        "message": message.message_id,
        "attempt": str(delivery.attempts),
        "endpoint": queue.settings.push_config.push_endpoint,
    }
    return Call("push", queue.name, {**message.attributes, **known})


def _failure(effect: Failure) -> int:
    if isinstance(effect, Refuse):
        return effect.http_status
    if isinstance(effect, Drop):
        return DROPPED
    raise ConnectionResetError("the connection was cut on purpose")
