"""The pipeline's own loop alone, without Storage and HTTP: ``conversion.py CSV FOLDER``, in the functions' environment.

The rows of a local file are read, checked and written as gzip JSON lines into a folder, by the modules that the deployed
function does it with. What this takes is what the function cannot do without; the rest of its time goes into transfers.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import google_crc32c

from benchmarks.processes import peak_rss_bytes
from pipeline import bronze, clients, contract, presets
from pipeline.csv_head import HEAD_BYTES, look
from pipeline.sources.crm import pages_of


@dataclass(slots=True)
class FolderBlob:
    """A file in place of an object, with as much of an object's interface as the writer of parts asks for."""

    path: Path
    name: str
    size: int = 0
    crc32c: str = ""

    def open(self, mode: str, **_options: Any) -> BinaryIO:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return cast("BinaryIO", self.path.open(mode))

    def reload(self, **_options: Any) -> None:
        data = self.path.read_bytes()
        self.size, self.crc32c = len(data), base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()


@dataclass(slots=True)
class FolderBucket:
    """A folder in place of the bronze bucket."""

    folder: Path

    def blob(self, name: str, **_options: Any) -> FolderBlob:
        return FolderBlob(self.folder / name, name)


def convert(csv: Path, folder: Path) -> Mapping[str, int]:
    """Rows and compressed bytes written."""
    source = contract.load().source("crm")

    def piece(start: int) -> bytes:
        with csv.open("rb") as file:
            file.seek(start)
            return file.read(HEAD_BYTES)

    found = look(csv.name, csv.stat().st_size, piece, book=presets.load(source, {}), streams=source.streams, time_zone="UTC")
    assert found.reading is not None, found.problem
    bucket = FolderBucket(folder)
    # Not a setting of the pipeline: a function has no other place for its rows than Storage.
    clients.bronze_bucket = lambda: bucket
    names = {"source": "crm", "stream": found.stream, "account": "default", "from": None, "to": None}
    writer = bronze.SliceWriter(
        {**names, "run_id": "crm-run", "slice_id": "slice", "epoch": 1, "as_of": "2025-01-01T00:00:00Z"}
    )
    with csv.open("rb") as stream:
        for page in pages_of(stream, found.reading, {"rows": 0}, {"file_name": csv.name}):
            writer.add(page, csv.name)
            if writer.is_full:
                writer.flush()
    writer.flush()
    return {"rows": writer.rows, "output_bytes": writer.size_bytes}


def main(csv: Path, folder: Path) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    made = convert(csv, folder)
    took = {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    print(json.dumps({**took, "peak_rss_bytes": peak_rss_bytes(), **made}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
