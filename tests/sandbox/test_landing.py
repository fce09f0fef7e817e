"""Dropping files: as they are, once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import landing
from sandbox.cloud import Cloud
from sandbox.engines.storage import StorageEngine
from sandbox.provision import make_buckets
from sandbox.world import Addresses, World, WorldError


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    world = World(tmp_path / "home")
    engine = StorageEngine(world.engine("storage"))
    cloud = Cloud(world, Addresses(engine.start(), pubsub="", bigquery="", secret_manager="", scheduler="", run=""))
    make_buckets(cloud)
    yield cloud
    cloud.close()
    engine.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "exports"
    (folder / "shop").mkdir(parents=True)
    (folder / "contacts.csv").write_bytes(b"contact_id\r\n\xff1\r\n")
    (folder / "shop" / "orders.csv").write_text("order_id\n1\n")
    (folder / "presets.yaml").write_text("presets: []\n")
    (folder / ".DS_Store").write_text("not an export")
    return folder


def test_every_file_is_dropped_as_it_is(cloud: Cloud, folder: Path) -> None:
    dropped = landing.drop_folder(cloud, folder)
    assert dropped.new == ("contacts.csv", "shop/orders.csv")
    bucket = cloud.storage.bucket(cloud.world.landing_bucket)
    assert bucket.blob("contacts.csv").download_as_bytes() == (folder / "contacts.csv").read_bytes()


def test_a_second_drop_uploads_only_what_changed(cloud: Cloud, folder: Path) -> None:
    landing.drop_folder(cloud, folder)
    generation = cloud.storage.bucket(cloud.world.landing_bucket).get_blob("contacts.csv").generation
    (folder / "shop" / "orders.csv").write_text("order_id\n1\n2\n")
    dropped = landing.drop_folder(cloud, folder)
    assert (dropped.new, dropped.same) == (("shop/orders.csv",), ("contacts.csv",))
    assert cloud.storage.bucket(cloud.world.landing_bucket).get_blob("contacts.csv").generation == generation


def test_presets_go_to_the_state_bucket_under_the_folder_s_name(cloud: Cloud, folder: Path) -> None:
    assert landing.upload_presets(cloud, folder)
    blob = cloud.storage.bucket(cloud.world.state_bucket).blob("presets/exports.yaml")
    assert blob.download_as_bytes() == b"presets: []\n"
    (folder / "presets.yaml").unlink()
    assert not landing.upload_presets(cloud, folder)


def test_a_missing_or_empty_folder_says_what_data_means(cloud: Cloud, tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="DATA names a folder"):
        landing.drop_folder(cloud, tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WorldError, match="holds no file"):
        landing.drop_folder(cloud, tmp_path / "empty")
