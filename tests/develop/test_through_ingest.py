"""Public files dropped into landing and taken through the door of ingest: manifests count what the ledger counts."""

from __future__ import annotations

import json

from pipeline import clients, ingest
from tests.conftest import LocalCloud, run_door
from tests.develop import ledger
from tests.develop.files import DEVELOP, needs_files

pytestmark = needs_files
FILES = (
    "csv_spectrum/csvs/newlines.csv",
    "dbt_shopify/shopify_gql_order_data.csv",
    "dbt_zendesk/brand_data.csv",
    "dbt_zendesk/ticket_data.csv",
    "dbt_zendesk/user_data.csv",
    "messytables_small/excel_pasting.csv",
    "messytables_small/example.tsv",
    "messytables_small/simple.psv",
    "messytables_small/simple.ssv",
    "messytables_small/spanish_chars.csv",
    "online_retail_8days/2010-12-02.csv",
    "shopify_product_csvs/jewelery.csv",
)


def test_manifests_count_what_the_ledger_counts(local_cloud: LocalCloud) -> None:
    clients.state_bucket().blob("presets/develop.yaml").upload_from_string(ledger.OWN_PRESETS)
    found = set()
    for name in FILES:
        local_cloud.drop(name, (DEVELOP / name).read_bytes())
        while waiting := local_cloud.messages("crm"):
            for message in waiting:
                run_door(ingest.handle, message)
    for blob in clients.bronze_bucket().list_blobs(prefix="manifests/"):
        manifest = json.loads(blob.download_as_bytes())
        found.add((manifest["file_name"], manifest["stream"], manifest["rows"], manifest["aside"], manifest["non_rows"]))
    refused = {failure["file_name"] for failure in local_cloud.state("failures/").values()}
    lines = [line for line in ledger.expected() if line.file in FILES]
    assert found == {(line.file, line.stream, line.loaded, line.set_aside, line.non_rows) for line in lines if line.stream}
    assert refused == {line.file for line in lines if not line.stream}
