"""How a file writes its values, judged from records of it: what its preset declares, then what its cells prove.

What neither says is refused with the column and a cell, or used and reported as a guess; it is never assumed in silence.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.csv_evidence import judge_days, judge_numbers
from pipeline.csv_reading import Reading
from pipeline.csv_refusals import Problem
from pipeline.csv_rows import BoundColumn
from pipeline.csv_values import NULL_WORDS, ValueFormat, unguarded
from pipeline.presets import Preset


def judge_values(
    name: str, preset: Preset, reading: Reading, header: Sequence[str], samples: Sequence[Sequence[str]]
) -> tuple[ValueFormat, list[str]] | Problem:
    """How a file writes its values, and what of it is a guess; else why the file is set aside.

    ``samples``: records of the header's width. ``reading``: all that is known so far.
    """
    names, columns, _ = reading.bind(header)
    form = preset.format
    numbers = [cell for column in columns if column.type in ("decimal", "integer") for cell in _cells(column, samples)]
    marks = {"decimal": form.get("decimal"), "thousands": form.get("thousands")}
    found = judge_numbers(numbers, delimiter=reading.dialect.delimiter, **marks)
    where = "a preset for this file, under presets/ of the state bucket," if preset.is_canonical else f"preset '{preset.name}'"
    step = f"Set {{key}} in {where} and run the source again."
    if found.conflict:
        one, other = found.conflict
        return Problem(f"{name} writes numbers in two ways: '{one}' and '{other}'", step.format(key="format.decimal"))
    if found.ambiguous:
        return Problem(
            f"{name}: '{found.ambiguous}' may be a thousand or a fraction, and no number of the file tells",
            step.format(key="format.decimal"),
        )
    guesses = [found.guess] if found.guess else []
    orders: dict[str, str] = {}
    if "date_order" in form:
        orders[""] = form["date_order"]
    else:
        dated = {column.field: _cells(column, samples) for column in columns if column.type in ("date", "timestamp")}
        days = judge_days(dated)
        heads = {column.field: names[column.indexes[0]] for column in columns if column.indexes}
        for field_name, cell in days.ambiguous.items():
            return Problem(
                f"{name}: column '{heads[field_name]}': '{cell}' may begin with its day or its month, and no value tells which",
                step.format(key="format.date_order"),
            )
        for field_name, (one, other) in days.conflicts.items():
            return Problem(
                f"{name}: column '{heads[field_name]}' has days in two orders: '{one}' and '{other}'",
                "Export the file again with one form of dates, or declare format.date_order to set the others aside.",
            )
        orders, guesses = days.orders, guesses + days.guesses
    values = ValueFormat(
        decimal=found.decimal,
        thousands=found.thousands,
        date_orders=orders,
        time_zone=reading.values.time_zone,
        true_values=tuple(form.get("true_values", ())),
        false_values=tuple(form.get("false_values", ())),
        null_values=tuple(form.get("null_values", ())),
        currency_marks=form.get("currency_marks", False),
        spreadsheet_guards=form.get("spreadsheet_guards", False),
    )
    return values, guesses


def _cells(column: BoundColumn, samples: Sequence[Sequence[str]]) -> list[str]:
    cells = [unguarded(record[column.indexes[0]].strip()) for record in samples] if column.indexes else []
    return [cell for cell in cells if cell and cell.casefold() not in NULL_WORDS]
