"""An instance's wall clock follows its world's: moved before each request, while the function knows nothing of it.

The host sends the world's time along when it is not real; here it is taken out of the request before the function sees that.
``time.monotonic`` stays real, so timeouts and retries of clients are those of the machine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HEADER = "X-Sandbox-Now"
"""ISO 8601 with an offset. Only the host sets it; what a caller sends under this name is dropped."""


class InstanceClock:
    """WSGI application around ``app`` that moves the process's wall clock forward to the time of each request.

    Needs ``time-machine`` at the first request that carries a time, and raises ImportError without it.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._travel: Any = None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        now = environ.pop("HTTP_" + HEADER.upper().replace("-", "_"), None)
        if now is not None:
            self._move_to(datetime.fromisoformat(now))
        return self._app(environ, start_response)

    def _move_to(self, moment: datetime) -> None:
        with self._lock:
            if self._travel is None:
                import time_machine

                _leave_deadlines_real(time_machine.escape_hatch.time.time)
                self._travel = time_machine.travel(moment, tick=True).start()
            elif moment.timestamp() > time.time():  # it ticks on by itself, and must never go back
                self._travel.move_to(moment)
            time.time()  # time-machine begins to tick at the first look


def _leave_deadlines_real(real_time: Callable[[], float]) -> None:
    """Let gRPC reckon its deadlines by the machine's clock, which its core keeps to.

    By a clock that shows last month every deadline would be over before its call began, and the call be tried without end.
    """
    import grpc._channel

    grpc._channel.time = SimpleNamespace(**{**vars(time), "time": real_time})
