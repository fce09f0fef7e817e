"""Which encoding of the time before Unicode a file is in, by how its words read in each of those in use.

Nearly every byte is a letter in all of them: the same one is ř in Prague and ø in Oslo. Each reading is weighed by the
languages that are written in that encoding (:mod:`pipeline.letter_model`). Windows-1252 is what most such files are in; another
one has to be much likelier. Whatever is found is a guess, and names its rivals.
"""

from __future__ import annotations

import codecs
import functools
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from pipeline.letter_model import characters_likelihood, is_text, words_likelihood

DEFAULT = "cp1252"
MARGIN = 13.0
"""How much likelier (as a logarithm) than in Windows-1252 the words must be in another encoding for it to be taken."""
_NEAR = 30.0
"""A rival that is less likely than the best reading by more than this is not named."""
_NAMED_RIVALS = 4
_WEIGHED_WORDS = 250
_BYTE_WORDS = 12
"""So many of them, if there are, with each byte above ASCII."""
_FIRST_WORDS = 60
_HOPELESS = 60.0
"""Encodings that are less likely than the best by so much after the first words are not weighed further."""
_SPOILT = math.log(1e-3)
_ANY_BYTE = math.log(1 / 200)
_ANY_LETTER = math.log(1 / 30)
"""A token may be spoilt (cut, replaced, of another encoding): any bytes, at this likelihood each. So one that no language
explains speaks against a reading, but not for ever."""

_WESTERN = ("de", "fr", "es", "it", "pt", "nl", "sv", "da", "nb", "fi", "is", "ca", "en")
_CENTRAL = ("cs", "sk", "pl", "hu", "ro", "hr", "sl")
_CYRILLIC = ("ru", "uk", "bg")
_BALTIC = ("lt", "lv", "et")
_GUEST_SHARE = 0.25
"""Of Western words in an encoding that is for other languages first."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An encoding with the languages that it is used for; ``characters``: one of so many that their pairs tell little."""

    name: str
    region: str
    languages: tuple[str, ...] = ()
    characters: str | None = None


CANDIDATES = (
    _Candidate(DEFAULT, "Western European, Windows", _WESTERN),
    _Candidate("cp1250", "Central European, Windows", _CENTRAL),
    _Candidate("cp1251", "Cyrillic, Windows", _CYRILLIC),
    _Candidate("cp1253", "Greek, Windows", ("el",)),
    _Candidate("cp1254", "Turkish, Windows", ("tr",)),
    _Candidate("cp850", "Western European, DOS", _WESTERN),
    _Candidate("cp437", "United States, DOS", _WESTERN),
    _Candidate("mac_roman", "Western European, Macintosh", _WESTERN),
    _Candidate("iso8859_2", "Central European, ISO", _CENTRAL),
    _Candidate("cp852", "Central European, DOS", _CENTRAL),
    _Candidate("cp866", "Cyrillic, DOS", _CYRILLIC),
    _Candidate("koi8_r", "Cyrillic, Unix", _CYRILLIC),
    _Candidate("cp1257", "Baltic, Windows", _BALTIC),
    _Candidate("cp1255", "Hebrew, Windows", ("he",)),
    _Candidate("cp1256", "Arabic, Windows", ("ar",)),
    _Candidate("cp932", "Japanese", characters="ja"),
    _Candidate("gb18030", "Simplified Chinese", characters="zh_Hans"),
    _Candidate("cp950", "Traditional Chinese", characters="zh_Hant"),
    _Candidate("cp949", "Korean", characters="ko"),
)
"""In the order in which equals are preferred."""


@dataclass(frozen=True, slots=True)
class Rival:
    """Another encoding that reads the file: some letters of it as the rival reads them, and as the chosen encoding does."""

    name: str
    reads: str
    instead_of: str


@dataclass(frozen=True, slots=True)
class Judged:
    """``rivals`` read the whole sample, otherwise, and are not much less likely; the likeliest come first."""

    name: str
    region: str
    rivals: tuple[Rival, ...]
    scores: Mapping[str, float]


def judge(tokens: Mapping[bytes, int]) -> Judged:
    """The likeliest encoding of ``tokens``: words with bytes above ASCII and how often they occur.

    The first and the last byte of each are the context that the word stands in: ASCII, a blank at an end of the file.
    """
    weighed = _chosen(tokens)
    texts = {candidate.name: [_decoded(token, candidate.name) for token in weighed] for candidate in CANDIDATES}
    floors = [_spoilt(token) for token in weighed]
    scores = {candidate.name: 0.0 for candidate in CANDIDATES}
    for part in (slice(0, _FIRST_WORDS), slice(_FIRST_WORDS, None)):
        most = max(scores.values())
        for candidate in CANDIDATES:
            if scores[candidate.name] >= most - _HOPELESS or candidate.name == DEFAULT:
                words = zip(texts[candidate.name][part], floors[part], strict=True)
                scores[candidate.name] += sum(_either(_weigh(candidate, text), floor) for text, floor in words)
            else:
                scores[candidate.name] = -math.inf
    ranked = sorted(CANDIDATES, key=lambda candidate: -scores[candidate.name] - (MARGIN if candidate.name == DEFAULT else 0))
    # Whoever reads the same text is the same to a reader: then the first in the table.
    best = next(candidate for candidate in CANDIDATES if texts[candidate.name] == texts[ranked[0].name])
    often = sorted(range(len(weighed)), key=lambda index: -tokens[weighed[index]])
    seen = [texts[best.name]]
    rivals: list[Rival] = []
    for rival in ranked:
        own = texts[rival.name]
        near = scores[rival.name] >= scores[best.name] - _NEAR or rival.name == DEFAULT
        if len(rivals) == _NAMED_RIVALS or not near or own in seen or not all(map(is_text, own)):
            continue
        seen.append(own)
        at = next(index for index in often if own[index] != texts[best.name][index])
        rivals.append(Rival(rival.name, *_difference(own[at], texts[best.name][at])))
    return Judged(best.name, best.region, tuple(rivals), scores)


def explains(encoding: str, tokens: Iterable[bytes]) -> bool:
    """Whether most of these words are some language's in an encoding, and not any bytes."""
    (candidate,) = (candidate for candidate in CANDIDATES if candidate.name == encoding)
    verdicts = [_weigh(candidate, _decoded(token, encoding)) > _spoilt(token) for token in tokens]
    return 2 * sum(verdicts) > len(verdicts)


def _spoilt(token: bytes) -> float:
    """The likelihood of a token of any bytes: so many above ASCII, and what follows where they end."""
    high = [byte > 0x7F for byte in token]
    ends = sum(one and not following for one, following in pairwise(high))
    return _SPOILT + _ANY_BYTE * sum(high) + _ANY_LETTER * ends


@functools.cache
def _shares(candidate: _Candidate) -> list[tuple[str, float]]:
    """The languages of an encoding, and how likely a word is in each."""
    own, guests = candidate.languages, [language for language in _WESTERN if language not in candidate.languages]
    if not guests:
        return [(language, 1 / len(own)) for language in own]
    natives = [(language, (1 - _GUEST_SHARE) / len(own)) for language in own]
    return natives + [(language, _GUEST_SHARE / len(guests)) for language in guests]


def _weigh(candidate: _Candidate, text: str) -> float:
    if candidate.characters is not None:
        return characters_likelihood(text, candidate.characters)
    return words_likelihood(text, _shares(candidate))


def _either(one: float, other: float) -> float:
    """The logarithm of the sum of two likelihoods."""
    return max(one, other) + math.log1p(math.exp(-abs(one - other)))


def _decoded(token: bytes, encoding: str) -> str:
    return codecs.decode(token, encoding, "replace")


def _chosen(tokens: Mapping[bytes, int]) -> list[bytes]:
    """Those to be weighed: some with each byte above ASCII first, then some of the others from all parts of the file."""
    counts: Counter[int] = Counter()
    first: list[bytes] = []
    others: list[bytes] = []
    for token in tokens:
        high = [byte for byte in set(token) if byte > 0x7F]
        if len(first) < _WEIGHED_WORDS and any(counts[byte] < _BYTE_WORDS for byte in high):
            counts.update(high)
            first.append(token)
        else:
            others.append(token)
    more = _WEIGHED_WORDS - len(first)
    return first + (others[:: math.ceil(len(others) / more)] if others and more > 0 else [])


def _difference(rival: str, chosen: str) -> tuple[str, str]:
    """Where two readings of a word with its context part: up to three characters of each, which tell, and are nobody's name."""
    one, other = rival[1:-1], chosen[1:-1]
    start = next((at for at, (left, right) in enumerate(zip(one, other, strict=False)) if left != right), 0)
    return one[start : start + 3], other[start : start + 3]
