"""The pipeline that the functions deploy: from a source to BigQuery's bronze dataset, and on to the dbt job.

Modules in the order that data flows: ``contract`` (what), ``events`` (a delivery becomes a message), ``plan`` (a run becomes
slices), ``ingest`` (one slice: ``sources`` fetch, ``bronze`` writes), ``load`` (manifest to BigQuery), ``transform`` (start
dbt), ``build`` (what the dbt job does around dbt). ``runs`` keeps the state of all of it, ``control`` lets people see and
rerun it. ``clients``, ``errors`` and ``journal`` serve every one.
"""
