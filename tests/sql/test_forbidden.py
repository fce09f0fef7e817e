"""No SQL of the dbt project that the local BigQuery gets wrong or the type checker cannot see."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sql import forbidden


def test_the_project_has_none() -> None:
    assert any((forbidden.ROOT / forbidden.FOLDERS[0]).rglob("*.sql")), "no models were found"
    assert forbidden.check() == []


@pytest.mark.parametrize("rule", forbidden.RULES, ids=lambda rule: rule.name)
def test_each_rule_finds_its_example(rule: forbidden.Rule) -> None:
    found = list(forbidden.findings(f"select 1\n, {rule.example}", rule.folders[0]))
    assert (2, rule) in found


@pytest.mark.parametrize(
    "sql",
    [
        "select format_timestamp('%Y-%m-%dT%H:%M:%SZ', at), format_timestamp('%Ez', at)",
        "select json_keys(payload, 1), json_keys(json_query(payload, '$._extra'), 1)",
        "select date_trunc(d, week(monday)), date_trunc(d, week)",
        "select substr(a, 10), substr(a, 1, 0), cast(a as string), string_agg(a, ',')",
        "select 1 -- approx_quantiles(x, 2)\n/* max_by(a, b) */ {# information_schema #}",
        "select research(a), week_number, information, {{ modules.re.search(a, b) }}",
    ],
)
def test_what_is_allowed(sql: str) -> None:
    assert list(forbidden.findings(sql, "dbt_job/models")) == []


def test_a_finding_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "dbt_job/models/silver/m.sql"
    path.parent.mkdir(parents=True)
    path.write_text("select\n  max_by(a, b) as c\nfrom t\n")
    (line,) = forbidden.check(tmp_path)
    assert line.startswith("dbt_job/models/silver/m.sql:2: MAX_BY, MIN_BY: ")
