"""Bytes to lines: encodings, line ends, compression, at every size of chunk."""

from __future__ import annotations

import codecs
import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.csv_text import (
    Gunzip,
    NotRows,
    TextLines,
    Utf8Evidence,
    detect_encoding,
    gunzip_head,
    readable,
)
from tests.functions.reading import Trickle


def lines(data: bytes, encoding: str = "utf-8", step: int = 1 << 20) -> list[str]:
    return list(TextLines(Trickle(data, step), encoding).start_at(1))


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"a,b\n", "utf-8"),
        ("Straße\n".encode(), "utf-8"),
        ("Straße\n".encode("cp1252"), "cp1252"),
        (codecs.BOM_UTF8 + b"a\n", "utf-8"),
        (codecs.BOM_UTF16_LE + "a\n".encode("utf-16-le"), "utf-16-le"),
        (codecs.BOM_UTF16_BE + "a\n".encode("utf-16-be"), "utf-16-be"),
        (codecs.BOM_UTF32_LE + "a\n".encode("utf-32-le"), "utf-32-le"),
        ("name,town\n".encode("utf-16-le"), "utf-16-le"),
        ("name,town\n".encode("utf-16-be"), "utf-16-be"),
    ],
)
def test_encoding_is_found(data: bytes, name: str) -> None:
    assert detect_encoding(data, complete=True).name == name


def test_a_head_that_ends_inside_a_character_is_still_utf8() -> None:
    head = "naïve €".encode()[:-1]
    assert detect_encoding(head, complete=False).name == "utf-8"
    assert detect_encoding(head, complete=True).name == "utf-8", "a file that is cut there has a whole character before"
    assert detect_encoding("5 €".encode()[:-1], complete=False).name == "utf-8"
    assert detect_encoding("5 €".encode()[:-1], complete=True).name == "cp1252"


def test_a_byte_order_mark_outranks_what_was_declared_and_says_so() -> None:
    data = codecs.BOM_UTF16_LE + "a\n".encode("utf-16-le")
    found = detect_encoding(data, complete=True, declared="cp1252")
    assert found.name == "utf-16-le"
    assert found.guess is not None
    assert "cp1252" in found.guess
    assert detect_encoding(data, complete=True, declared="utf-16").guess is None


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


@pytest.mark.parametrize(
    ("data", "better"),
    [
        (b"plain\n", None),
        ("später ä".encode(), None),
        ("später ä".encode("cp1252"), "cp1252"),
        ("später ä".encode() + "ä".encode("cp1252"), None),  # UTF-8 with broken rows
        ("ends with é".encode("cp1252"), "cp1252"),
    ],
)
@pytest.mark.parametrize("step", [1, 1000])
def test_a_late_accent_corrects_a_plain_head(data: bytes, better: str | None, step: int) -> None:
    evidence = Utf8Evidence()
    for start in range(0, len(data), step):
        evidence.feed(data[start : start + step])
    found = evidence.verdict()
    assert (found.name if found else None) == better
