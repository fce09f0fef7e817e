"""Whole worlds: every engine, the deployed functions in processes of their own, the real dbt job."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import landing
from sandbox.supervisor import Supervisor
from sandbox.world import Settings

ROOT = Path(__file__).resolve().parents[2]
TWIN = ROOT / "tests" / "twin" / "data"
SHOWCASE = Path(os.environ.get("SHOWCASE_DATA", ROOT.parent / "shared" / "data" / "showcase"))


def settings(currency: str, zone: str = "Etc/UTC") -> Settings:
    return Settings(currency, zone, {"crm": [{"id": "default", "time_zone": zone}]})


def fill(world: Supervisor, folder: Path) -> None:
    """Drop a folder's files as they are, with its presets, and wait until gold is built; then the schedule rings too."""
    landing.upload_presets(world.cloud, folder)
    landing.drop_folder(world.cloud, folder)
    world.wait_idle(600)
    world.fire("crm")
    world.wait_idle(600)


@pytest.fixture(scope="session")
def twin_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    """The synthetic twin's world, filled once in all quiet."""
    with Supervisor(tmp_path_factory.mktemp("twin"), settings=settings("EUR")) as world:
        fill(world, TWIN)
        yield world
