"""The bytes of a file as they are read by ranges out of Cloud Storage: of an object, or of a member of an archive; checked."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipeline.csv_text import CHUNK_BYTES, NotRows, Readable
from pipeline.errors import StartOver
from pipeline.zip_archive import Archive, Refused

if TYPE_CHECKING:
    from google.cloud.storage import Blob

DOWNLOAD_CHUNK_BYTES = 4 * 1024 * 1024
TRANSFER_SECONDS = 60
"""For one request; a whole file takes as many as it needs."""


@contextmanager
def opened(blob: Blob, file: Mapping[str, Any]) -> Iterator[Readable]:
    """The bytes of a file, or of a member of an archive, as they are read by ranges of a blob that holds it.

    Raises :class:`~pipeline.csv_text.NotRows`, at any read, for a member that is damaged.
    """
    with blob.open("rb", chunk_size=DOWNLOAD_CHUNK_BYTES, raw_download=True, timeout=TRANSFER_SECONDS) as stream:
        if not file.get("member"):
            yield stream
            return
        try:
            archive = Archive(stream, file["name"])
        except Refused as refused:  # when it was planned it could be read
            raise NotRows(str(refused)) from refused
        with archive.open(file["member"]) as content:
            yield content


def crc32c_of(blob: Blob) -> str:
    """The checksum of a stored object, as Storage words it: base64 of its big-endian bytes."""
    blob.reload(timeout=TRANSFER_SECONDS)
    return str(blob.crc32c)


class Checked:
    """A kept file as it is read, held against its checksum at its end, and against what an earlier invocation read of it.

    Storage gives no checksum for a range, so what is wrong shows when all has been read, or when a continuation has come to
    where the invocation before it handed over (``mark``). A member of an archive (``crc32c`` is ``None``) brings a checksum of
    its own, and was whole when it was kept. Raises :class:`~pipeline.errors.StartOver`.
    """

    def __init__(self, stream: Readable, crc32c: str | None, mark: tuple[int, int] = (0, 0)) -> None:
        self._stream = stream
        self._wanted = crc32c
        self._earlier = mark
        self._is_damaged = False
        self.mark = (0, 0)
        """How many bytes were read, and their CRC32C."""

    def read(self, size: int = CHUNK_BYTES, /) -> bytes:
        try:
            data = self._stream.read(size)
        except NotRows:
            self._is_damaged = True
            raise
        begun = self.mark[0]
        if begun < self._earlier[0] <= begun + len(data) and self._after(data[: self._earlier[0] - begun]) != self._earlier:
            raise StartOver("the first part of a file came otherwise than before: its CRC32C differs")
        if data:
            self.mark = self._after(data)
        elif self._wanted not in (None, base64.b64encode(self.mark[1].to_bytes(4, "big")).decode()):
            raise StartOver("a file came otherwise than it is kept: its CRC32C does not fit")
        return data

    def check(self) -> None:
        """Read on to the end, to tell a file that is no text from one that came otherwise than it is kept."""
        try:
            while not self._is_damaged and self.read():
                pass
        except NotRows:
            pass
        if self._is_damaged:
            raise StartOver("a member of an archive came otherwise than it is kept")

    def _after(self, data: bytes) -> tuple[int, int]:
        import google_crc32c

        size_bytes, crc32c = self.mark
        return size_bytes + len(data), google_crc32c.extend(crc32c, data)
