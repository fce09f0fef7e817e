"""Faults on purpose, in one form for every engine: which calls, how often, and what then happens to them.

::

    storage.faults.add(Refuse(503), method="objects.insert*", name="*-state/slices/*", count=2)
    with bigquery.faults.add(Cut(after=True), method="jobs.insert", detail={"kind": "load"}):
        ...                                      # the job ran, its answer is lost

An engine describes each call as a :class:`Call` and asks its :class:`Faults` what shall happen to it. Only the standard
library is used here, because the BigQuery engine lives in an environment of its own.
"""

from __future__ import annotations

import fnmatch
import itertools
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an API. ``method`` is Google's name for it without the service (``objects.insert``, ``Publish``).

    ``name`` is what it is about (``bucket/object``, a topic, a job id), ``detail`` what an engine adds to tell calls apart.
    """

    method: str
    name: str = ""
    detail: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with an HTTP status.

    ``after``: the call takes effect all the same, only the answer is this error. ``reason`` is Google's word for it; the
    usual one of the status when empty. ``retry_after_seconds`` becomes a Retry-After header.
    """

    status: int
    reason: str = ""
    message: str = "A fault on purpose."
    after: bool = False
    retry_after_seconds: float | None = None

    @property
    def usual_reason(self) -> str:
        """The reason that is given, or else Google's word for the status."""
        return self.reason or USUAL_REASONS.get(self.status, "internalError")


@dataclass(frozen=True, slots=True)
class Cut:
    """Cut the connection without an answer: before the call took effect, or ``after`` it did (the lost answer)."""

    after: bool = False


@dataclass(frozen=True, slots=True)
class Delay:
    """Wait before the call is carried out (real seconds). Further faults may follow."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Truncate:
    """Cut the connection after ``size_bytes`` of the body: of an upload on its way in, of a download on its way out."""

    size_bytes: int


@dataclass(frozen=True, slots=True)
class Corrupt:
    """Flip one bit of the body on its way in (uploads) or out (downloads); checksums are then wrong."""


@dataclass(frozen=True, slots=True)
class JobFails:
    """BigQuery: the job is accepted and recorded, does nothing, and ends with this error."""

    reason: str
    message: str = "A fault on purpose. Retrying the job may solve the problem."


@dataclass(frozen=True, slots=True)
class JobStuck:
    """BigQuery: the job is accepted, does nothing, and is shown as running for as long as the engine's process lives.

    After a restart of the engine it has failed with ``stopped``, as BigQuery ends such jobs at last.
    """


@dataclass(frozen=True, slots=True)
class JobSlow:
    """BigQuery: the job is done at once, but is shown as running for ``seconds``; None: until the engine restarts."""

    seconds: float | None = None


Effect = Refuse | Cut | Delay | Truncate | Corrupt | JobFails | JobStuck | JobSlow
EFFECTS: Mapping[str, type[Effect]] = {
    kind.__name__: kind for kind in (Refuse, Cut, Delay, Truncate, Corrupt, JobFails, JobStuck, JobSlow)
}

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
        patterns = [(call.method, self.method), (call.name, self.name)]
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
        except TypeError as error:
            raise ValueError(f"not a fault: {dict(value)}: {error}") from error

    def remove(self) -> None:
        """Ends the rule; may be called again."""
        if self._owner is not None:
            self._owner.discard(self)

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

    def __bool__(self) -> bool:
        """Whether there is any rule, spent ones included: without one, no call needs to be described."""
        return bool(self._rules)

    def add(self, effect: Effect, **settings: Any) -> Rule:
        """Adds a rule (its fields are the settings) behind those that are there; returns it."""
        return self.put(Rule(effect, **settings))

    def put(self, rule: Rule) -> Rule:
        """Adds a rule that is made already."""
        with self._lock:
            rule.id, rule._owner = next(self._ids), self
            self._rules.append(rule)
        return rule

    def discard(self, rule: Rule) -> None:
        """Ends one rule."""
        with self._lock:
            self._rules = [kept for kept in self._rules if kept is not rule]

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


USUAL_REASONS = {
    400: "invalid",
    401: "authError",
    403: "forbidden",
    404: "notFound",
    408: "uploadBrokenConnection",
    409: "conflict",
    412: "conditionNotMet",
    429: "rateLimitExceeded",
    500: "internalError",
    502: "badGateway",
    503: "backendError",
    504: "gatewayTimeout",
}
"""Google's word for a status in the error bodies of its JSON APIs, where a fault names none."""
