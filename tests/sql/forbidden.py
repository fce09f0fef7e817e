"""SQL that the dbt project must not contain, each with the reason.

Two kinds: what the local BigQuery would compute differently from BigQuery (most of it is refused there as well), and
what the GoogleSQL analyzer does not know, so that its type check would be blind to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("dbt_job/models", "dbt_job/macros", "dbt_job/tests")
COMMENTS = re.compile(r"\{#.*?#\}|/\*.*?\*/|--[^\n]*", re.DOTALL)


@dataclass(frozen=True)
class Rule:
    """One forbidden construct.

    `pattern` is searched in SQL without comments, ignoring case; `example` is a text that it must find.
    """

    name: str
    pattern: str
    reason: str
    example: str
    folders: tuple[str, ...] = FOLDERS


LOCAL = "the local BigQuery computes it differently"
BLIND = "the GoogleSQL analyzer does not know it, so nothing would check its types"

RULES = (
    Rule("APPROX_QUANTILES", r"\bapprox_quantiles\s*\(", f"{LOCAL}: use percentile_cont", "approx_quantiles(x, 2)"),
    Rule(
        "%E in a format",
        r"\bformat_(timestamp|datetime|time)\s*\(\s*r?(['\"])(?:(?!\2).)*%E(?!z)",
        f"{LOCAL}: it would print the specifier",
        "format_timestamp('%H:%M:%E3S', at)",
    ),
    Rule(
        "%Q in a format", r"\bformat_\w+\s*\(\s*(['\"])(?:(?!\1).)*%Q", f"{LOCAL}: it has no quarters", "format_date('%Q', d)"
    ),
    Rule("MAX_BY, MIN_BY", r"\b(max|min)_by\s*\(", f"{BLIND}: use array_agg(... order by ... limit 1)", "max_by(a, b)"),
    Rule("CONTAINS_SUBSTR, SEARCH", r"(?<![.\w])(contains_substr|search)\s*\(", BLIND, "search(a, 'x')"),
    Rule("ML functions", r"\bml\.\w+\s*\(", BLIND, "ml.predict(model m, table t)"),
    Rule("_TABLE_SUFFIX, _FILE_NAME", r"\b_(table_suffix|file_name)\b", BLIND, "where _table_suffix = '1'"),
    Rule(
        "INFORMATION_SCHEMA in a model",
        r"\binformation_schema\b",
        f"{LOCAL}, and {BLIND}",
        "select * from d.INFORMATION_SCHEMA.TABLES",
        ("dbt_job/models", "dbt_job/tests"),
    ),
    Rule("time travel", r"\bfor\s+system_time\b", "the local BigQuery keeps no history", "from t for system_time as of x"),
    Rule(
        "JSON_KEYS without a depth of 1",
        r"\bjson_keys\s*\((?!(?:[^()]|\([^()]*\))*,\s*1\s*\))",
        f"{LOCAL}: it returns the keys of the first level",
        "json_keys(payload)",
    ),
    Rule(
        "weeks from other days",
        r"\bweek\s*\(\s*(?!monday|sunday)\w+\s*\)",
        f"{LOCAL}: only weeks from Sunday and Monday are right",
        "date_trunc(d, week(tuesday))",
    ),
    Rule("SUBSTR from 0", r"\bsubstr(ing)?\s*\([^,()]+,\s*0\s*[,)]", f"{LOCAL}: write 1", "substr(a, 0, 2)"),
    Rule("STRING of an instant", r"\bstring\s*\([^()]*,", f"{LOCAL}: it drops the offset", "string(at, 'Europe/London')"),
    Rule("BIGNUMERIC", r"\bbig(numeric|decimal)\b", f"{LOCAL}: it keeps 38 digits of 76", "cast(a as bignumeric)"),
    Rule("UNPIVOT", r"\bunpivot\s*\(", f"{LOCAL}: the order of columns differs", "unpivot(v for k in (a, b))"),
    Rule("MERGE INSERT ROW", r"\binsert\s+row\b", "the local BigQuery refuses it", "when not matched then insert row"),
    Rule("TABLESAMPLE", r"\btablesample\b", "its rows differ at every run", "from t tablesample system (1 percent)"),
    Rule(
        "external data",
        r"\b(load\s+data|export\s+data|external\s+table)\b",
        "the local BigQuery refuses it",
        "load data into t",
    ),
    Rule(
        "procedures of a dataset", r"\bcreate\s+(or\s+replace\s+)?(function|procedure)\b", BLIND, "create function f() as (1)"
    ),
)


def strip_comments(sql: str) -> str:
    """Blank out SQL and Jinja comments, keeping line numbers."""
    return COMMENTS.sub(lambda found: "\n" * found[0].count("\n"), sql)


def findings(sql: str, folder: str) -> Iterator[tuple[int, Rule]]:
    """Yield (line, rule) for each forbidden construct in a text of a folder of the dbt project."""
    text = strip_comments(sql)
    for rule in RULES:
        if folder in rule.folders:
            for found in re.finditer(rule.pattern, text, re.IGNORECASE | re.DOTALL):
                yield text.count("\n", 0, found.start()) + 1, rule


def check(root: Path = ROOT) -> list[str]:
    """Return a line for each forbidden construct in the dbt project below `root`."""
    return [
        f"{path.relative_to(root)}:{line}: {rule.name}: {rule.reason}"
        for folder in FOLDERS
        for path in sorted((root / folder).rglob("*.sql"))
        for line, rule in findings(path.read_text(), folder)
    ]
