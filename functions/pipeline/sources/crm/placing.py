"""What becomes of a file that was looked at: a slice with the account, mode and days that its preset names, or set aside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

from pipeline import names
from pipeline.contract import Source
from pipeline.csv_reading import Reading
from pipeline.csv_refusals import UNRECOGNISED, Examined, Known, Problem
from pipeline.presets import Preset
from pipeline.sources import Account, PlannedSlice


@dataclass(frozen=True, slots=True)
class Placing:
    """Makes the slices of files. ``file`` is what a slice's request keeps of one: ``bucket``, ``name``, ``generation``,
    ``size``, ``md5`` and ``updated`` of the landing object; of a member of an archive also ``member``."""

    book: Sequence[Preset]
    source: Source
    accounts: Sequence[Account]

    @property
    def time_zone(self) -> str:
        """Of times that are written without one, unless a preset says."""
        return self._account(None).time_zone

    def of(self, file: Mapping[str, Any], found: Examined) -> Iterator[PlannedSlice]:
        """The slices of a file, one for each stream that its preset and the companions of it read it into."""
        for each in (found, *found.companions):
            yield self._of(file, each)

    def set_aside(self, file: Mapping[str, Any], problem: Problem) -> PlannedSlice:
        """The slice of a file that nobody looked into, under the stream that its name speaks of."""
        stream = Known(self.book, self.source.streams).stream_by_name(names.shown_file(file)) or UNRECOGNISED
        return _slice(file, stream, self._account(None), "upsert", problem)

    def _of(self, file: Mapping[str, Any], found: Examined) -> PlannedSlice:
        name, preset, reading = names.shown_file(file), found.preset, found.reading
        account = self._account(preset.account if preset else None)
        stream = self.source.streams.get(found.stream)
        mode = (preset.mode if preset else None) or (stream.mode if stream else "upsert")
        days: tuple[date, date] | None = None
        problem = found.problem
        if preset is not None and reading is not None:
            if preset.account is not None and account.id != preset.account:
                problem = Problem(
                    f"{name}: preset '{preset.name}' names the account '{preset.account}', which is not set up",
                    f"Add '{preset.account}' to the accounts of {self.source.name} or correct the preset, "
                    "and run the source again.",
                )
                return _slice(file, found.stream, self._account(None), "upsert", problem)
            if "time_zone" not in preset.format:
                reading = replace(reading, values=replace(reading.values, time_zone=account.time_zone))
            if mode == "dates":
                try:
                    days = preset.covers(file.get("member") or name) or preset.covers(name)  # else the archive's days
                    what = f"its name does not tell its days: '{preset.days}' is not found in it"
                except ValueError as error:
                    what = f"its name does not tell its days: {error}"
                if days is None:
                    step = f"Name the file so, or correct days.file_name of preset '{preset.name}', and run the source again."
                    problem = Problem(f"{name}: {what}", step)
        plan = problem or reading
        if plan is None:
            raise AssertionError("a file is neither read nor set aside")
        return _slice(file, found.stream, account, mode, plan, days)

    def _account(self, wanted: str | None) -> Account:
        """The account that a preset names, else ``default``, else the only one."""
        by_id = {account.id: account for account in self.accounts}
        chosen = by_id.get(wanted or "default")
        return chosen or (self.accounts[0] if len(self.accounts) == 1 and wanted is None else Account("default"))


def _slice(
    file: Mapping[str, Any],
    stream: str,
    account: Account,
    mode: str,
    plan: Reading | Problem,
    days: tuple[date, date] | None = None,
) -> PlannedSlice:
    request = {"file": dict(file), **({"reject": asdict(plan)} if isinstance(plan, Problem) else {"preset": plan.to_json()})}
    identity = f"{file['bucket']}/{file['name']}#{file['generation']}"
    if "member" in file:
        identity += f"/{file['member']}"
    first, last = days or (None, None)
    return PlannedSlice(stream, account.id, mode, request, first, last, identity)
