"""Casts between text and other types, as strict as BigQuery's and with BigQuery's text.

DuckDB casts '12.5' to the integer 13, '1e3' to 1000, '2026-01-05 10:00' to a DATE and 't' to a BOOL, where BigQuery
fails (or SAFE_CAST gives NULL), and writes NUMERIC 12.5 as '12.500000000' and FLOAT64 1 as '1.0', where BigQuery
writes '12.5' and '1'. The corrections are DuckDB macros; their tests of the operand's type are decided when a
statement is prepared, so a cast from another type costs nothing more.
"""

from __future__ import annotations

import re
from typing import Any

DATE = r"\d{4}-\d{1,2}-\d{1,2}"
CLOCK = r"\d{1,2}:\d{1,2}:\d{1,2}(\.\d{1,6})?"
ZONE = r"(Z|z| ?[+-]\d{1,2}(:\d{2})?| (UTC|[A-Za-z]+(/[A-Za-z_+-]+\d*)+))?"
NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"

#: DuckDB type -> (macro's name, BigQuery's name of the type, shape that a text must have)
FROM_TEXT = {
    "BIGINT": ("int64", "int64", r"\s*[+-]?(\d+|0[xX][0-9a-fA-F]+)\s*"),
    "DOUBLE": ("float64", "double", rf"(?i)\s*({NUMBER}|[+-]?inf(inity)?|nan)\s*"),
    "DATE": ("date", "date", rf"\s*{DATE}\s*"),
    "TIMESTAMPTZ": ("timestamp", "timestamp", rf"\s*{DATE}([Tt ]{CLOCK})?{ZONE}\s*"),
    "TIMESTAMP": ("datetime", "datetime", rf"\s*{DATE}([Tt ]{CLOCK})?\s*"),
    "BOOLEAN": ("bool", "bool", r"(?i)\s*(true|false)\s*"),
}
DECIMAL_ZEROS = r"(\.\d*?)0+$"


def macros() -> list[str]:
    """Return the CREATE MACRO statements; they are kept in the database and replaced at every start."""
    out = []
    for kind, (name, theirs, shape) in FROM_TEXT.items():
        text = f"regexp_full_match(CAST(x AS VARCHAR), '{shape}')"
        # BigQuery rounds a FLOAT64 half away from zero; DuckDB's cast rounds half to even.
        whole = "WHEN typeof(x) = 'DOUBLE' THEN TRY_CAST(round(TRY_CAST(x AS DOUBLE)) AS BIGINT) "
        other = whole if kind == "BIGINT" else ""
        out.append(
            f"CREATE OR REPLACE MACRO local_safe_{name}(x) AS CASE {other}"
            f"WHEN typeof(x) = 'VARCHAR' AND NOT {text} THEN NULL ELSE TRY_CAST(x AS {kind}) END"
        )
        # A cast that cannot succeed, not error(): that one is volatile, which TRY and GROUP BY do not take.
        failure = f"'Bad {theirs} value: ' || CAST(x AS VARCHAR)"
        out.append(
            f"CREATE OR REPLACE MACRO local_{name}(x) AS CASE {other}"
            f"WHEN typeof(x) = 'VARCHAR' AND x IS NOT NULL AND NOT {text} THEN CAST({failure} AS {kind}) "
            f"ELSE CAST(x AS {kind}) END"
        )
    text = "CAST(x AS VARCHAR)"
    out.append(
        "CREATE OR REPLACE MACRO local_string(x) AS CASE "
        f"WHEN typeof(x) LIKE 'DECIMAL%' THEN regexp_replace(regexp_replace({text}, '{DECIMAL_ZEROS}', '\\1'), "
        "'\\.$', '') "
        f"WHEN typeof(x) = 'DOUBLE' THEN regexp_replace({text}, '\\.0$', '') "
        f"WHEN typeof(x) = 'TIMESTAMP WITH TIME ZONE' THEN local_fraction({text}) "
        f"ELSE {text} END"
    )
    fraction = "regexp_extract(t, '\\.(\\d+)', 1)"
    # Fractions of a second are written in groups of three digits. First in the list: local_string calls it.
    out.insert(
        0,
        "CREATE OR REPLACE MACRO local_fraction(t) AS CASE "
        f"WHEN {fraction} = '' THEN t "
        f"ELSE regexp_replace(t, '\\.\\d+', '.' || rpad({fraction}, "
        f"CASE WHEN length({fraction}) <= 3 THEN 3 ELSE 6 END, '0')) END",
    )
    out.append(
        "CREATE OR REPLACE MACRO local_json_keys(x) AS list_transform(json_keys(x), lambda k: "
        "CASE WHEN regexp_full_match(k, '\\w+') THEN k ELSE CAST(to_json(k) AS VARCHAR) END)"
    )
    return out


def install() -> None:
    """Register the rule that calls the macros. Must run before any `SQLTranslator` exists."""
    from bqemulator.sql.rules import register
    from bqemulator.sql.rules._base import TranslationRule
    from sqlglot import exp

    kinds = exp.DataType.Type
    targets = {
        kinds.BIGINT: "BIGINT",
        kinds.DOUBLE: "DOUBLE",
        kinds.DATE: "DATE",
        kinds.TIMESTAMPTZ: "TIMESTAMPTZ",
        kinds.TIMESTAMP: "TIMESTAMP",
        kinds.BOOLEAN: "BOOLEAN",
        kinds.VARCHAR: "VARCHAR",
        kinds.TEXT: "VARCHAR",
    }

    def literal_fits(node: Any, kind: str) -> bool:
        """A constant of the right shape needs no check: DATE '2026-01-01' stays readable, and prunes."""
        if not isinstance(node, exp.Literal):
            return False
        if kind == "VARCHAR":
            return bool(node.is_string)
        return bool(node.is_string) and bool(re.fullmatch(FROM_TEXT[kind][2], str(node.this)))

    def applies(_self: Any, node: Any) -> bool:
        if not isinstance(node, exp.Cast) or not isinstance(node.to, exp.DataType) or node.to.expressions:
            return False
        kind = targets.get(node.to.this)
        if kind is None or isinstance(node.this, (exp.Null, exp.Boolean)) or literal_fits(node.this, kind):
            return False
        return not isinstance(node.parent, exp.ColumnDef)

    def rewrite(_self: Any, node: Any) -> Any:
        kind = targets[node.to.this]
        if kind == "VARCHAR":
            name = "local_string"
        else:
            name = ("local_safe_" if isinstance(node, exp.TryCast) else "local_") + FROM_TEXT[kind][0]
        return exp.Anonymous(this=name, expressions=[node.this.copy()])

    body = {"name": "LOCAL_STRICT_CASTS", "applies_to": applies, "rewrite": rewrite}
    register(type("LOCAL_STRICT_CASTS", (TranslationRule,), body))
