"""The product's doors as they are, on machines whose clock the storm can move; and the dbt job without dbt.

``MOVABLE_CLOCK`` names a file that holds by how many seconds the machines' clocks are ahead of the world's. So a lease of
ten minutes is over at once, and an hour's quota too; Cloud Storage's clock stays as it is.
"""

import importlib.util
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import functions_framework

from pipeline import clock

_AHEAD = Path(os.environ["MOVABLE_CLOCK"])


def _now() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=float(_AHEAD.read_text()))


clock.now = _now  # before any other module of the pipeline takes its own reference

from main import control, ingest_crm, load_bronze, start_dbt  # noqa: E402, F401  (what is deployed)


@functions_framework.http
def dbt(request: Any) -> Any:
    """The Cloud Run job, around a dbt that does nothing: the build is claimed, its slices are registered, it is settled."""
    path = Path(__file__).resolve().parents[2] / "dbt_job" / "job.py"
    spec = importlib.util.spec_from_file_location("job", path)
    assert spec is not None
    assert spec.loader is not None
    job = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(job)
    job.run_dbt = lambda build: 0
    job.HERE = Path(os.environ["MOVABLE_CLOCK"]).parent  # no artifacts of some other dbt
    return str(job.main())
