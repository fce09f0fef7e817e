"""The folder that the make-believe shop's CRM, shop, help desk and bank drop into the landing bucket.

Most files carry the contract's own field names as headers; the shop's order corrections and the help desk's tickets
have words and formats of their own, for which ``presets.yaml`` is written beside them. One file is for nobody.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from sandbox.company import crm_records as records
from sandbox.company import dirt as dirty
from sandbox.company.crm_records import stamp
from sandbox.company.dirt import Dirt
from sandbox.company.export_files import NO_ROW, ExportFile, Record, Row, Style
from sandbox.company.model import AS_OF, REPORTING_TIME_ZONE, Company, repeat_order_ids
from sandbox.company.order_exports import CORRECTIONS, order_files
from sandbox.company.trade import build_company, moment
from sandbox.company.truth import Truth, establish_truth

HELP_DESK = Style(
    delimiter="\t",
    encoding="utf-16",
    dates="%d/%m/%Y",
    time_zone=REPORTING_TIME_ZONE,
    headers={
        "ticket_id": "Ticket", "contact_id": "Requester", "requester_email": "Requester e-mail", "order_id": "Order",
        "product_id": "Product", "channel": "Via", "group_name": "Team", "status": "State", "priority": "Urgency",
        "created_at": "Opened", "first_response_at": "First answer", "resolved_at": "Solved", "closed_at": "Closed",
        "reply_count": "Answers", "reopen_count": "Reopened", "rating": "Stars", "updated_at": "Last change",
    },
)  # fmt: skip


def write_exports(folder: Path, seed: int = 1, as_of: date = AS_OF, scale: float = 1.0) -> Truth:
    """Writes the exports and ``presets.yaml`` into ``folder`` (made if absent) and returns what must come of them.

    Sorted by name the files are in the order in which they must land. The same arguments give the same bytes.
    """
    company = build_company(seed, as_of, scale)
    files, dirt = export_files(company)
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        file.write(folder)
    (folder / "presets.yaml").write_text(presets_yaml(), encoding="utf-8")
    return establish_truth(company, files, dirt.findings.values())


def export_files(company: Company) -> tuple[list[ExportFile], Dirt]:
    """The company's exports with their dirt, sorted by name, and the book of what was planted."""
    dirt = Dirt(random.Random(f"{company.seed}/dirt"), company.scale)
    view = _view(company, dirt)
    files = [
        *_contact_files(company, view, dirt),
        *_product_files(company, dirt),
        *order_files(company, view.orders, view.items, dirt),
        *_ticket_files(company, dirt),
        *_campaign_files(company),
        *_rate_files(company, dirt),
        _unknown_file(company, dirt),
    ]
    return sorted(files, key=lambda file: file.name), dirt


@dataclass(slots=True)
class _View:
    """What the CRM and the shop believe at the end, dirt included, by id."""

    contacts: dict[str, Record]
    orders: dict[str, Record]
    items: dict[str, list[Record]]
    first_order_at: dict[str, datetime]
    spare: list[str]


def _view(company: Company, dirt: Dirt) -> _View:
    first_order_at: dict[str, datetime] = {}
    for order in company.orders:
        if order.contact_id is not None:
            first_order_at.setdefault(order.contact_id, order.order_at)
    names = {campaign.campaign_id: campaign.name for campaign in company.campaigns}
    repeat = repeat_order_ids(company.orders)
    contacts = {c.contact_id: records.contact_record(c, c.created_at, is_customer=False) for c in company.contacts}
    orders = {
        order.order_id: records.order_record(order, order.order_id in repeat, names.get(order.campaign_id or "", ""))
        for order in company.orders
    }
    items = {
        order.order_id: [
            records.item_record(order.order_id, line, orders[order.order_id]["updated_at"]) for line in order.lines
        ]
        for order in company.orders
    }
    busy = set(first_order_at) | {ticket.contact_id for ticket in company.tickets}
    idle = [contact_id for contact_id in contacts if contact_id not in busy]
    month = _month_start(company.as_of)
    settled = {contact_id: at for contact_id, at in first_order_at.items() if at < moment(month - timedelta(days=40))}
    spare = dirty.spoil_contacts(dirt, contacts, settled, idle)
    dirty.spoil_orders(dirt, orders, repeat, company.campaigns)
    dirty.spoil_items(dirt, items)
    return _View(contacts, orders, items, first_order_at, spare)


def _month_start(day: date) -> date:
    return day.replace(day=1)


def _contact_files(company: Company, view: _View, dirt: Dirt) -> list[ExportFile]:
    """Everybody at the end of the last month, and who is new or changed since."""
    full_at, delta_at = moment(_month_start(company.as_of)), moment(company.as_of, 22 * 3600)
    full_day = _month_start(company.as_of) - timedelta(days=1)
    full = ExportFile(f"contacts_{full_day}.csv", "contacts", records.CONTACT_FIELDS, [], Style(encoding="utf-8-sig"))
    # The CRM was given a new field in between; the contract has never heard of it.
    delta_fields = (*records.CONTACT_FIELDS, "lead_score")
    delta = ExportFile(f"contacts_{company.as_of}_delta.csv", "contacts", delta_fields, [])
    moved = set(dirt.take([contact.contact_id for contact in company.contacts], 60))
    for contact in company.contacts:
        record = view.contacts[contact.contact_id]
        first_order_at = view.first_order_at.get(contact.contact_id, delta_at + timedelta(days=1))
        known_at = datetime.fromisoformat(record["created_at"])
        if contact.created_at < full_at:
            customer = {"lifecycle_stage": "customer"} if first_order_at < full_at else {}
            changed_at = max(known_at, first_order_at) if customer else known_at
            full.rows.append(Row(record | {"updated_at": stamp(changed_at), "is_deleted": "false"} | customer))
        is_new_customer = full_at <= first_order_at < delta_at
        is_changed = contact.contact_id in moved or record["is_deleted"] == "true"
        if contact.created_at >= full_at or is_new_customer or is_changed:
            is_customer = first_order_at < delta_at
            changed_at = max(known_at, first_order_at, full_at) if is_customer else max(known_at, full_at)
            changed_at = delta_at - timedelta(hours=2) if is_changed else changed_at
            change = {"lead_score": str(dirt.rng.randrange(100)), "updated_at": stamp(changed_at)}
            if is_customer:
                change["lifecycle_stage"] = "customer"
            if contact.contact_id in moved:
                change["phone"] = "(none)"
            delta.rows.append(Row(record | change))
    dirt.note("unknown_column", "a column that the contract does not know", ["lead_score"], "aud_schema_drift")
    dirty.old_versions(dirt, full, 12, "phone")
    dirty.repeat_rows(dirt, full, 20)
    dirty.non_rows(dirt, full, 4)
    spare = [contact_id for contact_id in view.spare if contact_id not in moved]
    for row in dirt.take(dirty.rows_of(full, "contact_id", spare), 3):
        dirty.ragged(dirt, full, row)
    for row in dirt.take(dirty.rows_of(delta, "contact_id", spare), 1):
        dirty.missing(dirt, delta, row, "contact_id")
    return [full, delta]


def _product_files(company: Company, dirt: Dirt) -> list[ExportFile]:
    """The whole list twice; one product is gone from the second, some prices rose."""
    files = []
    for day, factor in ((company.as_of - timedelta(days=181), Decimal("0.95")), (company.as_of, Decimal(1))):
        at = moment(day, 20 * 3600)
        listed = [p for p in company.products if p.created_at < at and (p.withdrawn_at is None or p.withdrawn_at > at)]
        rows = [
            Row(records.product_record(product, product.price * (factor if index % 6 == 0 else 1), at))
            for index, product in enumerate(listed)
        ]
        files.append(ExportFile(f"products_{day}.csv", "products", records.PRODUCT_FIELDS, rows))
    gone = [product.product_id for product in company.products if product.withdrawn_at is not None]
    dirt.note("withdrawn_products", "in the first snapshot, absent from the second", gone)
    return files


def _ticket_files(company: Company, dirt: Dirt) -> list[ExportFile]:
    """All tickets at the end of the last month, and those that are new or changed since."""
    full_at, delta_at = moment(_month_start(company.as_of)), moment(company.as_of, 22 * 3600)
    versions: dict[str, list[Record]] = {}
    for ticket in company.tickets:
        states = [records.ticket_record(ticket, until) for until in (full_at, delta_at) if ticket.created_at <= until]
        versions[ticket.ticket_id] = states
    dirty.spoil_tickets(dirt, versions)
    full_rows, delta_rows = [], []
    for ticket in company.tickets:
        states = versions[ticket.ticket_id]
        if ticket.created_at <= full_at:
            full_rows.append(Row(states[0]))
        if ticket.created_at > full_at or states[0]["updated_at"] != states[-1]["updated_at"]:
            delta_rows.append(Row(states[-1]))
    full_day = _month_start(company.as_of) - timedelta(days=1)
    full = ExportFile(f"support_tickets_{full_day}.csv", "support_tickets", records.TICKET_FIELDS, full_rows, HELP_DESK)
    delta = ExportFile(f"support_tickets_{company.as_of}.csv", "support_tickets", records.TICKET_FIELDS, delta_rows, HELP_DESK)
    for row in dirt.take(full.rows, 1):
        dirty.missing(dirt, full, row, "ticket_id")
    for row in dirt.take([row for row in full.rows if row.record["ticket_id"]], 1):
        dirty.ragged(dirt, full, row)
    dirty.non_rows(dirt, delta, 2)
    return [full, delta]


def _campaign_files(company: Company) -> list[ExportFile]:
    at = moment(company.as_of, 18 * 3600)
    rows = [Row(records.campaign_record(campaign, company.as_of, at)) for campaign in company.campaigns]
    return [ExportFile(f"campaigns_{company.as_of}.csv", "campaigns", records.CAMPAIGN_FIELDS, rows)]


def _rate_files(company: Company, dirt: Dirt) -> list[ExportFile]:
    """The bank's rates by year, with holes, and three that it corrected later."""
    saturday = company.first_day + timedelta(days=250)
    saturday += timedelta(days=(5 - saturday.weekday()) % 7)
    usd_day, gap = company.first_day + timedelta(days=140), company.first_day + timedelta(days=160)
    weekend = {saturday, saturday + timedelta(days=1)}
    sek_gap = {gap + timedelta(days=offset) for offset in range(12)}
    dirt.note("missing_weekend", "no rates on two days; the Friday's hold", sorted(str(day) for day in weekend))
    dirt.note("missing_rate", "one currency has no rate on one day", [f"{usd_day} USD"])
    dirt.note(
        "rate_gap",
        "no rate within seven days on the last of these days",
        sorted(str(d) for d in sek_gap),
        "aud_fx_missing",
    )
    dirt.note("unquoted_currency", "the bank has no rate at all", ["NOK"], "aud_fx_missing")
    yearly: dict[int, list[Row]] = defaultdict(list)
    for rate in company.rates:
        is_hole = rate.rate_date in weekend or (rate.currency, rate.rate_date) == ("USD", usd_day)
        if not is_hole and not (rate.currency == "SEK" and rate.rate_date in sek_gap):
            yearly[rate.rate_date.year].append(Row(records.rate_record(rate)))
    files = []
    corrected: list[Row] = []
    for year in sorted(yearly):
        day = min(date(year, 12, 31), company.as_of)
        file = ExportFile(f"exchange_rates_{day}.csv", "exchange_rates", records.RATE_FIELDS, yearly[year])
        spoiled = dirt.rng.sample([row for row in file.rows if row.record["currency"] in ("CHF", "PLN")], 2)
        dirty.unreadable(dirt, file, spoiled[0], "rate", "err")
        dirty.missing(dirt, file, spoiled[1], "rate")
        for row in dirt.rng.sample([row for row in file.rows if row.record["currency"] in ("USD", "GBP")], 2):
            right = Decimal(row.record["rate"])
            row.record = row.record | {"rate": f"{right * Decimal('1.05'):.6f}"}
            corrected.append(Row(row.record | {"rate": f"{right:f}"}))
        files.append(file)
    dirt.note(
        "corrected_rates",
        "a later file corrects the rate",
        (f"{r.record['rate_date']} {r.record['currency']}" for r in corrected),
    )
    name = f"exchange_rates_{company.as_of}_corrected.csv"
    return [*files, ExportFile(name, "exchange_rates", records.RATE_FIELDS, corrected)]


def _unknown_file(company: Company, dirt: Dirt) -> ExportFile:
    rows = [Row({"member_no": str(number), "points": str(dirt.rng.randrange(900)), "tier": "blue"}) for number in range(1, 8)]
    file = ExportFile(
        f"loyalty_points_{company.as_of}.csv", None, ("member_no", "points", "tier"), [*rows, Row({}, NO_ROW, [])]
    )
    dirt.note("unknown_file", "no preset knows the header; the file is set aside by its name", [file.name], "aud_set_aside")
    return file


def presets_yaml() -> str:
    """The presets of the two systems that do not speak the contract's words (JSON strings are YAML strings)."""
    lines = ["# How the make-believe shop's own systems word their exports.", "presets:"]
    for name, stream, fields, style, encoding in (
        ("shop_order_corrections", "orders", records.ORDER_FIELDS, CORRECTIONS, "cp1252"),
        ("help_desk_tickets", "support_tickets", records.TICKET_FIELDS, HELP_DESK, "utf-16"),
    ):
        headers = [style.headers[field] for field in fields if field in style.headers]
        lines += [f"  - name: {name}", "    source: crm", f"    stream: {stream}", "    match:"]
        lines += [f"      headers: {json.dumps(headers, ensure_ascii=False)}", "    columns:"]
        lines += [f"      {field}: {json.dumps(style.headers.get(field, field), ensure_ascii=False)}" for field in fields]
        lines += [
            "    format:",
            f"      delimiter: {json.dumps(style.delimiter)}",
            f"      encoding: {json.dumps(encoding)}",
            f"      decimal: {json.dumps(style.decimal)}",
            '      date_order: "dmy"',
            f"      time_zone: {json.dumps(style.time_zone)}",
            "    mode: upsert",
        ]
    return "\n".join(lines) + "\n"
