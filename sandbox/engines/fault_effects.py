"""What a fault does to a call, or to something that an engine does by itself.

Which effect fits which call is the engine's to say (:meth:`sandbox.engines.faults.Faults.offer`). Only the standard library is
used here, because the BigQuery engine lives in an environment of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

HTTP_STATUSES: Mapping[str, int] = {
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}
"""gRPC's codes, each with the HTTP status that Google's APIs show for it (google/rpc/code.proto)."""

CODES: Mapping[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""The way back, for a fault of a gRPC engine that is given as an HTTP status; any other status is UNKNOWN."""

USUAL_REASONS: Mapping[int, str] = {
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


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with an error.

    ``status`` is an HTTP status or the name of a gRPC code; each engine makes its own of it (503 and ``UNAVAILABLE`` are the
    same). ``after``: the call takes effect all the same, only the answer is this error. ``reason`` is Google's word for it in
    HTTP answers, the usual one of the status when empty; ``retry_after_seconds`` becomes a Retry-After header there.

    Raises ValueError for a status that is no error.
    """

    status: int | str
    reason: str = ""
    message: str = "A fault on purpose."
    after: bool = False
    retry_after_seconds: float | None = None

    def __post_init__(self) -> None:
        known = self.status in HTTP_STATUSES if isinstance(self.status, str) else 300 <= self.status <= 599
        if not known:
            raise ValueError(f"{self.status!r} is no error: give an HTTP status from 300 on, or {', '.join(HTTP_STATUSES)}")

    @property
    def http_status(self) -> int:
        """The status of an HTTP answer."""
        return HTTP_STATUSES[self.status] if isinstance(self.status, str) else self.status

    @property
    def code(self) -> str:
        """The name of the gRPC code."""
        return self.status if isinstance(self.status, str) else CODES.get(self.status, "UNKNOWN")

    @property
    def usual_reason(self) -> str:
        """The reason that is given, or else Google's word for the status."""
        return self.reason or USUAL_REASONS.get(self.http_status, "internalError")


@dataclass(frozen=True, slots=True)
class Cut:
    """Cut the connection without an answer: before the call took effect, or ``after`` it did (the lost answer).

    A gRPC call that is cut is UNAVAILABLE to its caller, as every broken connection is there.
    """

    after: bool = False


@dataclass(frozen=True, slots=True)
class Delay:
    """Wait before the call is carried out. Further faults may follow.

    Real seconds, but for the firing of a schedule, which is late by the world's clock.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Carry the call out ``times`` times, as when the network or a client repeats it; the caller hears the last answer."""

    times: int = 2

    def __post_init__(self) -> None:
        if self.times < 2:
            raise ValueError(f"a duplicate is carried out twice or more often, not {self.times} times")


@dataclass(frozen=True, slots=True)
class Drop:
    """Lose what should have happened: a push that never arrives and counts as acknowledged, a schedule that does not ring."""


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


@dataclass(frozen=True, slots=True)
class TaskFails:
    """Run jobs: the task ends with this exit code without having done anything, or ``after`` it has done everything."""

    exit_code: int = 1
    after: bool = False


@dataclass(frozen=True, slots=True)
class TaskHangs:
    """Run jobs: the task does nothing (or, ``after``, everything) and then does not end.

    Until its timeout (the usual 600 s where RunJob gives none), until it is cancelled, or until the engine stops.
    """

    after: bool = False


@dataclass(frozen=True, slots=True)
class TaskKilled:
    """Run jobs: the task is killed ``after_seconds`` (real) into its work, as when its container runs out of memory."""

    after_seconds: float = 0.0


Effect = (
    Refuse
    | Cut
    | Delay
    | Duplicate
    | Drop
    | Truncate
    | Corrupt
    | JobFails
    | JobStuck
    | JobSlow
    | TaskFails
    | TaskHangs
    | TaskKilled
)
EFFECTS: Mapping[str, type[Effect]] = {kind.__name__: kind for kind in get_args(Effect)}
