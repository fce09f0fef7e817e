"""`require_partition_filter`, enforced: BigQuery refuses a query that would read all partitions of such a table.

The filter must compare the partition column with constants: a subquery or a join does not select partitions in
BigQuery, so it does not count here. A filter outside a view, a CTE or a subquery counts when the inside passes the
column through unchanged and neither groups, limits nor windows its rows, which is when BigQuery moves it inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sandbox.engines.bigquery import refusals

Key = tuple[str, str, str]


@dataclass(frozen=True)
class Unfiltered:
    """A table that is still read without a filter, and the column through which an outer filter could reach it."""

    table: Key
    partition_column: str
    seen_as: str | None


class FilterCheck:
    """Checks the statements of one project against the catalogue."""

    def __init__(self, project: str, catalog: Any) -> None:
        self.project = project
        self.catalog = catalog

    def problems(self, sql: str) -> list[Unfiltered]:
        """Return the tables that the statement reads unfiltered. Unparsable text has none: it fails elsewhere."""
        import sqlglot
        from sqlglot import exp

        try:
            tree = sqlglot.parse_one(sql, read="bigquery")
        except sqlglot.errors.SqlglotError:
            return []
        if isinstance(tree, exp.Create) and (tree.kind or "").upper() == "VIEW":
            return []  # judged when it is read
        if isinstance(tree, exp.Create):
            return self.query(tree.expression, {}) if tree.expression is not None else []
        if isinstance(tree, exp.Insert):
            return self.query(tree.expression, {}) if isinstance(tree.expression, exp.Query) else []
        if isinstance(tree, (exp.Update, exp.Delete)):
            return self._changed(tree)
        if isinstance(tree, exp.Merge):
            return self._merged(tree)
        return self.query(tree, {}) if isinstance(tree, exp.Query) else []

    def query(self, node: Any, outer: dict[str, list[Unfiltered]]) -> list[Unfiltered]:
        """Return what a query reads unfiltered, and as which of its output columns.

        Args:
            outer: the CTEs in sight, by lower-cased name.
        """
        from sqlglot import exp

        while isinstance(node, (exp.Subquery, exp.Paren)) and not node.args.get("joins"):
            node = node.this
        sight = dict(outer)
        with_ = node.args.get("with_") or node.args.get("with")
        for cte in with_.expressions if with_ else []:
            sight[cte.alias.lower()] = self.query(cte.this, sight)
        if isinstance(node, exp.SetOperation):
            return self.query(node.this, sight) + self.query(node.expression, sight)
        if not isinstance(node, exp.Select):
            return []
        found: list[Unfiltered] = []
        where = node.args.get("where")
        condition = where.this if where else None
        for alias, source in _sources(node):
            for one in self._read(source, sight):
                if one.seen_as and _filtered(condition, one.seen_as, alias):
                    continue
                found.append(Unfiltered(one.table, one.partition_column, _output(node, one.seen_as, alias)))
        for inner in _expression_queries(node):
            # A subquery in an expression cannot be reached by an outer filter.
            found += [Unfiltered(u.table, u.partition_column, None) for u in self.query(inner, sight)]
        return found

    def _read(self, source: Any, sight: dict[str, list[Unfiltered]]) -> list[Unfiltered]:
        from sqlglot import exp

        if isinstance(source, exp.Subquery):
            return self.query(source, sight)
        if not isinstance(source, exp.Table):
            return []
        if not source.db:
            return sight.get(source.name.lower(), [])
        return self._table((source.catalog or self.project, source.db, source.name))

    def _table(self, key: Key) -> list[Unfiltered]:
        import sqlglot

        if len(key) == 3 and "." in key[2]:  # `p.d.t` in one pair of backquotes
            parts = key[2].split(".")
            key = (parts[-3] if len(parts) > 2 else self.project, parts[-2], parts[-1])
        meta = self.catalog.get_table(*key)
        if meta is None:
            return []
        if meta.table_type == "VIEW" and meta.view_query:
            return self.query(sqlglot.parse_one(meta.view_query, read="bigquery"), {})
        partitioning = meta.time_partitioning
        if not partitioning or not partitioning.require_partition_filter:
            return []
        column = partitioning.field or "_PARTITIONTIME"
        return [Unfiltered(key, column, column)]

    def _changed(self, statement: Any) -> list[Unfiltered]:
        where = statement.args.get("where")
        condition = where.this if where else None
        alias = statement.this.alias_or_name
        found = [u for u in self._read(statement.this, {}) if not _filtered(condition, u.seen_as or "", alias)]
        for inner in _expression_queries(statement):
            found += self.query(inner, {})
        return found

    def _merged(self, merge: Any) -> list[Unfiltered]:
        from sqlglot import exp

        source = merge.args["using"]
        found = self._read(source, {}) if isinstance(source, (exp.Table, exp.Subquery)) else []
        alias = merge.this.alias_or_name
        for one in self._read(merge.this, {}):
            name = one.seen_as or ""
            on = merge.args.get("on")
            # A clause that reads existing rows of the target needs the filter; a plain insert reads none.
            reading = [w for w in merge.args["whens"].expressions if w.args.get("matched") or w.args.get("source")]
            if _filtered(on, name, alias):
                continue
            if isinstance(on, exp.Boolean) and not on.this:
                reading = [w for w in reading if not w.args.get("matched")]
            elif not reading:
                found.append(one)  # the join itself reads the target
                continue
            if not all(_filtered(w.args.get("condition"), name, alias) for w in reading):
                found.append(one)
        return found


def _sources(select: Any) -> Iterator[tuple[str, Any]]:
    """Yield (alias, source) of FROM and every JOIN; a join in parentheses is opened."""
    from sqlglot import exp

    from_ = select.args.get("from_") or select.args.get("from")
    nodes = [from_.this] if from_ else []
    nodes += [join.this for join in select.args.get("joins") or []]
    while nodes:
        node = nodes.pop(0)
        nodes += [join.this for join in node.args.get("joins") or []]
        if isinstance(node, exp.Paren) or (isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table)):
            nodes.insert(0, node.this)
            continue
        yield node.alias_or_name, node


def _expression_queries(node: Any) -> Iterator[Any]:
    """Yield the outermost queries inside expressions: select list, WHERE, ON, HAVING, SET."""
    from sqlglot import exp

    sources = {id(source) for _, source in _sources(node)} if isinstance(node, exp.Select) else {id(node.this)}
    with_ = node.args.get("with_") or node.args.get("with")

    def walk(item: Any) -> Iterator[Any]:
        if id(item) in sources or item is with_:
            return
        if isinstance(item, exp.Query) and item is not node:
            yield item
            return
        for child in item.iter_expressions():
            yield from walk(child)

    yield from walk(node)


def _filtered(condition: Any, column: str, alias: str) -> bool:
    """True when the condition confines the column to constants in every case."""
    from sqlglot import exp

    if condition is None or not column:
        return False
    if isinstance(condition, exp.Paren):
        return _filtered(condition.this, column, alias)
    if isinstance(condition, exp.And):
        return _filtered(condition.this, column, alias) or _filtered(condition.expression, column, alias)
    if isinstance(condition, exp.Or):
        return _filtered(condition.this, column, alias) and _filtered(condition.expression, column, alias)

    through = (exp.Paren, exp.Date, exp.TsOrDsToDate, exp.TimestampTrunc, exp.DateTrunc)
    kinds = exp.DataType.Type
    times = (kinds.DATE, kinds.DATETIME, kinds.TIMESTAMP, kinds.TIMESTAMPTZ)

    def is_column(node: Any) -> bool:
        while isinstance(node, through) or (isinstance(node, exp.Cast) and node.to.this in times):
            node = node.this
        return (
            isinstance(node, exp.Column)
            and node.name.lower() == column.lower()
            and (not node.table or node.table.lower() == alias.lower())
        )

    if isinstance(condition, (exp.EQ, exp.GT, exp.GTE, exp.LT, exp.LTE)):
        left, right = condition.this, condition.expression
        return (is_column(left) and _constant(right)) or (is_column(right) and _constant(left))
    if isinstance(condition, exp.Between):
        return is_column(condition.this) and _constant(condition.args["low"]) and _constant(condition.args["high"])
    if isinstance(condition, exp.In) and is_column(condition.this):
        if condition.args.get("query") is not None:
            return False
        unnest = condition.args.get("unnest")
        if unnest is not None:
            # A bare name is a script variable, which BigQuery treats as a constant.
            return all(_constant(e) or (isinstance(e, exp.Column) and not e.table) for e in unnest.expressions)
        return all(_constant(e) for e in condition.expressions)
    if isinstance(condition, exp.Is):
        return is_column(condition.this) and isinstance(condition.expression, exp.Null)
    return False


def _constant(node: Any) -> bool:
    from sqlglot import exp

    return node is not None and not any(isinstance(n, (exp.Column, exp.Query, exp.Subquery)) for n in node.walk())


def _output(select: Any, column: str | None, alias: str) -> str | None:
    """Return the output column that shows `alias.column` unchanged, if an outer filter may move inside."""
    from sqlglot import exp

    if column is None or any(select.args.get(k) for k in ("group", "having", "limit", "offset", "distinct", "qualify")):
        return None
    if any(e.find(exp.Window, exp.AggFunc) for e in select.expressions):
        return None
    for item in select.expressions:
        inner = item.unalias()
        if isinstance(inner, exp.Star) or (isinstance(inner, exp.Column) and isinstance(inner.this, exp.Star)):
            star = inner if isinstance(inner, exp.Star) else inner.this
            dropped = [e.name.lower() for k in ("except_", "except") for e in star.args.get(k) or []]
            if column.lower() not in dropped and (isinstance(inner, exp.Star) or inner.table.lower() == alias.lower()):
                return column
        elif (
            isinstance(inner, exp.Column)
            and inner.name.lower() == column.lower()
            and (not inner.table or inner.table.lower() == alias.lower())
        ):
            return str(item.alias_or_name)
    return None


def check(sql: str, project: str, catalog: Any) -> None:
    """Refuse a statement that reads a table unfiltered which requires a filter.

    Raises:
        bqemulator.domain.errors.InvalidQueryError: with BigQuery's words.
    """
    if not any(t.time_partitioning and t.time_partitioning.require_partition_filter for t in catalog._cache._tables.values()):
        return
    for problem in FilterCheck(project, catalog).problems(sql):
        from bqemulator.domain.errors import InvalidQueryError

        raise InvalidQueryError(
            f"Cannot query over table '{'.'.join(problem.table)}' without a filter over column(s) "
            f"'{problem.partition_column}' that can be used for partition elimination",
            location="query",
        )


def install() -> None:
    """Check each statement before it is translated, alone or in a script."""
    import bqemulator.sql.inner_query as inner_query

    refresh = inner_query.refresh_dependent_mvs

    async def check_first(project_id: str, bq_sql: str, ctx: Any) -> None:
        refusals.check_text(bq_sql)
        check(bq_sql, project_id, ctx.catalog)
        await refresh(project_id, bq_sql, ctx)

    inner_query.refresh_dependent_mvs = check_first
