"""Faults on purpose: what Pub/Sub may do to a subscriber, made to happen when a test asks for it."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Predicate = Callable[[str, Any], bool]
"""Called with the subscription's name and the PubsubMessage; says whether a fault applies to it."""


def everything(subscription: str, message: Any) -> bool:
    """The predicate that is always true."""
    return True


@dataclass(slots=True)
class _Drop:
    when: Predicate
    left: int


class Faults:
    """Switches that may be thrown at any time; :meth:`reset` ends all of them.

    They concern messages published (duplicates, delays) or handed out (drops) from then on.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """No faults."""
        with self._lock:
            self._copies = 1
            self._copy_when: Predicate = everything
            self._drops: list[_Drop] = []
            self._delay_seconds = 0.0
            self._delay_when: Predicate = everything
            self._random = random.Random()

    def duplicate(self, times: int, when: Predicate = everything) -> None:
        """Delivers every matching message ``times`` times, whether or not it is acknowledged."""
        with self._lock:
            self._copies, self._copy_when = times, when

    def drop_next(self, when: Predicate = everything, count: int = 1) -> None:
        """Loses the next ``count`` matching messages for good: each counts as acknowledged and never arrives."""
        with self._lock:
            self._drops.append(_Drop(when, count))

    def shuffle(self, within_seconds: float, when: Predicate = everything, seed: int | None = None) -> None:
        """Delays every matching message by a random time up to ``within_seconds`` (real seconds), so order is lost."""
        with self._lock:
            self._delay_seconds, self._delay_when = within_seconds, when
            self._random = random.Random(seed)

    def copies(self, subscription: str, message: Any) -> int:
        """How often this message shall be delivered."""
        with self._lock:
            return self._copies if self._copies > 1 and self._copy_when(subscription, message) else 1

    def delay_seconds(self, subscription: str, message: Any) -> float:
        """How long the first delivery shall wait."""
        with self._lock:
            if self._delay_seconds and self._delay_when(subscription, message):
                return self._random.uniform(0, self._delay_seconds)
            return 0.0

    def drops(self, subscription: str, message: Any) -> bool:
        """Whether this delivery shall be lost; a yes uses up one of the losses asked for."""
        with self._lock:
            for drop in self._drops:
                if drop.left > 0 and drop.when(subscription, message):
                    drop.left -= 1
                    return True
            return False
