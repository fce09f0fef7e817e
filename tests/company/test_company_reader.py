"""The product's own reader of files finds in the make-believe shop's exports exactly what their truth says."""

from __future__ import annotations

from pathlib import Path

from sandbox.company import REPORTING_TIME_ZONE, write_exports
from tests.functions import reading


def test_the_reader_finds_what_was_planted(tmp_path: Path) -> None:
    truth = write_exports(tmp_path)
    extra = (tmp_path / "presets.yaml").read_text(encoding="utf-8")
    for name, file in truth.files.items():
        raw = (tmp_path / name).read_bytes()
        judged = reading.judge(raw, name, extra, REPORTING_TIME_ZONE)
        assert (judged.problem is not None) == (file["outcome"] == "set_aside"), name
        if judged.problem is not None or file["outcome"] == "same_bytes":
            continue
        assert judged.stream == file["stream"], name
        pages = list(reading.pages(raw, name=name, extra=extra, zone=REPORTING_TIME_ZONE))
        found = [(entry.line, entry.reason) for page in pages for entry in page.aside]
        assert sorted(found) == [(entry["line"], entry["reason"]) for entry in file["set_aside"]], name
        assert sum(len(page.rows) for page in pages) == file["loaded"], name
        assert sum(page.non_rows for page in pages) == file["non_rows"], name
