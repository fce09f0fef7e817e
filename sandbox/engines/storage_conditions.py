"""Preconditions of the JSON API: ifGenerationMatch and its kin, for targets and for the sources of a copy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.engines.storage_errors import ApiError, invalid, precondition_failed

TARGET_PARAMETERS = frozenset(
    {"ifGenerationMatch", "ifGenerationNotMatch", "ifMetagenerationMatch", "ifMetagenerationNotMatch"}
)
SOURCE_PARAMETERS = frozenset(name.replace("if", "ifSource", 1) for name in TARGET_PARAMETERS)


def whole_number(parameters: Mapping[str, str], name: str) -> int | None:
    """The parameter as a number, None when absent. Raises 400 when it is none."""
    text = parameters.get(name)
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise invalid(f"Invalid value for parameter {name}: {text!r}.") from None


def check(
    parameters: Mapping[str, str], current: Mapping[str, Any] | None, *, source: bool = False, reading: bool = False
) -> None:
    """Raises 412 unless all preconditions in ``parameters`` hold for ``current`` (None: no live object).

    ``source`` looks at the ifSource… family. ``reading`` answers an unmet …NotMatch with 304, as Storage does.
    """
    prefix = "ifSource" if source else "if"
    generation = int(current["generation"]) if current else 0
    metageneration = int(current["metageneration"]) if current else 0
    for field, actual in (("Generation", generation), ("Metageneration", metageneration)):
        wanted = whole_number(parameters, f"{prefix}{field}Match")
        if wanted is not None and wanted != actual:
            raise precondition_failed()
        unwanted = whole_number(parameters, f"{prefix}{field}NotMatch")
        if unwanted is not None and unwanted == actual:
            raise ApiError(304, "notModified", "Not Modified") if reading else precondition_failed()
