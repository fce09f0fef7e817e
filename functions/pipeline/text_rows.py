"""Rows of text that are kept by column, and are written as JSON a column at a time.

A file's page is columns already when its values have been read. Making a dict of every row only to write it as JSON again
costs more than all the reading; this is what saves it. Read as a sequence, the rows are dicts like any source's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, repeat
from typing import Any, overload

EXTRA = "_extra"
"""Where a payload keeps the columns that the contract does not know, under the file's own headers."""
_SEPARATOR = "\x7f"
"""Between the cells of a column while they are escaped together: one byte, and JSON writes it as it is."""


@dataclass(frozen=True, slots=True, eq=False)
class TextRows(Sequence[Mapping[str, Any]]):
    """``columns[i][n]`` is the text of ``fields[i]`` in row ``n``. Empty text is no value: the field is left out.

    ``extra`` are the named columns that go under ``_extra``. All columns have ``size`` cells.
    """

    fields: Sequence[str]
    columns: Sequence[Sequence[str]]
    size: int
    extra: Sequence[tuple[str, Sequence[str]]] = ()

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | Sequence[dict[str, Any]]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(self.size))]
        if not -self.size <= index < self.size:
            raise IndexError(index)
        row: dict[str, Any] = _filled_at(index, zip(self.fields, self.columns, strict=True))
        if extra := _filled_at(index, self.extra):
            row[EXTRA] = extra
        return row

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[position] for position in range(self.size))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Sequence)
            and len(self) == len(other)
            and all(mine == its for mine, its in zip(self, other, strict=True))
        )

    __hash__ = None  # type: ignore[assignment]  # equal to a list of dicts, which has none

    def only(self, wanted: Sequence[bool]) -> TextRows:
        """The rows for which ``wanted`` holds true."""
        columns = [list(compress(column, wanted)) for column in self.columns]
        extra = [(name, list(compress(column, wanted))) for name, column in self.extra]
        return TextRows(self.fields, columns, sum(wanted), extra)

    def json_texts(self) -> list[str] | None:
        """Every row as a JSON object, in order; ``None`` if no column is filled throughout.

        Raises :class:`TypeError` for text that JSON cannot hold (half a surrogate pair).
        """
        filled = [all(column) for column in self.columns]
        if True not in filled:
            return None  # every row must have a member that the others can follow with a comma
        first = filled.index(True)
        pieces: list[Iterable[str]] = [repeat(f'{{{_quoted(self.fields[first])}:"'), _escaped(self.columns[first])]
        open_quote = '"'
        for index, name in enumerate(self.fields):
            cells = self.columns[index]
            if index == first or not any(cells):
                continue
            key = f",{_quoted(name)}"
            if filled[index]:
                pieces += [repeat(f'{open_quote}{key}:"'), _escaped(cells)]
                open_quote = '"'
            else:
                pieces += [repeat(open_quote), _optional(key, _escaped(cells))]
                open_quote = ""
        if self.extra:
            pieces += [repeat(open_quote), self._extra_members()]
            open_quote = ""
        pieces.append(repeat(open_quote + "}"))
        return list(map("".join, zip(*pieces)))  # noqa: B905 - constant pieces have no end

    def _extra_members(self) -> list[str]:
        """Per row ``,"_extra":{…}``, or nothing."""
        members = [_optional(f",{_quoted(name)}", _escaped(column)) for name, column in self.extra if any(column)]
        joined = map("".join, zip(*members, strict=True)) if members else repeat("", self.size)
        return [f',"{EXTRA}":{{{inside[1:]}}}' if inside else "" for inside in joined]


def _filled_at(index: int, columns: Iterable[tuple[str, Sequence[str]]]) -> dict[str, str]:
    return {name: column[index] for name, column in columns if column[index]}


def _optional(key: str, cells: Sequence[str]) -> list[str]:
    return [f'{key}:"{cell}"' if cell else "" for cell in cells]


def _quoted(name: str) -> str:
    import orjson

    return orjson.dumps(name).decode()


def _escaped(column: Sequence[str]) -> Sequence[str]:
    """The cells as they stand between the quotes of a JSON string."""
    import orjson

    text = _SEPARATOR.join(column)
    encoded = orjson.dumps(text)
    if len(encoded) == len(text) + 2:  # in bytes and in characters: nothing was escaped, and all is ASCII
        return column
    cells = encoded[1:-1].decode().split(_SEPARATOR)
    if len(cells) == len(column):
        return cells
    return [orjson.dumps(cell)[1:-1].decode() for cell in column]  # a cell holds the separator itself
