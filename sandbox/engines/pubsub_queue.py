"""One subscription's messages: which may be delivered now, which are out, which wait. Knows no network and no disk."""

from __future__ import annotations

import heapq
import itertools
import secrets
from collections import deque
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True, eq=False)
class Delivery:
    """One message on its way to one subscription. ``attempts`` counts deliveries; times are the clock's seconds."""

    message: Any
    attempts: int = 0
    is_copy: bool = False  # a duplicate made on purpose: not kept across a restart
    ack_id: str = ""
    leased_until: float = 0.0


class SubscriptionQueue:
    """The state machine of one subscription. The caller holds the broker's lock around every call.

    A delivery is ready (in the heap, due at a time), leased (handed out until a deadline), or behind another one of
    its ordering key. With ordering, only the oldest message of a key is handed out until it is acknowledged.
    """

    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.pending: dict[str, Delivery] = {}  # by message id: everything that a restart must bring back
        self.leased: dict[str, Delivery] = {}
        self.pushes_in_flight = 0
        self.closed = False
        self._ready: list[tuple[float, int, Delivery]] = []
        self._order = itertools.count()
        self._lanes: dict[str, deque[Delivery]] = {}

    @property
    def name(self) -> str:
        """``projects/P/subscriptions/S``."""
        return str(self.settings.name)

    @property
    def waiting(self) -> int:
        """How many deliveries are not handed out."""
        return len(self._ready) + sum(len(lane) - 1 for lane in self._lanes.values())

    def add(self, delivery: Delivery, due: float) -> None:
        """A new delivery, to be handed out from ``due`` on."""
        if not delivery.is_copy:
            self.pending[delivery.message.message_id] = delivery
        lane = self._lane(delivery)
        if lane is not None:
            lane.append(delivery)
            if lane[0] is not delivery:
                return
        self._push(delivery, due)

    def take(self, limit: int, now: float, lease_seconds: float) -> list[Delivery]:
        """Hands out up to ``limit`` due deliveries, each until ``now + lease_seconds``."""
        taken: list[Delivery] = []
        while len(taken) < limit and self._ready and self._ready[0][0] <= now:
            delivery = heapq.heappop(self._ready)[2]
            delivery.attempts += 1
            delivery.ack_id = secrets.token_urlsafe(24)
            delivery.leased_until = now + lease_seconds
            self.leased[delivery.ack_id] = delivery
            taken.append(delivery)
        return taken

    def release(self, ack_id: str) -> Delivery | None:
        """Ends a lease; None when there is none (any more). What becomes of the delivery is the caller's decision."""
        return self.leased.pop(ack_id, None)

    def finish(self, delivery: Delivery, now: float) -> None:
        """A released delivery is done; the next one of its ordering key may go."""
        if not delivery.is_copy:
            self.pending.pop(delivery.message.message_id, None)
        lane = self._lane(delivery)
        if lane is not None:
            lane.popleft()
            if lane:
                self._push(lane[0], now)
            else:
                del self._lanes[delivery.message.ordering_key]

    def retry(self, delivery: Delivery, due: float) -> None:
        """A released delivery comes again from ``due`` on, before the later ones of its ordering key."""
        self._push(delivery, due)

    def expired(self, now: float) -> list[str]:
        """The ack ids whose deadline has passed."""
        return [ack_id for ack_id, delivery in self.leased.items() if delivery.leased_until <= now]

    def refused(self) -> list[tuple[float, Delivery]]:
        """Deliveries that failed and come again, with the time at which they are due, the earliest first."""
        return sorted(((due, one) for due, _, one in self._ready if one.attempts), key=lambda entry: entry[0])

    def next_due(self) -> float | None:
        """When the next delivery becomes ready; None when none waits."""
        return self._ready[0][0] if self._ready else None

    def next_expiry(self) -> float | None:
        """When the next lease ends; None when nothing is out."""
        return min((delivery.leased_until for delivery in self.leased.values()), default=None)

    def _push(self, delivery: Delivery, due: float) -> None:
        heapq.heappush(self._ready, (due, next(self._order), delivery))

    def _lane(self, delivery: Delivery) -> deque[Delivery] | None:
        key = delivery.message.ordering_key
        if not key or not self.settings.enable_message_ordering:
            return None
        return self._lanes.setdefault(key, deque())
