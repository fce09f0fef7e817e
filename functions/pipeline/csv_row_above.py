"""Rows that stand above the header: of a sheet that was sorted with its header in it, or of a file that another was joined to.

What stands above a header is no row: titles, days, filters of a report. Rows there would go the same way and be gone.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.csv_reading import Reading
from pipeline.csv_records import Batch
from pipeline.csv_refusals import Problem
from pipeline.csv_rows import RowConverter
from pipeline.presets import Preset


def row_above(
    name: str, preset: Preset, reading: Reading, header: Sequence[str], above: Sequence[tuple[int, list[str]]]
) -> Problem | None:
    """Why the file ``name`` is set aside: one of the records ``above`` its header (with their lines) reads as a row of it.

    One does that is as wide, has what is required, and holds a number, a time or an address where one belongs. Where the preset
    says in which line the header stands, it has said what the lines above are.
    """
    fitting = [(line, record) for line, record in above if len(record) == len(header)]
    if "header_row" in preset.format or not fitting:
        return None
    names, columns, unknown = reading.bind(header)
    converter = RowConverter(names, columns, unknown, reading.values, reading.dialect.delimiter)
    read = converter.convert(Batch([record for _, record in fitting], [line for line, _ in fitting]))
    typed = {column.field for column in columns if column.type != "string" and column.indexes}
    for line, row in zip(read.lines, read.rows, strict=True):
        if not typed.isdisjoint(row) or any("@" in row[field] for field in row if field.endswith("email")):
            return Problem(
                f"{name}: line {line} reads as a row, but stands above the header, which is in line {reading.header_line}",
                "Put the header first and drop it again; if the lines above it are no rows, set format.header_row in a preset "
                "for this file and run the source again.",
            )
    return None
