"""What of a preset is wrong before any file is read: each error names the preset's file, its name and the key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NoReturn
from zoneinfo import ZoneInfo

from pipeline import csv_currency
from pipeline.contract import Source, Stream
from pipeline.csv_values import Unreadable, ValueFormat, converter
from pipeline.errors import ContractError
from pipeline.headers import plain
from pipeline.presets import Preset
from pipeline.text_encodings import codec_of

_OF_THE_FILE = ("delimiter", "encoding", "quote", "escape", "header_row", "header_rows", "comment")
"""Keys of ``format`` that two presets of one file cannot see differently."""
_OF_DECLINED = ("columns", "constants", "without", "one_row_per", "mode", "days", "account")
_CANONICAL_FORM = ValueFormat(date_orders={"": "ymd"})


def check_preset(preset: Preset, source: Source) -> None:
    """Check a preset by itself, and against the contract if it belongs to ``source``. Raises :class:`ContractError`."""
    _check_format(preset)
    _check_days(preset)
    if preset.decline is not None:
        for key in _OF_DECLINED:
            if getattr(preset, key):
                _wrong(preset, key, "a preset that declines its files takes nothing from them")
        if preset.companion_of:
            _wrong(preset, "decline", "a companion cannot decline a file that its preset reads; leave the companion out")
    stream = source.streams.get(preset.stream) if preset.source == source.name else None
    _check_columns(preset, stream)
    if preset.source != source.name or (preset.decline is not None and not preset.stream):
        return
    if stream is None:
        _wrong(preset, "stream", f"{source.name} has no stream '{preset.stream}'; it has {', '.join(source.streams)}")
    if preset.decline is None:
        _check_fields(preset, stream)


def check_companions(presets: Mapping[str, Preset]) -> None:
    """Check that every companion has a preset to go with, and that no two read a file into the same stream."""
    taken: dict[tuple[str, str], str] = {}
    for preset in presets.values():
        if preset.companion_of is None:
            continue
        main = presets.get(preset.companion_of)
        if main is None:
            _wrong(preset, "companion_of", f"there is no preset '{preset.companion_of}'")
        if main.companion_of is not None:
            _wrong(preset, "companion_of", f"'{main.name}' is a companion itself, of '{main.companion_of}'")
        if main.decline is not None:
            _wrong(preset, "companion_of", f"'{main.name}' declines its files")
        if main.source != preset.source:
            _wrong(preset, "companion_of", f"'{main.name}' is of the source {main.source}, this one of {preset.source}")
        if preset.account is not None:
            _wrong(preset, "account", f"a companion's is that of '{main.name}'")
        if keys := [key for key in _OF_THE_FILE if key in preset.format]:
            _wrong(preset, f"format.{keys[0]}", f"a companion reads the file as '{main.name}' does")
        other = main.name if main.stream == preset.stream else taken.get((main.name, preset.stream))
        if other is not None:
            _wrong(preset, "stream", f"'{other}' reads the same file into {preset.stream} already")
        taken[main.name, preset.stream] = preset.name


def _wrong(preset: Preset, key: str, what: str) -> NoReturn:
    raise ContractError(f"{preset.origin}: preset '{preset.name}': {key}: {what}")


def _check_format(preset: Preset) -> None:
    if zone := preset.format.get("time_zone"):
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            _wrong(preset, "format.time_zone", f"'{zone}' is no IANA time zone")
    encoding = preset.format.get("encoding")
    if encoding is not None and codec_of(encoding) is None:
        _wrong(preset, "format.encoding", f"'{encoding}' is not known")
    if preset.format.get("decimal", ".") == preset.format.get("thousands"):
        _wrong(preset, "format", "decimal and thousands are the same mark")
    for sign, code in preset.format.get("currency_signs", {}).items():
        if code not in csv_currency.CODES:
            _wrong(preset, f"format.currency_signs.{sign}", f"'{code}' is no ISO 4217 code")


def _check_days(preset: Preset) -> None:
    if preset.mode != "dates":
        if preset.days is not None:
            _wrong(preset, "days", f"a file of mode {preset.mode} does not replace days; say mode: dates")
        return
    if preset.days is None:
        if preset.companion_of is None:
            _wrong(preset, "days", "mode: dates needs to know of which days a file is; say days.file_name")
        return
    try:
        groups = set(re.compile(preset.days).groupindex)
    except re.error as error:
        _wrong(preset, "days.file_name", f"'{preset.days}' is no regular expression: {error}")
    if groups not in ({"day"}, {"from", "to"}):
        _wrong(preset, "days.file_name", f"'{preset.days}' needs a group (?P<day>…), or two: (?P<from>…) and (?P<to>…)")


def _check_columns(preset: Preset, stream: Stream | None) -> None:
    taken: dict[str, str] = {}
    for name, column in preset.columns.items():
        for header in () if column.minutes else column.headers:  # a time that minutes are added to is a field of its own too
            other = taken.setdefault(plain(header), name)
            if other != name and column.pick != "join" and not _may_share(stream, name, other):
                _wrong(preset, f"columns.{name}", f"'{header}' is already the column of {other}")
        if column.currency_of is not None:
            of = preset.columns.get(column.currency_of)
            if of is None or not of.headers:
                _wrong(preset, f"columns.{name}.currency_of", f"columns names no header for '{column.currency_of}'")


def _check_fields(preset: Preset, stream: Stream) -> None:
    for key, names in (("columns", preset.columns), ("constants", preset.constants), ("without", preset.without)):
        if unknown := [name for name in names if name not in stream.fields]:
            _wrong(preset, key, f"'{unknown[0]}' is not a field of {stream.full_name}")
    for name in preset.without:
        if name in preset.columns or name in preset.constants:
            _wrong(preset, "without", f"'{name}' has a column or a constant")
        if not stream.fields[name].required:
            _wrong(preset, "without", f"'{name}' of {stream.full_name} is not required; leave it out")
        if not stream.fields[name].derivable:
            may = ", ".join(field.name for field in stream.fields.values() if field.derivable) or "none of its fields is"
            _wrong(preset, "without", f"'{name}' of {stream.full_name} cannot be derived from other records ({may})")
    for name in preset.required_of(stream):
        if name not in preset.columns and name not in preset.constants:
            _wrong(preset, "columns", f"the required field '{name}' of {stream.full_name} has no column")
    for name, column in preset.columns.items():
        known = stream.fields[name]
        if column.minutes and known.type != "timestamp":
            _wrong(preset, f"columns.{name}.plus_minutes", f"'{name}' is a {known.type}, not a timestamp")
        if column.currency_of is not None and known.type != "string":
            _wrong(preset, f"columns.{name}.currency_of", f"'{name}' is a {known.type}, not a currency")
        convert = converter(name, known.type, _CANONICAL_FORM)
        for word, text in column.words.items():
            try:
                canonical = convert(text) if convert and text else text
            except Unreadable:
                canonical = None
            if canonical != text:
                _wrong(preset, f"columns.{name}.words", f"'{word}' becomes '{text}', which is no {known.type} for silver")


def _may_share(stream: Stream | None, *names: str) -> bool:
    """Whether two fields may come from one column: a key and what stands in for it (an address), or a word and what it means
    (``status`` and ``is_deleted`` of a deal's stage). Any other pair is a slip of the pen."""
    if stream is None or not all(name in stream.fields for name in names):
        return False
    return any(name in stream.key for name in names) or len({stream.fields[name].type for name in names}) > 1
