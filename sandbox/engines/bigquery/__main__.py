"""Serve the local BigQuery until SIGTERM. See `--help`; started by `sandbox.engines.bigquery_process`."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from sandbox.engines.bigquery import compat, prepare


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.engines.bigquery", description=__doc__)
    parser.add_argument("--directory", type=Path, required=True, help="where tables and jobs are kept")
    parser.add_argument("--port", type=int, default=0, help="port of the REST API on 127.0.0.1; 0 picks a free one")
    parser.add_argument("--storage", help="base address of the Storage engine, for gs:// addresses of load jobs")
    parser.add_argument("--location", default="EU", help="location of all datasets and jobs")
    parser.add_argument("--project", default="sandbox-project", help="project of requests that name none")
    parser.add_argument("--lifeline", action="store_true", help="stop when standard input ends: the parent is gone")
    return parser.parse_args()


def keep_stdout_for_the_address() -> Callable[[dict[str, object]], None]:
    """Send everything else that is printed, bqemulator's log above all, to standard error.

    Returns:
        A function that writes its argument as one line of JSON to the real standard output.
    """
    real = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def announce(message: dict[str, object]) -> None:
        os.write(real, json.dumps(message).encode() + b"\n")

    return announce


async def serve(options: argparse.Namespace, announce: Callable[[dict[str, object]], None]) -> None:
    """Start the server, announce its address as one line of JSON, and stop at SIGTERM, SIGINT or the end of the lifeline."""
    from bqemulator.config import Settings
    from bqemulator.server import EmulatorServer

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if options.lifeline:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stop.set)  # nobody writes: readable means ended
    server = EmulatorServer(
        Settings(
            rest_port=options.port,
            grpc_port=0,
            persistence_mode="persistent",
            data_dir=options.directory,
            default_project_id=options.project,
            # True would fetch DuckDB's Avro extension from the network; Avro is read by fastavro.
            enable_format_extensions=False,
            upload_staging_dir=options.directory / "uploads",
            log_level="warning",
            metrics_enabled=False,
        )
    )
    await server.start()
    announce({"address": server.rest_url, "pid": os.getpid()})
    await stop.wait()
    await server.stop()


def quiet() -> None:
    """Log warnings only, from the first import on."""
    from bqemulator.observability.logging_ import configure_logging

    configure_logging(level="warning", fmt="json")
    # sqlglot warns of every clause that DuckDB does not have, such as PARTITION BY; `definitions` reads those.
    logging.getLogger("sqlglot").setLevel(logging.ERROR)


def main() -> int:
    """Run the server. Returns a process exit code."""
    options = arguments()
    announce = keep_stdout_for_the_address()
    options.directory = options.directory.resolve()
    scratch = options.directory / "loading"
    shutil.rmtree(scratch, ignore_errors=True)  # files of jobs that a killed process was running
    scratch.mkdir(parents=True)
    prepare.use_environment_home()
    quiet()
    compat.install(options.location, options.storage, scratch)
    asyncio.run(serve(options, announce))
    return 0


if __name__ == "__main__":
    sys.exit(main())
