"""What a trial left behind: compared with the quiet day's, and held against what must always be true of a settled world."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.names import shown_file
from sandbox.supervisor import Supervisor
from tests.reliability.exports import Export

SETTLED = {"loaded", "skipped", "failed", "cancelled"}
REPLACED = "landing_overwritten"
"""Why a file that was replaced before it was read has no rows: the one difference that a storm may make."""

Json = dict[str, Any]


@dataclass(slots=True)
class Outcome:
    """What came of the files. Ids of runs and slices, times, and which name of twice the same bytes was read are left out."""

    files: dict[str, Json] = field(default_factory=dict)
    """sha256 → its line in ``bronze.slices`` and the rows and set-aside rows of its slice, in order."""
    failures: set[tuple[str, str, str]] = field(default_factory=set)
    """File, kind and message of each line in ``bronze.failures``."""
    versions: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Name → generations that some run planned."""
    slices: int = 0
    """In the state bucket, each of which has to fit its run's plan and outcome, the manifests and the warehouse."""
    faults: list[str] = field(default_factory=list)
    """What must never be, whatever the quiet day says."""

    @property
    def counts(self) -> dict[str, int]:
        """How many of what :func:`differences` looks at."""
        rows = sum(len(line["rows_of_it"]) for line in self.files.values())
        return {"files": len(self.files), "rows": rows, "failures": len(self.failures), "slices": self.slices}


def outcome(world: Supervisor) -> Outcome:
    """Read the warehouse and the state bucket. Asks in whole tables: they hold one trial."""
    found = Outcome()
    registered = _registered(world, found)
    rows: dict[str, list[Json]] = defaultdict(list)
    for table in world.cloud.bigquery.list_tables("bronze"):
        if table.table_id in ("slices", "failures"):
            continue
        columns = "_slice_id, _account_id, _row, _file, _line, to_json_string(payload) as payload"
        for row in world.query(f"select {columns} from bronze.{table.table_id} where _date >= date '2000-01-01'"):
            kind = "aside" if table.table_id == "set_aside" else table.table_id
            rows[row["_slice_id"]].append({**dict(row.items()), "table": kind})
    for slice_id, line in registered.items():
        mine = sorted(rows.pop(slice_id, []), key=lambda row: (row["table"], row["_row"]))
        _check_rows(slice_id, line, mine, found)
        sha256 = line.pop("file_sha256")
        if sha256 in found.files:
            found.faults.append(f"{line['file_name']}: the same bytes are loaded twice")
        kept = [[row["table"], row["_account_id"], row["_row"], row["_line"], row["payload"]] for row in mine]
        shown = {name: value for name, value in line.items() if name not in ("file_name", "file_at")}
        found.files[sha256] = {**shown, "rows_of_it": kept, "file_at": line["file_at"]}
    found.faults += [
        f"slice {slice_id} has {len(lost)} rows in bronze and is not registered" for slice_id, lost in rows.items()
    ]
    for row in world.query("select distinct file_name, kind, message from bronze.failures"):
        found.failures.add((row["file_name"], row["kind"], row["message"]))
    slices = list(StateBucket(world).objects("slices/").values())
    found.slices = len(slices)
    for file in (data["request"]["file"] for data in slices):
        found.versions[shown_file(file)].add(file["generation"])
    found.faults += _unexplained(world, slices, registered.keys(), found.failures)
    return found


def _registered(world: Supervisor, found: Outcome) -> dict[str, Json]:
    """Lines of ``bronze.slices`` by slice. One may stand there once per build that was killed: readers take the smallest."""
    names = "stream, account_id, mode, file_name, file_sha256, `rows`, aside, non_rows"
    columns = f"slice_id, {names}, cast(file_at as string) as file_at, to_json_string(unknown_fields) as unknown_fields"
    registered: dict[str, Json] = {}
    for row in world.query(f"select {columns}, build from bronze.slices order by build"):
        line = dict(row.items())
        slice_id, _ = line.pop("slice_id"), line.pop("build")
        if registered.setdefault(slice_id, line) != line:
            found.faults.append(f"slice {slice_id} is registered twice, and not alike: {line} and {registered[slice_id]}")
    return registered


def _check_rows(slice_id: str, line: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], found: Outcome) -> None:
    for kind, wanted in (("aside", line["aside"]), ("rows", line["rows"])):
        numbers = Counter(row["_row"] for row in rows if (row["table"] == "aside") == (kind == "aside"))
        if twice := [number for number, count in numbers.items() if count > 1]:
            found.faults.append(f"{line['file_name']} ({slice_id}): {len(twice)} {kind} stand twice, first {min(twice)}")
        if len(numbers) != wanted:
            found.faults.append(f"{line['file_name']} ({slice_id}): {len(numbers)} {kind} in bronze, {wanted} registered")
    if strange := {row["_file"] for row in rows} - {line["file_name"]}:
        found.faults.append(f"{line['file_name']} ({slice_id}): rows that say they are from {strange}")


def _unexplained(
    world: Supervisor, pieces: Sequence[Json], registered: Collection[str], failures: set[tuple[str, str, str]]
) -> Iterator[str]:
    """What the state bucket says that does not fit together."""
    state = StateBucket(world)
    plans, outcomes = state.by_run("plans/"), state.by_run("outcomes/")
    slices = {data["slice_id"]: data for data in pieces}
    yield from (f"{name} is left over" for prefix in ("open/", "failures/") for name in state.names(prefix))
    # A loader that was slower than a whole build notes its slice once more: it is registered again, which readers expect.
    noted = {name: name.rsplit("/", 1)[1].removesuffix(".json") for name in state.names("loaded/")}
    yield from (
        f"{name} waits, and its slice is not registered" for name, slice_id in noted.items() if slice_id not in registered
    )
    transform = state.objects("transform.json").get("transform.json", {})
    if transform.get("wants") or transform.get("building") or transform.get("build") != transform.get("done_build"):
        yield f"transform.json is not settled: {transform}"
    for run, plan in plans.items():
        if run not in outcomes:
            yield f"run {run} has a plan and no outcome"
            continue
        statuses = Counter(slices[piece["slice_id"]]["status"] for piece in plan["slices"])
        if dict(statuses) != outcomes[run]["slices"]:
            yield f"outcome of {run} counts {outcomes[run]['slices']}, its slices are {dict(statuses)}"
    for run in outcomes.keys() - plans.keys():
        yield f"run {run} ended without a plan: {outcomes[run].get('error')}"
    manifests = state.names("manifests/", world.world.bronze_bucket)
    complete = {name.rsplit("/", 1)[1].removesuffix(".json") for name in manifests}
    for slice_id, data in slices.items():
        file = shown_file(data["request"]["file"])
        if data["status"] not in SETTLED:
            yield f"{file} ({slice_id}) is still {data['status']}"
        if (data["status"] == "loaded") != (slice_id in registered):
            yield f"{file} ({slice_id}) is {data['status']}, and {'not ' * (slice_id not in registered)}registered"
        if (data["status"] == "loaded") != (slice_id in complete):
            yield f"{file} ({slice_id}) is {data['status']}, with{'out' * (slice_id not in complete)} a manifest"
        error = data["error"] or {}
        if data["status"] in ("failed", "skipped") and not (error.get("kind") and error.get("message")):
            yield f"{file} ({slice_id}) is {data['status']} and does not say why"
        if data["status"] == "failed" and not error.get("next_step"):
            yield f"{file} ({slice_id}) failed without a next step: {error}"
        if data["status"] == "failed" and (file, error.get("kind"), error.get("message")) not in failures:
            yield f"{file} ({slice_id}) failed ({error.get('kind')}), and the warehouse does not know"


class StateBucket:
    """The objects of a bucket, read at the engine: hundreds of them, for each of hundreds of trials."""

    def __init__(self, world: Supervisor) -> None:
        self._world = world
        store = world.services.storage.store
        assert store is not None
        self._store = store

    def names(self, prefix: str, bucket: str | None = None) -> list[str]:
        return [name for name in self._store.names(bucket or self._world.world.state_bucket) if name.startswith(prefix)]

    def objects(self, prefix: str) -> dict[str, Json]:
        bucket = self._world.cloud.storage.bucket(self._world.world.state_bucket)
        return {name: json.loads(bucket.blob(name).download_as_bytes()) for name in self.names(prefix)}

    def by_run(self, prefix: str) -> dict[str, Json]:
        return {name.rsplit("/", 1)[1].removesuffix(".json"): data for name, data in self.objects(prefix).items()}


def differences(found: Outcome, quiet: Outcome, files: Sequence[Export]) -> Iterator[str]:
    """What a trial's outcome has otherwise than the quiet day's, the first thing first. ``files``: what was dropped in it."""
    yield from found.faults
    dropped: dict[str, list[str]] = defaultdict(list)
    for file in files:
        for name, sha256 in file.sha256s.items():
            dropped[sha256].append(name)
    changing = {file.name for file in files if file.replaces}
    gone = {name for name, kind, _ in found.failures if kind == REPLACED} & changing
    for sha256, wanted in quiet.files.items():
        names = dropped.get(sha256, [])
        if names and sha256 not in found.files:
            newest = any(sha256 in file.sha256s.values() and file.replaces for file in files)
            # One whose event was lost, and which was replaced before the sweeper looked, was never seen by anybody.
            never_seen = len(found.versions[names[0]]) < 2
            if newest or not (never_seen or gone & set(names)):
                yield f"{' / '.join(names)}: missing"
        elif names:
            yield from _difference(" / ".join(names), found.files[sha256], wanted)
    yield from (f"{sha256}: loaded, and the quiet day does not know it" for sha256 in found.files.keys() - quiet.files.keys())
    expected = {failure for failure in quiet.failures if failure[0] in {name for file in files for name in file.sha256s}}
    yield from (f"not noted as failed: {failure}" for failure in sorted(expected - found.failures))
    extra = {(name, kind, message) for name, kind, message in found.failures if not (kind == REPLACED and name in changing)}
    yield from (f"failed, unlike the quiet day: {failure}" for failure in sorted(extra - expected))


def _difference(name: str, found: Json, wanted: Json) -> Iterator[str]:
    for key in wanted:
        if key in ("file_at", "rows_of_it") or found[key] == wanted[key]:
            continue
        yield f"{name}: {key} is {found[key]!r}, on the quiet day {wanted[key]!r}"
    ours, theirs = found["rows_of_it"], wanted["rows_of_it"]
    if len(ours) != len(theirs):
        yield f"{name}: {len(ours)} rows, on the quiet day {len(theirs)}"
    for row, other in zip(ours, theirs, strict=False):
        if row != other:
            yield f"{name}: row {row}, on the quiet day {other}"
            return
