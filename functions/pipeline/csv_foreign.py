"""Files that are no table at all, whatever their names say: what they are, so that a person knows what went wrong.

A login page saved under the name of the export is the commonest of them. Some are known by their first bytes, others by how
their text begins, the rest by bytes that no text holds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_MAGIC = (
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"\x1f\x8b", "compressed twice"),
    (b"SQLite format 3", "a database"),
    (b"{\\rtf", "a word processor's document"),
)
_STARTS = (
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"PAR1", "a Parquet file"),
    (b"%PDF", "a PDF"),
    (b"BZh", "a bzip2 archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"<?xml", "an XML document"),
    (b"{", "JSON"),
    (b"[{", "JSON"),
)
"""Compared without case; a mark and blanks may stand before them."""
_BEGINNINGS = (
    (re.compile(r"<(?:!doctype html|html|head|body|table|script|meta|title|div|!--)", re.IGNORECASE), "a web page"),
    (re.compile(r"<[a-z_][\w.:-]*[\s/>]", re.IGNORECASE), "an XML document"),
    (re.compile(r'[\[{]\s*(?:[\[{"]|$)'), "JSON"),
    (re.compile(r"(?:insert into|create table|-- \w* ?(?:sql|mysql|postgresql) )", re.IGNORECASE), "SQL"),
    (re.compile(r"(?:from|received|mime-version|return-path): ", re.IGNORECASE), "an e-mail"),
    (re.compile(r"version https://git-lfs"), "a pointer to a file that lies elsewhere"),
)
_BINARY = re.compile("[\\x00-\\x08\\x0e-\\x19\\x7f]")
_BINARY_SHARE = 0.05
"""So many characters of a text may be control characters."""


def foreign_bytes(head: bytes) -> str | None:
    """What a file is whose first bytes only one kind of files has; ``None`` for any other. ``head`` is unpacked."""
    if found := next((what for magic, what in _MAGIC if head.startswith(magic)), None):
        return found
    if head.startswith(b"PK\x03\x04"):
        return office_document(head) or "a zip archive; unpack it"
    start = head[:40].lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    return next((what for magic, what in _STARTS if start.startswith(magic.lower())), None)


def office_document(head: bytes) -> str | None:
    """What a zip file is by the name of its first member, which stands 30 bytes in (APPNOTE 4.3.7): workbooks are zip files."""
    size = int.from_bytes(head[26:28], "little")
    member = head[30 : 30 + size]
    if member.startswith((b"[Content_Types].xml", b"_rels/", b"docProps/", b"xl/")):
        return "an Excel workbook"
    if member == b"mimetype" and head[30 + size :].startswith(b"application/vnd.oasis.opendocument"):
        return "an OpenDocument file"
    return None


def foreign_text(lines: Sequence[str]) -> str | None:
    """What a file is by its first lines, where they are those of no table."""
    start = "".join(lines[:40])[:4000].lstrip("\ufeff \r\n\t")
    if found := next((what for pattern, what in _BEGINNINGS if pattern.match(start)), None):
        return found
    return "binary data, no text" if start and len(_BINARY.findall(start)) > _BINARY_SHARE * len(start) else None
