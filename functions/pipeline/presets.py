"""Presets: how the header of somebody's export maps to a stream of the contract, and how that export writes its values.

They are data: YAML files beside the contract (``functions/presets/*.yaml``), joined per deployment by objects
``presets/*.yaml`` of the state bucket in the same form (``presets.schema.json``). A file that already carries the contract's
own field names needs none: each stream of the source has a preset ``canonical:<stream>`` made from the contract.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from pipeline import column_forms, headers
from pipeline.column_forms import Column
from pipeline.contract import Source, Stream, check, read_yaml
from pipeline.errors import ContractError
from pipeline.headers import plain

PRESETS_PATH = Path(__file__).resolve().parent.parent / "presets"
SCHEMA_PATH = PRESETS_PATH / "presets.schema.json"
CANONICAL = "canonical:"
OWN_FORMAT = ("continuation",)
"""Keys of ``format`` that speak of a stream's rows, not of the file: a companion does not take them over."""


@dataclass(frozen=True)
class Preset:
    """One export as it is known. ``format`` holds what the preset says of it, by the schema's keys; the rest is found out."""

    name: str
    source: str
    stream: str
    """Empty where the export is declined and says nothing of a stream."""
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
    companion_of: str | None = None
    """Name of the preset whose files it reads too."""
    without: tuple[str, ...] = ()
    one_row_per: str | None = None
    decline: str | None = None
    days: str | None = None
    """Pattern that finds the days of a file in its name, where ``mode`` is ``dates``."""

    @property
    def is_canonical(self) -> bool:
        return self.name.startswith(CANONICAL)

    @functools.cached_property
    def named(self) -> tuple[str, ...]:
        """Every header that it names, apart from patterns of what it ignores."""
        columns = [header for column in self.columns.values() for header in column.named]
        rows = [header for header in (self.one_row_per, self.format.get("continuation")) if header]
        ignored = [header for header in self.ignore if not headers.is_pattern(header)]
        return tuple(dict.fromkeys((*columns, *self.match_headers, *rows, *ignored)))

    def knows(self, present: str) -> bool:
        """Whether it names a header of a file (as :func:`pipeline.headers.plain` makes it)."""
        return present in self._exactly or any(headers.is_named(present, header) for header in self._patterns)

    @functools.cached_property
    def _exactly(self) -> frozenset[str]:
        return frozenset(plain(header) for header in self.named if not headers.is_pattern(header))

    @functools.cached_property
    def _patterns(self) -> tuple[str, ...]:
        return tuple(header for header in self.named if headers.is_pattern(header))

    def required_of(self, stream: Stream) -> tuple[str, ...]:
        """The fields that each row of such a file must fill."""
        return tuple(name for name in stream.required if name not in self.without)

    def covers(self, file_name: str) -> tuple[date, date] | None:
        """First and last day, both inclusive, of a file whose name tells them; ``None`` where it does not.

        Raises ``ValueError`` for days that are none, or that end before they begin.
        """
        found = re.search(self.days or "", file_name, re.IGNORECASE)
        if not self.days or found is None:
            return None
        groups = found.groupdict()
        if "day" in groups:
            day = date.fromisoformat(groups["day"])
            return day, day
        first, last = date.fromisoformat(groups["from"]), date.fromisoformat(groups["to"])
        if first > last:
            raise ValueError(f"{first} to {last} ends before it begins")
        return first, last


def load(source: Source, extra: Mapping[str, bytes] | None = None) -> tuple[Preset, ...]:
    """The presets of a deployment: built-in ones, ``extra`` (name of the YAML file to its bytes), canonical ones.

    A preset of ``extra`` replaces the built-in one of its name. Raises :class:`ContractError` naming file, preset and key.
    """
    from pipeline import preset_checks

    built_in = {path.name: path.read_bytes() for path in sorted(PRESETS_PATH.glob("*.yaml"))}
    presets = _named(source, built_in)
    presets |= _named(source, extra or {})
    preset_checks.check_companions(presets)
    families = [_in_family(preset, presets) for preset in presets.values()]
    return (*families, *map(canonical, source.streams.values()))


def companions(book: Sequence[Preset], preset: Preset) -> list[Preset]:
    """The presets of ``book`` that read the files of ``preset`` into other streams, by name."""
    return sorted((other for other in book if other.companion_of == preset.name), key=lambda other: other.name)


def _in_family(preset: Preset, presets: Mapping[str, Preset]) -> Preset:
    """A preset with what it shares with those that read the same files.

    What one of them maps or ignores is known to all. A companion takes over account, mode, days and format of the preset that
    it accompanies, and may give its own values for the latter.
    """
    main = presets[preset.companion_of] if preset.companion_of else preset
    family = [main, *companions(tuple(presets.values()), main)]
    if len(family) == 1:
        return preset
    known = [header for other in family if other is not preset for header in (*other.named, *other.ignore)]
    ignore = tuple(dict.fromkeys((*preset.ignore, *known)))
    if preset is main:
        return replace(preset, ignore=ignore)
    shared = {key: value for key, value in main.format.items() if key not in OWN_FORMAT}
    return replace(
        preset,
        ignore=ignore,
        account=main.account,
        mode=preset.mode or main.mode,
        days=preset.days or main.days,
        format={**shared, **preset.format},
    )


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
    from pipeline import preset_checks

    presets = [_preset(block, origin) for block in _blocks(raw, origin)]
    for preset in presets:
        preset_checks.check_preset(preset, source)
    return presets


@functools.lru_cache(maxsize=64)
def _blocks(raw: bytes, origin: str) -> Sequence[Mapping[str, Any]]:
    """The presets of a YAML file as it has them, checked against the schema. Every dropped file asks for all of them anew, and
    reading them costs more than looking at the file: the same bytes are read once."""
    data = read_yaml(raw, origin)
    if data is None:
        return ()  # a shell makes the file that a draft is written to before the draft is made
    try:
        check(data, SCHEMA_PATH, origin)
    except ContractError as error:
        hint = "Correct the file. Headers like No, Yes, On or 2024 are text only in quotes: YAML reads other things into them."
        raise ContractError(error.message, next_step=hint) from error
    blocks: list[Mapping[str, Any]] = data["presets"]
    return blocks


def _preset(block: Mapping[str, Any], origin: str) -> Preset:
    match = block.get("match", {})
    return Preset(
        name=block["name"],
        origin=origin,
        source=block["source"],
        stream=block.get("stream", ""),
        match_headers=tuple(match.get("headers", ())),
        file_name=match.get("file_name"),
        columns={name: column_forms.parse(value) for name, value in block.get("columns", {}).items()},
        constants=block.get("constants", {}),
        ignore=tuple(block.get("ignore", ())),
        format=block.get("format", {}),
        mode=block.get("mode"),
        account=block.get("account"),
        companion_of=block.get("companion_of"),
        without=tuple(block.get("without", ())),
        one_row_per=block.get("one_row_per"),
        decline=block.get("decline"),
        days=block["days"]["file_name"] if "days" in block else None,
    )


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
