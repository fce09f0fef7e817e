"""A folder's commonest order currency is read as the product reads its files."""

from __future__ import annotations

from pathlib import Path

from sandbox.order_currency import commonest_currency
from tests.functions.zip_files import zipped

HEADER = "order_id,order_at,amount,currency\n"


def test_the_currency_of_most_orders(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + "1,2024-01-02,5,eur\n2,2024-01-02,5,GBP\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.csv").write_text(HEADER + "3,2024-01-02,5,EUR \n4,2024-01-02,5,\n")
    (tmp_path / "campaigns.csv").write_text("campaign_id,campaign_name,currency\n" + "1,x,USD\n" * 9)
    (tmp_path / "broken.csv").write_bytes(b"\x00\x01\x02")
    assert commonest_currency(tmp_path) == "EUR"


def test_a_constant_of_the_folders_presets_counts(tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text("Nr,Day,Sum\n1,2024-01-02,5\n")
    assert commonest_currency(tmp_path) is None
    (tmp_path / "presets.yaml").write_text(
        "presets:\n  - {name: sales, source: crm, stream: orders, match: {headers: [Nr]},\n"
        "     columns: {order_id: Nr, order_at: Day, amount: Sum}, constants: {currency: CHF}}\n"
    )
    assert commonest_currency(tmp_path) == "CHF"


def test_a_draw_goes_to_the_first_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + "1,2024-01-02,5,USD\n2,2024-01-02,5,GBP\n")
    assert commonest_currency(tmp_path) == "GBP"


def test_orders_in_an_archive_count(tmp_path: Path) -> None:
    orders = HEADER + "1,2024-01-02,5,CHF\n2,2024-01-02,5,CHF\n"
    (tmp_path / "export.zip").write_bytes(zipped(("orders.csv", orders), ("__MACOSX/._orders.csv", b"\0\1")))
    (tmp_path / "a.csv").write_text(HEADER + "1,2024-01-02,5,USD\n")
    (tmp_path / "cut.zip").write_bytes((tmp_path / "export.zip").read_bytes()[:90])
    assert commonest_currency(tmp_path) == "CHF"
