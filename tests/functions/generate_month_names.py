"""Writes ``functions/pipeline/month_names.py``: what months and weekdays are called, by the Unicode CLDR as Babel carries it.

``.venvs/dbt/bin/python tests/functions/generate_month_names.py --write`` (Babel comes with dbt's environment); ``--check`` only
says whether the file is stale. A word that means two different months in two of the languages is left out.
"""

from __future__ import annotations

import argparse
import sys
import unicodedata
from pathlib import Path

LOCALES = (
    *("en", "en_GB", "de", "de_AT", "fr", "fr_CA", "es", "es_MX", "it", "pt", "pt_PT"),
    *("nl", "pl", "sv", "da", "nb", "fi", "cs", "ro", "tr"),
)
TARGET = Path(__file__).parents[2] / "functions" / "pipeline" / "month_names.py"


def forms(name: str) -> set[str]:
    """A name as it is looked up: case folded, without its dot; and as a keyboard without accents writes it."""
    word = unicodedata.normalize("NFC", name).casefold().rstrip(".")
    bare = "".join(char for char in unicodedata.normalize("NFKD", word) if not unicodedata.combining(char))
    return {word, bare}


def text() -> str:
    import babel
    from babel.dates import get_day_names, get_month_names

    months: dict[str, set[int]] = {}
    days: set[str] = set()
    for locale in LOCALES:
        for context in ("format", "stand-alone"):
            for width in ("wide", "abbreviated"):
                for number, name in get_month_names(width, context, locale).items():
                    for form in forms(name):
                        months.setdefault(form, set()).add(number)
                for name in get_day_names(width, context, locale).values():
                    days |= forms(name)
    clear = {word: numbers.pop() for word, numbers in months.items() if len(numbers) == 1 and word.isalpha() and len(word) > 2}
    lines = [
        f'"""Months and weekdays in {len({locale[:2] for locale in LOCALES})} languages, in lower case and without dots.',
        "",
        f"Made by tests/functions/generate_month_names.py from the Unicode CLDR (Babel {babel.__version__}), not by hand.",
        '"""',
        "",
        "# fmt: off",
        "MONTHS = {",
        *(f'    "{word}": {number},' for word, number in sorted(clear.items(), key=lambda item: (item[1], item[0]))),
        "}",
        "WEEKDAYS = frozenset({",
        *(f'    "{word}",' for word in sorted(days)),
        "})",
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--write", action="store_true")
    group.add_argument("--check", action="store_true")
    wanted = text()
    if parser.parse_args().write:
        TARGET.write_text(wanted, encoding="utf-8")
    elif TARGET.read_text(encoding="utf-8") != wanted:
        print(f"{TARGET.name} is stale: run {Path(__file__).name} --write", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
