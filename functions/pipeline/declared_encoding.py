"""Whether a file is in the encoding that its preset declares, to its last byte; if not, where it first is not."""

from __future__ import annotations

import codecs

from pipeline.text_encodings import Encoding


def undecodable_in(head: bytes, encoding: str, *, complete: bool) -> Encoding | None:
    """Where the first bytes of a file are not in an encoding; ``None`` where they are. They may end inside a character."""
    evidence = DeclaredEvidence(encoding)
    evidence.feed(head)
    return evidence.verdict(complete=complete)


class DeclaredEvidence:
    """Watches a whole file go by whose encoding was declared, and finds the first byte that is not in it."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)("strict")
        self._plain_ascii = bytes(range(0x80)).decode(encoding, "replace") == bytes(range(0x80)).decode()
        self._bytes = 0
        self._lines = 1
        self._ended_with_cr = False
        self._found: str | None = None

    def feed(self, data: bytes) -> None:
        """The next bytes, in any portions."""
        self._decode(data, final=False)

    def verdict(self, *, complete: bool = True) -> Encoding | None:
        """The encoding with where the file is not in it, or ``None`` where it is throughout."""
        self._decode(b"", final=complete)
        return Encoding(self._encoding, undecodable=self._found) if self._found else None

    def _decode(self, data: bytes, *, final: bool) -> None:
        if self._found is not None:
            return
        waiting = self._decoder.getstate()[0]
        if not (self._plain_ascii and not waiting and data.isascii()):
            try:
                text = self._decoder.decode(data, final)
            except UnicodeDecodeError as error:
                self._fail(error, len(error.object) - len(data))
                return
        self._bytes += len(data)
        # In all encodings that have ASCII as it is, a line end is no part of another character.
        self._count(data if self._plain_ascii else text.encode("utf-8", "surrogatepass"))

    def _fail(self, error: UnicodeDecodeError, waiting_bytes: int) -> None:
        good, bad = error.object[: error.start], error.object[error.start : error.end]
        self._count(good if self._plain_ascii else good.decode(self._encoding, "replace").encode("utf-8", "surrogatepass"))
        shown = " ".join(f"0x{byte:02x}" for byte in bad[:4])
        self._found = f"byte {self._bytes - waiting_bytes + error.start:,} in line {self._lines:,} is {shown}"

    def _count(self, data: bytes) -> None:
        """Lines end with LF, CRLF or CR; a CRLF may be cut in two."""
        if data:
            joined = self._ended_with_cr and data.startswith(b"\n")
            self._lines += data.count(b"\n") - joined
            if b"\r" in data:
                self._lines += data.count(b"\r") - data.count(b"\r\n")
            self._ended_with_cr = data.endswith(b"\r")
