"""In which encoding a file is: marks, declarations, the shape of bytes, from any portions."""

from __future__ import annotations

import codecs

import pytest

from pipeline.declared_encoding import DeclaredEvidence, undecodable_in
from pipeline.text_encodings import Encoding, WordEvidence, codec_of, detect_encoding


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
    assert detect_encoding(head, complete=False) == Encoding("utf-8")
    assert detect_encoding(head, complete=True).name == "utf-8"  # with a broken word
    assert detect_encoding("€".encode()[:-1], complete=True).name == "cp1252"


def test_a_byte_order_mark_outranks_what_was_declared_and_says_so() -> None:
    data = codecs.BOM_UTF16_LE + "a\n".encode("utf-16-le")
    found = detect_encoding(data, complete=True, declared="cp1252")
    assert found.name == "utf-16-le"
    assert found.guess is not None
    assert "cp1252" in found.guess
    assert detect_encoding(data, complete=True, declared="utf-16").guess is None


@pytest.mark.parametrize(
    ("data", "better"),
    [
        (b"plain\n", None),
        ("später ä".encode(), None),
        ("später ä".encode("cp1252"), "cp1252"),
        ("später ä".encode() + "ä".encode("cp1252"), "utf-8"),  # with a broken word
        ("später ä".encode("utf-8-sig") + 9 * " ä".encode("cp1252"), "utf-8"),  # by its mark, whatever follows
        ("ends with é".encode("cp1252"), "cp1252"),
        ("später Čapek, Dvořák, Říčany".encode("cp1250"), "cp1250"),
        ("後で 東京都, 大阪市".encode("cp932"), "cp932"),
    ],
)
@pytest.mark.parametrize("plain", [0, 300_000])
@pytest.mark.parametrize("step", [1, 2, 3, 8192])
def test_a_late_accent_corrects_a_plain_head(data: bytes, better: str | None, plain: int, step: int) -> None:
    if plain and (step < 1000 or data.startswith(codecs.BOM_UTF8)):
        return  # that slowly, only the short ones; and a mark stands at the beginning or is none
    evidence = WordEvidence()
    whole = b"12,\n" * (plain // 4) + data
    for start in range(0, len(whole), step):
        evidence.feed(whole[start : start + step])
    found = evidence.verdict()
    assert (found.name if found else None) == better


@pytest.mark.parametrize("step", [1, 7, 1000, 8192, 1 << 20])
@pytest.mark.parametrize("text", ["日本語の長い文が区切りなしに続く" * 3000, "Grüße" * 10_000])
def test_words_without_end_are_no_evidence_against_utf8(text: str, step: int) -> None:
    evidence = WordEvidence()
    data = text.encode()[: 1000 if step == 1 else None]
    data = data[: data.rfind(text[-1].encode()) + len(text[-1].encode())]
    for start in range(0, len(data), step):
        evidence.feed(data[start : start + step])
    assert evidence.verdict() is None


def test_a_file_that_is_mostly_utf8_stays_so_and_says_what_becomes_of_the_rest() -> None:
    rows = "".join(f"{n},Käthe Müller\n" for n in range(100))
    found = detect_encoding(rows.encode() + "101,Zoë\n".encode("cp1252"), complete=True)
    assert (found.name, found.rivals) == ("utf-8", ())
    assert found.guess == "encoding utf-8: some bytes are not; rows that hold them are set aside"


def test_pairs_that_are_utf8_by_chance_do_not_make_a_chinese_file_utf8() -> None:
    common = "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里"
    rows = "".join(f"{n},{common[n % 40 : n % 40 + 4]}\n" for n in range(200))
    assert detect_encoding(rows.encode("gb18030"), complete=True).name == "gb18030"


def test_a_word_that_is_utf8_by_chance_does_not_make_a_short_file_utf8() -> None:
    raw = "id,city\n1,Orsay-l’Église\n2,Besançon\n3,dû à la grève\n".encode("mac_roman")
    assert "\u0543" in raw.decode("utf-8", "replace")  # an Armenian letter
    found = detect_encoding(raw, complete=True)
    assert (found.name == "mac_roman") or "mac_roman" in found.rivals


@pytest.mark.parametrize(
    "text",
    ["id,name\n1,Иванов\n2,Петров\n", "id;имя\n", "id,顧客\n1,一郎\n", "a;\n", "id,name\r\n1,Ann\r\n"],
)
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_unicode_without_a_mark_is_known_by_its_zeros(text: str, encoding: str) -> None:
    data = text.encode(encoding)
    for head in (data, data[:-1]):
        if len(head) >= 4:
            assert detect_encoding(head, complete=False).name == encoding


@pytest.mark.parametrize("data", [b"id,na\0me\n1,a\n", b"\0" * 64, b"id,\0\0\0\0\0\0\0\0name\n", b"a\0"])
def test_zeros_that_are_dirt_make_no_encoding(data: bytes) -> None:
    assert detect_encoding(data, complete=True).name == "utf-8"


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("windows-1250", "cp1250"),
        ("Windows-1252", "cp1252"),
        ("cp1252", "cp1252"),
        ("ISO-8859-15", "iso8859-15"),
        ("latin1", "iso8859-1"),
        ("macintosh", "mac-roman"),
        ("x-mac-roman", "mac-roman"),
        ("mac_roman", "mac-roman"),
        ("IBM850", "cp850"),
        ("Shift_JIS", "shift_jis"),
        ("windows-31j", "cp932"),
        ("GB2312", "gb2312"),
        ("Big5", "big5"),
        ("EUC-KR", "euc_kr"),
        ("windows-874", "cp874"),
        ("UTF-16LE", "utf-16-le"),
        ("ANSI", "cp1252"),
        ("rot13", None),
        ("unicode_escape", None),
        ("klingon", None),
        ("", None),
    ],
)
def test_names_of_encodings(name: str, codec: str | None) -> None:
    assert codec_of(name) == codec


@pytest.mark.parametrize("step", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    ("encoding", "good", "bad", "shown"),
    [
        ("utf-8", "a,é\r\nb\rc\n", b"x\xe9y", "0xe9"),
        ("cp1252", "a,é\r\nb\rc\n", b"x\x81y", "0x81"),
        ("cp932", "a,東\r\nb\rc京\n", b"x\x81 y", "0x81"),
        ("gb18030", "a,东\r\nb\rc京\n", b"x\xff\xffy", "0xff"),
        ("cp949", "a,서\r\nb\rc울\n", b"x\xff\xffy", "0xff"),
        ("utf-16-le", "a,é\r\nb\rc\n", b"x\0\x00\xd8y\0", "0x00 0xd8"),
        ("utf-16-be", "a,é\r\nb\rc\n", b"\0x\xd8\x00\0y", "0xd8 0x00"),
        ("utf-8", "a,é\r\nb\rc\n", b"x\xe2\x82", "0xe2 0x82"),  # cut at the end of the file
    ],
)
def test_the_first_byte_that_is_not_in_the_declared_encoding(
    encoding: str, good: str, bad: bytes, shown: str, step: int
) -> None:
    start = good.encode(encoding)
    place = len(start) + encoding.count("16") + 1  # after an x
    for data, expected in ((start, None), (start + bad, f"byte {place:,} in line 4 is {shown}")):
        evidence = DeclaredEvidence(encoding)
        for at in range(0, len(data), step):
            evidence.feed(data[at : at + step])
        found = evidence.verdict()
        assert (found.undecodable if found else None) == expected


def test_the_head_of_a_file_may_end_inside_a_character_of_its_declared_encoding() -> None:
    head = "東京".encode("cp932")[:-1]
    assert undecodable_in(head, "cp932", complete=False) is None
    assert undecodable_in(head, "cp932", complete=True) is not None
