"""Experiments side by side: the same verdicts as one after the other, and what is in doubt by noise is repeated alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.claims import reading
from harness.commands.cli import guarded
from reports.terminal import verify as text

CLAIMS = """\
format = 1

[experiment.first]
deployment = "memory"
variant = "default"
workloads = ["lock"]
timeline = { quiet_s = 1.0, fault_s = 0, after_s = 0 }
trials = { quick = 1, nightly = 1 }
options = { rate = 60 }
controls = [{ check = "lease", mutant = "release-unchecked" }]

[experiment.second]
like = "first"
variant = "child"
timeline = { quiet_s = 1.2, fault_s = 0, after_s = 0 }

[[claim]]
id = "met"
cell = ["Ours", "Mutual exclusion"]
document = "promises"
sentence = "A lock has one owner."
conditions = "quiet"
experiments = ["first"]
anomalies = ["two-holders", "lost-early", "alive-too-late", "spurious-refusal", "stuck", "stranger"]
gates = { acknowledged_after = 1, overlapping_pairs = 0 }
expect = ["holds"]

[[claim]]
id = "unmet"
like = "met"
experiments = ["second"]
gates = { acknowledged_after = 1000000, overlapping_pairs = 0 }
"""


def verified(folder: Path, *more: str) -> Path:
    (folder / "own.toml").write_text(CLAIMS)
    assert guarded(["verify", "--claims", str(folder / "own.toml"), "--seed", "7", "--out", str(folder / "runs"), *more]) == 2
    return (folder / "runs" / "latest").resolve()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A verify of our own table, two experiments at once; the gate of one claim cannot be met."""
    return verified(tmp_path_factory.mktemp("two"), "--jobs", "2")


def read(directory: Path) -> Any:
    return json.loads((directory / "results.json").read_text("utf-8"))


def words(directory: Path) -> dict[str, str]:
    return {each["id"]: each["verdict"] for each in read(directory)["claims"]}


def test_the_verdicts_are_those_of_one_after_the_other(directory: Path, tmp_path: Path) -> None:
    alone = verified(tmp_path, "--jobs", "1")
    assert words(directory) == words(alone) == {"met": "holds", "unmet": "inconclusive"}
    assert (read(directory)["jobs"], read(alone)["jobs"]) == (2, 1)
    assert not (alone / "alone").exists()


def test_what_was_in_doubt_is_repeated_alone_and_told(directory: Path) -> None:
    results = read(directory)
    assert list(results["repeated"]) == ["second"]
    assert "acknowledged after:lock" in results["repeated"]["second"]
    met, unmet = results["claims"]
    assert met["experiments"] == [str(directory / "experiments" / "first")]
    assert unmet["experiments"] == [str(directory / "alone" / "experiments" / "second")]


def test_what_the_first_round_recorded_is_kept(directory: Path) -> None:
    rounds = (directory, directory / "alone")
    assert all((each / "experiments" / "second" / "history.jsonl").exists() for each in rounds)


def test_a_control_that_experiments_share_is_run_once(directory: Path) -> None:
    assert len(list((directory / "controls").iterdir())) == 1
    assert all(control["condemned"] for claim in read(directory)["claims"] for control in claim["controls"])


def test_a_control_is_run_on_the_first_that_names_it_though_a_longer_one_begins_before(directory: Path) -> None:
    (control,) = (directory / "controls").iterdir()
    assert json.loads((control / "run.json").read_text("utf-8"))["plan"]["variant"] == "default"


def test_it_is_judged_again_as_it_was_judged(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(["judge", str(directory), "--json"]) == 2
    again = json.loads(capsys.readouterr().out)
    for each in ("claims", "rows", "headline", "repeated", "jobs", "exit"):
        assert again[each] == read(directory)[each]


def test_what_was_repeated_is_said_on_the_terminal_and_in_the_summary(directory: Path) -> None:
    told = text.table(reading.read_verify(directory), colour=False, width=200)
    assert "REPEATED ALONE, IN DOUBT SIDE BY SIDE\n  second: second, trial 1: acknowledged after:lock" in told
    assert "### Repeated alone, in doubt side by side\n\n* `second`: " in (directory / "summary.md").read_text("utf-8")


def test_the_pictures_of_a_repeated_experiment_are_drawn_too(directory: Path) -> None:
    assert (directory / "alone" / "experiments" / "second" / "timeline.png").exists()
