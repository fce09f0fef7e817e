"""Finish the environment after `pip install`: place DuckDB's extensions where the engine looks for them.

DuckDB would fetch its extensions from the network at the first `LOAD`. The extensions come as Python packages instead
and are copied once into `<environment>/duckdb`, which `use_environment_home` makes DuckDB's home, so that nothing is
written to the user's home directory and the engine starts offline.

    python -m sandbox.engines.bigquery.prepare
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sandbox.engines.bigquery import versions

EXTENSIONS = ("spatial", "icu", "json")


def home() -> Path:
    """Return the directory that stands for DuckDB's home inside the environment."""
    return Path(sys.prefix) / "duckdb"


def use_environment_home() -> None:
    """Point this process's HOME at `home()`: DuckDB keeps its extensions under `~/.duckdb`.

    bqemulator opens its connection itself, so DuckDB's `extension_directory` setting cannot be given to it.
    """
    os.environ["HOME"] = str(home())


def main() -> int:
    """Copy the extensions and prove that each one loads. Returns a process exit code."""
    versions.check()
    home().mkdir(parents=True, exist_ok=True)
    use_environment_home()
    import duckdb
    from duckdb_extensions import import_extension

    for name in EXTENSIONS:
        import_extension(name)
        duckdb.execute(f"LOAD {name}")
    print(f"local BigQuery: DuckDB {duckdb.__version__} with {', '.join(EXTENSIONS)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
