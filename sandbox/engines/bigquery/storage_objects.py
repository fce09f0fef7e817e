"""`gs://` addresses of a load job: the objects are fetched from the Storage engine's JSON API into a directory."""

from __future__ import annotations

import fnmatch
import http.client
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

TIMEOUT_SECONDS = 60
GZIP_MAGIC = b"\x1f\x8b"


class ObjectMissing(LookupError):
    """No object answers to a `gs://` address; the message is BigQuery's."""


class StorageUnreachable(OSError):
    """The Storage engine did not answer or is not configured."""


@dataclass(frozen=True)
class SourceFile:
    """One file of a load job: the address that messages name, and where its bytes are."""

    uri: str
    path: Path

    @property
    def gzipped(self) -> bool:
        """True when the content begins as gzip does; names and metadata are not trusted, as BigQuery does not."""
        with self.path.open("rb") as stream:
            return stream.read(2) == GZIP_MAGIC


class StorageObjects:
    """Reads objects of the emulated Cloud Storage.

    Args:
        address: base address of the Storage engine, `http://host:port`; None refuses every `gs://` address.
    """

    def __init__(self, address: str | None) -> None:
        self.address = address

    def fetch(self, uris: Sequence[str], directory: Path) -> list[SourceFile]:
        """Copy every object that the addresses name into `directory`, in the order given.

        Args:
            uris: `gs://bucket/object`, with at most one `*` in the object's name as BigQuery allows; `file://` paths
                are used in place (uploads arrive as such).
        Raises:
            ObjectMissing: an address names no object.
            StorageUnreachable: the engine cannot be asked.
        """
        found: list[SourceFile] = []
        for uri in uris:
            if uri.startswith("file://"):
                found.append(SourceFile(uri, Path(uri.removeprefix("file://"))))
                continue
            if not uri.startswith("gs://") or "/" not in uri[5:]:
                raise ObjectMissing(f"Not found: URI {uri}")
            bucket, name = uri[5:].split("/", 1)
            names = list(self._matching(bucket, name)) if "*" in name else [name]
            if not names:
                raise ObjectMissing(f"Not found: Uris {uri}")
            for each in names:
                path = directory / f"{len(found):06d}"
                self._download(bucket, each, path)
                found.append(SourceFile(f"gs://{bucket}/{each}", path))
        return found

    def _connect(self) -> http.client.HTTPConnection:
        if not self.address:
            raise StorageUnreachable("the local BigQuery was started without --storage: gs:// cannot be read")
        parts = urlsplit(self.address)
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)

    def _download(self, bucket: str, name: str, path: Path) -> None:
        connection = self._connect()
        try:
            # Accept-Encoding: gzip keeps Cloud Storage from decompressing objects stored with that content encoding.
            target = f"/storage/v1/b/{quote(bucket, safe='')}/o/{quote(name, safe='')}?alt=media"
            connection.request("GET", target, headers={"Accept-Encoding": "gzip"})
            response = connection.getresponse()
            if response.status == 404:
                raise ObjectMissing(f"Not found: URI gs://{bucket}/{name}")
            if response.status != 200:
                raise StorageUnreachable(f"Storage answered {response.status} for gs://{bucket}/{name}")
            with path.open("wb") as stream:
                shutil.copyfileobj(response, stream, 1 << 20)
        except (ConnectionError, TimeoutError, http.client.HTTPException) as error:
            raise StorageUnreachable(f"Storage at {self.address} did not answer: {error}") from error
        finally:
            connection.close()

    def _matching(self, bucket: str, pattern: str) -> Iterator[str]:
        token = ""
        literal = pattern.replace("[", "[[]").replace("?", "[?]")
        while True:
            query = {"prefix": pattern.split("*", 1)[0], **({"pageToken": token} if token else {})}
            connection = self._connect()
            try:
                connection.request("GET", f"/storage/v1/b/{quote(bucket, safe='')}/o?{urlencode(query)}")
                response = connection.getresponse()
                page = json.loads(response.read() or b"{}")
                if response.status == 404:
                    raise ObjectMissing(f"Not found: URI gs://{bucket}/{pattern}")
                if response.status != 200:
                    raise StorageUnreachable(f"Storage answered {response.status} listing gs://{bucket}")
            except (ConnectionError, TimeoutError, http.client.HTTPException) as error:
                raise StorageUnreachable(f"Storage at {self.address} did not answer: {error}") from error
            finally:
                connection.close()
            for item in page.get("items", []):
                if fnmatch.fnmatchcase(item["name"], literal):
                    yield item["name"]
            token = page.get("nextPageToken", "")
            if not token:
                return
