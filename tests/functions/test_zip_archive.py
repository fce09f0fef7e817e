"""Zip archives as they come: what is read of them, and every way in which one is refused by name."""

from __future__ import annotations

import io
import random
import tracemalloc
import zipfile
from typing import Any

import pytest

from pipeline import zip_archive
from pipeline.csv_text import NotRows
from pipeline.zip_archive import Archive, Refused, is_zip
from tests.functions.zip_files import bent, with_flag, with_method, with_one_start, zipped

CSV = "contact_id,city\n1,Paris\n"


def archive_of(data: bytes) -> Archive:
    return Archive(io.BytesIO(data), "export.zip")


def content_of(archive: Archive, name: str) -> bytes:
    with archive.open(name) as stream:
        return b"".join(iter(lambda: stream.read(1000), b""))


def refusal_of(data: bytes) -> str:
    with pytest.raises(Refused) as caught:
        archive_of(data)
    assert caught.value.problem.message.startswith("export.zip ")
    assert caught.value.problem.next_step
    return caught.value.problem.message


def problem_of(data: bytes, name: str = "a.csv") -> str:
    (problem,) = (member.problem for member in archive_of(data).members if member.name == name)
    assert problem is not None
    assert problem.message.startswith(f"export.zip/{name} ")
    assert problem.next_step
    return problem.message


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_are_read_each_by_itself_in_any_order(method: int) -> None:
    archive = archive_of(zipped(("a.csv", CSV), ("in/b.csv", CSV * 9), ("in/", ""), method=method))
    assert [(member.name, member.problem) for member in archive.members] == [("a.csv", None), ("in/b.csv", None), ("in/", None)]
    assert content_of(archive, "in/b.csv") == (CSV * 9).encode()
    assert content_of(archive, "a.csv") == CSV.encode()


def test_a_zip_is_known_by_its_first_bytes() -> None:
    assert is_zip(zipped(("a.csv", CSV)))
    assert is_zip(zipped())
    assert not is_zip(b"PK,Name\n1,x\n")
    assert not is_zip(b"")


class Pipe(io.RawIOBase):
    """Where an archive is written to that is sent on at once: sizes and checksum of a member come after its bytes."""

    def __init__(self) -> None:
        self.written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.written += data
        return len(data)


def test_archives_of_all_makers_are_read() -> None:
    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", CSV)
        archive.comment = b"made on Monday"
        with archive.open("b.csv", "w", force_zip64=True) as member:
            member.write(CSV.encode() * 9)
    for data in (bytes(pipe.written), b"#!/bin/sh\n" + bytes(pipe.written)):
        found = archive_of(data)
        assert [member.problem for member in found.members] == [None, None]
        assert (content_of(found, "a.csv"), content_of(found, "b.csv")) == (CSV.encode(), CSV.encode() * 9)


@pytest.mark.parametrize("name", ["März.csv", "注文.csv"])
def test_names_are_read_as_they_were_meant(name: str) -> None:
    flagged = zipped((name, CSV))
    unflagged = flagged.replace(b"\x00\x08", b"\x00\x00")  # the flag for UTF-8 (0x800) off, in both headers
    for data in (flagged, unflagged):
        archive = archive_of(data)
        assert [member.name for member in archive.members] == [name]
        assert content_of(archive, name) == CSV.encode()


def test_a_name_of_old_windows_and_its_backslashes() -> None:
    data = zipped(("in_M?rz.csv", CSV)).replace(b"in_M?rz.csv", b"in\\M\x84rz.csv")
    archive = archive_of(data)
    assert [member.name for member in archive.members] == ["in/März.csv"]
    assert content_of(archive, "in/März.csv") == CSV.encode()


@pytest.mark.parametrize("keep", [4, 21, 40, 0.5, 0.9, -1])
def test_an_archive_that_is_cut_anywhere_says_so(keep: float) -> None:
    data = zipped(("a.csv", CSV * 50), ("b.csv", CSV))
    cut = data[: int(keep if keep > 1 or keep < 0 else keep * len(data))]
    assert "is a zip archive whose end, where its directory stands, is missing or damaged" in refusal_of(cut)


def test_an_archive_without_its_beginning_is_refused_or_its_members_are() -> None:
    data = zipped(("a.csv", CSV * 50), ("b.csv", CSV))
    archive = archive_of(b"\0" * 60 + data[60:])
    with pytest.raises(NotRows):
        content_of(archive, "a.csv")
    assert content_of(archive, "b.csv") == CSV.encode()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_bit_that_flipped_anywhere_in_a_member_is_noticed(method: int) -> None:
    content = "".join(f"{n},{n * 7919}\n" for n in range(200))
    data = zipped(("a.csv", content), method=method)
    start = 30 + len("a.csv")
    size = archive_of(data)._infos["a.csv"].compress_size
    for position in random.Random(1).sample(range(start, start + size), 40):
        with pytest.raises(NotRows, match="it is damaged in the archive"):
            content_of(archive_of(bent(data, position)), "a.csv")


def test_what_cannot_be_read_is_said_of_each_member() -> None:
    data = zipped(("a.csv", CSV))
    assert "is encrypted" in problem_of(with_flag(data, 1))
    assert "compressed by bzip2" in problem_of(zipped(("a.csv", CSV), method=zipfile.ZIP_BZIP2))
    assert "compressed by LZMA" in problem_of(zipped(("a.csv", CSV), method=zipfile.ZIP_LZMA))
    assert "compressed by deflate64" in problem_of(with_method(data, 9))
    assert "compressed by method 77" in problem_of(with_method(data, 77))
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = zipped(("a.csv", CSV), ("b.csv", CSV), ("a.csv", CSV + "2,Lyon\n"))
    assert "stands in the archive 2 times" in problem_of(twice)
    assert [member.name for member in archive_of(twice).members] == ["a.csv", "b.csv"]


def test_archives_made_to_do_harm_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = zipped(("a.csv", b"0" * (zip_archive.RATIO_FROM_BYTES + 1)))
    assert "no table shrinks so" in problem_of(bomb)
    assert "share their bytes" in refusal_of(with_one_start(zipped(("a.csv", CSV), ("b.csv", CSV))))
    many = zipped(*((f"{n}.csv", CSV) for n in range(40)))
    with monkeypatch.context() as patch:
        patch.setattr(zip_archive, "MEMBERS", 39)
        assert "holds 40 files; up to 39" in refusal_of(many)
    with monkeypatch.context() as patch:
        patch.setattr(zip_archive, "DIRECTORY_BYTES", 1_000)
        assert "has a directory of" in refusal_of(many)
    monkeypatch.setattr(zip_archive, "MEMBER_BYTES", 20)
    assert f"would be {len(CSV)} bytes long" in problem_of(zipped(("a.csv", CSV)))


def test_a_small_table_may_shrink_as_it_likes() -> None:
    assert archive_of(zipped(("a.csv", "0\n" * 1_000_000))).members[0].problem is None


@pytest.mark.parametrize(
    ("members", "what"),
    [
        (("docProps/app.xml", "[Content_Types].xml", "xl/workbook.xml"), "an Excel workbook"),
        (("[Content_Types].xml", "word/document.xml"), "an Office document"),
        (("content.xml", "mimetype", "META-INF/manifest.xml"), "an OpenDocument file"),
        (("Data/x.jpg", "Index/Document.iwa"), "an Apple Numbers document"),
    ],
)
def test_office_files_are_no_archives_of_exports(members: tuple[str, ...], what: str) -> None:
    assert f"is {what}" in refusal_of(zipped(*((name, "<x/>") for name in members)))


def test_a_volume_of_several_is_refused() -> None:
    data = b"PK\x07\x08" + zipped(("a.csv", CSV))
    assert is_zip(data)
    assert "is missing or damaged" in refusal_of(data[: data.rfind(b"PK\x05\x06")])


def test_memory_does_not_grow_with_what_a_member_inflates_to() -> None:
    data = zipped(("a.csv", "contact_id,city\n" + "1,Paris\n" * 6_000_000))
    archive = archive_of(data)
    tracemalloc.start()
    try:
        with archive.open("a.csv") as stream:
            size = sum(len(piece) for piece in iter(lambda: stream.read(65_536), b""))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == 48_000_016
    assert peak < 2 * 1024 * 1024
