"""Write ``docs/data-dictionary.md`` from the models' own descriptions.

``python dbt_job/data_dictionary.py --write`` writes it, ``--check`` fails when it is stale. The same descriptions are
persisted to BigQuery by dbt, so the page, the warehouse and the models cannot disagree.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

MODELS = Path(__file__).resolve().parent / "models"
PAGE = MODELS.parents[1] / "docs" / "data-dictionary.md"
LAYERS = (
    ("gold", "What reports read. Keys, types and not-null are enforced contracts."),
    ("audit", "What is known to be wrong, missing or odd; `aud_findings` sums it up."),
    ("silver", "One model per stream: renamed, typed, standardised, deduplicated. `silver_pii` is the restricted part."),
    ("bronze", "Rows as extracted, and the ledgers beside them."),
)


def page() -> str:
    """The page as Markdown."""
    lines = [
        "# Data dictionary",
        "",
        "Generated from the models' descriptions by `python dbt_job/data_dictionary.py --write`. Columns that begin with `_`"
        " are the pipeline's own.",
    ]
    for layer, words in LAYERS:
        lines += ["", f"## {layer}", "", words]
        for table in sorted(_tables(layer), key=lambda table: str(table["name"])):
            lines += ["", f"### {table['name']}", "", _one_line(table.get("description", ""))]
            if columns := table.get("columns"):
                lines += ["", "| column | type | meaning |", "|---|---|---|"]
                lines += [_row(column) for column in columns]
    return "\n".join(lines) + "\n"


def _tables(layer: str) -> Iterator[dict[str, Any]]:
    for path in sorted((MODELS / layer).rglob("*.yml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        yield from content.get("models") or ()
        for source in content.get("sources") or ():
            yield from source["tables"]


def _row(column: dict[str, Any]) -> str:
    kind = str(column.get("data_type", "")).upper()
    return f"| `{column['name']}` | {kind} | {_one_line(column.get('description', ''))} |"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> int:
    """0, or 1 when ``--check`` finds the page stale."""
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
        print(f"docs/{PAGE.name} is stale: run python dbt_job/data_dictionary.py --write", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
