"""How fields are made of a file's columns: every form that a preset has for it, and one file read into several streams."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline import presets
from pipeline.csv_reading import Reading
from pipeline.errors import ContractError
from pipeline.sources import Page
from tests.functions.reading import CRM, Trickle, asides, judge, pages, payloads, problem_of, reading_of

TICKETS = """
presets:
  - name: desk
    source: crm
    stream: support_tickets
    match: {{headers: [Ticket, Opened]}}
    columns:
      ticket_id: Ticket
      created_at: Opened
{columns}
"""
ORDERS = """
presets:
  - name: shop
    source: crm
    stream: orders
    match: {{headers: [Nr]}}
    columns:
      order_id: Nr
      order_at: Day
      amount: {amount}
      currency: {{currency_of: amount}}
{more}
"""


def desk(*columns: str) -> str:
    return TICKETS.format(columns="\n".join(f"      {column}" for column in columns))


def shop(amount: str = "Total", more: str = "") -> str:
    return ORDERS.format(amount=amount, more=more)


def values(data: str, extra: str, name: str) -> list[Any]:
    return [row.get(name) for row in payloads(data, extra=extra)]


def test_first_filled_takes_in_each_row_the_first_that_is() -> None:
    own = desk("requester_email: {first_filled: [Mail, Private mail, Work mail]}")
    data = "Ticket,Opened,Work mail,Mail\n1,2024-07-01,a@example.com,b@example.com\n2,2024-07-01,c@example.com,\n"
    data += "3,2024-07-01,d@example.com,  \n4,2024-07-01,,\n"
    assert values(data, own, "requester_email") == ["b@example.com", "c@example.com", "d@example.com", None]
    assert reading_of(data, extra=own).mapping(["Ticket", "Opened", "Work mail", "Mail"])["columns"] == {
        "ticket_id": ["Ticket"],
        "created_at": ["Opened"],
        "requester_email": ["Mail", "Work mail"],
    }


def test_words_are_translated_in_any_case_and_the_others_go_on() -> None:
    own = desk('rating: {from: [Score, Satisfaction], words: {Good: "5", "Very  bad": "1", Offered: ""}}')
    data = "Ticket,Opened,Satisfaction\n1,2024-07-01,GOOD\n2,2024-07-01,very bad\n3,2024-07-01,Offered\n4,2024-07-01,3\n"
    assert values(data, own, "rating") == ["5", "1", None, "3"]
    (aside,) = asides(data + "5,2024-07-01,fine\n", extra=own)
    assert (aside.reason, aside.line, aside.column, aside.value) == ("unreadable_integer", 6, "Satisfaction", "fine")


def test_of_several_values_in_a_cell_the_first_is_taken_and_all_are_kept() -> None:
    own = desk("order_id: {from: Orders, take: first}", 'product_id: {from: Items, take: first, separator: "|"}')
    data = "Ticket,Opened,Orders,Items\n1,2024-07-01,17; 18,a\n2,2024-07-01,;19;,b|c\n3,2024-07-01,,\n"
    rows = payloads(data, extra=own)
    assert [row.get("order_id") for row in rows] == ["17", "19", None]
    assert [row.get("product_id") for row in rows] == ["a", "b", None]
    assert [row.get("_extra") for row in rows] == [{"Orders": "17; 18"}, {"Items": "b|c"}, None]
    (page,) = pages(data, extra=own)
    assert page.unknown_fields == {}


def test_minutes_are_added_to_a_time() -> None:
    own = desk("first_response_at: {from: Opened, plus_minutes: [Reply in minutes]}")
    data = "Ticket,Opened,Reply in minutes\n1,2024-07-01 23:30,45\n2,2024-07-01 10:00,\n3,,5\n4,2024-07-01 10:00,0.5\n"
    rows = payloads(data, extra=own, zone="Europe/Oslo")
    assert [row.get("first_response_at") for row in rows] == ["2024-07-01T22:15:00Z", None, "2024-07-01T08:00:30Z"]
    assert [aside.reason for aside in asides(data, extra=own)] == ["missing_required"]
    (aside,) = asides("Ticket,Opened,Reply in minutes\n1,2024-07-01 23:30,soon\n", extra=own)
    assert (aside.reason, aside.column) == ("unreadable_timestamp", "Opened")


def test_without_its_minutes_such_a_field_is_not_there() -> None:
    own = desk("first_response_at: {from: Opened, plus_minutes: Reply}")
    (row,) = payloads("Ticket,Opened,Other\n1,2024-07-01,2\n", extra=own)
    assert "first_response_at" not in row


def test_the_currency_stands_in_the_header_of_the_amount() -> None:
    own = shop("[Total (*), Total]")
    data = "Nr,Day,Total ({})\n1,2024-07-01,12.50\n"
    assert values(data.format("CAD"), own, "currency") == ["CAD"]
    assert values(data.format("€"), own, "currency") == ["EUR"]
    assert values(data.format("net"), own, "currency") == [None]
    mapping = reading_of(data.format("CAD"), extra=own).mapping(["Nr", "Day", "Total (CAD)"])
    assert (mapping["columns"]["amount"], mapping["constants"]) == (["Total (CAD)"], {"currency": "CAD"})


def test_or_it_stands_in_its_cells() -> None:
    data = "Nr,Day,Total\n1,2024-07-01,12.50 EUR\n2,2024-07-01,£ 9.00\n3,2024-07-01,7.25\n"
    rows = payloads(data, extra=shop())
    assert [(row["amount"], row.get("currency")) for row in rows] == [("12.50", "EUR"), ("9.00", "GBP"), ("7.25", None)]


def test_a_sign_of_several_currencies_is_refused_until_the_preset_says_which() -> None:
    data = "Nr,Day,Total\n1,2024-07-01,$12.50\n"
    problem = problem_of(data, extra=shop())
    for word in ("file.csv", "'Total'", "'$12.50'"):
        assert word in problem.message
    assert "format.currency_signs" in problem.next_step
    (row,) = payloads(data, extra=shop(more='    format: {currency_signs: {"$": CAD}}'))
    assert (row["amount"], row["currency"]) == ("12.50", "CAD")


def test_a_pattern_that_means_several_columns_takes_the_first_and_says_so() -> None:
    own = desk("group_name: Team*")
    reading = reading_of("Ticket,Opened,Team,Team lead\n1,2024-07-01,a,b\n", extra=own)
    assert reading.columns[-1].headers == ("Team",)
    assert any("'Team*' may also mean 'Team lead'" in guess for guess in reading.guesses)


def test_stars_may_stand_in_the_headers_to_match() -> None:
    own = (
        desk("group_name: Team")
        .replace("[Ticket, Opened]", '[Ticket, "Opened*"]')
        .replace("created_at: Opened", 'created_at: "Opened*"')
    )
    assert values("Ticket,Opened (local)\n1,2024-07-01\n", own, "created_at") == ["2024-07-01T00:00:00Z"]
    assert "'Opened*'" in problem_of("Ticket,Team\n1,x\n", extra=own).message


def test_a_header_that_stands_twice_keeps_both_columns() -> None:
    data = "Ticket,Opened,Reason,Reason\n1,2024-07-01,late,rude\n"
    (row,) = payloads(data, extra=desk("group_name: Reason"))
    assert (row["group_name"], row["_extra"]) == ("late", {"Reason_2": "rude"})
    assert "column Reason_2: its header stands more than once" in reading_of(data, extra=desk()).guesses


def test_every_form_survives_being_frozen() -> None:
    own = desk(
        'rating: {from: Score, words: {Good: "5"}}',
        "first_response_at: {from: Opened, plus_minutes: Reply}",
        "requester_email: {first_filled: [A, B]}",
        "order_id: {from: Orders, take: first}",
    )
    reading = reading_of("Ticket,Opened,Score,Reply,A,B,Orders\n1,2024-07-01,Good,5,,b@example.com,1;2\n", extra=own)
    import json

    assert Reading.from_json(json.loads(json.dumps(reading.to_json()))) == reading


LINES = """
presets:
  - name: web_orders
    source: crm
    stream: orders
    match: {headers: [Name, Created at, Total, Lineitem name]}
    columns: {order_id: Name, order_at: Created at, amount: Total, currency: Currency}
    ignore: [Notes]
    one_row_per: Name
  - name: web_order_items
    source: crm
    stream: order_items
    companion_of: web_orders
    columns:
      order_id: Name
      product_name: Lineitem name
      quantity: Lineitem quantity
      unit_price: Lineitem price
"""
PRICED = "      quantity: Lineitem quantity\n      unit_price: Lineitem price\n"
HEADER = "Name,Created at,Currency,Total,Lineitem quantity,Lineitem name,Lineitem price,Notes,Gift\n"
EXPORT = HEADER + (
    "#1001,2024-03-01 10:00:00 +0100,EUR,30.00,1,Cap,10.00,,\n"
    "#1001,,,,2,Mug,5.00,,\n"
    "#1001,,,,1,Pen,10.00,,yes\n"
    "#1002,2024-03-02 10:00:00 +0100,EUR,9.00,1,Cap,4.50,hi,\n"
    "#1002,,,,1,Mug,4.50,,\n"
)


def both(data: str, extra: str = LINES) -> dict[str, list[Page]]:
    from pipeline.sources.crm import pages_of

    found = judge(data, extra=extra)
    readings = {each.stream: each.reading for each in (found, *found.companions)}
    return {
        stream: list(pages_of(Trickle(data.encode(), 64), reading, {"rows": 0}, {}))
        for stream, reading in readings.items()
        if reading is not None
    }


def test_one_file_gives_two_orders_and_their_five_lines() -> None:
    (orders,), (items,) = both(EXPORT).values()
    assert [(row["order_id"], row["amount"]) for row in orders.rows] == [("#1001", "30.00"), ("#1002", "9.00")]
    assert (orders.lines, orders.non_rows, orders.aside) == ([2, 5], 3, [])
    assert [(row["order_id"], row["product_name"], row["quantity"]) for row in items.rows] == [
        ("#1001", "Cap", "1"),
        ("#1001", "Mug", "2"),
        ("#1001", "Pen", "1"),
        ("#1002", "Cap", "1"),
        ("#1002", "Mug", "1"),
    ]
    assert (items.lines, items.non_rows, items.aside) == ([2, 3, 4, 5, 6], 0, [])
    assert items.rows[2]["_extra"] == {"Gift": "yes"}  # of a line that is no row of orders: not lost
    for page in (orders, items):
        assert len(page.rows) + len(page.aside) + page.non_rows == 5
        assert page.facts["unknown_columns"] == ["Gift"]
    assert orders.facts["columns"]["amount"] == ["Total"]
    assert "Lineitem name" in orders.facts["ignored_columns"]
    assert set(items.facts["ignored_columns"]) == {"Created at", "Currency", "Total", "Notes"}


def test_rows_in_are_rows_out_in_each_stream_also_where_lines_are_broken() -> None:
    data = EXPORT + "#1003,not a day,EUR,1.00,1,Cap,1.00,,\n,,,,x,Mug,1.00,,\n\n#1003,short\n#1004,,,,1,Cap,2.00,,\n"
    for pages_ in both(data).values():
        (page,) = pages_
        assert len(page.rows) + len(page.aside) + page.non_rows == 10
    (orders,), (items,) = both(data).values()
    # The day, the short line, the order without its first line.
    assert sorted(aside.line or 0 for aside in orders.aside) == [
        7,
        10,
        11,
    ]
    assert sorted((aside.line or 0, aside.reason) for aside in items.aside) == [(8, "missing_required"), (10, "ragged_row")]


def test_continued_rows_are_the_same_however_often_reading_begins_again() -> None:
    rows = "".join(f"#{n // 3},{'2024-03-01' if n % 3 == 0 else ''},EUR,1.00,1,Cap,1.00,,\n" for n in range(1_200))
    whole = list(pages(HEADER + rows, extra=LINES))
    assert sum(len(page.rows) for page in whole) == 400
    assert sum(page.non_rows for page in whole) == 800
    for done in (500, 1000):
        assert list(pages(HEADER + rows, extra=LINES, rows=done)) == whole[done // 500 :]


def test_a_companion_that_does_not_fit_says_what_it_misses_and_its_preset_loads() -> None:
    found = judge(EXPORT.replace("Lineitem quantity", "Pieces"), extra=LINES)
    assert (found.stream, found.problem) == ("orders", None)
    (items,) = found.companions
    assert (items.stream, items.reading) == ("order_items", None)
    assert items.problem is not None
    for word in ("file.csv", "'web_order_items'", "'web_orders'", "'Lineitem quantity'"):
        assert word in items.problem.message


def test_a_companion_sees_the_file_as_its_preset_does() -> None:
    form = "    one_row_per: Name\n    mode: snapshot\n    format: {decimal: ',', time_zone: Asia/Tokyo}"
    own = LINES.replace("    one_row_per: Name", form)
    book = {preset.name: preset for preset in presets.load(CRM, {"own.yaml": own.encode()})}
    companion = book["web_order_items"]
    assert (companion.format, companion.mode) == ({"decimal": ",", "time_zone": "Asia/Tokyo"}, "snapshot")
    assert companion.one_row_per is None


def test_a_declined_export_is_set_aside_with_the_reason() -> None:
    own = """
presets:
  - {name: chores, source: crm, match: {headers: [Activity, Due]}, decline: "activities are no record of a stream"}
"""
    problem = problem_of("Activity,Due,Note\ncall,2024-01-01,x\n", extra=own)
    for word in ("file.csv", "'chores'", "activities are no record"):
        assert word in problem.message
    assert problem.next_step


def test_what_the_warehouse_derives_is_not_asked_of_a_file_that_does_without() -> None:
    own = """
presets:
  - name: bare
    source: crm
    stream: orders
    match: {headers: [Invoice, Date]}
    columns: {order_id: Invoice, order_at: Date}
    without: [amount]
"""
    assert payloads("Invoice,Date\n1,2024-01-01\n", extra=own) == [{"order_id": "1", "order_at": "2024-01-01T00:00:00Z"}]


def test_a_header_of_two_rows_is_one() -> None:
    own = desk("group_name: Team Name").replace("    columns:", "    format: {header_rows: 2}\n    columns:")
    (page,) = pages("Ticket,Opened,Team\n,,Name\n1,2024-07-01,Returns\n", extra=own)
    assert page.rows == [{"ticket_id": "1", "created_at": "2024-07-01T00:00:00Z", "group_name": "Returns"}]
    assert (page.lines, page.non_rows) == ([3], 0)


def test_remarks_and_several_kinds_of_totals_are_no_rows() -> None:
    form = "    format: {comment: '#', totals_prefix: [Total, Sum of]}\n    columns:"
    own = desk().replace("    columns:", form)
    (page,) = pages("Ticket,Opened\n1,2024-07-01\n# checked by hand\n2,2024-07-02\nTOTAL,2\nSum of,3\n", extra=own)
    assert ([row["ticket_id"] for row in page.rows], page.lines, page.non_rows, page.aside) == (["1", "2"], [2, 4], 3, [])


def test_the_nearest_preset_does_not_depend_on_the_order_of_the_book() -> None:
    own = """
presets:
  - {name: %s, source: crm, stream: contacts, match: {headers: [A, B, C]}, columns: {contact_id: A}}
  - {name: %s, source: crm, stream: contacts, match: {headers: [A, B, D]}, columns: {contact_id: A}}
"""
    told = {problem_of("A,B\n1,2\n", extra=own % pair).message for pair in (("one", "two"), ("two", "one"))}
    assert len({message.split("'")[1] for message in told}) == 1


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("companion_of: web_orders", "companion_of: nobody", ["web_order_items", "companion_of", "no preset 'nobody'"]),
        ("companion_of: web_orders", "companion_of: web_order_items", ["companion_of", "is a companion itself"]),
        ("companion_of: web_orders", "companion_of: web_orders\n    match: {headers: [Name]}", ["presets.1"]),
        ("companion_of: web_orders", "companion_of: web_orders\n    account: x", ["account", "that of 'web_orders'"]),
        ("companion_of: web_orders", "companion_of: web_orders\n    format: {quote: none}", ["format.quote", "'web_orders'"]),
        ("    one_row_per: Name", "    mode: dates", ["web_orders", "days", "of which days"]),
        ("    one_row_per: Name", "    days: {file_name: x}\n    mode: upsert", ["days", "mode: dates"]),
        ("    one_row_per: Name", "    days: {file_name: '('}\n    mode: dates", ["days.file_name", "no regular expression"]),
        ("    one_row_per: Name", "    days: {file_name: '(?P<from>x)'}\n    mode: dates", ["days.file_name", "(?P<day>"]),
        ("    one_row_per: Name", "    decline: no use", ["web_orders", "columns", "takes nothing"]),
        ("    one_row_per: Name", "    without: [amount]", ["without", "'amount' has a column"]),
        ("    one_row_per: Name", "    without: [currency]", ["without", "'currency'"]),
        (PRICED, "    without: [quantity]\n", ["without", "cannot be derived"]),
        ("amount: Total", "amount: {from: Total, words: {free: nothing}}", ["columns.amount.words", "'free' becomes"]),
        ("amount: Total", "amount: {from: Total, plus_minutes: Gift}", ["columns.amount.plus_minutes", "is a decimal"]),
        ("currency: Currency", "currency: {currency_of: tax}", ["columns.currency.currency_of", "'tax'"]),
        ("amount: Total", "amount: {from: Total}", ["presets.0.columns.amount"]),
        ("    one_row_per: Name", "    format: {currency_signs: {$: XXX}}", ["format.currency_signs", "'XXX'"]),
    ],
)  # fmt: skip
def test_a_misuse_is_refused_with_file_preset_and_key(old: str, new: str, words: list[str]) -> None:
    assert old in LINES
    with pytest.raises(ContractError) as caught:
        presets.load(CRM, {"presets/own.yaml": LINES.replace(old, new).encode()})
    for word in ["presets/own.yaml", *words]:
        assert word in caught.value.message


def test_two_companions_of_one_stream_are_refused() -> None:
    second = LINES[LINES.index("  - name: web_order_items") :].replace("web_order_items", "again")
    with pytest.raises(ContractError, match="reads the same file into order_items already"):
        presets.load(CRM, {"own.yaml": (LINES + second).encode()})
