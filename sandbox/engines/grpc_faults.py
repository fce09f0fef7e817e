"""Faults in front of gRPC methods: what a rule sees of a call, and how streams meet their effects.

A rule's ``method`` is the method's own name (``Publish``, ``AccessSecretVersion``), its ``name`` the full name of the resource
that the request is about, and ``detail`` has every text field of the request (``parent``, ``secret_id``, …). A stream meets
its fault when it is opened; of one that is open already nothing is broken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from sandbox.engines.faults import Call, Cut, Duplicate, Effect, Failure, Refuse

RESOURCE_FIELDS = ("name", "subscription", "topic", "secret", "job", "parent", "project", "resource")
"""Where requests name what they are about: as text, or as a message that has a name."""


def described(method: str, request: Any) -> Call:
    """The call as rules see it. ``request`` is the protobuf message."""
    given = {field.name: value for field, value in request.ListFields()}
    values = (given.get(field) for field in RESOURCE_FIELDS)
    names = (value if isinstance(value, str) else getattr(value, "name", "") for value in values)
    detail = {field: value for field, value in given.items() if isinstance(value, str)}
    return Call(method, next(filter(None, names), ""), detail)


def bent(answers: Iterator[Any], effect: Effect | None, failure: Callable[[Failure], NoReturn]) -> Iterator[Any]:
    """The answers of a stream: the first one lost, and the stream with it, or sent twice."""
    if isinstance(effect, Refuse | Cut | Duplicate):
        for first in answers:
            if not isinstance(effect, Duplicate):
                failure(effect)
            yield from [first] * effect.times
            break
    yield from answers
