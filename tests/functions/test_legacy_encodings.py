"""Encodings of one region each, told by their words: right, or a reported guess among named rivals; never a Western file taken
for anything else."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from pipeline import legacy_encodings
from pipeline.legacy_encodings import CANDIDATES, DEFAULT, judge
from pipeline.text_encodings import Encoding, WordEvidence, detect_encoding
from tests.functions.encoding_texts import LANGUAGES, LENGTHS, table

SEEDS = range(3)
CASES = [(language, encoding) for language, known in LANGUAGES.items() for encoding in known.encodings]
WESTERN = [language for language, known in LANGUAGES.items() if "cp1252" in known.encodings]
SURE = 300
"""So many characters leave no doubt in any language."""


def reads(raw: bytes, encoding: str, text: str) -> bool:
    """Whether an encoding reads what was written; several may."""
    try:
        return raw.decode(encoding) == text
    except UnicodeDecodeError:
        return False


def detected(text: str, encoding: str) -> tuple[bytes, Encoding]:
    raw = text.encode(encoding)
    return raw, detect_encoding(raw, complete=True)


@pytest.mark.parametrize("accents", LENGTHS)
@pytest.mark.parametrize(("language", "encoding"), CASES)
def test_a_table_is_read_as_it_was_written_or_its_encoding_is_named(language: str, encoding: str, accents: int) -> None:
    for seed in SEEDS:
        text = table(LANGUAGES[language], accents, seed, encoding=encoding)
        raw, found = detected(text, encoding)
        assert found.guess is not None
        named = [rival for rival in found.rivals if reads(raw, rival, text)]
        assert reads(raw, found.name, text) or named, (seed, found)
        assert all(rival in found.guess for rival in found.rivals)
        if accents == SURE or encoding == DEFAULT:
            assert reads(raw, found.name, text), (seed, found)


@pytest.mark.parametrize("accents", LENGTHS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_unicode_is_never_taken_for_anything_else(language: str, accents: int) -> None:
    for seed in SEEDS:
        text = table(LANGUAGES[language], accents, seed)
        for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
            assert detected(text, encoding)[1].guess is None
        assert detected(text, "utf-8")[1].name == "utf-8"
        for encoding in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"):
            _, found = detected(text, encoding)
            assert (found.name, found.rivals) == (encoding, ())
            assert found.guess is not None


def test_one_western_word_alone_is_western() -> None:
    """Every name, town and remark as a file of its own: there is nothing shorter."""
    signs = [
        "“ok” – £12",
        "½ © 2024 KG®",
        "25 °C",
        "12 €",
        "3ª",
        "Nº 5",
        "O’Brien",
        "MÜLLER",
        "GARCÍA",
        "ÅSE",
        "À la",
        "Æ",
    ]
    known = [LANGUAGES[language] for language in WESTERN]
    words = [*signs, *(cell for each in known for cell in (*each.names, *each.towns, *each.remarks) if not cell.isascii())]
    wrong = []
    for word in words:
        text = f"id,note\r\n1,{word}\r\n"
        raw, found = detected(text, "cp1252")
        if not reads(raw, found.name, text):
            wrong.append((word, found))
    assert wrong == []


def test_western_files_of_all_countries_at_once_are_western() -> None:
    rng = random.Random(7)
    known = [LANGUAGES[language] for language in WESTERN]
    cells = [cell for each in known for cell in (*each.names, *each.towns, *each.remarks)]
    for size in (3, 10, 100):
        for _ in range(20):
            text = "id,note\n" + "".join(f"{n},{rng.choice(cells)}\n" for n in range(size))
            raw = text.encode("cp1252")
            assert raw.isascii() or reads(raw, detect_encoding(raw, complete=True).name, text)


@pytest.mark.parametrize("spoilt", [b"M\xb3ller", b"M\xc3\xbcller", b"Caf\x8e", b"\x81\x8d", b"Jos\xe9\xff\xfe"])
def test_one_spoilt_word_does_not_speak_for_a_western_file(spoilt: bytes) -> None:
    text = table(LANGUAGES["German"], 40, 1, encoding="cp1252").encode("cp1252") + b"99," + spoilt + b",,,\r\n"
    assert detect_encoding(text, complete=True).name == "cp1252"


def test_a_guess_names_its_rivals_with_letters_as_each_reads_them() -> None:
    _, found = detected("contact_id,city\n1,Říčany\n2,Tábor\n3,Říčany\n4,Dvořák\n", "cp1250")
    assert (found.name, "cp1252" in found.rivals) == ("cp1250", True)
    assert found.guess is not None
    assert "cp1250 (Central European, Windows)" in found.guess
    assert "in cp1252 'Říč' would be 'Øíè'" in found.guess  # enough to tell, and nobody's name
    assert "format.encoding of a preset decides" in found.guess


def test_encodings_that_read_the_file_alike_are_no_rivals() -> None:
    _, found = detected(table(LANGUAGES["German"], 10, 1), "cp850")
    assert found.name == "cp850"
    assert not {"cp437", "cp858"} & set(found.rivals)


def test_a_rival_that_does_not_read_the_file_is_not_named() -> None:
    raw, found = detected("id,city\n1,Ťapešovo\n2,Trnava\n", "cp1250")
    assert b"\x8d" in raw  # Windows-1252 has no such byte
    assert "cp1252" not in found.rivals


def test_the_rare_words_of_a_long_file_are_weighed() -> None:
    """German customers do not tell Windows-1252 from Windows-1250: the few others, wherever they stand, do."""
    german = table(LANGUAGES["German"], 300, 1, encoding="cp1252").encode("cp1252").split(b"\r\n")[1:-1]
    czech = table(LANGUAGES["Czech"], 40, 1, encoding="cp1250").encode("cp1250").split(b"\r\n")[1:-1]
    evidence = WordEvidence()
    for _ in range(200):
        evidence.feed(b"\r\n".join(german) + b"\r\n")
    evidence.feed(b"\r\n".join(czech) + b"\r\n")
    for _ in range(200):
        evidence.feed(b"\r\n".join(german) + b"\r\n")
    found = evidence.verdict()
    assert found is not None
    assert found.name == "cp1250"
    assert sum(map(len, evidence.sample)) < 100_000


def test_scores_do_not_hang_on_the_order_of_words() -> None:
    raw = table(LANGUAGES["Polish"], 40, 3, encoding="cp1250").encode("cp1250")
    lines = raw.split(b"\r\n")
    turned = b"\r\n".join([lines[0], *reversed(lines[1:])])
    both = []
    for data in (raw, turned):
        evidence = WordEvidence()
        evidence.feed(data)
        evidence.verdict()
        both.append(judge(evidence.sample).scores)
    assert both[0]["cp1250"] == pytest.approx(both[1]["cp1250"])


def test_every_encoding_that_is_weighed_exists_and_has_ascii() -> None:
    ascii_ = bytes(range(0x20, 0x7F))
    assert [each.name for each in CANDIDATES if ascii_.decode(each.name) != ascii_.decode()] == []


def test_letters_are_counted_for_the_languages_that_are_weighed() -> None:
    counted = json.loads(Path(legacy_encodings.__file__).with_name("letter_pairs.json").read_text(encoding="utf-8"))
    weighed = {language for each in CANDIDATES for language in each.languages}
    assert set(counted["pairs"]) == weighed
    assert set(counted["characters"]) == {each.characters for each in CANDIDATES if each.characters}
