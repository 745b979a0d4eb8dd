"""Judging again: the same verdicts from what was recorded, nothing written unless asked, and no more concluded than is there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from verified import claim, verified, written

from harness.claims import reading, results, stored
from harness.claims.claim import Word
from harness.claims.file import parse
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


THIRD = """
[experiment.third]
like = "quiet"

[[claim]]
id = "three"
like = "one"
cell = ["Theirs", "Mutual exclusion"]
experiments = ["third"]
"""


def test_a_claim_of_another_file_whose_experiment_was_not_run_is_in_doubt(recorded: Path, tmp_path: Path) -> None:
    found = again(recorded, other(tmp_path, lambda text: text + THIRD))
    assert (words(found)["three"], found.exit) == ("inconclusive", 2)
    assert found.claims[-1].missing == ("experiment third was not run",)


def test_only_the_rows_that_are_asked_for_are_judged(recorded: Path, tmp_path: Path) -> None:
    theirs = str(other(tmp_path, lambda text: text + THIRD))
    assert guarded(["judge", str(recorded), "--claims", theirs, "--backend", "ours"]) == 0
    assert guarded(["judge", str(recorded), "--claims", theirs, "--backend", "theirs"]) == 2
    assert guarded(["judge", str(recorded), "--claims", theirs]) == 2


def test_a_row_that_the_table_does_not_have_is_refused(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(["judge", str(recorded), "--backend", "oars"]) == 64
    assert "unknown row 'oars', did you mean 'ours'?" in capsys.readouterr().err


def test_a_run_has_no_rows(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(["judge", str(recorded / "experiments" / "quiet"), "--backend", "ours"]) == 64
    assert "quiet is no verify, expected no row with it" in capsys.readouterr().err


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


# What was recorded is not what was asked for


def edit(path: Path, **changes: Any) -> None:
    """Change fields of a JSON file, as by hand."""
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), "utf-8")


def edit_ran(path: Path, **changes: Any) -> None:
    edit(path, ran={**json.loads(path.read_text("utf-8"))["ran"], **changes})


def edit_lines(history: Path, change: Callable[[int, dict[str, Any]], bool]) -> None:
    """Change each line of a history, or leave it out where the change says so."""
    told = [json.loads(line) for line in history.read_text("utf-8").splitlines()]
    kept = [line for number, line in enumerate(told, 1) if change(number, line)]
    history.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in kept), "utf-8")


def edit_header(history: Path, **changes: Any) -> None:
    edit_lines(history, lambda number, line: line.update(changes if number == 1 else {}) is None)


def without_trial(history: Path, n: int) -> None:
    """Leave out a trial; the end mark stays."""
    current = 0

    def stays(number: int, line: dict[str, Any]) -> bool:
        nonlocal current
        if line.get("f") == "trial" and line["value"]["phase"] == "begin":
            current = line["value"]["n"]
        return current != n or "end" in line

    edit_lines(history, stays)


def refused(directory: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Judge what cannot be judged; give why."""
    assert guarded(["judge", str(directory)]) == 64
    return " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"deployment": "redis"}, "its deployment is 'redis', and run.json beside it says 'memory'"),
        ({"variant": "child"}, "its variant is 'child', and run.json beside it says 'default'"),
        ({"workloads": ["lock", "dedup"]}, "its workloads is lock, dedup, and run.json beside it says lock"),
        ({"faults": ["pause"]}, "its faults is pause, and run.json beside it says none"),
        ({"seed": 8}, "its seed is 8, and run.json beside it says 7"),
        ({"concurrency": 9}, "its concurrency is 9, and run.json beside it says 8"),
        ({"options": {"mutant": "ttl-late", "rate": 60, "deadline_s": 0.5}}, "its mutant is 'ttl-late', and run.json beside it says none"),
        ({"options": {"mutant": None, "rate": 61, "deadline_s": 0.5}}, "its rate is 61, and run.json beside it says 60.0"),
        ({"options": {"mutant": None, "rate": 60, "deadline_s": 0.5, "lock": {"keys": 1}}}, "its lock is {'keys': 1}, and run.json"),
    ],
)
def test_a_history_of_another_run_is_refused(verify: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], told: str) -> None:
    experiment = verify / "experiments" / "quiet"
    edit_header(experiment / "history.jsonl", **change)
    assert f"quiet/history.jsonl is the history of another run: {told}" in refused(experiment, capsys)


def test_the_history_of_another_experiment_makes_no_verdict(verify: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(verify / "experiments" / "second" / "history.jsonl", verify / "experiments" / "quiet" / "history.jsonl")
    assert "quiet/history.jsonl is the history of another run: its workloads is lock, dedup" in refused(verify, capsys)


def test_the_history_of_a_planted_bug_accuses_nobody(verify: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (control,) = (verify / "controls").iterdir()
    shutil.copy(control / "history.jsonl", verify / "experiments" / "quiet" / "history.jsonl")
    assert "its mutant is 'release-unchecked', and run.json beside it says none" in refused(verify, capsys)


def test_a_history_without_a_header_is_no_run_of_ours(verify: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit_lines(verify / "experiments" / "quiet" / "history.jsonl", lambda number, line: number > 1)
    assert "quiet/history.jsonl has no header, expected the history of the run" in refused(verify, capsys)


def test_an_experiment_in_the_place_of_another_counts_for_nothing(verify: Path) -> None:
    shutil.rmtree(verify / "experiments" / "quiet")
    shutil.copytree(verify / "experiments" / "second", verify / "experiments" / "quiet")
    found = again(verify)
    assert (words(found)["one"], words(found)["two"], found.exit) == ("inconclusive", "holds", 2)
    told = "experiment quiet was not run as the claims file says: workloads was ('lock', 'dedup'), expected ('lock',)"
    assert found.claims[0].missing[0] == told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"seed": 8}, "seed was 7, expected 8"),
        ({"trials": 3}, "trials were 2, expected 3"),
        ({"on": "compose"}, "on was 'local', expected 'compose'"),
    ],
)
def test_what_was_run_otherwise_than_was_asked_for_counts_for_nothing(verify: Path, change: dict[str, Any], told: str) -> None:
    edit(verify / "run.json", **change)
    found = again(verify)
    assert (words(found)["one"], words(found)["two"], found.exit) == ("inconclusive", "inconclusive", 2)
    assert found.claims[0].missing[0] == f"experiment quiet was not run as the claims file says: {told}"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"profile": "bogus"}, "profile 'bogus', there are: nightly, quick"),
        ({"trials": 0}, "Expected `int` >= 1 - at `$.trials`"),
        ({"trials": -1}, "Expected `int` >= 1 - at `$.trials`"),
        ({"trials": 100_000_000}, "Expected `int` <= 10000 - at `$.trials`"),
        ({"seed": -1}, "Expected `int` >= 0 - at `$.seed`"),
        ({"finished": "yesterday"}, "- at `$.finished`"),
        ({"chosen": ["one", "tow"]}, "chosen claim 'tow', did you mean 'two'?"),
        ({"chosen": ["one", "elsewhere"]}, "claim two is not chosen and one is, expected all claims of a row or of a backend, or none"),
    ],
)
def test_what_cannot_have_been_asked_for_is_refused(
    verify: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], told: str
) -> None:
    edit(verify / "run.json", **change)
    said = refused(verify, capsys)
    assert f"{verify}/run.json: " in said
    assert told in said


def test_claims_that_were_edited_are_not_the_ones_that_were_judged(verify: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (verify / "claims.toml").write_text(CLAIMS.replace('"lost-early", ', ""))
    said = refused(verify, capsys)
    assert "claims.toml is not the file that was judged: SHA-256 " in said
    assert said.endswith("judge by another file with --claims")


def test_what_was_run_is_judged_though_it_is_said_to_be_absent(verify: Path) -> None:
    edit(verify / "run.json", absent={"quiet": {"needed": "a server"}})
    assert words(again(verify))["one"] == "holds"


# Trials that are missing


def test_a_run_with_fewer_trials_than_were_planned_is_not_valid(verify: Path) -> None:
    experiment = verify / "experiments" / "quiet"
    without_trial(experiment / "history.jsonl", 2)
    found = stored.judge_again(experiment).results
    assert isinstance(found, Run)
    assert (found.status, found.exit) == ("unknown", 3)
    assert found.broken == "it was ended before it was done: 1 of 2 planned trials is recorded"


def test_a_claim_does_not_hold_by_fewer_trials_than_were_planned(verify: Path) -> None:
    without_trial(verify / "experiments" / "quiet" / "history.jsonl", 1)
    found = again(verify)
    assert words(found)["one"] == "inconclusive"
    assert "1 of 2 planned trials is recorded" in found.claims[0].missing[0]


def test_a_counterexample_in_fewer_trials_than_were_planned_stands(verify: Path) -> None:
    (control,) = (verify / "controls").iterdir()
    without_trial(control / "history.jsonl", 2)
    found = stored.judge_again(control).results
    assert isinstance(found, Run)
    assert (found.status, found.exit) == ("invalid", 1)


# Controls


def test_a_run_without_a_planted_bug_is_no_control(verify: Path) -> None:
    (control,) = (verify / "controls").iterdir()
    shutil.rmtree(control)
    shutil.copytree(verify / "experiments" / "quiet", control)
    found = again(verify)
    assert (words(found)["one"], words(found)["two"]) == ("inconclusive", "inconclusive")
    assert f"did not condemn mutant release-unchecked ({control.name} is no run of it: " in found.claims[0].missing[0]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"variant": "child"}, "variant was 'child', expected 'default'"),
        ({"backend": "redis"}, "backend was 'redis', expected 'memory'"),
        ({"mutant": "ttl-late"}, "mutant was 'ttl-late', expected 'release-unchecked'"),
        ({"workloads": ["dedup"]}, "workloads was ('dedup',), expected ('lock',)"),
        ({"seed": 8}, "seed was 8, expected 7"),
    ],
)
def test_a_control_that_verify_would_not_have_run_condemns_nothing(verify: Path, change: dict[str, Any], told: str) -> None:
    (control,) = (verify / "controls").iterdir()
    edit(control / "run.json", plan={**json.loads((control / "run.json").read_text())["plan"], **change})
    assert f"({control.name} is no run of it: {told})" in again(verify).claims[0].missing[0]


def test_a_control_of_a_seed_beyond_the_tries_is_none(verify: Path) -> None:
    (control,) = (verify / "controls").iterdir()
    control.rename(control.with_name("memory-lease-release-unchecked-10"))
    assert "(it was not run)" in again(verify).claims[0].missing[0]


def test_the_history_of_a_control_must_be_its_own(verify: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (control,) = (verify / "controls").iterdir()
    shutil.copy(verify / "experiments" / "quiet" / "history.jsonl", control / "history.jsonl")
    assert f"{control.name}/history.jsonl is the history of another run: its mutant is none" in refused(verify, capsys)


# Values that nobody knows


def test_a_misspelt_field_is_refused_with_its_line(verify: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = verify / "experiments" / "quiet" / "history.jsonl"
    lines = history.read_text("utf-8").splitlines(keepends=True)
    line = next(number for number, text in enumerate(lines, 1) if '"ttl_ms"' in text)
    history.write_text("".join(lines).replace('"ttl_ms"', '"ttl_mz"'), "utf-8")
    said = refused(verify, capsys)
    assert f"quiet/history.jsonl:{line}: " in said
    assert "unknown field 'ttl_mz' of its argument, did you mean 'ttl_ms'?" in said


def test_a_value_of_another_kind_is_refused_with_its_line(verify: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = verify / "experiments" / "quiet" / "history.jsonl"
    lines = history.read_text("utf-8").splitlines(keepends=True)
    line = next(number for number, text in enumerate(lines, 1) if '"try_acquire"' in text)
    told = json.loads(lines[line - 1])
    told["value"]["ttl_ms"] = "soon"
    lines[line - 1] = json.dumps(told) + "\n"
    history.write_text("".join(lines), "utf-8")
    assert f"quiet/history.jsonl:{line}: try_acquire" in refused(verify, capsys)


def test_a_folder_in_the_place_of_a_history_is_named(verify: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = verify / "experiments" / "quiet"
    (experiment / "history.jsonl").unlink()
    (experiment / "history.jsonl").mkdir()
    assert f"{experiment}/history.jsonl is no plain file, expected the history of a run" in refused(experiment, capsys)


@pytest.mark.parametrize("change", [{"seconds": -4}, {"seconds": 10**30}, {"seconds": 1e300}, {"late_us": {"max": 10**17}}])
def test_numbers_that_results_cannot_hold_are_refused(verify: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any]) -> None:
    experiment = verify / "experiments" / "quiet"
    edit_ran(experiment / "run.json", **change)
    assert f"{experiment}/run.json: Expected `" in refused(experiment, capsys)


def test_a_run_that_says_it_is_a_verify_is_named(verify: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = verify / "experiments" / "quiet"
    edit(experiment / "run.json", kind="verify")
    assert f"{experiment}/run.json: kind 'verify', expected what was asked of a run, which has no kind" in refused(experiment, capsys)


# What was cut short is told as that


def test_a_run_that_was_ended_is_told_as_cut_short(verify: Path, capsys: pytest.CaptureFixture[str]) -> None:
    without_end(verify / "experiments" / "quiet" / "history.jsonl")
    for directory in (verify / "experiments" / "quiet", verify):
        assert guarded(["judge", str(directory)]) == 3
        assert capsys.readouterr().out.splitlines()[-1].startswith("exit 3: cut short: it was ended before it was done")


# Saving what an earlier version left


def of_an_earlier_version(verify: Path) -> None:
    """Leave of a verify what an earlier version wrote, with a claim that was left out."""
    shutil.rmtree(verify / "experiments" / "second")
    for name in ("run.json", "claims.toml"):
        (verify / name).unlink()
    told = json.loads((verify / "results.json").read_text())
    lack = {"expected": True, "absent": True, "missing": ["dynoxide: no cargo"], "remedy": "get it", "rate": None, "account": None}
    one, two, elsewhere = told["claims"]
    claims = [one, claim("two", "unavailable", cell=two["cell"], expect=["holds"], **lack), elsewhere]
    written(verify, verified(*claims, **{name: value for name, value in told.items() if name not in ("claims", "rows", "exit")}))


def test_what_an_earlier_version_was_asked_for_is_not_lost_by_saving(verify: Path, tmp_path: Path) -> None:
    of_an_earlier_version(verify)
    same = other(tmp_path, str)
    before = again(verify, same)
    assert guarded(["judge", str(verify), "--claims", str(same), "--save"]) == 0
    assert again(verify) == before
    assert words(before)["two"] == "unavailable"


def test_by_another_claims_file_what_an_earlier_version_left_is_not_saved(verify: Path, tmp_path: Path) -> None:
    of_an_earlier_version(verify)
    before = contents(verify)
    changed = str(other(tmp_path, lambda text: text + THIRD))
    assert guarded(["judge", str(verify), "--claims", changed, "--save"]) == 64
    assert contents(verify) == before


# Several tables

KEYS = """
[[table]]
name = "Key Operations"
row = "Operation"
columns = ["Memory", "Redis"]
backends = "columns"

[[row]]
name = "Ours"

[[row]]
table = "Key Operations"
name = "lock"

[[row]]
table = "Key Operations"
name = "extend"
"""
IN_CELLS = {"a": ("lock", "Memory"), "b": ("lock", "Redis"), "c": ("extend", "Memory")}


def of_two_tables(text: str) -> str:
    more = "".join(f'\n[[claim]]\nid = "{name}"\nlike = "one"\ncell = {list(cell)}\n' for name, cell in IN_CELLS.items())
    return text + KEYS + more.replace("'", '"')


@pytest.fixture
def two_tables(verify: Path) -> Path:
    """A verify that was run by a file of two tables, all of its claims chosen."""
    text = of_two_tables(CLAIMS)
    (verify / "claims.toml").write_text(text)
    edit(verify / "run.json", claims_sha256=parse(text).sha256, chosen=["one", "two", "elsewhere", *IN_CELLS])
    return verify


def test_one_table_of_a_verify_is_judged_again(two_tables: Path) -> None:
    found = stored.judge_again(two_tables, tables=["key-operations"]).results
    assert isinstance(found, Verify)
    assert words(found) == dict.fromkeys(IN_CELLS, "holds")
    assert [(row.table, row.name) for row in found.rows] == [(None, "Ours"), ("Key Operations", "lock"), ("Key Operations", "extend")]


def test_one_backend_of_a_verify_is_judged_again_in_all_tables(two_tables: Path) -> None:
    assert guarded(["judge", str(two_tables), "--backend", "redis", "--table", "Key Operations"]) == 0
    found = stored.judge_again(two_tables, rows=["memory"]).results
    assert isinstance(found, Verify)
    assert words(found) == {"a": "holds", "c": "holds"}


def test_no_table_is_judged_of_a_run(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(["judge", str(recorded / "experiments" / "quiet"), "--table", "locks"]) == 64
    assert "is no verify, expected no table with it" in capsys.readouterr().err


@pytest.mark.parametrize("chosen", [["a", "b"], ["a", "c"], ["a", "b", "c"], ["b"], ["one", "two", "elsewhere", "b"]])
def test_a_row_a_column_of_a_backend_and_a_table_can_have_been_asked_for(two_tables: Path, chosen: list[str]) -> None:
    edit(two_tables / "run.json", chosen=chosen)
    assert sorted(words(again(two_tables))) == sorted(chosen)


@pytest.mark.parametrize("chosen", [["a"], ["one", "a"]])
def test_a_part_of_a_row_and_of_a_backend_cannot_have_been_asked_for(
    two_tables: Path, capsys: pytest.CaptureFixture[str], chosen: list[str]
) -> None:
    edit(two_tables / "run.json", chosen=chosen)
    assert "expected all claims of a row or of a backend, or none" in refused(two_tables, capsys)
