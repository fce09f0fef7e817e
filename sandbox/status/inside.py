"""What only the process of a world knows: its queues, instances, schedules and clock; told to other processes over HTTP.

Of a world that is not up the same is read from its directories, as the next start will find it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from sandbox.engines.journal import JournaledMap
from sandbox.front import Answer, Front, json_answer, text
from sandbox.status.facts import BackOff, ClockFact, ExecutionFact, FunctionFact, Inside, QueueFact, ScheduleFact
from sandbox.status.logs import last_error
from sandbox.world import World

if TYPE_CHECKING:
    from sandbox.engines.pubsub_queue import SubscriptionQueue
    from sandbox.supervisor import Supervisor

SHOWN_BACK_OFF = 20
_ASK_SECONDS = 10.0


def front_of(supervisor: Supervisor, port: int = 0) -> Front:
    """A server on this machine at which :func:`ask` finds what the supervisor knows."""

    def answer(method: str, path: str, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        if method != "GET":
            return text(405, "Ask with GET.")
        return json_answer(asdict(of_supervisor(supervisor)))

    return Front(answer, port)


def ask(url: str) -> Inside:
    """What the supervisor at this address knows. Raises :class:`requests.RequestException` when it does not answer."""
    answer = requests.get(url, timeout=_ASK_SECONDS)
    answer.raise_for_status()
    value = answer.json()
    queues = [QueueFact(**{**one, "back_off": [BackOff(**entry) for entry in one["back_off"]]}) for one in value["queues"]]
    return Inside(
        queues=queues,
        functions=[FunctionFact(**one) for one in value["functions"]],
        schedules=[ScheduleFact(**one) for one in value["schedules"]],
        execution=ExecutionFact(**value["execution"]) if value["execution"] else None,
        clock=ClockFact(**value["clock"]) if value["clock"] else None,
        job_runs=value["job_runs"],
        in_flight=value["in_flight"],
    )


def of_supervisor(supervisor: Supervisor) -> Inside:
    """Look at everything now."""
    broker, clock = supervisor.services.pubsub.broker, supervisor.clock
    with broker.lock:
        failures = {
            record.subscription: f"{record.outcome} at {record.at:%H:%M:%S}: {record.detail}"
            for record in broker.log
            if record.outcome not in ("acknowledged", "dropped")
        }
        queues = _queues(broker.queues.values(), clock.now(), clock.seconds(), failures)
    functions = [
        _function(name, pool.deployment.log, pool.instances, pool.in_flight) for name, pool in supervisor.host.pools.items()
    ]
    execution = _execution(supervisor.services.run_jobs.all_executions())
    running = supervisor.dbt.running
    if execution is not None and running and (nodes := supervisor.dbt.nodes()):
        execution = ExecutionFact(**{**asdict(execution), "done_nodes": nodes.done, "total_nodes": nodes.total})
    return Inside(
        queues=queues,
        functions=functions,
        schedules=_schedules(supervisor.services.scheduler.all_jobs()),
        execution=execution,
        clock=ClockFact(clock.real, clock.now().isoformat(), clock.scale),
        job_runs=running,
        in_flight=supervisor.host.in_flight,
    )


def of_directories(world: World, functions: Iterable[str]) -> Inside:
    """What a world that is not up will begin with. The caller holds the world's lock."""
    from google.cloud.run_v2 import types as run_types
    from google.cloud.scheduler_v1 import types as scheduler_types

    from sandbox.engines.pubsub_journal import PubSubJournal

    queues: list[QueueFact] = []
    if world.engine("pubsub").exists():
        journal = PubSubJournal(world.engine("pubsub"))
        queues = _queues(journal.queues.values(), datetime.now(UTC), None, {})
        journal.close()
    jobs = _kept(world.engine("scheduler") / "jobs.jsonl")
    executions = _kept(world.engine("run-jobs") / "executions.jsonl")
    return Inside(
        queues=queues,
        functions=[_function(name, world.logs / f"{name}.log", None, None) for name in functions],
        schedules=_schedules([scheduler_types.Job.from_json(job) for job in jobs.values()]),
        execution=_execution([run_types.Execution.from_json(one) for one in executions.values()]),
        clock=None,
        job_runs=False,
        in_flight=0,
    )


def _kept(path: Path) -> Mapping[str, Any]:
    if not path.exists():
        return {}
    kept = JournaledMap(path)
    kept.close()
    return kept


def _function(name: str, log: Path, instances: int | None, in_flight: int | None) -> FunctionFact:
    error = last_error(log)
    return FunctionFact(name, instances, in_flight, error.words if error else "", error.at if error else None, str(log))


def _queues(
    queues: Iterable[SubscriptionQueue], now: datetime, seconds: float | None, failures: Mapping[str, str]
) -> list[QueueFact]:
    """``seconds``: what the clock of the queues shows; None where they do not run."""
    queues = sorted(queues, key=lambda queue: queue.name)
    sources: dict[str, list[str]] = {}
    for queue in queues:
        if topic := queue.settings.dead_letter_policy.dead_letter_topic:
            sources.setdefault(topic, []).append(_last(queue.name))
    found = []
    for queue in queues:
        published = [delivery.message.publish_time.ToDatetime(UTC) for delivery in queue.pending.values()]
        oldest = max(0.0, (now - min(published)).total_seconds()) if published else None
        refused = queue.refused()
        found.append(
            QueueFact(
                subscription=_last(queue.name),
                topic=_last(queue.settings.topic),
                waiting=queue.waiting,
                leased=len(queue.leased),
                oldest_unacknowledged_seconds=oldest,
                back_off=[
                    BackOff(
                        delivery.message.message_id,
                        _about(delivery.message.data),
                        delivery.attempts,
                        None if seconds is None else (now + timedelta(seconds=max(0.0, round(due - seconds, 3)))).isoformat(),
                    )
                    for due, delivery in refused[:SHOWN_BACK_OFF]
                ],
                last_failure=failures.get(queue.name, ""),
                dead_letters_of=sources.get(queue.settings.topic, []),
            )
        )
    return found


def _about(data: bytes) -> str:
    """The slice, run or object that a message of the pipeline or of Storage is about; empty for others."""
    try:
        body = json.loads(data)
    except ValueError:
        return ""
    if not isinstance(body, dict):
        return ""
    return str(next((body[name] for name in ("slice_id", "name", "run_id", "source", "id") if body.get(name)), ""))


def _schedules(jobs: Iterable[Any]) -> list[ScheduleFact]:
    found = []
    for job in sorted(jobs, key=lambda job: str(job.name)):
        code = job.status.code if job.status else 0
        result = f"{_code_name(code)}: {job.status.message}" if code else "OK"
        found.append(
            ScheduleFact(
                name=_last(job.name),
                schedule=job.schedule,
                time_zone=job.time_zone,
                state=job.state.name.lower(),
                next_at=_iso(job.schedule_time),
                last_at=_iso(job.last_attempt_time),
                last_result=result if job.last_attempt_time else "",
            )
        )
    return found


def _code_name(number: int) -> str:
    import grpc

    return next((code.name for code in grpc.StatusCode if code.value[0] == number), str(number))


def _execution(executions: Iterable[Any]) -> ExecutionFact | None:
    newest = max(executions, key=lambda one: one.create_time, default=None)
    if newest is None:
        return None
    if not newest.completion_time:
        result = "running"
    elif newest.succeeded_count:
        result = "succeeded"
    else:
        result = f"failed: {newest.conditions[0].message}"
    return ExecutionFact(_last(newest.name), _iso(newest.start_time), _iso(newest.completion_time), result)


def _iso(moment: Any) -> str | None:
    return moment.isoformat() if moment else None


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1]
