"""The pipeline that the functions deploy: from a source to BigQuery's bronze dataset, and on to the dbt job.

Modules in the order that data flows: ``contract`` (what), ``events`` (a delivery becomes a message), ``plan`` (a run becomes
slices), ``ingest`` (one slice: ``sources`` fetch, ``bronze`` writes), ``load`` (manifest to BigQuery), ``transform`` (start
dbt), ``build`` (what the dbt job does around dbt). ``sweep`` sends again what is due, ``control`` lets people see and rerun.

State: ``state`` (the ledger), ``names`` (of its objects), ``slices`` and ``runs`` (the state machine), ``messages`` (hints).
Beside all of them: ``clients`` (addresses and settings), ``clock``, ``errors``, ``journal``, ``tables``. Reading delimited
files: ``presets``, ``originals`` and the ``csv_*`` modules, from bytes (``csv_text``) to rows (``csv_rows``).
"""
