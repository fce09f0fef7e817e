"""The house in order: links lead somewhere, commands that pages name exist, and files speak of the project alone."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "powerbi").glob("*.md"), *ROOT.glob("*/**/README.md")]
)
PAGES = [page for page in dict.fromkeys(PAGES) if not {".venv", ".venvs", ".sandbox"} & set(page.relative_to(ROOT).parts)]


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    return [ROOT / name for name in listed.stdout.split("\0") if name]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if "://" not in link:
            assert (page.parent / link).exists(), f"{page.name}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_make_targets_that_pages_name_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    named = set(re.findall(r"`make ([a-z][a-z-]+)", page.read_text(encoding="utf-8")))
    assert named <= targets


def test_no_drawer_modules() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "base", "misc"}
    assert [path for path in tracked() if path.suffix == ".py" and path.stem in drawers] == []


def test_no_absolute_paths_of_some_machine() -> None:
    for path in tracked():
        if path.suffix in {".py", ".md", ".yml", ".yaml", ".toml", ".tf", ".sql"} and path != Path(__file__):
            text = path.read_text(encoding="utf-8", errors="ignore")
            assert not re.search(r"(?<![\w.])/(home|Users|root|work)/\w", text), path


def test_the_page_on_architecture_names_every_module_of_the_pipeline() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    modules = [path for path in (ROOT / "functions" / "pipeline").rglob("*.py") if path.name != "__init__.py"]
    assert [path.name for path in modules if f"`{path.name}`" not in page] == []
