"""A drafted preset loads, reads its own file, and says what it is unsure of."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipeline import contract, presets
from pipeline.presets import SCHEMA_PATH, Preset
from sandbox import cli
from sandbox.drafts.draft import draft
from sandbox.drafts.guess import _synonyms, words
from sandbox.world import WorldError
from tests.functions import reading

SOURCE = contract.load().files_source


def drafted(path: Path, stream: str | None = None) -> tuple[Preset, str]:
    """The one preset of a draft, as the product loads it, and the draft's text."""
    text = draft(path, stream)
    contract.check(yaml.safe_load(text), SCHEMA_PATH, path.name)
    (preset,) = presets.parse(text.encode(), path.name, SOURCE)
    return preset, text


def file(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


SALES = """Bestellnr.;Kunde;E-Mail;Bestelldatum;Gesamtbetrag;MwSt;Zahlungsart;Bemerkung
A-1;K7;ann@example.com;03.04.2024 10:15;1.234,50 €;197,10;Karte;größer
A-2;K8;;04.04.2024 11:20;99,00 €;15,81;NULL;
A-3;;;05.04.2024 12:00;kaputt;;Karte;
A-4;K7;;16.04.2024 12:00;5,00 €;,80;Karte;
"""


def test_orders_in_german_from_a_spreadsheet(tmp_path: Path) -> None:
    path = file(tmp_path, "Verkäufe 2024.csv", SALES, "cp1252")
    preset, text = drafted(path)
    assert (preset.name, preset.stream) == ("verkaufe_2024_orders", "orders")
    assert {name: column.headers for name, column in preset.columns.items() if name != "contact_email"} == {
        "order_id": ("Bestellnr.",),
        "contact_id": ("Kunde",),
        "order_at": ("Bestelldatum",),
        "amount": ("Gesamtbetrag",),
        "tax": ("MwSt",),
        "payment_method": ("Zahlungsart",),
    }
    assert preset.constants == {"currency": "EUR"}
    assert preset.format == {"encoding": "cp1252", "currency_marks": True, "null_values": ["NULL"]}
    assert "contact_id: Kunde # unsure: the word may mean something else" in text
    assert "# unsure: from the sign €" in text
    assert "# time_zone: Europe/London # unsure: in which zone are the times of Bestelldatum?" in text


def test_a_draft_declares_the_encoding_that_it_found_and_says_what_else_it_may_be(tmp_path: Path) -> None:
    path = file(tmp_path, "sales.csv", SALES.replace("größer", "Říčany Kuřim").replace("€", "EUR"), "cp1250")
    preset, text = drafted(path)
    assert preset.format["encoding"] == "cp1250"
    assert "encoding: cp1250 # unsure: the file does not say; are all accents right? in " in text
    assert "in cp1252 'Říč' would be 'Øíè'" in text


def test_an_accent_after_the_head_is_seen_by_a_draft(tmp_path: Path) -> None:
    rows = "".join(f"B-{n};K7;;05.04.2024 12:00;5,00;,80;Karte;\n" for n in range(3_000))
    text = SALES.replace("größer", "").replace("€", "EUR") + rows + "C-1;K7;;05.04.2024 12:00;5,00;,80;Karte;größer\n"
    preset, _ = drafted(file(tmp_path, "sales.csv", text, "cp1252"))
    assert preset.format["encoding"] == "cp1252"


def test_a_draft_declares_no_encoding_that_some_bytes_are_not_in(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_bytes(
        SALES.replace("€", "EUR").replace("Karte", "Käthe").encode() + b"A-5;K7;;16.04.2024 12:00;5,00;,80;\xe4;\n"
    )
    preset, text = drafted(path)
    assert "encoding" not in preset.format
    assert "1 × undecodable in Zahlungsart" in text


def test_a_known_file_tells_what_was_found_out(tmp_path: Path) -> None:
    text = draft(file(tmp_path, "contacts.csv", "contact_id,email,city\n1,a@example.com,Orléans\n", "cp1252"))
    assert "# Found out: encoding cp1252: no byte order mark, and not UTF-8" in text


def test_the_first_lines_say_what_would_become_of_the_rows(tmp_path: Path) -> None:
    text = draft(file(tmp_path, "sales.csv", SALES))
    assert (
        "# As it stands: 3 rows would load as orders, 1 be set aside (1 × unreadable_decimal in Gesamtbetrag), 0 are no rows."
        in text
    )


def test_a_draft_reads_its_file_in_a_deployment(tmp_path: Path) -> None:
    path = file(tmp_path, "sales.csv", SALES)
    _, text = drafted(path)
    first, *_ = reading.payloads(path.read_bytes(), name=path.name, extra=text, zone="Europe/Berlin")
    assert (first["order_at"], first["amount"], first["currency"]) == ("2024-04-03T08:15:00Z", "1234.50", "EUR")


def test_a_list_of_addresses_in_french_asks_for_the_order_of_its_days(tmp_path: Path) -> None:
    text = "Prénom,Nom,Adresse e-mail,Téléphone,Ville,Inscrit le,Oui\n"
    path = file(
        tmp_path, "clients.csv", text + "Ann,Lee,a@example.com,'+33123,Paris,04/03/2024,x y\n,Roe,b@example.org,,,05/03/2024,\n"
    )
    preset, text = drafted(path)
    assert preset.columns["contact_id"].headers == preset.columns["email"].headers == ("Adresse e-mail",)
    assert "no column is an id, the address stands in for it" in text
    assert (preset.columns["full_name"].headers, preset.columns["full_name"].pick) == (("Prénom", "Nom"), "join")
    assert preset.columns["created_at"].headers == ("Inscrit le",)
    assert preset.format == {"spreadsheet_guards": True, "date_order": "dmy"}
    assert "which comes first, the day (dmy) or the month (mdy)? column 'Inscrit le': '04/03/2024'" in text
    assert preset.ignore == ("Oui",)


def test_the_currency_of_a_header_is_taken_from_each_file(tmp_path: Path) -> None:
    header = "Bestellnummer;Datum;Summe (EUR);Versand (EUR)\n"
    path = file(tmp_path, "x.csv", header + "1;13.02.2025;5,00;0,90\n2;14.02.2025;1.234,50;0,90\n")
    preset, text = drafted(path)
    assert preset.columns["amount"].headers == ("Summe (*)",)
    assert 'headers: [Bestellnummer, Datum, "Summe (*)"' in text
    content = path.read_bytes().replace(b"EUR", b"CHF")
    assert [row["currency"] for row in reading.payloads(content, name="later.csv", extra=text)] == ["CHF", "CHF"]


def test_two_currencies_of_one_amount_are_two_columns(tmp_path: Path) -> None:
    path = file(tmp_path, "x.csv", "Order No,Ordered,Total (EUR),Total (USD)\n1,2024-05-02,5,6\n2,2024-05-03,5,6\n")
    preset, text = drafted(path)
    assert preset.columns["amount"].headers == ("Total (EUR)",)
    assert "'Total (USD)' could be it too" in text
    assert preset.constants == {"currency": "EUR"}


def test_what_is_below_a_title_and_above_a_total(tmp_path: Path) -> None:
    path = file(
        tmp_path, "report.csv", "Sales of May,,\n,,\nOrder Number,Order Date,Total\n1,2024-05-02,5\n2,2024-05-03,7\nTotal,,12\n"
    )
    preset, text = drafted(path)
    assert preset.format == {"header_row": 3, "totals_prefix": "Total"}
    assert "2 rows would load as orders, 0 be set aside" in text


def test_amounts_without_a_currency_are_a_question(tmp_path: Path) -> None:
    _, text = drafted(file(tmp_path, "orders.csv", "OrderID,OrderDate,Total\n1,2024-05-02,5\n2,2024-05-03,7\n"))
    assert "#   currency: EUR # unsure: no column says in which currency the amounts are" in text


def test_values_outvote_a_name(tmp_path: Path) -> None:
    path = file(tmp_path, "x.csv", "Order No,Ordered,Total,Order Amount,State\n1,2024-05-02,yes,5,new\n2,2024-05-03,no,7,new\n")
    assert drafted(path)[0].columns["amount"].headers == ("Order Amount",)


def test_a_column_that_could_be_it_too_is_named(tmp_path: Path) -> None:
    path = file(tmp_path, "x.csv", "Order No,Ordered,Total,Grand Total\n1,2024-05-02,5,6\n2,2024-05-03,5,6\n")
    assert "amount: Total # unsure: 'Grand Total' could be it too" in drafted(path)[1]


def test_rows_that_repeat_the_key_are_counted(tmp_path: Path) -> None:
    path = file(tmp_path, "x.csv", "Order No,Ordered,Total\n1,2024-05-02,5\n1,2024-05-02,5\n2,2024-05-03,5\n")
    assert "order_id: Order No # unsure: 1 of 3 rows repeat an earlier one's" in drafted(path)[1]


LINES = """Invoice No,Customer No,Invoice Date,SKU,Description,Qty,Price
1,17850.0,2024-05-02 10:00,S1,Hat,2,5
1,17850.0,2024-05-02 10:00,S2,Cap,1,7
2,17851.0,2024-05-02 11:00,S1,Hat,1,5
"""


def both(path: Path) -> tuple[list[Preset], str]:
    text = draft(path)
    return [preset for preset in presets.load(SOURCE, {path.name: text.encode()}) if preset.origin == path.name], text


def test_a_file_of_lines_is_drafted_for_its_orders_too(tmp_path: Path) -> None:
    (lines, orders), text = both(file(tmp_path, "invoices.csv", LINES))
    assert (lines.stream, orders.stream) == ("order_items", "orders")
    assert (orders.companion_of, orders.one_row_per, orders.without) == (lines.name, "Invoice No", ("amount",))
    assert {name: column.headers[0] for name, column in orders.columns.items()} == {
        "order_id": "Invoice No",
        "contact_id": "Customer No",
        "order_at": "Invoice Date",
    }
    assert lines.format["numeric_ids"] is True
    assert "# As it stands: 3 rows would load as order_items, 0 be set aside, 0 are no rows." in text
    assert "# As it stands: 2 rows would load as orders, 0 be set aside, 1 are no rows." in text


def test_orders_whose_id_repeats_are_drafted_for_their_lines_too(tmp_path: Path) -> None:
    header = "Order No,Order Date,Email,Order Total,Tax,Shipping,Status,Currency,SKU,Qty,Price\n"
    rows = "1,2024-05-02,a@example.com,17,2,0,paid,EUR,S1,2,5\n1,2024-05-02,a@example.com,17,2,0,paid,EUR,S2,1,7\n"
    (orders, lines), text = both(file(tmp_path, "shop.csv", header + rows))
    assert (orders.stream, orders.one_row_per, lines.companion_of) == ("orders", "Order No", orders.name)
    assert {name: column.headers[0] for name, column in lines.columns.items()} == {
        "order_id": "Order No",
        "product_id": "SKU",
        "quantity": "Qty",
        "unit_price": "Price",
    }
    assert "# As it stands: 1 rows would load as orders, 0 be set aside, 1 are no rows." in text


def test_the_stream_may_be_told(tmp_path: Path) -> None:
    path = file(tmp_path, "things.csv", "Id,Name,Status,Created\n1,Hat,on,2024-05-02\n2,Cap,off,2024-05-03\n")
    assert drafted(path, "products")[0].stream == "products"
    assert drafted(path, "campaigns")[0].stream == "campaigns"
    assert "# unsure: little but an id and a name speaks for it" in drafted(path, "contacts")[1]


def test_headers_that_yaml_would_take_for_something_else_come_back_as_they_are(tmp_path: Path) -> None:
    path = file(tmp_path, "x.csv", "No,Order Date: local,Total [all],2024,#,'q'\n1,2024-05-02,5,a,b,c\n2,2024-05-02,6,a,b,c\n")
    preset, _ = drafted(path, "orders")
    assert preset.columns["order_id"].headers == ("No",)
    assert {*preset.ignore, *(header for column in preset.columns.values() for header in column.headers)} == {
        "No", "Order Date: local", "Total [all]", "2024", "#", "'q'",
    }  # fmt: skip


def test_a_file_that_a_preset_knows_needs_no_draft(tmp_path: Path) -> None:
    header = "Record ID,First Name,Last Name,Email,Lifecycle Stage\n"
    text = draft(file(tmp_path, "hubspot.csv", header + "1,Ann,Lee,ann@example.com,lead\n,Bob,Roe,,lead\n"))
    assert "is known: preset 'hubspot_contacts' of hubspot.yaml; it reads as crm.contacts. No draft is needed." in text
    assert "1 rows would load as contacts, 1 be set aside (1 × missing_required in Record ID)" in text
    assert yaml.safe_load(text) is None


def test_a_canonical_file_needs_none_either(tmp_path: Path) -> None:
    text = draft(file(tmp_path, "orders.csv", "order_id,order_at,amount\n1,2024-05-02,5\n"))
    assert "carries the contract's own field names" in text


def test_a_preset_beside_the_file_counts(tmp_path: Path) -> None:
    path = file(tmp_path, "sales.csv", SALES)
    (tmp_path / "presets.yaml").write_text(draft(path))
    assert "preset 'sales_orders' of presets.yaml" in draft(path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", ["is empty"]),
        ("a.csv", b"1,2,3\n4,5,6\n", ["has no header", "1, 2, 3", "Add a line that names its columns"]),
        ("a.csv", b"kitten,win\nx,y\nz,y\n", ["no column is a field", "--stream", "kitten, win"]),
        ("a.csv", b"order number,shoe\n1,a\n2,b\n", ["nearest to", "no column can be", "order number, shoe"]),
        ("a.csv", b"PK\x03\x04....", ["is a zip archive", "Export it as CSV"]),
        ("b.csv", None, ["cannot be read: No such file"]),
    ],
)
def test_a_file_that_cannot_be_drafted_is_named_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes | None, words: list[str]
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert cli.main(["preset", str(path)]) == 1
    said = capsys.readouterr().err
    for word in [str(path), *words]:
        assert word in said


def test_a_stream_that_is_none_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="there is no stream 'shoes'; there are contacts, products"):
        draft(file(tmp_path, "sales.csv", SALES), "shoes")


def test_a_wrong_preset_beside_the_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "presets.yaml").write_text("presets: [{name: x}]\n")
    assert cli.main(["preset", str(file(tmp_path, "sales.csv", SALES))]) == 1
    assert "presets.yaml: presets.0" in capsys.readouterr().err


def test_the_synonyms_are_of_fields_that_there_are_and_none_is_twice_sure() -> None:
    data = _synonyms()
    assert set(data) == {"any", *SOURCE.streams}
    for stream in SOURCE.streams.values():
        assert set(data[stream.name]) <= set(stream.fields)
        sure = [(name, "".join(words(text))) for name, block in data[stream.name].items() for text in block.get("sure", ())]
        once = {}
        for name, text in sure:
            assert once.setdefault(text, name) == name, f"{stream.name}: '{text}' is surely two fields"


def test_words_of_a_header() -> None:
    assert words("CustomerID") == ["customer", "id"]
    assert words("Größe_in-cm (netto)") == ["grosse", "in", "cm", "netto"]
    assert words("HTTPCode2") == ["http", "code2"]


def test_several_files_are_drafted_as_one_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [
        file(tmp_path, "a.csv", "Kundennummer;E-Mail\n7;a@example.com\n8;b@example.com\n"),
        file(tmp_path, "b.csv", "x;y\n1;2\n"),
        file(tmp_path, "c.csv", SALES),
    ]
    (tmp_path / "presets.yaml").touch()  # as a shell does that writes the draft into it
    assert cli.main(["preset", *map(str, files)]) == 1
    said = capsys.readouterr()
    assert "b.csv" in said.err
    drafts = presets.parse(said.out.encode(), "presets.yaml", SOURCE)
    assert [(preset.name, preset.stream) for preset in drafts] == [("a_contacts", "contacts"), ("c_orders", "orders")]
