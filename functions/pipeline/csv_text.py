"""Bytes of a delimited text file to its physical lines: compression, encoding, line ends.

A line ends with LF, CRLF or CR, as a file that crossed three systems may hold all of them. Bytes that the encoding does not
know become lone surrogates (U+DC00 + byte): they cannot be mistaken for text, and the rows that hold them can be named.
"""

from __future__ import annotations

import codecs
import io
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

CHUNK_BYTES = 256 * 1024
"""Bytes decoded at a time."""
LINE_CHARS = 16 * 1024 * 1024
"""A file without a line end in this many characters is no table of rows."""

_BOMS = (
    # UTF-32 first: its little-endian mark begins with UTF-16's.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_FALLBACK = "cp1252"
_UNDECODABLE = "pipeline-undecodable"


def _mark(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error(_UNDECODABLE, _mark)


class NotRows(ValueError):
    """The bytes are no lines of text at all."""


class Readable(Protocol):
    """What is read from: any binary stream. ``read`` may return fewer bytes than asked, none only at the end."""

    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Encoding:
    """``name`` is a codec; ``guess`` says why it was chosen where the file itself does not say."""

    name: str
    guess: str | None = None


def detect_encoding(head: bytes, *, complete: bool, declared: str | None = None) -> Encoding:
    """The encoding of a file from its first bytes; ``complete``: these are all of them.

    A byte order mark is a fact and outranks what was declared. Without one: what was declared, else UTF-8 if the bytes are
    UTF-8, else UTF-16 if every other byte is zero, else Windows-1252, which nearly every byte sequence satisfies.
    """
    for mark, name in _BOMS:
        if head.startswith(mark):
            differs = declared is not None and codecs.lookup(declared).name not in (name, name[:-3])
            return Encoding(name, f"encoding {name} by its byte order mark, not {declared}" if differs else None)
    if declared is not None:
        name = codecs.lookup(declared).name
        # Without a mark, "utf-16" would mean this machine's byte order, and would look for a mark in mid-file.
        return Encoding({"utf-16": "utf-16-le", "utf-8-sig": "utf-8"}.get(name, name))
    if len(head) >= 4 and not head[1:64:2].strip(b"\0") and head[0:64:2].strip(b"\0"):
        return Encoding("utf-16-le", "encoding utf-16-le: every second byte is zero")
    if len(head) >= 4 and not head[0:64:2].strip(b"\0") and head[1:64:2].strip(b"\0"):
        return Encoding("utf-16-be", "encoding utf-16-be: every second byte is zero")
    if head.isascii():
        return Encoding("utf-8")
    if is_utf8(head, complete=complete) or (is_utf8(head, complete=False) and not head[:-3].isascii()):
        return Encoding("utf-8")  # the second: it is cut inside a character, after others that are whole
    return Encoding(_FALLBACK, f"encoding {_FALLBACK}: no byte order mark, and not UTF-8")


def is_utf8(data: bytes, *, complete: bool) -> bool:
    """Whether bytes are UTF-8; not ``complete``: they may end inside a character."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data, complete)
    except UnicodeDecodeError:
        return False
    return True


class Utf8Evidence:
    """Watches a whole file go by, to correct a head that was plain ASCII.

    A file whose first accent comes after the head was taken for UTF-8. If none of its non-ASCII bytes form UTF-8, it is
    Windows-1252; if some do, it is UTF-8 with broken rows.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(_UNDECODABLE)
        self._multibyte = False
        self._broken = False

    def feed(self, data: bytes) -> None:
        if self._multibyte:
            return  # UTF-8 it is; broken rows are found when they are read
        pending = self._decoder.getstate()[0]
        if not pending and data.isascii():
            return
        text = self._decoder.decode(data)
        if not text.isascii():
            self._multibyte = any(char > "\x7f" and not "\udc00" <= char <= "\udcff" for char in set(text))
            self._broken = self._broken or any("\udc00" <= char <= "\udcff" for char in set(text))

    def verdict(self) -> Encoding | None:
        """The better guess, or ``None`` where UTF-8 stands."""
        if self._multibyte or not (self._broken or self._decoder.getstate()[0]):
            return None
        return Encoding(_FALLBACK, f"encoding {_FALLBACK}: no character above ASCII in the file is UTF-8")


def is_gzip(head: bytes) -> bool:
    """By its magic bytes (RFC 1952), whatever the name says."""
    return head.startswith(b"\x1f\x8b")


def gunzip_head(head: bytes, limit_bytes: int) -> tuple[bytes, bool]:
    """The first decompressed bytes of a gzip file from its first compressed ones, and whether they are all."""
    inflate = zlib.decompressobj(31)
    try:
        out = inflate.decompress(head, limit_bytes)
    except zlib.error as error:
        raise NotRows(f"the gzip stream cannot be read: {error}") from error
    return out, inflate.eof and not inflate.unused_data.strip(b"\0")


class Gunzip:
    """A gzip stream as it is read; several members in one file, as ``cat a.gz b.gz`` makes them, are one."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._inflate = zlib.decompressobj(31)
        self._rest = b""
        self._ended = False

    def read(self, size: int = CHUNK_BYTES, /) -> bytes:
        """Up to ``size`` bytes. Raises :class:`NotRows` for a stream that is broken or cut short."""
        while True:
            data = self._rest or self._stream.read(CHUNK_BYTES)
            self._rest = b""
            if not data:
                if not self._ended:
                    raise NotRows("the gzip stream is cut short")
                return b""
            if self._ended:
                # Padding with zeros after the last member is common on tapes and some clouds, and allowed.
                data = data.lstrip(b"\0")
                if not data:
                    continue
                self._inflate, self._ended = zlib.decompressobj(31), False
            try:
                out = self._inflate.decompress(data, size)
            except zlib.error as error:
                raise NotRows(f"the gzip stream cannot be read: {error}") from error
            self._ended = self._inflate.eof
            self._rest = self._inflate.unused_data if self._ended else self._inflate.unconsumed_tail
            if out:
                return out


class TextLines:
    """Physical lines of a byte stream, numbered from 1.

    The lines from ``keep_from`` on are kept, so that a row's raw text can be shown and lines can be read again; the reader of
    records moves ``keep_from``. ``suspect`` becomes true with the first byte that the encoding does not know, or a NUL.
    """

    def __init__(self, stream: Readable, encoding: str, chunk_bytes: int = CHUNK_BYTES) -> None:
        self.suspect = False
        self.keep_from = 1
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("strict")
        self._chunk_bytes = chunk_bytes
        self._kept: deque[tuple[int, list[str]]] = deque()
        self._next_number = 1
        self._carry = ""
        self._ended = False

    def start_at(self, number: int) -> Iterator[str]:
        """Lines from ``number`` on, which must not lie before ``keep_from``. An iterator given out before is void."""
        return chain.from_iterable(self._blocks(number))

    def between(self, first: int, last: int) -> list[str]:
        """Lines ``first`` to ``last``, both inclusive, as they stand in the file with their ends; only what was read."""
        found: list[str] = []
        for start, lines in self._kept:
            if start <= last and start + len(lines) > first:
                found += lines[max(first - start, 0) : last - start + 1]
        return found

    def _blocks(self, number: int) -> Iterator[list[str]]:
        for start, kept in list(self._kept):
            if start + len(kept) > number:
                yield kept[max(number - start, 0) :]
        while (lines := self._load()) is not None:
            skipped = number - (self._next_number - len(lines))
            if skipped < len(lines):
                yield lines[skipped:] if skipped > 0 else lines

    def _load(self) -> list[str] | None:
        """Read on until there is a whole line; ``None`` at the end."""
        while not self._ended:
            data = self._stream.read(self._chunk_bytes)
            self._ended = not data
            text = self._carry + self._decode(data, final=self._ended)
            if self._next_number == 1 and not self._kept:
                text = text.removeprefix("\ufeff")
            cut = len(text) if self._ended else _last_line_end(text)
            if not cut and len(text) > LINE_CHARS:
                raise NotRows(f"no line end in {LINE_CHARS:,} characters")
            self._carry, text = text[cut:], text[:cut]
            if text:
                lines = io.StringIO(text, newline="").readlines()
                while self._kept and self._kept[0][0] + len(self._kept[0][1]) <= self.keep_from:
                    self._kept.popleft()
                self._kept.append((self._next_number, lines))
                self._next_number += len(lines)
                return lines
        return None

    def _decode(self, data: bytes, *, final: bool) -> str:
        state = self._decoder.getstate()
        try:
            text = self._decoder.decode(data, final)
        except UnicodeDecodeError:
            self.suspect = True
            self._decoder.setstate(state)
            self._decoder.errors = _UNDECODABLE
            text = self._decoder.decode(data, final)
        if "\0" in text:
            self.suspect = True
        return text


def _last_line_end(text: str) -> int:
    """Just after the last line end. A CR at the very end is left: the LF of a CRLF may follow."""
    cut = text.rfind("\n") + 1
    return text.rfind("\r", cut, len(text) - 1) + 1 or cut


def is_clean(text: str) -> bool:
    """Whether text holds neither a NUL nor bytes that could not be decoded."""
    return "\0" not in text and (text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text))


def readable(text: str, limit_chars: int = 100_000) -> str:
    r"""Text that any JSON reader takes: undecodable bytes as ``\xNN``, NUL as ``\x00``; cut at ``limit_chars``."""
    cut = text if len(text) <= limit_chars else text[:limit_chars] + "…"
    if is_clean(cut):
        return cut
    return "".join(_escaped(char) if char == "\0" or "\ud800" <= char <= "\udfff" else char for char in cut)


def _escaped(char: str) -> str:
    return f"\\x{ord(char) & 0xFF:02x}" if char == "\0" or "\udc00" <= char <= "\udcff" else f"\\u{ord(char):04x}"
