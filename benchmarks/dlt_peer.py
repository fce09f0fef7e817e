"""dlt, CSV to gzip JSON lines in a folder, by its own CSV reader: ``dlt_peer.py CSV FOLDER``. Runs in .venvs/bench."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import dlt
from dlt.sources.filesystem import filesystem, read_csv
from processes import peak_rss_bytes


def main(source: Path, folder: Path) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    destination = dlt.destinations.filesystem(bucket_url=(folder / "bucket").as_uri())
    pipeline = dlt.pipeline("orders", pipelines_dir=str(folder / "state"), destination=destination, dataset_name="bronze")
    reader = read_csv(chunksize=10_000, dtype=str, keep_default_na=False)
    orders = (filesystem(source.parent.as_uri(), file_glob=source.name) | reader).with_name("orders")
    pipeline.run(orders, loader_file_format="jsonl").raise_on_failed_jobs()
    took = {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    rows = pipeline.last_trace.last_normalize_info.row_counts["orders"]
    size = sum(path.stat().st_size for path in (folder / "bucket").rglob("orders/*") if path.is_file())
    print(json.dumps({**took, "peak_rss_bytes": peak_rss_bytes(), "output_bytes": size, "rows": rows}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
