"""Drops files into the landing bucket, as people and exports do; a file that is already there is left alone."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from google.cloud.storage import Bucket

from sandbox.cloud import Cloud
from sandbox.world import WorldError

TIMEOUT_SECONDS = 600.0
PRESETS_FILE = "presets.yaml"


@dataclass(frozen=True, slots=True)
class Dropped:
    """Names of the files that were dropped now, and of those that landing already had with the same bytes."""

    new: tuple[str, ...]
    same: tuple[str, ...]


def files_of(folder: Path) -> Iterator[tuple[str, Path]]:
    """(object name, path) of every file to drop, by name: all but hidden ones and the folder's own presets."""
    if not folder.is_dir():
        raise WorldError(f"{folder} is not a folder. DATA names a folder with your exports, for example DATA=~/exports.")
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in relative.parts)
        if path.is_file() and not hidden and relative.as_posix() != PRESETS_FILE:
            yield relative.as_posix(), path


def drop_folder(cloud: Cloud, folder: Path) -> Dropped:
    """Drop every file of a folder. Raises :class:`WorldError` when the folder is missing or holds no file."""
    wanted = list(files_of(folder))
    if not wanted:
        raise WorldError(f"{folder} holds no file to drop.")
    bucket = cloud.storage.bucket(cloud.world.landing_bucket)
    have = {blob.name: blob.md5_hash for blob in bucket.list_blobs(timeout=TIMEOUT_SECONDS)}
    new, same = [], []
    for name, path in wanted:
        if _upload(bucket, name, path, have.get(name)):
            new.append(name)
        else:
            same.append(name)
    return Dropped(tuple(new), tuple(same))


def drop_file(cloud: Cloud, path: Path, name: str | None = None) -> str:
    """Drop one file, whether landing has it or not. Returns its object name."""
    name = name or path.name
    bucket = cloud.storage.bucket(cloud.world.landing_bucket)
    bucket.blob(name).upload_from_filename(str(path), timeout=TIMEOUT_SECONDS)
    return name


def upload_presets(cloud: Cloud, folder: Path) -> bool:
    """Give the deployment the folder's presets. Returns whether there are any."""
    path = folder / PRESETS_FILE
    if not path.is_file():
        return False
    bucket = cloud.storage.bucket(cloud.world.state_bucket)
    name = f"presets/{folder.resolve().name}.yaml"
    have = bucket.get_blob(name, timeout=TIMEOUT_SECONDS)
    _upload(bucket, name, path, have.md5_hash if have else None)
    return True


def _upload(bucket: Bucket, name: str, path: Path, md5: str | None) -> bool:
    if md5 is not None and md5 == _md5(path):
        return False
    bucket.blob(name).upload_from_filename(str(path), timeout=TIMEOUT_SECONDS)
    return True


def _md5(path: Path) -> str:
    """As Cloud Storage words it: base64 of the digest."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    return base64.b64encode(digest.digest()).decode()
