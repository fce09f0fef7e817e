"""What a file's first bytes tell, and what is refused instead of guessed."""

from __future__ import annotations

import gzip
import zipfile

import pytest

from pipeline.csv_encoding import as_found
from pipeline.csv_reading import Reading
from pipeline.headers import unique_names
from pipeline.text_encodings import detect_encoding
from tests.functions.reading import asides, judge, pages, payloads, problem_of, reading_of
from tests.functions.zip_files import zipped

ORDERS = "order_id,order_at,amount,currency\n"
OPEN_SHEET = "application/vnd.oasis.opendocument.spreadsheet"


def test_a_file_with_the_contracts_own_names_needs_no_preset() -> None:
    reading = reading_of(ORDERS + "1,2024-01-02 10:00:00,5.00,EUR\n")
    assert reading.preset == "canonical:orders"
    assert reading.guesses == ()


def test_a_reading_survives_json() -> None:
    import json

    reading = reading_of("order_id;order_at;amount\n1;13.01.2024;1.234,50\n")
    assert Reading.from_json(json.loads(json.dumps(reading.to_json()))) == reading


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_any_delimiter_in_any_encoding(delimiter: str, encoding: str) -> None:
    text = "Contact_ID , City,Country\n1,Zürich,CH\n".replace(",", delimiter)
    assert payloads(text.encode(encoding)) == [{"contact_id": "1", "city": "Zürich", "country": "CH"}]


def test_gzip_is_known_by_its_bytes() -> None:
    data = gzip.compress((ORDERS + "1,2024-01-02 10:00:00,5.00,EUR\n").encode())
    (row,) = payloads(data, name="orders.csv")
    assert row == {"order_id": "1", "order_at": "2024-01-02T10:00:00Z", "amount": "5.00", "currency": "EUR"}


def test_the_only_row_of_a_small_gzip_file_is_evidence_too() -> None:
    (row,) = payloads(gzip.compress(b"order_id,order_at,amount\n1,13/02/2024,5\n"))
    assert row["order_at"] == "2024-02-13T00:00:00Z"


def test_lines_before_the_header_are_non_rows_and_a_guess() -> None:
    (page,) = pages(f"Shop export\n# made on Monday\n\n{ORDERS}1,2024-01-02,5,EUR\n")
    assert (len(page.rows), page.lines, page.non_rows) == (1, [5], 3)
    assert "header in line 4" in reading_of(f"sep=;\n\n\n{ORDERS}").guesses[0]


def test_the_line_that_names_the_delimiter_is_no_row() -> None:
    (page,) = pages('sep=;\norder_id;order_at;amount\n1;2024-01-02;"5"\n')
    assert (page.rows, page.non_rows) == ([{"order_id": "1", "order_at": "2024-01-02T00:00:00Z", "amount": "5"}], 1)


def test_blanks_before_quotes() -> None:
    (row,) = payloads('order_id, order_at, amount, status\n1, 2024-01-02, "5.00", "open, new"\n')
    assert row["status"] == "open, new"


def test_a_quoted_cell_that_ends_with_a_delimiter_and_a_blank_is_no_dialect() -> None:
    data = 'order_id,order_at,amount,status\n1,2024-01-02,5," on, hold, "\n2,2024-01-02,5, open\n'
    assert [row["status"] for row in payloads(data)] == [" on, hold, ", " open"]
    assert reading_of(data).guesses == ()


def test_repeated_and_nameless_headers_get_names_of_their_own() -> None:
    names = unique_names(["Phone", "phone ", "", "Phone", " "])
    assert names == ["Phone", "phone_2", "column_3", "Phone_3", "column_5"]
    data = "contact_id,email,email,city,\n1,a@example.com,b@example.com,Rome,?\n"
    assert payloads(data) == [
        {
            "contact_id": "1",
            "email": "a@example.com",
            "city": "Rome",
            "_extra": {"email_2": "b@example.com", "column_5": "?"},
        }
    ]
    assert reading_of(data).guesses == ("column email_2: its header stands more than once",)


def test_unknown_columns_are_kept_and_counted() -> None:
    (page,) = pages("contact_id,email,Shoe size\n1,a@example.com,42\n2,b@example.com,\n,c@example.com,43\n")
    assert page.rows[0]["_extra"] == {"Shoe size": "42"}
    assert "_extra" not in page.rows[1]
    assert page.unknown_fields == {"Shoe size": 1}


def test_bad_values_set_their_row_aside_and_no_other() -> None:
    data = (
        "order_id,order_at,amount,item_count,is_repeat\n"
        "1,2024-01-02,5,1,yes\n"
        "2,soon,5,1,yes\n"
        "3,2024-01-02,cheap,1,yes\n"
        "4,2024-01-02,5,1.5,yes\n"
        "5,2024-01-02,5,1,maybe\n"
        ",2024-01-02,5,1,no\n"
        "7,,5,,\n"
        "  ,2024-01-02,5,1,no\n"
        "9,2024-01-02,5,,\n"
    )
    (page,) = pages(data)
    assert [row["order_id"] for row in page.rows] == ["1", "9"]
    assert page.lines == [2, 10]
    assert page.rows[1] == {"order_id": "9", "order_at": "2024-01-02T00:00:00Z", "amount": "5"}
    assert [(aside.line, aside.reason, aside.column, aside.value) for aside in page.aside] == [
        (3, "unreadable_timestamp", "order_at", "soon"),
        (4, "unreadable_decimal", "amount", "cheap"),
        (5, "unreadable_integer", "item_count", "1.5"),
        (6, "unreadable_boolean", "is_repeat", "maybe"),
        (7, "missing_required", "order_id", None),
        (8, "missing_required", "order_at", None),
        (9, "missing_required", "order_id", "  "),
    ]
    assert page.aside[0].raw == "2,soon,5,1,yes"


def test_a_value_that_is_seen_again_is_judged_again() -> None:
    rows = "".join(f"{n},2024-01-02,{'x' if n % 2 else '5'}\n" for n in range(1_200))
    found = list(pages("order_id,order_at,amount\n" + rows))
    assert [len(page.rows) for page in found] == [250, 250, 100]
    assert [len(page.aside) for page in found] == [250, 250, 100]
    assert [page.cursor for page in found] == [{"rows": 500}, {"rows": 1000}, None]


def test_a_file_goes_on_where_it_was_left() -> None:
    rows = "".join(f"{n},2024-01-02,{n}\n" if n % 7 else "\n" for n in range(1_200))
    data = "made on Monday\norder_id,order_at,amount\n" + rows
    whole = list(pages(data))
    again = list(pages(data, rows=500))
    assert [page.rows for page in again] == [page.rows for page in whole[1:]]
    assert [page.lines for page in again] == [page.lines for page in whole[1:]]
    assert [page.non_rows for page in again] == [page.non_rows for page in whole[1:]]
    assert sum(len(page.rows) + page.non_rows for page in whole) == 1_201


@pytest.mark.parametrize(
    ("data", "order"),
    [
        ("13/02/2024", "2024-02-13T00:00:00Z"),
        ("02/13/2024", "2024-02-13T00:00:00Z"),
    ],
)
def test_the_order_of_days_is_proven_by_the_file(data: str, order: str) -> None:
    (row,) = payloads(f"order_id,order_at,amount\n1,{data},5\n")
    assert row["order_at"] == order


def test_days_that_could_be_either_are_refused_by_name() -> None:
    problem = problem_of("order_id,order_at,amount\n1,01/02/2024,5\n")
    assert "column 'order_at'" in problem.message
    assert "01/02/2024" in problem.message
    assert "format.date_order" in problem.next_step


def test_a_preset_decides_the_order_of_days() -> None:
    own = """
presets:
  - {name: mine, source: crm, stream: orders, match: {headers: [order_id]}, columns: {order_id: order_id, order_at: order_at,
     amount: amount}, format: {date_order: mdy, time_zone: America/New_York}}
"""
    (row,) = payloads("order_id,order_at,amount\n1,01/02/2024 10:00,5\n", extra=own)
    assert row["order_at"] == "2024-01-02T15:00:00Z"


def test_another_part_of_the_file_may_prove_the_order_of_days() -> None:
    early = "".join(f"{n},01/02/2024,5\n" for n in range(20_000))
    late = "".join(f"{n},28/02/2024,5\n" for n in range(20_000, 22_000))
    data = "order_id,order_at,amount\n" + early + late
    assert reading_of(data).values.date_orders["order_at"] == "dmy"
    assert payloads(data)[0]["order_at"] == "2024-02-01T00:00:00Z"


def test_numbers_that_could_be_either_are_refused() -> None:
    problem = problem_of('order_id,order_at,amount\n1,2024-01-02,"1,234"\n')
    assert "'1,234' may be a thousand or a fraction" in problem.message
    assert "format.decimal" in problem.next_step
    assert "two ways" in problem_of('order_id,order_at,amount\n1,2024-01-02,"1,5"\n2,2024-01-02,2.5\n').message


def test_german_numbers_are_proven() -> None:
    rows = payloads("order_id;order_at;amount\n1;24.12.2024;1.234,50\n2;25.12.2024;12\n3;26.12.2024;2.000\n")
    assert [row["amount"] for row in rows] == ["1234.50", "12", "2000"]


def test_a_number_that_breaks_the_files_own_rule_is_set_aside() -> None:
    rows = "".join(f"{n},2024-01-02,{n}.50\n" for n in range(6_000))
    (aside,) = asides("order_id,order_at,amount\n" + rows + '6000,2024-01-02,"12,5"\n')
    assert (aside.reason, aside.value) == ("unreadable_decimal", "12,5")


def test_a_header_that_nobody_knows_is_set_aside_with_its_words() -> None:
    found = judge("Foo,Bar\n1,2\n", name="mystery.csv")
    assert found.stream == "unrecognised"
    assert found.problem is not None
    assert found.problem.kind == "file_set_aside"
    assert "Foo, Bar" in found.problem.message
    assert judge("Foo,Bar\n1,2\n", name="2024/orders_may.csv").stream == "orders"


def test_a_header_that_nearly_fits_names_what_is_missing() -> None:
    problem = problem_of("order_id,contact_id,amount,currency,status\n1,2,3,EUR,paid\n")
    assert "nearest preset is 'canonical:orders'" in problem.message
    assert "missing 'order_at'" in problem.message


def test_a_lone_key_does_not_make_a_stream() -> None:
    assert judge("contact_id,Score,Grade,Mood\n1,2,3,4\n").stream == "unrecognised"


def test_two_presets_that_fit_equally_well_are_refused_by_name() -> None:
    own = "presets:\n" + "".join(
        f"""
  - {{name: {name}, source: crm, stream: contacts, match: {{headers: [Key]}}, columns: {{contact_id: Key, city: Town}}}}"""
        for name in ("one", "two")
    )
    problem = problem_of("Key,Town\n1,Rome\n", extra=own)
    assert "'one' and 'two'" in problem.message
    named = own.replace("name: two, source: crm, stream: contacts, match: {headers: [Key]", "name: two, source: crm, stream: "
                        "contacts, match: {headers: [Key], file_name: 'town*.csv'")  # fmt: skip
    assert reading_of("Key,Town\n1,Rome\n", extra=named, name="in/Towns 3.csv").preset == "two"
    assert reading_of("Key,Town\n1,Rome\n", extra=named, name="people.csv").preset == "one"


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (zipped(("[Content_Types].xml", "x"), ("xl/workbook.xml", "x"), method=zipfile.ZIP_STORED), "an Excel workbook"),
        (zipped(("mimetype", OPEN_SHEET), ("content.xml", OPEN_SHEET), method=zipfile.ZIP_STORED), "an OpenDocument file"),
        (zipped(("orders.csv", "x"), method=zipfile.ZIP_STORED), "a zip archive; unpack it"),
        (b"\xd0\xcf\x11\xe0rest", "Excel"),
        (b"\n<!DOCTYPE html><html>", "web page"),
        (b'{"orders": []}', "JSON"),
        (b"\x1f\x8bnot gzip at all", "gzip"),
    ],
)
def test_what_is_no_table_is_named(data: bytes, word: str) -> None:
    assert word in problem_of(data).message


def test_an_empty_file_is_no_rows_where_its_name_tells_of_what() -> None:
    for data in ("", "\n\n", "\ufeff"):
        (page,) = pages(data, name="orders_2024.csv")
        assert (page.rows, page.aside) == ([], [])
    assert "says nothing of what" in problem_of("", name="export.csv").message


def test_an_empty_list_does_not_delete_everything() -> None:
    problem = problem_of("", name="products.csv")
    assert "mark every one as deleted" in problem.message
    (page,) = pages("product_id,product_name\n", name="products.csv")
    assert page.rows == []


def test_a_header_alone_is_no_rows() -> None:
    (page,) = pages(ORDERS)
    assert (page.rows, page.aside, page.cursor) == ([], [], None)


def test_totals_and_continuations_are_declared_non_rows() -> None:
    own = """
presets:
  - {name: mine, source: crm, stream: orders, match: {headers: [Nr]}, columns: {order_id: Nr, order_at: Day, amount: Sum},
     constants: {currency: GBP}, format: {totals_prefix: total, continuation: Day}}
"""
    (page,) = pages("Nr,Day,Sum\n1,2024-01-02,5\n1,,\nTotal: 1,2024-01-02,5\n", extra=own)
    assert page.rows == [{"order_id": "1", "order_at": "2024-01-02T00:00:00Z", "amount": "5", "currency": "GBP"}]
    assert page.non_rows == 2


def test_a_constant_stands_where_the_file_has_nothing() -> None:
    own = """
presets:
  - {name: mine, source: crm, stream: orders, match: {headers: [Nr]}, columns: {order_id: Nr, order_at: Day, amount: Sum,
     currency: Cur}, constants: {currency: GBP}}
"""
    rows = payloads("Nr,Day,Sum,Cur\n1,2024-01-02,5,EUR\n2,2024-01-02,5,\n", extra=own)
    assert [row["currency"] for row in rows] == ["EUR", "GBP"]


def test_a_header_far_down_is_found_where_a_preset_says() -> None:
    own = """
presets:
  - {name: mine, source: crm, stream: contacts, match: {headers: [Key]}, columns: {contact_id: Key}, format: {header_row: 4}}
"""
    (page,) = pages("Report\nof,all\nkeys\nKey,Other\n1,x\n", extra=own)
    assert page.rows == [{"contact_id": "1", "_extra": {"Other": "x"}}]
    assert page.non_rows == 3


def test_files_of_a_source_that_extracts_by_itself_are_named() -> None:
    meta = "campaign_id,date,impressions,clicks,spend,conversions,ctr,cpc\nC1,2024-01-02,1,1,1.00,0,0,0\n"
    problem = problem_of(meta)
    assert "is an export of meta_ads" in problem.message
    assert problem.kind == "file_set_aside"


RUSSIAN = """
presets:
  - name: clients_ru
    source: crm
    stream: contacts
    match: {headers: [Код]}
    columns: {contact_id: Код, city: Город}
"""


def test_a_header_that_a_preset_knows_decides_where_words_do_not() -> None:
    """Two short words are little to go by; the header, read letter by letter as a preset has it, is much."""
    data = "Код,Город\n1,Омск\n".encode("cp866")
    reading = reading_of(data, extra=RUSSIAN)
    assert reading.encoding == "cp866"
    assert payloads(data, extra=RUSSIAN) == [{"contact_id": "1", "city": "Омск"}]


POLISH = """
presets:
  - name: klienci
    source: crm
    stream: contacts
    match: {headers: [Nr, Płeć]}
    columns: {contact_id: Nr, city: Płeć}
"""


@pytest.mark.parametrize("declared", ["", "\n    format: {encoding: windows-1250}"])
def test_a_header_is_matched_in_the_declared_encoding_and_else_in_a_rival(declared: str) -> None:
    data = "Nr,Płeć\n1,k\n".encode("cp1250")
    reading = reading_of(data, extra=POLISH.rstrip() + declared + "\n")
    assert (reading.preset, reading.encoding, reading.encoding_declared) == ("klienci", "cp1250", bool(declared))
    assert reading.guesses == (() if declared else ("encoding cp1250: its header is known so",))


def test_a_known_header_outweighs_the_words_of_the_whole_file() -> None:
    czech = "".join(f"{n},Říčany\n{n},Dvořák\n{n},Čech\n" for n in range(5))
    data = "Nr,Señal\n1,k\n".encode("cp1252") + czech.encode("cp1250")
    spanish = POLISH.replace("Płeć", "Señal")
    head = reading_of(data[:14], extra=spanish)
    assert head.encoding == "cp1252"
    found = as_found(head, detect_encoding(data, complete=True), "file.csv")
    assert isinstance(found, Reading)
    assert found.encoding == "cp1252"
    assert found.guesses[0] == "encoding cp1252: by its header 'Señal'; by its words it would be cp1250"
