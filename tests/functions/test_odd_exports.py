"""Exports as they come, dropped and fetched like any file: each cell right, or set aside in words that say what and where."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import clients
from pipeline.errors import Rejected
from pipeline.sources import Account, Page
from tests.conftest import LocalCloud, cloud_at
from tests.functions import reading
from tests.functions.odd_exports import AMOUNTS, DAYS, EVERYTHING, OWN_PRESETS, Odd, written
from tests.functions.test_crm_source import fetch, plan


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """One landing bucket for all files, and presets of this deployment's own."""
    with cloud_at(Path(tmp_path_factory.mktemp("odd"))) as one:
        clients.state_bucket().blob("presets/own.yaml").upload_from_string(OWN_PRESETS)
        yield one


def pages_of(cloud: LocalCloud, number: int, odd: Odd) -> list[Page]:
    """A file by the way of every dropped file: planned from its head, then fetched."""
    name = f"{number}/{odd.name}"
    landing = {"bucket": clients.landing_bucket().name, "name": name, "generation": cloud.drop(name, odd.data)}
    (planned,) = plan((Account("default", "Etc/UTC"),), landing_object=landing)
    return fetch(planned, slice_id=f"s{number}")


@pytest.mark.parametrize(
    ("number", "odd"), list(enumerate(EVERYTHING)), ids=[odd.why.replace("\t", "tab") for odd in EVERYTHING]
)
def test_every_odd_export_comes_out_right_or_says_why_not(cloud: LocalCloud, number: int, odd: Odd) -> None:
    if odd.refused:
        with pytest.raises(Rejected) as caught:
            pages_of(cloud, number, odd)
        said = f"{caught.value.message} {caught.value.next_step}"
        assert caught.value.message.startswith(f"{number}/{odd.name}"), said
        assert caught.value.next_step
        assert all(part in said for part in odd.refused), said
        assert said.isprintable(), said
        return
    pages = pages_of(cloud, number, odd)
    rows = [row for page in pages for row in page.rows]
    assert [dict(row) for row in rows] == list(odd.rows)
    aside = [(one.reason, one.line, one.column, one.value) for page in pages for one in page.aside]
    assert aside == list(odd.aside)
    assert sum(page.non_rows for page in pages) == odd.non_rows
    guesses = list(pages[0].facts["guesses"])
    for part in odd.says:
        assert any(part in guess for guess in guesses), (part, guesses)
        guesses.remove(next(guess for guess in guesses if part in guess))
    assert guesses == []


def test_no_two_exports_are_the_same() -> None:
    assert len({odd.why for odd in EVERYTHING}) == len(EVERYTHING) > 100


NAMES = ("Newsletter address", "One", "Two", "Three")
OWN = """
presets:
  - name: addresses
    source: crm
    stream: contacts
    match: {headers: [Newsletter address]}
    columns: {contact_id: Newsletter address, full_name: One, city: Two, country: Three}
"""
TEXT = st.text(st.sampled_from("ab ,;|\t\"'\\\n\r=é\u2028") | st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
KEY = st.integers(1, 10**6).map("K{}".format)


@given(
    st.lists(st.tuples(KEY, TEXT, TEXT, TEXT), max_size=12),
    st.sampled_from(",;\t|"),
    st.sampled_from(
        [(csv.QUOTE_ALL, "\n"), (csv.QUOTE_ALL, "\r"), (csv.QUOTE_NONNUMERIC, "\r\n"), (csv.QUOTE_MINIMAL, "\r\n")]
    ),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.integers(1, 4),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_table_that_python_writes_comes_back_whatever_its_dialect(
    rows: list[tuple[str, ...]], delimiter: str, ends: tuple[Any, str], encoding: str, width: int
) -> None:
    text = io.StringIO()
    # Python quotes a line end in a cell only where it is one of this table's.
    writer = csv.writer(text, delimiter=delimiter, lineterminator=ends[1], quoting=ends[0])
    rows = [row[:width] for row in rows]
    writer.writerows([NAMES[:width], *rows])
    data = text.getvalue().encode(encoding)
    pages = list(reading.pages(data, extra=OWN, name="list.csv"))
    fields = ("contact_id", "full_name", "city", "country")[:width]
    found = [tuple(row.get(name, "") for name in fields) for page in pages for row in page.rows]
    # Text as it stands, but for formulas of text, which the file is then said to hold.
    assert found == rows or any("formulas" in guess for guess in reading.reading_of(data, extra=OWN, name="list.csv").guesses)
    assert sum(len(page.rows) + len(page.aside) + page.non_rows for page in pages) == len(rows)


MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2031, 12, 31)).map(lambda one: one.replace(second=0, microsecond=0))  # noqa: DTZ001
SUMS = st.integers(-(10**9), 10**9).map(lambda cents: Decimal(cents) / 100)


@given(
    st.lists(st.tuples(MOMENTS, SUMS), min_size=1, max_size=20),
    # Months before days with dots in between are nobody's: those of one file alone are taken for days first, and that is said.
    st.sampled_from(sorted({*DAYS} - {"month first, dots"})),
    st.sampled_from(sorted(AMOUNTS)),
    st.sampled_from(",;\t|"),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_however_orders_are_written_they_load_right_or_not_at_all(
    truth: list[tuple[datetime, Decimal]], days: str, sums: str, delimiter: str
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(["order_id", "order_at", "amount"])
    for number, (moment, amount) in enumerate(truth):
        writer.writerow([number, written(moment, DAYS[days][0]), AMOUNTS[sums][0](amount)])
    found = reading.judge(text.getvalue(), "orders.csv")
    if found.problem is not None:
        assert "may " in found.problem.message, found.problem  # a file of few orders, open to two readings
        return
    for page in reading.pages(text.getvalue(), name="orders.csv"):
        assert page.aside == []
        for row in page.rows:
            moment, amount = truth[int(row["order_id"])]
            assert (row["order_at"], Decimal(row["amount"])) == (f"{moment.isoformat()}Z", amount)
