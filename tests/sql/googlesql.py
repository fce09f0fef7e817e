"""Type-check the compiled SQL of the dbt project with GoogleSQL, offline.

    .venvs/sql/bin/python tests/sql/googlesql.py dbt_job/target [incremental target]

The targets are those of `dbt compile` (or a run); a second one may hold the incremental compilation, where `{{ this }}`
appears. Models are analyzed in the order of their dependencies: sources have the types of their YAML, seeds those of
`column_types`, models what the analysis found, and what their YAML declares must be the same. Tests are analyzed too.
The SQL that dbt wraps around a model (MERGE, INSERT) is not part of the compilation and is not checked.

Exit code 1 when a statement is rejected, a declared type differs, or nothing was checked. A statement that the
analyzer could not judge is counted and printed as not checked, never as right.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zetasql_catalog import (
    AnalyzerCrashed,
    Column,
    Rejected,
    UnknownType,
    Warehouse,
    keep_compiled_module,
    parse_type,
    show_type,
)

REFERENCE = re.compile(r"`([\w\-]+)`\s*\.\s*`([\w\-]+)`\s*\.\s*`([\w\-$]+)`")
CHECKED_KINDS = ("model", "test", "seed", "snapshot")
Node = Mapping[str, Any]


def one_name(sql: str) -> str:
    """Write `p`.`d`.`t` as `p.d.t`, the one name under which the catalogue knows the table."""
    return REFERENCE.sub(lambda found: f"`{found[1]}.{found[2]}.{found[3]}`", sql)


def table_name(node: Node) -> str:
    """Return a node's table as `project.dataset.table`, or an empty text when it has none."""
    return one_name(node.get("relation_name") or "").strip("`")


@dataclass
class Report:
    """What was found."""

    checked: int = 0
    failures: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    def fail(self, node: Node, text: str) -> None:
        self.failures.append(f"{node['name']} ({node['original_file_path']}): {text}")

    @property
    def summary(self) -> str:
        return f"{self.checked} statements checked, {len(self.failures)} failed, {len(self.unchecked)} not checked"

    @property
    def exit_code(self) -> int:
        return 1 if self.failures or not self.checked else 0


class Target:
    """One compiled dbt project.

    Args:
        directory: dbt's target directory.
    Raises:
        FileNotFoundError: it has no manifest.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        manifest = json.loads((directory / "manifest.json").read_text())
        self.sources: list[Node] = list(manifest["sources"].values())
        self.nodes: dict[str, Node] = {
            key: node
            for key, node in manifest["nodes"].items()
            if node["resource_type"] in CHECKED_KINDS and node["config"].get("enabled", True)
        }

    def in_order(self) -> Iterator[Node]:
        """Yield the nodes, each after those that it depends on."""
        done: set[str] = set()

        def visit(key: str) -> Iterator[Node]:
            if key in done or key not in self.nodes:
                return
            done.add(key)
            for parent in self.nodes[key].get("depends_on", {}).get("nodes", []):
                yield from visit(parent)
            yield self.nodes[key]

        for key in self.nodes:
            yield from visit(key)

    def compiled(self, node: Node) -> str | None:
        """Return a node's compiled SQL, or None when this target does not have it."""
        if node.get("compiled_code"):
            return str(node["compiled_code"])
        path = self.directory / "compiled" / node["package_name"] / node["original_file_path"]
        if node["resource_type"] == "test" and path.suffix != ".sql":
            path = path / Path(node["path"]).name  # a generic test is compiled below its YAML file's name
        return path.read_text() if path.is_file() else None


def declared(node: Node) -> list[tuple[str, str]]:
    """Return (column, type) of the columns whose type the YAML declares."""
    return [(c["name"], c["data_type"]) for c in node.get("columns", {}).values() if c.get("data_type")]


def is_enforced(node: Node) -> bool:
    """True for a model whose contract dbt enforces."""
    return bool((node["config"].get("contract") or {}).get("enforced"))


class Checker:
    """Checks targets one after another against one catalogue."""

    def __init__(self) -> None:
        self.warehouse = Warehouse()
        self.report = Report()

    def check(self, target: Target) -> None:
        """Check every source, seed, model and test of a target."""
        for source in target.sources:
            self._add_typed(source, declared(source), complete=len(declared(source)) == len(source["columns"]))
        for node in target.in_order():
            if node["resource_type"] == "seed":
                types = list((node["config"].get("column_types") or {}).items())
                self._add_typed(node, types, complete=bool(types))
            else:
                self._check_statement(node, target.compiled(node))

    def _add_typed(self, node: Node, types: list[tuple[str, str]], *, complete: bool) -> None:
        if not complete or not types:
            self.report.fail(node, "columns without a type: declare data_type (column_types of a seed)")
        try:
            self.warehouse.add(table_name(node), [(name, parse_type(kind)) for name, kind in types])
        except UnknownType as error:
            self.report.fail(node, f"unknown type {error}")

    def _check_statement(self, node: Node, sql: str | None) -> None:
        if sql is None:
            self.report.unchecked.append(f"{node['name']}: not compiled in this target")
            self._assume_declared(node)
            return
        if table_name(node) not in self.warehouse:
            self._assume_declared(node)  # {{ this }} of an incremental model
        try:
            columns = self.warehouse.columns_of(one_name(sql))
        except Rejected as error:
            self.report.checked += 1
            self.report.fail(node, str(error))
            self._assume_declared(node)
            return
        except AnalyzerCrashed as error:
            self.report.unchecked.append(f"{node['name']}: {error}")
            self._assume_declared(node)
            return
        self.report.checked += 1
        if node["resource_type"] == "model":
            self._compare(node, columns)

    def _assume_declared(self, node: Node) -> None:
        """Give readers of a model what its YAML declares, so that one failure does not become many."""
        types = declared(node)
        if node["resource_type"] != "model" or not types or not table_name(node):
            return
        with contextlib.suppress(UnknownType):  # `_compare` names it
            self.warehouse.add(table_name(node), [(name, parse_type(kind)) for name, kind in types])

    def _compare(self, node: Node, columns: list[Column]) -> None:
        names = [name.lower() for name, _ in columns]
        for name in sorted({n for n in names if n.startswith("$") or names.count(n) > 1}):
            self.report.fail(node, f"output column {name} has no name" if name[0] == "$" else f"two columns named {name}")
        if table_name(node) and len(set(names)) == len(names):
            self.warehouse.add(table_name(node), columns)
        found = {name.lower(): show_type(kind) for name, kind in columns}
        wanted = {name.lower(): kind for name, kind in declared(node)}
        for name, kind in wanted.items():
            try:
                expected = show_type(parse_type(kind))
            except UnknownType as error:
                self.report.fail(node, f"column {name}: unknown type {error}")
                continue
            if name not in found:
                self.report.fail(node, f"column {name} is declared and not selected")
            elif found[name] != expected:
                self.report.fail(node, f"column {name} is declared {expected}, GoogleSQL says {found[name]}")
        for name in found if is_enforced(node) else ():
            if name not in wanted:
                self.report.fail(node, f"column {name} is selected and not in the contract")


def main(arguments: list[str]) -> int:
    """Check the targets and print the findings. Returns the process exit code."""
    if not arguments:
        print(__doc__)
        return 2
    keep_compiled_module()
    checker = Checker()
    for directory in arguments:
        checker.check(Target(Path(directory)))
    for text in checker.report.unchecked:
        print(f"NOT CHECKED {text}")
    for text in checker.report.failures:
        print(f"FAILED {text}")
    print(checker.report.summary)
    return checker.report.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
