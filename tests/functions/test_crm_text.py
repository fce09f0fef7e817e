"""Bytes to lines: encodings, line ends, compression, at every size of chunk."""

from __future__ import annotations

import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.csv_text import (
    Gunzip,
    NotRows,
    TextLines,
    gunzip_head,
    readable,
)
from tests.functions.reading import Trickle


def lines(data: bytes, encoding: str = "utf-8", step: int = 1 << 20) -> list[str]:
    return list(TextLines(Trickle(data, step), encoding).start_at(1))


@pytest.mark.parametrize("step", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize("encoding", ["cp932", "gb18030", "big5", "cp949", "utf-16-le", "utf-32-be", "hz", "iso2022_jp"])
def test_characters_of_several_bytes_are_whole_wherever_a_chunk_ends(encoding: str, step: int) -> None:
    text = "id,名\r\n1,東京\n" if encoding in ("cp932", "iso2022_jp") else "id,名\r\n1,中山\n"
    text = "id,이름\r\n1,서울\n" if encoding == "cp949" else text
    assert lines(text.encode(encoding), encoding, step) == text.splitlines(keepends=True)


@pytest.mark.parametrize("step", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize("encoding", ["cp932", "gb18030", "big5", "cp949", "utf-8"])
def test_half_a_character_spoils_no_more_than_its_cell(encoding: str, step: int) -> None:
    data = b"a,b\n" + "山".encode("utf-8" if encoding == "utf-8" else encoding if encoding != "cp949" else "big5")[:1]
    source = TextLines(Trickle(data + b"\n1," + data[-1:] + b",2\nend", step), encoding)
    found = list(source.start_at(1))
    assert source.suspect
    assert [line.count(",") for line in found] == [1, 0, 2, 0]
    assert found[-1] == "end"


@pytest.mark.parametrize("step", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "cp1252"])
def test_lines_end_with_lf_crlf_or_cr_wherever_a_chunk_ends(step: int, encoding: str) -> None:
    text = "één\r\ntwo\nthree\rfour\r\n\r\nsix"
    data = text.encode(encoding)
    wanted = ["één\r\n", "two\n", "three\r", "four\r\n", "\r\n", "six"]
    assert lines(data, encoding, step) == wanted


def test_signs_that_python_takes_for_line_ends_are_text() -> None:
    text = "a\x0bb\x0cc\x1cd\x85e\u2028f\n"
    assert lines(text.encode()) == [text]


def test_the_mark_is_no_part_of_the_first_line_but_of_a_later_one() -> None:
    assert lines("\ufeffa\n\ufeffb\n".encode(), step=1) == ["a\n", "\ufeffb\n"]


def test_undecodable_bytes_are_marked_and_shown() -> None:
    source = TextLines(io.BytesIO(b"good\nb\xe9d\n"), "utf-8")
    found = list(source.start_at(1))
    assert source.suspect
    assert readable(found[1]) == "b\\xe9d\n"
    clean = TextLines(io.BytesIO(b"good\n"), "utf-8")
    list(clean.start_at(1))
    assert not clean.suspect


def test_half_a_surrogate_in_utf16_is_undecodable_not_a_crash() -> None:
    data = "a,b\n".encode("utf-16-le") + b"\x00\xd8" + "x\n".encode("utf-16-le")
    source = TextLines(io.BytesIO(data), "utf-16-le")
    assert len(list(source.start_at(1))) == 2
    assert source.suspect


@given(st.lists(st.text(max_size=30), max_size=40), st.integers(1, 50), st.integers(1, 30))
def test_lines_can_be_read_again_from_any_that_is_kept(cells: list[str], step: int, again: int) -> None:
    data = "".join(cell.replace("\r", "").replace("\n", "") + "\n" for cell in cells).encode("utf-8", "replace")
    source = TextLines(Trickle(data, step), "utf-8", chunk_bytes=step)
    first = list(source.start_at(1))
    assert first == lines(data)
    if again <= len(first):
        assert list(source.start_at(again)) == first[again - 1 :]
        assert source.between(again, again + 2) == first[again - 1 : again + 2]


def test_lines_before_the_kept_one_are_forgotten() -> None:
    data = b"".join(b"%09d\n" % n for n in range(100_000))
    source = TextLines(io.BytesIO(data), "utf-8", chunk_bytes=1000)
    for number, _ in enumerate(source.start_at(1), start=1):
        source.keep_from = number
    assert source.between(1, 10) == []
    assert sum(len(kept) for _, kept in source._kept) < 500


def test_a_file_without_line_ends_is_refused_before_it_fills_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.csv_text.LINE_CHARS", 10_000)
    with pytest.raises(NotRows, match="no line end"):
        lines(b"x" * 1_000_000, step=4096)


def test_gzip_of_several_members_and_padding_is_one_stream() -> None:
    data = gzip.compress(b"a,b\n1,2\n" * 1000) + gzip.compress(b"3,4\n") + b"\0" * 512
    for step in (7, 100_000):
        stream = Gunzip(Trickle(data, step))
        assert b"".join(iter(lambda: stream.read(1000), b"")) == b"a,b\n1,2\n" * 1000 + b"3,4\n"  # noqa: B023


@pytest.mark.parametrize("broken", ["cut", "damaged"])
def test_a_broken_gzip_stream_is_refused(broken: str) -> None:
    data = bytearray(gzip.compress(bytes(range(256)) * 100))
    if broken == "cut":
        data = data[: len(data) // 2]
    else:
        data[len(data) // 2] ^= 0xFF
        data[len(data) // 2 + 1] ^= 0xFF
    stream = Gunzip(io.BytesIO(bytes(data)))
    with pytest.raises(NotRows, match="gzip"):
        list(iter(stream.read, b""))


def test_the_head_of_a_gzip_file_is_read_without_the_rest() -> None:
    data = gzip.compress(b"0123456789" * 100_000)
    assert gunzip_head(data[:200], 20) == (b"01234567890123456789", False)
    assert gunzip_head(data[:200], 10**9)[1] is False
    assert gunzip_head(gzip.compress(b"all of it"), 20) == (b"all of it", True)
    assert gunzip_head(gzip.compress(b"one") + gzip.compress(b"two"), 20)[1] is False
