"""The bronze bucket: object names, streaming gzip JSONL parts, manifests. The only module that knows its paths.

Objects are created, never overwritten. A part's name carries the epoch of the claim that wrote it, so a zombie and its
successor never meet; only parts that a manifest names are ever loaded.
"""

from __future__ import annotations

import base64
import functools
import json
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import chain, count, repeat
from typing import TYPE_CHECKING, Any, BinaryIO

from pipeline import clients, state
from pipeline.errors import Retryable
from pipeline.sources import Aside, Page
from pipeline.text_rows import TextRows

if TYPE_CHECKING:
    from google.cloud.storage import Blob

PART_ROWS = 250_000
"""Rows of one object at most: small enough to load alone, large enough that a day of one account is one object."""
PART_BYTES = 128 * 1024 * 1024
"""Compressed bytes of one object at most."""
ROW_BYTES = 10 * 1024 * 1024
"""A larger row is set aside: no load job would take a line of 100 MB, and no report needs one of 10."""
UPLOAD_CHUNK_BYTES = 8 * 1024 * 1024
GZIP_LEVEL = 4
_GZIP_WINDOW = 31  # zlib's way to say "with a gzip header"; it writes no time, so equal rows make equal bytes


def manifest_name(run: str, slice_id: str) -> str:
    return f"manifests/{run}/{slice_id}.json"


def parse_manifest_name(name: str) -> tuple[str, str] | None:
    """Run and slice of a manifest's object name; ``None`` for any other object."""
    parts = name.split("/")
    if len(parts) != 3 or parts[0] != "manifests" or not parts[2].endswith(".json"):
        return None
    return parts[1], parts[2].removesuffix(".json")


def file_name(source: str, sha256: str, base_name: str) -> str:
    """Where the original bytes of a file are kept."""
    return f"files/{source}/{sha256}/{base_name}"


def part_prefix(data: Mapping[str, Any]) -> str:
    """Folder of a slice's parts, from its state: readable, and prunable by source, stream, account and window."""
    window = f"from={data['from'] or 'file'}/to={data['to'] or 'file'}"
    return f"rows/{data['source']}/{data['stream']}/account={data['account']}/{window}/run={data['run_id']}"


@dataclass(frozen=True, slots=True)
class Part:
    """A finished object of a slice."""

    name: str
    rows: int
    bytes: int
    crc32c: str


@dataclass(slots=True)
class _OpenPart:
    """An object under way: compressed and uploaded in chunks, so memory does not grow with it.

    Lines are compressed in another thread while the next ones are made: zlib takes a third of the time, and holds no lock of
    the interpreter. One page is ahead at most, and everything else, uploads too, stays in the caller's thread.
    """

    blob: Blob
    file: BinaryIO
    deflate: Any
    checksum: Any
    rows: int = 0
    size_bytes: int = 0
    """Of what is compressed so far: up to one page behind ``rows``."""
    _ahead: Future[bytes] | None = None

    def write(self, lines: bytes, rows: int) -> None:
        before, self._ahead = self._ahead, _compressor().submit(self.deflate.compress, lines)
        if before is not None:
            self._upload(before.result())
        self.rows += rows

    def close(self) -> Part:
        if self._ahead is not None:
            self._upload(self._ahead.result())
        self._upload(self.deflate.flush())
        self.file.close()
        self.blob.reload(timeout=state.TIMEOUT_SECONDS)
        crc32c = base64.b64encode(self.checksum.digest()).decode()
        if self.blob.crc32c != crc32c or self.blob.size != self.size_bytes:
            raise Retryable(
                f"{self.blob.name}: stored {self.blob.size} bytes {self.blob.crc32c}, sent {self.size_bytes} {crc32c}"
            )
        return Part(self.blob.name, self.rows, self.size_bytes, crc32c)

    def _upload(self, data: bytes) -> None:
        if data:
            self.checksum.update(data)
            self.size_bytes += len(data)
            self.file.write(data)


@functools.cache
def _compressor() -> ThreadPoolExecutor:
    """The one thread that compresses, begun with the first part: calls of one object come in their order."""
    return ThreadPoolExecutor(1, thread_name_prefix="compress")


def _create(name: str) -> _OpenPart:
    import google_crc32c

    blob = clients.bronze_bucket().blob(name, chunk_size=UPLOAD_CHUNK_BYTES)
    file = blob.open("wb", if_generation_match=0, content_type="application/gzip", timeout=state.TIMEOUT_SECONDS)
    deflate = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    return _OpenPart(blob, file, deflate, google_crc32c.Checksum())  # type: ignore[no-untyped-call]


@dataclass(slots=True)
class SliceWriter:
    """Writes the rows of one claim of a slice. ``parts`` and ``asides`` start with what earlier claims kept.

    ``add`` streams; ``flush`` finishes the open objects, after which everything added is safe and may be checkpointed.
    """

    data: Mapping[str, Any]
    """The slice's state: run, slice, account, ``as_of``."""
    parts: list[Part] = field(default_factory=list)
    asides: list[Part] = field(default_factory=list)
    unfaithful: int = 0
    """Numbers written as text because no 64-bit number holds them."""
    _rows: _OpenPart | None = None
    _aside: _OpenPart | None = None
    _flushed_at: float = field(default_factory=time.monotonic)

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts) + (self._rows.rows if self._rows else 0)

    @property
    def aside(self) -> int:
        return sum(part.rows for part in self.asides) + (self._aside.rows if self._aside else 0)

    @property
    def size_bytes(self) -> int:
        return sum(part.bytes for part in (*self.parts, *self.asides))

    @property
    def seconds_since_flush(self) -> float:
        return time.monotonic() - self._flushed_at

    @property
    def is_full(self) -> bool:
        """Whether the open part has reached its size and should be flushed."""
        return self._rows is not None and (self._rows.rows >= PART_ROWS or self._rows.size_bytes >= PART_BYTES)

    def add(self, page: Page, file: str | None) -> None:
        """Append a page's rows, and set its bad ones aside. A row that cannot be written is set aside as well."""
        head = self._head(file)
        asides = list(page.aside)
        text = self._text_lines(page, head.decode()) if isinstance(page.rows, TextRows) else None
        if text is not None:
            self._write_rows(text, len(page.rows))
        else:
            lines = self._lines(page, head, asides)
            self._write_rows(b"".join(lines), len(lines))
        if asides:
            self._aside = self._aside or _create(self._name("aside", len(self.asides)))
            first = self.aside + 1
            text = b"".join(self._aside_line(head, first + i, aside) for i, aside in enumerate(asides))
            self._aside.write(text, len(asides))

    def _write_rows(self, text: bytes, rows: int) -> None:
        if rows:
            self._rows = self._rows or _create(self._name("part", len(self.parts)))
            self._rows.write(text, rows)

    def _text_lines(self, page: Page, head: str) -> bytes | None:
        """The lines of a page of text; ``None`` where its rows must be looked at one by one."""
        assert isinstance(page.rows, TextRows)
        try:
            payloads = page.rows.json_texts()
        except TypeError:
            return None
        if payloads is None or max(map(len, payloads), default=0) > ROW_BYTES // 4:  # UTF-8 has at most 4 bytes a character
            return None
        places: list[Iterable[str]] = [repeat(head + '"_row":'), map(str, count(self.rows + 1))]
        if page.lines:
            places += [repeat(',"_line":'), map(str, page.lines)]
        pieces = zip(*places, repeat(',"payload":'), payloads, repeat("}\n"))
        return "".join(chain.from_iterable(pieces)).encode()

    def _lines(self, page: Page, head: bytes, asides: list[Aside]) -> list[bytes]:
        """The lines of any page; a row that cannot be written goes to ``asides``."""
        first = self.rows + 1
        lines: list[bytes] = []
        numbers = page.lines or None
        for index, payload in enumerate(page.rows):
            line = numbers[index] if numbers else None
            encoded = self._encode(payload, line)
            if isinstance(encoded, Aside):
                asides.append(encoded)
                continue
            place = b'"_row":%d,' % (first + len(lines))
            if line is not None:
                place += b'"_line":%d,' % line
            lines.append(b"".join((head, place, b'"payload":', encoded, b"}\n")))
        return lines

    def flush(self) -> None:
        """Finish the open objects. Raises :class:`Retryable` when Storage holds other bytes than were sent."""
        if self._rows is not None:
            self.parts.append(self._rows.close())
            self._rows = None
        if self._aside is not None:
            self.asides.append(self._aside.close())
            self._aside = None
        self._flushed_at = time.monotonic()

    def _name(self, kind: str, number: int) -> str:
        prefix = part_prefix(self.data)
        return f"{prefix}/{self.data['slice_id']}.{self.data['epoch']}.{kind}-{number:05d}.jsonl.gz"

    def _head(self, file: str | None) -> bytes:
        day = datetime.fromisoformat(self.data["as_of"]).date().isoformat()
        head = {
            "_run_id": self.data["run_id"],
            "_slice_id": self.data["slice_id"],
            "_account_id": self.data["account"],
            "_date": day,
        }
        if file is not None:
            head["_file"] = file
        return json.dumps(head, ensure_ascii=False).encode()[:-1] + b","

    def _encode(self, payload: Mapping[str, Any], line: int | None) -> bytes | Aside:
        try:
            encoded = _json(payload)
        except (ValueError, TypeError, RecursionError, UnicodeError):
            faithful, count = _faithful(payload)
            self.unfaithful += count
            try:
                encoded = json.dumps(faithful, ensure_ascii=False, allow_nan=False).encode()
            except (ValueError, TypeError, RecursionError, UnicodeError) as error:
                return Aside(f"not_json: {type(error).__name__}", repr(payload)[:ROW_BYTES], line)
        if len(encoded) > ROW_BYTES:
            return Aside("row_too_large", encoded[:ROW_BYTES].decode(errors="replace"), line, value=f"{len(encoded)} bytes")
        return encoded

    def _aside_line(self, head: bytes, row: int, aside: Aside) -> bytes:
        payload = {"reason": aside.reason, "column": aside.column, "value": aside.value, "raw": aside.raw}
        place = {"_row": row, "_line": aside.line, "_stream": f"{self.data['source']}.{self.data['stream']}"}
        # ensure_ascii: half a surrogate pair is written as \udXXX, which keeps the line readable for every parser.
        text = json.dumps({**place, "payload": {k: _clean(v) for k, v in payload.items() if v is not None}})
        return head + text.encode()[1:] + b"\n"


def _json(payload: Mapping[str, Any]) -> bytes:
    """Fast and exact for text; refuses what JSON or 64 bits cannot hold instead of writing null."""
    import orjson

    encoded: bytes = orjson.dumps(payload)
    if b"null" in encoded and _has_nan(payload):
        raise ValueError("NaN or infinity")
    return encoded


def _has_nan(value: Any) -> bool:
    """orjson writes NaN and the infinities as null; only a payload that holds a null at all is searched."""
    if isinstance(value, float):
        return value != value or value in (float("inf"), float("-inf"))
    if isinstance(value, Mapping):
        return any(_has_nan(item) for item in value.values())
    return isinstance(value, list | tuple) and any(_has_nan(item) for item in value)


def _faithful(value: Any) -> tuple[Any, int]:
    """The value with every integer beyond 64 bits as text, and how many there were."""
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
        return str(value), 1
    if isinstance(value, Mapping):
        pairs = {name: _faithful(item) for name, item in value.items()}
        return {name: item for name, (item, _) in pairs.items()}, sum(count for _, count in pairs.values())
    if isinstance(value, list | tuple):
        items = [_faithful(item) for item in value]
        return [item for item, _ in items], sum(count for _, count in items)
    return value, 0


def _clean(text: str) -> str:
    """Text that any JSON parser takes: what is no character becomes the replacement character."""
    return text.encode("utf-8", errors="replace").decode("utf-8")


def as_json(parts: Sequence[Part]) -> list[dict[str, Any]]:
    return [asdict(part) for part in parts]


def from_json(parts: Sequence[Mapping[str, Any]]) -> list[Part]:
    return [Part(**part) for part in parts]


def uri(name: str) -> str:
    return f"gs://{clients.bronze_bucket().name}/{name}"


def write_manifest(data: Mapping[str, Any], writer: SliceWriter, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Say that a slice is complete. The first manifest wins; returns the one that holds.

    ``facts`` are what the source told: for files name, hash and time; ``non_rows`` and ``unknown_fields`` among them.
    """
    known = ("file_name", "file_sha256", "file_at", "non_rows", "unknown_fields")
    manifest = {
        "v": 1,
        **{name: data[name] for name in ("run_id", "slice_id", "source", "stream", "account", "from", "to", "mode")},
        **{name: data[name] for name in ("as_of", "request", "contract")},
        "rows": writer.rows,
        "aside": writer.aside,
        "bytes": writer.size_bytes,
        "parts": as_json(writer.parts),
        "asides": as_json(writer.asides),
        **{name: facts.get(name) for name in known},
        "numbers_as_text": writer.unfaithful,
        "api": {name: value for name, value in facts.items() if name not in known},
    }
    name = manifest_name(data["run_id"], data["slice_id"])
    stored = state.create_object(clients.bronze_bucket(), name, manifest)
    return stored.data if stored else read_manifest(data["run_id"], data["slice_id"]) or manifest


def read_manifest(run: str, slice_id: str) -> dict[str, Any] | None:
    """The manifest of a slice, or ``None`` while there is none."""
    from google.api_core.exceptions import NotFound

    blob = clients.bronze_bucket().blob(manifest_name(run, slice_id))
    try:
        manifest: dict[str, Any] = json.loads(blob.download_as_bytes(timeout=state.TIMEOUT_SECONDS))
    except NotFound:
        return None
    return manifest
