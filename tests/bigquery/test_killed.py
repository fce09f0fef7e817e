"""The local BigQuery killed with SIGKILL under load: what the client was told is there, the rest is whole or absent."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from sandbox.engines.bigquery_process import BigQueryProcess
from tests.bigquery.conftest import FIELD, PROJECT, Put, client_of, json_load, run
from tests.sandbox.siege import Writer, besiege

pytestmark = pytest.mark.slow

DATASET = "kept"
CALL: dict[str, Any] = {"timeout": 60, "retry": None}


class Mortal:
    """The engine's process as a siege wants it."""

    def __init__(self, engine: BigQueryProcess) -> None:
        self.engine = engine

    def start(self) -> dict[str, str]:
        return {"bigquery": self.engine.start()}

    def kill(self) -> None:
        self.engine.kill()


class BigQueryWriter(Writer):
    """A writer with a client."""

    client: bigquery.Client

    def connect(self, addresses: dict[str, str]) -> None:
        self.client = client_of(addresses["bigquery"])
        self.client.create_dataset(DATASET, exists_ok=True)

    def count(self, table: str) -> int:
        return int(run(self.client, f"select count(*) from `{table}`")[0][0])


class Loads(BigQueryWriter):
    """Load jobs with ids. State: job id → rows."""

    def __init__(self, number: int, uris: dict[int, str]) -> None:
        super().__init__(number)
        self.uris = uris
        self.table = f"{PROJECT}.{DATASET}.loaded_{number}"

    def act(self, rng: random.Random) -> None:
        rows, job_id = rng.choice(list(self.uris)), f"load-{self.number}-{rng.randrange(10**12)}"
        self.asked = job_id
        config = json_load(schema=[FIELD("a", "INT64"), FIELD("b", "STRING")])

        def load() -> None:
            job = self.client.load_table_from_uri(self.uris[rows], self.table, job_id=job_id, job_config=config, **CALL)
            assert job.result(**CALL).output_rows == rows

        self.change(load, lambda state: state.update({job_id: rows}))

    def observe(self) -> Any:
        found = {}
        for job_id in self.possible:
            try:
                job = self.client.get_job(job_id, **CALL)
            except NotFound:
                continue
            assert (job.state, job.error_result) == ("DONE", None)
            found[job_id] = job.output_rows
        if found:
            assert self.count(self.table) == sum(found.values()), "rows of a job that is not known, or the reverse"
        return found


class Definitions(BigQueryWriter):
    """Datasets, tables and views, by the API and by SQL, and rows by DML. State: name → (kind, columns, rows)."""

    def _name(self, short: str) -> str:
        return f"{PROJECT}.made_{self.number}.{short}"

    def connect(self, addresses: dict[str, str]) -> None:
        super().connect(addresses)
        self.client.create_dataset(f"made_{self.number}", exists_ok=True)

    def act(self, rng: random.Random) -> None:
        short = rng.choice("pqr")
        name, have = self._name(short), self.told.get(short)
        if have is None:
            rows = rng.randint(0, 3000)
            kind = rng.choice(["api", "select", "view"])
            if kind == "api":
                table = bigquery.Table(name, schema=[FIELD("a", "INT64"), FIELD("b", "STRING", mode="REQUIRED")])
                self._change(short, ("TABLE", "ab", 0), lambda: self.client.create_table(table, **CALL))
                return
            numbers = f"select a, cast(a as string) as b from unnest(generate_array(1, {rows})) a"
            shown = "TABLE" if kind == "select" else "VIEW"
            verb = "table" if kind == "select" else "view"
            self._change(short, (shown, "ab", rows), lambda: run(self.client, f"create {verb} `{name}` as {numbers}"))
            return
        kind, columns, rows = have
        choice = rng.random()
        if choice < 0.25:
            if rng.random() < 0.5:
                self._change(short, None, lambda: self.client.delete_table(name, **CALL))
            else:
                self._change(short, None, lambda: run(self.client, f"drop {kind.lower()} `{name}`"))
        elif kind == "TABLE" and choice < 0.45 and columns == "ab":
            table = self.client.get_table(name, **CALL)
            table.schema = [*table.schema, FIELD("c", "STRING")]
            self._change(short, (kind, "abc", rows), lambda: self.client.update_table(table, ["schema"], **CALL))
        elif kind == "TABLE" and choice < 0.8:
            sql = f"insert into `{name}` (a, b) select a, 'x' from unnest(generate_array(1, 500)) a"
            self._change(short, (kind, columns, rows + 500), lambda: run(self.client, sql))
        elif kind == "TABLE":
            self._change(short, (kind, columns, 0), lambda: run(self.client, f"delete from `{name}` where true"))

    def _change(self, short: str, after: Any, call: Callable[[], Any]) -> None:
        self.change(call, lambda state: state.pop(short) if after is None else state.update({short: after}))

    def observe(self) -> Any:
        found = {}
        for item in self.client.list_tables(f"made_{self.number}", **CALL):
            table = self.client.get_table(item.reference, **CALL)
            columns = "".join(field.name for field in table.schema)
            found[item.table_id] = (table.table_type, columns, self.count(self._name(item.table_id)))
        return found


class Questions(BigQueryWriter):
    """Queries while others write: each is answered with its own rows."""

    def act(self, rng: random.Random) -> None:
        number = rng.randrange(10**6)
        assert run(self.client, f"select {number} + x as n from unnest([0, 1]) x order by n") == [(number,), (number + 1,)]

    def check(self) -> None:
        self.act(random.Random(0))


@pytest.mark.parametrize("seed", [1])
def test_what_was_answered_is_there_and_the_rest_is_whole_or_absent(
    seed: int, start_engine: Callable[..., BigQueryProcess], put: Put, tmp_path: Path
) -> None:
    uris = {rows: put([{"a": number, "b": "x" * 50} for number in range(rows)]) for rows in (1, 200, 20_000)}
    engine = start_engine(tmp_path / "warehouse")
    writers = [Loads(0, uris), Loads(1, uris), Definitions(2), Definitions(3), Questions(4)]
    besiege(Mortal(engine), writers, seed=seed, rounds=3, calls=60)
    assert sum(len(writer.told) for writer in writers[:2]) > 5
