"""What happened and what the warehouse says now: read through the state bucket and the real BigQuery client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from google.api_core.exceptions import GoogleAPICallError
from google.cloud import bigquery
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.names import shown_file
from sandbox import ledger
from sandbox.cloud import Cloud
from sandbox.world import DATASETS

QUERY_TIMEOUT_SECONDS = 300.0

# The definitions are those of the report's measures; a filter on the partition is what the big facts require.
FIGURES_SQL = """
select
  countif(order_type = 'sale') as orders,
  sum(amount_reporting) as revenue,
  safe_divide(sum(if(order_type = 'sale', amount_reporting, 0)), countif(order_type = 'sale')) as average_order_value,
  count(distinct if(order_type = 'sale' and contact_key not in ('-1', '-2'), contact_key, null)) as buyers,
  countif(is_repeat_flagged and order_type = 'sale') as repeat_orders_flagged,
  countif(contact_order_number > 1) as repeat_orders_derived,
  min(order_date) as first_date,
  max(order_date) as last_date
from gold.fact_orders
where order_date >= date '0001-01-01'
"""
FINDINGS_SQL = "select * from audit.aud_findings"

TOLERATED_FAILURES = frozenset({"file_set_aside"})
"""Kinds of failed slices that are findings about the data, named in the summary, and no fault of the pipeline."""

_GOOD = frozenset({"success", "pass", "warn", "no-op", "skipped"})


@dataclass(frozen=True, slots=True)
class TableCount:
    name: str
    rows: int


@dataclass(slots=True)
class Summary:
    """Everything that the last screen of a demo says. ``problems`` is empty when all is well."""

    rows: int = 0
    aside: int = 0
    statuses: Mapping[str, int] = field(default_factory=dict)
    set_aside_files: list[tuple[str, str]] = field(default_factory=list)
    """(file, reason with the next step)."""
    problems: list[str] = field(default_factory=list)
    tables: list[TableCount] = field(default_factory=list)
    figures: Mapping[str, Any] = field(default_factory=dict)
    findings: list[Mapping[str, Any]] = field(default_factory=list)
    warnings: int = 0
    tests: int = 0
    models: int = 0
    build: int = 0


def collect(cloud: Cloud) -> Summary:
    """Read the state and the warehouse of a running world."""
    state = ledger.read(cloud)
    summary = Summary(
        rows=state.rows,
        aside=state.aside,
        statuses=dict(state.statuses),
        build=state.build,
    )
    judge_slices(cloud, state, summary)
    judge_build(cloud, state, summary)
    summary.tables = list(table_counts(cloud.bigquery))
    try:
        summary.figures = _rows(cloud.bigquery, FIGURES_SQL)[0]
    except GoogleAPICallError as error:
        summary.problems.append(f"gold cannot be read: {_short(error)}")
    try:
        summary.findings = list(_rows(cloud.bigquery, FINDINGS_SQL))
    except GoogleAPICallError as error:
        summary.problems.append(f"the audit cannot be read: {_short(error)}")
    broken = [finding for finding in summary.findings if finding.get("severity") == "error"]
    summary.problems += [f"audit: {finding.get('finding')}: {finding.get('next_step')}" for finding in broken]
    if summary.rows and summary.figures and not summary.figures.get("orders"):
        loaded = {item.stream for item in state.slices if item.status == "loaded" and item.rows}
        if "crm.orders" in loaded:
            summary.problems.append("orders were loaded, but gold.fact_orders has none")
    return summary


def judge_slices(cloud: Cloud, state: ledger.Ledger, summary: Summary) -> None:
    """Note the files that were set aside, and every other way in which an extraction or load went wrong."""
    for failed in ledger.failures(cloud, state):
        error = failed.get("error") or {}
        file = (failed.get("request") or {}).get("file")
        name = shown_file(file) if file else str(failed["slice_id"])
        text = f"{error.get('message', 'no reason on file')} — {error.get('next_step', '')}".rstrip(" —")
        if error.get("kind") in TOLERATED_FAILURES:
            summary.set_aside_files.append((name, text))
        else:
            summary.problems.append(f"slice {failed['slice_id']} ({failed.get('stream')}) failed: {text}")
    for outcome in ledger.unplanned(cloud, state):
        error = outcome.get("error") or {}
        summary.problems.append(f"run {outcome['run_id']} failed: {error.get('message')} — {error.get('next_step')}")
    summary.problems += [f"run {run_id} is still open" for run_id in state.open_runs]
    if letters := ledger.dead_letters(cloud):
        summary.problems.append(f"{len(letters)} dead letters; see the console")


def judge_build(cloud: Cloud, state: ledger.Ledger, summary: Summary) -> None:
    """Count the newest build's nodes, and note what failed in it."""
    results = ledger.dbt_results(cloud, state.build) if state.build else []
    summary.tests = sum(result["unique_id"].startswith(("test.", "unit_test.")) for result in results)
    summary.models = sum(result["unique_id"].startswith(("model.", "seed.", "snapshot.")) for result in results)
    summary.warnings = sum(result["status"] == "warn" for result in results)
    bad = [result for result in results if result["status"] not in _GOOD]
    summary.problems += [f"dbt {result['unique_id']}: {result['status']}: {result['message']}" for result in bad]
    if state.done_build < state.build and not bad:
        summary.problems.append(f"dbt build {state.build} did not end well; see the log of the dbt job")
    if state.build == 0:
        summary.problems.append("no dbt build has run")


def table_counts(client: bigquery.Client) -> Iterator[TableCount]:
    """Rows of every table, in the order of the flow."""
    for dataset in DATASETS:
        for item in client.list_tables(dataset, timeout=QUERY_TIMEOUT_SECONDS):
            if item.table_type == "TABLE" and item.table_id != "salt":
                yield TableCount(f"{dataset}.{item.table_id}", client.get_table(item.reference).num_rows or 0)


def _rows(client: bigquery.Client, sql: str) -> list[dict[str, Any]]:
    return [dict(row.items()) for row in client.query(sql).result(timeout=QUERY_TIMEOUT_SECONDS)]


def _short(error: GoogleAPICallError) -> str:
    return str(error.message).splitlines()[0][:300]


def show(console: Console, summary: Summary, currency: str, seconds: Mapping[str, float]) -> None:
    """Print a summary for people."""
    slices = ", ".join(f"{count} {status}" for status, count in summary.statuses.items()) or "none"
    tests = f"{summary.tests} tests" if summary.tests else "no tests"
    blocks: list[str | Table] = [
        f"[bold]Files[/bold]    {slices}; {summary.rows:,} rows loaded, {summary.aside:,} rows set aside\n"
        f"[bold]dbt[/bold]      build {summary.build}: {summary.models} models, {tests}, {summary.warnings} warnings"
    ]
    if summary.figures:
        blocks.append(_figures(summary.figures, currency))
    blocks.append(_tables(summary.tables))
    if summary.findings:
        blocks.append(_findings(summary.findings))
    for block in blocks:
        console.print()
        console.print(block)
    console.print()
    if seconds:
        spent = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
        console.print(f"[bold]Seconds[/bold]  {spent}; {sum(seconds.values()):.1f} in all")
    for name, reason in summary.set_aside_files:
        console.print(f"[bold yellow]Set aside[/bold yellow]  {escape(name)}: {escape(reason)}")
    for problem in summary.problems:
        console.print(f"[bold red]Problem[/bold red]  {escape(problem)}")


def _figures(figures: Mapping[str, Any], currency: str) -> Table:
    orders = figures["orders"] or 0
    buyers = figures["buyers"] or 0

    def share(part: int | None) -> str:
        return f"{(part or 0) / orders:.2%}" if orders else "–"

    table = Table(title=f"Headline figures ({currency})", title_justify="left", box=None, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("orders", f"{orders:,}")
    table.add_row("revenue", _money(figures["revenue"]))
    table.add_row("average order value", _money(figures["average_order_value"]))
    table.add_row("buyers", f"{buyers:,}")
    table.add_row("orders per buyer", f"{orders / buyers:.2f}" if buyers else "–")
    table.add_row("repeat rate, as the CRM flags it", share(figures["repeat_orders_flagged"]))
    table.add_row("repeat rate, by the order history", share(figures["repeat_orders_derived"]))
    table.add_row("order dates", f"{figures['first_date']} to {figures['last_date']}")
    return table


def _tables(counts: list[TableCount]) -> Table:
    table = Table(title="Tables (rows)", title_justify="left", box=None, show_header=False)
    for _ in range(2):
        table.add_column()
        table.add_column(justify="right")
    half = (len(counts) + 1) // 2
    for index in range(half):
        pair = [counts[index], *counts[half + index : half + index + 1]]
        table.add_row(*(cell for count in pair for cell in (count.name, f"{count.rows:,}")))
    return table


def _findings(findings: list[Mapping[str, Any]]) -> Table:
    table = Table(title="Audit findings (audit.aud_findings)", title_justify="left", box=None)
    for name in findings[0]:
        numbers = any(isinstance(finding[name], (int, Decimal)) for finding in findings)
        table.add_column(name.replace("_", " "), justify="right" if numbers else "left")
    for finding in findings:
        table.add_row(*(escape(_cell(value)) for value in finding.values()))
    return table


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return _money(value) if isinstance(value, (Decimal, float)) else str(value)


def _money(value: Decimal | float | None) -> str:
    return "–" if value is None else f"{value:,.2f}"
