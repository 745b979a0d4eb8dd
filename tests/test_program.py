"""How the program was called: what it prints works where it is pasted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import harness
from harness import program


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder with a program of our name, in the working directory and not on PATH."""
    monkeypatch.chdir(tmp_path)
    folder = Path(".venv/bin")
    folder.mkdir(parents=True)
    (folder / "holdwater").write_text("#!/bin/sh\n")
    (folder / "holdwater").chmod(0o755)
    return folder


def test_a_program_that_path_does_not_find_is_printed_as_it_was_called(bin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "argv", [str(bin_folder / "holdwater"), "verify"])
    assert program.command("verify", "--backend", "a row") == ".venv/bin/holdwater verify --backend 'a row'"


def test_a_program_that_path_finds_is_printed_by_its_name(bin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(bin_folder.resolve()))
    monkeypatch.setattr(sys, "argv", [str(bin_folder.resolve() / "holdwater")])
    assert program.command("verify") == "holdwater verify"


def test_another_program_of_the_name_on_path_is_not_ours(bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "holdwater").write_text("#!/bin/sh\n")
    (other / "holdwater").chmod(0o755)
    monkeypatch.setenv("PATH", str(other))
    monkeypatch.setattr(sys, "argv", [str(bin_folder / "holdwater")])
    assert program.words() == [".venv/bin/holdwater"]


def test_a_module_that_was_run_is_printed_with_its_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(Path(harness.__file__).with_name("__main__.py"))])
    monkeypatch.setattr(sys, "orig_argv", ["python3", "-m", "harness", "list"])
    assert program.words() == ["python3", "-m", "harness"]


def test_the_command_that_is_recorded_of_a_run_repeats_it(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(harness.__file__).parent.parent)}
    asked = ["run", "lock", "--backend", "memory", "--time-limit", "0.2", "--seed", "3", "--json"]
    command = [sys.executable, "-m", "harness", *asked]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert f'"command": "{" ".join(command)}"' in done.stdout
