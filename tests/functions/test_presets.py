"""Presets: their form, what a wrong one says, and that the built-in ones read what they claim to."""

from __future__ import annotations

import pytest

from pipeline import headers, presets
from pipeline.errors import ContractError
from tests.functions.reading import CRM, judge, pages, payloads

MINIMAL = """
presets:
  - name: mine
    source: crm
    stream: contacts
    match: {headers: [Key]}
    columns: {contact_id: Key}
"""


def load(text: str) -> tuple[presets.Preset, ...]:
    return presets.load(CRM, {"presets/own.yaml": text.encode()})


def named(name: str, found: tuple[presets.Preset, ...]) -> list[presets.Preset]:
    return [preset for preset in found if preset.name == name]


def test_every_stream_has_a_canonical_preset_with_all_its_fields() -> None:
    for stream in CRM.streams.values():
        (preset,) = named(f"canonical:{stream.name}", presets.load(CRM))
        assert list(preset.columns) == list(stream.fields)


def test_a_deployments_preset_replaces_the_built_in_one_of_its_name() -> None:
    found = load(MINIMAL.replace("name: mine", "name: hubspot_contacts"))
    (preset,) = named("hubspot_contacts", found)
    assert preset.origin == "presets/own.yaml"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("presets:", "preset:", ["preset"]),
        ("match: {headers: [Key]}", "match: {headers: []}", ["presets.0.match.headers"]),
        ("name: mine", "name: canonical:orders", ["presets.0.name"]),
        ("stream: contacts", "stream: people", ["'mine'", "no stream 'people'", "contacts"]),
        ("contact_id: Key", "contact_id: Key, shoe: Key2", ["'mine'", "columns", "'shoe' is not a field of crm.contacts"]),
        ("contact_id: Key", "city: Key", ["'mine'", "required field 'contact_id'"]),
        (
            "contact_id: Key",
            "contact_id: Key, city: A, country: a",
            ["'mine'", "columns.country", "already the column of city"],
        ),
        ("columns:", "format: {time_zone: Mars/Olympus}\n    columns:", ["'mine'", "format.time_zone", "Mars/Olympus"]),
        ("columns:", "format: {encoding: klingon}\n    columns:", ["'mine'", "format.encoding"]),
        ("columns:", "format: {decimal: ',', thousands: ','}\n    columns:", ["'mine'", "same mark"]),
        ("columns:", "format: {date_order: ydm}\n    columns:", ["presets.0.format.date_order"]),
        ("presets:", "presets: [", ["cannot be read"]),
        ("presets:", "presets: []\npresets:", ["cannot be read", "the key 'presets' stands twice"]),
    ],
)
def test_a_wrong_preset_is_refused_with_file_and_key(old: str, new: str, words: list[str]) -> None:
    with pytest.raises(ContractError) as caught:
        load(MINIMAL.replace(old, new))
    for word in ["presets/own.yaml", *words]:
        assert word in caught.value.message


def test_an_empty_file_of_presets_has_none() -> None:
    assert presets.load(CRM, {"presets.yaml": b"\n# none yet\n"}) == presets.load(CRM)


def test_a_header_that_yaml_takes_for_a_boolean_is_refused_with_the_remedy() -> None:
    with pytest.raises(ContractError, match="contact_id: False") as caught:
        load(MINIMAL.replace("contact_id: Key", "contact_id: No"))
    assert "only in quotes" in caught.value.next_step


def test_a_name_that_stands_twice_among_a_deployments_files_is_refused() -> None:
    with pytest.raises(ContractError, match=r"stands in a\.yaml too"):
        presets.load(CRM, {"a.yaml": MINIMAL.encode(), "b.yaml": MINIMAL.encode()})


def test_headers_are_compared_without_case_blanks_and_marks() -> None:
    assert headers.plain("\ufeff Created\u00a0 at ") == "created at"


def test_shopify_products_take_their_first_row_and_pass_over_variants() -> None:
    header = "Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Variant SKU,Variant Price,Image Src,Status"
    data = f"""{header}
shirt,Blue shirt,"<p>Soft,
blue</p>",Acme,Tops,,true,Size,S-1,19.90,,active
shirt,,,,,,,,S-2,21.90,,
hat,Hat,,Acme,Hats,,true,Title,H-1,9.90,,draft
"""
    (page,) = pages(data)
    assert page.rows == [
        {"product_id": "S-1", "product_name": "Blue shirt", "category": "Tops", "price": "19.90", "status": "active"},
        {"product_id": "H-1", "product_name": "Hat", "category": "Hats", "price": "9.90", "status": "draft"},
    ]
    assert (page.lines, page.non_rows, page.unknown_fields) == ([2, 5], 1, {})


def test_shopify_customers_lose_their_guards_against_spreadsheets() -> None:
    header = (
        "Customer ID,First Name,Last Name,Email,Accepts Email Marketing,Default Address City,Default Address Country Code,Phone"
    )
    (row,) = payloads(f"{header}\n'6021,Ann,,ann@example.com,yes,'s-Hertogenbosch,NL,'+31612345678\n")
    assert row == {
        "contact_id": "6021",
        "full_name": "Ann",
        "email": "ann@example.com",
        "email_opt_in": "true",
        "city": "'s-Hertogenbosch",
        "country": "NL",
        "phone": "+31612345678",
    }


def test_hubspot_contacts() -> None:
    header = (
        "Record ID,First Name,Last Name,City,Country/Region,Create Date,Email,Last Modified Date,Lifecycle Stage,"
        "Favourite colour"
    )
    (row,) = payloads(
        f"{header}\n51,Ann,Lee,Oslo,Norway,2023-02-21 10:04,ann@example.com,2023-03-01 00:30,customer,red\n", zone="Europe/Oslo"
    )
    assert row == {
        "contact_id": "51",
        "full_name": "Ann Lee",
        "city": "Oslo",
        "country": "Norway",
        "created_at": "2023-02-21T09:04:00Z",
        "updated_at": "2023-02-28T23:30:00Z",
        "email": "ann@example.com",
        "lifecycle_stage": "customer",
        "_extra": {"Favourite colour": "red"},
    }


def test_zendesk_tickets() -> None:
    header = (
        "Summation column,Id,Requester,Requester external id,Requester email,Group,Subject,Status,Priority,Via,Created at,"
        "Updated at,Solved at,Reopens,Replies,First reply time in minutes within business hours,Ticket Category [list]"
    )
    (row,) = payloads(
        f"{header}\n1,7,Ann,C9,ann@example.com,Returns,Hi,Solved,High,Mail,2024-01-02 10:00,2024-01-03 10:00,,0,2,15,refund\n"
    )
    assert row == {
        "ticket_id": "7",
        "contact_id": "C9",
        "requester_email": "ann@example.com",
        "group_name": "Returns",
        "status": "Solved",
        "priority": "High",
        "channel": "Mail",
        "created_at": "2024-01-02T10:00:00Z",
        "updated_at": "2024-01-03T10:00:00Z",
        "reopen_count": "0",
        "reply_count": "2",
        "_extra": {"Ticket Category [list]": "refund"},
    }


def test_woocommerce_products() -> None:
    header = (
        'ID,Type,SKU,Name,Published,"Is featured?","In stock?","Weight (lbs)","Regular price",Categories,"Meta: _x",'
        '"Attribute 1 name"'
    )
    (page,) = pages(f'{header}\n44,variable,woo-1,"V-Neck ""T""",1,1,1,.5,20,"Clothing > Tshirts",1,Colour\n')
    assert page.rows == [
        {"product_id": "44", "product_name": 'V-Neck "T"', "status": "1", "price": "20", "category": "Clothing > Tshirts"}
    ]
    assert page.unknown_fields == {}


def test_a_pattern_of_ignored_headers_knows_only_the_star() -> None:
    own = MINIMAL + "    ignore: ['Is [it]?', 'Meta*']\n"
    (row,) = payloads("Key,Is [it]?,Is i?,MetaX\n1,2,3,4\n", extra=own)
    assert row == {"contact_id": "1", "_extra": {"Is i?": "3"}}


def test_the_dashboards_orders() -> None:
    header = (
        "order_id,contact_id,user_pseudo_id,order_ts,order_date,amount,currency,items,campaign_id,channel,utm_source,utm_medium,"
        "transaction_id,is_repeat,payment_method"
    )
    data = f"{header}\nO1,C1,u1,2021-01-20 20:00:00,2021-01-20,1315.4,GBP,1,P1,facebook,facebook,organic,T1,False,card\n"
    assert judge(data).stream == "orders"
    (row,) = payloads(data, zone="America/New_York")
    assert (row["order_at"], row["item_count"], row["is_repeat"]) == ("2021-01-20T20:00:00Z", "1", "false")
    assert "_extra" not in row


def test_a_table_of_which_the_contract_knows_only_half_is_not_taken_for_its_stream() -> None:
    found = judge("ticket_id,created_at,schedule_id,synced_at\n7,2024-01-02 10:00:00,3,2024-01-02 11:00:00\n")
    assert found.problem is not None
    assert "make it no table of support_tickets" in found.problem.message


def test_a_key_and_what_stands_in_for_it_may_share_a_column_and_so_may_a_word_and_its_meaning() -> None:
    own = MINIMAL.replace("{contact_id: Key}", "{contact_id: Key, email: Key, lifecycle_stage: Stage, is_deleted: Stage}")
    own += "    format: {true_values: [gone], false_values: [lead]}\n"
    found = payloads("Key,Stage\na@example.com,lead\nb@example.com,gone\n", extra=own)
    assert [(row["contact_id"], row["email"], row["lifecycle_stage"], row["is_deleted"]) for row in found] == [
        ("a@example.com", "a@example.com", "lead", "false"),
        ("b@example.com", "b@example.com", "gone", "true"),
    ]
