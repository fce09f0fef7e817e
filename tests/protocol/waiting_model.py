"""An exhaustive model of two equal files: one slice reads, the other waits for its end (``waits_for``).

It holds what ``pipeline.arrivals``, ``pipeline.ingest`` and ``pipeline.runs.release`` do, reduced to what they read and write
and in which order; a step of the model is one read or one write. The variants other than ``Rules()`` leave out one rule each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Rules:
    """The rules; each can be switched off."""

    end_releases: bool = True
    """Whoever ends looks for those that wait for it."""
    sleeper_looks: bool = True
    """Who lies down looks once more whether what it waits for has ended meanwhile."""
    sweeper: bool = True


class Pair(NamedTuple):
    """The reader and the slice that waits, and what may still go wrong.

    ``reader``: reading → ended (its state says so) → gone (it has looked for those that wait).
    ``other``: woken (it has a message or a worker) → saw (it read that the reader is under way) → lies (its state says so) →
    quiet (it has looked itself); dead: its worker was killed. It ends as done.
    """

    reader: str = "reading"
    has_ended: bool = False
    other: str = "woken"
    kills: int = 0
    losses: int = 0


def explore(rules: Rules, *, kills: int, losses: int) -> list[Pair]:
    """Every state, reached with at most so many kills and lost messages, from which the other can never be done."""
    start = Pair(kills=kills, losses=losses)
    followers: dict[Pair, list[Pair]] = {}
    queue = deque([start])
    while queue:
        pair = queue.popleft()
        if pair not in followers:
            followers[pair] = list(_steps(pair, rules))
            queue += followers[pair]
    good = {pair for pair in followers if pair.other == "done"}
    while more := {pair for pair in followers.keys() - good if not good.isdisjoint(followers[pair])}:
        good |= more
    return sorted(followers.keys() - good)


def _steps(pair: Pair, rules: Rules) -> Iterator[Pair]:
    yield from _reader(pair, rules)
    yield from _other(pair, rules)
    if not rules.sweeper:
        return
    if pair.other in ("lies", "quiet", "dead"):  # its time has come, or its lease is over
        yield pair._replace(other="woken")
    if pair.reader == "dead" and not pair.has_ended:
        yield pair._replace(reader="reading")


def _reader(pair: Pair, rules: Rules) -> Iterator[Pair]:
    if pair.reader in ("dead", "gone"):
        return
    if pair.kills:
        yield pair._replace(reader="dead", kills=pair.kills - 1)
    if pair.reader == "reading":
        yield pair._replace(reader="ended", has_ended=True)
    elif rules.end_releases:
        yield from _woken(pair._replace(reader="gone"))
    else:
        yield pair._replace(reader="gone")


def _other(pair: Pair, rules: Rules) -> Iterator[Pair]:
    if pair.other in ("quiet", "dead", "done"):
        return
    if pair.kills:
        yield pair._replace(other="dead" if pair.other != "lies" else "quiet", kills=pair.kills - 1)
    if pair.other == "woken":
        yield pair._replace(other="done" if pair.has_ended else "saw")
    elif pair.other == "saw":
        yield pair._replace(other="lies")
    elif rules.sleeper_looks and pair.has_ended:
        yield from _woken(pair)
    else:
        yield pair._replace(other="quiet")


def _woken(pair: Pair) -> Iterator[Pair]:
    """Someone looks for a slice that lies: it gets a message, which may be lost."""
    if pair.other not in ("lies", "quiet"):
        yield pair
        return
    yield pair._replace(other="woken")
    if pair.losses:
        yield pair._replace(other="quiet", losses=pair.losses - 1)
