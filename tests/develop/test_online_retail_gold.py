"""Eight days of real sales through the whole sandbox: gold holds each invoice once, and its revenue to the cent."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from sandbox.supervisor import Supervisor
from tests.develop import ledger
from tests.develop.files import DEVELOP, needs_files
from tests.develop.test_online_retail import DAYS, counted
from tests.end_to_end.conftest import fill, settings

pytestmark = [pytest.mark.slow, needs_files]


def _folder(folder: Path) -> Path:
    """The eight files and the presets for them, as a person would lay them out."""
    folder.mkdir()
    for name in DAYS:
        shutil.copy(DEVELOP / name, folder)
    own = [preset for preset in yaml.safe_load(ledger.OWN_PRESETS)["presets"] if preset["name"].startswith("online_retail")]
    (folder / "presets.yaml").write_text(yaml.safe_dump({"presets": own}, allow_unicode=True, sort_keys=False))
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    with Supervisor(tmp_path_factory.mktemp("retail"), settings=settings("GBP", "Europe/London")) as world:
        fill(world, _folder(tmp_path_factory.mktemp("files") / "retail"))
        yield world


def test_every_invoice_is_an_order_and_worth_its_lines(world: Supervisor) -> None:
    wanted = counted(DAYS)
    (row,) = world.query(
        "select count(*) as orders, count(distinct order_id) as ids, sum(amount) as amount, "
        "countif(starts_with(order_id, 'C')) as cancellations from gold.fact_orders"
    )
    assert (row["orders"], row["ids"], row["cancellations"]) == (wanted.invoices, wanted.invoices, wanted.cancellations)
    assert Decimal(row["amount"]) == wanted.revenue


def test_every_line_is_an_order_item(world: Supervisor) -> None:
    wanted = counted(DAYS)
    (row,) = world.query("select count(*) as lines, sum(line_total) as total from gold.fact_order_items")
    assert (row["lines"], Decimal(row["total"])) == (wanted.lines, wanted.revenue)


@pytest.mark.parametrize("name", DAYS)
def test_a_day_is_a_day(world: Supervisor, name: str) -> None:
    wanted, day = counted([name]), Path(name).stem
    (row,) = world.query(f"select count(*) as orders, sum(amount) as amount from gold.fact_orders where order_date = '{day}'")
    assert (row["orders"], Decimal(row["amount"])) == (wanted.invoices, wanted.revenue)


def test_every_row_of_every_file_is_accounted_for_in_both_streams(world: Supervisor) -> None:
    found = {
        (row["file_name"], row["stream"].removeprefix("crm.")): row for row in world.query("select * from audit.aud_row_counts")
    }
    for name in DAYS:
        wanted, file = counted([name]), Path(name).name
        lines, orders = found[file, "order_items"], found[file, "orders"]
        assert lines["file_rows"] == lines["loaded_rows"] == wanted.lines
        assert (orders["loaded_rows"], orders["missing_rows"]) == (wanted.invoices, 0)
