"""A zip archive where it lies: what it holds, and the bytes of a member as a stream.

Nothing is unpacked to anywhere. The directory at the archive's end is read by ranges, and a member is inflated while it is
read, so memory grows neither with the archive nor with what is in it. A member's end is checked against its CRC-32.

Layout and flags: APPNOTE.TXT 6.3.10, pkware.com. Archives that were made to do harm are told by their directory: a member that
is far larger than its bytes, many members over the same bytes, a directory beyond all bounds.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import IO, Protocol, cast

from pipeline.csv_refusals import SAVE_SHEETS, Problem
from pipeline.csv_text import CHUNK_BYTES, NotRows, Readable

MEMBERS = 1_000
"""An archive of more files is refused: each would be a slice."""
DIRECTORY_BYTES = 16 * 1024 * 1024
"""The directory is read at once; that of a thousand members takes a hundredth of this."""
MEMBER_BYTES = 20 * 1024**3
"""Inflated. A member can only be read from its beginning, so each continuation of a larger one would take ever longer."""
RATIO = 200
"""How many times its bytes a member may be, once it is larger than RATIO_FROM_BYTES. Tables of text are some 3 to 50 times."""
RATIO_FROM_BYTES = 64 * 1024 * 1024

_MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
"""Of a first member, of an archive without any, of one in several volumes."""
_LOCAL_HEADER_BYTES = 30
_ENCRYPTED, _UTF8, _MASKED = 0x1, 0x800, 0x2000
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
"""Others can be inflated only in pieces whose size nobody knows beforehand."""
_METHOD_NAMES = {9: "deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 98: "PPMd", 99: "AES encryption"}
_PACK_AGAIN = "Pack its files again and drop the archive, or drop the files themselves (CSV, or each as .csv.gz)."
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


class Seekable(Protocol):
    """What an archive is read from: a file, or an object of Cloud Storage that is read by ranges."""

    def read(self, size: int = -1, /) -> bytes: ...

    def seek(self, offset: int, whence: int = 0, /) -> int: ...

    def tell(self) -> int: ...


class Refused(ValueError):
    """The archive as a whole cannot be read."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive. ``name`` has the folders in the archive, divided by ``/``; ``problem`` says why it is not read."""

    name: str
    problem: Problem | None = None


class Archive:
    """A zip archive that is open. ``name`` is for messages.

    Raises :class:`Refused` for one that is cut short, is something else (workbooks are zip archives), or means harm.
    """

    def __init__(self, file: Seekable, name: str) -> None:
        self.name = name
        guarded = _Guarded(file)
        try:
            self._zip = zipfile.ZipFile(cast("IO[bytes]", guarded))
        except (zipfile.BadZipFile, NotImplementedError, struct.error, ValueError, OverflowError) as error:
            raise Refused(self._unreadable(guarded, error)) from error
        infos = self._zip.infolist()
        if office := _office_document(infos):
            raise Refused(Problem(f"{name} is {office}, no archive of exports", SAVE_SHEETS))
        if _share_bytes(infos, self._zip.start_dir):
            raise Refused(Problem(f"{name} holds files that share their bytes: no export is packed so", _PACK_AGAIN))
        if len(infos) > MEMBERS:
            step = "Split it and drop the parts."
            raise Refused(Problem(f"{name} holds {len(infos):,} files; up to {MEMBERS:,} are read of one archive", step))
        named = [(_name_of(info), info) for info in infos]
        counts = Counter(shown for shown, _ in named)
        self.members = tuple(Member(shown, self._problem(shown, info, counts[shown])) for shown, info in dict(named).items())
        """In the order of the directory, folders included (their names end in ``/``); of equal names, one."""
        self._infos = dict(named)

    @contextmanager
    def open(self, name: str) -> Iterator[Readable]:
        """The bytes of the member of this name, inflated as they are read; one at a time.

        Raises :class:`~pipeline.csv_text.NotRows`, at any read, for one that is damaged; its CRC-32 is checked at its end.
        """
        if name not in self._infos:
            raise NotRows(f"{self.name} holds no file of this name")
        try:
            stream = self._zip.open(self._infos[name])
        except _DAMAGED as error:
            raise NotRows(f"it cannot be read from the archive: {error}") from error
        with stream:
            yield _Member(stream)

    def _unreadable(self, file: _Guarded, error: Exception) -> Problem:
        if file.asked_bytes > DIRECTORY_BYTES:
            message = f"has a directory of {file.asked_bytes:,} bytes; up to {DIRECTORY_BYTES:,} are read"
        else:
            message = f"is a zip archive whose end, where its directory stands, is missing or damaged: {error}"
        return Problem(
            f"{self.name} {message}", "Check whether its upload was complete; if it was, pack it again. Then drop it again."
        )

    def _problem(self, shown: str, info: zipfile.ZipInfo, count: int) -> Problem | None:
        name = f"{self.name}/{shown}"
        if count > 1:
            return Problem(f"{name} stands in the archive {count} times: which one counts is not told", _PACK_AGAIN)
        if info.flag_bits & (_ENCRYPTED | _MASKED):
            return Problem(f"{name} is encrypted; no password is known here", "Pack it again without a password.")
        if info.compress_type not in _METHODS:
            method = _METHOD_NAMES.get(info.compress_type, f"method {info.compress_type}")
            step = "Pack it again by the usual method (deflate), or drop it as .csv.gz."
            return Problem(f"{name} is compressed by {method}; read are stored and deflated files", step)
        if info.file_size > MEMBER_BYTES:
            step = "Split the export and drop the parts."
            return Problem(f"{name} would be {info.file_size:,} bytes long; up to {MEMBER_BYTES:,} are read", step)
        if info.file_size > max(RATIO_FROM_BYTES, RATIO * info.compress_size):
            packed = f"{info.file_size:,} bytes packed into {info.compress_size:,}"
            return Problem(f"{name} is {packed}: no table shrinks so", "If it is one, drop it as .csv.gz.")
        return None


class _Guarded:
    """A file that refuses to be read in larger pieces than a directory may have, or before its beginning."""

    def __init__(self, file: Seekable) -> None:
        self._file = file
        self.asked_bytes = 0

    def read(self, size: int = -1, /) -> bytes:
        self.asked_bytes = max(self.asked_bytes, size)
        if size > DIRECTORY_BYTES:
            raise zipfile.BadZipFile(f"{size:,} bytes at once")
        return self._file.read(size if size >= 0 else DIRECTORY_BYTES)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        if whence == 2:
            offset, whence = self._file.seek(0, 2) + offset, 0
        if whence == 0 and offset < 0:
            raise OSError("before the file's beginning")  # as a file does; an object of Cloud Storage does not
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True


class _Member:
    """A member as it is read; what :mod:`zipfile` says of its damage becomes :class:`NotRows`."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, size: int = CHUNK_BYTES, /) -> bytes:
        try:
            return self._stream.read(size)
        except _DAMAGED as error:
            raise NotRows(f"it is damaged in the archive: {error or 'it is cut short'}") from error


def is_zip(head: bytes) -> bool:
    """By its magic bytes, whatever the name says."""
    return head.startswith(_MAGIC)


def _name_of(info: zipfile.ZipInfo) -> str:
    """As its maker meant it. Without the flag for UTF-8 a name is in cp437 by the book; many tools write UTF-8 all the same."""
    name = info.filename
    if not info.flag_bits & _UTF8 and not name.isascii():
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            pass  # cp437 then
    return name.replace("\\", "/")


def _office_document(infos: list[zipfile.ZipInfo]) -> str | None:
    """What a zip archive is that some office program wrote as its own format."""
    names = {info.filename for info in infos}
    if "[Content_Types].xml" in names:
        return "an Excel workbook" if any(name.startswith("xl/") for name in names) else "an Office document"
    if "mimetype" in names and "META-INF/manifest.xml" in names:
        return "an OpenDocument file"
    if any(name.endswith(".iwa") for name in names):
        return "an Apple Numbers document"
    return None


def _share_bytes(infos: list[zipfile.ZipInfo], directory_offset: int) -> bool:
    """Whether members overlap: a few bytes that are inflated over and over (David Fifield, "A better zip bomb", 2019)."""
    ranges = sorted((info.header_offset, info.header_offset + _LOCAL_HEADER_BYTES + info.compress_size) for info in infos)
    return any(end > start for (_, end), (start, _) in pairwise([*ranges, (directory_offset, 0)]))
