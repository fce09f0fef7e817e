"""Zip archives for tests, whole and broken."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterable

CENTRAL, LOCAL = b"PK\x01\x02", b"PK\x03\x04"


def zipped(*members: tuple[str, bytes | str], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive with these members, in this order; a name that ends in ``/`` is a folder."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return file.getvalue()


def with_flag(data: bytes, flag: int) -> bytes:
    """The archive with a general purpose flag set for every member (APPNOTE 4.4.4)."""
    out = bytearray(data)
    for magic, offset in ((LOCAL, 6), (CENTRAL, 8)):
        for at in _all(data, magic):
            struct.pack_into("<H", out, at + offset, struct.unpack_from("<H", data, at + offset)[0] | flag)
    return bytes(out)


def with_method(data: bytes, method: int) -> bytes:
    """The archive with another compression method said of every member (APPNOTE 4.4.5)."""
    out = bytearray(data)
    for magic, offset in ((LOCAL, 8), (CENTRAL, 10)):
        for at in _all(data, magic):
            struct.pack_into("<H", out, at + offset, method)
    return bytes(out)


def with_one_start(data: bytes) -> bytes:
    """The archive with every member said to start where the first does."""
    out = bytearray(data)
    for at in _all(data, CENTRAL):
        struct.pack_into("<I", out, at + 42, 0)
    return bytes(out)


def bent(data: bytes, position: int) -> bytes:
    """The archive with one bit of a byte flipped."""
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


def _all(data: bytes, magic: bytes) -> Iterable[int]:
    at = data.find(magic)
    while at >= 0:
        yield at
        at = data.find(magic, at + 1)
