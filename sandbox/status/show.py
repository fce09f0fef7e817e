"""Tells a status to a person: what is up, what is under way and why it waits, what failed and what to do, what is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from sandbox.progress import by_state, count
from sandbox.status.facts import QueueFact, ScheduleFact, SliceFact, WorldStatus
from sandbox.status.words import at, size, span
from sandbox.world_faults import described

SHOWN_RUNS = 10
SHOWN_SLICES = 15
_COLOURS = {"up": "green", "killed": "yellow", "stopped": "cyan"}


def show(status: WorldStatus, console: Console) -> None:
    """Print everything that a person needs, the most pressing first."""
    Shower(status, console).show()


class Shower:
    """One status on its way to one console."""

    def __init__(self, status: WorldStatus, console: Console) -> None:
        self._status = status
        self._console = console
        clock = status.inside.clock
        self._now = datetime.fromisoformat(clock.now) if clock else datetime.now(UTC)

    def show(self) -> None:
        """Print it."""
        self._world()
        self._faults()
        self._ledger()
        self._slices()
        self._transform()
        self._queues()
        self._functions()
        self._schedules()
        self._data()

    # ---- parts

    def _world(self) -> None:
        status = self._status
        colour = _COLOURS.get(status.state, "white")
        self._print(f"[bold {colour}]{status.state}[/]: {escape(status.home)} ({escape(status.explanation)}); times are UTC")
        self._print(f"holds {escape(status.holds)}; reports in {status.reporting_currency or 'no currency yet'}")
        if status.control_url:
            self._print(f"control {status.control_url}")
        clock = status.inside.clock
        if clock and not clock.real:
            pace = "stands still" if not clock.scale else f"runs at {clock.scale:g} seconds a second"
            self._print(f"[yellow]simulated time[/]: {self._now:%Y-%m-%d %H:%M:%S} UTC, {pace}")
        if status.state == "up":
            self._heading("engines")
            self._rows(
                (engine.name, engine.address, "[green]alive[/]" if engine.alive else "[red]does not answer[/]")
                for engine in status.engines
            )

    def _faults(self) -> None:
        if self._status.faults:
            self._heading("faults on purpose")
            for rule in self._status.faults:
                self._print(f"  [yellow]{escape(described(rule))}[/]")

    def _ledger(self) -> None:
        status = self._status
        self._heading("runs and slices")
        if not status.runs:
            self._print("  none yet: drop a file into landing, or ring a schedule with `fire`")
            return
        runs = ", ".join(f"{number} {name}" for name, number in sorted(status.run_counts.items()))
        self._print(f"  runs: {runs}; slices: {by_state(status.slice_counts) or 'none'}")
        self._print(f"  {count(status.rows_loaded, 'row')} loaded, {count(status.rows_set_aside, 'row')} set aside")
        shown = sorted(status.runs, key=lambda run: run.status != "open")[:SHOWN_RUNS]
        self._rows(
            (
                run.status,
                run.run_id,
                ", ".join(f"{number} {name}" for name, number in sorted(run.slices.items()))
                or escape(run.error)
                or "no slices",
                f"{run.rows:,} rows",
            )
            for run in shown
        )
        if (more := sum(status.run_counts.values()) - len(shown)) > 0:
            self._print(f"  … and {count(more, 'older run')}; `--json` has them")

    def _slices(self) -> None:
        waiting = [one for one in self._status.slices if one.status != "failed"]
        failed = [one for one in self._status.slices if one.status == "failed"]
        if waiting:
            self._heading("slices under way, and why they wait")
            self._explained(waiting)
        if failed:
            self._heading("slices that failed")
            self._explained(failed)

    def _explained(self, slices: list[SliceFact]) -> None:
        # Hundreds may wait for the same: told once, with their number.
        alike = Counter((one.status, one.reason, one.next_step) for one in slices)
        first = {(one.status, one.reason, one.next_step): one for one in reversed(slices)}
        for key, number in list(alike.items())[:SHOWN_SLICES]:
            one = first[key]
            what = f"{one.stream}: {one.file or one.slice_id}" + (f" and {count(number - 1, 'other')}" if number > 1 else "")
            self._print(f"  [bold]{one.status:<10}[/]{escape(what)}")
            self._indented(escape(one.reason))
            self._indented(f"[cyan]→ {escape(one.next_step)}[/]")
        if len(alike) > SHOWN_SLICES:
            self._print(f"  … and {count(len(alike) - SHOWN_SLICES, 'more kind')}; `--json` has them")

    def _transform(self) -> None:
        transform = self._status.transform
        self._heading("dbt")
        if transform.build:
            ended = transform.done_build
            self._print(
                f"  build {transform.build} is the newest"
                + (", and it ended well" if ended == transform.build else f"; {ended or 'none'} is the newest that ended well")
                + (f"; {transform.wants} asked for" if transform.wants else "")
            )
        if transform.reason:
            self._print(f"  {escape(transform.reason)}")
            self._indented(f"[cyan]→ {escape(transform.next_step)}[/]")
        if job := self._status.inside.execution:
            nodes = f", {job.done_nodes} of {job.total_nodes} nodes" if job.total_nodes else ""
            ended_at = self._ago(job.ended_at or job.started_at)
            self._print(f"  last execution {job.name}: {escape(job.result)}{nodes}, {ended_at}")

    def _queues(self) -> None:
        queues = self._status.inside.queues
        self._heading("queues")
        pressing = [one for one in queues if one.waiting or one.leased]
        quiet = [one.subscription for one in queues if not (one.waiting or one.leased)]
        for queue in pressing:
            self._queue(queue)
        if quiet:
            self._print(f"  nothing waits in {', '.join(quiet)}")
        filed = self._status.dead_letters_filed
        if filed:
            self._print(f"  [yellow]{count(len(filed), 'dead letter')} on file[/], the newest {escape(filed[-1])}")
            self._indented("[cyan]→ GET /dead-letters of control shows them[/]")

    def _queue(self, queue: QueueFact) -> None:
        oldest = queue.oldest_unacknowledged_seconds
        age = f", the oldest for {span(oldest)}" if oldest is not None else ""
        kind = f" [yellow](dead letters of {', '.join(queue.dead_letters_of)})[/]" if queue.dead_letters_of else ""
        self._print(f"  {queue.subscription}: {queue.waiting} waiting, {queue.leased} being delivered{age}{kind}")
        for entry in queue.back_off[:5]:
            again = f"again {self._ago(entry.until)}" if entry.until else "again when the world is up"
            about = f" ({escape(entry.about)})" if entry.about else ""
            self._indented(f"message {entry.message_id}{about} was refused {entry.failed_attempts} ×, {again}")
        if queue.last_failure:
            self._indented(f"last failure: {escape(queue.last_failure)}")

    def _functions(self) -> None:
        self._heading("functions")
        for one in self._status.inside.functions:
            if one.instances is not None:
                state = f"{count(one.instances, 'instance')}, {count(one.in_flight or 0, 'request')} in flight"
            else:
                state = "not up"
            self._print(f"  {one.name}: {state}")
            if one.last_error:
                when = f" {self._ago(one.last_error_at)}" if one.last_error_at else ""
                self._indented(f"[yellow]last error{when}[/]: {escape(one.last_error)}")
                self._indented(f"log: {escape(one.log)}")

    def _schedules(self) -> None:
        self._heading("schedules")
        self._rows(
            (
                one.name,
                f"{one.schedule} {one.time_zone}",
                self._next(one),
                f"last {self._ago(one.last_at)}: {escape(one.last_result)}" if one.last_at else "never rung",
            )
            for one in self._status.inside.schedules
        )

    def _next(self, schedule: ScheduleFact) -> str:
        if not schedule.next_at:
            return schedule.state
        missed = datetime.fromisoformat(schedule.next_at) < self._now
        return f"next when up (missed {self._ago(schedule.next_at)})" if missed else f"next {self._ago(schedule.next_at)}"

    def _data(self) -> None:
        self._heading("storage")
        self._rows((one.name, count(one.objects, "object"), size(one.size_bytes)) for one in self._status.buckets)
        self._heading("warehouse")
        if self._status.warehouse_note:
            self._print(f"  {escape(self._status.warehouse_note)}")
        self._rows(
            (
                one.name,
                f"{count(sum(table.rows is not None for table in one.tables), 'table')}",
                count(sum(table.rows or 0 for table in one.tables), "row"),
            )
            for one in self._status.warehouse
        )

    # ---- printing

    def _ago(self, moment: str | None) -> str:
        return at(datetime.fromisoformat(moment), self._now) if moment else ""

    def _print(self, text: str) -> None:
        self._console.print(text)

    def _indented(self, text: str) -> None:
        self._console.print(Padding(text, (0, 0, 0, 12), expand=False))

    def _heading(self, text: str) -> None:
        self._console.print(f"\n[bold]{text}[/]")

    def _rows(self, rows: Iterable[tuple[str, ...]]) -> None:
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
        for row in rows:
            table.add_row(*row)
        if table.row_count:
            self._console.print(Padding(table, (0, 0, 0, 2), expand=False))
