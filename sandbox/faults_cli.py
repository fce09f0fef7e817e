"""``python -m sandbox faults``: break calls of a running world on purpose, from the command line."""

from __future__ import annotations

import argparse
import sys

from sandbox.engines.fault_effects import (
    Corrupt,
    Cut,
    Delay,
    Drop,
    Duplicate,
    Effect,
    JobFails,
    JobSlow,
    JobStuck,
    Refuse,
    TaskFails,
    TaskHangs,
    TaskKilled,
    Truncate,
)
from sandbox.engines.faults import Rule
from sandbox.world import World, WorldError
from sandbox.world_faults import ENGINES, active_faults, described, remote_faults

EXAMPLES = """\
Examples:
  python -m sandbox faults add storage objects.insert --name '*-state/*' --status 503 --times 2
  python -m sandbox faults add bigquery jobs.insert --detail kind=load --job-fails backendError
  python -m sandbox faults add pubsub push --name '*/load_bronze' --cut --after      the answer is lost
  python -m sandbox faults add pubsub Publish --status UNAVAILABLE --probability 0.2 --times always
  python -m sandbox faults add run_jobs task --hang
  python -m sandbox faults add scheduler ring --drop                                 one time is missed
  python -m sandbox faults list
  python -m sandbox faults clear pubsub                                              without a name: all

METHOD is Google's name of a call (objects.insert, jobs.query, Publish, RunJob, AccessSecretVersion; patterns such as
'objects.*' too), or what an engine does by itself: push (pubsub), task (run_jobs), ring and attempt (scheduler).
Faults end with the world: after `down` and `up` there are none.
"""


def add_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """The verb's own verbs: ``add``, ``list`` and ``clear``. ``common``: options that each of them takes too."""
    acts = parser.add_subparsers(dest="act", metavar="ACT", required=True)

    def act(name: str, text: str) -> argparse.ArgumentParser:
        form = argparse.RawDescriptionHelpFormatter
        return acts.add_parser(name, help=text, parents=[common], epilog=EXAMPLES, formatter_class=form)

    add = act("add", "set one")
    add.add_argument("engine", choices=ENGINES)
    add.add_argument("method", help="the calls that meet it; a pattern")
    add.add_argument("--name", default="*", metavar="PATTERN", help="only of this bucket/object, job, topic, subscription, …")
    add.add_argument("--detail", action="append", default=[], metavar="KEY=PATTERN", help="only where this holds too")
    add.add_argument("--times", default="1", metavar="N", help="how often (default: once); `always`: without end")
    add.add_argument("--skip", type=int, default=0, metavar="N", help="let so many matching calls pass first")
    add.add_argument("--probability", type=float, default=1.0, metavar="P", help="then with this probability each")
    add.add_argument("--seed", type=int, default=0, help="of the probability, so that it can be repeated")
    add.add_argument("--after", action="store_true", help="after the call took effect: its answer is lost")
    effects = add.add_mutually_exclusive_group(required=True)
    effects.add_argument("--status", help="refuse with this HTTP status or gRPC code: 503, RESOURCE_EXHAUSTED, …")
    effects.add_argument("--cut", action="store_true", help="cut the connection")
    effects.add_argument("--delay", type=float, metavar="SECONDS", help="carry it out later")
    effects.add_argument("--duplicate", type=int, metavar="TIMES", help="carry it out so many times")
    effects.add_argument("--drop", action="store_true", help="lose the push, or the ringing of the schedule")
    effects.add_argument("--truncate", type=int, metavar="BYTES", help="cut an upload or a download after so many")
    effects.add_argument("--corrupt", action="store_true", help="flip a bit of an upload or a download")
    effects.add_argument("--job-fails", metavar="REASON", help="bigquery: the job ends with this error")
    effects.add_argument("--job-stuck", action="store_true", help="bigquery: the job does nothing and does not end")
    effects.add_argument("--job-slow", type=float, metavar="SECONDS", help="bigquery: done, but shown as running")
    effects.add_argument("--fail", type=int, metavar="CODE", help="run_jobs: the task ends with this exit code")
    effects.add_argument("--hang", action="store_true", help="run_jobs: the task does not end")
    effects.add_argument("--kill", type=float, metavar="SECONDS", help="run_jobs: the task is killed after so many")
    act("list", "those from which more may come")
    act("clear", "end them").add_argument("engine", nargs="?", choices=ENGINES)


def faults(world: World, options: argparse.Namespace) -> int:
    """Carries out the verb against a running world. Returns the exit code; raises :class:`WorldError` when none is up."""
    running = world.running()
    engines = remote_faults(running)
    try:
        if options.act == "add":
            engines[options.engine].put(rule(options))
        elif options.act == "clear":
            for engine in [options.engine] if options.engine else ENGINES:
                engines[engine].reset()
    except ValueError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        raise WorldError(f"the world does not answer: {error}") from error
    for found in active_faults(running):
        print(described(found))
    return 0


def rule(options: argparse.Namespace) -> Rule:
    """The rule that the options of ``add`` ask for. Raises ValueError."""
    detail = dict(pair.split("=", 1) for pair in options.detail if "=" in pair)
    if len(detail) < len(options.detail):
        raise ValueError(f"a detail has the form KEY=PATTERN, not {' '.join(options.detail)}")
    count = None if options.times == "always" else int(options.times)
    made = effect(options)
    if options.after and not hasattr(made, "after"):
        raise ValueError(f"{type(made).__name__} has no after")
    return Rule(
        made,
        method=options.method,
        name=options.name,
        detail=detail,
        count=count,
        skip=options.skip,
        probability=options.probability,
        seed=options.seed,
    )


def effect(options: argparse.Namespace) -> Effect:
    """The one effect that the options name. Raises ValueError for a status that is no error."""
    if options.status is not None:
        return Refuse(int(options.status) if options.status.isdigit() else options.status.upper(), after=options.after)
    if options.delay is not None:
        return Delay(options.delay)
    if options.duplicate is not None:
        return Duplicate(options.duplicate)
    if options.truncate is not None:
        return Truncate(options.truncate)
    if options.job_fails is not None:
        return JobFails(options.job_fails)
    if options.job_slow is not None:
        return JobSlow(options.job_slow)
    if options.fail is not None:
        return TaskFails(options.fail, after=options.after)
    if options.kill is not None:
        return TaskKilled(options.kill)
    if options.cut:
        return Cut(after=options.after)
    if options.hang:
        return TaskHangs(after=options.after)
    return Drop() if options.drop else Corrupt() if options.corrupt else JobStuck()
