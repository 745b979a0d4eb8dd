"""The CI's workflows: valid by GitHub's schema, and each of their command lines carried out once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SMALL: Mapping[str, Mapping[str, str]] = {  # each line as it stands, with settings that make it short
    "make check": {},
    "make test": {"ARGS": "tests/record/test_clock.py"},
    '.ci/row "$ROW"': {"ROW": "memory", "PROFILE": "quick", "ARGS": "--trials 1 --seed 5"},
    ".ci/table": {"ROWS": "memory"},
}


def lines() -> Iterator[str]:
    for path in WORKFLOWS:
        for job in yaml.safe_load(path.read_text("utf-8"))["jobs"].values():
            yield from (step["run"] for step in job["steps"] if "run" in step)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_valid_by_its_schema(path: Path) -> None:
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_line_has_its_turn_here() -> None:
    assert set(lines()) == set(SMALL)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this checkout, whose own environment is used."""
    copy = tmp_path_factory.mktemp("checkout") / "holdwater"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".venv", "runs", ".git", ".*_cache", ".hypothesis"), symlinks=True)
    return copy


def carried_out(checkout: Path, line: str) -> subprocess.CompletedProcess[str]:
    venv = Path(sys.prefix)
    for stamp in ("packages", "dev-packages"):  # the copy's files are newer than what is installed, and the same
        (venv / stamp).touch()
    environment: dict[str, Any] = {**os.environ, "VENV": str(venv), "GITHUB_STEP_SUMMARY": str(checkout / "step.md"), **SMALL[line]}
    return subprocess.run(["bash", "-c", line], cwd=checkout, env=environment, capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.parametrize("line", [line for line in SMALL if line.startswith("make")])
def test_a_line_of_make_succeeds(checkout: Path, line: str) -> None:
    done = carried_out(checkout, line)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_a_row_is_judged_and_the_table_made_of_it(checkout: Path) -> None:
    row = carried_out(checkout, '.ci/row "$ROW"')
    assert (checkout / "shards" / "memory" / "results.json").exists(), row.stdout[-2000:] + row.stderr[-2000:]
    table = carried_out(checkout, ".ci/table")
    assert table.returncode in (0, 2), table.stdout[-2000:] + table.stderr[-2000:]  # one trial may be too few to decide
    assert "Memory" in (checkout / "step.md").read_text("utf-8")
    assert (checkout / "nights" / "index.html").exists()
    assert "::error" not in table.stdout


def test_a_row_that_is_missing_is_missed(checkout: Path) -> None:
    environment = {**os.environ, "VENV": sys.prefix, "ROWS": "nowhere"}
    done = subprocess.run([".ci/table"], cwd=checkout, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode not in (0, 2)
