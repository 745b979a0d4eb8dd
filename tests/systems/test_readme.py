"""README's first lines do what they say: one command, a lock with two holders, its picture."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from harness.commands.cli import guarded

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
FIRST_BLOCK = next(re.finditer(r"(?:^    .+\n)+", README, re.MULTILINE))[0].splitlines()
SET_UP, FIRST_COMMAND = (shlex.split(line) for line in FIRST_BLOCK)


def test_the_first_line_is_a_target_of_the_makefile() -> None:
    assert SET_UP[0] == "make"
    assert subprocess.run([*SET_UP, "-n"], cwd=ROOT, capture_output=True, check=False).returncode == 0


def test_the_second_line_finds_a_lock_with_two_holders_and_names_its_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    program, *words = FIRST_COMMAND
    assert (program, guarded(words)) == (".venv/bin/holdwater", 1)
    shown = capsys.readouterr().out
    assert "Two clients held the same lock" in " ".join(shown.split())
    picture = re.search(r"^look +(\S+/timeline.png)$", shown, re.MULTILINE)
    assert picture is not None
    assert Path(picture[1]).stat().st_size > 0


@pytest.mark.parametrize("picture", re.findall(r"!\[[^]]*\]\(([^)]+)\)", README))
def test_a_picture_is_there(picture: str) -> None:
    assert (ROOT / picture).exists()
