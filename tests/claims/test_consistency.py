"""A results.json that contradicts itself is refused, in one line that says what it must be, by every command that reads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from verified import claim, run, seen, trial, verified, written

from harness.claims.claim import Word
from harness.claims.consistency import contradictions
from harness.claims.results import convert
from harness.commands.cli import guarded

Edit = Callable[[dict[str, Any]], object]

KEYS = {"name": "Key Operations", "row": "Operation", "backends": "columns"}
SHARD = {"directory": "shards/a", "exit": 0, "claims": ["c"], "seconds": 1.0}


def holds() -> dict[str, Any]:
    return verified(claim("c", "holds"))


def old(word: str = "holds", **more: Any) -> dict[str, Any]:
    """Give results of an earlier version: no account, no unjudged."""
    made = verified(claim("c", word, account=None, **more))
    del made["rows"][0]["cells"][0]["unjudged"]
    return made


def first(found: dict[str, Any], name: str) -> Any:
    return found["claims"][0][name]


def of_claim(**values: Any) -> Edit:
    return lambda found: found["claims"][0].update(values)


def of_account(**values: Any) -> Edit:
    return lambda found: first(found, "account").update(values)


def of_all(**values: Any) -> Edit:
    return lambda found: found.update(values)


def of_cell(**values: Any) -> Edit:
    return lambda found: found["rows"][0]["cells"][0].update(values)


def of_row(**values: Any) -> Edit:
    return lambda found: found["rows"][0].update(values)


EDITS: dict[str, tuple[Edit, str]] = {
    "verdict": (of_claim(verdict="not-seen", expect=["not-seen"]), "claim c is not-seen, must be holds by its account, gates and controls"),
    "numbers": (of_claim(numbers={"anomalies": {"stuck": 1}}), "has the number anomalies {'stuck': 1}, must be {} by its account"),
    "expected": (of_claim(expected=False), "claim c is holds, expected False, must be True: it expects holds"),
    "absent": (of_claim(absent=True), "claim c is holds and absent, must be unavailable"),
    "low above high": (lambda found: first(found, "rate").update(low=0.9, high=0.1), "claim c has the rate 0 of 4 (0.9 to 0.1"),
    "another bound": (lambda found: first(found, "rate").update(upper=0.1), "at most 0.1), must be 0 of 4 (0 to 0.602, at most 0.527)"),
    "no rate": (of_claim(rate=None), "claim c has the rate no trial, must be 0 of 4"),
    "more trials": (of_account(n=800), "claim c has the rate 0 of 4 (0 to 0.602, at most 0.527), must be 0 of 800"),
    "a counterexample": (of_account(contradicting={"stuck": 5}, hits=4), "claim c lists anomalies none, must be 5 stuck by its account"),
    "counted without a hit": (of_account(contradicting={"stuck": 3}), "claim c has 0 trials with an anomaly that counts, must have 1 to 3"),
    "counted of a promise": (of_account(counted={"stuck": 3}), "claim c has 3 stuck that it cannot have, must have none"),
    "hits above n": (of_account(hits=9), "claim c has hits 9 of n 4 in its account, must be at most n"),
    "excused in no trial": (of_account(n=0, excused={"stuck": 1}), "claim c has anomalies and n 0 in its account"),
    "doubt": (of_account(unmet=["x"]), "claim c is holds, must be inconclusive"),
    "numbers without a value": (of_account(numbers={"x": []}), "claim c has no value of x in its account, must have one"),
    "listed": (of_claim(anomalies=[seen("stuck")]), "claim c lists anomalies 1 stuck, must be none by its account"),
    "excused": (of_claim(excused=[seen("stuck")]), "claim c lists excused 1 stuck, must be none by its account"),
    "control": (lambda found: first(found, "controls")[0].update(condemned=False), "claim c is holds, must be inconclusive"),
    "no control": (of_claim(controls=[]), "claim c is holds, must be inconclusive"),
    "gate": (lambda found: first(found, "gates")[0].update(met=False), "claim c is holds, must be inconclusive"),
    "gate that falls short": (lambda found: first(found, "gates")[0].update(needed=9), "claim c is holds, must be inconclusive"),
    "twice": (lambda found: found["claims"].append(found["claims"][0]), "claim c stands twice"),
    "no claims": (of_all(claims=[]), "claims of the cell Redis (Sentinel), Failover safety are 'c', must be ''"),
    "no rows": (of_all(rows=[]), "claim c is of the cell Redis (Sentinel), Failover safety, must be in rows"),
    "a table twice": (of_all(tables=[KEYS, KEYS]), "table Key Operations stands twice, must stand once"),
    "a row of no table": (of_row(table="Key Operations"), "row Redis (Sentinel) is of the table Key Operations, must be in tables"),
    "a claim of another table": (
        of_claim(table="Key Operations"),
        "claim c is of the cell Key Operations, Redis (Sentinel), Failover safety",
    ),
    "a row twice": (lambda found: found["rows"].append(found["rows"][0]), "cell Redis (Sentinel), Failover safety stands twice"),
    "a cell's verdict": (of_cell(verdict="finding"), "verdict of the cell Redis (Sentinel), Failover safety is finding, must be holds"),
    "left out and judged": (of_cell(unjudged=["c"]), "claim c is judged, and stands in unjudged"),
    "contradicts": (of_all(contradicts=True), "contradicts is True, must be False by its claims"),
    "exit": (of_all(exit=2), "exit is 2, must be 0 by its claims"),
    "a bug": (of_claim(bug="TypeError"), "exit is 0, must be 70 by its claims"),
    "the machine": (of_claim(infrastructure="no port"), "exit is 0, must be 3 by its claims"),
    "finished": (of_all(finished="yesterday"), "finished is 'yesterday', must be a time such as"),
    "a seed as a text": (of_all(seed="7"), "seed is '7', must be a whole number"),
    "no seed": (of_all(seed=None), "seed is None, must be a whole number"),
    "a shard's seed": (of_all(shards=[{**SHARD, "seed": "7"}]), "seed of shard shards/a is '7', must be a whole number"),
    "another seed": (of_all(shards=[{**SHARD, "seed": 8}]), "seed is 7, must be 8 by its shards"),
    "a shard of other claims": (of_all(shards=[{**SHARD, "seed": 7, "claims": ["x"]}]), "claim c is in its claims or in its shards"),
    "a shard twice": (of_all(shards=[{**SHARD, "seed": 7}] * 2), "claim c of seed 7 is in two shards, must be in one"),
    "a shard that failed": (of_all(shards=[{**SHARD, "seed": 7, "exit": 3}]), "exit is 0, must be 3 by its claims"),
}


def edited(found: dict[str, Any], edit: Edit) -> dict[str, Any]:
    copy = deepcopy(found)
    edit(copy)
    return copy


@pytest.mark.parametrize(("edit", "told"), EDITS.values(), ids=list(EDITS))
def test_what_contradicts_itself_is_named_with_what_it_must_be(edit: Edit, told: str) -> None:
    assert list(contradictions(convert(json.loads(json.dumps(holds()))))) == []
    assert told in next(contradictions(convert(json.loads(json.dumps(edited(holds(), edit))))))


@pytest.mark.parametrize("command", ["merge shard other --out out", "nightly --store out --from shard", "report shard", "judge shard"])
def test_every_command_refuses_it_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    written(Path("other"), verified(claim("d", "holds"), seed=8))
    written(Path("shard"), edited(holds(), of_account(unmet=["x"])))
    assert guarded(command.split()) == 64
    (line,) = capsys.readouterr().err.splitlines()
    assert "shard/results.json: claim c is holds, must be inconclusive" in line
    assert not Path("out/nights").exists() or not list(Path("out/nights").iterdir())


OLD: dict[str, tuple[dict[str, Any], Edit, str]] = {
    "a promise that was broken": (old("violated"), of_claim(verdict="holds", expect=["holds"]), "claim c is holds, must be violated"),
    "a warning that came true": (old("as-documented"), of_claim(verdict="not-seen", expect=["not-seen"]), "must be as-documented"),
    "a finding": (old("finding"), of_claim(verdict="violated", expect=["violated"]), "claim c is violated, must be finding"),
    "listed": (old("not-seen"), of_claim(anomalies=[seen()]), "claim c has 0 trials with an anomaly that counts, must have 1 to 1"),
    "counted": (old(), of_claim(numbers={"anomalies": {"stuck": 2}}), "claim c has 0 trials with an anomaly that counts"),
    "missing": (old(), of_claim(missing=["x"]), "claim c is holds, must be inconclusive"),
    "control": (old(), lambda found: first(found, "controls")[0].update(condemned=False), "claim c is holds, must be inconclusive"),
    "low above high": (old(), lambda found: first(found, "rate").update(low=0.9, high=0.1), "claim c has the rate"),
    "a cell's verdict": (old(), of_cell(verdict="finding"), "is finding, must be holds"),
    "exit": (old(), of_all(exit=1), "exit is 1, must be 0"),
}


@pytest.mark.parametrize(("found", "edit", "told"), OLD.values(), ids=list(OLD))
def test_results_of_an_earlier_version_are_held_to_what_they_tell(found: dict[str, Any], edit: Edit, told: str) -> None:
    assert list(contradictions(convert(json.loads(json.dumps(found))))) == []
    assert told in next(contradictions(convert(json.loads(json.dumps(edited(found, edit))))))


@pytest.mark.parametrize("edit", [of_claim(said="another version words it otherwise"), of_claim(missing=["a disk, as it was worded then"])])
def test_a_sentence_that_another_version_words_otherwise_contradicts_nothing(edit: Edit) -> None:
    assert list(contradictions(convert(json.loads(json.dumps(edited(holds(), edit)))))) == []


@pytest.mark.parametrize("word", Word)
@pytest.mark.parametrize("make", [lambda word: verified(claim("c", word)), old], ids=["today", "an earlier version"])
def test_no_verdict_contradicts_itself(word: str, make: Callable[[str], dict[str, Any]]) -> None:
    assert list(contradictions(convert(json.loads(json.dumps(make(word)))))) == []


@pytest.mark.parametrize("status", ["valid", "unknown"])
def test_a_run_that_was_cut_short_may_be_unknown_though_its_trials_are_valid(status: str) -> None:
    assert list(contradictions(convert(run(trial(1, "valid"), status=status, exit=3, broken="no port")))) == []


def test_a_claim_that_was_not_run_has_nothing_of_trials() -> None:
    found = verified({**claim("c", "unavailable"), "account": {"n": 4}})
    assert next(contradictions(convert(found))) == "claim c is unavailable and has account, must have none: nothing of it was run"


RUNS: dict[str, tuple[Edit, str]] = {
    "exit": (of_all(exit=0), "exit is 0, must be 1 by its status"),
    "status": (of_all(status="valid"), "status is valid, must be invalid by its trials"),
    "a trial": (lambda found: found["trials"][1].update(status="valid"), "trial 2 is valid, must be invalid by its checks"),
    "a check": (
        lambda found: found["trials"][1]["checks"]["lease"].update(status="valid"),
        "trial 2: check lease is valid, must be invalid by its anomalies",
    ),
    "finished": (of_all(finished="yesterday"), "finished is 'yesterday'"),
}


@pytest.mark.parametrize(("edit", "told"), RUNS.values(), ids=list(RUNS))
def test_a_run_that_contradicts_itself_is_refused(edit: Edit, told: str) -> None:
    made = run(trial(1, "valid"), trial(2, "invalid"))
    assert list(contradictions(convert(made))) == []
    assert told in next(contradictions(convert(edited(made, edit))))
