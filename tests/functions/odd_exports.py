"""Exports as they come, each made around a few orders or contacts of which every value is known.

An :class:`Odd` says what a file holds and what must become of it: the rows that load, what is set aside with reason, line,
column and value, how many records are declared non-rows, what is said of it; or, in words, why the file is set aside.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tests.functions.zip_files import zipped

Row = Mapping[str, object]
Aside = tuple[str, int, str | None, str | None]
"""Reason, line, column, value."""


@dataclass(frozen=True)
class Odd:
    """One file. ``rows`` are its payloads, in order; ``refused``: parts of the message and next step of a file set aside."""

    why: str
    data: bytes
    rows: Sequence[Row] = ()
    aside: Sequence[Aside] = ()
    non_rows: int = 0
    says: tuple[str, ...] = ()
    """A part of each guess, in any order; there are no more guesses than these."""
    refused: tuple[str, ...] = ()
    name: str = "orders.csv"


@dataclass(frozen=True)
class Order:
    order_id: str
    order_at: datetime
    amount: Decimal
    contact_id: str
    status: str

    @property
    def payload(self) -> dict[str, object]:
        """As it must come out of whatever file."""
        return {
            "order_id": self.order_id,
            "order_at": self.order_at.isoformat() + "Z",
            "amount": str(self.amount),
            "contact_id": self.contact_id,
            "status": self.status,
        }


ORDERS = (
    Order("A-001", datetime.fromisoformat("2024-03-13 09:05"), Decimal("1234.50"), "0007", "paid"),
    Order("A-002", datetime.fromisoformat("2024-03-04 16:30"), Decimal("99.00"), "0008", "Zürich, bar"),
    Order("A-003", datetime.fromisoformat("2024-12-31 23:59"), Decimal("-12.10"), "0007", 'said "later"'),
    Order("A-004", datetime.fromisoformat("2024-02-29 00:00"), Decimal("1234567.00"), "0009", "open\nsince May"),
    Order("A-005", datetime.fromisoformat("2024-07-01 00:30"), Decimal("0.99"), "0010", "paid"),
)
PAYLOADS = [order.payload for order in ORDERS]
HEADER = ("order_id", "order_at", "amount", "contact_id", "status")
STRANGE = ("Bestell-Nr.", "Datum", "Betrag", "Kunde", "Stand")
OWN_PRESETS = """
presets:
  - name: strange_orders
    source: crm
    stream: orders
    match: {headers: [Bestell-Nr., Betrag]}
    columns: {order_id: Bestell-Nr., order_at: Datum, amount: Betrag, contact_id: Kunde, status: Stand}
  - name: bracketed_orders
    source: crm
    stream: orders
    match: {headers: [Number, "Amount spent (*)"]}
    columns: {order_id: Number, order_at: Day, amount: "Amount spent (*)", currency: {currency_of: amount}}
  - name: lines_of_orders
    source: crm
    stream: orders
    match: {headers: [Order, Placed, Sum, Item]}
    columns: {order_id: Order, order_at: Placed, amount: Sum}
    ignore: [Item]
    one_row_per: Order
  - name: tickets_of_orders
    source: crm
    stream: support_tickets
    match: {headers: [Ticket, Opened, Orders]}
    columns:
      ticket_id: Ticket
      created_at: Opened
      order_id: {from: Orders, take: first, separator: ";"}
  - name: addresses
    source: crm
    stream: contacts
    match: {headers: [Newsletter address]}
    columns: {contact_id: Newsletter address, email: Newsletter address}
  - name: wide_orders
    source: crm
    stream: orders
    match: {headers: [Wide no, _row, _extra]}
    columns: {order_id: Wide no, order_at: Wide day, amount: Wide sum, status: _extra}
"""


def iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M")


def table(
    *,
    header: Sequence[str] = HEADER,
    day: Callable[[datetime], str] = iso,
    amount: Callable[[Decimal], str] = str,
    delimiter: str = ",",
    end: str = "\n",
    quoting: int = csv.QUOTE_MINIMAL,
) -> str:
    """The orders as somebody's program writes them."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)  # type: ignore[arg-type]
    writer.writerow(header)
    for order in ORDERS:
        writer.writerow([order.order_id, day(order.order_at), amount(order.amount), order.contact_id, order.status])
    return text.getvalue()


def grouped(mark: str, decimal: str) -> Callable[[Decimal], str]:
    """Numbers with a mark between thousands."""
    return lambda number: f"{number:,.2f}".replace(",", "\0").replace(".", decimal).replace("\0", mark)


def lakh(number: Decimal) -> str:
    """``12,34,567.00``, as numbers are grouped in India."""
    sign, whole, part = ("-" if number < 0 else ""), f"{abs(number):.2f}"[:-3], f"{number:.2f}"[-2:]
    head, last = whole[:-3], whole[-3:]
    pairs = [head[max(end - 2, 0) : end] for end in range(len(head), 0, -2)][::-1]
    return f"{sign}{','.join([*pairs, last])}.{part}"


def written(moment: datetime, pattern: str) -> str:
    return moment.strftime(pattern).replace(" 0", " ") if "%I" in pattern else moment.strftime(pattern)


AMOUNTS: Mapping[str, tuple[Callable[[Decimal], str], tuple[str, ...]]] = {
    "German": (grouped(".", ","), ("decimal mark ','",)),
    "French, narrow no-break space": (grouped("\u202f", ","), ("decimal mark ','",)),
    "thin space": (grouped("\u2009", "."), ()),
    "no-break space": (grouped("\u00a0", ","), ("decimal mark ','",)),
    "Swiss": (grouped("'", "."), ()),
    "typographic apostrophe": (grouped("\u2019", "."), ()),
    "American": (grouped(",", "."), ()),
    "Indian": (lakh, ()),
    "in brackets": (lambda number: f"({abs(number)})" if number < 0 else str(number), ()),
    "minus behind": (lambda number: f"{abs(number)}-" if number < 0 else str(number), ()),
    "minus behind a blank": (lambda number: f"{abs(number)} -" if number < 0 else str(number), ()),
    "dash for a minus": (lambda number: str(number).replace("-", "\u2013"), ()),
    "minus of mathematics": (lambda number: str(number).replace("-", "\u2212"), ()),
    "euro behind": (lambda number: grouped(".", ",")(number) + "\u00a0€", ("decimal mark ','", "amounts are in EUR")),
    "euro before": (lambda number: f"€ {number}".replace("€ -", "-€ "), ("amounts are in EUR",)),
    "code before": (lambda number: f"CHF {number}", ("amounts are in CHF",)),
    "dollars in brackets": (lambda number: f"$({abs(number)})" if number < 0 else f"${number}", ("amounts are in $",)),
    "as a formula": (lambda number: f'="{number}"', ()),
    "shielded": (lambda number: f"'{number}", ()),
    "among blanks": (lambda number: f"\u00a0{number} ", ()),
    "among marks of direction": (lambda number: f"\u200e{number}\u200e", ()),
}
DAYS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "day first, slashes": ("%d/%m/%Y %H:%M", ("day before month, as in '13/03/2024 09:05'",)),
    "month first, slashes": ("%m/%d/%Y %H:%M", ("month before day, as in '03/13/2024 09:05'",)),
    "day first, dots": ("%d.%m.%Y %H:%M", ("day before month",)),
    "month first, dots": ("%m.%d.%Y %H:%M", ("month before day",)),
    "day first, dashes": ("%d-%m-%Y %H:%M:%S", ("day before month",)),
    "two-digit year": ("%d/%m/%y %H:%M", ("day before month",)),
    "month first, two-digit year": ("%m/%d/%y %H:%M", ("month before day",)),
    "twelve hours": ("%m/%d/%Y %I:%M %p", ("month before day",)),
    "twelve hours, English": ("%b %d, %Y, %I:%M %p", ()),
    "ISO with T and Z": ("%Y-%m-%dT%H:%M:%SZ", ()),
    "ISO with an offset": ("%Y-%m-%dT%H:%M:%S+00:00", ()),
    "offset of one digit": ("%Y-%m-%d %H:%M GMT+0", ()),
    "named zone": ("%Y-%m-%d %H:%M UTC", ()),
    "fractions": ("%Y-%m-%d %H:%M:%S.000", ()),
    "compact": ("%Y%m%d%H%M%S", ()),
    "month's name": ("%d %B %Y %H:%M", ()),
    "weekday": ("%a, %d %b %Y %H:%M:%S +0000", ()),
    "as Java prints": ("%a %b %d %H:%M:%S UTC %Y", ()),
    "Japanese order": ("%Y/%m/%d %H:%M", ()),
}
TWO_O_CLOCK = timedelta(hours=2)


def zoned(moment: datetime) -> str:
    """Two hours before Greenwich."""
    return f"{iso(moment + TWO_O_CLOCK)}:00+02:00"


def ends_of_days(moment: datetime) -> str:
    """``24:00`` of the day before instead of midnight."""
    return iso(moment) if moment.hour or moment.minute else f"{iso(moment - timedelta(days=1))[:10]} 24:00"


def serial(moment: datetime) -> str:
    """A spreadsheet's day number."""
    return str(round((moment - datetime.fromisoformat("1899-12-30 00:00")).total_seconds() / 86_400, 9)).removesuffix(".0")


def epoch(moment: datetime) -> str:
    return str(int(moment.replace(tzinfo=UTC).timestamp()))


def values() -> Iterator[Odd]:
    """Every way of writing a number or a time."""
    for what, (amount, says) in AMOUNTS.items():
        yield Odd(f"amounts: {what}", table(amount=amount, delimiter=";").encode(), PAYLOADS, says=says)
    for what, (pattern, says) in DAYS.items():
        data = table(day=lambda moment, pattern=pattern: written(moment, pattern)).encode()  # type: ignore[misc]
        yield Odd(f"days: {what}", data, PAYLOADS, says=says)
    yield Odd("days: with an offset of their own", table(day=zoned).encode(), PAYLOADS)
    yield Odd("days: 24:00", table(day=ends_of_days).encode(), PAYLOADS)
    yield Odd("days: of a spreadsheet", table(day=serial).encode(), PAYLOADS, says=("serial days",))
    yield Odd("days: seconds of Unix", table(day=epoch).encode(), PAYLOADS, says=("seconds since 1970",))
    yield Odd(
        "days: milliseconds of Unix",
        table(day=lambda moment: epoch(moment) + "000").encode(),
        PAYLOADS,
        says=("milliseconds since 1970",),
    )
    yield from doubtful_values()


def simple(cells: Sequence[str], column: str, name: str = "orders.csv") -> bytes:
    """Orders of which one column alone is odd."""
    usual = {"order_id": "", "order_at": "2024-01-02", "amount": "1.50", column: ""}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(usual)
    for number, cell in enumerate(cells, start=1):
        writer.writerow({**usual, "order_id": f"A{number}", column: cell}.values())
    return text.getvalue().encode()


def loaded(column: str, cells: Mapping[int, str]) -> list[Row]:
    """What :func:`simple` gives, by the number of the order."""
    usual = {"order_at": "2024-01-02T00:00:00Z", "amount": "1.50"}
    return [{"order_id": f"A{number}", **usual, column: cell} for number, cell in cells.items()]


def doubtful_values() -> Iterator[Odd]:
    """What a column leaves open, or contradicts."""
    yield Odd("12/13 of no order", simple(["03/04/2024", "05/06/2024"], "order_at"), refused=("'order_at'", "'03/04/2024'"))
    yield Odd("both orders", simple(["13/04/2024", "04/13/2024"], "order_at"), refused=("two orders", "'04/13/2024'"))
    dots = ["13.04.2024", "03/04/2024"]
    yield Odd("dots prove nothing of slashes", simple(dots, "order_at"), refused=("'order_at': '03/04/2024' may begin with",))
    yield Odd("years of two digits first", simple(["24/04/13", "24/05/14"], "order_at"), refused=("its day or its year",))
    far = ["13/04/2024", *["01/02/2024"] * 12_000, "04/13/2024", *["02/01/2024"] * 9_000]
    yield Odd("the other order far down", simple(far, "order_at"), refused=("'order_at' has days in two orders",))
    yield Odd("thousand or fraction", simple(["1,234", "5,678"], "amount"), refused=("'amount': '1,234'", "format.decimal"))
    yield Odd("both marks", simple(["1.234,50", "1,234.50"], "amount"), refused=("writes numbers in two ways",))
    yield Odd(
        "a fraction for want of proof",
        simple(["1.234", "5.678"], "amount"),
        loaded("amount", {1: "1.234", 2: "5.678"}),
        says=("no number of the file proves it",),
    )
    yield Odd(
        "even amounts",
        simple(["12.-", "5.–", "7.--", "-8.-", "1.50"], "amount"),
        loaded("amount", {1: "12", 2: "5", 3: "7", 4: "-8", 5: "1.50"}),
    )
    yield Odd(
        "no amounts",
        simple(["1.5K", "10%", "12 pcs", "1.23457E+12", "n/a", "#REF!", "7.25"], "amount"),
        loaded("amount", {7: "7.25"}),
        [
            ("unreadable_decimal", 2, "amount", "1.5K"),
            ("unreadable_decimal", 3, "amount", "10%"),
            ("unreadable_decimal", 4, "amount", "12 pcs"),
            ("unreadable_decimal", 5, "amount", "1.23457E+12"),
            ("missing_required", 6, "amount", "n/a"),
            ("unreadable_decimal", 7, "amount", "#REF!"),
        ],
    )
    yield Odd(
        "two currencies",
        simple(["12.00 EUR", "€ 5", "7", "$9"], "amount"),
        loaded("amount", {1: "12.00", 2: "5", 3: "7"}),
        [("mixed_currencies", 5, "amount", "$9")],
        says=("amounts are in EUR, as in '12.00 EUR'; one in another currency is set aside",),
    )
    yield Odd(
        "no days",
        simple(["2024-02-30", "2024", "2024-03", "yesterday", "2024-03-01 10:00 IST", "0000-00-00", "2024-03-01"], "order_at"),
        [{"order_id": "A7", "order_at": "2024-03-01T00:00:00Z", "amount": "1.50"}],
        [
            ("unreadable_timestamp", 2, "order_at", "2024-02-30"),
            ("unreadable_timestamp", 3, "order_at", "2024"),
            ("unreadable_timestamp", 4, "order_at", "2024-03"),
            ("unreadable_timestamp", 5, "order_at", "yesterday"),
            ("unreadable_timestamp", 6, "order_at", "2024-03-01 10:00 IST"),
            ("missing_required", 7, "order_at", "0000-00-00"),
        ],
    )
    yield Odd(
        "currency in the header",
        b"Number,Day,Amount spent (CAD)\n1,2024-01-02,5.25\n",
        [{"order_id": "1", "order_at": "2024-01-02T00:00:00Z", "amount": "5.25", "currency": "CAD"}],
    )
    yield Odd(
        "ids in every dress",
        simple(["'0123", '="0123"', "0123", " 0123\u00a0", "0123\u200b", "NULL", "#N/A", "1.7E+10", "#REF!"], "contact_id"),
        [
            *loaded("contact_id", dict.fromkeys(range(1, 6), "0123")),
            *({"order_id": f"A{number}", "order_at": "2024-01-02T00:00:00Z", "amount": "1.50"} for number in (6, 7)),
        ],
        [("unreadable_id", 9, "contact_id", "1.7E+10"), ("unreadable_id", 10, "contact_id", "#REF!")],
        says=("contact_id: '1.7E+10' is an id that a spreadsheet has cut",),
    )
    yield Odd(
        "ids that became numbers",
        simple(["17850.0", "13047.0", "17850.0"], "contact_id"),
        loaded("contact_id", {1: "17850", 2: "13047", 3: "17850"}),
        says=("'17850.0' is 17850",),
    )
    yield Odd(
        "several ids in a cell",
        b"Ticket,Opened,Orders\n1,2024-01-02,A1; A2\n2,2024-01-02,'0123\n3,2024-01-02,;\n",
        [
            {"ticket_id": "1", "created_at": "2024-01-02T00:00:00Z", "order_id": "A1", "_extra": {"Orders": "A1; A2"}},
            {"ticket_id": "2", "created_at": "2024-01-02T00:00:00Z", "order_id": "0123"},
            {"ticket_id": "3", "created_at": "2024-01-02T00:00:00Z"},
        ],
        name="tickets.csv",
    )


def shapes() -> Iterator[Odd]:
    """Every way of laying out a table."""
    plain = table()
    for delimiter in ",;\t|":
        for what, end in {"LF": "\n", "CRLF": "\r\n", "CR": "\r"}.items():
            data = table(delimiter=delimiter, end=end, quoting=csv.QUOTE_ALL)
            yield Odd(f"delimiter {delimiter!r}, {what}", data.encode(), PAYLOADS)
        named = f"sep={delimiter}\r\n{table(delimiter=delimiter)}".encode("utf-8-sig")
        yield Odd(f"sep={delimiter!r}", named, PAYLOADS, non_rows=1, says=("header in line 2",))
    head, *rest = plain.splitlines(keepends=True)
    ends = itertools.cycle(("\r\n", "\r", "\n"))
    mixed = "".join(line.rstrip("\n") + next(ends) for line in [head, rest[0], rest[1], rest[2], rest[5]])
    yield Odd("mixed line ends", mixed.encode(), [*PAYLOADS[:3], PAYLOADS[4]])
    yield Odd("a blank line after each", plain.replace("\nA-", "\n\nA-").encode(), PAYLOADS, non_rows=5)
    yield Odd("no line end at the end", plain.rstrip("\n").encode(), PAYLOADS)
    strange = [{**row, "status": "a\v\x85\u2028\x1cb"} for row in PAYLOADS[:1]]
    data = f"{head}A-001,2024-03-13 09:05,1234.50,0007,a\v\x85\u2028\x1cb\n"
    yield Odd("other line ends inside cells", data.encode(), strange)
    yield Odd("end-of-file mark", (plain + "\x1a").encode(), PAYLOADS, non_rows=1)
    yield Odd("compressed", gzip.compress(plain.encode()), PAYLOADS, name="orders.csv.gz")
    yield Odd("compressed in two parts", gzip.compress(head.encode()) + gzip.compress("".join(rest).encode()), PAYLOADS)
    yield Odd(
        "lines before the header",
        f"Orders of 2024,,,,\nmade on,2024-12-31,,,\n\n{plain}".encode(),
        PAYLOADS,
        non_rows=3,
        says=("header in line 4",),
    )
    yield Odd("remarks before the header", f"# by hand\n#\n{plain}".encode(), PAYLOADS, non_rows=2, says=("header in line 3",))
    yield Odd("groups of columns above it", f"Order,,,Who,\n{plain}".encode(), PAYLOADS, non_rows=1, says=("header in line 2",))
    yield Odd("header in mid-file", (plain + head.upper() + head.replace(",", " , ")).encode(), PAYLOADS, non_rows=2)
    yield Odd(
        "rows above the header",
        ("".join(rest[:2]) + head + "".join(rest[2:])).encode(),
        refused=("line 1 reads as a row, but stands above the header, which is in line 3", "format.header_row"),
    )
    yield Odd("header last", ("".join(rest) + head).encode(), refused=("stands above the header, which is in line 7",))
    dressed = "\ufeff\u00a0Order_ID ,ORDER_at\u200b, amount\u00a0,Contact_Id,st\u00adatus\n"
    yield Odd("header in strange dress", (dressed + "".join(rest)).encode(), PAYLOADS)
    yield Odd("strange header", table(header=STRANGE).encode(), PAYLOADS)
    ragged = "A-006,2024-01-02,5\nA-007,2024-01-02,5,,,more\nA-008,2024-01-02,5,,,,\n"
    yield Odd(
        "ragged rows",
        (plain + ragged).encode(),
        [*PAYLOADS, {"order_id": "A-008", "order_at": "2024-01-02T00:00:00Z", "amount": "5"}],
        [
            ("ragged_row", 8, None, "3 cells, header has 5"),
            ("ragged_row", 9, None, "6 cells, header has 5"),
        ],
    )
    yield Odd("a delimiter behind each row", "".join(f"{line},\n" for line in ("a,b", "c")).encode(), refused=("no preset",))
    tail = (
        table(header=[*HEADER, ""])
        .replace("paid\n", "paid,\n")
        .replace('bar"\n', 'bar",\n')
        .replace('later"""\n', 'later""",\n')
    )
    yield Odd("a delimiter behind each line", tail.replace('since May"\n', 'since May",\n').encode(), PAYLOADS)
    twice = b"order_id,order_at,amount,Amount,\nA1,2024-01-02,1.50,9.50,z\n"
    extra = {"Amount_2": "9.50", "column_5": "z"}
    yield Odd(
        "a header twice, one empty", twice, [{**loaded("amount", {1: "1.50"})[0], "_extra": extra}], says=("more than once",)
    )
    collide = "Wide no,Wide day,Wide sum,_row,_extra,_line,column_7,\nA1,2024-01-02,5,1,paid,2,x,y\n"
    yield Odd(
        "names like ours",
        collide.encode(),
        [
            {
                **{"order_id": "A1", "order_at": "2024-01-02T00:00:00Z", "amount": "5", "status": "paid"},
                "_extra": {"_row": "1", "_line": "2", "column_7": "x", "column_8": "y"},
            }
        ],
    )
    columns = 2_000
    wide = "Wide no,Wide day,Wide sum,_row,_extra," + ",".join(f"c{n}" for n in range(columns)) + "\n"
    wide += "A1,2024-01-02,5,1,paid" + ",v" * columns + "\n"
    row = {"order_id": "A1", "order_at": "2024-01-02T00:00:00Z", "amount": "5", "status": "paid"}
    yield Odd("2,000 columns", wide.encode(), [{**row, "_extra": {"_row": "1", **{f"c{n}": "v" for n in range(columns)}}}])
    million = "x\ny" * 333_334
    long = f'{head}A-001,2024-03-13 09:05,1234.50,0007,"{million}"\nA-005,2024-07-01 00:30,0.99,0010,paid\n'
    yield Odd("a cell of a million characters", long.encode(), [{**PAYLOADS[0], "status": million}, PAYLOADS[4]])
    yield Odd("only a header", head.encode())
    yield Odd(
        "one column",
        b"Newsletter address\na@example.com\n\nb@example.com\n",
        [
            {"contact_id": "a@example.com", "email": "a@example.com"},
            {"contact_id": "b@example.com", "email": "b@example.com"},
        ],
        non_rows=1,
        name="c.csv",
    )
    yield from rows_that_are_none()
    yield from quotes()


def rows_that_are_none() -> Iterator[Odd]:
    """Sums, remarks, rulers, and other headers in a table that takes any text."""
    yield Odd(
        "a table of text with everything that is no row",
        (
            b"contact_id,email,city\nvarchar,varchar,varchar\n----------,-----,----\n1,a@example.com,Ulm\n\n,,\n"
            b"NULL,NULL,NULL\nTotal,1,\nTotal (1),,\n(1 row affected),,\nConfidential - do not share,,\n"
        ),
        [{"contact_id": "1", "email": "a@example.com", "city": "Ulm"}],
        [
            ("remark", 2, None, "varchar"),
            ("totals_row", 8, None, "Total"),
            ("remark", 9, None, "Total (1)"),
            ("remark", 10, None, "(1 row affected)"),
            ("remark", 11, None, "Confidential - do not share"),
            ("missing_required", 7, "contact_id", "NULL"),
        ],
        non_rows=3,
        name="contacts.csv",
    )
    yield Odd(
        "another export joined on",
        b"contact_id,email,city\n1,a@example.com,Ulm\nemail,contact_id,city\nb@example.com,2,Bern\n",
        [{"contact_id": "1", "email": "a@example.com", "city": "Ulm"}],
        [
            ("other_header", 3, None, "its columns are not those of the file's header"),
            ("below_other_header", 4, None, "the header above it, in line 3, is not the file's"),
        ],
        name="contacts.csv",
    )
    first = {"order_at": "2024-01-02T00:00:00Z", "amount": "5.00"}
    yield Odd(
        "orders of several lines",
        b"Order,Placed,Sum,Item\n1,2024-01-02,5.00,a\n1,,,b\n,,,c\n2,2024-01-02,5.00,a\n2,2024-01-02,9.00,b\n",
        [{"order_id": "1", **first}, {"order_id": "2", **first}],
        [("contradicting_row", 6, "Sum", "9.00, and 5.00 in the row that it continues")],
        non_rows=2,
    )


def quotes() -> Iterator[Odd]:
    """Quotes where they belong, and where they do not."""
    row = PAYLOADS[0]
    start = "order_id,order_at,amount,contact_id,status\nA-001,2024-03-13 09:05,1234.50,0007,"
    last = "A-005,2024-07-01 00:30,0.99,0010,paid\n"
    yield Odd("a quote in mid-cell", f'{start}5" pipe\n{last}'.encode(), [{**row, "status": '5" pipe'}, PAYLOADS[4]])
    yield Odd("a backslash is a character", f'{start}"C:\\"\n{last}'.encode(), [{**row, "status": "C:\\"}, PAYLOADS[4]])
    yield Odd(
        "lines of all kinds in a cell",
        f'{start}"a\nb\r\nc\rd"\n{last}'.encode(),
        [{**row, "status": "a\nb\r\nc\rd"}, PAYLOADS[4]],
    )
    yield Odd(
        "a blank before the quote",
        f'{start} "a, b"\n{last}'.encode(),
        [{**row, "status": "a, b"}, PAYLOADS[4]],
        says=("blanks",),
    )
    for what, cell, reason in (
        ("a quote that does not end", '"pa', "unterminated_quote"),
        ("a quote inside quotes", '"7" pipe"', "broken_quotes"),
        ("text behind a quote", '"paid"!', "broken_quotes"),
    ):
        yield Odd(what, f"{start}{cell}\n{last}".encode(), PAYLOADS[4:], [(reason, 2, None, None)])
    yield Odd("NUL in a cell", f"{start}pa\0id\n{last}".encode(), PAYLOADS[4:], [("nul_character", 2, "status", None)])
    yield Odd(
        "zeros behind a file",
        (f"{start}paid\n{last}" + "\0" * 4_000).encode(),
        [row, PAYLOADS[4]],
        [("nul_character", 4, "order_id", None)],
    )
    escaped = f'{start}"say \\"hi\\", now"\n{last.replace("paid", chr(92) + "N")}'
    backslash = ("a backslash stands before quotes",)
    nothing = {name: value for name, value in PAYLOADS[4].items() if name != "status"}
    yield Odd("backslashes before quotes", escaped.encode(), [{**row, "status": 'say "hi", now'}, nothing], says=backslash)
    both = f'{start}"C:\\"\n{start.splitlines()[1]}"say \\"hi\\""\n{last}'
    wanted = [{**row, "status": "C:\\"}, PAYLOADS[4]]
    yield Odd("backslashes of both kinds", both.encode(), wanted, [("broken_quotes", 3, None, None)])
    whole = "".join('"' + line.replace('"', '""') + '"\n' for line in f"{start}paid\n{last}".splitlines())
    yield Odd(
        "each row in quotes", whole.encode(), refused=("holds each row as one cell in quotes", "take the outer quotes off")
    )


def foreign() -> Iterator[Odd]:
    """What is no table, and tables that lack something."""
    noise = bytes((7 * n * n + n // 3) % 256 for n in range(4_000))
    for what, data in {
        "a web page": b"\r\n<!DOCTYPE html><html><head><title>Log in</title></head></html>",
        "a web page ": b"<table><tr><td>order_id</td></tr></table>",
        "an XML document": b'<Workbook xmlns="urn:x">\n</Workbook>',
        "JSON": b'[\n  {"order_id": 1}\n]',
        " JSON": b'{"error": "unauthorized"}',
        "an Excel workbook": zipped(("[Content_Types].xml", "<Types/>")),
        "an old Excel workbook": b"\xd0\xcf\x11\xe0" + bytes(500),
        "a PDF": b"%PDF-1.7\n",
        "a picture": b"\x89PNG\r\n\x1a\n" + noise,
        "a 7z archive": b"7z\xbc\xaf\x27\x1c" + noise,
        "a database": b"SQLite format 3\0" + bytes(500),
        "SQL": b"-- MySQL dump 10\nINSERT INTO orders VALUES (1);\n",
        "an e-mail": b"From: a@example.com\nSubject: your export\n",
        "binary data": noise,
        "compressed twice": gzip.compress(gzip.compress(b"order_id")),
        "cut short": gzip.compress(b"order_id,order_at,amount\n")[:-6],
    }.items():
        yield Odd(f"kind: {what}", data, refused=(what.strip(), "drop "))
    lacking = table(header=("order_id", "order_at", "sum", "contact_id", "status"))
    yield Odd("a required column is missing", lacking.encode(), refused=("missing 'amount'", "canonical:orders"))
    yield Odd("of a preset too", b"Bestell-Nr.,Betrag,Kunde\n1,2,3\n", refused=("missing 'Datum'", "strange_orders"))
    yield Odd("empty, of a whole list", b"", refused=("would mark every one as deleted",), name="products.csv")
    yield Odd("empty, of nothing known", b"", refused=("is empty", "with its header"), name="things.csv")
    yield Odd("only blank lines", b"\n\n", non_rows=1, says=("empty file, taken for orders by its name",))
    yield Odd(
        "few known columns", b"order_id,order_at,amount,a,b,c,d\n1,2,3,4,5,6,7\n", refused=("3 of 7 make it no table", "ignore")
    )
    yield Odd("a lone key", b"contact_id\n1\n", refused=("has but one column, contact_id",), name="contacts.csv")
    deep = "".join(f"line {n} of a report\n" for n in range(30)) + table()
    yield Odd("a header too far down", deep.encode(), refused=("looked for in the first 20 records",))


EVERYTHING = (*values(), *shapes(), *foreign())
