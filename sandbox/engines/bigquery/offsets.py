"""`UNNEST(...) WITH OFFSET`: BigQuery counts from 0, DuckDB's ordinality from 1.

bqemulator subtracts one from every column of that name in the whole statement, so an offset that passes through a CTE
is lowered twice. Here only the query that unnests sees the raw number, under another name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def rebase(sql: str) -> str:
    """Rewrite the offsets of one GoogleSQL statement; text without any, or unparsable, is returned as it is."""
    if "OFFSET" not in sql.upper():
        return sql
    import sqlglot
    from sqlglot import exp

    try:
        tree = sqlglot.parse_one(sql, read="bigquery")
    except sqlglot.errors.SqlglotError:
        return sql
    changed = False
    for select in list(tree.find_all(exp.Select)):
        for name in list(_offsets(select)):
            _rebase_in(select, name)
            changed = True
    return str(tree.sql(dialect="bigquery")) if changed else sql


def _raw(name: str) -> str:
    return f"_offset_from_one_{name}"


def _offsets(select: Any) -> Iterator[str]:
    """Rename the offset of each UNNEST that is a direct source of the query; yield the names that they had."""
    from sqlglot import exp

    from_ = select.args.get("from_") or select.args.get("from")
    for source in [from_, *(select.args.get("joins") or [])]:
        unnest = source.this if source is not None else None
        if not isinstance(unnest, exp.Unnest) or not unnest.args.get("offset"):
            continue
        offset = unnest.args["offset"]
        name = offset.name if isinstance(offset, exp.Identifier) else "offset"
        unnest.set("offset", exp.to_identifier(_raw(name)))
        yield name


def _rebase_in(select: Any, name: str) -> None:
    from sqlglot import exp

    def number() -> Any:
        return exp.Paren(this=exp.Sub(this=exp.column(_raw(name)), expression=exp.Literal.number(1)))

    for item in list(select.expressions):
        if isinstance(item, exp.Star):
            dropped = item.args.get("except_") or item.args.get("except") or []
            if name.lower() not in [e.name.lower() for e in dropped]:
                select.append("expressions", exp.alias_(number(), name))
            kept = [e for e in dropped if e.name.lower() != name.lower()]
            item.set("except_", [*kept, exp.to_identifier(_raw(name))])
        elif isinstance(item, exp.Column) and not item.table and item.name.lower() == name.lower():
            item.replace(exp.alias_(number(), item.name))
    for column in list(_columns(select)):
        if not column.table and column.name.lower() == name.lower():
            column.replace(number())


def _columns(select: Any) -> Iterator[Any]:
    """Yield the columns that belong to this query or to queries inside its expressions, not to its sources."""
    from sqlglot import exp

    with_ = select.args.get("with_") or select.args.get("with")

    def walk(node: Any) -> Iterator[Any]:
        if node is with_ or (isinstance(node, exp.Subquery) and isinstance(node.parent, (exp.From, exp.Join))):
            return
        if isinstance(node, exp.Column):
            yield node
            return
        for child in node.iter_expressions():
            yield from walk(child)

    for child in select.iter_expressions():
        yield from walk(child)


def install() -> None:
    """Replace bqemulator's rewriting of offsets."""
    import bqemulator.sql.inner_query as inner_query

    inner_query.rewrite_unnest_offset = rebase
