"""Ids and e-mail addresses: text by which records find one another, read the same in every file that names them.

A spreadsheet shields an id (``'0123``, ``="0123"``), a database writes ``NULL`` where there is none, a copied cell ends in a
blank or in a character that nobody sees. Left as it is, one customer becomes two, and all that have no id become one. So these
fields, unlike other text, are read: without shields, outer blanks and invisible characters; a word for "no value" is no value.
An id that a spreadsheet has cut (``1.23457E+12``) or made an error of (``#REF!``) is none at all: its row is set aside.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.csv_dates import Unreadable
from pipeline.csv_shields import bare, unguarded

NUMERIC_ID = re.compile(r"[0-9]+\.0")
CUT_NUMBER = re.compile(r"[0-9](?:[.,][0-9]+)?E\+[0-9]{2,3}")
"""``1.23457E+12``: what a spreadsheet shows, and exports, of a number of more than eleven digits."""
_NO_ID = frozenset({"null", "(null)", "\\n", "nan", "none", "n/a", "#n/a", "undefined", "-", "--", "(not set)"})
_SPELLINGS = frozenset(spelled for word in _NO_ID for spelled in (word, word.upper(), word.capitalize(), word.title(), "NaN"))
_ERROR = re.compile(r"#(?:REF|NAME|VALUE|NUM|NULL|DIV/0|SPILL|CALC)[!?]|#{3,}")
"""What stands in a cell whose formula failed, or whose column was too narrow to show a number."""
_DRESSED_ADDRESS = re.compile(r"(?:[^<>]*<)?(?:mailto:)?([^<>\s@]+@[^<>\s@]+)>?", re.IGNORECASE)
"""``Ann Lee <ann@example.com>`` and ``mailto:ann@example.com``, as they are copied out of mails and pages."""
_SUSPECT = (" ", "\t", "\n", "\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x1f", "'", "=", "E+", "##", "!", "?", "<", ":")
"""Where none of these occurs in a column of ASCII text, its cells stand for themselves, words aside."""


def refers(field_name: str) -> bool:
    """Whether other records are found by a text field: an id or an e-mail address."""
    return is_id(field_name) or field_name.endswith("email")


def is_id(field_name: str) -> bool:
    return field_name.endswith("_id")


def read_reference(text: str, *, an_id: bool, numeric: bool = False) -> str:
    """An id (``an_id``) or an address. ``numeric``: ``17850.0`` is the id ``17850``. Raises :class:`Unreadable`."""
    cell = unguarded(bare(text))
    if cell.casefold() in _NO_ID:
        return ""
    if not an_id:
        dressed = _DRESSED_ADDRESS.fullmatch(cell)
        return dressed[1] if dressed else cell
    if CUT_NUMBER.fullmatch(cell) or _ERROR.fullmatch(cell):
        raise Unreadable(text)  # its digits are gone, and another id may look the same
    return cell[:-2] if numeric and NUMERIC_ID.fullmatch(cell) else cell


def references(column: Sequence[str]) -> Sequence[str] | None:
    """A whole column of references as it stands, where each cell is what it says; else ``None``."""
    text = "".join(column)
    if not text.isascii() or any(mark in text for mark in _SUSPECT) or not _SPELLINGS.isdisjoint(column):
        return None
    return column
