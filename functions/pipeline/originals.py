"""The original bytes of a dropped file: whose slice they are, and their copy in bronze. They are hashed, never held."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from pipeline import arrivals, bronze, clients, names
from pipeline.csv_encoding import Evidence
from pipeline.csv_refusals import Problem
from pipeline.csv_text import CHUNK_BYTES, NotRows
from pipeline.errors import Rejected, Skip, Wait
from pipeline.file_bytes import TRANSFER_SECONDS, opened
from pipeline.sources import Task
from pipeline.text_encodings import Encoding

if TYPE_CHECKING:
    from google.cloud.storage import Blob

OWNER_WAIT_SECONDS = 20
"""At most, before a slice asks again whether bytes that another one is reading are its own to load. Its end tells sooner."""
INFLATE_BYTES = 1024 * 1024
"""Decompressed at a time: a few stored bytes may hold thousands of times as many."""


@dataclass(frozen=True, slots=True)
class Original:
    """What one reading of all the bytes of a file tells."""

    sha256: str
    """Of the bytes as they are stored."""
    content_sha256: str
    """Of what they hold. An export compressed anew differs in its bytes and is the same file to its readers."""
    encoding: Encoding | None
    """What they say of their encoding; ``None`` where that is nothing new."""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Original:
        """What ``asdict`` made of it, from a checkpoint."""
        found = value["encoding"]
        return cls(value["sha256"], value["content_sha256"], Encoding(**found) if found else None)


def object_name(source: str, sha256: str, file: Mapping[str, Any]) -> str:
    """Where the bytes of a landing object are kept in bronze.

    An archive is kept whole, once for all its members. Nobody has read all of it, so its folder is named not by its bytes
    but by where it came from.
    """
    if file.get("member"):
        sha256 = hashlib.sha256(f"{file['bucket']}/{file['name']}#{file['generation']}".encode()).hexdigest()
    return bronze.file_name(source, sha256, PurePosixPath(file["name"]).name)


def keep(task: Task, file: Mapping[str, Any], evidence: Evidence | None, *, gzip: bool) -> Original:
    """Establish whose bytes these are, and copy them to bronze; a redelivery finds both done.

    ``file`` names ``bucket``, ``name`` and ``generation`` in landing, and ``member`` of an archive. Raises :class:`Skip` for
    bytes that another slice has loaded, :class:`Wait` while another slice is at work on them (its cursor saves reading them
    again), :class:`Rejected` when the object was replaced or deleted, or a member of an archive is damaged.
    """
    from google.api_core.exceptions import NotFound

    landing = clients.storage().bucket(file["bucket"]).blob(file["name"], generation=int(file["generation"]))
    name = names.shown_file(file)
    try:
        original = Original.from_json(task.cursor["read"]) if task.cursor else _read(landing, file, evidence, gzip=gzip)
        claim = arrivals.claim(task, original.content_sha256)
        if claim.verdict == "loaded_elsewhere":
            same = f"the same bytes (sha256 {original.sha256}) were loaded before, and nothing else came between"
            raise Skip(f"{name}: {same}")
        if claim.verdict == "in_flight_elsewhere":
            reason = f"{name}: another slice decides whether its bytes are loaded already"
            raise Wait(OWNER_WAIT_SECONDS, reason, waits_for=claim.waits_for, cursor={"read": asdict(original)})
        _copy(landing, clients.bronze_bucket().blob(object_name(task.source.name, original.sha256, file)))
    except NotFound:
        raise rejected(gone(name)) from None
    except NotRows as error:
        raise rejected(damaged(name, error)) from error
    return original


def _read(landing: Blob, file: Mapping[str, Any], evidence: Evidence | None, *, gzip: bool) -> Original:
    watch = _Watch(evidence, gzip=gzip)
    if file.get("member"):
        with opened(landing, file) as stream:
            while data := stream.read(CHUNK_BYTES):
                watch.write(data)
    else:
        landing.download_to_file(watch, raw_download=True, checksum="crc32c", timeout=TRANSFER_SECONDS)
    return Original(watch.sha256.hexdigest(), watch.content_sha256(), evidence.verdict() if evidence else None)


def damaged(name: str, error: NotRows) -> Problem:
    """Why a file is set aside that turned out to be no text when it was read."""
    step = "Check whether its upload was complete, and drop it again."
    return Problem(f"{name} is not a table of text to its end: {error}", step)


def rejected(problem: Problem) -> Rejected:
    return Rejected(problem.message, next_step=problem.next_step, kind=problem.kind)


def gone(name: str) -> Problem:
    """Why a file is not read that was planned, or told of, and is not there any more."""
    return Problem(
        f"{name} was replaced or deleted before it could be read",
        "A replaced file has a slice of its own; if it was deleted by mistake, drop it again.",
        kind="landing_overwritten",
    )


def _copy(landing: Blob, kept: Blob) -> None:
    """Inside Cloud Storage, in as many calls as a large object takes; create-only."""
    from google.api_core.exceptions import PreconditionFailed

    token = None
    while True:
        try:
            token, _, _ = kept.rewrite(landing, token=token, if_generation_match=0, timeout=TRANSFER_SECONDS)
        except PreconditionFailed:
            return  # the name holds the hash: these bytes are there already
        if token is None:
            return


class _Watch:
    """A file-like object that a download is written to: looks at what goes by and keeps nothing of it."""

    def __init__(self, evidence: Evidence | None, *, gzip: bool) -> None:
        self.sha256 = hashlib.sha256()
        self._evidence = evidence
        self._content = hashlib.sha256() if gzip else self.sha256
        self._inflate = zlib.decompressobj(31) if gzip else None

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        if self._inflate is None:
            self._look_at(data)
        else:
            self._feed_inflated(data)
        return len(data)

    def _look_at(self, content: bytes) -> None:
        if self._evidence is not None:
            self._evidence.feed(content)

    def content_sha256(self) -> str:
        """Of what the file holds."""
        return self._content.hexdigest()

    def _feed_inflated(self, data: bytes) -> None:
        """What is wrong with a gzip stream shows when its rows are read; here the file is then known by its bytes alone."""
        while data and self._inflate is not None:
            try:
                content = self._inflate.decompress(data, INFLATE_BYTES)
            except zlib.error:
                self._inflate, self._content = None, self.sha256
                return
            self._look_at(content)
            self._content.update(content)
            if self._inflate.eof:
                data = self._inflate.unused_data.lstrip(b"\0")
                self._inflate = zlib.decompressobj(31)
            else:
                data = self._inflate.unconsumed_tail
