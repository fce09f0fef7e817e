"""Faults on purpose of Pub/Sub: rules for its calls and pushes, as every engine has, and switches for messages.

A push is the call ``push``: its name is the subscription's, its ``detail`` has ``message`` (the id), ``attempt``, ``endpoint``
and the message's attributes under their names.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.engines import faults

Predicate = Callable[[str, Any], bool]
"""Called with the subscription's name and the PubsubMessage; says whether a fault applies to it."""


def everything(subscription: str, message: Any) -> bool:
    """The predicate that is always true."""
    return True


@dataclass(slots=True)
class _Drop:
    when: Predicate
    left: int


class PubSubFaults(faults.Faults):
    """Rules, and switches that may be thrown at any time; :meth:`reset` ends all of them.

    The switches concern messages published (duplicates, delays) or handed out (drops) from then on, to whomever: pulled or
    pushed. Rules concern calls and single pushes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.offer(("push",), faults.Refuse, faults.Cut, faults.Delay, faults.Duplicate, faults.Drop)
        self._switches = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """No faults."""
        super().reset()
        with self._switches:
            self._copies = 1
            self._copy_when: Predicate = everything
            self._drops: list[_Drop] = []
            self._delay_seconds = 0.0
            self._delay_when: Predicate = everything
            self._random = random.Random()

    def active(self) -> list[dict[str, Any]]:
        """The rules from which more may come, and behind them the switches that are thrown (they have no id)."""
        with self._switches:
            thrown = []
            if self._copies > 1:
                thrown.append(_shown("Duplicate", self._copy_when, None, times=self._copies))
            if self._delay_seconds:
                thrown.append(_shown("Delay", self._delay_when, None, up_to_seconds=self._delay_seconds))
            thrown += [_shown("Drop", drop.when, drop.left) for drop in self._drops if drop.left > 0]
        return super().active() + thrown

    def duplicate(self, times: int, when: Predicate = everything) -> None:
        """Delivers every matching message ``times`` times, whether or not it is acknowledged."""
        with self._switches:
            self._copies, self._copy_when = times, when

    def drop_next(self, when: Predicate = everything, count: int = 1) -> None:
        """Loses the next ``count`` matching messages for good: each counts as acknowledged and never arrives."""
        with self._switches:
            self._drops.append(_Drop(when, count))

    def shuffle(self, within_seconds: float, when: Predicate = everything, seed: int | None = None) -> None:
        """Delays every matching message by a random time up to ``within_seconds`` (real seconds), so order is lost."""
        with self._switches:
            self._delay_seconds, self._delay_when = within_seconds, when
            self._random = random.Random(seed)

    def copies(self, subscription: str, message: Any) -> int:
        """How often this message shall be delivered."""
        with self._switches:
            return self._copies if self._copies > 1 and self._copy_when(subscription, message) else 1

    def delay_seconds(self, subscription: str, message: Any) -> float:
        """How long the first delivery shall wait."""
        with self._switches:
            if self._delay_seconds and self._delay_when(subscription, message):
                return self._random.uniform(0, self._delay_seconds)
            return 0.0

    def drops(self, subscription: str, message: Any) -> bool:
        """Whether this delivery shall be lost; a yes uses up one of the losses asked for."""
        with self._switches:
            for drop in self._drops:
                if drop.left > 0 and drop.when(subscription, message):
                    drop.left -= 1
                    return True
            return False


def _shown(effect: str, when: Predicate, left: int | None, **settings: float) -> dict[str, Any]:
    """A switch in the form of a rule's JSON."""
    shown: dict[str, Any] = {"method": "message", "name": "*", "count": left, "effect": effect, "settings": settings, "hits": 0}
    return shown if when is everything else shown | {"when": getattr(when, "__name__", "a predicate")}
