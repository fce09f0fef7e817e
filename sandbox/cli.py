"""``python -m sandbox``: the cloud on a laptop, from the command line."""

from __future__ import annotations

import argparse
import contextlib
import csv
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox import faults_cli
from sandbox.world import PROJECT_ROOT, Lock, World, WorldError, default_home, is_locked

if TYPE_CHECKING:
    from google.cloud import bigquery

_START_TIMEOUT_SECONDS = 120.0
_STOP_TIMEOUT_SECONDS = 60.0

_EXAMPLES = {
    None: """\
First steps:
  python -m sandbox demo                      everything, from exports to figures, then stop
  python -m sandbox demo --data ~/exports     the same with your own files
  python -m sandbox sql "select count(*) from gold.fact_orders"
  python -m sandbox up                        keep it running, with its HTTP API (control) in a browser

A world keeps its state in a home folder (.sandbox/company, or one for each --data folder).
`python -m sandbox VERB --help` explains each verb.
""",
    "demo": """\
Examples:
  python -m sandbox demo
  python -m sandbox demo --no-tests           without dbt's tests: quicker
  python -m sandbox demo --data ~/exports     every file of the folder is dropped as it is;
                                              presets.yaml in it explains unusual headers
  python -m sandbox demo --seed 7 --home /tmp/seven
                                              another make-believe company, elsewhere

Run it again: it finds yesterday's state, loads only what is new, and says so.
Exit code: 0 when gold is filled and nothing failed; files that had to be set aside are named.
""",
    "up": """\
Examples:
  python -m sandbox up                        in the foreground; Ctrl-C stops it
  python -m sandbox up --detach               in the background; `down` stops it

Schedules ring at their own times while a world is up; `fire` rings one now.
Drop files with any Cloud Storage client: STORAGE_EMULATOR_HOST is printed at start.
""",
    "down": """\
Example:
  python -m sandbox down
""",
    "fire": """\
Examples:
  python -m sandbox fire ingest-crm           what the clock does at the source's time
  python -m sandbox fire sweep                what the clock does each minute

When the world is down, it is brought up for it, waited for, and stopped again.
""",
    "sql": """\
Examples:
  python -m sandbox sql "select count(*) as orders from gold.fact_orders"
  python -m sandbox sql "select * from audit.aud_findings" > findings.csv
  echo "select 1" | python -m sandbox sql -

The answer is CSV on standard output. When the world is down, only the warehouse is started.
""",
    "status": """\
Examples:
  python -m sandbox status                    what is up, what waits and for what, what failed and what to do
  python -m sandbox status --json             the same and more, for machines

Works whether the world is up, stopped, or was killed.
""",
    "files": """\
Examples:
  python -m sandbox files                     rows in each file = loaded + set aside + non-rows, and why
  python -m sandbox files --data ~/exports

Works whether the world is up or down.
""",
    "faults": faults_cli.EXAMPLES,
    "preset": """\
Examples:
  python -m sandbox preset ~/exports/sales.csv                    a draft on standard output
  python -m sandbox preset ~/exports/*.csv > ~/exports/presets.yaml
  python -m sandbox preset ~/exports/data.csv --stream products   what it holds, where its header does not say

Files are read, nothing is loaded, and no world is needed. The comments above a draft say what would load; check what is
`# unsure:`. A file that cannot be drafted is named, and the others are drafted all the same.
""",
    "reset": """\
Examples:
  python -m sandbox reset                     asks before it deletes
  python -m sandbox reset --yes --data ~/exports
""",
}


def parser() -> argparse.ArgumentParser:
    """The command line, with help that shows what to type."""
    common = _which_world(argparse.ArgumentParser(add_help=False))
    top = argparse.ArgumentParser(
        prog="python -m sandbox",
        description="The cloud on a laptop: storage, queues, warehouse, scheduler and the functions, all local.",
        epilog=_EXAMPLES[None],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True)

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        return verbs.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=_EXAMPLES[name],
            parents=[common],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    demo = verb("demo", "go from exports to figures in one go, then stop")
    demo.add_argument("--tests", action=argparse.BooleanOptionalAction, default=True, help="run dbt's tests")
    demo.add_argument("--seed", type=int, default=1, help="which make-believe company (default: 1)")
    demo.add_argument("--currency", help="reporting currency (default: the commonest one of the orders)")
    up = verb("up", "bring a world up and keep it running")
    up.add_argument("--detach", action="store_true", help="return when it is up; `down` stops it")
    verb("down", "stop a world that is up")
    verb("fire", "ring a schedule now").add_argument("schedule", help="ingest-crm, or sweep")
    verb("sql", "ask the warehouse, answer as CSV").add_argument("query", help="GoogleSQL; - reads standard input")
    status = verb("status", "explain the state: what is under way, why it waits, what is there")
    status.add_argument("--json", action="store_true", help="for machines: every fact, times in ISO 8601")
    verb("files", "account for every row of every file, and say how each was read")
    # The verb's own verbs take these too, and leave alone what stands before them.
    again = _which_world(argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS))
    faults_cli.add_arguments(verb("faults", "break calls of a running world on purpose"), again)
    preset = verb("preset", "draft a preset for a file that none fits, and try it")
    preset.add_argument("file", type=Path, nargs="+", help="an export: CSV, TSV, …; also .gz")
    preset.add_argument("--stream", help="what the file holds: orders, contacts, …")
    verb("reset", "delete a world's state").add_argument("--yes", action="store_true", help="do not ask")
    return top


def _which_world(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--home", type=Path, help="the world's folder (default: .sandbox/company)")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="the world of this folder of exports")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb. Returns the exit code: 0 well, 1 not well, 2 wrong use, 130 interrupted."""
    options = parser().parse_args(arguments)
    home = (options.home or default_home(options.data)).expanduser().resolve()
    if options.data is not None:
        options.data = options.data.expanduser()
    try:
        return {
            "demo": _demo, "up": _up, "down": _down, "fire": _fire, "sql": _sql, "status": _status, "files": _files,
            "faults": faults_cli.faults, "preset": _preset, "reset": _reset,
        }[options.verb](World(home), options)  # fmt: skip
    except WorldError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _demo(world: World, options: argparse.Namespace) -> int:
    from sandbox.demo import DemoOptions, demo
    from sandbox.progress import Progress

    with _terminates_like_ctrl_c():
        wanted = DemoOptions(world.home, options.data, options.tests, options.seed, options.currency)
        return demo(wanted, Progress())


def _up(world: World, options: argparse.Namespace) -> int:
    if options.detach:
        return _detach(world, options)
    from sandbox.demo import DemoOptions, check_environments, exports_of, settings_of
    from sandbox.supervisor import Supervisor

    check_environments()
    settings = world.read_settings()
    if settings is None:
        wanted = DemoOptions(world.home, options.data)
        settings = settings_of(wanted, exports_of(wanted))
    with _terminates_like_ctrl_c(), Supervisor(world.home, settings=settings):
        print(f"up: {world.home}")
        _say_where(world)
        print("Ctrl-C stops it.", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)
        print("stopping …", flush=True)
    return 0


def _say_where(world: World) -> None:
    running = world.running()
    assert running is not None
    print(f"control      {running.urls['console']}")
    for name, value in running.parsed_addresses().environment().items():
        print(f"  export {name}={value}")
    print(f"  export GOOGLE_CLOUD_PROJECT={world.project}")


def _detach(world: World, options: argparse.Namespace) -> int:
    if is_locked(world.home):
        Lock(world.home)  # raises with the reason
    world.logs.mkdir(parents=True, exist_ok=True)
    log_path = world.logs / "up.log"
    command = [sys.executable, "-m", "sandbox", "up", "--home", str(world.home)]
    if options.data is not None:
        command += ["--data", str(options.data.resolve())]
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            command, cwd=PROJECT_ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    deadline = time.monotonic() + _START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise WorldError(f"it did not come up:\n{_tail(log_path)}")
        running = world.running()
        if running is not None and running.status == "up" and running.pid == process.pid:
            print(f"up: {world.home} (process {process.pid}); `down` stops it")
            _say_where(world)
            return 0
        time.sleep(0.1)
    process.terminate()
    raise WorldError(f"it was not up after {_START_TIMEOUT_SECONDS:g} seconds; see {log_path}")


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])


def _down(world: World, _: argparse.Namespace) -> int:
    running = world.running()
    if running is None:
        print(f"not up: {world.home}")
        return 0
    os.kill(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_TIMEOUT_SECONDS
    while is_locked(world.home):
        if time.monotonic() > deadline:
            raise WorldError(f"process {running.pid} did not stop within {_STOP_TIMEOUT_SECONDS:g} seconds")
        time.sleep(0.1)
    print(f"stopped: {world.home}")
    return 0


def _fire(world: World, options: argparse.Namespace) -> int:
    from sandbox.cloud import Cloud
    from sandbox.supervisor import Supervisor, fire

    if (running := world.running()) is not None:
        with contextlib.closing(Cloud(world, running.parsed_addresses())) as cloud:
            fire(cloud, options.schedule)
        print(f"fired {options.schedule}; `status` shows what comes of it")
        return 0
    from sandbox.demo import check_environments
    from sandbox.progress import Progress, describe

    check_environments()
    progress = Progress()
    with _terminates_like_ctrl_c(), Supervisor(world.home) as supervisor, progress.stage(options.schedule):
        supervisor.fire(options.schedule)
        state = supervisor.wait_idle(watch=lambda state: progress.show(describe(state)))
    return 1 if state.statuses["failed"] else 0


def _sql(world: World, options: argparse.Namespace) -> int:
    from google.api_core.exceptions import GoogleAPICallError

    query = sys.stdin.read() if options.query == "-" else options.query
    with _warehouse(world) as client:
        try:
            rows = client.query(query).result()
        except GoogleAPICallError as error:
            print(f"sandbox: {error.message}", file=sys.stderr)
            return 1
        writer = csv.writer(sys.stdout, lineterminator="\n")
        if rows.schema:
            writer.writerow([field.name for field in rows.schema])
        for row in rows:
            writer.writerow(["" if value is None else value for value in row.values()])
    return 0


@contextlib.contextmanager
def _warehouse(world: World) -> Iterator[bigquery.Client]:
    """A client of the running world's warehouse, or of one that is started for the question."""
    from sandbox import processes
    from sandbox.cloud import Cloud
    from sandbox.services import warehouse_of
    from sandbox.world import Addresses

    running = world.running()
    if running is not None:
        if not running.addresses:
            raise WorldError("this world is just starting; ask again in a few seconds")
        with contextlib.closing(Cloud(world, running.parsed_addresses())) as cloud:
            yield cloud.bigquery
        return
    _must_exist(world)
    lock = Lock(world.home)
    processes.end_leftovers(world.home)  # of a world that was killed: its warehouse may still hold the files
    engine = warehouse_of(world)
    try:
        address = engine.start()
        nowhere = Addresses(storage="", pubsub="", bigquery=address, secret_manager="", scheduler="", run="")
        with contextlib.closing(Cloud(world, nowhere)) as cloud:
            yield cloud.bigquery
    finally:
        engine.stop()
        lock.release()


def _status(world: World, options: argparse.Namespace) -> int:
    from sandbox.progress import Progress
    from sandbox.status import collect, show

    _must_exist(world)
    found = collect(world)
    if options.json:
        print(json.dumps(dataclasses.asdict(found), indent=2, ensure_ascii=False))
    else:
        show(found, Progress().console)
    return 0


def _files(world: World, _: argparse.Namespace) -> int:
    from sandbox import file_report
    from sandbox.progress import Progress
    from sandbox.status import storage_of

    _must_exist(world)
    with storage_of(world) as cloud:
        file_report.show(Progress().console, file_report.accounts(cloud))
    return 0


def _reset(world: World, options: argparse.Namespace) -> int:
    if not world.home.exists():
        print(f"nothing there: {world.home}")
        return 0
    if not world.running_path.exists():
        raise WorldError(f"{world.home} is not a world's home: it holds no world.json; nothing was deleted")
    lock = Lock(world.home)
    try:
        if not options.yes and input(f"delete {world.home} and everything in it? [y/N] ").strip().lower() != "y":
            print("kept")
            return 1
        shutil.rmtree(world.home)
    finally:
        lock.release()
    print(f"deleted: {world.home}")
    return 0


def _preset(_: World, options: argparse.Namespace) -> int:
    from pipeline.errors import ContractError
    from sandbox.drafts.draft import HEAD, draft

    failed = begun = False
    for path in options.file:
        try:
            text = draft(path.expanduser(), options.stream)
        except (ContractError, WorldError) as error:
            print(f"sandbox: {error.message if isinstance(error, ContractError) else error}", file=sys.stderr)
            failed = True
            continue
        # One document, however many files: YAML knows each key once.
        print(text.replace(f"{HEAD}\n", "", 1) if begun else text, end="", flush=True)
        begun = begun or f"{HEAD}\n" in text
    return 1 if failed else 0


def _must_exist(world: World) -> None:
    if not world.settings_path.exists():
        raise WorldError(f"there is no world in {world.home} yet; `demo` fills one")


@contextlib.contextmanager
def _terminates_like_ctrl_c() -> Iterator[None]:
    """SIGTERM unwinds like Ctrl-C, so everything is stopped in order."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
