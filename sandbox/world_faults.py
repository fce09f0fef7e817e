"""The faults of one world, over all of its engines: for tests in its process, and for other processes over HTTP.

::

    world.faults.pubsub.add(Cut(after=True), method="push", name="*/ingest", count=2)
    world.faults.run_jobs.add(TaskHangs(), method="task")
    world.faults.clear()

Nothing of them is kept: they end with the world (those of the warehouse with its process).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import urllib.request
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sandbox.engines.fault_effects import EFFECTS
from sandbox.engines.faults import Faults, Switch, switch
from sandbox.engines.remote_faults import RemoteFaults
from sandbox.front import Answer, Front, json_answer, text
from sandbox.world import Running, WorldError

if TYPE_CHECKING:  # the command line needs no engine to speak to a world that has them
    from sandbox.engines.pubsub_faults import PubSubFaults
    from sandbox.services import Services

ASK_SECONDS = 30.0
ENGINES = ("storage", "bigquery", "pubsub", "run_jobs", "secret_manager", "scheduler")


class WorldFaults:
    """The faults of each engine, by its name. They may be set at any time, from any thread."""

    def __init__(self, services: Services) -> None:
        self.storage: Faults = services.storage.faults
        self.bigquery: RemoteFaults = services.warehouse.faults
        self.pubsub: PubSubFaults = services.pubsub.faults
        self.run_jobs: Faults = services.run_jobs.faults
        self.secret_manager: Faults = services.secret_manager.faults
        self.scheduler: Faults = services.scheduler.faults

    def of(self, engine: str) -> Switch:
        """The faults of one engine. Raises ValueError for a name that is not among :data:`ENGINES`."""
        if engine not in ENGINES:
            raise ValueError(f"there is no engine {engine!r}; there are {', '.join(ENGINES)}")
        found: Switch = getattr(self, engine)
        return found

    def clear(self) -> None:
        """No faults, anywhere. A warehouse that does not answer has none."""
        for engine in ENGINES:
            with contextlib.suppress(OSError):
                self.of(engine).reset()

    def active(self) -> list[dict[str, Any]]:
        """The rules from which more may come, each with its ``engine``. A warehouse that does not answer has none."""
        found: list[dict[str, Any]] = []
        for engine in ENGINES:
            with contextlib.suppress(OSError):
                found += [{"engine": engine, **rule} for rule in self.of(engine).active()]
        return found

    def front(self, port: int = 0) -> Front:
        """A server on this machine at which other processes set them: :func:`remote_faults` and :func:`active_faults`."""
        return Front(self._answer, port)

    def _answer(self, verb: str, path: str, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        match path.strip("/").split("/"):
            case [""] if verb == "GET":
                return json_answer(self.active())
            case [engine, "_sandbox", "faults", *rest]:
                try:
                    return json_answer(switch(self.of(engine), verb, "/".join(rest), body))
                except (ValueError, OSError) as error:
                    return json_answer({"error": {"code": 400, "message": str(error)}}, 400)
        return text(404, f"There are faults at /ENGINE/_sandbox/faults, of {', '.join(ENGINES)}.")


def _address(running: Running | None) -> str:
    if running is None:
        raise WorldError("this world is not up, and no fault outlives it; `up` starts it")
    if "faults" not in running.urls:
        raise WorldError("this world is just starting; ask again in a few seconds")
    return running.urls["faults"]


def remote_faults(running: Running | None) -> Mapping[str, RemoteFaults]:
    """The faults of a world that runs in another process, by engine. Raises :class:`WorldError` when none is up."""
    address = _address(running)
    return {engine: RemoteFaults(f"{address}/{engine}") for engine in ENGINES}


def active_faults(running: Running | None) -> list[dict[str, Any]]:
    """What :meth:`WorldFaults.active` says in the process of a running world; nothing of one that is down."""
    if running is None or "faults" not in running.urls:
        return []
    try:
        with urllib.request.urlopen(running.urls["faults"], timeout=ASK_SECONDS) as answer:
            found: list[dict[str, Any]] = json.load(answer)
    except OSError:
        return []
    return found


def described(rule: Mapping[str, Any]) -> str:
    """An active rule in one line, for people."""
    kind = EFFECTS.get(rule["effect"])
    usual = {field.name: field.default for field in dataclasses.fields(kind)} if kind else {}
    chosen = [f"{name} {value}" for name, value in rule["settings"].items() if usual.get(name, ...) != value]
    effect = f"{rule['effect']} ({', '.join(chosen)})" if chosen else rule["effect"]
    where = [f"{key}={value}" for key, value in {"name": rule["name"], **rule.get("detail", {})}.items() if value != "*"]
    if rule.get("when"):
        where.append(f"where {rule['when']}")
    how = []
    how.append("without end" if rule["count"] is None else f"{rule['hits']} of {rule['count']} met")
    if rule.get("skip"):
        how.append(f"after {rule['skip']} others")
    if rule.get("probability", 1.0) < 1:
        how.append(f"with probability {rule['probability']:g}, seed {rule['seed']}")
    return f"{rule['engine']} {rule['method']} {' '.join([*where, ''])}→ {effect}; {', '.join(how)}"
