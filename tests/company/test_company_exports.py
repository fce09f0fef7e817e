"""The make-believe shop's exports: the same for the same seed, and exactly as dirty as their truth says."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.company import Truth, build_company, write_exports

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = yaml.safe_load((ROOT / "functions" / "pipeline.yaml").read_text(encoding="utf-8"))["sources"]["crm"]["streams"]
REQUIRED = {
    stream: {name for name, field in block["fields"].items() if field.get("required")} for stream, block in CONTRACT.items()
}


@dataclass(frozen=True)
class Company:
    folder: Path
    truth: Truth


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    folder = tmp_path_factory.mktemp("exports")
    return Company(folder, write_exports(folder))


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def records(folder: Path, name: str) -> Iterator[tuple[int, list[str]]]:
    """Every record of a file with the line that it starts in, the header first."""
    raw = (folder / name).read_bytes()
    text = (gzip.decompress(raw) if name.endswith(".gz") else raw).decode(encoding_of(name))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(name))
    line = 1
    for cells in reader:
        yield line, cells
        line = reader.line_num + 1


def encoding_of(name: str) -> str:
    if name.startswith("support_tickets"):
        return "utf-16"
    return "cp1252" if name.startswith("orders") and name.endswith("_corrected.csv") else "utf-8-sig"


def delimiter_of(name: str) -> str:
    return {"utf-16": "\t", "cp1252": ";"}.get(encoding_of(name), ",")


def fields_of(folder: Path, header: list[str]) -> list[str]:
    """The contract's names of a file's columns."""
    for preset in yaml.safe_load((folder / "presets.yaml").read_text(encoding="utf-8"))["presets"]:
        names = {text: field for field, text in preset["columns"].items()}
        if set(header) <= set(names):
            return [names[text] for text in header]
    return header


def verdict(stream: str, header: list[str], fields: list[str], cells: list[str]) -> str:
    """What becomes of a row, judged by the row alone."""
    if not any(cells) or cells == header:
        return "no_row"
    if len(cells) != len(header):
        return "ragged_row"
    row = dict(zip(fields, cells, strict=True))
    if any(not row[name] for name in REQUIRED[stream] & set(fields)):
        return "missing_required"
    for name, text in row.items():
        kind = CONTRACT[stream]["fields"].get(name, {}).get("type")
        if text and kind == "decimal" and not re.fullmatch(r"-?\d+([.,]\d+)?", text):
            return "unreadable_decimal"
        if text and kind == "timestamp" and text.endswith("Z"):
            try:
                datetime.fromisoformat(text)
            except ValueError:
                return "unreadable_timestamp"
    return "loads"


def good_rows(company: Company, stream: str) -> list[dict[str, str]]:
    """The rows of a stream that load, in the order of landing."""
    rows = []
    for name, file in company.truth.files.items():
        if file["stream"] != stream or file["outcome"] != "loaded":
            continue
        (_, header), *rest = records(company.folder, name)
        fields = fields_of(company.folder, header)
        rows += [
            dict(zip(fields, cells, strict=True)) for _, cells in rest if verdict(stream, header, fields, cells) == "loads"
        ]
    return rows


def ids(company: Company, finding: str) -> set[str]:
    return set(company.truth.findings[finding]["ids"])


def test_the_same_seed_gives_the_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from sandbox.company import write_exports as write; "
    code += "write(Path(sys.argv[1]), scale=0.05)"
    for hash_seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-c", code, str(tmp_path / hash_seed)], check=True, env=environment, cwd=ROOT)
    assert digests(tmp_path / "1") == digests(tmp_path / "2")


def test_another_seed_gives_another_company(tmp_path: Path) -> None:
    truths = [write_exports(tmp_path / str(seed), seed=seed, scale=0.05) for seed in (1, 2)]
    assert truths[0].measures["orders"] != truths[1].measures["orders"]
    orders = [path.name for path in (tmp_path / "1").glob("orders_*.csv")]
    assert orders
    assert all((tmp_path / "1" / name).read_bytes() != (tmp_path / "2" / name).read_bytes() for name in orders)


def test_the_truth_is_plain_json(company: Company) -> None:
    assert json.loads(company.truth.as_json())["measures"]["orders"]["orders"] == company.truth.measures["orders"]["orders"]


def test_the_company_has_the_size_that_it_is_said_to_have(company: Company) -> None:
    streams = {stream: figures["current"] for stream, figures in company.truth.streams.items()}
    assert streams["campaigns"] == 12
    assert streams["products"] == 60
    assert 2_900 < streams["contacts"] < 3_100
    assert 4_500 < streams["orders"] < 5_500
    assert 10_000 < streams["order_items"] < 12_000
    assert 800 < streams["support_tickets"] < 1_000
    assert len(company.truth.measures["by_month"]) == 13


@pytest.mark.parametrize(
    ("seed", "as_of", "scale"),
    [
        (1, date(2025, 6, 30), 1.0),
        (2, date(2025, 6, 30), 0.1),
        (3, date(2024, 11, 15), 0.1),
        (4, date(2026, 1, 1), 0.02),
    ],
)
def test_rows_of_every_file_load_or_are_accounted_for(tmp_path: Path, seed: int, as_of: date, scale: float) -> None:
    truth = write_exports(tmp_path, seed, as_of, scale)
    assert {path.name for path in tmp_path.iterdir()} == set(truth.files) | {"presets.yaml"}
    seen: Counter[str] = Counter()
    for name, file in truth.files.items():
        (_, header), *rest = records(tmp_path, name)
        assert len(rest) == file["rows"], name
        if file["outcome"] != "loaded":
            continue
        fields = fields_of(tmp_path, header)
        assert REQUIRED[file["stream"]] <= set(fields), name
        verdicts = [(line, verdict(file["stream"], header, fields, cells)) for line, cells in rest]
        aside = [(line, found) for line, found in verdicts if found not in ("loads", "no_row")]
        assert aside == [(entry["line"], entry["reason"]) for entry in file["set_aside"]], name
        assert sum(found == "loads" for _, found in verdicts) == file["loaded"], name
        assert file["rows"] == file["loaded"] + len(aside) + file["non_rows"], name
        seen.update(found for _, found in verdicts)
    assert {"loads", "no_row", "ragged_row", "missing_required", "unreadable_decimal"} <= set(seen)


def test_loaded_rows_are_current_or_older(company: Company) -> None:
    for stream, figures in company.truth.streams.items():
        rows = good_rows(company, stream)
        key = CONTRACT[stream]["key"]
        assert figures["loaded"] == len(rows) == figures["current"] + figures["older"], stream
        if stream != "order_items":
            assert figures["current"] == len({tuple(row[name] for name in key) for row in rows}), stream


def test_revenue_by_currency_follows_from_the_model(company: Company) -> None:
    """From the other end: what the shop sold, less the rows that were lost, deleted or corrected."""
    model = build_company()
    gone = ids(company, "deleted_orders") | ids(company, "orders_with_fewer_lines")
    landed = {row["order_id"] for row in good_rows(company, "orders")}
    expected: dict[str, Decimal] = defaultdict(Decimal)
    for order in model.orders:
        if order.order_id in landed - gone:
            expected[order.currency] += order.amount
    kept = {
        row["order_id"]: row
        for row in good_rows(company, "orders")
        if row["order_id"] in ids(company, "orders_with_fewer_lines")
    }
    for row in kept.values():  # the last version in the order of landing is the correction
        expected[row["currency"]] += Decimal(row["amount"].replace(",", "."))
    truth = {currency: Decimal(text) for currency, text in company.truth.measures["amount_by_currency"].items()}
    assert truth == dict(expected)
    lost = {order.order_id for order in model.orders} - landed
    assert len(lost) == 10
    assert company.truth.measures["orders"]["orders"] + company.truth.measures["orders"]["credits"] == len(model.orders) - len(
        lost
    ) - len(ids(company, "deleted_orders"))


def test_sums_of_every_cut_agree(company: Company) -> None:
    measures = company.truth.measures
    for cut in (
        "by_month",
        "by_channel",
        "by_country",
        "by_payment_method",
        "by_campaign",
        "by_rule",
        "by_crm_campaign",
    ):
        for figure in ("orders", "credits", "without_rate"):
            assert sum(group[figure] for group in measures[cut].values()) == measures["orders"][figure], (cut, figure)
        for figure in ("revenue", "refund"):
            total = sum(Decimal(group[figure]) for group in measures[cut].values())
            assert total == Decimal(measures["orders"][figure]), (cut, figure)


def test_a_missing_rate_is_filled_forward_but_not_for_ever(company: Company) -> None:
    measures = company.truth.measures
    assert measures["by_country"]["NO"]["without_rate"] == measures["by_country"]["NO"]["orders"] > 0
    # Of the gap in one currency's rates only the days beyond the seventh stay without.
    assert 0 < measures["by_country"]["SE"]["without_rate"] < 10
    days = {row["rate_date"] for row in good_rows(company, "exchange_rates")}
    assert not days & ids(company, "missing_weekend")


def test_repeat_flags_are_wrong_both_ways_in_equal_number(company: Company) -> None:
    repeat = company.truth.measures["repeat"]
    assert repeat["missed"] == repeat["false"] == len(ids(company, "repeat_flag_missed")) == 40
    assert repeat["flagged"]["orders"] == repeat["derived"]["orders"]
    assert repeat["flagged"]["revenue"] != repeat["derived"]["revenue"]


def test_planted_findings_stand_in_the_files(company: Company) -> None:
    contacts = good_rows(company, "contacts")
    newest = {row["contact_id"]: row for row in sorted(contacts, key=lambda row: row["updated_at"])}
    addresses = Counter(row["email"].strip().lower() for row in newest.values())
    assert {address for address, count in addresses.items() if count > 1} == ids(company, "shared_emails")
    assert all(
        newest[contact]["email"] != newest[contact]["email"].strip().lower() for contact in ids(company, "mixed_case_emails")
    )
    assert {contact for contact, row in newest.items() if row["is_deleted"] == "true"} == ids(company, "deleted_contacts")

    orders = good_rows(company, "orders")
    unknown = {row["order_id"] for row in orders if row["contact_id"] and row["contact_id"] not in newest}
    assert unknown == ids(company, "orders_of_unknown_contacts")
    campaigns = {row["campaign_id"] for row in good_rows(company, "campaigns")}
    assert {row["order_id"] for row in orders if row["campaign_id"] and row["campaign_id"] not in campaigns} == ids(
        company, "unknown_campaigns"
    )
    assert {row["order_id"] for row in orders if row["is_deleted"] == "true"} == ids(company, "deleted_orders")
    assert any(Decimal(row["amount"].replace(",", ".")) < 0 for row in orders)

    products = good_rows(company, "products")
    first, second = sorted({row["updated_at"] for row in products})
    names = {stamp: {row["product_id"] for row in products if row["updated_at"] == stamp} for stamp in (first, second)}
    assert names[first] - names[second] == ids(company, "withdrawn_products")
    assert any("\n" in row["city"] for row in contacts)


def test_every_finding_has_somebody_and_names_an_audit_that_exists(company: Company) -> None:
    audits = {path.stem for path in (ROOT / "dbt_job" / "models" / "audit").glob("aud_*.sql")}
    for name, finding in company.truth.findings.items():
        assert finding["count"] == len(finding["ids"]) > 0, name
        assert finding["audit"] in audits | {""}, name


def test_a_scale_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="scale"):
        write_exports(tmp_path, scale=0)


def test_amounts_survive_as_decimals(company: Company) -> None:
    def amounts(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for inner in value.values():
                yield from amounts(inner)
        elif isinstance(value, float):
            yield repr(value)

    assert list(amounts(company.truth.measures)) == []
