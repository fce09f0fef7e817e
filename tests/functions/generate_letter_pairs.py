"""Writes ``functions/pipeline/letter_pairs.json``: how often which letter follows which in a language.

Needs Babel 2.18.0 (the Unicode CLDR: places, languages, currencies, months) and Faker 40.63.0 (names, streets, professions,
words) in an environment of their own: ``python tests/functions/generate_letter_pairs.py --write``. Only counts are kept, no
word of either.
"""

from __future__ import annotations

import argparse
import collections
import importlib
import json
import pkgutil
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

LANGUAGES = {
    "ca": ["es_CA"],
    "cs": ["cs_CZ"],
    "da": ["da_DK"],
    "de": ["de", "de_AT", "de_CH", "de_DE"],
    "el": ["el_GR", "el_CY"],
    "en": ["en", "en_US", "en_GB"],
    "es": ["es", "es_AR", "es_CL", "es_CO", "es_ES", "es_MX"],
    "et": ["et_EE"],
    "fi": ["fi_FI"],
    "fr": ["fr_BE", "fr_CA", "fr_CH", "fr_FR", "fr_QC"],
    "he": ["he_IL"],
    "ar": ["ar_AA", "ar_AE", "ar_EG", "ar_SA", "ar_PS"],
    "hr": ["hr_HR"],
    "hu": ["hu_HU"],
    "is": ["is_IS"],
    "it": ["it_IT", "it_CH"],
    "lt": ["lt_LT"],
    "lv": ["lv_LV"],
    "nb": ["no_NO"],
    "nl": ["nl_NL", "nl_BE"],
    "pl": ["pl_PL"],
    "pt": ["pt_BR", "pt_PT"],
    "ro": ["ro_RO"],
    "bg": ["bg_BG"],
    "ru": ["ru_RU"],
    "sk": ["sk_SK"],
    "sl": ["sl_SI"],
    "sv": ["sv_SE"],
    "tr": ["tr_TR"],
    "uk": ["uk_UA"],
}
CHARACTERS = {
    "ja": ("ja", ["ja_JP"]),
    "ko": ("ko", ["ko_KR"]),
    "zh_Hans": ("zh_Hans_CN", ["zh_CN"]),
    "zh_Hant": ("zh_Hant_TW", ["zh_TW"]),
}
"""Languages of so many characters that pairs would tell little: which ones are common tells enough."""
EVERYDAY = {
    "it": "è già più giù però può ciò perciò perché poiché affinché così sì lì là qui laggiù quassù lassù lunedì martedì "
    "mercoledì giovedì venerdì oggidì altresì cioè caffè tè tassì menù tribù virtù gioventù servitù schiavitù ragù "
    "bambù tiramisù età libertà società attività novità quantità comunità possibilità metà papà sarà avrà farà dirà "
    "verrà andrò sarò finì partì",
    "nb": "på få må så når år både måte språk også åpen ønske øre første før gjøre høre kjøpe ø sjø snø brød rød grønn øst "
    "sør bø være vær hjerte læring ærlig øl øy tø frø tøy strøm høst følge spørre",
    "fr": "à là déjà voilà où â âge pâte tâche grâce château bâtiment même fête être prêt forêt tête côté hôte plutôt "
    "bientôt île maître naître connaître août coût goût dû sûr mûr très après près dès succès mère père élève "
    "première dernière ça reçu leçon français façon noël naïf haïr œil œuf sœur cœur vœu",
    "pt": "não então são mão pão irmão estão avó avô você três mês até já lá às português inglês açúcar câmara lâmpada "
    "ânimo ângulo ciências ônibus côncavo põe ações lições manhã irmã maçã órgão útil fácil difícil número também "
    "alguém",
    "es": "más está están aquí allí así también según después adiós días país tú él sí té mí qué cómo cuándo dónde español "
    "niña año señor señora mañana pequeño último número fácil difícil jamás quizá avión razón canción nación pingüino "
    "vergüenza",
    "is": "það þú þið því þar þá við með að ég sér á í ó já nú ný þrír þér þau búð stúdent maður góður góðan dag takk mjög "
    "ætla",
    "de": "für über müssen können möchten dürfen hören schön größe straße heiß weiß fuß spät wäre hätte würde zurück früh "
    "tür über",
}
"""Words of every day with the accents that lists of names are short of, where they stand at the end above all."""
KEPT_CHARACTERS = 1_500
_CEDILLA = str.maketrans("șțʼ", "şţ’")
TARGET = Path(__file__).parents[2] / "functions" / "pipeline" / "letter_pairs.json"


def main() -> int:
    """Exit code 1 with ``--check`` when the file is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    made = text()
    if options.write:
        TARGET.write_text(made, encoding="utf-8")
    elif options.check:
        return int(made != TARGET.read_text(encoding="utf-8"))
    else:
        sys.stdout.write(made)
    return 0


def text() -> str:
    """The file: a language a line."""
    pairs = {
        code: _pairs(sorted({*_cldr(code), *_faker(locales), EVERYDAY.get(code, "")})) for code, locales in LANGUAGES.items()
    }
    characters = {code: _characters([*_cldr(cldr), *_faker(locales)]) for code, (cldr, locales) in CHARACTERS.items()}
    lines = [f"{json.dumps(code)}: {json.dumps(table, ensure_ascii=False)}" for code, table in pairs.items()]
    common = [f"{json.dumps(code)}: {json.dumps(chars, ensure_ascii=False)}" for code, chars in characters.items()]
    return '{"pairs": {\n' + ",\n".join(lines) + '\n},\n"characters": {\n' + ",\n".join(common) + "\n}}\n"


def _pairs(texts: Iterable[str]) -> dict[str, Any]:
    """``total``: how often a letter is followed by anything, the blank standing for a word's edge; ``pairs``: letter to those
    that follow it with their counts, as far as one of the two is not ASCII."""
    total: Counter[str] = Counter()
    follow: dict[str, Counter[str]] = collections.defaultdict(Counter)
    for word in sorted({word for line in texts for word in words(line)}):
        around = f" {word} "
        for first, second in pairwise(around):
            total[first] += 1
            if not (first + second).isascii():
                follow[first][second] += 1
    shown = {first: _counted(follow[first]) for first in sorted(follow)}
    return {"total": dict(sorted(total.items())), "pairs": shown}


def _counted(found: Counter[str]) -> str:
    return "".join(f"{letter}{count}" for letter, count in sorted(found.items()))


def words(line: str) -> Iterator[str]:
    """Runs of letters and marks, each letter in lower case."""
    kept = "".join(fold(char) if unicodedata.category(char)[0] in "LM" else " " for char in unicodedata.normalize("NFC", line))
    return (word for word in kept.split() if len(word) > 1)


def fold(char: str) -> str:
    """A letter in lower case, where that is one letter; with the cedilla that old encodings have for Romanian's comma below."""
    lower = char.lower()
    return lower.translate(_CEDILLA) if len(lower) == 1 else char


def _characters(texts: Iterable[str]) -> str:
    """Characters above ASCII, the commonest first."""
    counts = Counter(char for line in texts for char in line if char > "\x7f" and unicodedata.category(char)[0] == "L")
    return "".join(sorted(counts, key=lambda char: (-counts[char], char))[:KEPT_CHARACTERS])


def _cldr(code: str) -> Iterator[str]:
    import babel
    from babel.dates import get_day_names, get_month_names

    locale = babel.Locale.parse(code)
    yield from locale.territories.values()
    yield from locale.languages.values()
    yield from locale.currencies.values()
    yield from (zone["city"] for zone in locale.time_zones.values() if "city" in zone)
    yield from get_month_names("wide", "format", locale).values()
    yield from get_day_names("wide", "format", locale).values()


def _faker(locales: Iterable[str]) -> Iterator[str]:
    """Every text of the providers of these locales that is no pattern."""
    import faker.providers

    for group in pkgutil.iter_modules(faker.providers.__path__):
        for locale in locales:
            try:
                module = importlib.import_module(f"faker.providers.{group.name}.{locale}")
            except ImportError:
                continue
            for name, value in vars(getattr(module, "Provider", object)).items():
                if not name.startswith("_"):
                    yield from (found for found in _strings(value) if "{" not in found and "%" not in found)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inside in value.items():
            yield from _strings(key)
            yield from _strings(inside)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for inside in value:
            yield from _strings(inside)


if __name__ == "__main__":
    raise SystemExit(main())
