"""What can end a step, told apart by what must happen next.

::

    PipelineError
    ├── Retryable     it passes by itself: the delivery is repeated, or the sweeper wakes the slice
    │   ├── LeaseLost another invocation took the slice over: stop quietly
    │   └── StartOver what is kept of the slice may be wrong: it begins from nothing
    ├── Wait          not before some seconds from now: the slice sleeps, nobody holds an instance for it
    ├── Skip          nothing to do, and a reason worth keeping: the slice ends ``skipped``
    └── Rejected      a person must act: what happened, to which id, and the next step
        └── ContractError   the contract or a preset is wrong: file and key

Only the door (``events.door``) catches ``Exception``; everything else catches what it can name.
"""

from __future__ import annotations

from typing import Any


class PipelineError(Exception):
    """Whatever this pipeline raises on purpose."""


class Retryable(PipelineError):
    """A passing trouble: storage out of reach, a load still running. Raised through the door, so the delivery is repeated."""


class LeaseLost(Retryable):
    """The slice's state moved on under another token; whatever this invocation still has in hand is not wanted."""


class StartOver(Retryable):
    """Bytes came otherwise than they are stored. Rows that were made of them may be wrong, so none that is kept counts."""


class Wait(PipelineError):
    """The slice must not go on before ``seconds`` from now (a report is not ready, a quota is spent, an owner is at work)."""

    def __init__(self, seconds: float, reason: str, *, waits_for: str | None = None, cursor: Any = None) -> None:
        super().__init__(f"wait {seconds:g} s: {reason}")
        self.seconds = seconds
        self.reason = reason
        self.waits_for = waits_for
        """``<run>/<slice>`` at whose end the wait is over, if that comes before the seconds are."""
        self.cursor = cursor
        """Comes back as ``task.cursor``, before any page: what was found out already and need not be found out again."""


class Skip(PipelineError):
    """The slice has nothing to deliver, and that is no fault: for example the same bytes were loaded before."""


class Rejected(PipelineError):
    """A person must act. ``next_step`` says how; ``kind`` is a short word that audits and alerts group by."""

    def __init__(self, message: str, *, next_step: str, kind: str = "rejected") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.kind = kind


class ContractError(Rejected):
    """The contract (or a preset) does not hold; the message names file and key."""

    def __init__(self, message: str, *, next_step: str = "Correct the file and deploy again.") -> None:
        super().__init__(message, next_step=next_step, kind="contract")
