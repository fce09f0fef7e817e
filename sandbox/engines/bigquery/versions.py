"""The versions that the replacements in this package were written for, and the refusal of all others."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

REQUIRED = {"bqemulator": "1.4.0", "sqlglot": "30.11.0", "duckdb": "1.5.5"}
REMEDY = "make the environment from requirements/bigquery.txt"


class WrongVersion(RuntimeError):
    """An installed package is not the version that this package patches."""


def check() -> None:
    """Compare the installed packages with `REQUIRED`.

    The replacements reach into private names, so another version may run and answer wrongly; nothing but the exact
    version is safe.

    Raises:
        WrongVersion: a package is missing or has another version; the message names it and the remedy.
    """
    for name, wanted in REQUIRED.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            raise WrongVersion(f"{name} {wanted} is not installed: {REMEDY}") from None
        if found != wanted:
            raise WrongVersion(f"the local BigQuery is written for {name} {wanted}, found {found}: {REMEDY}")
