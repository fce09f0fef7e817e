"""The contract is checked when it is read, says where it is wrong, and agrees with the code."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path

import pytest
import yaml

from pipeline import contract, sources, tables
from pipeline.errors import ContractError

ROOT = Path(__file__).resolve().parents[2]


def changed(tmp_path: Path, old: str, new: str) -> Path:
    text = contract.CONTRACT_PATH.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "pipeline.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("version: 1", "version: 2", "version"),
        ("parallel_slices: 4", "parallel_slices: many", "sources.crm.limits.parallel_slices"),
        ("mode: snapshot", "mode: guess", "sources.crm.streams.products.mode"),
        ("key: [contact_id]", "key: [person_id]", "sources.crm.streams.contacts.key"),
        ("    topic: crm\n", "    topic: crm\n    http: true\n", "functions.ingest_crm"),
        ('grain: "One row per contact', 'grain: "Contacts', "sources.crm.streams.contacts.grain"),
    ],
)
def test_an_error_names_the_file_and_the_key(tmp_path: Path, old: str, new: str, where: str) -> None:
    with pytest.raises(ContractError) as caught:
        contract.load(changed(tmp_path, old, new))
    assert caught.value.message.startswith(f"pipeline.yaml: {where}")


def test_it_is_data_only() -> None:
    """YAML dialects differ (Terraform's and Python's): no anchors, no aliases, and nothing that one reads as a boolean or
    a date and the other as text."""
    text = contract.CONTRACT_PATH.read_text(encoding="utf-8")
    assert not any(isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) for event in yaml.parse(text))
    for token in yaml.scan(text):
        if isinstance(token, yaml.ScalarToken) and token.plain:
            assert token.value.replace("_", "").replace("-", "").isalnum(), f"quote {token.value!r}"
            assert token.value.lower() not in ("yes", "no", "on", "off", "null"), f"quote {token.value!r}"


def test_every_function_is_a_door_of_main_and_every_door_is_in_the_contract() -> None:
    import main

    doors = {name for name, value in vars(main).items() if inspect.isfunction(value) and value.__module__ == "main"}
    assert doors == set(contract.load().functions)


def test_every_source_has_a_module_a_door_and_a_topic_of_its_name() -> None:
    deployed = contract.load()
    for name, source in deployed.sources.items():
        module = sources.find(name)
        assert callable(module.fetch)
        if any(stream.window == "files" for stream in source.streams.values()):
            assert callable(module.discover)
        assert deployed.functions[f"ingest_{name}"].topic == name


def test_the_ack_deadline_outlives_every_pushed_function() -> None:
    deployed = contract.load()
    for function in deployed.functions.values():
        assert function.timeout_seconds < deployed.push.ack_deadline_seconds


def test_dbts_sources_are_not_stale() -> None:
    path = ROOT / "dbt_job" / "models" / "bronze" / "_sources.yml"
    assert path.read_text(encoding="utf-8") == tables.dbt_sources(contract.load()), "run python -m pipeline.contract --write"


def test_the_contract_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        contract.load().version = 2  # type: ignore[misc]
