"""The time of a sandbox: real, or simulated so that back-off and schedules of weeks pass in seconds.

What happens at a time (a redelivery, the end of a lease, a schedule) asks a :class:`Clock` and waits at it. How long a
process may start or a connection may hang stays real time: those are bounds on the machine, not on the world.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

SETTLE_SECONDS = 30.0
"""How long (really) :meth:`Clock.advance` waits at each step for work that does not end, such as a subscriber that hangs."""
_LOOK_SECONDS = 0.002


class Clock:
    """Tells the time, lets threads wait for one, and can be moved forward. Never goes back once it is simulated.

    ``Clock()`` is real time until the first :meth:`advance`. ``start`` (aware): begin there instead of today. ``scale``: how
    many seconds pass per real one; 0 stands still between advances. May be used from any thread.
    """

    def __init__(self, start: datetime | None = None, *, scale: float = 1.0) -> None:
        if scale < 0:
            raise ValueError(f"a clock cannot run backwards: scale {scale:g}")
        if start is not None and start.tzinfo is None:
            raise ValueError(f"a clock starts at an aware time, and {start.isoformat()} has no time zone")
        self.real = start is None and scale == 1.0
        """Whether this is the machine's own time."""
        self._scale = scale
        self._lock = threading.RLock()
        self._advancing = threading.Lock()
        self._origin = self._base = self._read_at = time.monotonic()
        self._epoch = (start or datetime.now(UTC)).astimezone(UTC)
        self._waiting: list[threading.Condition] = []
        self._parts: list[tuple[Callable[[], bool], Callable[[float], float | None]]] = []

    # ---- reading

    @property
    def scale(self) -> float:
        """How many seconds pass per real one."""
        return self._scale

    def now(self) -> datetime:
        """This moment, in UTC."""
        with self._lock:
            return datetime.now(UTC) if self.real else self._epoch + timedelta(seconds=self.seconds() - self._origin)

    def seconds(self) -> float:
        """Seconds since some moment, for measuring: what ``time.monotonic`` is to real time."""
        with self._lock:
            return self._base + (time.monotonic() - self._read_at) * self._scale

    def seconds_at(self, moment: datetime) -> float:
        """What :meth:`seconds` shows at ``moment`` (aware)."""
        with self._lock:
            if self.real:
                return self.seconds() + (moment - self.now()).total_seconds()
            return self._origin + (moment - self._epoch).total_seconds()

    def real_seconds(self, seconds: float) -> float:
        """How long ``seconds`` of this clock really take when nobody moves it; by a clock that stands, as many."""
        return seconds / (self._scale or 1.0)

    # ---- waiting

    def wait(self, condition: threading.Condition, until: float | None, *, real_seconds: float | None = None) -> None:
        """Wait, with ``condition`` held, for its notification, for this clock to show ``until``, or for ``real_seconds``.

        May return early, as every wait at a condition: the caller looks again.
        """
        with self._registered(condition):
            left = self._real_seconds_until(until)
            bounds = [bound for bound in (left, real_seconds) if bound is not None]
            # The caller's hold of the condition makes a move that comes now wait with its wake-up until we wait.
            condition.wait(min(bounds) if bounds else None)

    def sleep(self, seconds: float) -> None:
        """Return once ``seconds`` of this clock have passed."""
        until = self.seconds() + seconds
        condition = threading.Condition()
        with condition:
            while self.seconds() < until:
                self.wait(condition, until)

    def _real_seconds_until(self, until: float | None) -> float | None:
        if until is None:
            return None
        left = max(0.0, until - self.seconds())
        if self._scale:
            return left / self._scale
        return None if left else 0.0

    @contextmanager
    def _registered(self, condition: threading.Condition) -> Iterator[None]:
        with self._lock:
            self._waiting.append(condition)
        try:
            yield
        finally:
            with self._lock:
                self._waiting.remove(condition)

    # ---- moving

    def join(
        self,
        *,
        busy: Callable[[], bool],
        next_due: Callable[[float], float | None] = lambda after: None,
    ) -> Callable[[], None]:
        """Take part in :meth:`advance`; the returned call ends that.

        ``busy()``: whether something is due or being worked on now. ``next_due(after)``: the first of your times that
        comes after the given one (both as :meth:`seconds`), ``None`` when there is none.
        """
        part = (busy, next_due)
        with self._lock:
            self._parts.append(part)

        def leave() -> None:
            with self._lock:
                if part in self._parts:
                    self._parts.remove(part)

        return leave

    def advance(self, seconds: float, *, settle_seconds: float = SETTLE_SECONDS) -> None:
        """Let ``seconds`` pass at once, stopping at every time at which something is due, in their order.

        At each stop everyone who waits is woken, and the next step is taken when nobody is busy any more: what follows from
        one event has happened before the next one does. Work that takes longer than ``settle_seconds`` (really) is left
        behind, so that a deadline can pass over it. Raises ValueError for a negative number.
        """
        if seconds < 0:
            raise ValueError(f"time does not go back: advance({seconds:g})")
        with self._advancing:
            target = self.seconds() + seconds
            self._settle(settle_seconds)
            while True:
                now = self.seconds()
                with self._lock:
                    parts = list(self._parts)
                times = [due for _, next_due in parts if (due := next_due(now)) is not None and due > now]
                self._move_to(min([target, *times]))
                self._settle(settle_seconds)
                if self.seconds() >= target:
                    return

    def _move_to(self, seconds: float) -> None:
        with self._lock:
            if self.real:
                self._epoch, self._origin, self.real = self.now(), self.seconds(), False
            self._base, self._read_at = max(seconds, self.seconds()), time.monotonic()
            waiting = list(self._waiting)
        for condition in waiting:
            with condition:
                condition.notify_all()

    def _settle(self, limit_seconds: float) -> None:
        """Wait until nobody is busy: twice, because work may be between two of the places that were looked at."""
        end = time.monotonic() + limit_seconds
        quiet = 0
        while quiet < 2 and time.monotonic() < end:
            with self._lock:
                parts = list(self._parts)
            if any(busy() for busy, _ in parts):
                quiet = 0
                time.sleep(_LOOK_SECONDS)
            else:
                quiet += 1
