"""The built-in presets read what their vendors export: made rows in the vendors' own words and forms."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pytest

from pipeline import presets
from pipeline.sources.crm import pages_of
from tests.functions.reading import CRM, asides, judge, pages, payloads, problem_of

CONTACTS_2024 = (
    "Customer ID,First Name,Last Name,Email,Accepts Email Marketing,Default Address Company,Default Address Address1,"
    "Default Address Address2,Default Address City,Default Address Province Code,Default Address Country Code,"
    "Default Address Zip,Default Address Phone,Phone,Accepts SMS Marketing,Total Spent,Total Orders,Note,Tax Exempt,Tags"
)
CONTACTS_2022 = (
    "First Name,Last Name,Email,Accepts Email Marketing,Company,Address1,Address2,City,Province,Province Code,Country,"
    "Country Code,Zip,Phone,Accepts SMS Marketing,Total Spent,Total Orders,Tags,Note,Tax Exempt"
)


def preset_of(data: str, name: str = "file.csv") -> str:
    found = judge(data, name)
    assert found.preset is not None, found.problem
    return found.preset.name


def companion(data: str) -> list[Mapping[str, Any]]:
    """Rows of the other stream that a file feeds."""
    (found,) = judge(data).companions
    assert found.reading is not None
    return [row for page in pages_of(io.BytesIO(data.encode()), found.reading, {"rows": 0}, {}) for row in page.rows]


def test_every_preset_says_of_its_file_what_is_odd_and_in_which_time_zone_it_is() -> None:
    for path in presets.PRESETS_PATH.glob("*.yaml"):
        if path.name != "showcase.yaml":
            said = path.read_text(encoding="utf-8")
            assert "\n# Odd: " in said, path.name
            assert "\n# Time zone: " in said, path.name


def test_the_page_for_users_names_every_preset() -> None:
    page = (presets.PRESETS_PATH.parents[1] / "docs" / "your-own-files.md").read_text(encoding="utf-8")
    names = {preset.name for preset in presets.load(CRM) if not preset.is_canonical and preset.origin != "showcase.yaml"}
    assert {name for name in names if f"`{name}`" not in page} == set()


def test_no_two_presets_draw_on_a_header_that_one_of_them_names_whole() -> None:
    """Each preset's own columns, as a header, are taken for that preset."""
    for preset in presets.load(CRM):
        if preset.source != "crm" or preset.is_canonical or preset.companion_of:
            continue
        columns = [header for column in preset.columns.values() for header in column.named]
        header = ",".join(name.replace("*", "x") for name in dict.fromkeys([*preset.match_headers, *columns]))
        name = (preset.file_name or "file.csv").replace("*", "x")
        assert preset_of(f"{header}\n", name) == preset.name


def test_salesforce_contacts_of_both_tools() -> None:
    header = "Id,AccountId,FirstName,LastName,Email,MobilePhone,MailingCity,CreatedDate,SystemModstamp,IsDeleted\n"
    loader, export = payloads(
        f"{header}0035g00000AbC1XY,001,Ann,Lee,ann@example.com,+47 1,Oslo,"
        "2024-05-01T09:30:00.000Z,2024-05-02T09:30:00.000Z,false\n"
        "0035g00000AbC2XY,001,,Roe,,,,2024-05-01 09:30:00,,1\n",
        zone="Europe/Oslo",
    )
    assert loader == {
        "contact_id": "0035g00000AbC1XY",
        "email": "ann@example.com",
        "full_name": "Ann Lee",
        "phone": "+47 1",
        "city": "Oslo",
        "created_at": "2024-05-01T09:30:00Z",
        "updated_at": "2024-05-02T09:30:00Z",
        "is_deleted": "false",
    }
    assert (export["created_at"], export["is_deleted"], export["full_name"]) == ("2024-05-01T09:30:00Z", "true", "Roe")


def test_a_converted_lead_of_salesforce_makes_way_for_its_contact() -> None:
    rows = payloads(
        "Id,LastName,FirstName,Company,Status,IsConverted\n00Q1,Lee,Ann,Acme,Working,false\n00Q2,Roe,Bob,Acme,Converted,true\n"
    )
    assert [(row["lifecycle_stage"], row["is_deleted"]) for row in rows] == [("Working", "false"), ("Converted", "true")]


def test_opportunities_of_salesforce_count_once_they_are_won() -> None:
    rows = payloads(
        "Id,Name,StageName,Amount,CloseDate,IsWon,CurrencyIsoCode,ContactId,CampaignId\n"
        "006A,Deal,Closed Won,1500.0,2024-05-03,true,USD,003A,701A\n006B,Deal,Prospecting,20.5,2024-06-03,false,EUR,,\n"
    )
    assert [(row["order_id"], row["amount"], row["order_at"], row["is_deleted"]) for row in rows] == [
        ("006A", "1500.0", "2024-05-03T00:00:00Z", "false"),
        ("006B", "20.5", "2024-06-03T00:00:00Z", "true"),
    ]
    assert (rows[0]["contact_id"], rows[0]["campaign_id"], rows[0]["currency"]) == ("003A", "701A", "USD")


def test_cases_of_salesforce() -> None:
    (row,) = payloads(
        "Id,CaseNumber,ContactId,SuppliedEmail,Origin,Status,Priority,CreatedDate,ClosedDate\n"
        "500A,00001026,003A,ann@example.com,Web,Closed,High,2024-05-01T09:30:00.000+0000,2024-05-02T09:30:00.000+0000\n"
    )
    assert row == {
        "ticket_id": "500A",
        "contact_id": "003A",
        "requester_email": "ann@example.com",
        "channel": "Web",
        "status": "Closed",
        "priority": "High",
        "created_at": "2024-05-01T09:30:00Z",
        "resolved_at": "2024-05-02T09:30:00Z",
    }


def test_campaigns_of_salesforce() -> None:
    (row,) = payloads(
        "Id,Name,Type,Status,StartDate,EndDate,BudgetedCost,IsActive\n701A,Spring,Email,Planned,2024-03-01,2024-04-01,2500.0,true\n"
    )
    assert row == {
        "campaign_id": "701A",
        "campaign_name": "Spring",
        "channel": "Email",
        "status": "Planned",
        "start_date": "2024-03-01",
        "end_date": "2024-04-01",
        "budget": "2500.0",
    }


def test_deals_of_hubspot_count_once_they_are_won_and_an_unknown_stage_is_named() -> None:
    data = (
        "Record ID,Deal Name,Deal Stage,Pipeline,Amount,Currency,Close Date,Deal owner,Last Modified Date\n"
        '1,A,Closed Won,Sales,"1,200.50",EUR,2024-05-03 10:04,Sam,2024-05-03 10:05\n'
        "2,B,Contract Sent,Sales,10,EUR,2024-06-03 00:00,Sam,2024-05-03 10:05\n"
        "3,C,On the moon,Sales,10,EUR,2024-06-03 00:00,Sam,2024-05-03 10:05\n"
    )
    won, sent = payloads(data, zone="Europe/Oslo")
    assert (won["amount"], won["order_at"], won["status"], won["is_deleted"]) == (
        "1200.50",
        "2024-05-03T08:04:00Z",
        "Closed Won",
        "false",
    )
    assert sent["is_deleted"] == "true"
    (aside,) = asides(data)
    assert (aside.reason, aside.column, aside.value) == ("unreadable_boolean", "Deal Stage", "On the moon")


def test_deals_of_pipedrive() -> None:
    data = (
        "Deal - ID,Deal - Title,Deal - Value,Deal - Currency,Deal - Status,Deal - Won time,Deal - Update time,Person - ID\n"
        "7,A,1500,EUR,Won,2024-05-03 10:04:05,2024-05-03 10:05:00,3\n8,B,10,EUR,Open,,2024-05-03 10:05:00,\n"
    )
    (won,) = payloads(data)
    assert (won["order_id"], won["order_at"], won["contact_id"], won["is_deleted"]) == (
        "7",
        "2024-05-03T10:04:05Z",
        "3",
        "false",
    )
    assert [(aside.reason, aside.column) for aside in asides(data)] == [("missing_required", "Deal - Won time")]


def test_people_of_pipedrive() -> None:
    (row,) = payloads(
        "Person - ID,Person - Name,Person - Email,Person - Phone,Organization - Name\n3,Ann Lee,ann@example.com,1,Acme\n"
    )
    assert row == {"contact_id": "3", "full_name": "Ann Lee", "email": "ann@example.com", "phone": "1"}


def test_contacts_of_zoho_who_have_not_opted_out() -> None:
    rows = payloads(
        "Record Id,First Name,Last Name,Account Name,Account Name.id,Email,Mobile,Mailing City,Created Time,Email Opt Out\n"
        "zcrm_41,Ann,Lee,Acme,zcrm_9,ann@example.com,1,Oslo,2024-05-03 10:04:05,false\n"
        "zcrm_42,Bob,Roe,,,,,,2024-05-03 10:04:05,true\n"
    )
    assert [(row["contact_id"], row["email_opt_in"]) for row in rows] == [("zcrm_41", "true"), ("zcrm_42", "false")]


def test_deals_of_zoho() -> None:
    rows = payloads(
        "Record Id,Deal Name,Contact Name,Contact Name.id,Stage,Closing Date,Amount\n"
        "zcrm_1,A,Ann,zcrm_41,Closed Won,2024-06-01,1250.00\nzcrm_2,B,Ann,zcrm_41,Negotiation/Review,2024-06-02,5\n"
    )
    assert [(row["order_id"], row["contact_id"], row["status"], row["is_deleted"]) for row in rows] == [
        ("zcrm_1", "zcrm_41", "Closed Won", "false"),
        ("zcrm_2", "zcrm_41", "Negotiation/Review", "true"),
    ]


@pytest.mark.parametrize(
    ("name", "preset", "opt_in"),
    [
        ("members.csv", "mailchimp_members", None),
        ("subscribed_email_audience_export_0a1b.csv", "mailchimp_subscribed", "true"),
        ("in/unsubscribed_email_audience_export_0a1b.csv", "mailchimp_unsubscribed", "false"),
        ("cleaned_email_audience_export_0a1b.csv", "mailchimp_cleaned", "false"),
    ],
)
def test_members_of_mailchimp_agreed_to_mail_or_not_by_their_file(name: str, preset: str, opt_in: str | None) -> None:
    data = (
        '"Email Address","First Name","Last Name",MEMBER_RATING,OPTIN_TIME,CC,UNSUB_REASON,UNSUB_REASON,LAST_CHANGED,LEID,'
        "EUID\n"
        'ann@example.com,Ann,Lee,2,"2023-06-21 17:38:27",US,,,"2023-06-22 17:38:27",448,c2cb\n'
    )
    assert preset_of(data, name) == preset
    (row,) = payloads(data, name=name, zone="America/New_York")
    assert row == {
        "contact_id": "c2cb",
        "email": "ann@example.com",
        "full_name": "Ann Lee",
        "country": "US",
        "created_at": "2023-06-21T17:38:27Z",
        "updated_at": "2023-06-22T17:38:27Z",
    } | ({"email_opt_in": opt_in} if opt_in else {})


def test_an_order_of_shopify_is_its_first_row() -> None:
    data = (
        "Name,Email,Financial Status,Currency,Subtotal,Shipping,Taxes,Total,Discount Amount,Created at,Lineitem quantity,"
        "Lineitem name,Lineitem price,Refunded Amount,Payment Method,Id\n"
        "#1001,ann@example.com,paid,EUR,30.00,4.90,5.57,34.90,0.00,2024-03-10 23:30:00 -0500,1,Hat,10.00,0.00,Card,5900\n"
        "#1001,ann@example.com,,,,,,,,2024-03-10 23:30:00 -0500,2,Cap,10.00,,,\n"
        "#1002,,refunded,EUR,5.00,0.00,0.80,5.00,0.00,2024-03-11 09:00:00 -0400,1,Pin,5.00,5.00,Card,5901\n"
    )
    (page,) = pages(data)
    assert page.rows[0] == {
        "order_id": "#1001",
        "contact_email": "ann@example.com",
        "order_at": "2024-03-11T04:30:00Z",
        "amount": "34.90",
        "currency": "EUR",
        "tax": "5.57",
        "shipping": "4.90",
        "discount": "0.00",
        "refund": "0.00",
        "status": "paid",
        "payment_method": "Card",
    }
    assert ([row["order_id"] for row in page.rows], page.non_rows, page.aside) == (["#1001", "#1002"], 1, [])
    lines = companion(data)
    assert [(row["order_id"], row["product_name"], row["quantity"], row["unit_price"]) for row in lines] == [
        ("#1001", "Hat", "1", "10.00"),
        ("#1001", "Cap", "2", "10.00"),
        ("#1002", "Pin", "1", "5.00"),
    ]


def test_products_of_shopify_under_its_newer_headers() -> None:
    (page,) = pages(
        "Title,URL handle,Description,Vendor,Product category,Type,Tags,Published on online store,Status,SKU,Option1 name,"
        "Option1 value,Price,Compare-at price,Inventory quantity,Product image URL,SEO title,"
        "Color (product.metafields.shopify.color-pattern)\n"
        "Mug,mug,A mug,Acme,Home & Garden,Kitchen,,TRUE,Active,M-1,Size,S,9.50,,4,,,\n"
        ",mug,,,,,,,,M-2,,L,11.50,,2,,,\n"
    )
    assert page.rows == [
        {"product_id": "mug", "product_name": "Mug", "category": "Kitchen", "price": "9.50", "status": "Active"}
    ]
    assert (page.non_rows, page.unknown_fields) == (1, {})


def test_customers_of_shopify_are_told_apart_by_id_or_where_there_is_none_by_address() -> None:
    assert preset_of(f"{CONTACTS_2024}\n") == "shopify_customers"
    assert preset_of(f"{CONTACTS_2022}\n") == "shopify_customers_by_email"
    ann = "Ann,Lee,ann@example.com,yes,,,,Oslo,,,Norway,NO,'0150,,no,0.00,0,,,no\n"
    data = f"{CONTACTS_2022}\n{ann},,,no,,,,,,,,,,,no,0.00,0,,,no\n"
    (row,) = payloads(data)
    assert row == {
        "contact_id": "ann@example.com",
        "email": "ann@example.com",
        "full_name": "Ann Lee",
        "country": "NO",
        "city": "Oslo",
        "email_opt_in": "true",
    }
    assert [(aside.reason, aside.column) for aside in asides(data)] == [("missing_required", "Email")]


def test_orders_of_woocommerce_by_a_plugin() -> None:
    row, guest = payloads(
        "order_id,order_number,order_date,status,shipping_total,tax_total,discount_total,order_total,order_currency,customer_id,"
        "payment_method_title,line_item_1\n"
        "91,91,2024-05-03 10:04:05,completed,4.90,5.57,0,34.90,EUR,12,Card,name:Hat|quantity:1\n"
        "92,92,2024-05-03 10:04:05,completed,4.90,5.57,0,34.90,EUR,0,Card,name:Hat|quantity:1\n",
        zone="Europe/Oslo",
    )
    assert row == {
        "order_id": "91",
        "contact_id": "12",
        "order_at": "2024-05-03T08:04:05Z",
        "amount": "34.90",
        "currency": "EUR",
        "tax": "5.57",
        "shipping": "4.90",
        "discount": "0",
        "status": "completed",
        "payment_method": "Card",
    }
    assert "contact_id" not in guest


def test_orders_of_woocommerce_by_a_plugin_that_writes_a_row_per_line() -> None:
    data = (
        '"Order Number","Order Status","Order Date","Email (Billing)","Item #",SKU,Name,Quantity,"Item Cost",'
        '"Order Line (w/o tax)",'
        '"Payment Method Title","Cart Discount Amount","Order Shipping Amount","Order Refund Amount","Order Total Amount"\n'
        "91,Completed,2024-05-03 10:04,ann@example.com,1,H-1,Hat,1,10.00,10.00,Card,0,4.90,0,34.90\n"
        "91,Completed,2024-05-03 10:04,ann@example.com,2,C-1,Cap,2,10.00,20.00,Card,0,4.90,0,34.90\n"
        "92,Completed,2024-05-03 11:04,,1,P-1,Pin,1,5.00,5.00,Card,0,0,5.00,5.00\n"
    )
    (page,) = pages(data)
    assert [(row["order_id"], row["amount"], row["refund"]) for row in page.rows] == [
        ("91", "34.90", "0"),
        ("92", "5.00", "5.00"),
    ]
    assert (page.non_rows, page.unknown_fields) == (1, {})
    assert [(row["order_id"], row["line_number"], row["product_id"], row["line_total"]) for row in companion(data)] == [
        ("91", "1", "H-1", "10.00"),
        ("91", "2", "C-1", "20.00"),
        ("92", "1", "P-1", "5.00"),
    ]


def test_the_first_of_several_contacts_of_a_deal_and_of_several_addresses_of_a_person() -> None:
    (deal,) = payloads(
        "Record ID,Deal Name,Deal Stage,Amount,Close Date,Associated Contact IDs\n1,A,Closed Won,5,2024-05-03 10:04,701;702\n"
    )
    assert (deal["contact_id"], deal["_extra"]) == ("701", {"Associated Contact IDs": "701;702"})
    (person,) = payloads('Person - ID,Person - Name,Person - Email\n3,Ann,"ann@example.com, ann@example.net"\n')
    assert (person["email"], person["_extra"]) == ("ann@example.com", {"Person - Email": "ann@example.com, ann@example.net"})


def test_tickets_of_zendesk_have_a_first_reply_and_a_rating() -> None:
    header = "Id,Requester,Requester email,Group,Status,Created at,Solved at,Satisfaction Score,First reply time in minutes\n"
    rows = payloads(
        header
        + "1,A,a@example.com,G,Open,2024-02-01 10:15,,Offered,\n"
        + "2,A,a@example.com,G,Solved,2024-02-01 10:15,2024-02-02 10:15,Good,90\n"
        + "3,A,a@example.com,G,Solved,2024-02-01 10:15,2024-02-02 10:15,Bad with comment,0\n"
        + "4,A,a@example.com,G,Solved,2024-02-01 10:15,2024-02-02 10:15,4,1500\n"
    )
    assert [(row.get("rating"), row.get("first_response_at")) for row in rows] == [
        (None, None),
        ("5", "2024-02-01T11:45:00Z"),
        ("1", "2024-02-01T10:15:00Z"),
        ("4", "2024-02-02T11:15:00Z"),
    ]


@pytest.mark.parametrize(
    ("data", "preset", "why"),
    [
        ("Activity - Subject,Activity - Type,Activity - Due date\n", "pipedrive_activities", "appointments"),
        ("Id,Name,ParentId,BillingCity,Industry\n", "salesforce_accounts", "companies"),
    ],
)
def test_exports_that_hold_nothing_for_us_are_declined_by_name(data: str, preset: str, why: str) -> None:
    problem = problem_of(data)
    assert f"'{preset}'" in problem.message
    assert why in problem.message
    assert problem.next_step


@pytest.mark.parametrize(
    "data",
    [
        "Reporting starts,Reporting ends,Ad name,Results,Result indicator,Reach,Amount spent (CAD),Impressions\n",
        "Jour;Nom de la campagne;Montant dépensé (USD);Impressions\n01/08/2026;Été;1 234,56;99\n",
    ],
)
def test_tables_of_ads_manager_are_set_aside_by_name(data: str) -> None:
    problem = problem_of(data)
    assert "is an export of meta_ads (preset 'meta_ads_manager_" in problem.message
    assert "extracts this by itself" in problem.next_step
