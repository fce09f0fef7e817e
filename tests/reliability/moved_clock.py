"""Machines whose clock the storm moves, and the dbt job on them.

``MOVABLE_CLOCK`` names a file that holds by how many seconds the machines' clocks are ahead of the world's. So a lease of
ten minutes is over at once, and an hour's quota too; Cloud Storage's clock stays as it is. Run as a script, this is the dbt
job's container, in dbt's own environment.

Why not the sandbox's ``Clock``: that one moves a function's time between its requests and leaves the dbt job's alone. A storm
has time pass in the middle of an invocation, for all workers at once, while their work and the engines go on.
"""

import importlib.util
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
AHEAD = Path(os.environ["MOVABLE_CLOCK"])


def install() -> None:
    """Before any other module of the pipeline takes its own reference."""
    from pipeline import clock

    clock.now = lambda: datetime.now(UTC) + timedelta(seconds=float(AHEAD.read_text()))


def dbt_job() -> Any:
    """The job's module: what the container runs."""
    spec = importlib.util.spec_from_file_location("job", ROOT / "dbt_job" / "job.py")
    assert spec is not None
    assert spec.loader is not None
    job = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(job)
    return job


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "functions"))
    install()
    sys.exit(dbt_job().main())
