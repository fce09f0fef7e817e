"""``pipeline.yaml`` as frozen dataclasses; an error names the file and the key.

``python -m pipeline.contract --write`` regenerates what is derived from the contract (dbt's sources file); ``--check`` only
says whether it is stale.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import ContractError

CONTRACT_PATH = Path(__file__).resolve().parent.parent / "pipeline.yaml"
SCHEMA_PATH = CONTRACT_PATH.with_name("pipeline.schema.json")

FieldType = Literal["string", "integer", "decimal", "boolean", "date", "timestamp", "json"]
Mode = Literal["dates", "upsert", "snapshot"]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a stream.

    ``personal``: it names or reaches a person, and stays in the restricted places. ``derivable``: a required field that the
    warehouse works out from other records where an export declares that it gives none.
    """

    name: str
    type: FieldType
    description: str
    required: bool = False
    personal: bool = False
    derivable: bool = False


@dataclass(frozen=True, slots=True)
class Stream:
    """One kind of record of a source, with its grain, key and the way that newer slices replace older ones."""

    source: str
    name: str
    grain: str
    key: tuple[str, ...]
    window: Literal["files", "dates"]
    mode: Mode
    fields: Mapping[str, Field]
    money_unit: str | None = None
    lookback_days: int = 0
    slice_days: int = 1

    @property
    def full_name(self) -> str:
        return f"{self.source}.{self.name}"

    @property
    def table(self) -> str:
        """Name of its table in the dataset ``bronze``."""
        return f"{self.source}__{self.name}"

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields.values() if field.required)


@dataclass(frozen=True, slots=True)
class Source:
    """A source, its schedule (five cron fields in ``time_zone``), and how many of its slices may be in flight."""

    name: str
    description: str
    schedule: str
    time_zone: str
    secrets: tuple[str, ...]
    parallel_slices: int
    streams: Mapping[str, Stream]


@dataclass(frozen=True, slots=True)
class Function:
    """One door of ``main.py`` as deployed. Exactly one of ``topic`` and ``http``."""

    name: str
    timeout_seconds: int
    memory_mib: int
    concurrency: int
    max_instances: int
    topic: str | None = None
    http: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    name: str
    timeout_seconds: int
    memory_mib: int


@dataclass(frozen=True, slots=True)
class Push:
    """How Pub/Sub delivers to the functions (https://cloud.google.com/pubsub/docs/push)."""

    ack_deadline_seconds: int
    minimum_backoff_seconds: int
    maximum_backoff_seconds: int
    max_delivery_attempts: int
    retention_days: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """A clock beside the sources' own: calls a path of ``control``."""

    name: str
    cron: str
    time_zone: str
    http_path: str


@dataclass(frozen=True, slots=True)
class Contract:
    version: int
    digest: str
    """First 16 hex digits of the file's SHA-256; kept with every slice."""
    functions: Mapping[str, Function]
    jobs: Mapping[str, Job]
    push: Push
    schedules: Mapping[str, Schedule]
    sources: Mapping[str, Source]

    def source(self, name: str) -> Source:
        """Raises :class:`ContractError` for a name that the contract does not know."""
        if name not in self.sources:
            raise ContractError(f"source '{name}' is not in the contract; it knows {', '.join(self.sources)}")
        return self.sources[name]

    @property
    def files_source(self) -> Source:
        """The source that is fed by files in the landing bucket. Raises :class:`ContractError` unless there is one."""
        fed = [s for s in self.sources.values() if any(stream.window == "files" for stream in s.streams.values())]
        if len(fed) != 1:
            raise ContractError(f"{len(fed)} sources are fed by files; the landing bucket belongs to exactly one")
        return fed[0]

    @property
    def streams(self) -> Mapping[str, Stream]:
        """Every stream by its full name, ``crm.orders``."""
        return {stream.full_name: stream for source in self.sources.values() for stream in source.streams.values()}


def load(path: Path | None = None) -> Contract:
    """Read and check a contract. Raises :class:`ContractError` naming the file and the key that is wrong."""
    return _load(path or CONTRACT_PATH)


@functools.cache
def _load(path: Path) -> Contract:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ContractError(f"{path.name}: cannot be read: {error}") from error
    data = read_yaml(raw, path.name)
    check(data, SCHEMA_PATH, path.name)
    return _build(data, hashlib.sha256(raw).hexdigest()[:16], path.name)


def read_yaml(raw: bytes, file_name: str) -> Any:
    """What a YAML file of ours says. Raises :class:`ContractError` where it is no YAML, or says something twice.

    YAML readers let the last of two equal keys win in silence: half of a file that was put together from two would be lost.
    """
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # a safe loader, the fast one where it is
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys = Counter((key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode))
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and keys[key.tag, key.value] > 1:
                    problem = f"the key '{key.value}' stands twice; put what is below the two together"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            mapping: dict[Any, Any] = super().construct_mapping(node, deep)
            return mapping

    try:
        return yaml.load(raw, Loader=Loader)  # noqa: S506
    except yaml.YAMLError as error:
        raise ContractError(f"{file_name}: cannot be read: {error}") from error


def check(data: Any, schema_path: Path, file_name: str) -> None:
    """Check parsed YAML against a JSON schema. Raises :class:`ContractError` for the most telling violation."""
    import jsonschema

    schema = json.loads(schema_path.read_text(encoding="utf-8"))
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(data))
    if error is not None:
        where = ".".join(str(step) for step in error.absolute_path) or "(top level)"
        raise ContractError(f"{file_name}: {where}: {error.message}")


def _build(data: Mapping[str, Any], digest: str, file_name: str) -> Contract:
    sources = {name: _source(name, block) for name, block in data["sources"].items()}
    for source in sources.values():
        for stream in source.streams.values():
            if missing := [key for key in stream.key if key not in stream.fields]:
                key = f"sources.{source.name}.streams.{stream.name}.key"
                raise ContractError(f"{file_name}: {key}: '{missing[0]}' is not one of the stream's fields")
    return Contract(
        version=data["version"],
        digest=digest,
        functions={name: Function(name=name, **block) for name, block in data["functions"].items()},
        jobs={name: Job(name=name, **block) for name, block in data["jobs"].items()},
        push=Push(**data["push"]),
        schedules={name: Schedule(name=name, **block) for name, block in data["schedules"].items()},
        sources=sources,
    )


def _source(name: str, block: Mapping[str, Any]) -> Source:
    return Source(
        name=name,
        description=block["description"],
        schedule=block["schedule"],
        time_zone=block["time_zone"],
        secrets=tuple(block["secrets"]),
        parallel_slices=block["limits"]["parallel_slices"],
        streams={stream: _stream(name, stream, spec) for stream, spec in block["streams"].items()},
    )


def _stream(source: str, name: str, block: Mapping[str, Any]) -> Stream:
    return Stream(
        source=source,
        name=name,
        grain=block["grain"],
        key=tuple(block["key"]),
        window=block["window"],
        mode=block["mode"],
        fields={field: Field(name=field, **spec) for field, spec in block["fields"].items()},
        money_unit=block.get("money_unit"),
        lookback_days=block.get("lookback_days", 0),
        slice_days=block.get("slice_days", 1),
    )


def main(arguments: list[str] | None = None) -> int:
    """Regenerate, or with ``--check`` only compare, the files derived from the contract."""
    from pipeline import tables

    parser = argparse.ArgumentParser(prog="python -m pipeline.contract", description=main.__doc__)
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--write", action="store_true", help="write dbt's sources file")
    group.add_argument("--check", action="store_true", help="fail when it is stale")
    options = parser.parse_args(arguments)
    target = CONTRACT_PATH.parent.parent / "dbt_job" / "models" / "bronze" / "_sources.yml"
    wanted = tables.dbt_sources(load())
    if options.write:
        target.write_text(wanted, encoding="utf-8")
    elif not target.exists() or target.read_text(encoding="utf-8") != wanted:
        print(f"{target} is stale: run python -m pipeline.contract --write", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
