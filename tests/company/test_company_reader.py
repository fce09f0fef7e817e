"""The product's own reader of files finds in the make-believe shop's exports exactly what their truth says."""

from __future__ import annotations

import io
from pathlib import Path

from pipeline import contract, presets
from pipeline.csv_head import HEAD_BYTES, Reading, examine
from pipeline.csv_records import RecordReader
from pipeline.csv_rows import RowConverter
from pipeline.csv_text import Gunzip, TextLines
from sandbox.company import REPORTING_TIME_ZONE, write_exports


def outcome(raw: bytes, reading: Reading) -> tuple[int, list[tuple[int | None, str]], int]:
    """Rows that load, (line, reason) of those set aside, and non-rows."""
    stream = io.BytesIO(raw)
    reader = RecordReader(
        TextLines(Gunzip(stream) if reading.gzip else stream, reading.encoding), reading.dialect, reading.header_line
    )
    names, columns, unknown = reading.bind(reader.header)
    convert = RowConverter(names, columns, unknown, reading.values, reading.dialect.delimiter).convert
    loaded, aside, non_rows = 0, [], 0
    while (batch := reader.read(1000)).taken:
        converted = convert(batch)
        loaded += len(converted.rows)
        aside += [(entry.line, entry.reason) for entry in (*batch.aside, *converted.aside)]
        non_rows += batch.non_rows
    return loaded, sorted(aside, key=str), non_rows


def test_the_reader_finds_what_was_planted(tmp_path: Path) -> None:
    truth = write_exports(tmp_path)
    source = contract.load().sources["crm"]
    book = presets.load(source, {"presets.yaml": (tmp_path / "presets.yaml").read_bytes()})
    for name, file in truth.files.items():
        raw = (tmp_path / name).read_bytes()
        examined = examine(
            name,
            raw[:HEAD_BYTES],
            complete=len(raw) <= HEAD_BYTES,
            book=book,
            streams=source.streams,
            time_zone=REPORTING_TIME_ZONE,
        )
        assert (examined.problem is not None) == (file["outcome"] == "set_aside"), name
        if examined.reading is None or file["outcome"] == "same_bytes":
            continue
        planted = sorted(((entry["line"], entry["reason"]) for entry in file["set_aside"]), key=str)
        assert examined.stream == file["stream"], name
        assert outcome(raw, examined.reading) == (file["loaded"], planted, file["non_rows"]), name
