"""Presets: how the header of somebody's export maps to a stream of the contract, and how that export writes its values.

They are data: YAML files beside the contract (``functions/presets/*.yaml``), joined per deployment by objects
``presets/*.yaml`` of the state bucket in the same form (``presets.schema.json``). A file that already carries the contract's
own field names needs none: each stream of the source has a preset ``canonical:<stream>`` made from the contract.
"""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from zoneinfo import ZoneInfo

from pipeline.contract import Source, Stream, check
from pipeline.errors import ContractError

PRESETS_PATH = Path(__file__).resolve().parent.parent / "presets"
SCHEMA_PATH = PRESETS_PATH / "presets.schema.json"
CANONICAL = "canonical:"


@dataclass(frozen=True, slots=True)
class Column:
    """Where a field comes from: the first of these headers that the file has, or (``join``) all of them together."""

    headers: tuple[str, ...]
    join: bool = False
    separator: str = " "

    def found(self, present: Iterable[str]) -> tuple[str, ...]:
        """Its headers that are among ``present`` (both as :func:`plain` makes them)."""
        have = set(present)
        found = tuple(header for header in self.headers if plain(header) in have)
        return found if self.join else found[:1]


@dataclass(frozen=True)
class Preset:
    """One export as it is known. ``format`` holds what the preset says of it, by the schema's keys; the rest is found out."""

    name: str
    source: str
    stream: str
    match_headers: tuple[str, ...]
    columns: Mapping[str, Column]
    origin: str = ""
    """The file that it stands in."""
    file_name: str | None = None
    constants: Mapping[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    format: Mapping[str, Any] = field(default_factory=dict)
    mode: str | None = None
    account: str | None = None

    @property
    def is_canonical(self) -> bool:
        return self.name.startswith(CANONICAL)

    @functools.cached_property
    def known(self) -> frozenset[str]:
        """Every header that it names."""
        headers = [header for column in self.columns.values() for header in column.headers]
        ignored = [header for header in self.ignore if "*" not in header]
        return frozenset(map(plain, (*headers, *self.match_headers, *ignored)))


@dataclass(frozen=True, slots=True)
class Fit:
    """How well a preset fits a header. ``missing`` names what it lacks: headers to match, or required fields."""

    preset: Preset
    matched: int
    missing: tuple[str, ...]

    @property
    def score(self) -> tuple[int, bool, bool]:
        """More headers win; at a draw the preset that also names the file, and any preset over a canonical one."""
        return (self.matched, self.preset.file_name is not None, not self.preset.is_canonical)


def plain(header: str) -> str:
    """A header as headers are compared: without byte order mark and outer blanks, in one case, each run of blanks one."""
    return " ".join(header.replace("\ufeff", "").split()).casefold()


def load(source: Source, extra: Mapping[str, bytes] | None = None) -> tuple[Preset, ...]:
    """The presets of a deployment: built-in ones, ``extra`` (name of the YAML file to its bytes), canonical ones.

    A preset of ``extra`` replaces the built-in one of its name. Raises :class:`ContractError` naming file, preset and key.
    """
    built_in = {path.name: path.read_bytes() for path in sorted(PRESETS_PATH.glob("*.yaml"))}
    presets = _named(source, built_in)
    presets |= _named(source, extra or {})
    return (*presets.values(), *map(canonical, source.streams.values()))


def _named(source: Source, files: Mapping[str, bytes]) -> dict[str, Preset]:
    found: dict[str, Preset] = {}
    for origin, raw in files.items():
        for preset in parse(raw, origin, source):
            if preset.name in found:
                raise ContractError(f"{origin}: preset '{preset.name}' stands in {found[preset.name].origin} too")
            found[preset.name] = preset
    return found


def parse(raw: bytes, origin: str, source: Source) -> list[Preset]:
    """The presets of one YAML file. What belongs to ``source`` is checked against its streams and fields."""
    import yaml

    try:
        data = yaml.load(raw, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except yaml.YAMLError as error:
        raise ContractError(f"{origin}: is not YAML: {error}") from error
    try:
        check(data, SCHEMA_PATH, origin)
    except ContractError as error:
        hint = "Correct the file. Headers like No, Yes, On or 2024 are text only in quotes: YAML reads other things into them."
        raise ContractError(error.message, next_step=hint) from error
    presets = [_preset(block, origin) for block in data["presets"]]
    for preset in presets:
        _check_preset(preset, source)
    return presets


def _preset(block: Mapping[str, Any], origin: str) -> Preset:
    return Preset(
        name=block["name"],
        origin=origin,
        source=block["source"],
        stream=block["stream"],
        match_headers=tuple(block["match"]["headers"]),
        file_name=block["match"].get("file_name"),
        columns={name: _column(value) for name, value in block.get("columns", {}).items()},
        constants=block.get("constants", {}),
        ignore=tuple(block.get("ignore", ())),
        format=block.get("format", {}),
        mode=block.get("mode"),
        account=block.get("account"),
    )


def _column(value: Any) -> Column:
    if isinstance(value, Mapping):
        return Column(tuple(value["join"]), join=True, separator=value.get("separator", " "))
    return Column((value,) if isinstance(value, str) else tuple(value))


def _check_preset(preset: Preset, source: Source) -> None:
    where = f"{preset.origin}: preset '{preset.name}'"
    if zone := preset.format.get("time_zone"):
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise ContractError(f"{where}: format.time_zone: '{zone}' is no IANA time zone") from None
    if encoding := preset.format.get("encoding"):
        try:
            "".encode(encoding)
        except LookupError:
            raise ContractError(f"{where}: format.encoding: '{encoding}' is not known") from None
    if preset.format.get("decimal", ".") == preset.format.get("thousands"):
        raise ContractError(f"{where}: format: decimal and thousands are the same mark")
    stream = source.streams.get(preset.stream) if preset.source == source.name else None
    taken: dict[str, str] = {}
    for name, column in preset.columns.items():
        for header in column.headers:
            other = taken.setdefault(plain(header), name)
            if other != name and not column.join and not _may_share(stream, name, other):
                raise ContractError(f"{where}: columns.{name}: '{header}' is already the column of {other}")
    if preset.source != source.name:
        return
    if stream is None:
        raise ContractError(
            f"{where}: stream: {source.name} has no stream '{preset.stream}'; it has {', '.join(source.streams)}"
        )
    for key, names in (("columns", preset.columns), ("constants", preset.constants)):
        if unknown := [name for name in names if name not in stream.fields]:
            raise ContractError(f"{where}: {key}: '{unknown[0]}' is not a field of {stream.full_name}")
    if uncovered := [name for name in stream.required if name not in preset.columns and name not in preset.constants]:
        raise ContractError(f"{where}: columns: the required field '{uncovered[0]}' of {stream.full_name} has no column")


def _may_share(stream: Stream | None, *names: str) -> bool:
    """Whether two fields may come from one column: a key and what stands in for it (an address), or a word and what it means
    (``status`` and ``is_deleted`` of a deal's stage). Any other pair is a slip of the pen."""
    if stream is None or not all(name in stream.fields for name in names):
        return False
    return any(name in stream.key for name in names) or len({stream.fields[name].type for name in names}) > 1


def canonical(stream: Stream) -> Preset:
    """The preset of a file that carries the contract's own field names."""
    return Preset(
        name=f"{CANONICAL}{stream.name}",
        origin="pipeline.yaml",
        source=stream.source,
        stream=stream.name,
        match_headers=stream.required,
        columns={name: Column((name,)) for name in stream.fields},
    )


def fit(preset: Preset, header: Sequence[str], file_name: str, streams: Mapping[str, Stream]) -> Fit | None:
    """How ``preset`` fits a header; ``None`` where it cannot be meant: another file name, or nothing in common.

    A canonical preset fits only where it can place more than half of the columns, and more than one: a lone ``contact_id`` in
    somebody's table does not make it a table of contacts.
    """
    if preset.file_name is not None and not named_so(preset.file_name, file_name):
        return None
    present = {plain(cell) for cell in header} - {""}
    matched = len(present & preset.known)
    if not matched:
        return None
    missing = [name for name in preset.match_headers if plain(name) not in present]
    if stream := streams.get(preset.stream):
        for name in stream.required:
            column = preset.columns.get(name)
            headers = column.headers if column else (name,)
            if name in preset.constants or (column and column.found(present)) or set(headers) & set(missing):
                continue
            missing.append(" or ".join(headers))
    if preset.is_canonical and (matched < 2 or 2 * matched <= len(present)):
        missing = missing or ["most of its columns"]
    return Fit(preset, matched, tuple(missing))


def named_so(pattern: str, file_name: str) -> bool:
    """Whether an object's name matches a glob: by the whole object name or its last part, in any case."""
    name = file_name.casefold()
    return any(fnmatch.fnmatchcase(tried, pattern.casefold()) for tried in (name, PurePosixPath(name).name))
