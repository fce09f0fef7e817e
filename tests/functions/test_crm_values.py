"""Cells to canonical text."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.csv_values import Unreadable, ValueFormat, converter, unguarded


def read(type_: str, cell: str, **form: object) -> str:
    convert = converter("field", type_, ValueFormat(**form))  # type: ignore[arg-type]
    assert convert is not None
    return convert(cell)


@pytest.mark.parametrize(
    ("cell", "value", "form"),
    [
        ("12.50", "12.50", {}),
        (" 12 ", "12", {}),
        ("-0.5", "-0.5", {}),
        ("+3", "3", {}),
        (".5", "0.5", {}),
        ("12.", "12", {}),
        ("(12.00)", "-12.00", {}),
        ("12.00-", "-12.00", {}),
        ("\u221212", "-12", {}),
        ("1.5E+3", "1500", {}),
        ("1e+05", "100000", {}),  # as R writes it: all its digits
        ("1.5E-05", "0.000015", {}),
        ("–1.50", "-1.50", {}),
        ("1.50 -", "-1.50", {}),
        ("( 1.50 )", "-1.50", {}),
        ("\u200e1.50\u200e", "1.50", {}),
        ("'12", "12", {}),
        ("null", "", {}),
        ("N/A", "", {}),
        ("1.234,56", "1234.56", {"decimal": ",", "thousands": "."}),
        ("-1.234.567", "-1234567", {"decimal": ",", "thousands": "."}),
        ("12,5", "12.5", {"decimal": ","}),
        ("1,234.5", "1234.5", {"thousands": ","}),
        ("1,23,45,678.5", "12345678.5", {"thousands": ","}),
        ("1\u202f234,50", "1234.50", {"decimal": ",", "thousands": " "}),
        ("1\u2019234.50", "1234.50", {"thousands": "'"}),
        ("$1,234.50", "1234.50", {"thousands": ",", "currency_marks": True}),
        ("-€ 5", "-5", {"currency_marks": True}),
        ("12,50 EUR", "12.50", {"decimal": ",", "currency_marks": True}),
        ("(£3.00)", "-3.00", {"currency_marks": True}),
        ("$ (3.00)", "-3.00", {"currency_marks": True}),
        ("Fr. 12.-", "12", {"currency_marks": True}),
        ("12.–", "12", {}),
        ("5,- €", "5", {"decimal": ",", "currency_marks": True}),
        ("-5,-- €", "-5", {"decimal": ",", "currency_marks": True}),
        ("1,00,000/-", "100000", {"thousands": ","}),
        ("Rs. 1,00,000.50", "100000.50", {"thousands": ",", "currency_marks": True}),
        ("Rp1.234.567", "1234567", {"decimal": ",", "thousands": ".", "currency_marks": True}),
    ],
)
def test_decimals(cell: str, value: str, form: dict[str, object]) -> None:
    assert read("decimal", cell, **form) == value


@pytest.mark.parametrize(
    ("cell", "form"),
    [
        ("1,5", {}),
        ("1,234.5", {}),
        ("12,34.5", {"thousands": ","}),
        ("1.5", {"decimal": ",", "thousands": "."}),
        ("$5", {}),
        ("12 apples", {"currency_marks": True}),
        ("--5", {}),
        ("(-5)", {}),
        ("-5-", {}),
        ("5%", {}),
        (".", {}),
        ("١٢", {}),
        ("1e999", {}),
        ("1.23457E+12", {}),  # a spreadsheet has cut it
        ("1,7E+10", {"decimal": ","}),
        ("5.00 CR", {"currency_marks": True}),
        ("1.5K", {"currency_marks": True}),
        ("infinity", {}),
    ],
)
def test_what_is_no_decimal_is_not_made_one(cell: str, form: dict[str, object]) -> None:
    with pytest.raises(Unreadable):
        read("decimal", cell, **form)


@given(
    st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**12), max_value=10**12), st.sampled_from(",.")
)
def test_decimals_keep_their_value_in_both_marks(number: Decimal, mark: str) -> None:
    other = {",": ".", ".": ","}[mark]
    cell = f"{number:,.4f}".replace(",", "#").replace(".", mark).replace("#", other)
    assert Decimal(read("decimal", cell, decimal=mark, thousands=other)) == number


@pytest.mark.parametrize(
    ("cell", "value"),
    [("17850.0", "17850"), ("007", "7"), ("-3", "-3"), ("0", "0"), ("-0.00", "0"), ("00", "0"), ("1E2", "100")],
)
def test_integers(cell: str, value: str) -> None:
    assert read("integer", cell) == value


def test_a_fraction_is_no_integer() -> None:
    with pytest.raises(Unreadable):
        read("integer", "1.5")


@pytest.mark.parametrize(
    ("cell", "value"), [("True", "true"), ("ja", "true"), ("0", "false"), ("NON", "false"), ("1.0", "true")]
)
def test_booleans(cell: str, value: str) -> None:
    assert read("boolean", cell) == value


def test_declared_booleans_go_before_known_ones() -> None:
    assert read("boolean", "subscribed", true_values=["Subscribed"]) == "true"
    assert read("boolean", "x", false_values=["X"]) == "false"
    with pytest.raises(Unreadable):
        read("boolean", "perhaps")


@pytest.mark.parametrize(
    ("cell", "value", "order"),
    [
        ("2020-11-24", "2020-11-24", ""),
        ("2020/1/4", "2020-01-04", ""),
        ("20201124", "2020-11-24", ""),
        ("24.11.2020", "2020-11-24", ""),
        ("24/11/2020", "2020-11-24", "dmy"),
        ("11/24/2020", "2020-11-24", "mdy"),
        ("11/24/20", "2020-11-24", "mdy"),
        ("20-11-24", "2020-11-24", "ymd"),
        ("1/2/69", "1969-02-01", "dmy"),
        ("24 Nov 2020", "2020-11-24", ""),
        ("24-November-2020", "2020-11-24", ""),
        ("Nov 24th, 2020", "2020-11-24", ""),
        ("24-NOV-20", "2020-11-24", ""),
        ("2020 Nov 24", "2020-11-24", ""),
        ("24NOV2020", "2020-11-24", ""),
        ("24. November 2020", "2020-11-24", ""),
        ("Di., 24. Nov. 2020", "2020-11-24", ""),
        ("Dienstag, den 24. März 2020", "2020-03-24", ""),
        ("1er août 2020", "2020-08-01", ""),
        ("mar. 24 nov. 2020", "2020-11-24", ""),
        ("mar 24 2020", "2020-03-24", ""),
        ("24 de noviembre de 2020", "2020-11-24", ""),
        ("1.º de março de 2020", "2020-03-01", ""),
        ("terça-feira, 24 de março de 2020", "2020-03-24", ""),
        ("24 novembre 2020", "2020-11-24", ""),
        ("24 mrt. 2020", "2020-03-24", ""),
        ("24 listopada 2020", "2020-11-24", ""),
        ("wt., 24 lis 2020", "2020-11-24", ""),
        ("24 maj 2020", "2020-05-24", ""),
        ("tirsdag 24. marts 2020", "2020-03-24", ""),
        ("Tue 24/11/2020", "2020-11-24", "dmy"),
        ("2020-W48-2", "2020-11-24", ""),
        ("2020-11-24 23:59:59", "2020-11-24", ""),
        ("0000-00-00", "", ""),
    ],
)
def test_dates(cell: str, value: str, order: str) -> None:
    assert read("date", cell, date_orders={"": order} if order else {}) == value


@pytest.mark.parametrize(
    "cell",
    [
        "04/03/2024",
        "2024-13-01",
        "2024-02-30",
        "31/04/2024",
        "24112020",
        "yesterday",
        "2024",
        "44159.5",
        "2024-W05",
        "5 foo 2024",
        "foo 5 mar 2024",
        "30 Feb 2024",
        "24 Nov",
        "31.02.2024",
    ],
)
def test_what_is_no_date_is_not_made_one(cell: str) -> None:
    with pytest.raises(Unreadable):
        read("date", cell)


@pytest.mark.parametrize(
    ("cell", "value", "zone"),
    [
        ("2020-11-24 12:00:00", "2020-11-24T12:00:00Z", "Etc/UTC"),
        ("2020-11-24T12:00:00Z", "2020-11-24T12:00:00Z", "Europe/Berlin"),
        ("2020-11-24 12:00:00.5", "2020-11-24T12:00:00.500000Z", "Etc/UTC"),
        ("2020-11-24 12:00:00.000", "2020-11-24T12:00:00Z", "Etc/UTC"),
        ("2020-11-24 12:00:00 -0500", "2020-11-24T17:00:00Z", "Etc/UTC"),
        ("2020-11-24T12:00:00+01:00", "2020-11-24T11:00:00Z", "Etc/UTC"),
        ("2020-11-24 12:00 UTC", "2020-11-24T12:00:00Z", "Europe/Berlin"),
        ("2020-11-24", "2020-11-23T23:00:00Z", "Europe/Berlin"),
        ("2020-07-01 00:00", "2020-06-30T22:00:00Z", "Europe/Berlin"),
        ("24.11.2020 13:05", "2020-11-24T12:05:00Z", "Europe/Berlin"),
        ("24.11.2020, 13:05:01", "2020-11-24T12:05:01Z", "Europe/Berlin"),
        ("Nov 24, 2020 at 1:05 pm", "2020-11-24T13:05:00Z", "Etc/UTC"),
        ("24 Nov 2020 12:05 AM", "2020-11-24T00:05:00Z", "Etc/UTC"),
        ("5.1.2021 13:00", "2021-01-05T13:00:00Z", "Etc/UTC"),
        ("24.11.2020 13.05", "2020-11-24T13:05:00Z", "Etc/UTC"),
        ("24. Nov. 2020 um 13:05 Uhr", "2020-11-24T13:05:00Z", "Etc/UTC"),
        ("24 nov. 2020 à 13h05", "2020-11-24T13:05:00Z", "Etc/UTC"),
        ("24 nov 2020, 1:05 p. m.", "2020-11-24T13:05:00Z", "Etc/UTC"),
        ("24 nov 2020, 12:05 a.\u00a0m.", "2020-11-24T00:05:00Z", "Etc/UTC"),
        ("Tue, 24 Nov 2020 12:00:00 +0100", "2020-11-24T11:00:00Z", "Etc/UTC"),
        ("Tue Nov 24 2020 13:00:00 GMT+0100 (Central European Standard Time)", "2020-11-24T12:00:00Z", "Etc/UTC"),
        ("2020-W48-2", "2020-11-24T00:00:00Z", "Etc/UTC"),
        ("20201124T120000Z", "2020-11-24T12:00:00Z", "Etc/UTC"),
        ("2020年11月24日", "2020-11-24T00:00:00Z", "Etc/UTC"),
        ("2020년 11월 24일 13:05", "2020-11-24T13:05:00Z", "Etc/UTC"),
        ("24.11.2020\u00a0 13:05", "2020-11-24T13:05:00Z", "Etc/UTC"),
        ("20201124130509", "2020-11-24T13:05:09Z", "Etc/UTC"),
        ("202011241305", "2020-11-24T12:05:00Z", "Europe/Berlin"),
        ("Tue Nov 24 13:05:09 CET 2020", "2020-11-24T12:05:09Z", "Etc/UTC"),
        ("Tue Nov  3 13:05:09 2020", "2020-11-03T13:05:09Z", "Etc/UTC"),
        ("2020-11-24 24:00", "2020-11-25T00:00:00Z", "Etc/UTC"),
        ("31.12.2020 24:00:00", "2020-12-31T23:00:00Z", "Europe/Berlin"),
        ("24 Nov 2020 1PM", "2020-11-24T13:00:00Z", "Etc/UTC"),
        ("24 Nov 2020 0:05 AM", "2020-11-24T00:05:00Z", "Etc/UTC"),
        ("2020-11-24 13:00 PM", "2020-11-24T13:00:00Z", "Etc/UTC"),
        ("2020-11-24 12:00 EST", "2020-11-24T17:00:00Z", "Etc/UTC"),
        ("2020-07-24 12:00 CEST", "2020-07-24T10:00:00Z", "Etc/UTC"),
        ("2020-11-24 12:00 CST", "2020-11-24T18:00:00Z", "America/Chicago"),
        ("2020-07-24 12:00 CST", "2020-07-24T18:00:00Z", "America/Chicago"),  # some write it in summer too
        ("2020-11-24 12:00 CST", "2020-11-24T04:00:00Z", "Asia/Shanghai"),
        ("2020-11-24 12:00 IST", "2020-11-24T06:30:00Z", "Asia/Kolkata"),
        ("2020-07-24 12:00 BST", "2020-07-24T11:00:00Z", "Europe/London"),
        ("2020-11-24 12:00 America/New_York", "2020-11-24T17:00:00Z", "Etc/UTC"),
        ("2020-11-24 12:00 GMT+1", "2020-11-24T11:00:00Z", "Etc/UTC"),
        ("2020-11-24 12:00 (UTC-5)", "2020-11-24T17:00:00Z", "Etc/UTC"),
        ("2020-11-24 12:00 +530", "2020-11-24T06:30:00Z", "Etc/UTC"),
        ("\u200e2020-11-24 12:00\u200b", "2020-11-24T12:00:00Z", "Etc/UTC"),
        ("2020-10-25 02:30:00", "2020-10-25T00:30:00Z", "Europe/Berlin"),  # the clock shows it twice: the first
        ("2020-03-29 02:30:00", "2020-03-29T01:30:00Z", "Europe/Berlin"),  # the clock leaves it out
        ("0000-00-00 00:00:00", "", "Etc/UTC"),
    ],
)
def test_timestamps(cell: str, value: str, zone: str) -> None:
    assert read("timestamp", cell, time_zone=zone) == value


@pytest.mark.parametrize(
    "cell",
    [
        "2020-11-24 25:00",
        "2020-11-24 13:00 am",
        "24/Nov/2020 12",
        "2020-11-24 24:01",
        "2020-11-24 12:00 CST",  # of Chicago, Shanghai or Havana
        "2020-11-24 12:00 IST",
        "2020-11-24 12:00 Europe/Atlantis",
        "202011241260",
        "04/03/2024 10:00",
        "0001-01-01",
        "1606219200",
        "2020-W48",
        "24.11.2020 12.75",
        "13:05",
    ],
)
def test_what_is_no_timestamp_is_not_made_one(cell: str) -> None:
    with pytest.raises(Unreadable):
        read("timestamp", cell)


@given(
    st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001 - a time without a zone is the point
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata"]),
)
def test_times_of_a_zone_are_that_instant(moment: datetime, zone: str) -> None:
    from zoneinfo import ZoneInfo

    wanted = moment.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    assert datetime.fromisoformat(read("timestamp", str(moment), time_zone=zone)) == wanted


@pytest.mark.parametrize(
    ("cell", "value", "kind"),
    [
        ("1", "1900-01-01T00:00:00Z", "excel"),
        ("59", "1900-02-28T00:00:00Z", "excel"),
        ("61", "1900-03-01T00:00:00Z", "excel"),
        ("44159", "2020-11-24T00:00:00Z", "excel"),
        ("44159.5416666667", "2020-11-24T13:00:00Z", "excel"),
        ("44159,75", "2020-11-24T18:00:00Z", "excel"),
        ("0", "1904-01-01T00:00:00Z", "excel_1904"),
        ("42697", "2020-11-24T00:00:00Z", "excel_1904"),
        ("1606219200", "2020-11-24T12:00:00Z", "unix_seconds"),
        ("1606219200.25", "2020-11-24T12:00:00.250000Z", "unix_seconds"),
        ("-86400", "1969-12-31T00:00:00Z", "unix_seconds"),
        ("1606219200123", "2020-11-24T12:00:00.123000Z", "unix_milliseconds"),
        ("2020-11-24 12:00", "2020-11-24T12:00:00Z", "excel"),
    ],
)
def test_numbers_that_stand_for_times(cell: str, value: str, kind: str) -> None:
    assert read("timestamp", cell, number_dates={"": kind}) == value
    assert read("date", cell, number_dates={"field": kind}) == value[:10]


@pytest.mark.parametrize("cell", ["60", "0", "44,15", "9999999", "-1", "44159.5.5", "1e5"])
def test_what_is_no_day_of_a_spreadsheet(cell: str) -> None:
    """Day 60 is 29 February 1900, which never was."""
    with pytest.raises(Unreadable):
        read("date", cell, number_dates={"": "excel"})


def test_zones_of_numbers_that_stand_for_times() -> None:
    berlin = {"time_zone": "Europe/Berlin"}
    assert read("timestamp", "44159.5", number_dates={"": "excel"}, **berlin) == "2020-11-24T11:00:00Z"
    assert read("timestamp", "1606219200", number_dates={"": "unix_seconds"}, **berlin) == "2020-11-24T12:00:00Z"
    assert read("date", "1606258800", number_dates={"": "unix_seconds"}, **berlin) == "2020-11-25"


def test_the_names_of_months_are_those_of_the_unicode_cldr() -> None:
    python = Path(__file__).parents[2] / ".venvs" / "dbt" / "bin" / "python"
    if not python.exists():
        pytest.skip("needs Babel, which comes with dbt's environment: make install")
    subprocess.run([python, Path(__file__).with_name("generate_month_names.py"), "--check"], check=True)


def test_text_is_untouched_unless_the_preset_says_so() -> None:
    assert converter("field", "string", ValueFormat()) is None
    assert read("string", "'+31 6", spreadsheet_guards=True) == "+31 6"
    assert read("string", "NULL", null_values=["null"]) == ""
    assert read("string", " x ", null_values=["null"]) == " x "


@pytest.mark.parametrize(
    ("cell", "bare"),
    [
        ("'0123", "0123"),
        ("'+31", "+31"),
        ("'s-Hertogenbosch", "'s-Hertogenbosch"),
        ('="0012"', "0012"),
        ('="', '="'),
        ("'", "'"),
    ],
)
def test_guards_against_spreadsheets(cell: str, bare: str) -> None:
    assert unguarded(cell) == bare
