"""What the benchmarks say is what happened: rows, memory, processor time, ratios, and the verdict on memory."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import csv_to_bronze, door_imports, measure, orders_csv, processes, whole_path
from benchmarks.measure import Measurement, Result

ROOT = Path(__file__).resolve().parents[2]
ROWS = 2_000
needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the benchmarks need Linux's /proc")


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return orders_csv.write(tmp_path_factory.mktemp("csv"), ROWS)


def measurement(wall: float, cpu: float, mib: int = 1, rows: int = 100) -> Measurement:
    return Measurement(wall, cpu, mib * processes.MIB, 2_000_000, rows)


@needs_proc
def test_the_peak_is_of_the_process_itself_and_stays_when_memory_is_given_back() -> None:
    code = (
        "from benchmarks.processes import peak_rss_bytes; before = peak_rss_bytes();"
        "held = bytearray(b'x') * (64 * 1024 * 1024); del held; print(peak_rss_bytes() - before)"
    )
    here = bytearray(b"x") * (128 * 1024 * 1024)  # of the parent, which is none of the child's business
    grown = int(subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    assert len(here) > grown > 60 * 1024 * 1024


@needs_proc
def test_processor_time_is_of_the_process_asked_for() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            while processes.cpu_seconds(busy.pid) < 0.2:
                pass
        finally:
            busy.kill()
    with pytest.raises(processes.NotMeasurable, match="need Linux"):
        processes.cpu_seconds(busy.pid)


@needs_proc
def test_the_loop_alone_writes_every_row_as_it_stands_in_the_file(orders: Path, tmp_path: Path) -> None:
    environment = {"PYTHONPATH": f"{ROOT / 'functions'}:{ROOT}"}
    made = measure.run([sys.executable, "-m", "benchmarks.conversion", orders, tmp_path], environment)
    (part,) = tmp_path.rglob("*.gz")
    assert (made.rows, made.output_bytes) == (ROWS, part.stat().st_size)
    assert made.peak_rss_bytes > 10 * processes.MIB
    assert made.cpu_seconds > 0
    with gzip.open(part, "rt", encoding="utf-8") as lines:
        payloads = [json.loads(line)["payload"] for line in lines]
    with orders.open(encoding="utf-8", newline="") as file:
        records = list(csv.DictReader(file))
    times = [payload.pop("order_at") for payload in payloads]
    assert times == [record.pop("order_at").replace(" ", "T") + "Z" for record in records]
    assert payloads == [{name: cell for name, cell in record.items() if cell} for record in records]


def test_a_contestant_that_loses_rows_is_no_measurement(orders: Path) -> None:
    def lossy(_home: Path) -> whole_path.Passed:
        return whole_path.Passed(measurement(1, 1, rows=ROWS - 1), invocations=1)

    with pytest.raises(RuntimeError, match="bronze: 2000 rows in, 1999 out"):
        csv_to_bronze.compare(orders, ROWS, 1, lossy, Path("no-such-environment"))


@needs_proc
def test_each_round_takes_the_file_through_a_world_of_its_own(orders: Path) -> None:
    homes: list[Path] = []

    def take(home: Path) -> whole_path.Passed:
        assert home.is_dir()
        homes.append(home)
        return whole_path.Passed(measurement(1, 1, rows=ROWS), invocations=1)

    results = csv_to_bronze.compare(orders, ROWS, 2, take, Path("no-such-environment"))
    assert [(result.name, len(result.runs)) for result in results] == [(csv_to_bronze.OURS, 2), (csv_to_bronze.CONVERSION, 2)]
    assert len(set(homes)) == 2
    assert not any(home.exists() for home in homes)


def test_ratios_are_of_the_least_seconds() -> None:
    ours = Result("ours", [measurement(9, 8, mib=90), measurement(6, 5, mib=100)], 30_000_000)
    reference = Result("peer", [measurement(3, 4), measurement(5, 2)], 30_000_000)
    header, *lines = measure.table([ours, reference], "peer").splitlines()
    assert header.split()[-4:] == ["×", "wall", "×", "CPU"]
    assert lines[0].split() == ["ours", "6.00", "7.50", "9.00", "5.00", "17", "5.0", "100", "2.0", "2.00", "2.50"]
    assert lines[1].split()[-2:] == ["1.00", "1.00"]


def test_without_its_reference_a_table_has_no_ratio() -> None:
    (_, line) = measure.table([Result("ours", [measurement(1, 1)], 1)], "peer").splitlines()
    assert line.split()[-2:] == ["-", "-"]


@pytest.mark.parametrize(("mib", "code"), [(512, 0), (513, 1)])
def test_more_memory_than_is_deployed_is_a_failure(
    mib: int, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    passed = whole_path.Passed(measurement(1, 1, mib=mib), invocations=1)
    monkeypatch.setattr(whole_path, "take", lambda *_arguments, **_options: passed)
    assert command.main(["load", "--rows", "10", "--folder", str(tmp_path)]) == code
    assert ("513 MiB, and is deployed with 512" in capsys.readouterr().err) is bool(code)


@needs_proc
def test_every_case_of_the_imports_is_told() -> None:
    told = {one.name: one for one in door_imports.measure_imports(rounds=1)}
    assert set(told) == set(door_imports.cases())
    assert told["main.py, all doors"].modules == 1
    assert told["ingest_crm, first request"].modules > told["ingest_crm"].modules > 1


@pytest.mark.slow
@needs_proc
def test_a_file_is_taken_to_the_warehouse_and_counted_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--rows", str(ROWS), "--rounds", "1", "--folder", str(tmp_path), "--peers", str(tmp_path / "none")]
    assert command.main(["csv", "load", *few]) == 0
    (kept,) = tmp_path.glob("*.json")
    said = json.loads(kept.read_text(encoding="utf-8"))
    assert [len(result["runs"]) for result in said["csv"]] == [1, 1]
    passed = said["load"]
    assert said["csv"][0]["runs"] == [passed["to_bronze"]]
    loaded = passed["loaded"]
    assert [passed["to_bronze"]["rows"], loaded["table_rows"], loaded["slice_rows"], loaded["slices"]] == [ROWS, ROWS, ROWS, 1]
    assert passed["to_bronze"]["peak_rss_bytes"] > 30 * processes.MIB
    assert passed["invocations"] == 1
    assert "2,000 rows" in capsys.readouterr().out


@pytest.mark.slow
@needs_proc
def test_rows_that_are_missing_in_bronze_are_an_error(orders: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="2,001 rows in the file, 2,000 in the manifest"):
        whole_path.take(orders, ROWS + 1, tmp_path)


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize(("form", "threads"), [("json", []), ("json", ["1"]), ("parquet", [])])
def test_duckdb_reads_the_same_rows(orders: Path, tmp_path: Path, form: str, threads: list[str]) -> None:
    if not csv_to_bronze.PEERS.exists():
        pytest.skip("no .venvs/bench: `make bench` makes it")
    program = ROOT / "benchmarks" / "duckdb_peer.py"
    made = measure.run([csv_to_bronze.PEERS, program, orders, tmp_path / "out", form, *threads])
    assert made.rows == ROWS
    if form == "json":
        with gzip.open(tmp_path / "out", "rt", encoding="utf-8") as lines:
            assert sum(1 for _ in lines) == ROWS
