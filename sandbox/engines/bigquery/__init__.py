"""The local BigQuery: bqemulator 1.4.0 corrected, run as a process of its own.

Everything here runs inside the environment that `requirements/bigquery.txt` describes, and nowhere else; the rest of
the sandbox starts it through `sandbox.engines.bigquery_process`. bqemulator answers BigQuery's REST API with DuckDB
underneath. It accepts much that it does not do, so each module of this package replaces one such part by name and
`compat.install` refuses every version but the one that the replacements were written for.

It is not BigQuery. SQL is judged by the GoogleSQL analyzer (`tests/sql/googlesql.py`); this engine computes the rows.
"""
