"""What goes wrong between a shop and its exports, planted in known numbers and written down.

A :class:`Dirt` draws who is hit and keeps the book of findings. The ``spoil_*`` functions damage records (what a
system believes), the others damage files (how it is handed over). No order is hit twice, and rows are only ever lost
for orders of guests, so that one kind of dirt cannot change the count of another.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from sandbox.company import export_files
from sandbox.company.crm_records import stamp
from sandbox.company.export_files import LOADS, MISSING, NO_ROW, RAGGED, ExportFile, Record, Row
from sandbox.company.model import Campaign

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Finding:
    """Planted dirt: what is wrong, ``ids`` of the records hit, and the audit view that must show it, if any."""

    name: str
    what: str
    ids: tuple[str, ...]
    audit: str = ""


@dataclass(slots=True)
class Dirt:
    """Draws the victims. ``scale`` multiplies the numbers given for a company of full size; at least one is hit."""

    rng: random.Random
    scale: float
    findings: dict[str, Finding] = field(default_factory=dict)
    hit_orders: set[str] = field(default_factory=set)

    def take(self, candidates: Sequence[T], count: float) -> list[T]:
        """Up to ``count`` (at full size) of the candidates, in their own order."""
        wanted = min(len(candidates), max(1, round(count * self.scale)))
        return [candidates[index] for index in sorted(self.rng.sample(range(len(candidates)), wanted))]

    def take_orders(self, orders: Iterable[Record], count: float, fits: Callable[[Record], bool]) -> list[Record]:
        """Orders that fit and that nothing else has hit."""
        taken = self.take([order for order in orders if order["order_id"] not in self.hit_orders and fits(order)], count)
        self.hit_orders.update(order["order_id"] for order in taken)
        return taken

    def note(self, name: str, what: str, ids: Iterable[str], audit: str = "") -> None:
        """Writes a finding down; a second note of the same name adds to the first."""
        before = self.findings[name].ids if name in self.findings else ()
        self.findings[name] = Finding(name, what, before + tuple(ids), audit)


def is_guest(order: Record) -> bool:
    """Whether the order is a sale to nobody whom the CRM knows."""
    return not order["contact_id"] and order["status"] != "credit"


def is_sale_to_contact(order: Record) -> bool:
    """Whether the order is a sale to a contact."""
    return bool(order["contact_id"]) and order["status"] != "credit"


def spoil_contacts(
    dirt: Dirt, contacts: dict[str, Record], first_order_at: dict[str, datetime], idle: Sequence[str]
) -> list[str]:
    """E-mails in mixed case and shared, countries in words, contacts younger than their own orders.

    ``idle`` are contacts without orders and tickets. Returns those of them that no other dirt needs: they may get lost.
    """
    everybody = list(contacts.values())
    shared = dirt.take(range(1, len(everybody)), 30)
    for index in shared:
        everybody[index]["email"] = everybody[index - 1]["email"]
    # Two neighbours drawn give a chain of three contacts with one address.
    dirt.note(
        "shared_emails",
        "two or more contacts have one e-mail address",
        sorted({everybody[i]["email"] for i in shared}),
        "aud_shared_emails",
    )
    mixed = dirt.take(everybody, 150)
    for contact in mixed:
        contact["email"] = f" {contact['email'].title()}" if dirt.rng.random() < 0.2 else contact["email"].upper()
    dirt.note("mixed_case_emails", "e-mail in capitals or with spaces", (contact["contact_id"] for contact in mixed))
    spelled = dirt.take([contact for contact in everybody if contact["country"] == "DE"], 15)
    for contact in spelled:
        contact["country"] = dirt.rng.choice(("Germany", "de", " DE "))
    dirt.note("country_spellings", "country in another spelling than its code", (c["contact_id"] for c in spelled))
    late = dirt.take(sorted(first_order_at), 22)
    for contact_id in late:
        created_at = first_order_at[contact_id] + timedelta(days=dirt.rng.randrange(1, 25), hours=3)
        contacts[contact_id]["created_at"] = stamp(created_at)
    dirt.note("orders_before_contact", "the contact was created after their first order", late, "aud_orders_before_contact")
    addresses = Counter(contact["email"].strip().lower() for contact in everybody)
    alone = [contact_id for contact_id in idle if addresses[contacts[contact_id]["email"].strip().lower()] == 1]
    deleted = dirt.take(alone, 5)
    for contact_id in deleted:
        contacts[contact_id]["is_deleted"] = "true"
    dirt.note("deleted_contacts", "the CRM marks the contact as deleted", deleted)
    return [contact_id for contact_id in alone if contact_id not in deleted]


def spoil_orders(dirt: Dirt, orders: dict[str, Record], repeat: frozenset[str], campaigns: Sequence[Campaign]) -> None:
    """Wrong flags, unknown buyers and campaigns, claims that contradict the campaign or the tracking."""
    everything = list(orders.values())
    unknown = dirt.take_orders(everything, 12, is_guest)
    for number, order in enumerate(unknown, start=1):
        order["contact_id"] = f"99{number:05d}"
    dirt.note("orders_of_unknown_contacts", "no export has the buyer", (o["order_id"] for o in unknown), "aud_missing_keys")

    def flag(is_repeat: bool) -> Callable[[Record], bool]:
        return lambda order: is_sale_to_contact(order) and (order["order_id"] in repeat) == is_repeat

    missed = dirt.take_orders(everything, 40, flag(True))
    false = dirt.take_orders(everything, len(missed) / dirt.scale, flag(False))
    for order in [*missed, *false]:
        order["is_repeat"] = "false" if order["is_repeat"] == "true" else "true"
    # As many one way as the other: totals alone hide both.
    dirt.note(
        "repeat_flag_missed",
        "a repeat order flagged as a first one",
        (o["order_id"] for o in missed),
        "aud_repeat_flag",
    )
    dirt.note("repeat_flag_false", "a first order flagged as a repeat one", (o["order_id"] for o in false), "aud_repeat_flag")

    strange = dirt.take_orders(everything, 8, lambda order: bool(order["campaign_id"]))
    for order in strange:
        order |= {"campaign_id": "nl-99", "utm_id": "", "utm_campaign": ""}
    dirt.note(
        "unknown_campaigns",
        "the order names a campaign that nobody lists",
        (o["order_id"] for o in strange),
        "aud_missing_keys",
    )
    conflicts = dirt.take_orders(everything, 25, lambda order: bool(order["campaign_id"]))
    for order in conflicts:
        order["channel"] = "direct" if order["channel"] != "direct" else "email"
    dirt.note(
        "channel_conflicts",
        "the order's channel is not its campaign's",
        (o["order_id"] for o in conflicts),
        "aud_channel_conflicts",
    )
    claims = dirt.take_orders(everything, 30, lambda order: bool(order["utm_id"]))
    for order in claims:
        others = [c for c in campaigns if c.channel == order["channel"] and c.campaign_id != order["utm_id"]]
        order["campaign_id"] = dirt.rng.choice(others).campaign_id
    dirt.note(
        "campaign_claims",
        "the CRM credits another campaign than utm_id names",
        (o["order_id"] for o in claims),
    )
    unclaimed = dirt.take([o for o in everything if o["campaign_id"] and o["order_id"] not in dirt.hit_orders], 300)
    for order in unclaimed:
        order["campaign_id"] = ""
    spelled = dirt.take([order for order in everything if order["channel"] in ("facebook", "google")], 60)
    for order in spelled:
        order["channel"] = f" {order['channel'].title()}" if dirt.rng.random() < 0.5 else order["channel"].upper()
    dirt.note("channel_spellings", "channel in capitals or with spaces", (order["order_id"] for order in spelled))


def spoil_items(dirt: Dirt, items: dict[str, list[Record]]) -> None:
    """Products that the shop does not list, lines in free text, lines without their total."""
    lines = [line for order_lines in items.values() for line in order_lines]
    unknown = dirt.take(lines, 5)
    for number, line in enumerate(unknown, start=1):
        line["product_id"] = f"SKU-9{number:03d}"
    dirt.note("unknown_products", "no snapshot has the product", (line["order_id"] for line in unknown), "aud_missing_keys")
    free = dirt.take([line for line in lines if line not in unknown], 4)
    for line in free:
        line |= {"product_id": "", "product_name": "Gift wrapping, by hand;\n2 sheets"}
    dirt.note("free_text_lines", "a line without a product", (line["order_id"] for line in free), "aud_missing_keys")
    for line in dirt.take(lines, 120):
        line["line_total"] = ""  # its value follows from quantity, price and discount


def spoil_tickets(dirt: Dirt, versions: dict[str, list[Record]]) -> None:
    """Tickets under an id that nobody has, and tickets solved before they were opened.

    ``versions``: a ticket's exported states.
    """
    unknown = dirt.take(sorted(versions), 6)
    for number, ticket_id in enumerate(unknown, start=1):
        for version in versions[ticket_id]:
            version["contact_id"] = f"98{number:05d}"
    dirt.note("tickets_of_unknown_contacts", "no export has the contact's id; the address finds it", unknown)
    solved = [ticket_id for ticket_id in sorted(versions) if versions[ticket_id][0]["resolved_at"]]
    hasty = dirt.take(solved, 3)
    for ticket_id in hasty:
        for version in versions[ticket_id]:
            version["resolved_at"] = stamp(datetime.fromisoformat(version["created_at"]) - timedelta(minutes=50))
    dirt.note("tickets_resolved_before_created", "resolved_at lies before created_at", hasty)


def repeat_rows(dirt: Dirt, file: ExportFile, count: int) -> None:
    """Some rows stand in the file twice, word for word."""
    for index in reversed(dirt.take(range(len(file.rows)), count)):
        row = file.rows[index]
        file.rows.insert(dirt.rng.randrange(index, len(file.rows)) + 1, replace(row, record=dict(row.record)))
        dirt.note(
            "repeated_rows",
            "a row stands in a file twice",
            [f"{file.name}: {next(iter(row.record.values()))}"],
            "aud_row_counts",
        )


def old_versions(dirt: Dirt, file: ExportFile, count: int, name: str) -> None:
    """Below the newest version of some records stands an older one, which differs in the field ``name``."""
    for index in reversed(dirt.take(range(len(file.rows)), count)):
        record = file.rows[index].record
        updated_at = stamp(datetime.fromisoformat(record["updated_at"]) - timedelta(days=20))
        file.rows.insert(index + 1, Row(record | {"updated_at": updated_at, name: "old"}))
        dirt.note(
            "old_versions",
            "an older version stands below the newer one",
            [f"{file.name}: {next(iter(record.values()))}"],
        )


def non_rows(dirt: Dirt, file: ExportFile, count: int) -> None:
    """Empty lines, lines of nothing but separators, and the header again: no rows, and counted as such."""
    for index in reversed(dirt.take(range(len(file.rows)), count)):
        cells = dirt.rng.choice(([], [""] * len(file.fields), file.header()))
        file.rows.insert(index, Row({}, NO_ROW, cells))
    file.rows.append(Row({}, NO_ROW, []))
    dirt.note("non_rows", "empty lines, and the header in the middle of the file", [file.name])


def ragged(dirt: Dirt, file: ExportFile, row: Row) -> None:
    """The row has a cell too many, as when a separator was not quoted, or breaks off in the middle."""
    cells = file.cells(row)
    row.cells = [*cells[:2], "or so", *cells[2:]] if dirt.rng.random() < 0.5 else cells[: len(cells) // 2]
    row.outcome = RAGGED
    dirt.note("ragged_rows", "a row with too many or too few cells", [f"{file.name}: {cells[0]}"], "aud_set_aside")


def unreadable(dirt: Dirt, file: ExportFile, row: Row, name: str, text: str) -> None:
    """The field holds something that it cannot hold."""
    row.record = row.record | {name: text}
    row.outcome, row.spoiled = export_files.unreadable(name), name
    dirt.note(
        "unreadable_values",
        "a value that is not what its field says",
        [f"{file.name}: {name} {text!r}"],
        "aud_set_aside",
    )


def missing(dirt: Dirt, file: ExportFile, row: Row, name: str) -> None:
    """A required field is empty."""
    row.record = row.record | {name: ""}
    row.outcome, row.spoiled = MISSING, name
    dirt.note("missing_values", "a required value is empty", [f"{file.name}: {name}"], "aud_set_aside")


def rows_of(file: ExportFile, name: str, values: Iterable[str]) -> list[Row]:
    """The file's good rows whose field has one of the values."""
    wanted = set(values)
    return [row for row in file.rows if row.outcome == LOADS and row.record.get(name) in wanted]
