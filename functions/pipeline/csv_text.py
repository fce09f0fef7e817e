"""Bytes of a delimited text file to its physical lines: compression, encoding, line ends. Which encoding that is,
:mod:`pipeline.text_encodings` finds out.

A line ends with LF, CRLF or CR, as a file that crossed three systems may hold all of them. Bytes that the encoding does not
know become lone surrogates (U+DC00 + byte): they cannot be mistaken for text, and the rows that hold them can be named.
"""

from __future__ import annotations

import codecs
import io
import zlib
from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import Protocol

CHUNK_BYTES = 256 * 1024
"""Bytes decoded at a time."""
LINE_CHARS = 16 * 1024 * 1024
"""A file without a line end in this many characters is no table of rows."""

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
