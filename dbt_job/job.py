"""The Cloud Run job: one numbered build of the warehouse.

Claims the build, registers the loaded slices in it, runs dbt in this process, keeps dbt's artifacts whatever happened, and
exits with dbt's verdict. A job that finds another one at work exits with 0: the want is noted, the other one asks again.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "functions"))

from pipeline import build as builds  # noqa: E402  (the package lies beside this folder, in the image as in the repository)
from pipeline import clients, contract, errors, journal  # noqa: E402

ARTIFACTS = ("manifest.json", "run_results.json")


def main() -> int:
    """Run one build. 0: complete, or nothing to do; 1: a model or test failed; 2: dbt itself did."""
    timeout_seconds = int(os.environ.get("PIPELINE_TIMEOUT_SECONDS", contract.load().jobs["dbt"].timeout_seconds))
    build = builds.claim(timeout_seconds)
    if build is None:
        journal.log("build", "another build is at work")
        return 0
    started = time.monotonic()
    complete = False
    try:
        builds.register(build)
    except errors.Rejected:
        builds.finish(build, complete=False)  # a person must act: to try again each minute would not help
        raise
    except Exception:
        builds.give_up(build)
        raise
    try:
        status = run_dbt(build)
        complete = status == 0
        builds.keep_results(build, HERE / "target")
    finally:
        builds.keep_artifacts(build, HERE / "target", ARTIFACTS)
        builds.finish(build, complete=complete)
        journal.log("build", "job ends", build=build.number, seconds=round(time.monotonic() - started, 1), complete=complete)
    return status


def run_dbt(build: builds.Build) -> int:
    """Build the models, in this process: dbt's import and parse are paid once. Returns dbt's exit code."""
    from dbt.cli.main import dbtRunner

    command = arguments(build, os.environ.get("PIPELINE_DBT_COMMAND", "build"))
    result = dbtRunner().invoke(command)
    if result.exception is not None:
        journal.log("build", f"dbt: {result.exception}", severity="ERROR", build=build.number)
        return 2
    return 0 if result.success else 1


def arguments(build: builds.Build, command: str) -> list[str]:
    """dbt's command line for a build. ``command``: ``build`` (seeds, models and tests) or ``run`` (without the tests)."""
    variables = {"build": build.number, "since": build.since}
    words = ["build", "--project-dir", str(HERE), "--profiles-dir", str(HERE)]
    words += ["--target", clients.setting("PIPELINE_DBT_TARGET"), "--vars", json.dumps(variables)]
    words += ["--exclude-resource-type", "unit_test"]  # they belong to CI, where nothing is built yet
    if command == "run":
        words += ["--exclude-resource-type", "test"]
    if build.select:
        words += ["--select", *build.select]
    if build.full_refresh:
        words += ["--full-refresh"]
    return words


if __name__ == "__main__":
    sys.exit(main())
