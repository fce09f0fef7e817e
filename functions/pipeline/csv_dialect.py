"""How cells are told apart: delimiter, quotes, escapes."""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _csv import Reader

_CONTROLS = {"n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How cells are told apart. ``quote`` and ``escape`` are one character or ``None``."""

    delimiter: str = ","
    quote: str | None = '"'
    escape: str | None = None
    skip_initial_space: bool = False
    """``a, "b, c"``: blanks before a quote belong to neither."""

    def reader(self, lines: Iterable[str], *, strict: bool = False) -> Reader:
        """The records of some lines; ``strict`` refuses (:class:`csv.Error`) what it would otherwise mend."""
        return csv.reader(lines if self.escape is None else self._literal(lines), strict=strict, **self.arguments())

    def arguments(self) -> dict[str, Any]:
        """For the standard library's readers and writers."""
        return {
            "delimiter": self.delimiter,
            "quotechar": self.quote,
            "quoting": csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            "escapechar": self.escape,
            "doublequote": True,  # also beside escapes: without it, text behind a closing quote would be taken into the cell
            "skipinitialspace": self.skip_initial_space,
        }

    def split(self, lines: Iterable[str]) -> list[list[str]]:
        """Records of a few lines, leniently: for looking at a head, where the last quote may be open."""
        return list(self.reader(lines))

    def sound(self, lines: Iterable[str], width: int) -> list[list[str]]:
        """The records of some lines that have ``width`` cells without anything being mended."""
        reader, found = self.reader(lines, strict=True), []
        while True:
            try:
                if len(record := next(reader)) == width:
                    found.append(record)
            except StopIteration:
                return found
            except csv.Error:
                continue

    def _literal(self, lines: Iterable[str]) -> Iterator[str]:
        r"""Lines in which an escape stands only before what it makes literal.

        ``csv`` drops every escape, and makes ``N`` of MySQL's ``\N`` (no value), ``n`` of ``\n``, ``C:Users`` of ``C:\Users``.
        """
        escape = self.escape or ""
        pattern = re.compile(re.escape(escape) + r"(.|\Z)", re.DOTALL)
        plain = {escape, self.delimiter, self.quote, '"', "'", "\r", "\n", ""}
        for line in lines:
            yield pattern.sub(functools.partial(self._escaped, line, plain), line) if escape in line else line

    def _escaped(self, line: str, plain: set[str | None], match: re.Match[str]) -> str:
        char, escape = match[1], self.escape or ""
        if char in plain:
            return match[0]
        if char in _CONTROLS:
            return escape + _CONTROLS[char]
        before, after = line[: match.start()][-1:], line[match.end() :][:1]
        if char == "N" and before in ("", self.delimiter) and after in ("", self.delimiter, "\r", "\n"):
            return ""
        return escape + escape + char


def with_escapes(dialect: Dialect, lines: Sequence[str], width: int) -> Dialect:
    r"""``dialect``, or the same with backslashes as escapes, where more records of some lines have ``width`` cells by it.

    Not where a cell ends in a backslash that is a character (``"C:\dir\"``): as an escape it would swallow the next row.
    """
    if dialect.quote is None or dialect.escape is not None:
        return dialect
    if not any("\\" + dialect.quote in line or "\\" + dialect.delimiter in line for line in lines):
        return dialect
    escaping, sound = replace(dialect, escape="\\"), dialect.sound(lines, width)
    if any((len(cell) - len(cell.rstrip("\\"))) % 2 for record in sound for cell in record):
        return dialect
    return escaping if len(escaping.sound(lines, width)) > len(sound) else dialect
