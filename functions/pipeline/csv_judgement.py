"""How a file writes its values, judged from records of it: what its preset declares, then what its cells prove.

What neither says is refused with the column and a cell, or used and reported as a guess; it is never assumed in silence. Where
the records at hand leave a column open and the file holds more of them, the column is *undecided*: :func:`decide` asks the
whole file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from pipeline.csv_amounts import CURRENCY_FIELD, commonest_currency
from pipeline.csv_evidence import DayEvidence, Days, Marks, NumberEvidence, Numbers, judge_days, judge_numbers
from pipeline.csv_fields import BoundColumn, parts_of
from pipeline.csv_ids import CUT_NUMBER, NUMERIC_ID, is_id
from pipeline.csv_reading import Reading
from pipeline.csv_records import Batch
from pipeline.csv_refusals import Problem
from pipeline.csv_shields import bare, unformula, unguarded
from pipeline.csv_values import NULL_WORDS, ZERO_DATES, ValueFormat
from pipeline.presets import CANONICAL, Preset

_NUMBERS = ("decimal", "integer")
_DAYS = ("date", "timestamp")


def judge_values(
    name: str, preset: Preset, reading: Reading, header: Sequence[str], samples: Sequence[Sequence[str]], *, whole: bool
) -> Reading | Problem:
    """``reading`` with how the file ``name`` writes its values, or why it is set aside.

    ``samples``: records of the header's width; ``whole``: they are all of them, so what they leave open stays open.
    """
    form = preset.format
    names, columns, _ = reading.bind(header)
    shown = _shown(names, columns)
    numbers, days = _evidence(columns)
    _feed(columns, samples, numbers, days)
    marks = judge_numbers(
        numbers, delimiter=reading.dialect.delimiter, decimal=form.get("decimal"), thousands=form.get("thousands")
    )
    orders = Days({"": form["date_order"]}) if "date_order" in form else judge_days(days)
    if declared := form.get("number_dates"):
        orders.number_dates = {"": declared}
        orders.guesses = [guess for guess in orders.guesses if "1970" not in guess and "spreadsheet" not in guess]
    signs: Mapping[str, str] = form.get("currency_signs", {})
    currency, money_guesses = _currency(columns, samples, signs)
    ids, id_guesses = _numeric_ids(columns, samples, declared=form.get("numeric_ids", False))
    formula = None if form.get("spreadsheet_guards") else _formula(columns, samples)
    values = ValueFormat(
        decimal=marks.marks[""][0],
        thousands=marks.marks[""][1],
        number_marks={field: own for field, own in marks.marks.items() if field and own != marks.marks[""]},
        date_orders=orders.orders,
        number_dates=orders.number_dates,
        time_zone=reading.values.time_zone,
        true_values=tuple(form.get("true_values", ())),
        false_values=tuple(form.get("false_values", ())),
        null_values=tuple(form.get("null_values", ())),
        currency_marks=form.get("currency_marks", bool(currency)) or any(column.pick == "currency_of" for column in columns),
        currency_signs=signs,
        currency=currency,
        spreadsheet_guards=form.get("spreadsheet_guards", False),
        formula_text=formula is not None,
        numeric_ids=ids,
    )
    judged = replace(reading, values=values)
    if problem := _conflict(name, judged, shown, marks, orders):
        return problem
    open_fields: list[str] = []
    if whole:
        if problem := _ambiguous(name, judged, shown, marks, orders):
            return problem
    else:
        open_fields = [*marks.unproven, *orders.unproven]
        if "date_order" not in form:
            # One that is proven is asked of the whole file too: a column of both orders would load the one half wrongly.
            open_fields += [field for field, evidence in days.items() if evidence.numeric and field not in open_fields]
            if orders.orders:
                open_fields += [field for field, evidence in days.items() if evidence.first is None]
    declared_money = [] if "currency_marks" in form else money_guesses
    text_guesses = [formula] if formula else []
    guesses = _of_others((*marks.guesses, *orders.guesses, *id_guesses, *declared_money, *text_guesses), open_fields)
    return replace(judged, guesses=(*reading.guesses, *guesses), undecided=tuple(open_fields))


def decide(reading: Reading, batches: Iterable[Batch], header: Sequence[str], name: str = "The file") -> Reading | Problem:
    """``reading`` without undecided columns, by all records of the file ``name``; or why the file is set aside.

    Every record is looked at, also after a proof: a column whose values contradict each other is refused here, where reading
    on would load the one half and set the other aside.
    """
    if not reading.undecided:
        return reading
    names, bound, _ = reading.bind(header)
    columns = [column for column in bound if column.field in reading.undecided]
    shown = _shown(names, columns)
    numbers, days = _evidence(columns)
    for batch in batches:
        _feed(columns, batch.records, numbers, days)
    values = reading.values
    others = [column for column in bound if column.field not in reading.undecided]
    # Marks that no cell proved are the default, and explain nothing.
    proven: dict[str, Marks] = {
        column.field: values.marks_of(column.field)
        for column in others
        if column.type in _NUMBERS and values.marks_of(column.field)[1]
    }
    found = judge_numbers(numbers, delimiter=reading.dialect.delimiter, known=proven)
    orders = judge_days(days, {field: order for field, order in values.date_orders.items() if field and field not in days})
    decided = replace(
        reading,
        values=replace(
            values,
            number_marks={**values.number_marks, **{field: found.marks.get(field, found.marks[""]) for field in numbers}},
            date_orders={**values.date_orders, **orders.orders},
            number_dates={**values.number_dates, **orders.number_dates},
        ),
        guesses=(*reading.guesses, *found.guesses, *orders.guesses),
        undecided=(),
    )
    problem = _conflict(name, decided, shown, found, orders) or _ambiguous(name, decided, shown, found, orders)
    return problem or decided


def _currency(
    columns: Sequence[BoundColumn], samples: Sequence[Sequence[str]], signs: Mapping[str, str]
) -> tuple[str, list[str]]:
    """The currency that the file's amounts name, with guesses; empty where they name none."""
    amounts = [column for column in columns if column.type == "decimal"]
    cells = [record[index] for column in amounts for record in samples for index in column.value_indexes]
    found = commonest_currency((cell for cell in cells if not cell.isdigit() and any(map(str.isdigit, cell))), signs)
    if found is None:
        return "", []
    named, cell = found
    if any(column.field == CURRENCY_FIELD for column in columns):
        return named, [f"amounts name their currency, as in '{cell}'"]
    return named, [f"amounts are in {named}, as in '{cell}'; one in another currency is set aside"]


def _formula(columns: Sequence[BoundColumn], samples: Sequence[Sequence[str]]) -> str | None:
    """A guess where text stands in formulas of a spreadsheet: it is their text that is meant."""
    indexes = [index for column in columns if column.reads_as == "string" for index in column.indexes]
    cell = next((record[index] for record in samples for index in indexes if unformula(record[index]) != record[index]), None)
    return None if cell is None else f"text stands in formulas: '{cell}' is '{unformula(cell)}'"


def _numeric_ids(
    columns: Sequence[BoundColumn], samples: Sequence[Sequence[str]], *, declared: bool
) -> tuple[tuple[str, ...], list[str]]:
    """Ids that some program took for numbers, with guesses; ``declared``: all of them are."""
    ids = [column for column in columns if column.type == "string" and is_id(column.field)]
    if declared:
        return tuple(column.field for column in ids), []
    fields, guesses = [], []
    for column in ids:
        cells = list(cells_of(column, samples))
        if cut := next(filter(CUT_NUMBER.fullmatch, cells), None):
            guesses.append(f"{column.field}: '{cut}' is an id that a spreadsheet has cut; such rows are set aside")
        elif cells and all(map(NUMERIC_ID.fullmatch, cells)):
            guesses.append(f"{column.field}: ids were taken for numbers, '{cells[0]}' is {cells[0][:-2]}")
            fields.append(column.field)
    return tuple(fields), guesses


def _evidence(columns: Sequence[BoundColumn]) -> tuple[dict[str, NumberEvidence], dict[str, DayEvidence]]:
    numbers = {column.field: NumberEvidence(integers=column.type == "integer") for column in columns if column.type in _NUMBERS}
    days = {column.field: DayEvidence() for column in columns if column.type in _DAYS}
    return numbers, days


def _feed(
    columns: Sequence[BoundColumn],
    records: Sequence[Sequence[str]],
    numbers: Mapping[str, NumberEvidence],
    days: Mapping[str, DayEvidence],
) -> None:
    for column in columns:
        evidence = numbers.get(column.field) or days.get(column.field)
        if evidence is not None:
            evidence.feed(cells_of(column, records))


def cells_of(column: BoundColumn, records: Sequence[Sequence[str]]) -> Iterator[str]:
    """Different cells of a column that hold a value, in file order, without blanks around them or guards."""
    for cell in dict.fromkeys(record[index] for record in records for index in column.value_indexes):
        value = unguarded(bare(cell))
        if column.take_first:
            value = next(iter(parts_of(value, column.separator)), "")
        word = value.casefold()
        if value and word not in NULL_WORDS and value not in ZERO_DATES and word not in column.words:
            yield value


def _shown(names: Sequence[str], columns: Sequence[BoundColumn]) -> dict[str, str]:
    """The header of each field's (first) column."""
    return {column.field: names[column.indexes[0]] for column in columns if column.indexes}


def _of_others(guesses: Iterable[str], fields: Sequence[str]) -> list[str]:
    return [guess for guess in guesses if guess.partition(":")[0] not in fields]


def _conflict(name: str, reading: Reading, shown: Mapping[str, str], marks: Numbers, orders: Days) -> Problem | None:
    step = _step(reading)
    for field, (one, other) in marks.conflicts.items():
        return Problem(
            f"{name}: column '{shown[field]}' writes numbers in two ways: '{one}' and '{other}'", step("format.decimal")
        )
    for field, (one, other) in orders.conflicts.items():
        return Problem(
            f"{name}: column '{shown[field]}' has days in two orders: '{one}' and '{other}'",
            "Export the file again with one form of dates, or declare format.date_order to set the others aside.",
        )
    return None


def _ambiguous(name: str, reading: Reading, shown: Mapping[str, str], marks: Numbers, orders: Days) -> Problem | None:
    step = _step(reading)
    for field, cell in marks.ambiguous.items():
        return Problem(
            f"{name}: column '{shown[field]}': '{cell}' may be a thousand or a fraction, and no number of the file tells",
            step("format.decimal"),
        )
    for field, cell in orders.ambiguous.items():
        other = "year" if cell[:2].isdigit() and int(cell[:2]) > 12 else "month"
        return Problem(
            f"{name}: column '{shown[field]}': '{cell}' may begin with its day or its {other}, and no value tells which",
            step("format.date_order"),
        )
    return None


def _step(reading: Reading) -> Callable[[str], str]:
    own = reading.preset.startswith(CANONICAL)
    where = "a preset for this file, under presets/ of the state bucket," if own else f"preset '{reading.preset}'"
    return lambda key: f"Set {key} in {where} and run the source again."
