"""Every public file goes through the reader, and every row of it is accounted for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.text_encodings import detect_encoding
from tests.develop import ledger
from tests.develop.files import DELIMITERS, DEVELOP, data_files, header_sets, needs_files, records, rows_in
from tests.develop.made_rows import made_file
from tests.functions import reading

pytestmark = needs_files
SPECTRUM = "csv_spectrum/csvs/"
TWIN_DIFFERS = {("location_coordinates", "Contact Phone Number")}
"""Where the acid test's own JSON does not say what its CSV says: another phone number."""


def read(name: str) -> ledger.Read:
    raw = (DEVELOP / name).read_bytes()
    (one,) = ledger.read(name, raw, rows_in(raw, DELIMITERS[Path(name).suffix]))
    return one


def test_the_ledger_is_as_expected_and_names_every_file() -> None:
    found = ledger.everything()
    assert found == ledger.expected()
    assert {line.file for line in found} == {*data_files(), *(name for name, _, _ in header_sets())}


@pytest.mark.parametrize("line", ledger.expected(), ids=lambda line: line.file)
def test_rows_in_are_loaded_set_aside_or_declared_no_rows(line: ledger.Line) -> None:
    assert line.rows_in == line.loaded + line.set_aside + line.non_rows
    assert bool(line.why) == bool(line.set_aside or not line.preset)


@pytest.mark.parametrize("name", [name for name in data_files() if name.startswith(SPECTRUM)])
def test_the_cells_of_an_acid_test_are_those_of_its_json(name: str) -> None:
    twin = json.loads((DEVELOP / "csv_spectrum" / "json" / f"{Path(name).stem}.json").read_text("utf-8", errors="replace"))
    wanted: list[dict[str, str]] = twin if isinstance(twin, list) else [twin]
    raw = (DEVELOP / name).read_bytes()
    if "_crlf" in name:
        raw = raw.replace(b"\n", b"\r\n")  # the stored copies lost what they are named after
    (one,) = ledger.read(name, raw, len(wanted))
    columns = reading.reading_of(raw, name=name, extra=ledger.OWN_PRESETS).columns
    joined = {header for column in columns if len(column.headers) > 1 for header in column.headers}
    for row, want in zip(one.rows, wanted, strict=True):
        alone = {column.headers[0]: row.get(column.field, "") for column in columns if len(column.headers) == 1}
        got = {**alone, **row.get("_extra", {})}
        assert {*got, *joined} == set(want)
        for header, value in got.items():
            if "\ufffd" not in want[header] and (Path(name).stem, header) not in TWIN_DIFFERS:
                assert value == want[header]


def test_a_joined_name_of_an_acid_test() -> None:
    (row,) = read(f"{SPECTRUM}comma_in_quotes.csv").rows
    assert row == {
        "contact_id": "08123",
        "full_name": "John Doe",
        "city": "Anytown, WW",
        "_extra": {"address": "120 any st."},
    }


def test_products_of_the_sample_shops_are_those_with_a_title() -> None:
    for name in data_files():
        if name.startswith("shopify_product_csvs/"):
            header, *rows = records((DEVELOP / name).read_bytes(), ",")
            title, price = header.index("Title"), header.index("Variant Price")
            wanted = [(row[0], row[title], row[price]) for row in rows if row[title]]
            assert [(row["product_id"], row["product_name"], row.get("price", "")) for row in read(name).rows] == wanted


def test_a_table_of_something_else_about_tickets_is_no_table_of_tickets() -> None:
    assert read("dbt_zendesk/ticket_schedule_data.csv").line.preset == ""


@pytest.mark.parametrize(
    ("name", "delimiter", "headers"), list(header_sets()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_no_value_of_a_made_row_is_lost(name: str, delimiter: str, headers: list[str]) -> None:
    """Each cell of a made file is in the payload, or its column is ignored by name, or the whole file is set aside."""
    raw = made_file(name, headers, delimiter)
    found = reading.judge(raw, name, ledger.OWN_PRESETS)
    if found.reading is None:
        return
    for each, one in zip((found, *found.companions), ledger.read(name, raw, rows_in(raw, delimiter)), strict=True):
        assert each.reading is not None
        names, columns, unknown = each.reading.bind(headers)
        assert one.asides == []
        assert set().union(*one.rows) - {"_extra"} == {column.field for column in columns}
        for row in one.rows:
            assert {names[index] for index in unknown} <= set(row.get("_extra", {}))


UNICODE_BUT = {"messytables_small/spanish_chars.csv": "cp1252"}


@pytest.mark.parametrize("name", data_files())
def test_each_file_is_read_in_the_encoding_that_it_is_in(name: str) -> None:
    raw = (DEVELOP / name).read_bytes()
    found = detect_encoding(raw, complete=True)
    assert (found.name, found.rivals) == (UNICODE_BUT.get(name, "utf-8"), ())
    if name in UNICODE_BUT:
        header = raw.decode(found.name).splitlines()[0]
        assert header == "GF_ID,FN_ID,SF_ID,GF,F,SF,Gasto total 2011,Descripción"
    else:
        assert found.guess is None
