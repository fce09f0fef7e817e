"""Presets drafted for the public files: they load, they read their file, and no file makes the draft fall over."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline import contract, presets
from sandbox.drafts.draft import draft
from sandbox.world import WorldError
from tests.develop.files import DELIMITERS, DEVELOP, data_files, needs_files, rows_in
from tests.functions import reading

pytestmark = needs_files
SOURCE = contract.load().files_source


@pytest.mark.parametrize(
    ("name", "stream", "fields"),
    [
        ("dbt_shopify/shopify_customer_data.csv", "contacts", {"contact_id": "id", "email_opt_in": "accepts_marketing"}),
        ("dbt_shopify/shopify_order_data.csv", "orders", {"order_at": "created_at", "amount": "total_price"}),
        ("dbt_shopify/shopify_order_line_data.csv", "order_items", {"quantity": "quantity", "unit_price": "price"}),
        ("dbt_shopify/shopify_product_data.csv", "products", {"product_id": "id", "product_name": "title"}),
        ("dbt_shopify/shopify_discount_code_basic_data.csv", "campaigns", {"start_date": "starts_at", "end_date": "ends_at"}),
        ("dbt_zendesk/ticket_data.csv", "support_tickets", {"ticket_id": "id", "contact_id": "requester_id"}),
        ("dbt_zendesk/user_data.csv", "contacts", {"contact_id": "id", "email": "email", "full_name": "name"}),
        ("online_retail_8days/2010-12-01.csv", "order_items", {"order_id": "InvoiceNo", "product_id": "StockCode"}),
    ],
)
def test_a_draft_reads_every_row_of_its_file(name: str, stream: str, fields: dict[str, str]) -> None:
    path = DEVELOP / name
    raw = path.read_bytes()
    text = draft(path)
    preset = next(preset for preset in presets.parse(text.encode(), name, SOURCE) if preset.stream == stream)
    assert {field: preset.columns[field].headers[0] for field in fields} == fields
    pages = list(reading.pages(raw, name=name, extra=text))
    loaded = sum(len(page.rows) for page in pages)
    assert loaded + sum(len(page.aside) + page.non_rows for page in pages) == rows_in(raw, DELIMITERS[path.suffix])
    assert f"# As it stands: {loaded} rows would load as {stream}, " in text


def test_every_file_gets_a_draft_that_loads_or_a_reason_that_names_it() -> None:
    drafted = 0
    for name in data_files():
        try:
            said = draft(DEVELOP / name)
        except WorldError as error:
            said = str(error)
        assert Path(name).name in said
        if re.search("^presets:", said, re.M):
            assert presets.parse(said.encode(), name, SOURCE)
            drafted += 1
    assert drafted > 50
