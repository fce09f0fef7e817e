@functions_framework.cloud_event
def ingest_weather(event: Any) -> None:
    """Topic ``weather``: plan a run, or extract one of its slices to bronze."""
    from pipeline import events, ingest

    events.deliver(event, ingest.handle)
