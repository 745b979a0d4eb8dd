"""The contract as a command: a line for each rule, its exit code, its mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.commands.cli import guarded


def contract(out: Path, *words: str) -> int:
    return guarded(["contract", "--backend", "memory", "--out", str(out), *words])


def test_a_rule_that_is_kept_is_one_line_and_exit_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert contract(tmp_path, "--rule", "sums-exact") == 0
    told = "CONTRACT OF MEMORY, VARIANT DEFAULT: 1 OK\n  sums-exact  ok: Sums are exact beyond 2 to the 53.\n"
    assert capsys.readouterr().out == told


def test_a_rule_that_is_broken_says_what_was_seen_and_is_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert contract(tmp_path, "--mutant", "increment-twice", "--rule", "sums-exact", "--rule", "strangers") == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "CONTRACT OF MEMORY, VARIANT DEFAULT, MUTANT INCREMENT-TWICE: 1 OK, 1 BROKEN"
    assert [line.strip() for line in said[-3:]] == [
        "sums-exact  broken: Sums are exact beyond 2 to the 53.",
        f"seen: increment by 2 more: {{'value': {2 * (2**53 + 1) + 2}}}",
        f"expected: {{'value': {2**53 + 3}}}",
    ]


def test_as_json_it_is_what_is_kept_in_its_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert contract(tmp_path, "--rule", "sums-exact", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told.pop("exit") == 0
    assert told == json.loads((tmp_path / "latest" / "contract.json").read_text("utf-8"))
    assert (told["backend"], told["rules"][0]["rule"], told["rules"][0]["status"]) == ("memory", "sums-exact", "ok")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rule", "sums"], "unknown rule 'sums'"),
        (["--variant", "chid"], "unknown variant 'chid' of memory, did you mean 'child'"),
        (["--mutant", "ttl-earl"], "unknown mutant 'ttl-earl' of memory, did you mean 'ttl-early'"),
    ],
)
def test_what_is_not_there_is_refused_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert contract(tmp_path, *words) == 64
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
