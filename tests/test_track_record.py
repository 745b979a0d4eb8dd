"""What docs/track-record.md and docs/limits.md name exists: each mutant, each command. And the track record names every mutant."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness import registry
from harness.claims.claim import Word
from harness.commands.cli import cli
from harness.driving.backend import mutants_of
from harness.driving.run import planted_bugs
from harness.judging.verdict import Status

DOCS = Path(__file__).resolve().parent.parent / "docs"
SHELL = "holdwater "


def mutants() -> frozenset[str]:
    workloads = [registry.load("workloads", name) for name in registry.names("workloads")]
    return frozenset().union(*(planted_bugs(registry.load("backends", name), workloads) for name in registry.names("backends")))


def cells(page: str, column: int) -> Iterator[str]:
    """Give what stands in code in one column of the tables of a page."""
    for line in (DOCS / page).read_text("utf-8").splitlines():
        if line.startswith("| ") and not line.startswith("|---"):
            yield from re.findall(r"`([^`]+)`", line.split(" | ")[column])


STAND = sorted(set(cells("track-record.md", -1)))


def test_there_is_something_for_each_row() -> None:
    rows = [line for line in (DOCS / "track-record.md").read_text("utf-8").splitlines() if line.startswith("| ") and "`" not in line]
    assert all(line.startswith(("| Report |", "| Defect |", "| Change |", "| Condition |", "| Planted |")) for line in rows)


@pytest.mark.parametrize("named", [each for each in STAND if not each.startswith(SHELL)])
def test_what_stands_for_a_report_is_a_mutant(named: str) -> None:
    assert named in mutants()


def test_every_mutant_stands_in_the_track_record() -> None:
    assert mutants() <= set(STAND)


def test_the_limits_name_mutants_checks_faults_and_what_else_there_is() -> None:
    known = mutants() | {*registry.names("checks"), *registry.names("faults"), *registry.names("workloads"), *(word.value for word in Word)}
    named = {each for line in (DOCS / "limits.md").read_text("utf-8").splitlines() for each in re.findall(r"`([a-z][a-z-]*)`", line)}
    assert named <= known | {"selftest", Status.UNKNOWN.name.lower()}


@pytest.mark.parametrize("command", [each for each in STAND if each.startswith(SHELL)])
def test_a_command_that_stands_for_a_report_can_be_given(command: str) -> None:
    done = CliRunner().invoke(cli, [*shlex.split(command)[1:], "--dry-run"])
    assert done.exit_code == 0, done.output


def test_every_backend_with_mutants_has_one_that_a_report_stands_for() -> None:
    with_mutants = [backend for name in registry.names("backends") if mutants_of(backend := registry.load("backends", name))]
    assert all(set(mutants_of(backend)) & set(STAND) for backend in with_mutants)
