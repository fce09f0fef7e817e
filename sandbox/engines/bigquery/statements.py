"""SQL text before and after bqemulator's translation.

`prepare` takes GoogleSQL and returns GoogleSQL that bqemulator translates rightly; `finish` takes its DuckDB SQL and
puts right what a translation rule cannot reach (a rule never replaces a root node).
"""

from __future__ import annotations

import re
from typing import Any

from sandbox.engines.bigquery import definitions, refusals

#: Comments in front of a statement; dbt writes one before everything.
LEADING_COMMENTS = re.compile(r"^\s*(?:--[^\n]*\n\s*|#[^\n]*\n\s*|/\*.*?\*/\s*)*", re.S)
ASSERT = re.compile(r"^\s*ASSERT\b(.*?)(?:\s+AS\s+('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"))?\s*;?\s*$", re.IGNORECASE | re.S)
#: Names that DuckDB reserves and BigQuery does not.
RESERVED = frozenset(
    {
        "analyse", "analyze", "asymmetric", "both", "check", "column", "constraint", "deferrable", "do", "foreign",
        "grant", "initially", "lambda", "leading", "offset", "only", "placing", "primary", "references", "returning",
        "show", "some", "summarize", "symmetric", "table", "trailing", "unique", "user", "variadic",
    }
)  # fmt: skip
NEEDS_TREE = re.compile(
    r"NET\.|PARSE_TIMESTAMP|NOT\s+ENFORCED|\bSTRUCT\s*\(|IGNORE\s+NULLS|\b(ISO)?WEEK\b|FORMAT_|APPROX_QUANTILES|JSON_KEYS"
    r"|\bSUBSTR|\b(" + "|".join(sorted(RESERVED)) + r")\b",
    re.IGNORECASE,
)
GRANT = re.compile(r"(GRANT|REVOKE)\b", re.IGNORECASE)


def body(sql: str) -> str:
    """Return the statement without the comments in front of it."""
    found = LEADING_COMMENTS.match(sql)
    return sql[found.end() :] if found else sql


def prepare(sql: str) -> str:
    """Rewrite GoogleSQL constructs that bqemulator mistranslates. Unparsable text passes through unchanged."""
    head = body(sql)
    if head[:6].upper() == "ASSERT":
        found = ASSERT.match(head)
        if found:
            message = (found[2] or "'Assertion failed'")[1:-1].replace("'", "\\'")
            return f"SELECT CASE WHEN {found[1]} THEN TRUE ELSE ERROR('{message}') END"
    if GRANT.match(head):
        return "SELECT 1"  # there is no IAM here: grants are accepted and mean nothing
    if definitions.SET_OPTIONS.search(head) or definitions.COLUMN_OPTIONS.search(head):
        return "SELECT 1"  # the catalogue takes the options after the statement
    if not NEEDS_TREE.search(sql):
        return sql
    import sqlglot

    try:
        tree = sqlglot.parse_one(sql, read="bigquery")
    except sqlglot.errors.SqlglotError:
        return sql
    for node in list(tree.walk()):
        refusals.check(node)
        _rewrite(node)
    return str(tree.sql(dialect="bigquery"))


def _rewrite(node: Any) -> None:
    from sqlglot import exp

    if type(node).__name__ == "NetFunc":
        call = node.this
        anonymous = isinstance(call, exp.Anonymous)
        name = (call.name if anonymous else call.sql_name()).lower()
        argument = call.expressions[0] if anonymous else call.this
        node.replace(exp.Anonymous(this=f"local_net_{name}", expressions=[argument.copy()]))
    elif isinstance(node, exp.Schema) and isinstance(node.parent, exp.Create):
        _drop_unenforced_keys(node)
    elif isinstance(node, exp.Struct) and not isinstance(node.parent, exp.Cast):
        _name_struct_fields(node)
    elif isinstance(node, exp.StrToTime):
        _parse_timestamp_call(node)
    elif isinstance(node, exp.Identifier):
        if node.name.lower() in RESERVED and not isinstance(node.parent, exp.Parameter):
            node.set("quoted", True)
    elif isinstance(node, exp.WeekStart):
        # Weeks from Monday are ISO weeks; `refusals` has refused every other day but Sunday.
        node.replace(exp.var("ISOWEEK" if node.name.upper() == "MONDAY" else "WEEK"))
    elif isinstance(node, exp.DateDiff):
        _weeks_between(node)
    elif isinstance(node, exp.IgnoreNulls):
        _limit_after_aggregation(node)
    elif isinstance(node, exp.JSONKeysAtDepth):
        _quote_json_keys(node)


def _drop_unenforced_keys(schema: Any) -> None:
    """BigQuery's PRIMARY/FOREIGN KEY ... NOT ENFORCED are metadata; DuckDB would enforce or refuse them."""
    from sqlglot import exp

    key_kinds = (exp.PrimaryKeyColumnConstraint, exp.Reference, exp.UniqueColumnConstraint)
    schema.set("expressions", [e for e in schema.expressions if isinstance(e, exp.ColumnDef)])
    for column in schema.expressions:
        kept = [
            c for c in column.constraints if not isinstance(c.kind, key_kinds) and "ENFORCED" not in c.sql("bigquery").upper()
        ]
        column.set("constraints", kept)


def _name_struct_fields(struct: Any) -> None:
    """`STRUCT(a, b)` takes its field names from the columns; bqemulator would leave them unnamed."""
    from sqlglot import exp

    fields = struct.expressions
    if len({e.name for e in fields}) != len(fields):
        return
    if not any(isinstance(e, (exp.PropertyEQ, exp.Alias, exp.Column)) for e in fields):
        return
    struct.set(
        "expressions",
        [
            exp.PropertyEQ(this=exp.to_identifier(e.name), expression=e.copy()) if isinstance(e, exp.Column) else e
            for e in fields
        ],
    )


def _parse_timestamp_call(node: Any) -> None:
    from sqlglot import exp

    form = node.args.get("format")
    safe = isinstance(node.parent, exp.SafeFunc)
    zone = node.args.get("zone")
    if zone is not None:
        local = exp.Anonymous(this="PARSE_DATETIME", expressions=[form.copy(), node.this.copy()])
        if safe:
            local = exp.SafeFunc(this=local)
        call = exp.Anonymous(this="timezone", expressions=[zone.copy(), local])
        (node.parent if safe else node).replace(call)
        return
    if not (isinstance(form, exp.Literal) and re.search(r"%E|%Z|%z", str(form.this))):
        return
    name = "local_safe_parse_timestamp" if safe else "local_parse_timestamp"
    inner = exp.Anonymous(this=name, expressions=[form.copy(), node.this.copy()])
    call = exp.Anonymous(this="timezone", expressions=[exp.Literal.string("UTC"), inner])
    (node.parent if safe else node).replace(call)


def _weeks_between(node: Any) -> None:
    """DATE_DIFF by weeks counts the week starts between two dates; bqemulator mixes Sunday and Monday weeks."""
    from sqlglot import exp

    unit = node.args.get("unit")
    if isinstance(unit, exp.WeekStart):
        unit = exp.var("ISOWEEK" if unit.name.upper() == "MONDAY" else "WEEK")
    if unit is None or unit.name.upper() not in ("WEEK", "ISOWEEK"):
        return
    later, earlier = (exp.DateTrunc(this=d.copy(), unit=unit.copy()) for d in (node.this, node.expression))
    days = exp.DateDiff(this=later, expression=earlier, unit=exp.var("DAY"))
    node.replace(exp.IntDiv(this=days, expression=exp.Literal.number(7)))


def _limit_after_aggregation(node: Any) -> None:
    """`ARRAY_AGG(x IGNORE NULLS ORDER BY y LIMIT n)`: bqemulator would filter the slice instead of the aggregate."""
    from sqlglot import exp

    limit = node.this.this if isinstance(node.this, exp.ArrayAgg) else None
    if not isinstance(limit, exp.Limit) or not isinstance(limit.this, exp.Expression):
        return
    ordered, count = limit.this, limit.expression
    value = ordered.this if isinstance(ordered, exp.Order) else ordered
    if isinstance(value, exp.Distinct):
        value = value.expressions[0]
    # A row that is filtered out before the aggregation is never counted, so the slice is of the rest.
    kept = exp.Filter(
        this=exp.ArrayAgg(this=ordered.copy()),
        expression=exp.Where(this=exp.Not(this=exp.Is(this=value.copy(), expression=exp.Null()))),
    )
    node.replace(exp.Anonymous(this="list_slice", expressions=[kept, exp.Literal.number(1), count.copy()]))


def _quote_json_keys(node: Any) -> None:
    """JSON_KEYS puts a key with special characters into double quotes; DuckDB's json_keys does not."""
    from sqlglot import exp

    node.replace(exp.Anonymous(this="local_json_keys", expressions=[node.this.copy()]))


def finish(sql: str) -> str:
    """Rewrite DuckDB SQL: `CREATE TABLE t (columns) AS SELECT` becomes a select that casts to the columns' types.

    DuckDB has no column list there. NOT NULL is added afterwards, see `definitions`.
    """
    if body(sql)[:6].upper() != "CREATE":
        return sql
    import sqlglot
    from sqlglot import exp

    try:
        create = sqlglot.parse_one(sql, read="duckdb")
    except sqlglot.errors.SqlglotError:
        return sql
    if not (isinstance(create, exp.Create) and (create.kind or "").upper() == "TABLE"):
        return sql
    if not isinstance(create.this, exp.Schema) or create.expression is None:
        return sql
    columns = [c for c in create.this.expressions if isinstance(c, exp.ColumnDef)]
    select = create.expression.this if isinstance(create.expression, exp.Subquery) else create.expression
    alias = exp.TableAlias(this=exp.to_identifier("_ctas"), columns=[c.this.copy() for c in columns])
    casts = [exp.alias_(exp.Cast(this=exp.column(c.this.copy()), to=c.kind.copy()), c.this.copy()) for c in columns]
    create.set("expression", exp.Select(expressions=casts).from_(exp.Subquery(this=select, alias=alias)))
    create.set("this", create.this.this)
    return str(create.sql(dialect="duckdb"))


def install() -> None:
    """Put `prepare` and `finish` around bqemulator's translator, and correct two of its own rewrites."""
    import bqemulator.sql.rewriter.aggregate_variants as aggregates
    import bqemulator.sql.translator as translator
    from bqemulator.domain.result import Ok
    from sqlglot import exp

    translate = translator.SQLTranslator.translate

    def wrapped(self: Any, bq_sql: str, **arguments: Any) -> Any:
        outcome = translate(self, prepare(bq_sql), **arguments)
        return Ok(finish(outcome.value)) if isinstance(outcome, Ok) else outcome

    translator.SQLTranslator.translate = wrapped
    # Its own handling of CREATE TABLE (columns) AS loses the types; `finish` does it.
    translator.rewrite_create_table_schema_ctas = lambda sql: sql

    target = aggregates._filter_target

    def filter_target(operand: Any) -> Any:
        # ARRAY_AGG(DISTINCT x IGNORE NULLS): the filter is on x, not on DISTINCT x.
        if isinstance(operand, exp.Distinct) and operand.expressions:
            return operand.expressions[0]
        return target(operand)

    aggregates._filter_target = filter_target
    _install_set_from_struct()


def _install_set_from_struct() -> None:
    """`SET (x) = (SELECT AS STRUCT ...)` unpacks the struct; dbt's insert_overwrite writes it with one field."""
    import bqemulator.scripting.interpreter as interpreter

    set_many = interpreter.ScriptInterpreter._exec_set

    async def execute_set(self: Any, statement: Any) -> None:
        if len(statement.targets) != 1:
            await set_many(self, statement)
            return
        value = await self._eval_expr_scalar(statement.source_expr)
        if isinstance(value, dict) and len(value) == 1:
            value = next(iter(value.values()))
        self._frames.set(statement.targets[0], value)

    interpreter.ScriptInterpreter._exec_set = execute_set
