"""The faults of an engine in another process: the same switches, thrown over HTTP on this machine."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from types import TracebackType
from typing import Any, Self

from sandbox.engines.faults import Effect, Rule, always


class RemoteRule:
    """A rule in the other process. As a context manager it ends with its block."""

    def __init__(self, owner: RemoteFaults, identifier: int) -> None:
        self._owner = owner
        self.id = identifier

    @property
    def hits(self) -> int:
        """How many calls have met the effect; 0 once the rule was ended."""
        return next((int(rule["hits"]) for rule in self._owner.all() if rule["id"] == self.id), 0)

    def remove(self) -> None:
        """Ends the rule; may be called again."""
        self._owner.discard_id(self.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.remove()


class RemoteFaults:
    """Speaks to ``<address>/_sandbox/faults``. Rules end with the engine's process. A rule's ``when`` cannot travel.

    All methods raise OSError when the process does not answer, and ValueError for a rule that it refuses.
    """

    def __init__(self, address: str) -> None:
        self._url = f"{address}/_sandbox/faults"

    def add(self, effect: Effect, **settings: Any) -> RemoteRule:
        """Adds a rule; the settings are those of :class:`~sandbox.engines.faults.Rule`."""
        return self.put(Rule(effect, **settings))

    def put(self, rule: Rule) -> RemoteRule:
        """Adds a rule that is made already."""
        if rule.when is not always:
            raise ValueError("a predicate cannot be sent to another process: match by method, name and detail")
        return RemoteRule(self, int(self._ask("POST", "", rule.to_json())["id"]))

    def active(self) -> list[dict[str, Any]]:
        """The rules from which more may come."""
        return list(self._ask("GET"))

    def all(self) -> list[dict[str, Any]]:
        """Every rule that was not ended, the spent ones too."""
        return list(self._ask("GET", "/all"))

    def discard_id(self, identifier: int) -> None:
        """Ends the rule with this id, if there is one."""
        self._ask("DELETE", f"/{identifier}")

    def reset(self) -> None:
        """No faults."""
        self._ask("DELETE")

    def _ask(self, method: str, path: str = "", body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise ValueError(_message(error)) from error


def _message(error: urllib.error.HTTPError) -> str:
    body = error.read().decode(errors="replace")
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return body.strip()
