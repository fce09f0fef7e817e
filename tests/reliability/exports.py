"""The files of the storm: small, and one of each kind that the pipeline treats differently."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from tests.functions.zip_files import zipped

LONG_ROWS = 10_100
"""Some twenty pages: an invocation with little time hands over in the middle of it."""
BIG_ROWS = 60_000


@dataclass(frozen=True, slots=True)
class Export:
    """A file as it is dropped. ``replaces`` a dropped file of the same name while the storm is on."""

    name: str
    content: bytes
    replaces: bool = False
    members: tuple[tuple[str, bytes], ...] = ()
    """Of an archive: the files in it, each of which is loaded or set aside by itself."""

    @property
    def sha256s(self) -> dict[str, str]:
        """SHA-256 of the file by its name; of an archive, of each of its members."""
        files = [(f"{self.name}/{member}", content) for member, content in self.members] or [(self.name, self.content)]
        return {name: hashlib.sha256(content).hexdigest() for name, content in files}


def exports(*, big: bool) -> list[Export]:
    """What is dropped, in the order of a quiet day."""
    return list(_exports(big))


def _exports(big: bool) -> Iterator[Export]:
    orders = _orders("O", 60, bad={7: "twelve", 31: "free"})
    yield Export("contacts.csv", _contacts("C", 80, note="left blank"))
    yield Export("orders.csv", orders)
    yield Export("orders (1).csv", orders)
    yield Export("exports/products.csv", _products(12))
    yield Export("tickets.csv", _tickets(40))
    yield Export("long_contacts.csv", _contacts("L", LONG_ROWS))
    yield Export("changing_orders.csv", _orders("V", 20))
    yield Export("no_contacts_yet.csv", _contacts("N", 0))
    yield Export("readings.csv", b"sensor;celsius;at\nkitchen;20.5;2024-01-05\n")
    yield Export("poster.pdf", b"%PDF-1.4 not a table")
    yield _archive("export.zip", ("orders.csv", orders), ("in/z_contacts.csv", _contacts("Z", 5_100)), ("seal.png", b"\x89PNG"))
    if big:
        yield Export("big_contacts.csv", _contacts("B", BIG_ROWS))
    yield Export("changing_orders.csv", _orders("V", 25), replaces=True)


def _archive(name: str, *members: tuple[str, bytes]) -> Export:
    return Export(name, zipped(("__MACOSX/", b""), *members), members=members)


def _contacts(prefix: str, rows: int, note: str = "") -> bytes:
    header = "contact_id,email,created_at,country" + (",note" if note else "")
    lines = [
        f"{prefix}{n},{prefix.lower()}{n}@example.com,2023-{n % 12 + 1:02d}-{n % 28 + 1:02d} 08:{n % 60:02d}:00,NL"
        + (f",{note}" if note else "")
        for n in range(rows)
    ]
    return ("\n".join([header, *lines]) + "\n").encode()


def _orders(prefix: str, rows: int, bad: dict[int, str] | None = None) -> bytes:
    lines = ["order_id,contact_id,order_at,amount,currency"]
    for n in range(rows):
        amount = (bad or {}).get(n, f"{n * 1.5 + 10:.2f}")
        lines.append(f"{prefix}{n},C{n},2024-{n % 12 + 1:02d}-{n % 28 + 1:02d} 12:00:{n % 60:02d},{amount},EUR")
    return ("\n".join(lines) + "\n\n").encode()


def _products(rows: int) -> bytes:
    lines = [f"P{n},Product {n},Kitchen,{n + 0.99:.2f},EUR,active" for n in range(rows)]
    return ("\n".join(["product_id,product_name,category,price,currency,status", *lines]) + "\n").encode()


def _tickets(rows: int) -> bytes:
    lines = [f"T{n},C{n},2024-05-{n % 28 + 1:02d} 09:00:00,solved,high" for n in range(rows)]
    return ("\n".join(["ticket_id,contact_id,created_at,status,priority", *lines]) + "\n").encode()
