"""A drafted preset as YAML, tried on its own file: what would load, what would be set aside, and what a person must decide."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline import contract, presets
from pipeline.contract import Source
from pipeline.csv_amounts import named_in
from pipeline.csv_currency import CODES, mark_in
from pipeline.csv_non_rows import TOTAL_WORDS
from pipeline.presets import Preset
from sandbox.drafts import shapes
from sandbox.drafts.guess import Draft, currency_in, currency_pattern, guess, with_companion, words
from sandbox.drafts.table import Table, table_of
from sandbox.drafts.trial import Trial, try_out
from sandbox.landing import PRESETS_FILE
from sandbox.world import WorldError

HEAD = "presets:"
"""The line under which a file of presets has its blocks."""
_NULL_TEXT = frozenset({"null", "none", "nan", "n/a", "#n/a", "\\n"})
_QUESTIONS = {
    "format.date_order": ("date_order", '"dmy"', "which comes first, the day (dmy) or the month (mdy)?"),
    "format.decimal": ("decimal", '"."', "which mark separates the fraction, the point or the comma?"),
}
"""What the reader asks for where a file does not prove it: the key, a value to try, the question."""


def draft(path: Path, stream: str | None = None) -> str:
    """YAML for a file: a preset that says what is unsure about it, or a comment alone where a preset knows the file already.

    ``stream`` says what the file holds where its header does not. Raises :class:`WorldError`, naming the file, where no preset
    can be drafted, and :class:`~pipeline.errors.ContractError` for a ``presets.yaml`` beside it that is wrong.
    """
    source = contract.load().files_source
    if stream is not None and stream not in source.streams:
        raise WorldError(f"there is no stream '{stream}'; there are {', '.join(source.streams)}.")
    table = table_of(path)
    own = path.parent / PRESETS_FILE
    book = presets.load(source, {PRESETS_FILE: own.read_bytes()} if own.is_file() else None)
    known = try_out(path, book, source)
    if known.found.preset is not None and stream in (None, known.found.preset.stream):
        return _known(path, known)
    drafts = guess(table, source, path.stem, stream)
    if not drafts or drafts[0].missing:
        raise WorldError(_hopeless(path, table, drafts, stream))
    return _drafted(path, table, drafts, source)


def _known(path: Path, trial: Trial) -> str:
    preset, problem = trial.found.preset, trial.found.problem
    assert preset is not None
    which = (
        "carries the contract's own field names"
        if preset.is_canonical
        else f"is known: preset '{preset.name}' of {preset.origin}"
    )
    said = [f"{path.name} {which}; it reads as {preset.source}.{preset.stream}. No draft is needed."]
    said.append(
        f"But: {problem.message}. {problem.next_step}" if problem else " ".join(count.sentence() for count in trial.counts)
    )
    said += [f"Found out: {guess}" for guess in (trial.found.reading.guesses if trial.found.reading else ())]
    return "".join(f"# {line}\n" for line in said)


def _hopeless(path: Path, table: Table, drafts: Sequence[Draft], stream: str | None) -> str:
    header = ", ".join(table.headers[:12]) + (", …" if len(table.headers) > 12 else "")
    if not drafts:
        named = f"of {stream}" if stream else "that the contract knows; name the stream with --stream if you know it"
        return f"{path}: no column is a field {named}. Its header is {header}."
    near = drafts[0]
    missing = ", ".join(f"'{name}' ({near.stream.fields[name].description.rstrip('.')})" for name in near.missing)
    return f"{path} is nearest to {near.stream.name}, but no column can be {missing}. Its header is {header}."


def _drafted(path: Path, table: Table, drafts: Sequence[Draft], source: Source) -> str:
    chosen, other = with_companion(drafts, table)
    form, questions = _format(table, [chosen, *([other] if other else [])])
    for _ in range(len(_QUESTIONS) + 1):
        text = _yaml(path, table, chosen, other, form, questions)
        trial = try_out(path, _of(text, path.name, source), source)
        asked = _asked(trial)
        if asked is None:
            break
        key, value, question = _QUESTIONS[asked]
        form[key] = value
        assert trial.found.problem is not None
        questions[key] = f"{question} {trial.found.problem.message.removeprefix(path.name).lstrip(': ')}"
    if trial.found.problem is not None:
        raise WorldError(f"{trial.found.problem.message}. {trial.found.problem.next_step}")
    lines = [f"Drafted from {path.name}, its first {len(table.rows)} rows. Check every line, above all those marked unsure."]
    lines += [f"As it stands: {count.sentence()}" for count in trial.counts]
    taken = (chosen.stream, other.stream if other else None)
    rivals = [
        rival.stream.name
        for rival in drafts[1:]
        if rival.stream not in taken and not rival.missing and rival.worth >= 0.8 * chosen.worth
    ]
    if rivals:
        lines.append(f"unsure: it may be {' or '.join(rivals)} too; --stream {rivals[0]} drafts that.")
    return "".join(f"# {line}\n" for line in lines) + text


def _of(text: str, origin: str, source: Source) -> list[Preset]:
    """The presets of a draft alone, as a deployment reads them."""
    return [preset for preset in presets.load(source, {origin: text.encode()}) if preset.origin == origin]


def _asked(trial: Trial) -> str | None:
    """The key of the format without which the reader would not read the file."""
    problem = trial.found.problem
    return next((key for key in _QUESTIONS if problem is not None and f"Set {key} in" in problem.next_step), None)


def _format(table: Table, drafts: Sequence[Draft]) -> tuple[dict[str, str], dict[str, str]]:
    """Keys of ``format`` with their YAML values, and what is unsure about some."""
    form: dict[str, str] = {}
    unsure: dict[str, str] = {}
    columns = [(draft.stream.fields[name].type, _cells(table, draft, name)) for draft in drafts for name in draft.columns]
    money = [cell for type_, cells in columns if type_ == "decimal" for cell in cells]
    texts = [cell for type_, cells in columns if type_ == "string" for cell in cells]
    if table.encoding_guess:
        form["encoding"] = table.encoding
        unsure["encoding"] = f"the file does not say; are all accents right? {_other_readings(table.encoding_guess)}"
    if table.header_line > 1:
        form["header_row"] = str(table.header_line)
    if any(map(shapes.has_money_sign, money)):
        form["currency_marks"] = "true"
    if any(re.match(r"'[0-9+=@-]|=\"", text) for text in texts):
        form["spreadsheet_guards"] = "true"
    if any(re.fullmatch(r"[0-9]+[.]0+", text) for text in texts):
        form["numeric_ids"] = "true"
    if nulls := sorted({text for text in texts if text.casefold() in _NULL_TEXT}):
        form["null_values"] = json.dumps(nulls)
    if table.rows and (last := table.rows[-1][0].strip()) in TOTAL_WORDS:
        form["totals_prefix"] = json.dumps(last)
    return form, unsure


def _other_readings(guess: str) -> str:
    """What a guess says of other encodings: ``in cp1252 'Dvořák' would be 'Dvoøák'``."""
    return "; ".join(part for part in guess.split("; ")[1:] if part.startswith("in "))


def _cells(table: Table, chosen: Draft, name: str) -> list[str]:
    return [cell for header in chosen.columns[name].headers for cell in table.column(list(table.headers).index(header))]


def _yaml(
    path: Path, table: Table, chosen: Draft, other: Draft | None, form: Mapping[str, str], questions: Mapping[str, str]
) -> str:
    stream = chosen.stream
    weak = "little but an id and a name speaks for it" if chosen.is_weak else ""
    match = [header for field in chosen.columns if stream.fields[field].required for header in chosen.columns[field].headers]
    match = list(dict.fromkeys([*match, *chosen.headers]))[: max(len(match), 4)]
    patterns = _currency_headers(table, chosen)
    match = [patterns.get(header, header) for header in match]
    lines = [
        HEAD,
        f"  - name: {_name(path, chosen)}",
        f"    source: {stream.source}",
        f"    stream: {stream.name}{_unsure(weak)}",
        "    match:",
        f"      headers: [{', '.join(map(_text, match))}]",
        *_columns(table, chosen),
    ]
    used = {*chosen.headers, *(other.headers if other else ())}
    if rest := [header for header in table.headers if header not in used]:
        lines.append("    ignore: # known, and not loaded")
        lines += [f"      - {_text(header.replace('*', '?'))}" for header in rest]
    lines += _rows(chosen, other)
    lines += _format_lines(table, chosen, form, questions)
    if other is not None:
        lines += [
            "",
            f"  - name: {_name(path, other)} # of the same file",
            f"    source: {stream.source}",
            f"    stream: {other.stream.name}",
            f"    companion_of: {_name(path, chosen)}",
            *_columns(table, other),
            *_rows(other, chosen),
        ]
    return "\n".join(lines) + "\n"


def _name(path: Path, chosen: Draft) -> str:
    return "_".join(dict.fromkeys([*words(path.stem), *words(chosen.stream.name)]))


def _columns(table: Table, chosen: Draft) -> list[str]:
    lines = ["    columns:"]
    patterns = _currency_headers(table, chosen)
    for field_name, found in chosen.columns.items():
        headers = ", ".join(_text(patterns.get(header, header)) for header in found.headers)
        value = headers if len(found.headers) == 1 else f"{{join: [{headers}]}}"
        lines.append(f"      {field_name}: {value}{_unsure('; '.join(found.unsure))}")
    return lines + _currency(table, chosen)


def _currency_headers(table: Table, chosen: Draft) -> dict[str, str]:
    """Headers of amounts that name their currency, as patterns; only where the stream has a field that takes it from there.

    An amount that the file gives in two currencies stays the one that was chosen: a pattern would fit both.
    """
    if "currency" not in chosen.stream.fields or "currency" in chosen.columns:
        return {}
    money = {found.headers[0] for name, found in chosen.columns.items() if chosen.stream.fields[name].type == "decimal"}
    patterns = {header: pattern for header in table.headers if (pattern := currency_pattern(header)) is not None}
    counts = Counter(patterns.values())
    return {header: pattern for header, pattern in patterns.items() if header in money and counts[pattern] == 1}


def _rows(chosen: Draft, other: Draft | None) -> list[str]:
    """An order of a file of lines is the first of them, and worth their sum where the file does not say what it is worth."""
    if other is None or chosen.stream.name != "orders":
        return []
    lines = [f"    one_row_per: {_text(chosen.columns['order_id'].headers[0])} # an order's further lines are no orders"]
    if chosen.missing:
        lines.append(f"    without: [{', '.join(chosen.missing)}] # derived from its lines")
    return lines


def _format_lines(table: Table, chosen: Draft, form: Mapping[str, str], questions: Mapping[str, str]) -> list[str]:
    shown = [f"      {key}: {value}{_unsure(questions.get(key, ''))}" for key, value in form.items()]
    clocks = [
        found.headers[0]
        for name, found in chosen.columns.items()
        if chosen.stream.fields[name].type == "timestamp" and shapes.mostly(shapes.has_clock, _cells(table, chosen, name))
    ]
    if clocks:
        named = ", ".join(clocks)
        shown.append(
            f"      # time_zone: Europe/London # unsure: in which zone are the times of {named}? Without it, the account's."
        )
    if not shown:
        return []
    return ["    format:" if form else "    # format:", *shown]


def _currency(table: Table, chosen: Draft) -> list[str]:
    """Amounts without a currency count in none: their header's, the sign in them, or a question."""
    stream = chosen.stream
    if "currency" not in stream.fields or "currency" in chosen.columns:
        return []
    money = [name for name in chosen.columns if stream.fields[name].type == "decimal"]
    patterns = _currency_headers(table, chosen)
    if named := [name for name in money if chosen.columns[name].headers[0] in patterns]:
        return [f"      currency: {{currency_of: {named[0]}}}"]
    codes = {code for name in money if (code := currency_in(chosen.columns[name].headers[0])) is not None}
    if len(codes) == 1:
        (code,) = codes
        return ["    constants:", f"      currency: {code} # from the header of {money[0]}"]
    cells = [cell for name in money for cell in _cells(table, chosen, name)]
    marks = {currency: mark_in(cell) for cell in cells if (currency := named_in(cell, {}))}
    if len(marks) == 1 and not CODES.isdisjoint(marks):  # a sign that several currencies share names none of them
        ((currency, sign),) = marks.items()
        return ["    constants:", f"      currency: {currency} # unsure: from the sign {sign}"]
    if not money:
        return []
    return ["    # constants:", "    #   currency: EUR # unsure: no column says in which currency the amounts are"]


def _unsure(why: str) -> str:
    return f" # unsure: {' '.join(why.split())}" if why else ""


def _text(header: str) -> str:
    """A header in YAML: plain where nothing in it can be taken for anything else."""
    plain = re.fullmatch(r"[^\W\d_][\w ./()%-]*", header) and not header.endswith(" ")
    if plain and header.casefold() not in {"no", "yes", "on", "off", "y", "n", "true", "false", "null"}:
        return header
    return json.dumps(header, ensure_ascii=False)
