"""What a file is by its name: no data at all, a table of text, or something that is set aside unread."""

from __future__ import annotations

from pathlib import PurePosixPath

from pipeline.csv_refusals import SAVE_SHEETS, Problem

DATA_SUFFIXES = (".csv", ".tsv", ".tab", ".psv", ".ssv", ".txt")
"""Each may be followed by ``.gz``. A file with another one is rejected by its name."""
IGNORED_NAMES = frozenset({"readme.md", "readme.txt", "presets.yaml", "presets.yml", "thumbs.db", "desktop.ini"})
"""Last parts of names (in any case) that are no data and are not planned; nor are hidden files and folder placeholders."""
_SPREADSHEETS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".numbers")
_ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".tgz", ".bz2", ".xz", ".zst")


def is_ignored(name: str) -> bool:
    """Whether a file is no data by its name: a folder, a hidden file (or in a hidden folder), one of IGNORED_NAMES."""
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") and part != ".." for part in path.parts)
    return name.endswith("/") or path.name.casefold() in IGNORED_NAMES or hidden


def is_no_member(name: str) -> bool:
    """Whether what stands in an archive is no file that its maker put there: a folder, or what a system adds unasked."""
    return is_ignored(name) or "__MACOSX" in PurePosixPath(name).parts


def no_table(name: str, *, in_archive: bool = False) -> Problem | None:
    """Why a file is not looked at, by the end of its name; ``None`` for what may be a table of text."""
    lower = name.casefold()
    if lower.removesuffix(".gz").endswith(DATA_SUFFIXES):
        return None
    if lower.endswith(_SPREADSHEETS):
        return Problem(f"{name} is a spreadsheet by its name", SAVE_SHEETS)
    read = f"read are {', '.join(DATA_SUFFIXES)}, each also with .gz{'' if in_archive else ', and archives of them (.zip)'}"
    if lower.endswith(".zip") and not in_archive:
        step = "Check whether its upload was complete, and drop it again."
        return Problem(f"{name} is named as a zip archive, and is none by its first bytes", step)
    if lower.removesuffix(".gz").endswith(_ARCHIVES):
        where = "an archive inside an archive" if in_archive else "an archive"
        step = "Unpack it and drop the files that it holds, or one .zip of them."
        return Problem(f"{name} is {where} by its name; {read}", step)
    return Problem(f"{name} is no delimited text by its name; {read}", "Export it as CSV and drop it again, or remove it.")
