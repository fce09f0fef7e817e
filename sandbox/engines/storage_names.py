"""Names: what Cloud Storage accepts, where an object's bytes lie on the disk, and patterns for listing."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sandbox.engines.storage_errors import invalid

BUCKET = re.compile(r"[a-z0-9][a-z0-9_.-]{1,220}[a-z0-9]")


def check_bucket(name: str) -> None:
    """Raises 400 for a bucket name that Google refuses (naming rules of Cloud Storage, shortened)."""
    too_long = any(len(part) > 63 for part in name.split("."))
    if not BUCKET.fullmatch(name) or too_long or name.startswith("goog") or ".." in name:
        raise invalid(f"Invalid bucket name: '{name}'")


def check_object(name: str) -> None:
    """Raises 400 for an object name that Google refuses."""
    if not name:
        raise invalid("Required: the object's name is missing.")
    if len(name.encode()) > 1024:
        raise invalid("The maximum object length is 1024 characters, but got a name with more.")
    if name in (".", "..") or "\r" in name or "\n" in name or name.startswith(".well-known/acme-challenge/"):
        raise invalid(f"Disallowed object name: {name!r}")


def _component(text: str) -> str:
    quoted = quote(text, safe=" =+,@()[]").replace("~", "%7E")
    if quoted.startswith("."):
        quoted = "%2E" + quoted[1:]
    if len(quoted) > 200:  # file systems end a name at 255 bytes; the tail keeps the name unique
        quoted = quoted[:150] + "%-" + hashlib.sha256(text.encode()).hexdigest()
    return quoted or "%"


def data_path(root: Path, resource: Mapping[str, Any]) -> Path:
    """Where the bytes of one generation lie: readable, and ``k`` beside ``k/child`` cannot clash.

    ``~`` is quoted inside names, so a file (``…~<generation>``) never has the name of a directory.
    """
    *folders, last = (_component(part) for part in resource["name"].split("/"))
    return root.joinpath(_component(resource["bucket"]), *folders, f"{last}~{resource['generation']}")


def glob_pattern(glob: str) -> re.Pattern[str]:
    """The regular expression of a ``matchGlob``: ``*``, ``?``, ``**``, ``[…]`` and ``{a,b}``."""
    out: list[str] = []
    position, depth = 0, 0
    while position < len(glob):
        if glob.startswith("**/", position):
            out.append("(?:.*/)?")
            position += 3
            continue
        if glob.startswith("**", position):
            out.append(".*")
            position += 2
            continue
        character = glob[position]
        position += 1
        if character == "*":
            out.append("[^/]*")
        elif character == "?":
            out.append("[^/]")
        elif character == "[" and (end := glob.find("]", position + 1)) > 0:
            body = glob[position:end].replace("\\", "\\\\")
            out.append("[" + ("^" + body[1:] if body[0] in "!^" else body) + "]")
            position = end + 1
        elif character == "{":
            out.append("(?:")
            depth += 1
        elif character == "}" and depth:
            out.append(")")
            depth -= 1
        elif character == "," and depth:
            out.append("|")
        else:
            out.append(re.escape(character))
    try:
        return re.compile("".join(out), re.DOTALL)
    except re.error:
        raise invalid(f"Invalid matchGlob: {glob!r}.") from None
