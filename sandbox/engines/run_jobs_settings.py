"""What a Cloud Run job and the overrides of its execution may say, and what of it the engine does not emulate."""

from __future__ import annotations

from typing import Any

from sandbox.engines.grpc_services import not_emulated, only, raw

JOB_SETTINGS = {"name", "labels", "annotations", "client", "client_version", "launch_stage", "template"}
OUTPUT_ONLY = {"uid", "generation", "create_time", "update_time", "etag", "creator", "last_modifier"}
EXECUTION_SETTINGS = {"labels", "annotations", "parallelism", "task_count", "template"}
TASK_SETTINGS = {"containers", "max_retries", "timeout", "service_account", "execution_environment"}
CONTAINER_SETTINGS = {"name", "image", "command", "args", "env", "resources"}
VARIABLE_SETTINGS = {"name", "value"}
OVERRIDES = {"container_overrides", "task_count", "timeout"}
CONTAINER_OVERRIDES = {"name", "args", "env", "clear_args"}
"""What may be set, with effect or (as the engines' README says) without; anything else is refused by name."""


def check(job: Any) -> None:
    """Raises UNIMPLEMENTED for settings of a new job whose effect would be missing."""
    task = job.template.template
    only(job, JOB_SETTINGS | OUTPUT_ONLY, "the job setting ")
    only(job.template, EXECUTION_SETTINGS, "the job setting template.")
    only(task, TASK_SETTINGS, "the job setting template.template.")
    if "max_retries" not in task or task.max_retries:
        raise not_emulated("retries of tasks (max_retries, 3 unless it is given); set it to 0")
    if job.template.task_count > 1:
        raise not_emulated("jobs of several tasks (task_count)")
    if len(task.containers) > 1:
        raise not_emulated("jobs of several containers (containers)")
    for container in task.containers:
        only(container, CONTAINER_SETTINGS, "the container setting ")
        _environment(container)


def arguments_and_environment(job: Any, overrides: Any) -> tuple[list[str], dict[str, str]]:
    """What an execution's task is started with: the job's own container, with the overrides over it. Raises UNIMPLEMENTED."""
    only(overrides, OVERRIDES, "RunJob with overrides.")
    if overrides.task_count > 1:
        raise not_emulated("several tasks of an execution (overrides.task_count)")
    if len(overrides.container_overrides) > 1:
        raise not_emulated("jobs of several containers (overrides.container_overrides)")
    containers = job.template.template.containers
    arguments = list(containers[0].args) if containers else []
    environment = _environment(containers[0]) if containers else {}
    for override in overrides.container_overrides:
        only(override, CONTAINER_OVERRIDES, "RunJob with overrides.container_overrides.")
        if override.args or override.clear_args:
            arguments = list(override.args)
        environment |= _environment(override)
    return arguments, environment


def _environment(container: Any) -> dict[str, str]:
    for variable in raw(container).env:
        only(variable, VARIABLE_SETTINGS, "the environment variable setting ")
    return {variable.name: variable.value for variable in container.env}
