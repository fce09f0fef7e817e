"""The command line: help that teaches, and messages that say what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import cli
from sandbox.world import Lock, Running, World

VERBS = ("demo", "up", "down", "fire", "sql", "status", "files", "faults", "preset", "reset")


def _help(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as left:
        cli.main([*arguments, "--help"])
    assert left.value.code == 0
    return capsys.readouterr().out


def test_the_first_help_names_every_verb_and_first_steps(capsys: pytest.CaptureFixture[str]) -> None:
    text = _help(capsys)
    for verb in VERBS:
        assert f"\n    {verb} " in text
    assert "python -m sandbox demo" in text


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_s_help_has_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = _help(capsys, verb)
    assert "Example" in text
    assert f"python -m sandbox {verb}" in text
    assert "--home" in text
    assert "--data" in text


def test_an_unknown_verb_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["dance"])
    assert left.value.code == 2


@pytest.mark.parametrize("arguments", [["sql", "select 1"], ["status"], ["files"]])
def test_a_world_that_was_never_filled_is_named_with_the_next_step(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*arguments, "--home", str(tmp_path / "none")]) == 1
    assert "`demo` fills one" in capsys.readouterr().err


def test_down_of_a_world_that_is_down_is_fine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["down", "--home", str(tmp_path)]) == 0
    assert "not up" in capsys.readouterr().out


def test_reset_asks_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    World(tmp_path / "w").write_running(Running(pid=1, status="down"))
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert cli.main(["reset", "--home", str(tmp_path / "w")]) == 1
    assert (tmp_path / "w").exists()
    monkeypatch.setattr("builtins.input", lambda _: "y")
    assert cli.main(["reset", "--home", str(tmp_path / "w")]) == 0
    assert not (tmp_path / "w").exists()


def test_reset_deletes_only_homes_of_worlds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    assert cli.main(["reset", "--yes", "--home", str(tmp_path)]) == 1
    assert (tmp_path / "precious.txt").exists()
    assert "not a world's home" in capsys.readouterr().err


def test_reset_refuses_a_world_that_is_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    World(tmp_path).write_running(Running(pid=1, status="up"))
    lock = Lock(tmp_path)
    try:
        assert cli.main(["reset", "--yes", "--home", str(tmp_path)]) == 1
    finally:
        lock.release()
    assert "already up" in capsys.readouterr().err
    assert tmp_path.exists()
