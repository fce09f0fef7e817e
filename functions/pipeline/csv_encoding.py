"""What all the bytes of a file say of its encoding, and what becomes of how it is read."""

from __future__ import annotations

from dataclasses import replace

from pipeline.csv_reading import Reading
from pipeline.csv_refusals import Problem
from pipeline.csv_text import CHUNK_BYTES, Gunzip, Readable
from pipeline.declared_encoding import DeclaredEvidence
from pipeline.text_encodings import Encoding, WordEvidence

Evidence = WordEvidence | DeclaredEvidence
_GUESS = "encoding "
"""What the guess of an encoding begins with."""


def evidence_of(reading: Reading) -> Evidence | None:
    """What is to watch the bytes of a file go by: whether they keep to its encoding, where its preset declares that, or which
    one its words speak for. ``None`` where no word could speak against it: the shape of UTF-16 and UTF-32 shows in the head."""
    if reading.encoding_declared:
        return DeclaredEvidence(reading.encoding)
    return None if reading.encoding.startswith(("utf-16", "utf-32")) else WordEvidence()


def read_through(stream: Readable, reading: Reading, name: str) -> Reading | Problem:
    """``reading`` by all the bytes of the file ``name``, or why it is set aside; for those that read it from one place only.

    Raises :class:`~pipeline.csv_text.NotRows` for a gzip stream that is broken.
    """
    evidence = evidence_of(reading)
    content = Gunzip(stream) if reading.gzip else stream
    while data := content.read(CHUNK_BYTES):
        if evidence is not None:
            evidence.feed(data)
    return as_found(reading, evidence.verdict() if evidence else None, name)


def as_found(reading: Reading, found: Encoding | None, name: str) -> Reading | Problem:
    """``reading`` by the verdict on the whole file ``name`` (``None``: nothing against it), or why the file is set aside."""
    if found is None:
        return reading
    if found.undecodable is not None:
        return undecodable(name, reading.preset, found)
    others = tuple(guess for guess in reading.guesses if not guess.startswith(_GUESS))
    if header := _header_against(reading, found.name):
        said = f"{_GUESS}{reading.encoding}: by its header '{header}'; by its words it would be {found.name}"
        return replace(reading, guesses=(said, *others))
    return replace(reading, encoding=found.name, guesses=(*filter(None, [found.guess]), *others))


def undecodable(name: str, preset: str, found: Encoding) -> Problem:
    """A file that is not in the encoding that its preset declares."""
    return Problem(
        f"{name} is not in {found.name}, which preset '{preset}' declares: {found.undecodable}",
        f"Export it in that encoding and drop it again, or correct format.encoding in preset '{preset}' "
        "and run the source again.",
    )


def _header_against(reading: Reading, encoding: str) -> str | None:
    """A header that a preset knows, letter by letter, as the file is read now, and would not in another encoding."""
    for column in reading.columns:
        for header in column.headers:
            if header.isascii():
                continue
            try:
                if header.encode(reading.encoding).decode(encoding) == header:
                    continue
            except UnicodeError:
                pass
            return header
    return None
