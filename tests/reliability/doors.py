"""The product's doors as they are, on machines whose clock the storm can move; and the dbt job without dbt."""

from typing import Any

import functions_framework
import moved_clock

moved_clock.install()

from main import control, ingest_crm, load_bronze, start_dbt  # noqa: E402, F401  (what is deployed)


@functions_framework.http
def dbt(request: Any) -> Any:
    """The Cloud Run job, around a dbt that does nothing: the build is claimed, its slices are registered, it is settled."""
    job = moved_clock.dbt_job()
    job.run_dbt = lambda build: 0
    job.HERE = moved_clock.AHEAD.parent  # no artifacts of some other dbt
    return str(job.main())
