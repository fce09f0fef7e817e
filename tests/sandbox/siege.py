"""Clients that write without pause while their engine is killed, and remember what they were told.

A :class:`Writer` keeps the state that every answered call adds up to, and beside it the state that the call under way would
make. After a kill exactly one of the two must be found: what was answered is kept, and what was not is whole or absent.
"""

from __future__ import annotations

import copy
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import requests
from google.api_core import exceptions

CUT = (exceptions.GoogleAPICallError, exceptions.RetryError, requests.RequestException, ConnectionError)
"""How a call ends whose engine dies. Mistakes in a request are among them, so :func:`besiege` looks for those."""
START_SECONDS = 60


class Mortal(Protocol):
    """An engine in a process of its own, on one home."""

    def start(self) -> dict[str, str]:
        """Serve the home; returns the addresses."""

    def kill(self) -> None:
        """SIGKILL, to the end."""


class Writer:
    """One client with resources of its own. Subclasses choose calls (:meth:`act`) and tell what they find (:meth:`observe`)."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.told: Any = {}
        self.possible: Any = {}
        self.answered = 0

    def connect(self, addresses: dict[str, str]) -> None:
        """Make clients of the engine that was just started."""
        raise NotImplementedError

    def act(self, rng: random.Random) -> None:
        """Make one call, by :meth:`change`."""
        raise NotImplementedError

    def observe(self) -> Any:
        """What the engine now holds of this writer's, in the form of ``told``."""
        raise NotImplementedError

    def change(self, call: Callable[[], Any], update: Callable[[Any], None]) -> Any:
        """Make a call that changes the state as ``update`` does to a copy of it. Returns the answer."""
        self.possible = copy.deepcopy(self.told)
        update(self.possible)
        answer = call()
        self.told = copy.deepcopy(self.possible)
        return answer

    def check(self) -> None:
        """After a start: what was told is there, and the call that was cut happened or did not."""
        found = self.observe()
        assert found in (self.told, self.possible), f"told {self.told}\nor {self.possible}\nfound {found}"
        self.told = self.possible = found


def besiege(engine: Mortal, writers: Sequence[Writer], *, seed: int, rounds: int, calls: int) -> None:
    """Let all writers write at once, kill the engine at a random moment after some of ``calls`` answers, start, check."""
    rng = random.Random(seed)
    try:
        for number in range(rounds + 1):
            addresses = engine.start()
            for writer in writers:
                writer.connect(addresses)
                writer.check()
            if number < rounds:
                _write_until_killed(engine, writers, rng, calls)
    finally:
        engine.kill()


def _write_until_killed(engine: Mortal, writers: Sequence[Writer], rng: random.Random, calls: int) -> None:
    enough = threading.Event()
    left = rng.randint(calls // 2, calls)
    surprises: list[BaseException] = []

    def work(writer: Writer, own: random.Random) -> None:
        nonlocal left
        try:
            while True:
                writer.act(own)
                writer.answered += 1
                left -= 1
                if left <= 0:
                    enough.set()
        except CUT as error:
            if not enough.is_set():  # nobody was to be killed yet
                surprises.append(error)
        except BaseException as error:
            surprises.append(error)
        finally:
            enough.set()

    threads = [threading.Thread(target=work, args=(writer, random.Random(rng.random()))) for writer in writers]
    for thread in threads:
        thread.start()
    assert enough.wait(START_SECONDS)
    time.sleep(rng.uniform(0, 0.02))  # so that the blow falls anywhere within a call
    engine.kill()
    for thread in threads:
        thread.join(START_SECONDS)
        assert not thread.is_alive()
    if surprises:
        raise surprises[0]
