"""The examples of the guides: each is installed as it stands, and the command below it runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GUIDES = {
    "fault": ("blackout.py", "run lock --backend redis --fault blackout --seed 7 --dry-run", "list faults", "no client reaches the server"),
    "backend": (
        "sqlite_backend.py",
        "run dedup --backend sqlite --seed 7",
        "list backends",
        "sqlite, variant default",
    ),
}


@pytest.fixture(params=GUIDES)
def guide(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def site(guide: str, tmp_path: Path) -> Path:
    """Give a folder into which the guide's package was built and installed."""
    text = (ROOT / "docs" / f"adding-a-{guide}.md").read_text("utf-8")
    source, made = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    for language, name in (("python", GUIDES[guide][0]), ("toml", "pyproject.toml")):
        (block,) = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        (source / name).write_text(block, "utf-8")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet", "--target", str(made)]
    done = subprocess.run([sys.executable, "-m", "pip", "install", *options, str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return made


def holdwater(site: Path, tmp_path: Path, arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(site)])}
    command = [sys.executable, "-m", "harness", *arguments.split()]
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)


def test_an_example_is_installed_and_does_what_its_guide_says(guide: str, site: Path, tmp_path: Path) -> None:
    _, command, listing, sentence = GUIDES[guide]
    assert sentence in holdwater(site, tmp_path, listing).stdout
    done = holdwater(site, tmp_path, command)
    assert done.returncode == 0, done.stderr


def test_the_backends_example_refuses_a_workload_as_its_guide_says(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "adding-a-backend.md").read_text("utf-8")
    assert "workload lock needs extend, is_held, release, try_acquire, which sqlite does not offer" in text
