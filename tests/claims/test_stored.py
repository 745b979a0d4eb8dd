"""Judging again: the same verdicts from what was recorded, nothing written unless asked, and no more concluded than is there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from verified import claim, verified, written

from harness.claims import reading, results, stored
from harness.claims.claim import Word
from harness.claims.results import Run, Verify
from harness.commands.cli import guarded
from harness.errors import UsageError

CLAIMS = """\
format = 1

[experiment.quiet]
deployment = "memory"
variant = "default"
workloads = ["lock"]
timeline = { quiet_s = 1.5, fault_s = 0, after_s = 0 }
trials = { quick = 2, nightly = 2 }
options = { rate = 60 }
controls = [{ check = "lease", mutant = "release-unchecked" }]

[experiment.second]
like = "quiet"
workloads = ["lock", "dedup"]

[[claim]]
id = "one"
cell = ["Ours", "Mutual exclusion"]
document = "promises"
sentence = "A lock has one owner."
conditions = "quiet"
experiments = ["quiet"]
anomalies = ["two-holders", "lost-early", "alive-too-late", "spurious-refusal", "stuck", "stranger"]
gates = { acknowledged_after = 1, overlapping_pairs = 0 }
expect = ["holds"]

[[claim]]
id = "two"
like = "one"
experiments = ["second"]

[[claim]]
id = "elsewhere"
cell = ["Ours", "Failover safety"]
document = "silent"
sentence = "It survives."
conditions = "a second machine"
requires = "needs a second machine"
remedy = "buy one"
expect = ["unavailable"]
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A verify of our own table, run once."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "own.toml").write_text(CLAIMS)
    assert guarded(["verify", "--claims", str(folder / "own.toml"), "--seed", "7", "--out", str(folder / "runs")]) == 0
    return (folder / "runs" / "latest").resolve()


@pytest.fixture
def verify(recorded: Path, tmp_path: Path) -> Path:
    """A copy of it, which a test may damage."""
    return Path(shutil.copytree(recorded, tmp_path / "verify"))


def again(directory: Path, claims: Path | None = None) -> Verify:
    """Judge it again; leave out when and by whom."""
    found = stored.judge_again(directory, claims).results
    assert isinstance(found, Verify)
    assert found.again is not None
    return msgspec.structs.replace(found, again=None)


def words(found: Verify) -> dict[str, str]:
    return {each.id: str(each.verdict) for each in found.claims}


def other(tmp_path: Path, change: Callable[[str], str]) -> Path:
    path = tmp_path / "other.toml"
    path.write_text(change(CLAIMS))
    return path


def contents(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def without_end(history: Path) -> None:
    """Leave out the mark that a history was ended."""
    lines = history.read_text("utf-8").splitlines(keepends=True)
    assert json.loads(lines[-1]) == {"end": True}
    history.write_text("".join(lines[:-1]), "utf-8")


# The same again


def test_a_verify_that_is_judged_again_comes_to_the_same_results(recorded: Path) -> None:
    text = (recorded / "results.json").read_text("utf-8")
    here = text.replace(json.loads(text)["directory"], str(recorded))  # `latest` is a link
    assert again(recorded) == results.convert(json.loads(here))
    assert words(again(recorded)) == {"one": "holds", "two": "holds", "elsewhere": "unavailable"}


def test_an_experiment_that_is_judged_again_comes_to_the_same_results(recorded: Path) -> None:
    experiment = recorded / "experiments" / "quiet"
    found, before = stored.judge_again(experiment).results, reading.read(experiment)
    assert isinstance(found, Run)
    assert isinstance(before, Run)
    assert (found.status, found.exit, found.trials, found.command) == (before.status, before.exit, before.trials, before.command)


def test_judging_again_writes_nothing(verify: Path) -> None:
    before = contents(verify)
    assert guarded(["judge", str(verify)]) == 0
    assert contents(verify) == before


def test_what_is_judged_again_is_saved_beside_what_was_there_before(verify: Path) -> None:
    (verify / "results.json").write_bytes(b" " + (verify / "results.json").read_bytes())
    for n in (1, 2):
        before = (verify / "results.json").read_bytes()
        assert guarded(["judge", str(verify), "--save"]) == 0
        assert (verify / f"results-{n}.json").read_bytes() == before
    assert words(reading.read_verify(verify)) == words(again(verify))


def test_the_results_of_the_experiments_are_saved_too(verify: Path) -> None:
    (verify / "experiments" / "quiet" / "results.json").unlink()
    assert guarded(["judge", str(verify), "--save"]) == 0
    assert isinstance(reading.read(verify / "experiments" / "quiet"), Run)


def test_the_table_is_printed_as_verify_prints_it(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(["judge", str(recorded)]) == 0
    out = capsys.readouterr().out
    assert "✓ holds one 0 of 2 trials" in " ".join(out.split())
    assert out.splitlines()[-1].startswith("exit 0: ")


def test_json_is_what_results_json_would_hold(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(["judge", str(recorded), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told.pop("again")) == {"at", "commit"}
    assert results.convert(told) == again(recorded)


# What was killed


def test_a_verify_says_from_its_start_what_it_was_asked_for(recorded: Path) -> None:
    told = json.loads((recorded / "run.json").read_text())
    assert (told["kind"], told["profile"], told["seed"], told["chosen"]) == ("verify", "quick", 7, ["one", "two", "elsewhere"])
    assert (recorded / "claims.toml").read_text() == CLAIMS


def test_a_verify_that_was_killed_is_judged_as_far_as_it_came(verify: Path) -> None:
    (verify / "results.json").unlink()
    shutil.rmtree(verify / "experiments" / "second")
    found = again(verify)
    assert words(found) == {"one": "holds", "two": "inconclusive", "elsewhere": "unavailable"}
    assert found.claims[1].missing == ("experiment second was not run",)
    assert found.exit == 2


def test_an_experiment_that_was_killed_before_it_was_recorded_was_not_run(verify: Path) -> None:
    (verify / "experiments" / "second" / "run.json").unlink()
    assert again(verify).claims[1].missing == ("experiment second was not run",)


def test_an_experiment_that_was_killed_holds_nothing(verify: Path) -> None:
    without_end(verify / "experiments" / "quiet" / "history.jsonl")
    found = again(verify)
    assert (found.claims[0].verdict, found.exit) == (Word.INCONCLUSIVE, 3)
    assert "quiet was cut short: it was ended before it was done" in " ".join(found.claims[0].missing)


def test_a_run_that_was_killed_before_its_first_operation_is_judged(verify: Path) -> None:
    experiment = verify / "experiments" / "quiet"
    for name in ("history.jsonl", "results.json"):
        (experiment / name).unlink()
    found = stored.judge_again(experiment).results
    assert isinstance(found, Run)
    assert (found.status, found.exit, found.trials) == ("unknown", 3, ())


def test_a_counterexample_of_a_control_that_was_killed_stands(verify: Path) -> None:
    (control,) = (verify / "controls").iterdir()
    without_end(control / "history.jsonl")
    assert stored.judge_again(control).results.exit == 1  # type: ignore[union-attr]


def test_without_the_runs_of_its_control_a_claim_does_not_hold(verify: Path) -> None:
    shutil.rmtree(verify / "controls")
    found = again(verify)
    assert words(found) == {"one": "inconclusive", "two": "inconclusive", "elsewhere": "unavailable"}
    assert "did not condemn mutant release-unchecked (it was not run)" in found.claims[0].missing[0]


# Another claims file


def test_another_claims_file_may_expect_something_else(recorded: Path, tmp_path: Path) -> None:
    changed = other(tmp_path, lambda text: text.replace('expect = ["holds"]', 'expect = ["violated"]'))
    found = again(recorded, changed)
    assert (words(found)["one"], found.exit, found.claims_file) == ("holds", 1, "other.toml")


def test_an_experiment_that_another_claims_file_runs_otherwise_counts_for_nothing(recorded: Path, tmp_path: Path) -> None:
    found = again(recorded, other(tmp_path, lambda text: text.replace("rate = 60", "rate = 61")))
    assert words(found)["one"] == "inconclusive"
    assert found.claims[0].missing[0] == "experiment quiet was not run as the claims file says: rate was 60.0, expected 61"


def test_another_number_of_trials_is_the_same_experiment(recorded: Path, tmp_path: Path) -> None:
    assert words(again(recorded, other(tmp_path, lambda text: text.replace("quick = 2", "quick = 9"))))["one"] == "holds"


def test_a_claim_of_another_file_whose_experiment_was_not_run_is_left_out_and_its_cell_in_doubt(recorded: Path, tmp_path: Path) -> None:
    more = '\n[experiment.third]\nlike = "quiet"\n\n[[claim]]\nid = "three"\nlike = "one"\nexperiments = ["third"]\n'
    found = again(recorded, other(tmp_path, lambda text: text + more))
    assert "three" not in words(found)
    assert found.rows[0].cells[0].verdict == "inconclusive"


def test_a_claims_file_with_nothing_that_was_run_is_refused(recorded: Path, tmp_path: Path) -> None:
    renamed = other(tmp_path, lambda text: text.replace("quiet]", "loud]").replace('"quiet"', '"loud"').replace("second", "third"))
    with pytest.raises(UsageError, match=r"other.toml: no claim of profile quick has an experiment that is in .*/experiments"):
        again(recorded, renamed)


def test_a_run_has_no_claims(recorded: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="quiet is no verify, expected no claims file with it"):
        again(recorded / "experiments" / "quiet", other(tmp_path, str))


# What an earlier version left


def test_a_verify_of_an_earlier_version_is_judged_by_its_claims_file(verify: Path, tmp_path: Path) -> None:
    for name in ("run.json", "claims.toml"):
        (verify / name).unlink()
    assert words(again(verify, other(tmp_path, str))) == {"one": "holds", "two": "holds", "elsewhere": "unavailable"}


def test_a_verify_of_an_earlier_version_whose_claims_are_not_ours_is_refused(verify: Path) -> None:
    for name in ("run.json", "claims.toml"):
        (verify / name).unlink()
    with pytest.raises(UsageError, match=r"was judged by own.toml \(SHA-256 [0-9a-f]{12}\), .*; name a claims file with --claims"):
        again(verify)


def test_what_an_earlier_version_left_out_is_left_out_again(verify: Path, tmp_path: Path) -> None:
    shutil.rmtree(verify / "experiments" / "second")
    for name in ("run.json", "claims.toml"):
        (verify / name).unlink()
    told = json.loads((verify / "results.json").read_text())
    lack = {"expected": True, "absent": True, "missing": ["dynoxide: no cargo"], "remedy": "get it", "rate": None, "account": None}
    claims = [told["claims"][0], claim("two", "unavailable", cell=told["claims"][1]["cell"], expect=["holds"], **lack)]
    written(verify, verified(*claims, **{name: value for name, value in told.items() if name not in ("claims", "rows", "exit")}))
    left = again(verify, other(tmp_path, str)).claims[1]
    assert (left.verdict, left.absent, left.expected, left.missing, left.remedy) == (
        Word.UNAVAILABLE,
        True,
        True,
        ("dynoxide: no cargo",),
        "get it",
    )


def test_a_run_of_an_earlier_version_is_repeated_by_the_command_that_it_recorded(verify: Path) -> None:
    experiment = verify / "experiments" / "quiet"
    record = json.loads((experiment / "run.json").read_text())
    (experiment / "run.json").write_text(json.dumps({name: record[name] for name in ("plan", "environment", "ran", "broken")}))
    found, before = stored.judge_again(experiment).results, reading.read(experiment)
    assert isinstance(found, Run)
    assert isinstance(before, Run)
    assert (found.command, found.finished) == (before.command, before.finished)


# What cannot be judged


def test_nothing_says_what_a_verify_was_asked_for(verify: Path) -> None:
    for name in ("run.json", "results.json"):
        (verify / name).unlink()
    with pytest.raises(UsageError, match=r"nothing says what was asked for; judge one experiment: holdwater judge .*/experiments/NAME"):
        again(verify)


def test_what_was_joined_is_not_judged(tmp_path: Path) -> None:
    part = {"directory": "shards/a", "exit": 0, "claims": ["c"], "seconds": 61.0}
    joined = written(tmp_path, verified(claim("c", "holds", 0, 4), seed="7, 8", shards=[{**part, "seed": seed} for seed in (7, 8)]))
    with pytest.raises(UsageError, match="was joined from others, expected a verify that ran"):
        again(joined)


def test_a_selftest_is_not_judged(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is of kind 'selftest', expected a run or a verify"):
        again(written(tmp_path, {"holdwater": 1, "kind": "selftest", "detections": []}))


def test_a_folder_without_a_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(["judge", str(tmp_path)]) == 64
    assert f"{tmp_path}/run.json: No such file or directory, expected a file of a run directory" in capsys.readouterr().err


def test_a_link_in_a_directory_is_refused(verify: Path, tmp_path: Path) -> None:
    (verify / "claims.toml").unlink()
    (verify / "claims.toml").symlink_to(other(tmp_path, str))
    with pytest.raises(UsageError, match=r"claims.toml is a link, expected plain files"):
        again(verify)


def test_a_link_among_the_controls_is_refused(verify: Path) -> None:
    (control,) = (verify / "controls").iterdir()
    moved = control.rename(verify / "moved")
    control.symlink_to(moved)
    with pytest.raises(UsageError, match=r"controls/.* is a link, expected plain files"):
        again(verify)


def test_a_run_json_of_something_else_is_named(verify: Path) -> None:
    (verify / "run.json").write_text('{"kind": "verify", "holdwater": 1}')
    with pytest.raises(UsageError, match=r"run.json: Object missing required field `profile`; expected what was asked of a verify"):
        again(verify)
