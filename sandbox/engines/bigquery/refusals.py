"""Constructs that the engine would answer wrongly without saying so: refused, each with what to write instead.

`tests/sql/forbidden.py` keeps the same constructs out of the dbt project.
"""

from __future__ import annotations

import re
from typing import Any

#: Constructs that do not reach the parsed tree, or fail with a message that leads astray.
IN_TEXT = (
    (re.compile(r"\bFOR\s+SYSTEM_TIME\b", re.IGNORECASE), "FOR SYSTEM_TIME AS OF: no history is kept"),
    (re.compile(r"\bTHEN\s+INSERT\s+ROW\b", re.IGNORECASE), "MERGE ... INSERT ROW: list the columns"),
)


def check_text(sql: str) -> None:
    """Refuse a statement by its text.

    Raises:
        bqemulator.domain.errors.InvalidQueryError: it has one of `IN_TEXT`.
    """
    from bqemulator.domain.errors import InvalidQueryError

    for pattern, reason in IN_TEXT:
        if pattern.search(sql):
            raise InvalidQueryError(f"The local BigQuery refuses {reason}", location="query")


def check(node: Any) -> None:
    """Refuse one node of a parsed GoogleSQL statement.

    Raises:
        bqemulator.domain.errors.InvalidQueryError: the construct is refused; a 400 to the client.
    """
    from bqemulator.domain.errors import InvalidQueryError

    reason = _reason(node)
    if reason:
        raise InvalidQueryError(f"The local BigQuery refuses {reason}", location="query")


def _reason(node: Any) -> str | None:
    from sqlglot import exp

    if isinstance(node, exp.ApproxQuantiles):
        return "APPROX_QUANTILES, whose result differs from BigQuery's: use PERCENTILE_CONT"
    if isinstance(node, exp.TimeToStr):
        form = node.args.get("format")
        text = str(form.this) if isinstance(form, exp.Literal) else ""
        if re.search(r"%E[^z]|%Q|%P|%J", text):
            return f"the format {text!r}, which it would print wrongly: use %E-free formats"
    if isinstance(node, exp.WeekStart) and node.name.upper() not in ("MONDAY", "SUNDAY"):
        return f"WEEK({node.name}): only weeks from Sunday and Monday are counted rightly"
    if isinstance(node, exp.JSONKeysAtDepth):
        depth = node.expression
        if not (isinstance(depth, exp.Literal) and str(depth.this) == "1"):
            return "JSON_KEYS without a depth of 1: it would return the keys of the first level only"
    if isinstance(node, exp.Substring):
        start = node.args.get("start")
        if isinstance(start, exp.Literal) and str(start.this) == "0":
            return "SUBSTR from 0, which BigQuery reads as from 1: write 1"
    return None
