"""From nothing to reports in one go: up, drop the exports, ring the schedules, wait for gold, say what happened, down."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape

from sandbox import landing, summary
from sandbox.dbt_runner import DBT_PYTHON
from sandbox.ledger import Ledger
from sandbox.progress import Progress, describe, describe_build
from sandbox.supervisor import Supervisor
from sandbox.world import PROJECT_ROOT, Settings, World, WorldError

DEFAULT_SEED = 1
BIGQUERY_PYTHON = PROJECT_ROOT / ".venvs" / "bigquery" / "bin" / "python"
_LOAD_TIMEOUT_SECONDS = 3600.0
_PATIENCE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """``data``: a folder of exports, ``None`` for the make-believe company. ``currency``: of the reports, else found out."""

    home: Path
    data: Path | None = None
    tests: bool = True
    seed: int = DEFAULT_SEED
    currency: str | None = None


def check_environments() -> None:
    """Raises :class:`WorldError` when an environment that the world needs is not installed."""
    for python in (DBT_PYTHON, BIGQUERY_PYTHON):
        if not python.exists():
            missing = python.relative_to(PROJECT_ROOT)
            raise WorldError(f"{missing} is missing: run `make install` first (once, a few minutes).")


def exports_of(options: DemoOptions) -> Path:
    """The folder to drop: the user's, or the company's exports, which are written once per home."""
    if options.data is not None:
        return options.data.resolve()
    folder = options.home / "exports"
    if not folder.exists():
        from sandbox import company

        # Under another name until it is whole: an interrupted writer must not pass for the company's exports.
        draft = options.home / "exports.draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        company.write_exports(draft, options.seed)
        draft.rename(folder)
    return folder


def settings_of(options: DemoOptions, folder: Path) -> Settings:
    """The home's settings; for a new home they are made from the options and the files.

    Raises :class:`WorldError` when the home was filled with other data than is asked for now.
    """
    data = str(options.data.resolve()) if options.data is not None else None
    seed = options.seed if data is None else None
    have = World(options.home).read_settings()
    if have is not None:
        if (have.data, have.seed) != (data, seed):
            filled = f"data folder {have.data}" if have.data else f"the make-believe company of seed {have.seed}"
            raise WorldError(f"{options.home} holds {filled}. `reset` empties it, `--home` makes another world beside it.")
        if options.currency not in (None, have.reporting_currency):
            raise WorldError(
                f"{options.home} reports in {have.reporting_currency}; `reset` it to report in {options.currency}."
            )
        return have
    if data is None:
        from sandbox.company import REPORTING_CURRENCY, REPORTING_TIME_ZONE

        currency, zone = options.currency or REPORTING_CURRENCY, REPORTING_TIME_ZONE
    else:
        from sandbox.order_currency import commonest_currency

        currency, zone = options.currency or commonest_currency(folder) or "EUR", "Etc/UTC"
    return Settings(
        reporting_currency=currency,
        reporting_time_zone=zone,
        accounts={"crm": [{"id": "default", "time_zone": zone}]},
        data=data,
        seed=seed,
    )


def demo(options: DemoOptions, progress: Progress) -> int:
    """Run the demo. Returns 0 when gold is filled and nothing failed that should not have, else 1."""
    check_environments()
    if options.data is not None:
        next(iter(landing.files_of(options.data)), None)  # complains before anything is started
    folder = options.home / "exports"
    with progress.stage("exports"):
        folder = exports_of(options)
        settings = settings_of(options, folder)
    world = Supervisor(options.home, settings=settings, dbt_command="build" if options.tests else "run")
    with progress.stage("start"):
        world.start()
    try:
        if world.made:
            progress.say(f"  made {len(world.made)} things: buckets, topics, subscriptions, schedules, tables")
        progress.say(f"  reports are in {settings.reporting_currency}, by days of {settings.reporting_time_zone}")
        before = world.ledger()
        _run(world, folder, progress)
        with progress.stage("summary"):
            found = summary.collect(world.cloud)
        summary.show(progress.console, found, settings.reporting_currency, progress.seconds)
        if found.rows == before.rows and before.rows:
            progress.say("\nNo new rows: every file was here before, so the figures are those of the last run.")
        with progress.stage("stop"):
            world.stop()
    finally:
        world.stop()
    _say_what_next(progress, options, world.world)
    return 1 if found.problems else 0


def _run(world: Supervisor, folder: Path, progress: Progress) -> None:
    with progress.stage("drop"):
        dropped = world.drop_folder(folder)
        progress.show(f"{len(dropped.new)} files dropped, {len(dropped.same)} were there")

    def watch_slices(state: Ledger) -> None:
        progress.show(describe(state) + _patience(world.idle_seconds))

    def watch_build(state: Ledger) -> None:
        shown = describe_build(state, world.dbt.nodes() if world.dbt.running else None)
        progress.show((shown or f"build {state.done_build} is the newest") + _patience(world.idle_seconds))

    with progress.stage("extract and load"):
        if dropped.new:
            # Each file has asked for a run by itself; the schedule then finds only what is left.
            world.wait_idle(_LOAD_TIMEOUT_SECONDS, until=_loaded, watch=watch_slices, ignore_job=True)
        for source in world.contract.sources:
            world.fire(f"ingest-{source}")
        world.wait_idle(_LOAD_TIMEOUT_SECONDS, until=_loaded, watch=watch_slices, ignore_job=True)
    with progress.stage("transform"):
        world.wait_idle(_LOAD_TIMEOUT_SECONDS, watch=watch_build)


def _patience(idle_seconds: float) -> str:
    if idle_seconds < _PATIENCE_SECONDS:
        return ""
    return " · nothing moves: what a killed run held comes free by itself; `status`, in another window, says when"


def _loaded(state: Ledger) -> bool:
    return not state.open_runs


def _say_what_next(progress: Progress, options: DemoOptions, world: World) -> None:
    where = f" DATA={options.data}" if options.data is not None else ""
    lines: list[tuple[str, str]] = [
        (f'make sql{where} Q="select * from gold.fact_orders limit 5"', "ask the warehouse"),
        (f"make up{where}", "keep it running, with its HTTP API"),
        (f"make status{where}", "runs, slices, builds"),
    ]
    progress.say("\n[bold]Next[/bold]")
    for command, what in lines:
        progress.say(f"  {escape(command):<66} {what}")
    progress.say(f"  logs are in {escape(str(_short(world.logs)))}")


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
