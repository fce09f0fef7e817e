"""What a run of storms says of itself adds up."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from tests.reliability.report import Happened, Report, Trial


def happened(**counts: int) -> Happened:
    calls = Counter({("ingest_crm", "storage"): 1200})
    return Happened(faults=Counter({"killed before": 2, "dbt killed": 1, "cut": 1}), calls=calls, seconds=4.26, **counts)


def test_a_run_is_summed_up(tmp_path: Path) -> None:
    report = Report()
    report.path = tmp_path / "storms.jsonl"
    for seed in (3, 1, 2, 1000):
        report.add(Trial(seed, happened(published=300, repeated=7, lost=1), "as the quiet day", {"files": 8, "rows": 20}))
    report.add(Trial(1, happened(), "not at all", {}))
    said = {line.split()[0]: line.split(maxsplit=1)[1] for line in report.summary()}
    assert said["storms"] == "5 in 21 s, seeds 1–3, 1000"
    assert said["ended"] == "4 as the quiet day, 1 not at all"
    assert said["events"].startswith("1,200 published, 28 deliveries of one that had come before, 4 lost")
    assert said["calls"].startswith("6,000 ")
    assert said["kills"] == "15"
    assert said["faults"] == "5 × cut"
    assert said["compared"] == "32 files, 80 rows"
    first = json.loads(report.path.read_text().splitlines()[0])
    assert (first["seed"], first["kills"], first["seconds"], first["lost"]) == (3, 3, 4.3, 1)
    assert first["calls"] == {"ingest_crm to storage": 1200}
