"""Shards into one table: trials add up once, counterexamples stand, doubt of one is doubt, nothing is left out silently."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from verified import claim, verified, written

from harness.claims import reading
from harness.claims.claim import Document, Word
from harness.claims.consistency import contradictions
from harness.claims.counting import together
from harness.claims.judging import word
from harness.claims.merging import merge, read
from harness.claims.results import Account, Judgement
from harness.commands.cli import guarded
from harness.errors import UsageError
from harness.judging.statistics import rate
from harness.record import store

MEMORY = ["Memory", "Mutual exclusion"]


def merged(root: Path, *shards: dict[str, Any]) -> dict[str, Any]:
    """Join shards, each of a seed of its own where it does not say one."""
    found = [read(written(root / f"shard-{n}", {"seed": n, **shard})) for n, shard in enumerate(shards)]
    joined = merge(found, directory=root / "merged", command="holdwater merge")
    assert list(contradictions(joined)) == []
    return dict(json.loads(msgspec.json.encode(joined)))


def shard(*claims: dict[str, Any], **more: Any) -> dict[str, Any]:
    results = verified(*claims, **more)
    return {name: value for name, value in results.items() if name != "seed" or "seed" in more}


def same(word: str, k: int, n: int, **more: Any) -> dict[str, Any]:
    """Give a claim of one definition, whatever its verdict."""
    return claim("c", word, k, n, document=more.pop("document", "promises"), expect=["holds"], expected=word == "holds", **more)


# What a machine lacks


def absent(**more: Any) -> dict[str, Any]:
    return {**same("unavailable", 0, 0, absent=True, rate=None), "expected": True, **more}


def test_a_machine_that_lacks_a_server_takes_no_verdict_from_one_that_has_it(tmp_path: Path) -> None:
    for n, shards in enumerate(permutations([shard(absent()), shard(same("holds", 0, 4))])):
        results = merged(tmp_path / str(n), *shards)
        (joined,) = results["claims"]
        assert (joined["verdict"], joined["expected"], joined["absent"], results["exit"]) == ("holds", True, False, 0)
        assert "shards differ" in joined["said"]


def test_what_no_machine_had_is_left_out_and_expected_where_each_expected_it(tmp_path: Path) -> None:
    beside = claim("b", "holds", 0, 4)
    found = merged(tmp_path / "1", shard(absent(), beside), shard(absent()))
    asked = merged(tmp_path / "2", shard(absent(), beside), shard(absent(expected=False)))
    for results, expected, code in ((found, True, 0), (asked, False, 2)):
        joined = results["claims"][0]
        assert (joined["verdict"], joined["expected"], joined["absent"], results["exit"]) == ("unavailable", expected, True, code)


# Rows


def test_shards_of_different_rows_make_one_table(tmp_path: Path) -> None:
    results = merged(tmp_path, shard(claim("a", "holds", 0, 4, cell=MEMORY)), shard(claim("b", "as-documented", 3, 4)))
    assert [row["name"] for row in results["rows"]] == ["Memory", "Redis (Sentinel)"]
    assert {each["id"]: each["verdict"] for each in results["claims"]} == {"a": "holds", "b": "as-documented"}
    assert results["headline"] == "No contradiction of the document was seen in two judged cells."
    assert results["exit"] == 0


def test_a_row_that_only_one_shard_judged_is_not_covered_by_the_others(tmp_path: Path) -> None:
    first = shard(claim("a", "holds", 0, 4, cell=MEMORY))
    empty = [{"column": "Mutual exclusion", "quote": "Lock may be lost", "verdict": "not judged", "claims": []}]
    second = shard(claim("b", "holds", 0, 4), rows=[{"name": "Memory", "cells": empty}, *verified(claim("b", "holds"))["rows"]])
    for results in (merged(tmp_path / "1", first, second), merged(tmp_path / "2", second, first)):
        verdicts = {row["name"]: row["cells"][0]["verdict"] for row in results["rows"]}
        assert verdicts == {"Memory": "holds", "Redis (Sentinel)": "holds"}


def test_a_claim_of_one_shard_is_taken_as_it_is(tmp_path: Path) -> None:
    only = claim("a", "violated", 3, 4, evidence=[], experiments=[])
    joined = merged(tmp_path, shard(only), shard(claim("b", "holds", 0, 4)))["claims"][0]
    assert msgspec.convert(joined, Judgement) == msgspec.convert(only, Judgement)


def test_evidence_is_found_where_the_shard_is_now(tmp_path: Path) -> None:
    results = merged(tmp_path, shard(claim("a", "violated", 3, 4)))
    assert results["claims"][0]["evidence"] == [str(tmp_path / "shard-0/experiments/split-brain/anomalies/1.txt")]


# Trials of one claim


def test_trials_of_one_claim_add_up_and_the_interval_is_made_anew(tmp_path: Path) -> None:
    results = merged(tmp_path, shard(same("holds", 0, 4)), shard(same("holds", 0, 8)))
    (joined,) = results["claims"]
    expected = rate(0, 12)
    assert joined["rate"] == {"k": 0, "n": 12, "low": expected.low, "high": expected.high, "upper": expected.upper}
    assert joined["said"] == "no violation in 12 failovers; at most 22.1 % at 95 % confidence"


COUNTED = {
    "quiet": Account(n=4),
    "seen": Account(n=4, hits=1, counted={"two-holders": 1}),
    "contradicted": Account(n=4, hits=1, contradicting={"two-holders": 1}),
    "unknown": Account(n=4, unknown=("e, trial 1: lease unknown: out of budget",)),
    "unmet": Account(n=4, unmet=("e, trial 1: settled: 0, needed 1",)),
    "excluded": Account(n=3, excluded=("e, trial 1 does not count",)),
    "none": Account(),
}
DOCUMENTS: tuple[Document, ...] = ("promises", "warns", "silent")


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("pair", list(permutations(COUNTED, 2)), ids=lambda pair: "+".join(pair))
def test_the_verdict_does_not_depend_on_the_order_of_shards(document: Document, pair: tuple[str, str]) -> None:
    accounts = [COUNTED[name] for name in pair]
    assert word(document, together(accounts)) == word(document, together(accounts[::-1]))


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("name", [name for name in COUNTED if name not in ("quiet", "none")])
def test_nothing_is_quiet_unless_all_shards_were(document: Document, name: str) -> None:
    assert word(document, together([COUNTED["quiet"], COUNTED[name]])) not in (Word.HOLDS, Word.NOT_SEEN)


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("name", COUNTED)
def test_a_counterexample_stands_whatever_another_shard_saw(document: Document, name: str) -> None:
    assert word(document, together([COUNTED[name], COUNTED["contradicted"]])) is Word.VIOLATED


def test_what_is_warned_of_and_was_seen_in_one_shard_is_as_documented() -> None:
    assert word("warns", together([COUNTED["quiet"], COUNTED["seen"]])) is Word.AS_DOCUMENTED


def test_doubt_of_one_shard_is_not_taken_back_by_another_that_saw_what_is_warned_of() -> None:
    assert word("warns", together([COUNTED["unknown"], COUNTED["seen"]])) is Word.INCONCLUSIVE


def test_what_one_shard_exercised_too_little_does_not_hide_what_another_saw() -> None:
    assert word("warns", together([COUNTED["unmet"], COUNTED["seen"]])) is Word.AS_DOCUMENTED


@given(st.lists(st.sampled_from(list(COUNTED.values())), max_size=6), st.integers(0, 6))
def test_accounts_may_be_added_in_any_grouping(accounts: list[Account], at: int) -> None:
    assert together([together(accounts[:at]), together(accounts[at:])]) == together(accounts)


def test_a_claim_of_several_shards_of_which_one_has_no_account_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"shard-1/results.json: claim c has no account, .*: holdwater judge .*shard-1 --save"):
        merged(tmp_path, shard(same("holds", 0, 4)), shard(same("holds", 0, 4, account=None)))


def test_an_account_that_does_not_come_to_its_verdict_is_refused(tmp_path: Path) -> None:
    wrong = {**same("violated", 1, 4), "account": {"n": 4}}
    with pytest.raises(UsageError, match=r"shard-1/results.json: claim c lists anomalies 1 two-holders, must be none by its account"):
        merged(tmp_path, shard(same("holds", 0, 4)), shard(wrong, exit=1))


def test_a_claim_without_an_account_that_only_one_shard_judged_is_joined(tmp_path: Path) -> None:
    results = merged(tmp_path, shard(claim("a", "holds", 0, 4, account=None)), shard(claim("b", "holds", 0, 4)))
    assert [each["verdict"] for each in results["claims"]] == ["holds", "holds"]


def test_a_cell_of_which_the_shards_judged_different_claims_is_as_if_one_had_judged_all(tmp_path: Path) -> None:
    shards = []
    for name, other in (("a", "b"), ("b", "a")):
        made = shard(claim(name, "holds", 0, 4))
        made["rows"][0]["cells"][0] |= {"verdict": "inconclusive", "unjudged": [other]}
        shards.append(made)
    (cell,) = merged(tmp_path, *shards)["rows"][0]["cells"]
    assert (cell["verdict"], cell["claims"], cell["unjudged"]) == ("holds", ["a", "b"], [])


def test_a_cell_of_which_no_shard_judged_a_claim_stays_in_doubt(tmp_path: Path) -> None:
    made = shard(claim("a", "holds", 0, 4))
    made["rows"][0]["cells"][0] |= {"verdict": "inconclusive", "unjudged": ["b"]}
    assert merged(tmp_path, made)["rows"][0]["cells"][0]["verdict"] == "inconclusive"


def test_shards_that_judged_one_claim_differently_are_named(tmp_path: Path) -> None:
    results = merged(tmp_path, shard(same("holds", 0, 4)), shard(same("violated", 1, 4), exit=1))
    (joined,) = results["claims"]
    assert (joined["verdict"], joined["expected"], results["exit"]) == ("violated", False, 1)
    said = f"shards differ: {tmp_path / 'shard-0'}: holds, {tmp_path / 'shard-1'}: violated"
    assert joined["said"] == f"false in 1 of 8 failovers (95 % interval 0–53 %); {said}"
    assert results["headline"].startswith("One of one judged cell does not hold water: Redis (Sentinel)")


def test_a_verdict_that_one_shard_did_not_expect_counts_as_joined(tmp_path: Path) -> None:
    silent = {"document": "silent", "expect": ["finding"]}
    quiet, seen = claim("c", "holds", 0, 4, **silent, expected=False), claim("c", "finding", 4, 4, **silent)
    assert merged(tmp_path, shard(quiet, exit=1), shard(seen))["exit"] == 0


def test_gates_are_those_of_the_worst_shard(tmp_path: Path) -> None:
    gates = [[{"name": "during", "needed": 20, "measured": n, "met": True, "detail": ""}] for n in (40, 25)]
    (joined,) = merged(tmp_path, *(shard(same("holds", 0, 4, gates=each)) for each in gates))["claims"]
    assert joined["gates"] == gates[1]


def test_numbers_are_those_of_all_trials(tmp_path: Path) -> None:
    accounts: list[dict[str, Any]] = [
        {"n": 2, "hits": 1, "contradicting": {"two-holders": 2}, "numbers": {"lease.grants": [1, 9]}, "ttls_ms": [800]},
        {"n": 1, "hits": 1, "contradicting": {"stuck": 1}, "numbers": {"lease.grants": [7]}, "ttls_ms": [800, 12000]},
    ]
    (joined,) = merged(tmp_path, *(shard(same("violated", 1, each["n"], account=each), exit=1) for each in accounts))["claims"]
    counts = {"anomalies": {"two-holders": 2, "stuck": 1}, "excused": {}}
    assert joined["numbers"] == {"lease.grants": {"median": 7, "max": 9}, "ttl_ms": [800, 12000], **counts}


# What does not belong together


def test_trials_of_one_seed_are_not_counted_twice(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"shard-1/results.json: claim c of seed 7 is in .*shard-0/results.json too, expected another seed"
    ):
        merged(tmp_path, shard(same("holds", 0, 4), seed=7), shard(same("holds", 0, 4), seed=7))


def test_a_shard_that_was_joined_already_is_not_counted_twice(tmp_path: Path) -> None:
    first = merged(tmp_path / "1", shard(same("holds", 0, 4), seed=7), shard(same("holds", 0, 4), seed=8))
    with pytest.raises(UsageError, match="claim c of seed 8"):
        merged(tmp_path / "2", first, shard(same("holds", 0, 4), seed=8))


def test_what_was_joined_can_be_joined_again(tmp_path: Path) -> None:
    first = merged(tmp_path / "1", shard(same("holds", 0, 4), seed=7), shard(same("holds", 0, 4), seed=8))
    results = merged(tmp_path / "2", first, shard(same("holds", 0, 4), seed=9))
    assert [each["seed"] for each in results["shards"]] == [7, 8, 9]
    assert results["claims"][0]["rate"]["n"] == 12


def test_one_claim_with_two_sentences_is_refused_with_both_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"shard-1/results.json: claim c has sentence 'Other.', expected .* as in .*shard-0/results.json"):
        merged(tmp_path, shard(same("holds", 0, 4)), shard(same("holds", 0, 4, sentence="Other.")))


def test_shards_of_two_profiles_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"shard-1/results.json: profile 'nightly', expected 'quick' as in .*shard-0"):
        merged(tmp_path, shard(claim("a", "holds", 0, 4)), shard(claim("b", "holds", 0, 4), profile="nightly"))


def test_two_documents_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected one document"):
        merged(tmp_path, shard(claim("a", "holds", 0, 4)), shard(claim("b", "holds", 0, 4, quote="Never lost")))


# Shards that are not there, exit codes

UNREADABLE = {
    "missing": (None, "is not there, expected the results of a verify"),
    "torn": ('{"holdwater": 1, "kind": "ver', "Input data was truncated"),
    "run": ('{"holdwater": 1, "kind": "run"}', "Invalid value 'run'"),
    "format": ('{"holdwater": 2, "kind": "verify"}', "Invalid enum value 2"),
    "claims": (json.dumps({**verified(), "claims": [{"id": "c"}]}), "missing required field"),
}


@pytest.mark.parametrize(("text", "said"), UNREADABLE.values(), ids=list(UNREADABLE))
def test_a_shard_without_results_is_named_and_is_exit_3(tmp_path: Path, text: str | None, said: str) -> None:
    good, bad = written(tmp_path / "good", verified(claim("c", "holds", 0, 4))), tmp_path / "bad"
    if text is not None:
        bad.mkdir()
        (bad / store.RESULTS).write_text(text)
    results = store.plain(merge([read(good), read(bad)], directory=tmp_path, command=""))
    assert said in results["failures"][str(bad)]
    assert f"1 of 2 shards left no results: {bad}." in results["headline"]
    assert results["exit"] == 3


def test_without_any_results_nothing_is_joined(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no shard has results: .*none/results.json is not there"):
        merge([read(tmp_path / "none")], directory=tmp_path, command="")


BROKE: dict[int, dict[str, str]] = {0: {}, 3: {"infrastructure": "no port"}, 70: {"bug": "TypeError"}}
"""What makes a claim's exit code."""


@pytest.mark.parametrize(("codes", "expected"), [((0, 3), 3), ((70, 3), 70), ((3, 0), 3), ((0, 0), 0)])
def test_what_broke_a_shard_is_passed_on_in_the_order_of_precedence(tmp_path: Path, codes: tuple[int, int], expected: int) -> None:
    shards = [shard(claim(f"c{n}", "holds", 0, 4, **BROKE[code])) for n, code in enumerate(codes)]
    assert merged(tmp_path, *shards)["exit"] == expected


def test_a_verdict_that_is_not_expected_stands_before_a_machine_that_failed(tmp_path: Path) -> None:
    assert merged(tmp_path, shard(same("violated", 1, 4), exit=1), shard(claim("b", "holds", 0, 4, **BROKE[3])))["exit"] == 1


def test_a_machine_that_failed_a_shard_is_not_forgotten_when_what_was_joined_is_joined_again(tmp_path: Path) -> None:
    silent = {"document": "silent", "expect": ["finding"]}
    first = merged(tmp_path / "1", shard(claim("c", "holds", **silent), seed=1), shard(claim("b", "holds", **BROKE[3]), seed=2))
    assert first["exit"] == 1
    assert merged(tmp_path / "2", first, shard(claim("c", "finding", **silent), seed=3))["exit"] == 3


def test_strict_of_one_shard_is_strict_for_all(tmp_path: Path) -> None:
    assert merged(tmp_path, shard(claim("a", "violated", 1, 4)), shard(claim("b", "holds", 0, 4), strict=True))["exit"] == 1


def test_failures_of_one_experiment_in_two_shards_are_both_kept(tmp_path: Path) -> None:
    shards = [shard(claim(f"c{n}", "holds", 0, 4, **BROKE[3]), failures={"split-brain": f"port {n}"}) for n in range(2)]
    assert sorted(merged(tmp_path, *shards)["failures"].values()) == ["port 0", "port 1"]


def test_versions_that_differ_are_all_told(tmp_path: Path) -> None:
    shards = [shard(claim(f"c{n}", "holds", 0, 4), versions={"Valkey": f"9.{n}"}) for n in range(2)]
    assert merged(tmp_path, *shards)["versions"] == {"Valkey": "9.0, 9.1"}


# The command


def test_merge_prints_one_table_and_writes_what_ci_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    written(Path("a"), verified(claim("a", "holds", 0, 4, cell=MEMORY), seed=1))
    written(Path("b"), verified(claim("b", "violated", 3, 4, expected=False, expect=["holds"]), seed=2, exit=1))
    assert guarded(["merge", "a", "b", "gone", "--out", "merged"]) == 1
    out = capsys.readouterr().out
    assert "gone: gone/results.json is not there" in out
    assert "seeds 1 and 2" in out
    latest = Path("merged/latest")
    assert {path.name for path in latest.iterdir()} == {"results.json", "junit.xml", "summary.md"}
    assert reading.read_verify(latest).exit == 1


def test_a_shard_that_cannot_be_read_is_told_on_stderr_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    written(Path("a"), verified(claim("a", "holds")))
    written(Path("b"), {**verified(claim("b", "holds")), "exit": 7})
    assert guarded(["merge", "a", "b", "--out", "merged", "--json"]) == 3
    assert "b/results.json: Invalid enum value 7 - at `$.exit`" in capsys.readouterr().err


def test_shards_that_do_not_belong_together_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(Path("a"), verified(claim("a", "holds", 0, 4)))
    assert guarded(["merge", "a", "a", "--out", "merged"]) == 64
    assert not Path("merged").exists()


# Several tables


def operation(name: str, backend: str, word: str = "holds", table: str = "Key Operations") -> dict[str, Any]:
    return claim(f"{name}-{backend}-{table}", word, table=table, cell=[name, backend])


def test_shards_of_several_tables_are_joined_table_by_table(tmp_path: Path) -> None:
    results = merged(
        tmp_path, shard(operation("increment", "Memory"), claim("a", "holds")), shard(operation("increment", "Redis", "finding"))
    )
    assert [each["name"] for each in results["tables"]] == ["Key Operations"]
    assert [(each["table"], each["name"]) for each in results["rows"]] == [("Key Operations", "increment"), (None, "Redis (Sentinel)")]
    found = results["rows"][0]
    assert [(cell["column"], cell["verdict"]) for cell in found["cells"]] == [("Memory", "holds"), ("Redis", "finding")]
    assert found["says"] == {"Purpose": "The purpose of increment"}


def test_rows_of_one_name_in_two_tables_stay_two(tmp_path: Path) -> None:
    results = merged(tmp_path, shard(operation("get", "Memory"), operation("get", "Memory", "finding", table="Others")))
    assert [(each["table"], each["cells"][0]["verdict"]) for each in results["rows"]] == [
        ("Key Operations", "holds"),
        ("Others", "finding"),
    ]


def test_shards_that_have_a_table_or_the_words_on_a_row_differently_are_refused(tmp_path: Path) -> None:
    first, other, third = (shard(operation("get", backend)) for backend in ("Memory", "Redis", "DynamoDB"))
    other["tables"][0]["row"] = "Function"
    with pytest.raises(UsageError, match=r"shards have the table Key Operations as .*Function.* expected one document"):
        merged(tmp_path / "a", first, other)
    third["rows"][0]["says"] = {"Purpose": "Another"}
    with pytest.raises(UsageError, match=r"shards quote get as .*Another.* expected one document"):
        merged(tmp_path / "b", first, third)
