"""DuckDB, CSV to one file: ``duckdb_peer.py CSV OUTPUT json|parquet [THREADS]``. Runs in .venvs/bench.

JSON: all values as text, as the pipeline's rows are. Parquet: typed as DuckDB finds best. Without THREADS, it takes
every core.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import duckdb
from processes import peak_rss_bytes


def main(source: str, output: str, form: str, threads: str | None = None) -> None:
    connection = duckdb.connect(config={"threads": threads} if threads else {})
    columns = ", all_varchar = true" if form == "json" else ""
    target = "format json, compression gzip" if form == "json" else "format parquet"
    wall, cpu = time.perf_counter(), time.process_time()
    statement = f"copy (from read_csv('{source}', header = true{columns})) to '{output}' ({target})"
    (rows,) = connection.execute(statement).fetchone()
    took = {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    print(json.dumps({**took, "peak_rss_bytes": peak_rss_bytes(), "output_bytes": Path(output).stat().st_size, "rows": rows}))


if __name__ == "__main__":
    main(*sys.argv[1:])
