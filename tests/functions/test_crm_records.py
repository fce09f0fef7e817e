"""Lines to records: nothing is dropped, nothing is mended, and one stray quote costs one row."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.csv_dialect import Dialect
from pipeline.csv_non_rows import is_remark, is_ruler, is_total
from pipeline.csv_records import Batch, RecordReader
from pipeline.csv_text import TextLines
from tests.functions.reading import records

HEADER = "a,b,c\n"
CELL = st.text(
    st.sampled_from("ab ,;\"\n\r\t'é€") | st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8
)


def is_shown(row: list[str]) -> bool:
    """Whether a row is set aside for what it says, as made-up cells do once in a while."""
    return is_total(row) or is_remark(row)


def is_read(row: list[str]) -> bool:
    """Whether a row is expected as a record."""
    return any(cell.strip(" \t\x1a\u00a0") for cell in row) and not is_ruler(row) and not is_shown(row)


def adds_up(batch: Batch) -> bool:
    return batch.taken == len(batch.records) + len(batch.aside) + batch.non_rows and len(batch.records) == len(batch.lines)


@given(
    st.lists(st.lists(CELL, min_size=3, max_size=3), max_size=30),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.integers(1, 40),
    st.integers(1, 7),
)
@example([["\x1a", "", ""], ["1", "2", "3"]], ",", "\n", "utf-8", 40, 7)
@settings(max_examples=200, deadline=None)
def test_what_was_written_is_read(
    rows: list[list[str]], delimiter: str, end: str, encoding: str, step: int, limit: int
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(["head 1", "head 2", "head 3"])
    wanted, lines, line = [], [], 2
    for row in rows:
        writer.writerow(row)
        if is_read(row):
            wanted.append(row)
            lines.append(line)
        line += 1 + sum(cell.count("\n") + cell.count("\r") - cell.count("\r\n") for cell in row)
    data = text.getvalue().encode(encoding)
    codec = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le"}.get(encoding, encoding)
    batch = records(data, dialect=Dialect(delimiter), encoding=codec, step=step, limit=limit)
    assert batch.records == wanted
    assert batch.lines == lines
    assert adds_up(batch)
    assert batch.taken == len(rows)


@given(st.text(st.sampled_from('ab,;"\n\r \0é'), max_size=300).map(str.encode) | st.binary(max_size=300), st.integers(1, 50))
@settings(max_examples=500, deadline=None)
def test_whatever_the_bytes_every_record_is_accounted_for_and_the_same_in_any_pieces(garbage: bytes, step: int) -> None:
    data = HEADER.encode() + garbage
    whole = records(data)
    assert adds_up(whole)
    assert records(data, step=step, limit=1) == whole
    # every line that holds more than blanks and delimiters is the start of something, or lies inside it
    starts = sorted([*whole.lines, *(aside.line or 0 for aside in whole.aside)])
    assert len(set(starts)) == len(starts)
    assert all(start >= 2 for start in starts)


def test_blank_lines_repeated_headers_and_end_of_file_marks_are_no_rows() -> None:
    batch = records(b"a,b,c\n1,2,3\n\n , ,\n,,\na,b,c\n\xef\xbb\xbfa,b,c\n4,5,6\n\x1a")
    assert batch.records == [["1", "2", "3"], ["4", "5", "6"]]
    assert batch.lines == [2, 8]
    assert (batch.non_rows, batch.aside) == (6, [])


def test_ragged_rows_are_set_aside_with_their_line_and_text() -> None:
    batch = records(b"a,b,c\n1,2,3\n1,2\n1,2,3,4\n7,8,9\n")
    assert batch.records == [["1", "2", "3"], ["7", "8", "9"]]
    assert [(aside.reason, aside.line, aside.raw) for aside in batch.aside] == [
        ("ragged_row", 3, "1,2"),
        ("ragged_row", 4, "1,2,3,4"),
    ]


def test_delimiters_at_the_end_of_rows_or_of_the_header_alone_lose_nothing() -> None:
    assert records(b"a,b\n1,2,\n3,4,,\n").records == [["1", "2"], ["3", "4"]]
    assert records(b"a,b,,\n1,2\n").records == [["1", "2", "", ""]]


def test_one_stray_quote_costs_one_row() -> None:
    rows = [f'{n},"x",z\n' for n in range(100)]
    rows[10] = '10,"stray,z\n'
    batch = records((HEADER + "".join(rows)).encode())
    assert len(batch.records) == 99
    assert [(aside.line, aside.reason, aside.raw) for aside in batch.aside] == [(12, "broken_quotes", '10,"stray,z')]


def test_a_stray_quote_in_a_file_without_quotes_costs_one_row() -> None:
    rows = [f"{n},x,z\n" for n in range(2000)]
    rows[10] = '10,"stray,z\n'
    batch = records((HEADER + "".join(rows)).encode(), limit=300)
    assert len(batch.records) == 1999
    assert batch.lines[-1] == 2001
    assert [(aside.line, aside.reason) for aside in batch.aside] == [(12, "unterminated_quote")]


def test_two_stray_quotes_that_close_each_other_cost_one_row() -> None:
    rows = [f"{n},x,y,z\n" for n in range(100)]
    rows[10], rows[40] = '10,"stray,y,z\n', '40,stray",y,z\n'
    batch = records(("a,b,c,d\n" + "".join(rows)).encode())
    assert [int(record[0]) for record in batch.records] == [*range(10), *range(11, 100)]
    assert batch.records[39][1] == 'stray"'  # a quote inside an unquoted cell is text
    assert [aside.line for aside in batch.aside] == [12]


def test_a_text_of_many_lines_is_one_cell() -> None:
    text = "Dear all,\nplease find, below, the list:\n\n- one, two, three\n- four\nYours, Ann"
    batch = records(f'a,b,c,d\n1,"{text}",y,z\n2,x,y,z\n'.encode())
    assert [record[1] for record in batch.records] == [text, "x"]
    assert batch.lines == [2, 8]


def test_many_stray_quotes_cost_a_row_each_and_little_time() -> None:
    rows = [f'{n},"stray {n},z\n' if n % 2 else f"{n},x,z\n" for n in range(20_000)]
    batch = records((HEADER + "".join(rows)).encode(), limit=5000)
    assert adds_up(batch)
    assert len(batch.records) == 10_000
    assert len(batch.aside) == 10_000


def test_a_file_cut_inside_a_quoted_cell_sets_its_last_record_aside() -> None:
    batch = records(b'a,b,c\n1,2,3\n4,"first line\nsecond line\nand so')
    assert batch.records == [["1", "2", "3"]]
    assert [(aside.reason, aside.line, aside.raw) for aside in batch.aside] == [
        ("unterminated_quote", 3, '4,"first line\nsecond line\nand so')
    ]


def test_text_after_a_closing_quote_is_not_mended() -> None:
    batch = records(b'a,b,c\n1,"5" pipe",x\n2,3,4\n')
    assert batch.records == [["2", "3", "4"]]
    assert [(aside.reason, aside.raw) for aside in batch.aside] == [("broken_quotes", '1,"5" pipe",x')]


def test_undecodable_and_nul_rows_are_set_aside_alone() -> None:
    batch = records(b"a,b,c\n1,caf\xe9,3\n4,5,6\n7,x\0y,9\n10,11,12\n")
    assert batch.records == [["4", "5", "6"], ["10", "11", "12"]]
    assert [(aside.reason, aside.line, aside.column, aside.raw) for aside in batch.aside] == [
        ("undecodable", 2, "b", "1,caf\\xe9,3"),
        ("nul_character", 4, "b", "7,x\\x00y,9"),
    ]


def test_a_cell_beyond_all_bounds_is_a_stray_quote(monkeypatch: pytest.MonkeyPatch) -> None:
    before = csv.field_size_limit(5_000)
    try:
        rows = "".join(f"{n},x,z\n" for n in range(5_000))
        batch = records((HEADER + '0,"stray,z\n' + rows).encode())
    finally:
        csv.field_size_limit(before)
    assert len(batch.records) == 5_000
    assert [aside.reason for aside in batch.aside] == ["unterminated_quote"]


@pytest.mark.parametrize(
    ("dialect", "line", "cells"),
    [
        (Dialect(skip_initial_space=True), '1, "b, c", 3', ["1", "b, c", "3"]),
        (Dialect(quote="'"), "1,'b, \"c',3", ["1", 'b, "c', "3"]),
        (Dialect(quote=None), '1,"b,3', ["1", '"b', "3"]),
        (Dialect(escape="\\"), '1,"say \\"hi\\", yes",3', ["1", 'say "hi", yes', "3"]),
        (Dialect("\t"), "1\tb, c\t3", ["1", "b, c", "3"]),
    ],
)
def test_dialects(dialect: Dialect, line: str, cells: list[str]) -> None:
    header = dialect.delimiter.join("abc")
    assert records(f"{header}\n{line}\n".encode(), dialect=dialect).records == [cells]


def test_what_is_read_does_not_depend_on_where_a_page_ends() -> None:
    rows = [f"{n},x,z\n" for n in range(1200)]
    rows[499] = '499,"two\nlines",z\n'
    rows[700] = "700,ragged\n"
    rows[701] = "\n"
    rows[900] = '900,"open,z\n'
    data = (HEADER + "".join(rows)).encode()
    whole = records(data, limit=100_000)
    assert adds_up(whole)
    assert [aside.line for aside in whole.aside] == [703, 903]
    for limit in (1, 3, 499, 500, 501, 1199):
        assert records(data, limit=limit) == whole


@pytest.mark.parametrize("row", ["Total,,250.00", "TOTAL:,3,250.00", ",Grand total,250.00", "Summe,,1.234€"])
def test_a_total_that_nobody_declared_is_set_aside_and_not_loaded_beside_what_it_sums(row: str) -> None:
    batch = records(f"a,b,c\n1,2,3\n{row}\n".encode())
    assert batch.records == [["1", "2", "3"]]
    assert [(aside.reason, aside.line, aside.raw) for aside in batch.aside] == [("totals_row", 3, row)]


@pytest.mark.parametrize("row", ["Total,Paris,250.00", "Total,,", "Totally,,5", "5,Total,3"])
def test_what_only_looks_like_a_total_is_a_row(row: str) -> None:
    batch = records(f"a,b,c\n{row}\n".encode())
    assert batch.records == [row.split(",")]


DIALECTS = st.builds(
    Dialect,
    delimiter=st.sampled_from(",;\t|"),
    quote=st.sampled_from("\"'"),
    escape=st.sampled_from([None, "\\"]),
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[list[str]], Dialect, bytes]:
    """Rows of one width with a header, how they were written, and the bytes."""
    width = draw(st.integers(1, 6))
    dialect = draw(DIALECTS)
    cell = CELL | st.sampled_from(["\\", "\\n", "''", "5", " x "])
    rows = draw(st.lists(st.lists(cell, min_size=width, max_size=width), max_size=8))
    rows.insert(0, [f"head {number}" for number in range(width)])
    text = io.StringIO()
    # The writer quotes a line end in a cell only where it is one of this table's.
    ends = [(csv.QUOTE_ALL, "\n"), (csv.QUOTE_ALL, "\r"), (csv.QUOTE_MINIMAL, "\r\n")]
    quoting, end = draw(st.sampled_from(ends))
    form = {**dialect.arguments(), "quoting": quoting, "lineterminator": end, "doublequote": dialect.escape is None}
    csv.writer(text, **form).writerows(rows)
    return rows, dialect, text.getvalue().encode()


@given(tables(), st.integers(1, 40), st.integers(1, 7))
@settings(max_examples=200, deadline=None)
def test_tables_of_any_dialect_come_back_cell_by_cell(
    table: tuple[list[list[str]], Dialect, bytes], step: int, limit: int
) -> None:
    (header, *rows), dialect, data = table
    batch = records(data, dialect=dialect, step=step, limit=limit)
    assert batch.records == [row for row in rows if is_read(row) and row != header]
    assert len(batch.aside) == sum(is_shown(row) for row in rows)
    assert adds_up(batch)
    assert batch.taken == len(rows)


@given(tables(), st.lists(st.tuples(st.floats(0, 1), st.sampled_from(["", '"', "'", ",", ";", "\n", "\r", "\0", "é", "\\"]))))
@settings(max_examples=200, deadline=None)
def test_a_table_that_was_damaged_on_its_way_is_accounted_for(
    table: tuple[list[list[str]], Dialect, bytes], damage: list[tuple[float, str]]
) -> None:
    _, dialect, data = table
    broken = bytearray(data)
    for where, what in damage:
        at = int(where * (len(broken) - 1))
        broken[at : at + 1] = what.encode("latin-1")
    batch = records(bytes(broken), dialect=dialect)
    assert adds_up(batch)
    assert records(bytes(broken), dialect=dialect, step=7, limit=2) == batch


def test_a_remark_is_one_line_whatever_it_holds() -> None:
    data = b'a,b,c\n1,2,3\n# by hand, "not checked\n4,5,6\n#\n"#",8,9\n# "x"y"\n7,8,9\n'
    reader = RecordReader(TextLines(io.BytesIO(data), "utf-8"), Dialect())
    reader.comment = "#"
    batch = reader.read(100)
    assert batch.records == [["1", "2", "3"], ["4", "5", "6"], ["#", "8", "9"], ["7", "8", "9"]]
    assert (batch.lines, batch.non_rows, batch.aside, batch.taken) == ([2, 4, 6, 8], 3, [], 7)


def test_declared_totals_and_continuations_are_found_wherever_they_stand() -> None:
    rows = [f"{n},x,{n}" for n in range(2_000)]
    rows[700], rows[1_300] = " TOTAL of them,,5", "1300,,"
    reader = RecordReader(TextLines(io.BytesIO(("a,b,c\n" + "\n".join(rows)).encode()), "utf-8"), Dialect())
    reader.totals_prefix, reader.continuation = ("sum", "total"), 1
    batch = reader.read(5_000)
    assert (len(batch.records), batch.non_rows, batch.aside) == (1_998, 2, [])


def reasons(batch: Batch) -> list[tuple[str, int | None, str | None]]:
    return [(aside.reason, aside.line, aside.value) for aside in batch.aside]


def test_the_header_again_is_no_row_in_whatever_case_and_blanks() -> None:
    batch = records(b"contact_id,City\n1,x\nCONTACT_ID, city \n2,y\n Contact_ID ,City\n\xef\xbb\xbfcontact_id,City\n3,z\n")
    assert [record[0] for record in batch.records] == ["1", "2", "3"]
    assert (batch.non_rows, batch.aside) == (3, [])


def test_below_the_header_of_another_export_nothing_is_read_by_the_first_one() -> None:
    """Two exports joined, the second with its columns in another order: read by the first header, ids became addresses."""
    batch = records(b"contact_id,email,city\n1,a@x,m\nemail,contact_id,city\nb@x,2,n\ncontact_id,email,city\n3,c@x,o\n")
    assert [record[0] for record in batch.records] == ["1", "3"]
    assert reasons(batch) == [
        ("other_header", 3, "its columns are not those of the file's header"),
        ("below_other_header", 4, "the header above it, in line 3, is not the file's"),
    ]
    assert batch.non_rows == 1
    whole = b"contact_id,email,city\n1,a@x,m\n" + b"email,contact_id,city\n" + b"b@x,2,n\n" * 2_000
    assert [len(records(whole, limit=limit).aside) for limit in (7, 5_000)] == [2_001, 2_001]


def test_a_row_that_names_one_column_is_a_row() -> None:
    assert records(b"channel,email,city\nemail,a@x,m\ncity,b@x,n\n").aside == []


def test_rulers_are_no_rows_and_remarks_and_types_are_shown() -> None:
    batch = records(
        b"id,email,city\nvarchar,varchar,text\n----,-----,----\n1,a,x\n====\n"
        b"(1 row affected),,\nConfidential - do not share,,\nTotal (1),,\nAnn Lee,,x\n2,,\n3 b,c,\n"
    )
    assert [record[0] for record in batch.records] == ["1", "Ann Lee", "2", "3 b"]
    assert batch.non_rows == 2
    assert reasons(batch) == [
        ("remark", 2, "varchar"),
        ("remark", 6, "(1 row affected)"),
        ("remark", 7, "Confidential - do not share"),
        ("remark", 8, "Total (1)"),
    ]


@pytest.mark.parametrize("limit", [1, 3, 5_000])
def test_a_line_of_an_order_with_another_total_does_not_vanish_into_it(limit: int) -> None:
    rows = [f"{n},{n}.50,a\n{n},{n}.50,b\n{n},,c\n" for n in range(1, 1_001)]
    rows[700] = "701,701.50,a\n701,9.99,b\n701,,c\n"
    reader = RecordReader(TextLines(io.BytesIO(("order,total,item\n" + "".join(rows)).encode()), "utf-8"), Dialect())
    reader.one_row_per, reader.same = 0, (1,)
    whole = Batch()
    while (batch := reader.read(limit)).taken:
        whole.records += batch.records
        whole.aside += batch.aside
        whole.non_rows += batch.non_rows
    assert (len(whole.records), whole.non_rows) == (1_000, 1_999)
    (aside,) = whole.aside
    assert (aside.reason, aside.line, aside.column) == ("contradicting_row", 2103, "total")
    assert aside.value == "9.99, and 701.50 in the row that it continues"


@pytest.mark.parametrize(
    ("written", "cells"),
    [
        ('"say \\"hi\\", now",b', ['say "hi", now', "b"]),
        ('"say ""hi""",b', ['say "hi"', "b"]),
        ("a\\, b,b", ["a, b", "b"]),
        ("\\N,b", ["", "b"]),
        ('"\\N",b', ["\\N", "b"]),
        ("a\\nb\\tc,b", ["a\nb\tc", "b"]),
        ("C:\\\\x,C:\\Users", ["C:\\x", "C:\\Users"]),
        ("a\\\nb,b", ["a\nb", "b"]),
    ],
)
def test_an_escape_takes_nothing_from_a_cell(written: str, cells: list[str]) -> None:
    batch = records(f"a,b\n{written}\n1,2\n".encode(), dialect=Dialect(escape="\\"))
    assert batch.records == [cells, ["1", "2"]]


def test_text_behind_a_quote_is_not_mended_beside_escapes_either() -> None:
    batch = records(b'a,b\n"x" y,2\n1,2\n', dialect=Dialect(escape="\\"))
    assert (batch.records, [aside.reason for aside in batch.aside]) == ([["1", "2"]], ["broken_quotes"])


ODD_CELLS = st.sampled_from(
    [
        *(
            "",
            " ",
            "1",
            "2 a",
            "a b",
            "0\x1f0",
            "Total",
            "Total ",
            " Total",
            "total:",
            "--",
            "----",
            "= =",
            "varchar",
            "varchar ",
        ),
        *(
            "int",
            "id",
            "ID ",
            "iD",
            " id",
            "name",
            "Name",
            "city",
            "\ufeffid",
            "(1 row affected)",
            "Report of May",
            "\u00a0",
            "#",
        ),
    ]
)


@given(st.lists(st.lists(ODD_CELLS, min_size=2, max_size=4), max_size=12), st.integers(1, 4))
@settings(max_examples=300, deadline=None)
def test_what_a_record_is_does_not_depend_on_its_neighbours(rows: list[list[str]], limit: int) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["id", "name", "city"], *rows])
    data = text.getvalue().encode()
    whole = records(data)
    assert adds_up(whole)
    assert records(data, limit=limit) == whole
    # Between rows that are plain for sure, looked at by themselves.
    spread = "\n".join([*text.getvalue().splitlines()[:1], *(f"{line}\nx1,y,z" for line in text.getvalue().splitlines()[1:])])
    among = records(f"{spread}\n".encode())
    assert [record for record in among.records if record != ["x1", "y", "z"]] == whole.records or any(
        aside.reason == "below_other_header" for aside in among.aside
    )
