"""Records that stand in a table and are no rows of it: sums, rulers, names of types, remarks.

In a table whose columns are all text such a record would be loaded as a customer called "Total" or "Confidential". What can
be nothing else is a non-row; what may be somebody's data is set aside and shown, never dropped.

Records are read many at a time, and looked at one by one only where the first cell of one is out of the ordinary. So what is
said here of a record must show in its first cell as it stands: else it would depend on its neighbours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

TOTAL_WORDS = frozenset(
    f"{word}{mark}"
    for known in (
        *("total", "totals", "grand total", "subtotal", "sub-total", "sum", "gesamt", "gesamtsumme", "summe", "zwischensumme"),
        *("totaal", "subtotaal", "totale", "totale generale", "totali", "total général", "totaux", "somme", "total general"),
        *("suma", "soma", "razem", "i alt", "summa", "yhteensä", "celkem", "toplam"),
    )
    for word in (known, known.upper(), known.capitalize(), known.title())
    for mark in ("", ":", " :", " ")
)
"""First cells of a row that sums up those above it, as exports and people write them."""
_TYPES = (
    "string",
    "varchar",
    "nvarchar",
    "int",
    "integer",
    "bigint",
    "numeric",
    "decimal",
    "float",
    "double",
    "boolean",
    "bool",
)
_PERHAPS_TYPES = ("text", "char", "long", "number", "money", "currency", "date", "datetime", "timestamp", "time", "uuid", "id")
_SURE_TYPES = frozenset(spelled for word in _TYPES for spelled in (word, word.upper(), word.capitalize()))
TYPE_WORDS = _SURE_TYPES | {spelled for word in _PERHAPS_TYPES for spelled in (word, word.upper(), word.capitalize())}
"""What a program writes below its header to say what each column holds. Some of it may be data, but not a whole row."""
_RULE_CHARS = "-=_*~+:"
_RULE = re.compile(f"[{_RULE_CHARS}]{{2,}}")
_TWO_WORDS = re.compile(r"[^\W\d_][^ \u00a0]*[ \u00a0]+\(?\w")
BLANK_CHARS = " \t\x1a\u00a0"
"""Of a cell that holds nothing; Ctrl-Z ended files once."""
BLANKS = frozenset(BLANK_CHARS)
RULE_STARTS = frozenset(first + second for first in _RULE_CHARS for second in _RULE_CHARS)
"""How the first cell of a ruler begins."""


def is_total(row: Sequence[str]) -> bool:
    """Whether a record is the sum of those above it: a word for that, then nothing but numbers. Loaded, it would count twice.

    A preset that names it (``totals_prefix``) makes it a non-row; undeclared it may be a customer called Total, and is shown.
    """
    filled = [cell for cell in map(str.strip, row) if cell]
    return (
        len(filled) > 1
        and filled[0] in TOTAL_WORDS
        and (row[0] in TOTAL_WORDS or row[0][:1] in BLANKS or not row[0])
        and all(any(map(str.isdigit, cell)) for cell in filled[1:])
    )


def is_ruler(row: Sequence[str]) -> bool:
    """Whether a record is a line drawn with characters, as database tools put below a header."""
    return all(_RULE.fullmatch(cell) for cell in map(str.strip, row) if cell)


def is_remark(row: Sequence[str]) -> bool:
    """Whether a record holds words in its first cell and nothing else (``Confidential - keep out,,``), or names of types."""
    if not any(row[1:]):
        return len(row) > 2 and _TWO_WORDS.search(row[0]) is not None
    filled = [cell for cell in map(str.strip, row) if cell]
    return (
        (row[0] in TYPE_WORDS or row[0][:1] in BLANKS or not row[0])
        and TYPE_WORDS.issuperset(filled)
        and not _SURE_TYPES.isdisjoint(filled)
    )


def may_be_remarks(rows: Sequence[Sequence[str]]) -> bool:
    """Whether one of the records is worth a look by :func:`is_remark`. Every record of a file is asked: it must be quick."""
    return any(not row[1] and not row[-1] and (" " in row[0] or "\u00a0" in row[0]) for row in rows)
