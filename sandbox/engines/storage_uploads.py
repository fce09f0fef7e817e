"""Bodies on their way in: streamed to a temporary file while the checksums are computed, so memory stays flat."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import google_crc32c

from sandbox.engines.storage_errors import invalid, not_found


class Incoming:
    """One object body being received. ``crc32c`` and ``md5`` are base64, as in object resources."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / secrets.token_hex(16)
        self._file = self.path.open("wb", buffering=0)
        self._crc32c: Any = google_crc32c.Checksum()  # type: ignore[no-untyped-call]
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.size_bytes = 0

    def write(self, data: bytes | memoryview) -> None:
        """Appends ``data``."""
        chunk = bytes(data)
        self._file.write(chunk)
        self._crc32c.update(chunk)
        self._md5.update(chunk)
        self.size_bytes += len(chunk)

    @property
    def crc32c(self) -> str:
        return base64.b64encode(self._crc32c.digest()).decode()

    @property
    def md5(self) -> str:
        return base64.b64encode(self._md5.digest()).decode()

    def finish(self) -> None:
        """Closes the file; its bytes are complete."""
        self._file.close()

    def discard(self) -> None:
        """Closes and removes the file unless it was moved to its place."""
        self._file.close()
        self.path.unlink(missing_ok=True)


def copy_into(incoming: Incoming, descriptor: int) -> None:
    """Appends everything that the open file holds."""
    while chunk := os.read(descriptor, 1 << 20):
        incoming.write(chunk)


def expected_checksums(metadata: Mapping[str, Any], goog_hash: str = "") -> dict[str, str]:
    """The checksums that the client promised, in the metadata or in an ``X-Goog-Hash`` header."""
    promised = {name: metadata[name] for name in ("crc32c", "md5Hash") if metadata.get(name)}
    for part in goog_hash.split(","):
        kind, separator, value = part.strip().partition("=")
        if separator:
            promised[{"md5": "md5Hash"}.get(kind, kind)] = value
    return promised


def verify(promised: Mapping[str, str], crc32c: str, md5: str | None) -> None:
    """Raises 400 when a promised checksum is not that of the bytes received."""
    for field_name, word, actual in (("crc32c", "CRC32C", crc32c), ("md5Hash", "MD5 hash", md5)):
        expected = promised.get(field_name)
        if expected is not None and actual is not None and expected != actual:
            raise invalid(f'Provided {word} "{expected}" doesn\'t match calculated {word} "{actual}".')


@dataclass
class Session:
    """One resumable upload. ``answer`` is the object resource once it is complete."""

    bucket: str
    name: str
    metadata: dict[str, Any]
    parameters: dict[str, str]
    incoming: Incoming
    answer: dict[str, Any] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class Sessions:
    """The resumable uploads in progress. They live as long as the process; Google's live for a week."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def add(self, session: Session) -> str:
        """Keeps the session; returns its id."""
        upload_id = secrets.token_urlsafe(32)
        with self._lock:
            self._sessions[upload_id] = session
        return upload_id

    def get(self, upload_id: str) -> Session:
        """The session; raises 404 when it never was, was cancelled, or failed."""
        with self._lock:
            session = self._sessions.get(upload_id)
        if session is None:
            raise not_found("No such upload session. It ended, or the engine was restarted: begin the upload anew.")
        return session

    def target(self, upload_id: str) -> str:
        """``bucket/object`` of the session, empty when there is none."""
        with self._lock:
            session = self._sessions.get(upload_id)
        return f"{session.bucket}/{session.name}" if session else ""

    def remove(self, upload_id: str) -> None:
        """Forgets the session and its bytes."""
        with self._lock:
            session = self._sessions.pop(upload_id, None)
        if session is not None:
            session.incoming.discard()
