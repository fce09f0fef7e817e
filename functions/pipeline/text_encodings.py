"""In which encoding a file of text is: by its byte order mark, by its preset, by the shape of its bytes, by how its words read.

The first two are facts. The shape tells Unicode: UTF-8 leaves no doubt, UTF-16 and UTF-32 put zeros between letters. Anything
else is weighed by :mod:`pipeline.legacy_encodings`, and is a guess that names what else the file could be.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from dataclasses import dataclass

from pipeline.legacy_encodings import Judged, explains, judge

_BOMS = (
    # UTF-32 first: its little-endian mark begins with UTF-16's.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NAMES_OF_OTHERS = {
    # Names of the IANA registry and the WHATWG standard, and what people call them, that Python does not know.
    "windows-874": "cp874",
    "windows-31j": "cp932",
    "cswindows31j": "cp932",
    "x-sjis": "cp932",
    "windows-936": "gbk",
    "windows-949": "cp949",
    "windows-950": "cp950",
    "x-mac-roman": "mac_roman",
    "mac-roman": "mac_roman",
    "macroman": "mac_roman",
    "x-mac-cyrillic": "mac_cyrillic",
    "x-cp1250": "cp1250",
    "x-cp1251": "cp1251",
    "x-cp1252": "cp1252",
    "ansi": "cp1252",
    "iso-8859-8-i": "iso8859_8",
    "latin-9": "iso8859_15",
    "ibm00858": "cp858",
}
_NO_MARK = {"utf-16": "utf-16-le", "utf-32": "utf-32-le", "utf-8-sig": "utf-8"}
"""Without a mark, "utf-16" would mean this machine's byte order, and would look for a mark in mid-file."""
_NOT_FOR_FILES = frozenset(("unicode-escape", "raw-unicode-escape", "idna", "punycode", "undefined", "mbcs", "oem"))

_BOUND = rb"\x00-\x2f\x3a-\x3f"
"""Bytes that are no part of a character of several bytes in any encoding that is weighed (0x30 to 0x39 are, in GB18030)."""
_TOKEN = re.compile(rb"[^" + _BOUND + rb"]*[\x80-\xff][^" + _BOUND + rb"]*")
_NO_BOUNDS = bytes(byte for byte in range(256) if not (byte <= 0x2F or 0x3A <= byte <= 0x3F))
_PART_BYTES = 1024
"""More without a bound is cut where it may."""
_SAMPLE_WORDS = 2_000
_BYTE_WORDS = 40
"""So many words with each byte above ASCII are kept, however many are there already: the rare ones tell most."""
_LOOKED_AT_WORDS = 8_000
"""Then only every second portion is looked at, then every fourth, and so on; one with a byte that is new always is."""
_UTF8_SHARE = 0.25
"""Of the words above ASCII that are UTF-8, from which on the others are broken: chance does not make so many."""
_FEW_WORDS = 20
_ZEROS_SHARE = 0.1
_ZEROS_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Encoding:
    """``name`` is a codec; ``guess`` says why it was chosen where the file itself does not say."""

    name: str
    guess: str | None = None
    rivals: tuple[str, ...] = ()
    """Encodings that read the file otherwise and may be meant; the likeliest first."""
    undecodable: str | None = None
    """Where the file is not in the encoding that its preset declares."""


def codec_of(name: str) -> str | None:
    """Python's name of an encoding by its IANA name, Python's own or another usual one; ``None`` for what is none of text."""
    try:
        found = codecs.lookup(_NAMES_OF_OTHERS.get(name.strip().casefold().replace("_", "-"), name.strip()))
    except LookupError:
        return None
    is_text = getattr(found, "_is_text_encoding", True)  # as open() asks: rot13 is a codec too
    return found.name if is_text and found.incrementaldecoder is not None and found.name not in _NOT_FOR_FILES else None


def detect_encoding(head: bytes, *, complete: bool, declared: str | None = None) -> Encoding:
    """The encoding of a file from its first bytes; ``complete``: these are all of them.

    A byte order mark is a fact and outranks what was declared. Without one: what was declared, else UTF-32 or UTF-16 if zeros
    stand between the letters, else UTF-8 if the bytes, or enough of them, are UTF-8, else the likeliest of the encodings of one
    language or region; Windows-1252 unless another one is clearly likelier. Raises :class:`LookupError` for a declared one that
    does not exist.
    """
    wanted = None if declared is None else codec_of(declared)
    if declared is not None and wanted is None:
        raise LookupError(f"unknown encoding: {declared}")
    for mark, name in _BOMS:
        if head.startswith(mark):
            differs = wanted is not None and wanted.removesuffix("-sig") not in (name, name[:-3])
            return Encoding(name, f"encoding {name} by its byte order mark, not {declared}" if differs else None)
    if wanted is not None:
        return Encoding(_NO_MARK.get(wanted, wanted))
    if zeros := _by_zeros(head):
        return Encoding(zeros, f"encoding {zeros}: no byte order mark, but zeros between the letters")
    evidence = WordEvidence()
    evidence.feed(head if complete else head[: len(head) - len(_last_part(head))])
    return evidence.verdict() or Encoding("utf-8")


def _by_zeros(head: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark: delimiters, digits and line ends have zero bytes on one side, always the same.

    Letters need not: of Greek, Cyrillic and the like only these signs tell. A zero in no order is dirt, not an encoding.
    """
    start = head[:_ZEROS_BYTES]
    start = start[: len(start) // 4 * 4]
    if b"\0" not in start:
        return None
    whole = len(start) // 4
    zeros = [start[place::4].count(0) for place in range(4)]
    even, odd = zeros[0] + zeros[2], zeros[1] + zeros[3]
    if min(zeros[2:]) > 0.95 * whole:
        name = "utf-32-le"
    elif min(zeros[:2]) > 0.95 * whole:
        name = "utf-32-be"
    elif 4 * min(even, odd) < max(even, odd) > _ZEROS_SHARE * 2 * whole:
        name = "utf-16-le" if odd > even else "utf-16-be"
    else:
        return None
    text = start.decode(name, "replace")
    is_table = any(sign in text for sign in "\n\r,;\t|")
    return name if is_table and "\0" not in text and text.count("\ufffd") <= 1 + len(text) // 100 else None


def _last_part(data: bytes) -> bytes:
    """What follows the last bound, and may go on in the next bytes; of an endless word, what may begin a character."""
    tail = data[-_PART_BYTES:]
    part = tail[len(tail.rstrip(_NO_BOUNDS)) :]
    if len(part) < _PART_BYTES:
        return part
    return next((part[-size:] for size in (1, 2, 3) if part[-size] >= 0xC0), b"")


class WordEvidence:
    """Watches bytes go by, and keeps a sample of the words that hold more than ASCII. Its memory does not grow with them.

    A file whose first accent comes after gigabytes is judged by that one; of a file that is full of them, some of all its parts
    are kept, and some with each of its bytes.
    """

    def __init__(self) -> None:
        self.sample: dict[bytes, int] = {}
        """Words that are not UTF-8, between the bytes that stand around them, with how often they were seen."""
        self._utf8_sample: set[bytes] = set()
        self._part = b""
        self._started = b""
        self._utf8_words = 0
        self._broken_words = 0
        self._bytes_kept: Counter[int] = Counter()
        self._bytes_seen = bytes(range(0x80))
        self._stride = 1
        self._portions = 0
        self._looked_at = 0

    def feed(self, data: bytes) -> None:
        """The next bytes, in any portions."""
        if len(self._started) < len(codecs.BOM_UTF8):
            self._started += data[: len(codecs.BOM_UTF8)]
        block = self._part + data if self._part else data
        self._part = _last_part(block)
        if block.isascii():
            return
        self._look(block[: len(block) - len(self._part)])

    def verdict(self) -> Encoding | None:
        """The encoding by all that was seen, or ``None`` where that is UTF-8 without a flaw. May be asked at any time."""
        part, self._part = self._part, b""
        self._look(part)
        if not self._broken_words:
            return None
        is_utf8 = self._started.startswith(codecs.BOM_UTF8)
        judged = None if is_utf8 else judge(self.sample)
        words = self._utf8_words + self._broken_words
        if self._utf8_words >= words * _UTF8_SHARE:
            # In the encoding of the others they would be as odd as Ã¼, or they are UTF-8 by chance alone.
            is_utf8 = judged is None or not explains(judged.name, self._utf8_sample)
        if is_utf8 or judged is None:
            guess = "encoding utf-8: some bytes are not; rows that hold them are set aside"
            if judged is None or words > _FEW_WORDS:
                return Encoding("utf-8", guess)
            others = (judged.name, *(rival.name for rival in judged.rivals))
            return Encoding("utf-8", f"{guess}; by so few words it may be {' or '.join(others)} too", others)
        return _said(judged, self._utf8_words)

    def _look(self, block: bytes) -> None:
        try:
            text = block.decode()
        except UnicodeDecodeError:
            pass
        else:
            if len(text) < len(block):
                self._utf8_words += 1 + (len(block) - len(text)) // 8
            return
        self._portions += 1
        new = block.translate(None, self._bytes_seen)
        if self._portions % self._stride and not new:
            return
        self._bytes_seen += bytes(set(new))
        around = b" " + block + b" "
        for found in _TOKEN.finditer(around):
            word = found.group()
            self._looked_at += 1
            if _is_utf8(word):
                self._utf8_words += self._stride
                if len(self._utf8_sample) < _BYTE_WORDS:
                    self._utf8_sample.add(around[found.start() - 1 : found.end() + 1])
                continue
            self._broken_words += self._stride
            self._keep(around[found.start() - 1 : found.end() + 1])
        if self._looked_at > _LOOKED_AT_WORDS:
            self._looked_at, self._stride = 0, self._stride * 2

    def _keep(self, word: bytes) -> None:
        if word in self.sample:
            self.sample[word] += 1
            return
        high = [byte for byte in set(word) if byte > 0x7F]
        if len(self.sample) < _SAMPLE_WORDS or any(self._bytes_kept[byte] < _BYTE_WORDS for byte in high):
            self.sample[word] = 1
            self._bytes_kept.update(high)


def _is_utf8(word: bytes) -> bool:
    try:
        word.decode()
    except UnicodeDecodeError:
        return False
    return True


def _said(judged: Judged, utf8_words: int) -> Encoding:
    """What was judged, in words: why, and what else it may be."""
    name = judged.name
    default = f"encoding {name}: no byte order mark, and not UTF-8"
    why = default if name == "cp1252" else f"encoding {name} ({judged.region}): its words are likeliest so"
    others = [f"in {rival.name} '{rival.instead_of}' would be '{rival.reads}'" for rival in judged.rivals]
    mixed = ["some words look like UTF-8 and are read so too"] if utf8_words else []
    step = ["format.encoding of a preset decides"] if others else []
    return Encoding(name, "; ".join((why, *others, *mixed, *step)), tuple(rival.name for rival in judged.rivals))
