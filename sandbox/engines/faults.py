"""Faults on purpose, in one form for every engine: which calls, how often, and what then happens to them.

::

    storage.faults.add(Refuse(503), method="objects.insert*", name="*-state/slices/*", count=2)
    with bigquery.faults.add(Cut(after=True), method="jobs.insert", detail={"kind": "load"}):
        ...                                      # the job ran, its answer is lost

An engine describes each call as a :class:`Call` and asks its :class:`Faults` what shall happen to it. What it does by itself
(a push, the ringing of a schedule, the task of a job) is a call too, with a name in small letters. Only the standard library
is used here, because the BigQuery engine lives in an environment of its own.
"""

from __future__ import annotations

import fnmatch
import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from sandbox.engines.fault_effects import (
    EFFECTS,
    Corrupt,
    Cut,
    Delay,
    Drop,
    Duplicate,
    Effect,
    JobFails,
    JobSlow,
    JobStuck,
    Refuse,
    TaskFails,
    TaskHangs,
    TaskKilled,
    Truncate,
)

__all__ = [
    "Call",
    "Corrupt",
    "Cut",
    "Delay",
    "Drop",
    "Duplicate",
    "Effect",
    "Failure",
    "Faults",
    "JobFails",
    "JobSlow",
    "JobStuck",
    "Refuse",
    "Rule",
    "Switch",
    "TaskFails",
    "TaskHangs",
    "TaskKilled",
    "Truncate",
    "carry_out",
    "meet",
    "switch",
]

Answer = TypeVar("Answer")
Failure = Refuse | Cut | Drop
"""Effects that come in the place of an answer."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an API. ``method`` is Google's name for it without the service (``objects.insert``, ``Publish``).

    ``name`` is what it is about (``bucket/object``, a topic, a job id), ``detail`` what an engine adds to tell calls apart.
    """

    method: str
    name: str = ""
    detail: Mapping[str, str] = field(default_factory=dict)


Predicate = Callable[[Call], bool]


def always(call: Call) -> bool:
    """The predicate that is always true."""
    return True


@dataclass(slots=True)
class Rule:
    """Which calls meet with ``effect``. As a context manager it ends with its block.

    ``method``, ``name`` and the values of ``detail`` are patterns of :mod:`fnmatch`; ``when`` may look closer (not over the
    wire). Of the matching calls the first ``skip`` pass; then each meets the effect with ``probability`` (drawn from a
    generator seeded with ``seed``, so a run can be repeated), until ``count`` have met it; None: without end.
    """

    effect: Effect
    method: str = "*"
    name: str = "*"
    detail: Mapping[str, str] = field(default_factory=dict)
    count: int | None = 1
    skip: int = 0
    probability: float = 1.0
    seed: int = 0
    when: Predicate = always
    id: int = 0
    matched: int = 0
    hits: int = 0
    _random: random.Random = field(init=False, repr=False)
    _owner: Faults | None = field(default=None, repr=False)
    _methods: frozenset[str] | None = field(default=None, repr=False)
    """The engine's calls that the rule concerns; None: whichever fit its pattern."""

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    @property
    def spent(self) -> bool:
        """Whether nothing more will come of it."""
        return self.count is not None and self.hits >= self.count

    def meets(self, call: Call) -> bool:
        """Whether this call meets the effect; counts it."""
        if self.spent or not self._matches(call):
            return False
        self.matched += 1
        if self.matched <= self.skip or self._random.random() >= self.probability:
            return False
        self.hits += 1
        return True

    def _matches(self, call: Call) -> bool:
        if not (fnmatch.fnmatchcase(call.method, self.method) if self._methods is None else call.method in self._methods):
            return False
        patterns = [(call.name, self.name)]
        patterns += [(call.detail.get(key, ""), pattern) for key, pattern in self.detail.items()]
        return all(fnmatch.fnmatchcase(text, pattern) for text, pattern in patterns) and self.when(call)

    def to_json(self) -> dict[str, Any]:
        """The rule and its counts for the wire and for people; a ``when`` shows as the predicate's name."""
        out = {name: getattr(self, name) for name in ("id", "method", "name", "count", "skip", "probability", "seed")}
        out |= {"detail": dict(self.detail), "matched": self.matched, "hits": self.hits}
        if self.when is not always:
            out["when"] = getattr(self.when, "__name__", "a predicate")
        return out | {"effect": type(self.effect).__name__, "settings": asdict(self.effect)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Rule:
        """The rule of :meth:`to_json`, its counts at zero. Raises ValueError for what it does not know."""
        fields = {name: value[name] for name in _ON_THE_WIRE if name in value}
        unknown = value.keys() - {*_ON_THE_WIRE, "effect", "settings", "id", "matched", "hits"}
        kind = EFFECTS.get(str(value.get("effect")))
        if unknown or kind is None:
            raise ValueError(f"not a fault: {dict(value)}; effects are {', '.join(EFFECTS)}")
        try:
            return cls(kind(**(value.get("settings") or {})), **fields)
        except (TypeError, ValueError) as error:
            raise ValueError(f"not a fault: {dict(value)}: {error}") from error

    def remove(self) -> None:
        """Ends the rule; may be called again."""
        if self._owner is not None:
            self._owner.discard_id(self.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.remove()


_ON_THE_WIRE = ("method", "name", "detail", "count", "skip", "probability", "seed")


class Faults:
    """The rules of one engine. They may change at any time, from any thread, and end with the engine's process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._ids = itertools.count(1)
        self._offered: dict[str, frozenset[type[Effect]]] = {}

    def offer(self, methods: Iterable[str], *effects: type[Effect]) -> None:
        """Says which effects these methods know; a rule that fits no method is refused from then on."""
        with self._lock:
            for method in methods:
                self._offered[method] = self._offered.get(method, frozenset()) | {*effects}

    @property
    def offered(self) -> Mapping[str, frozenset[type[Effect]]]:
        """Every method for which there are faults, with the effects that it knows."""
        return dict(self._offered)

    def __bool__(self) -> bool:
        """Whether there is any rule, spent ones included: without one, no call needs to be described."""
        return bool(self._rules)

    def add(self, effect: Effect, **settings: Any) -> Rule:
        """Adds a rule (its fields are the settings) behind those that are there; returns it.

        Raises ValueError for one that can never be met: no method of the engine fits it, or none that fits knows the effect.
        """
        return self.put(Rule(effect, **settings))

    def put(self, rule: Rule) -> Rule:
        """Adds a rule that is made already. Raises ValueError as :meth:`add` does."""
        with self._lock:
            if self._offered:
                rule._methods = self._concerned(rule)
            rule.id, rule._owner = next(self._ids), self
            self._rules.append(rule)
        return rule

    def _concerned(self, rule: Rule) -> frozenset[str]:
        kind = type(rule.effect)
        fitting = fnmatch.filter(self._offered, rule.method)
        if not fitting:
            raise ValueError(f"there is no call {rule.method!r} here; there are {', '.join(sorted(self._offered))}")
        concerned = frozenset(method for method in fitting if kind in self._offered[method])
        if not concerned:
            knowing = sorted(method for method, effects in self._offered.items() if kind in effects)
            where = f"{', '.join(knowing)} can" if knowing else "no call of this engine can"
            raise ValueError(f"{rule.method} cannot meet {kind.__name__}; {where}")
        return concerned

    def discard_id(self, identifier: int) -> None:
        """Ends the rule with this id, if there is one."""
        with self._lock:
            self._rules = [kept for kept in self._rules if kept.id != identifier]

    def reset(self) -> None:
        """No faults."""
        with self._lock:
            self._rules = []

    def active(self) -> list[dict[str, Any]]:
        """The rules from which more may come, in the order in which they are asked."""
        with self._lock:
            return [rule.to_json() for rule in self._rules if not rule.spent]

    def all(self) -> list[dict[str, Any]]:
        """Every rule that was not ended, the spent ones too."""
        with self._lock:
            return [rule.to_json() for rule in self._rules]

    def meet(self, call: Call) -> list[Effect]:
        """What this call meets with: any delays, then at most one other effect, of the first rule that applies."""
        met: list[Effect] = []
        with self._lock:
            for rule in self._rules:
                if rule.meets(call):
                    met.append(rule.effect)
                    if not isinstance(rule.effect, Delay):
                        break
        return met


class Switch(Protocol):
    """The faults of one engine, in this process or in another one."""

    def put(self, rule: Rule) -> Any: ...

    def active(self) -> list[dict[str, Any]]: ...

    def all(self) -> list[dict[str, Any]]: ...

    def discard_id(self, identifier: int) -> None: ...

    def reset(self) -> None: ...


def switch(faults: Switch, verb: str, rest: str, body: bytes) -> Any:
    """What an HTTP request at the address of ``faults`` asks for: does it, and returns the JSON of the answer.

    ``GET`` lists those from which more may come, or all with ``rest`` ``all``; ``POST`` adds the rule in ``body``; ``DELETE``
    ends all, or the one whose id is ``rest``. Raises ValueError for what makes no sense.
    """
    if verb == "POST":
        return {"id": faults.put(Rule.from_json(json.loads(body))).id}
    if verb == "DELETE":
        faults.discard_id(int(rest)) if rest else faults.reset()
        return {}
    return faults.all() if rest == "all" else faults.active()


def meet(faults: Faults, call: Call, sleep: Callable[[float], object] = time.sleep) -> Effect | None:
    """Waits out the delays that this call meets with, and returns the effect behind them."""
    for effect in faults.meet(call):
        if isinstance(effect, Delay):
            sleep(effect.seconds)
        else:
            return effect
    return None


def carry_out(
    faults: Faults,
    call: Callable[[], Call],
    act: Callable[[], Answer],
    failure: Callable[[Failure], Answer],
    sleep: Callable[[float], object] = time.sleep,
) -> Answer:
    """What ``act()`` answers, as far as the faults of this call let it happen and its answer through.

    ``call`` describes it, and is not asked while no fault is set. ``failure`` makes an answer, or raises an error, of an effect
    that comes in its place.
    """
    if not faults:
        return act()
    effect = meet(faults, call(), sleep)
    if isinstance(effect, Drop) or (isinstance(effect, Refuse | Cut) and not effect.after):
        return failure(effect)
    if isinstance(effect, Duplicate):
        for _ in range(effect.times - 1):
            act()
    answer = act()
    return failure(effect) if isinstance(effect, Refuse | Cut) else answer
