"""Explains the state of a world, running or not: its engines, queues, functions, runs and slices, builds, data and schedules.

Each fact is collected once (:mod:`sandbox.status.collect`), and told to people (:mod:`sandbox.status.show`) or, as JSON, to
machines.
"""

from __future__ import annotations

from sandbox.status.collect import collect, storage_of
from sandbox.status.show import show

__all__ = ["collect", "show", "storage_of"]
