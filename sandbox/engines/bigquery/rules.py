"""Translation rules added to bqemulator's own: the documented extension point, on the DuckDB tree.

Rules run after the translation, when a bare NUMERIC has already become DECIMAL(18,3), DuckDB's default. A rule cannot
replace a root node; what concerns a whole statement is in `statements`.
"""

from __future__ import annotations

from typing import Any

#: What sqlglot makes of NUMERIC and BIGNUMERIC, and what BigQuery means by them. DuckDB stops at 38 digits, so a
#: BIGNUMERIC keeps 20 before and 18 after the point instead of BigQuery's 38 and 38.
DECIMALS = {("18", "3"): "DECIMAL(38, 9)", ("38", "5"): "DECIMAL(38, 18)"}


def install() -> None:
    """Register the rules. Must run before any `SQLTranslator` exists, so before `bqemulator.server` is imported."""
    from bqemulator.sql.rules import register
    from bqemulator.sql.rules._base import TranslationRule
    from bqemulator.sql.rules.json_helpers import JSONExtractToStringRule
    from sqlglot import exp

    decimal_types = (exp.DataType.Type.DECIMAL, exp.DataType.Type.BIGDECIMAL)

    def precision(node: Any) -> tuple[str, ...] | None:
        if isinstance(node, exp.DataType) and node.this == exp.DataType.Type.DECIMAL:
            return tuple(e.this.name for e in node.expressions)
        return None

    def is_decimal(node: Any) -> bool:
        kind = getattr(node, "type", None)
        return kind is not None and kind.this in decimal_types

    def numeric_applies(_self: Any, node: Any) -> bool:
        return precision(node.to if isinstance(node, exp.Cast) else node) in DECIMALS

    def numeric_rewrite(_self: Any, node: Any) -> Any:
        # The cast itself, not only its type: annotating a STRUCT of the column makes the type a child of the struct's
        # type, so that replacing the type would leave the cast as it was.
        if isinstance(node, exp.Cast):
            cast = node.copy()
            cast.set("to", exp.DataType.build(DECIMALS[precision(node.to) or ()], dialect="duckdb"))
            return cast
        return exp.DataType.build(DECIMALS[precision(node) or ()], dialect="duckdb")

    def product_applies(_self: Any, node: Any) -> bool:
        # DuckDB gives DECIMAL(38,9) * DECIMAL(38,9) the type DECIMAL(38,18), which overflows above 10^20 and reads
        # as BIGNUMERIC; BigQuery's NUMERIC product is NUMERIC.
        return (
            isinstance(node, exp.Mul)
            and is_decimal(node.this)
            and is_decimal(node.expression)
            and not isinstance(node.parent, exp.Cast)
        )

    def product_rewrite(_self: Any, node: Any) -> Any:
        return exp.Cast(this=node.copy(), to=exp.DataType.build("DECIMAL(38, 9)", dialect="duckdb"))

    def week_applies(_self: Any, node: Any) -> bool:
        unit = node.args.get("unit") if isinstance(node, (exp.DateTrunc, exp.TimestampTrunc)) else None
        return unit is not None and str(unit.name).upper() == "ISOWEEK"

    def week_rewrite(_self: Any, node: Any) -> Any:
        # DuckDB's week begins on Monday, as BigQuery's ISOWEEK does; its name is unknown to DuckDB.
        call = exp.Anonymous(this="DATE_TRUNC", expressions=[exp.Literal.string("week"), node.this.copy()])
        return exp.Cast(this=call, to=exp.DataType.build("DATE")) if isinstance(node, exp.DateTrunc) else call

    def path_text(node: Any) -> Any:
        path = node.expression
        return path.copy() if isinstance(path, exp.Literal) else exp.Literal.string(path.sql("duckdb").strip("'"))

    def query_rewrite(_self: Any, node: Any) -> Any:
        # bqemulator makes text of it, which is right for JSON_QUERY(STRING, ...). Of a JSON value BigQuery makes JSON.
        if not isinstance(node.expression, (exp.JSONPath, exp.Literal)):
            return exp.Anonymous(this="json_extract", expressions=[node.this.copy(), node.expression.copy()])
        return exp.Anonymous(this="json_extract", expressions=[node.this.copy(), path_text(node)])

    JSONExtractToStringRule.rewrite = query_rewrite

    def arrow_applies(_self: Any, node: Any) -> bool:
        return isinstance(node, exp.JSONExtractScalar) and isinstance(node.expression, (exp.JSONPath, exp.Literal))

    def arrow_rewrite(_self: Any, node: Any) -> Any:
        # `x ->> '$' IS NULL` is read by DuckDB as `x ->> ('$' IS NULL)`; a function call has no precedence.
        return exp.Anonymous(this="json_extract_string", expressions=[node.this.copy(), path_text(node)])

    rules = {
        "LOCAL_JSON_ARROW": (arrow_applies, arrow_rewrite),
        "LOCAL_NUMERIC_38_9": (numeric_applies, numeric_rewrite),
        "LOCAL_NUMERIC_PRODUCT": (product_applies, product_rewrite),
        "LOCAL_DATE_TRUNC_ISOWEEK": (week_applies, week_rewrite),
    }
    for name, (applies, rewrite) in rules.items():
        # Built by `type` because the base class is known only inside the engine's environment.
        body = {"name": name, "applies_to": applies, "rewrite": rewrite}
        register(type(name, (TranslationRule,), body))
