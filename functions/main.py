"""The doors: what Google Cloud invokes. A few lines each, imports inside, no logic; the contract names them too."""

from typing import Any

import functions_framework


@functions_framework.cloud_event
def ingest_crm(event: Any) -> None:
    """Topic ``crm``: plan a run of CRM files, or extract one of its slices to bronze."""
    from pipeline import events, ingest

    events.deliver(event, ingest.handle)


@functions_framework.cloud_event
def load_bronze(event: Any) -> None:
    """Topic ``manifests``: a slice is complete in the bronze bucket; load it into BigQuery."""
    from pipeline import events, load

    events.deliver(event, load.handle)


@functions_framework.cloud_event
def start_dbt(event: Any) -> None:
    """Topic ``transform``: note that a transform is wanted; start the dbt job if none is building."""
    from pipeline import events, transform

    events.deliver(event, transform.handle)


@functions_framework.http
def control(request: Any) -> Any:
    """HTTP: runs, retries, the sweeper, dead letters."""
    from pipeline import control

    return control.respond(request)
