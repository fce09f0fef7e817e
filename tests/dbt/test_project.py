"""The dbt project against the contract, and what every model must say of itself. No engine runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from pipeline import contract

PROJECT = Path(__file__).resolve().parents[2] / "dbt_job"
STREAMS = contract.load().sources["crm"].streams
TYPES = {"decimal": "numeric", "integer": "int64", "boolean": "bool"}


def macro(name: str, *arguments: str) -> Any:
    """What a macro of crm_fields.sql returns."""
    returned: list[Any] = []
    environment = jinja2.Environment(autoescape=True)
    environment.globals["return"] = returned.append
    module: Any = environment.from_string((PROJECT / "macros" / "crm_fields.sql").read_text()).module
    getattr(module, name)(*arguments)
    return returned[0]


def documented() -> list[tuple[str, dict[str, Any]]]:
    """(file, model or seed) for every one that a YAML file describes."""
    found = []
    for path in sorted([*PROJECT.glob("models/**/*.yml"), *PROJECT.glob("seeds/*.yml")]):
        content = yaml.safe_load(path.read_text())
        found += [(path.name, one) for kind in ("models", "seeds") for one in content.get(kind, [])]
    return found


def test_streams_are_the_contract_s() -> None:
    assert sorted(macro("crm_streams")) == sorted(stream.full_name for stream in STREAMS.values())


@pytest.mark.parametrize("name", STREAMS)
def test_fields_are_the_contract_s(name: str) -> None:
    stream = STREAMS[name]
    fields = macro("crm_fields", stream.full_name)
    assert fields == {one.name: TYPES.get(one.type, one.type) for one in stream.fields.values()}
    assert macro("crm_required", stream.full_name) == [
        one.name for one in stream.fields.values() if one.required and not one.derivable
    ]


@pytest.mark.parametrize("name", STREAMS)
def test_a_record_is_the_contract_s_key_but_of_lines_it_is_the_order(name: str) -> None:
    stream = STREAMS[name]
    wanted = [field for field in stream.key if field != "line_number"]
    assert macro("crm_record", stream.full_name) == wanted


def test_personal_fields_are_the_contract_s() -> None:
    personal = {one.name for stream in STREAMS.values() for one in stream.fields.values() if one.personal}
    assert set(macro("personal_fields")) == personal


def test_every_model_is_documented() -> None:
    models = {path.stem for path in [*PROJECT.glob("models/**/*.sql"), *PROJECT.glob("seeds/*.csv")]}
    assert {one["name"] for _, one in documented()} == models


@pytest.mark.parametrize(("file", "model"), documented(), ids=lambda value: value["name"] if isinstance(value, dict) else "")
def test_a_model_says_its_grain_and_its_columns(file: str, model: dict[str, Any]) -> None:
    assert model["description"].startswith("One row per "), file
    for column in model["columns"]:
        assert column.get("data_type"), (file, column["name"])
        assert column["description"].endswith("."), (file, column["name"])


def test_no_personal_column_leaves_the_restricted_dataset() -> None:
    personal = set(macro("personal_fields"))
    for file, model in documented():
        if model["name"] != "slv_crm__contacts":
            assert not personal & {column["name"] for column in model["columns"]}, (file, model["name"])


def test_sql_keeps_out_what_the_engines_disagree_on() -> None:
    banned = ("max_by(", "min_by(", "approx_quantiles(", "%e3s", "information_schema", "contains_substr(", "current_date(")
    for path in [*PROJECT.glob("models/**/*.sql"), *PROJECT.glob("macros/*.sql"), *PROJECT.glob("tests/**/*.sql")]:
        text = path.read_text().lower()
        assert not [word for word in banned if word in text], path.name
