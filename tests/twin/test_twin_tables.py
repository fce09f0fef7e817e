"""The committed twin of a dashboard's tables: what its generator makes, with the oddities that it plants."""

from __future__ import annotations

import json
import os
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.twin import figures, generate

HERE = Path(__file__).resolve().parent
SHOWCASE = Path(os.environ.get("SHOWCASE_DATA") or HERE.parents[2] / "shared" / "data" / "showcase")


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    found: dict[str, Any] = figures.figures(HERE / "data")
    return found


def test_files_are_what_the_generator_makes() -> None:
    made = generate.files()
    kept = {path.name: path.read_bytes() for path in (HERE / "data").glob("*.csv")}
    assert sorted(kept) == sorted(made)
    assert [name for name in made if kept[name] != made[name]] == [], "run tests/twin/generate.py"


def test_figures_are_what_the_files_give() -> None:
    assert (HERE / "figures.json").read_text(encoding="utf-8") == figures.as_json(HERE / "data"), "run tests/twin/figures.py"


def test_the_twin_is_small() -> None:
    assert sum(path.stat().st_size for path in (HERE / "data").iterdir()) < 200_000


def test_oddities_are_there_in_the_numbers_planted(found: dict[str, Any]) -> None:
    oddities = found["oddities"]
    assert oddities["repeat_flag_missed"] == generate.REPEAT_FLAGS_MISSED
    assert oddities["repeat_flag_false"] == generate.REPEAT_FLAGS_FALSE
    assert oddities["shared_email_addresses"] == generate.SHARED_ADDRESSES
    assert oddities["email_addresses"] == generate.CONTACTS - generate.SHARED_ADDRESSES
    assert oddities["orders_before_contact"] == generate.ORDERS_BEFORE_CONTACT
    assert oddities["channel_conflicts"] == generate.CHANNEL_CONFLICTS
    assert oddities["ga4_linked_orders"] == oddities["ga4_transactions"] == generate.ORDERS
    assert oddities["ga4_names_that_are_campaigns"] == 0
    assert sum(oddities["ga4_no_campaign_names"].values()) == generate.ORDERS


def test_totals_hide_what_the_rows_show(found: dict[str, Any]) -> None:
    assert found["repeat_orders"]["flagged"] == found["repeat_orders"]["derived"]
    assert found["repeat_revenue"]["flagged"] != found["repeat_revenue"]["derived"]
    assert found["ads"]["last_date"] < found["oddities"]["last_order_date"]
    assert 0 < Decimal(found["oddities"]["revenue_after_last_spend"]) < Decimal(found["revenue"])
    assert Decimal(found["oddities"]["ga4_value_per_amount_mean"]) > Decimal("1.5")


def test_every_cut_adds_up(found: dict[str, Any]) -> None:
    for cut in ("revenue_by_month", "revenue_by_channel", "revenue_by_country"):
        assert sum(map(Decimal, found[cut].values())) == Decimal(found["revenue"]), cut
    assert sum(found["orders_by_payment_method"].values()) == found["orders"]
    assert sum(map(Decimal, found["ads"]["spend_by_campaign_channel"].values())) == Decimal(found["ads"]["spend"])


def test_the_built_in_presets_know_the_tables() -> None:
    """The twin stands for tables that the product knows by their headers: nothing is beside it to explain it."""
    book = yaml.safe_load((HERE.parents[1] / "functions" / "presets" / "showcase.yaml").read_text(encoding="utf-8"))["presets"]
    headers = {name: set(columns.split(",")) for name, columns in generate.COLUMNS.items()}
    streams = {name for preset in book for name, known in headers.items() if set(preset["match"]["headers"]) <= known}
    assert streams == {"orders", "meta_ads", "ga4"}
    assert not (HERE / "data" / "presets.yaml").exists()


@pytest.mark.skipif(
    not (SHOWCASE / "orders.csv").exists(), reason=f"no tables in {SHOWCASE}; SHOWCASE_DATA names another folder"
)
def test_figures_of_the_real_tables_are_those_that_the_dashboard_showed() -> None:
    """The README beside the tables says what the dashboard showed; its table is read, nothing of it is kept here."""
    real = figures.figures(SHOWCASE)
    shown = dict(re.findall(r"^\| ([^|]+?) \| (.+) \|$", (SHOWCASE / "README.md").read_text(encoding="utf-8"), re.MULTILINE))

    def numbers(label: str) -> list[Decimal]:
        (row,) = [text for name, text in shown.items() if name.startswith(label)]
        return [Decimal(number.replace(",", "")) for number in re.findall(r"(?<![_\w])\d[\d,]*(?:\.\d+)?", row)]

    def rounded(values: list[Any], places: str = "0.01") -> list[Decimal]:
        return [Decimal(value).quantize(Decimal(places)) for value in values]

    assert numbers("orders; revenue") == rounded([real["orders"], real["revenue"], real["average_order_value"]])
    assert numbers("contacts; contacts who bought") == rounded([real["contacts"], real["buyers"], real["orders_per_buyer"]])
    assert numbers("repeat purchase rate") == rounded([Decimal(real["repeat_rate"]["flagged"]) * 100])
    channels = ("direct", "google", "facebook", "organic", "email")
    assert numbers("revenue by channel") == rounded([real["revenue_by_channel"][name] for name in channels])
    payments = ("card", "paypal", "klarna", "bank_transfer")
    assert numbers("orders by payment") == [real["orders_by_payment_method"][name] for name in payments]
    assert numbers("revenue by month") == rounded(list(real["revenue_by_month"].values()))
    assert numbers("repeat revenue by month") == rounded(list(real["repeat_revenue_by_month"]["flagged"].values()))
    countries = ("US", "GB", "BR", "JP", "AU", "DE", "FR", "CA", "KR")
    assert numbers("revenue by country") == rounded([real["revenue_by_country"][name] for name in countries])
    ads = real["ads"]
    assert numbers("ad spend") == rounded([ads["spend"], ads["impressions"], ads["clicks"], ads["conversions"]])
    ctr, cpc, cost = numbers("CTR")
    assert [ctr] == rounded([Decimal(ads["ctr"]) * 100], "0.001")
    assert [cpc] == rounded([ads["cpc"]], "0.0001")
    assert [cost] == rounded([ads["cost_per_conversion"]], "0.001")
    assert numbers("top campaigns") == rounded(list(real["top_campaigns"].values()))


def test_figures_json_is_json() -> None:
    assert json.loads((HERE / "figures.json").read_text(encoding="utf-8"))["orders"] == generate.ORDERS
