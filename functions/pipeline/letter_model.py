"""How likely text is in a language: the measure by which one reading of a file's bytes is weighed against another.

For languages with letters: how often one letter follows another in names, places and words (``letter_pairs.json``, counted by
tests/functions/generate_letter_pairs.py from the Unicode CLDR and Faker). For Chinese, Japanese and Korean: how common
characters are. Only what stands beside or above ASCII is weighed, as every reading of the same bytes has the rest in common.
Likelihoods are natural logarithms.
"""

from __future__ import annotations

import functools
import json
import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_DATA = Path(__file__).with_name("letter_pairs.json")
EDGE = " "
"""What a word begins and ends with."""
_UNSEEN = 0.02
"""The share of pairs that a list of words has not shown: names are inventive."""
_FOREIGN = 1e-4
"""How often a letter occurs that the language does not have."""
_RISES = math.log(0.005)
"""A capital after a small letter: McDonald's, no accents."""

_MIXED = math.log(1e-3)
"""A Latin letter beside one of another script."""
_NOT_LATIN = "\u0370"

_OPENING = frozenset("“‘«‹„‚¿¡")
_CLOSING = frozenset("”’»›…™®©°²³ªº¹\u0300")
_AFTER_SOMETHING = frozenset("²³ªº¹")
_SIGNS = {
    **dict.fromkeys("’", math.log(0.01)),
    **dict.fromkeys("‘“”„–—…€£°ºª«»¿¡®\u00a0", math.log(0.003)),
    **dict.fromkeys("©™§•·´½¼¾²³±×µ¨", math.log(0.001)),
}
"""How often signs occur above ASCII; any other one of Latin-1 or of punctuation hardly does, and any further one never."""
_RARE_SIGN = math.log(1e-4)
_ODD_SIGN = math.log(1e-6)
_MISPLACED = math.log(0.003)
_IN_WORDS = frozenset("’·\u00ad")
_LATIN_1_END = 0x100
_IMPOSSIBLE = math.log(1e-8)
_NO_TEXT = frozenset(("Cc", "Cn", "Co", "Cs"))
_REPLACED = "\ufffd"

_IDEOGRAPHIC_MARKS = frozenset("、。・ー「」（）『』【】〜～々ヶ　，．：；！？％＆＋－／“”‘’…—《》〇℃㈱㈲①②③④⑤№")
_LISTED = 0.9
"""The share of characters that are among the common ones of a language."""
_RANK_OFFSET = 30


@dataclass(frozen=True, slots=True)
class _Letters:
    """A language's letters: ``total``: how often a letter is followed by anything; ``pairs``: by which one."""

    total: Mapping[str, int]
    pairs: Mapping[str, Mapping[str, int]]
    sum: int

    def log_next(self, first: str, second: str) -> float:
        """Of ``second`` after ``first``."""
        usual = (self.total.get(second, 0) / self.sum + _FOREIGN) * _UNSEEN
        seen = self.total.get(first)
        return math.log((1 - _UNSEEN) * self.pairs.get(first, {}).get(second, 0) / seen + usual) if seen else math.log(usual)


def words_likelihood(text: str, languages: Sequence[tuple[str, float]]) -> float:
    """Of a piece of text in any of ``languages`` (code, share); its first and last characters are context."""
    marks, pairs = _marks_and_pairs(text)
    if not pairs:
        return marks
    terms = [math.log(share) + sum(_log_next(code, *pair) for pair in pairs) for code, share in languages]
    most = max(terms)
    return marks + most + math.log(sum(math.exp(term - most) for term in terms))


@functools.lru_cache(maxsize=200_000)
def _log_next(code: str, first: str, second: str) -> float:
    return _letters()[code].log_next(first, second)


def _marks_and_pairs(text: str) -> tuple[float, list[tuple[str, str]]]:
    """The likelihood of the signs in a text and of its capitals, and the pairs of letters that a language has to explain."""
    score = 0.0
    pairs: list[tuple[str, str]] = []
    is_letter = [unicodedata.category(char)[0] in "LM" and char not in "ªºˆʼ" for char in text]
    for position in range(1, len(text)):
        before, char = text[position - 1], text[position]
        if position < len(text) - 1 and char > "\x7f" and not is_letter[position]:
            score += _sign(char, before, text[position + 1], is_letter[position - 1], is_letter[position + 1])
        if before.isascii() and char.isascii():
            continue
        if not is_letter[position - 1] and not is_letter[position]:
            continue
        pairs.append((fold(before) if is_letter[position - 1] else EDGE, fold(char) if is_letter[position] else EDGE))
        if before.islower() and char.isupper():
            score += _RISES
        if is_letter[position - 1] and is_letter[position] and (before.isascii() or char.isascii()):
            score += _MIXED if max(before, char) >= _NOT_LATIN else 0.0
        if (before.isdigit() and is_letter[position] and not char.isascii()) or (
            char.isdigit() and is_letter[position - 1] and not before.isascii()
        ):
            score += math.log(0.1)
    return score, [pair for pair in pairs if not "".join(pair).isascii()]


def _sign(char: str, before: str, after: str, letter_before: bool, letter_after: bool) -> float:
    """The likelihood of a sign above ASCII that is no letter, where it stands."""
    category = unicodedata.category(char)
    if _is_no_text(char):
        return _IMPOSSIBLE
    score = _SIGNS.get(char, _RARE_SIGN if ord(char) < _LATIN_1_END or category[0] == "P" else _ODD_SIGN)
    if letter_before and letter_after:
        return score + (0.0 if char in _IN_WORDS else 2 * _MISPLACED)
    if char in _OPENING:
        misplaced = letter_before
    elif char in _CLOSING:
        misplaced = letter_after or (char in _AFTER_SOMETHING and not before.isalnum())
    else:
        misplaced = letter_before or letter_after
    return score + (_MISPLACED if misplaced else 0.0)


def is_text(text: str) -> bool:
    """Whether all of it can be meant: nothing undecodable, no control character above ASCII, nothing without a meaning."""
    return not any(char > "\x7f" and _is_no_text(char) for char in text)


def _is_no_text(char: str) -> bool:
    return char == _REPLACED or unicodedata.category(char) in _NO_TEXT


def fold(char: str) -> str:
    """A letter in lower case, where that is one letter."""
    lower = char.lower()
    return lower if len(lower) == 1 else char


def characters_likelihood(text: str, language: str) -> float:
    """Of a piece of text in a language of many characters; its first and last ones are context."""
    ranks = _ranks()[language]
    score = 0.0
    for position in range(1, len(text) - 1):
        char = text[position]
        if char <= "\x7f":
            continue
        score += _character(char, text[position - 1], text[position + 1], ranks)
        for beside in (text[position - 1], text[position + 1]):
            if "a" <= beside <= "z":
                score += math.log(0.02)
    return score


def _character(char: str, before: str, after: str, ranks: Mapping[str, int]) -> float:
    rank = ranks.get(char)
    if rank is not None:
        return math.log(_LISTED / ((rank + _RANK_OFFSET) * math.log((len(ranks) + _RANK_OFFSET) / _RANK_OFFSET)))
    if char in _IDEOGRAPHIC_MARKS:
        return math.log(0.01)
    if _is_no_text(char):
        return _IMPOSSIBLE
    if "\uff61" <= char <= "\uff9f":  # half the width: typed beside their like, or by chance
        return math.log(0.005 if any("\uff61" <= beside <= "\uff9f" for beside in (before, after)) else 1e-5)
    if _is_everyday(char):
        return math.log((1 - _LISTED) / 4_000)
    return math.log(1e-7)


def _is_everyday(char: str) -> bool:
    """Whether a character is of the first level of its national standard: the commoner half."""
    for codec, first, last in (("gb2312", 0xB0, 0xD7), ("big5", 0xA4, 0xC6), ("shift_jis", 0x82, 0x97), ("euc_kr", 0xB0, 0xC8)):
        try:
            lead = char.encode(codec)[0]
        except UnicodeEncodeError:
            continue
        if first <= lead <= last:
            return True
    return False


@functools.cache
def _letters() -> Mapping[str, _Letters]:
    tables = json.loads(_DATA.read_text(encoding="utf-8"))["pairs"]
    letters = {}
    for code, table in tables.items():
        pairs = {first: dict(_counted(line)) for first, line in table["pairs"].items()}
        letters[code] = _Letters(table["total"], pairs, sum(table["total"].values()))
    return letters


def _counted(line: str) -> Iterator[tuple[str, int]]:
    """``é12ö3``: letters with their counts."""
    return ((letter, int(count)) for letter, count in re.findall(r"(\D)([0-9]+)", line))


@functools.cache
def _ranks() -> Mapping[str, Mapping[str, int]]:
    tables = json.loads(_DATA.read_text(encoding="utf-8"))["characters"]
    return {code: {char: rank for rank, char in enumerate(characters)} for code, characters in tables.items()}
