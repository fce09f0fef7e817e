"""What surrounds a value in its cell and is none of it: blanks, characters that nobody sees, shields against spreadsheets."""

from __future__ import annotations

INVISIBLE = dict.fromkeys(
    (0x00AD, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2065), *range(0x2066, 0x206A), 0xFEFF)
)
"""Soft hyphen, zero-width characters, marks of the direction of writing, byte order mark; for :meth:`str.translate`."""


def bare(text: str) -> str:
    """A cell without outer blanks (no-break and thin ones too) and invisible characters."""
    return text.strip() if text.isascii() else text.translate(INVISIBLE).strip()


def unguarded(text: str) -> str:
    """``'0123`` and ``="0123"`` without the marks that keep a spreadsheet from reading them as numbers or formulas.

    An apostrophe is such a mark before a digit, a sign or ``@`` alone: ``'s-Hertogenbosch`` is a town.
    """
    if text[:1] == "'" and text[1:2] in tuple("0123456789+-=@"):
        return text[1:]
    return unformula(text)


def unformula(text: str) -> str:
    """The text of a formula that is nothing but text: ``="0123"``."""
    if text[:2] == '="' and text[-1] == '"' and len(text) > 2:
        return text[2:-1]
    return text
