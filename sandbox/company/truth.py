"""What must come out of the warehouse when it has read the exports: the figures to compare it with.

It is worked out here from the rows that can be delivered, by the project's rules and without any of its code. The
newest version of a record wins: by its ``updated_at``, then the later file, then the later line. Of a snapshot, what
the newest list does not name is deleted. An order's lines are those of the newest export of the order.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sandbox.company.dirt import Finding
from sandbox.company.export_files import LOADS, NO_ROW, ExportFile, Record
from sandbox.company.measures import measure
from sandbox.company.model import REPORTING_CURRENCY, REPORTING_TIME_ZONE, Company

KEYS = {
    "contacts": ("contact_id",),
    "products": ("product_id",),
    "orders": ("order_id",),
    "order_items": ("order_id", "line_number"),
    "support_tickets": ("ticket_id",),
    "campaigns": ("campaign_id",),
    "exchange_rates": ("rate_date", "currency"),
}
SNAPSHOTS = ("products", "campaigns")


@dataclass(frozen=True, slots=True)
class Truth:
    """Plain data, every amount as text: ``json.dumps`` takes it and a test reads it back as :class:`~decimal.Decimal`.

    ``files``: per file its stream (``None``: nobody's), what becomes of it (``loaded``, ``set_aside``, or ``same_bytes``
    as the file ``same_as``: the one that is looked at first loads and stands for both), its rows below the header, and
    how many of them load, are set aside (reason, line and field) or are no rows: ``rows = loaded + set aside +
    non_rows`` for a loaded file. ``streams``: rows that loaded, records that are current (the deleted ones among them),
    and older versions. ``measures``: figures of the current records. ``findings``: the planted dirt by name.
    """

    seed: int
    scale: float
    as_of: str
    reporting_currency: str
    reporting_time_zone: str
    files: dict[str, dict[str, Any]]
    streams: dict[str, dict[str, int]]
    measures: dict[str, Any]
    findings: dict[str, dict[str, Any]]

    def as_json(self) -> str:
        """The truth as indented JSON, the same text for the same company."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


@dataclass(frozen=True, slots=True)
class _Version:
    record: Record
    file: int
    line: int

    @property
    def order(self) -> tuple[str, int, int]:
        return self.record.get("updated_at", ""), self.file, self.line


def establish_truth(company: Company, files: Sequence[ExportFile], findings: Iterable[Finding]) -> Truth:
    """What must come of these files, landed in this order."""
    described: dict[str, dict[str, Any]] = {}
    versions: dict[str, list[_Version]] = {stream: [] for stream in KEYS}
    newest_list: dict[str, int] = {}
    first_of_bytes: dict[bytes, str] = {}
    for number, file in enumerate(files):
        texts = file.texts()
        twin = first_of_bytes.setdefault("".join(texts).encode(), file.name)
        described[file.name] = _describe(file, twin, texts)
        if file.stream is None or twin != file.name:
            continue
        newest_list[file.stream] = number
        versions[file.stream].extend(
            _Version(row.record, number, line) for line, row in enumerate(file.rows) if row.outcome == LOADS
        )
    current = {stream: _current(stream, versions[stream]) for stream in KEYS}
    deleted = {
        stream: sum(
            v.record.get("is_deleted") == "true" or (stream in SNAPSHOTS and v.file < newest_list[stream]) for v in rows
        )
        for stream, rows in current.items()
    }
    streams = {
        stream: {
            "loaded": len(versions[stream]),
            "set_aside": sum(
                len(d["set_aside"]) for d in described.values() if d["stream"] == stream and d["outcome"] == "loaded"
            ),
            "current": len(current[stream]),
            "deleted": deleted[stream],
            "older": len(versions[stream]) - len(current[stream]),
        }
        for stream in KEYS
    }
    records = {stream: [version.record for version in rows] for stream, rows in current.items()}
    return Truth(
        seed=company.seed,
        scale=company.scale,
        as_of=company.as_of.isoformat(),
        reporting_currency=REPORTING_CURRENCY,
        reporting_time_zone=REPORTING_TIME_ZONE,
        files=described,
        streams=streams,
        measures=measure(records),
        findings={
            finding.name: {
                "what": finding.what,
                "count": len(finding.ids),
                "ids": list(finding.ids),
                "audit": finding.audit,
            }
            for finding in sorted(findings, key=lambda finding: finding.name)
        },
    )


def _describe(file: ExportFile, twin: str, texts: Sequence[str]) -> dict[str, Any]:
    outcome = "set_aside" if file.stream is None else "loaded" if twin == file.name else "same_bytes"
    set_aside = []
    line = 1 + texts[0].count("\n")
    for row, text in zip(file.rows, texts[1:], strict=True):
        if row.outcome not in (LOADS, NO_ROW):
            set_aside.append({"reason": row.outcome, "line": line, "field": row.spoiled})
        line += text.count("\n")
    is_loaded = outcome == "loaded"
    return {
        "stream": file.stream,
        "outcome": outcome,
        "same_as": twin if outcome == "same_bytes" else None,
        "rows": len(file.rows),
        "loaded": sum(row.outcome == LOADS for row in file.rows) if is_loaded else 0,
        "set_aside": set_aside if is_loaded else [],
        "set_aside_by_reason": dict(Counter(entry["reason"] for entry in set_aside)) if is_loaded else {},
        "non_rows": sum(row.outcome == NO_ROW for row in file.rows) if is_loaded else 0,
    }


def _current(stream: str, versions: Sequence[_Version]) -> list[_Version]:
    """The newest version of every record; of order lines, those of the order's newest export."""
    if stream == "order_items":
        newest: dict[str, int] = {}
        for version in sorted(versions, key=lambda version: version.order):
            newest[version.record["order_id"]] = version.file
        versions = [version for version in versions if version.file == newest[version.record["order_id"]]]
    records: dict[tuple[str, ...], _Version] = {}
    for version in sorted(versions, key=lambda version: version.order):
        records[tuple(version.record[name] for name in KEYS[stream])] = version
    return list(records.values())
