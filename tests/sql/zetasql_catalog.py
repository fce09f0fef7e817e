"""The GoogleSQL analyzer (ZetaSQL compiled to WebAssembly) with a catalogue of typed tables.

Runs in the environment of `requirements/sql.txt`. The compiled module is kept inside that environment: compiling takes
half a minute, loading it a second.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import wasmtime
from zetasql.api import Analyzer, CatalogBuilder, TableBuilder, TypeFactory
from zetasql.types import (
    AnalyzerOptions,
    LanguageFeature,
    LanguageOptions,
    ProductMode,
    TypeKind,
    ZetaSQLBuiltinFunctionOptions,
)

CACHE = Path(sys.prefix) / "cache"
Column = tuple[str, Any]

KINDS = {
    "STRING": TypeKind.TYPE_STRING,
    "INT64": TypeKind.TYPE_INT64,
    "FLOAT64": TypeKind.TYPE_DOUBLE,
    "NUMERIC": TypeKind.TYPE_NUMERIC,
    "BIGNUMERIC": TypeKind.TYPE_BIGNUMERIC,
    "BOOL": TypeKind.TYPE_BOOL,
    "BYTES": TypeKind.TYPE_BYTES,
    "DATE": TypeKind.TYPE_DATE,
    "DATETIME": TypeKind.TYPE_DATETIME,
    "TIME": TypeKind.TYPE_TIME,
    "TIMESTAMP": TypeKind.TYPE_TIMESTAMP,
    "JSON": TypeKind.TYPE_JSON,
    "GEOGRAPHY": TypeKind.TYPE_GEOGRAPHY,
    "INTERVAL": TypeKind.TYPE_INTERVAL,
}
NAMES = {kind: name for name, kind in KINDS.items()}
ALIASES = {
    "INT": "INT64", "INTEGER": "INT64", "BIGINT": "INT64", "SMALLINT": "INT64", "FLOAT": "FLOAT64",
    "BOOLEAN": "BOOL", "DECIMAL": "NUMERIC", "BIGDECIMAL": "BIGNUMERIC",
}  # fmt: skip
#: Features of ZetaSQL that BigQuery lacks: grouping, ordering or comparing JSON, comparing arrays.
NOT_IN_BIGQUERY = ("FEATURE_JSON_TYPE_COMPARISON", "FEATURE_ARRAY_EQUALITY", "FEATURE_ARRAY_ORDERING")


class UnknownType(ValueError):
    """A type's name is not BigQuery's; the message is that name."""


class AnalyzerCrashed(RuntimeError):
    """The analyzer itself failed: the statement is neither right nor wrong."""


class Rejected(ValueError):
    """GoogleSQL does not accept the statement; the message is the analyzer's."""


def parse_type(text: str) -> Any:
    """Read a type as BigQuery writes it: `STRUCT<a INT64, b ARRAY<STRING>>`, `NUMERIC(10, 2)`, any case.

    Raises:
        UnknownType: it is none.
    """
    text = text.strip()
    array = re.fullmatch(r"(?is)ARRAY\s*<(.*)>", text)
    if array:
        return TypeFactory.create_array_type(parse_type(array[1]))
    struct = re.fullmatch(r"(?is)STRUCT\s*<(.*)>", text)
    if struct:
        fields = [field.split(None, 1) for field in _split(struct[1])]
        if any(len(field) != 2 for field in fields):
            raise UnknownType(text)
        return TypeFactory.create_struct_type([(name.strip("`"), parse_type(kind)) for name, kind in fields])
    name = re.sub(r"\(.*\)", "", text).strip().upper()
    kind = KINDS.get(ALIASES.get(name, name))
    if kind is None:
        raise UnknownType(text)
    return TypeFactory.create_simple_type(kind)


def _split(text: str) -> list[str]:
    """Split at commas outside of `<>` and `()`."""
    parts, depth = [""], 0
    for char in text:
        depth += (char in "<(") - (char in ">)")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts]


def show_type(kind: Any) -> str:
    """Write a type as BigQuery does."""
    if kind.type_kind == TypeKind.TYPE_ARRAY:
        return f"ARRAY<{show_type(kind.array_type.element_type)}>"
    if kind.type_kind == TypeKind.TYPE_STRUCT:
        fields = (f"{f.field_name} {show_type(f.field_type)}".strip() for f in kind.struct_type.field)
        return f"STRUCT<{', '.join(fields)}>"
    return NAMES.get(kind.type_kind, str(kind.type_kind))


def keep_compiled_module(directory: Path = CACHE) -> None:
    """Make wasmtime keep what it compiles in `directory`, by version and size of the module."""
    compile_module = wasmtime.Module.from_file

    def from_file(engine: Any, path: str) -> Any:
        kept = directory / f"zetasql-{version('zetasql')}-wasmtime-{version('wasmtime')}-{Path(path).stat().st_size}.cwasm"
        if kept.exists():
            return wasmtime.Module.deserialize_file(engine, str(kept))
        print("compiling the GoogleSQL analyzer once, about half a minute ...", file=sys.stderr, flush=True)
        module = compile_module(engine, path)
        directory.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(".partial")
        partial.write_bytes(module.serialize())
        partial.replace(kept)
        return module

    wasmtime.Module.from_file = from_file  # type: ignore[method-assign, assignment]


class Warehouse:
    """Tables with typed columns, and the check of statements against them. Table names are `project.dataset.table`."""

    def __init__(self) -> None:
        language = LanguageOptions.maximum_features()
        language.product_mode = ProductMode.PRODUCT_EXTERNAL
        language.reserved_keywords = ["QUALIFY"]
        refused = {int(LanguageFeature[name]) for name in NOT_IN_BIGQUERY}
        language.enabled_language_features = [f for f in language.enabled_language_features if int(f) not in refused]
        self._functions = ZetaSQLBuiltinFunctionOptions(language_options=language)
        self._options = AnalyzerOptions(language_options=language)
        self._tables: dict[str, Any] = {}
        self._analyzer: Any = None

    def __contains__(self, name: str) -> bool:
        return name in self._tables

    def add(self, name: str, columns: Sequence[Column]) -> None:
        """Add a table, or replace it."""
        builder = TableBuilder(name)
        for column, kind in columns:
            builder.add_column(column, kind)
        self._tables[name] = builder.build()
        self._analyzer = None

    def columns_of(self, sql: str) -> list[Column]:
        """Analyze a query and return its output columns.

        Raises:
            Rejected: GoogleSQL does not accept it.
            AnalyzerCrashed: the analyzer failed.
        """
        try:
            if self._analyzer is None:
                catalog = CatalogBuilder("warehouse")
                for table in self._tables.values():
                    catalog.add_table(table)
                catalog = catalog.with_builtin_functions(self._functions)
                self._analyzer = Analyzer(self._options, catalog.build())
            statement = self._analyzer.analyze_statement(sql)
            return [(column.name, column.column.type) for column in statement.output_column_list]
        except Exception as error:
            text = str(error)
            if "INVALID_ARGUMENT" in text:
                raise Rejected(re.sub(r"^\[INVALID_ARGUMENT\]\s*", "", text)) from error
            self._analyzer = None  # a trap leaves the instance unusable
            raise AnalyzerCrashed(f"{type(error).__name__}: {text}") from error
