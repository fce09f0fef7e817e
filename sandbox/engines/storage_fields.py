"""The ``fields`` parameter: partial responses of Google's JSON APIs, such as ``items(name,metadata),nextPageToken``."""

from __future__ import annotations

from typing import Any

from sandbox.engines.storage_errors import invalid

Selection = dict[str, "Selection"]
"""Field name to the selection inside it; an empty selection takes everything. ``*`` stands for every field."""


def parse(text: str) -> Selection:
    """The selection that ``text`` describes. Raises 400 when it does not parse."""
    selection, rest = _parse_list(text)
    if rest:
        raise invalid(f"Invalid field selection {text}")
    return selection


def _parse_list(text: str) -> tuple[Selection, str]:
    selection: Selection = {}
    while text and not text.startswith(")"):
        end = next((i for i, character in enumerate(text) if character in ",()/"), len(text))
        name, text = text[:end].strip(), text[end:]
        if not name:
            raise invalid("Invalid field selection")
        inner = selection.setdefault(name, {})
        while text.startswith("/"):
            text = text[1:]
            end = next((i for i, character in enumerate(text) if character in ",()/"), len(text))
            inner = inner.setdefault(text[:end].strip(), {})
            text = text[end:]
        if text.startswith("("):
            nested, text = _parse_list(text[1:])
            if not text.startswith(")"):
                raise invalid("Invalid field selection: a bracket is not closed")
            inner.update(nested)
            text = text[1:]
        text = text.removeprefix(",")
    return selection, text


def select(value: Any, selection: Selection) -> Any:
    """``value`` with only the selected fields; lists are entered, as Google does."""
    if not selection:
        return value
    if isinstance(value, list):
        return [select(element, selection) for element in value]
    if not isinstance(value, dict):
        return value
    everything = selection.get("*")
    chosen: dict[str, Any] = {}
    for key, element in value.items():
        inner = selection.get(key, everything)
        if inner is not None:
            chosen[key] = select(element, inner)
    return chosen
