"""Reading claims, and judging them: each verdict is earned, and each sabotage takes it away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from trials import NS_PER_MS, Script, failover_trial, latency_trial

from harness.claims.claim import Claim, Claims, Window, Word, of_profile
from harness.claims.counting import ExperimentEvidence, live
from harness.claims.file import BadClaims, parse
from harness.claims.judging import by_noise, decided, judge, left_out
from harness.claims.results import ControlResult, Judgement
from harness.claims.table import exit_code, headline, table
from harness.judging.trials import TrialEvidence
from harness.judging.verdict import Anomaly, Verdict, combine, invalid, unknown, valid
from harness.record.history import BROKEN, UNCLASSIFIED, History

FILE = """\
format = 1

[[row]]
name = "Redis"
mutual_exclusion = "Strong"
failover_safety = "Lock may be lost"

[experiment.faults]
deployment = "redis"
variant = "default"
workloads = ["lock", "dedup"]
faults = ["latency"]
timeline = { quiet_s = 1.0, fault_s = 2.0, after_s = 1.5 }
trials = { quick = 8, nightly = 80 }
controls = [{ check = "lease", mutant = "release-unchecked" }]

[experiment.failover]
like = "faults"
faults = ["isolate-primary"]
controls = [{ check = "lease", experiment = "faults" }]

[[claim]]
id = "one"
cell = ["Redis", "Mutual exclusion"]
quote = "Strong"
document = "promises"
sentence = "A lock has one owner."
conditions = "latency"
experiments = ["faults"]
anomalies = ["two-holders", "dedup-two-winners"]
expect = ["holds"]

[[claim]]
id = "two"
cell = ["Redis", "Failover safety"]
document = "warns"
sentence = "A lock can be lost."
conditions = "split brain"
experiments = ["failover"]
unit = "failovers"
anomalies = ["two-holders"]
excuses = ["fencing"]
window = { from = "begin", to = "settled" }
gates = { promoted = 1 }
expect = ["as-documented"]

[[claim]]
id = "three"
cell = ["Redis", "Failover safety"]
document = "silent"
sentence = "Locks survive a loss of power."
conditions = "fsync"
requires = "a machine that can lose power"
remedy = "a virtual machine"
expect = ["unavailable"]
"""


# Reading


def test_a_file_is_read_into_rows_experiments_and_claims() -> None:
    claims = parse(FILE)
    assert [row.name for row in claims.rows] == ["Redis"]
    assert list(claims.experiments) == ["faults", "failover"]
    assert [claim.id for claim in claims.claims] == ["one", "two", "three"]


def test_an_experiment_like_another_inherits_what_it_does_not_say() -> None:
    failover = parse(FILE).experiments["failover"]
    assert (failover.name, failover.workloads, failover.faults) == ("failover", ("lock", "dedup"), ("isolate-primary",))
    assert failover.timeline["fault_s"] == 2.0


ALIKE = """
[[claim]]
id = "four"
like = "one"
cell = ["Redis", "Failover safety"]
experiments = ["failover"]
"""


def test_a_claim_like_another_inherits_what_it_does_not_say() -> None:
    found = {claim.id: claim for claim in parse(FILE.replace('quote = "Strong"\n', "", 1) + ALIKE).claims}
    assert found["four"] == msgspec.structs.replace(found["one"], id="four", cell=found["four"].cell, experiments=("failover",))


def test_a_claim_like_one_that_is_not_there_is_refused_with_the_nearest() -> None:
    with pytest.raises(BadClaims, match=r"guarantees.toml:5\d: claim four is like 'onee', did you mean 'one'"):
        parse(FILE + ALIKE.replace('"one"', '"onee"'))


def test_a_claim_whose_experiment_has_no_trials_in_a_profile_is_judged_elsewhere() -> None:
    claims = parse(FILE.replace('faults = ["isolate-primary"]', 'faults = ["isolate-primary"]\ntrials = { nightly = 3 }'))
    quick, nightly = of_profile(claims, "quick"), of_profile(claims, "nightly")
    assert ([claim.id for claim in quick.claims], quick.elsewhere) == (["one", "three"], ("two",))
    assert (len(nightly.claims), nightly.elsewhere) == (3, ())


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('quote = "Strong"', 'qoute = "Strong"', 25, ["claim one", "'qoute'", "did you mean 'quote'"]),
        ('expect = ["holds"]', 'functions = ["increment"]\nexpect = ["holds"]', 31, ["experiment faults drives no increment"]),
        ('expect = ["holds"]', 'functions = ["try_aquire"]\nexpect = ["holds"]', 31, ["'try_aquire'", "did you mean 'try_acquire'"]),
        ('experiments = ["faults"]', 'experiments = ["fautls"]', 29, ["claim one", "unknown experiment 'fautls'", "did you mean 'faults'"]),
        ('like = "faults"', 'like = "fault"', 18, ["failover", "did you mean 'faults'"]),
        ('anomalies = ["two-holders", "dedup', 'anomalies = ["two-holder", "dedup', 30, ["'two-holder'", "did you mean 'two-holders'"]),
        ("gates = { promoted = 1 }", "gates = { promotd = 1 }", 44, ["unknown gate 'promotd'", "did you mean 'promoted'"]),
        ("gates = { promoted = 1 }", "gates = { promoted = -1 }", 44, ["claim two", "promoted"]),
        ("gates = { promoted = 1 }", "gates = { attempted_on_old_after_bound = 1 }", 44, ["needs a bound"]),
        ('anomalies = ["two-holders"]', 'anomalies = ["late-grant"]', 41, ["late-grant needs a bound"]),
        ('anomalies = ["two-holders"]', 'anomalies = ["not-linearizable"]', 41, ["not-linearizable needs workload cas or counter"]),
        ('anomalies = ["two-holders"]', 'anomalies = ["two-holders", "fencing"]', 42, ["fencing both counts and is excused"]),
        ('document = "warns"', 'document = "warned"', 36, ["claim two", "warned"]),
        ('document = "warns"', 'document = "promises"', 42, ["only a document that warns"]),
        ('window = { from = "begin", to = "settled" }', 'window = { from = "begin", until = "settled" }', 43, ["'until'"]),
        ('window = { from = "begin", to = "settled" }\n', "", 36, ["needs the window"]),
        ('cell = ["Redis", "Mutual exclusion"]', 'cell = ["Redis", "Mutual exclusoin"]', 24, ["did you mean 'Mutual exclusion'"]),
        (
            'cell = ["Redis", "Mutual exclusion"]',
            'cell = ["Rediss", "Mutual exclusion"]',
            24,
            ["unknown row 'Rediss'", "did you mean 'Redis'"],
        ),
        ('quote = "Strong"', 'quote = "strong"', 25, ["quote 'strong'", "'Strong'"]),
        ('expect = ["holds"]', 'expect = ["hold"]', 31, ["claim one"]),
        ('expect = ["holds"]', "expect = []", 31, ["claim one"]),
        ('id = "two"', 'id = "one"', 33, ["claim one stands twice"]),
        ('remedy = "a virtual machine"\n', "", 48, ["claim three", "remedy is missing"]),
        ("quick = 8", "quik = 8", 14, ["faults", "'quik'", "did you mean 'quick'"]),
        ("quick = 8", "quick = 0", 14, ["faults", "quick"]),
        ("fault_s = 2.0", "faults_s = 2.0", 13, ["'faults_s'", "did you mean 'fault_s'"]),
        ('check = "lease", mutant', 'check = "leases", mutant', 15, ["did you mean 'lease'"]),
        (
            'check = "lease", mutant = "release-unchecked"',
            'check = "late-grant", mutant = "release-unchecked"',
            15,
            ["mutant release-unchecked runs without a fault, and late-grant judges nothing there"],
        ),
        ('check = "lease", mutant = "rel', 'check = "extra-holders", mutant = "rel', 15, ["expected a control with an experiment"]),
        ('check = "lease", experiment = "faults"', 'check = "lease"', 20, ["needs a mutant or an experiment"]),
        ('check = "lease", experiment = "faults"', 'check = "lease", experiment = "failover"', 20, ["does not stand above it"]),
        ("format = 1", "format = 2", 1, ["format 2, expected 1"]),
        ("format = 1", "format = true", 1, ["format True, expected 1"]),
        ('experiments = ["faults"]', 'experiments = ["faults", "faults"]', 29, ["claim one", "faults stands twice"]),
        ('anomalies = ["two-holders", "dedup', 'anomalies = ["two-holders", "two-holders", "dedup', 30, ["two-holders stands twice"]),
        ('workloads = ["lock", "dedup"]', 'workloads = ["lock", "lock"]', 11, ["workload lock stands twice"]),
        ("[[row]]", "[[rows]]", 3, ["'rows'", "did you mean 'row'"]),
        ('id = "two"', "id = two", 34, ["no TOML"]),
    ],
)
def test_a_mistake_is_one_line_with_place_value_and_what_was_meant(old: str, new: str, line: int, words: list[str]) -> None:
    assert FILE.count(old) >= 1
    with pytest.raises(BadClaims) as caught:
        parse(FILE.replace(old, new, 1), "mine.toml")
    message = str(caught.value)
    assert message.startswith(f"mine.toml:{line}: "), message
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("key", ["quiet_s", "fault_s"])
def test_a_schedule_beside_a_timeline_that_says_the_same_is_refused(key: str) -> None:
    text = FILE.replace('faults = ["latency"]', 'faults = ["latency@1+3"]').replace("{ quiet_s = 1.0, fault_s = 2.0,", f"{{ {key} = 1.0,")
    with pytest.raises(BadClaims) as raised:
        parse(text, "c.toml")
    assert (
        str(raised.value)
        == f"c.toml:13: experiment faults: {key} of timeline, but each fault has a time of its own; expected one of the two"
    )


def test_a_timeline_that_only_says_what_comes_after_goes_with_a_schedule() -> None:
    text = FILE.replace('faults = ["latency"]', 'faults = ["latency@1+3"]').replace("{ quiet_s = 1.0, fault_s = 2.0,", "{")
    assert parse(text).experiments["faults"].faults == ("latency@1+3",)


def test_experiments_like_each_other_are_refused() -> None:
    with pytest.raises(BadClaims, match="is like"):
        parse(FILE.replace('deployment = "redis"', 'like = "failover"', 1))


def test_a_file_that_is_not_there_is_the_users_mistake(tmp_path: Any) -> None:
    from harness.claims.file import load

    with pytest.raises(BadClaims, match="No such file"):
        load(tmp_path / "none.toml")


# Judging


CLAIMS = parse(FILE)
PROMISES, WARNS, ELSEWHERE = CLAIMS.claims
SILENT = msgspec.structs.replace(PROMISES, id="silent", document="silent", expect=(Word.HOLDS,))
MISSED = ControlResult("lease", "mutant release-unchecked", condemned=False, detail="0 of 2 trials")
CONTROLS = tuple(ControlResult(check, "mutant", condemned=True) for check in ("lease", "dedup", "fencing"))


def anomaly(kind: str = "two-holders", at: float = 1500, since: float | None = None, operations: tuple[int, ...] = ()) -> Anomaly:
    return Anomaly(kind, "t1-a", operations, int(at * NS_PER_MS), kind, live=None if since is None else int(since * NS_PER_MS))


def verdicts(*found: Anomaly, **more: Verdict) -> Mapping[str, Verdict]:
    checks: dict[str, Verdict] = {"lease": valid("l", grants=3), "dedup": valid("d"), "fencing": valid("f")}
    for each in found:
        check = {"fencing": "fencing"}.get(each.kind, "dedup" if each.kind.startswith("dedup") else "lease")
        checks[check] = invalid(each.kind, [each])
    return {**checks, **more}


def trial(script: Script | None = None, *found: Anomaly, n: int = 1, **more: Verdict) -> TrialEvidence:
    return TrialEvidence(n, (script or latency_trial("lock", "dedup")).history(), verdicts(*found, **more))


def evidence(*trials: TrialEvidence, name: str = "faults", **more: Any) -> dict[str, ExperimentEvidence]:
    return {name: ExperimentEvidence(**{"name": name, "trials": trials, "controls": CONTROLS, **more})}


def judged(claim: Claim, *trials: TrialEvidence, **more: Any) -> Judgement:
    return judge(claim, evidence(*trials, name=claim.experiments[0], **more))


def failover(*found: Anomaly, n: int = 1, **more: Verdict) -> TrialEvidence:
    return trial(failover_trial("lock", "dedup"), *found, n=n, **more)


def test_a_promise_holds_when_nothing_was_seen_and_every_gate_is_met() -> None:
    found = judged(PROMISES, trial(n=1), trial(n=2))
    assert (found.verdict, found.expected, found.missing) == (Word.HOLDS, True, ())
    assert found.rate is not None
    assert (found.rate.k, found.rate.n) == (0, 2)
    assert "no violation in 2 trials" in found.said
    assert "77.7 %" in found.said


def test_one_counterexample_breaks_a_promise() -> None:
    found = judged(PROMISES, trial(n=1), trial(None, anomaly(), n=2))
    assert (found.verdict, found.expected) == (Word.VIOLATED, False)
    assert [(seen.trial, seen.kind) for seen in found.anomalies] == [(2, "two-holders")]
    assert "false in 1 of 2 trials" in found.said


def test_an_anomaly_that_breaks_a_promise_is_counted_once() -> None:
    found = judged(PROMISES, trial(None, anomaly(), n=1), trial(None, anomaly(), n=2))
    assert found.numbers["anomalies"] == {"two-holders": 2}


def test_a_counterexample_counts_though_an_exposure_gate_is_unmet() -> None:
    script = latency_trial("lock")  # nothing of dedup was tried
    script.workloads = ("lock", "dedup")
    assert judged(PROMISES, trial(script, anomaly())).verdict is Word.VIOLATED


def test_a_counterexample_counts_though_another_check_is_unknown_and_a_control_missed() -> None:
    found = judged(PROMISES, trial(None, anomaly(), dedup=unknown("out of budget")), controls=(MISSED,))
    assert found.verdict is Word.VIOLATED


def test_an_anomaly_of_a_class_that_a_promise_does_not_name_leaves_it_in_doubt() -> None:
    found = judged(PROMISES, trial(None, anomaly("lost-early")))
    assert (found.verdict, [seen.kind for seen in found.excused]) == (Word.INCONCLUSIVE, ["lost-early"])
    assert "lost-early, a class that no claim names there" in found.missing[0]


def test_an_anomaly_of_a_class_that_another_claim_judges_leaves_it_in_no_doubt() -> None:
    evidence = ExperimentEvidence("faults", (trial(None, anomaly("lost-early")),), controls=CONTROLS, named=frozenset({"lost-early"}))
    assert judge(PROMISES, {"faults": evidence}).verdict is Word.HOLDS


OF_LOCKS = msgspec.structs.replace(PROMISES, functions=("try_acquire",))


def of_operation(f: str, key: str) -> TrialEvidence:
    """A trial with an anomaly of one operation, the first of its function."""
    script = latency_trial("lock", "dedup")
    history = script.history()
    first = next(operation.index for operation in history.operations() if operation.f == f)
    return trial(script, Anomaly("two-holders", key, (first,), int(1500 * NS_PER_MS), "seen"))


def test_an_anomaly_in_which_a_function_of_the_claim_takes_part_counts() -> None:
    assert judged(OF_LOCKS, of_operation("try_acquire", "t1-lock-0")).verdict is Word.VIOLATED


def test_an_anomaly_of_other_functions_on_a_key_of_others_leaves_no_doubt() -> None:
    found = judged(OF_LOCKS, of_operation("check_and_set", "t1-dedup-0"))
    assert (found.verdict, [seen.kind for seen in found.excused]) == (Word.HOLDS, ["two-holders"])


def test_an_anomaly_of_other_functions_on_a_key_that_the_claims_functions_used_leaves_it_in_doubt() -> None:
    found = judged(OF_LOCKS, of_operation("check_and_set", "t1-lock-0"))
    assert found.verdict is Word.INCONCLUSIVE
    assert "two-holders on t1-lock-0, where try_acquire was used too" in found.missing[0]


def test_a_claim_whose_functions_were_hardly_answered_is_in_doubt() -> None:
    found = judged(msgspec.structs.replace(PROMISES, functions=("release",)), trial())
    assert found.verdict is Word.INCONCLUSIVE
    assert "answered of its functions: 0, needed 20" in found.missing[0]


def test_where_the_document_is_silent_an_anomaly_is_a_finding() -> None:
    assert judged(SILENT, trial(None, anomaly())).verdict is Word.FINDING


def test_where_the_document_is_silent_nothing_seen_holds() -> None:
    assert judged(SILENT, trial()).verdict is Word.HOLDS


def test_what_the_document_warns_of_is_as_documented_where_seen() -> None:
    found = judged(WARNS, failover(anomaly(at=5000, since=2000), n=1), failover(n=2))
    assert found.verdict is Word.AS_DOCUMENTED
    assert "seen in 1 of 2 failovers" in found.said


def test_what_the_document_warns_of_is_not_seen_where_every_gate_is_met() -> None:
    assert judged(WARNS, failover()).verdict is Word.NOT_SEEN


def test_an_excused_class_inside_the_window_is_reported_and_not_counted() -> None:
    found = judged(WARNS, failover(anomaly("fencing", at=5000, since=2000)))
    assert (found.verdict, [seen.kind for seen in found.excused]) == (Word.NOT_SEEN, ["fencing"])


@pytest.mark.parametrize("kind", ["alive-too-late", "dedup-lost"])
def test_a_class_that_the_document_does_not_warn_of_violates(kind: str) -> None:
    claim = msgspec.structs.replace(WARNS, excuses=("fencing", "dedup-wrong-value"))
    assert judged(claim, failover(anomaly(kind, at=5000, since=2000))).verdict is Word.VIOLATED


@pytest.mark.parametrize("since", [1499, 10_001])
@pytest.mark.parametrize("kind", ["two-holders", "fencing"])
def test_what_was_live_outside_the_window_violates_though_warned_of_or_excused(kind: str, since: float) -> None:
    assert judged(WARNS, failover(anomaly(kind, at=max(5000, since), since=since))).verdict is Word.VIOLATED


@pytest.mark.parametrize("since", [1500, 10_000])
def test_the_ends_of_the_window_belong_to_it(since: float) -> None:
    assert judged(WARNS, failover(anomaly(at=max(5000, since), since=since))).verdict is Word.AS_DOCUMENTED


def test_a_window_from_the_steady_state_excuses_what_a_restart_loses() -> None:
    claim = msgspec.structs.replace(WARNS, window=Window(since="steady", until="settled"))
    assert judged(claim, failover(anomaly(at=5000, since=500))).verdict is Word.AS_DOCUMENTED


@pytest.mark.parametrize(("at", "since"), [(1499, 500), (12_000, 10_001)])
def test_a_window_from_the_steady_state_excuses_nothing_that_stood_before_the_fault_or_began_after_it(at: float, since: float) -> None:
    claim = msgspec.structs.replace(WARNS, window=Window(since="steady", until="settled"))
    assert judged(claim, failover(anomaly(at=at, since=since))).verdict is Word.VIOLATED


def test_a_window_whose_start_was_not_proved_is_inconclusive() -> None:
    claim = msgspec.structs.replace(WARNS, window=Window(since="active", until="settled"))
    script = failover_trial("lock", "dedup")
    script.lines = [
        (at, line) for at, line in script.lines if not (isinstance(line["value"], dict) and line["value"].get("phase") == "active")
    ]
    assert judged(claim, trial(script, anomaly(at=5000, since=2000))).verdict is Word.INCONCLUSIVE


@pytest.mark.parametrize(("answered", "word"), [(False, Word.AS_DOCUMENTED), (True, Word.INCONCLUSIVE)])
def test_a_fault_that_clients_did_not_feel_excuses_nothing(answered: bool, word: Word) -> None:
    script = failover_trial("lock", "dedup")
    asked: dict[str, Any] = {"f": "is_held", "argument": {"owner": "x"}, "process": 7}
    script.operation(1000, 1001, result={"held": False}, **asked)
    script.operation(2000, 2001, result=None, type_="fail", **asked)
    if answered:  # by the node that the other side was cut from
        script.operation(3000, 3001, result={"held": False}, **asked)
    history = script.history()
    assert history.header is not None
    history = replace(history, header=msgspec.structs.replace(history.header, sides={"0": "clients-a", "7": "clients-b"}))
    assert judged(WARNS, TrialEvidence(1, history, verdicts(anomaly(at=5000, since=2000)))).verdict is word


def test_without_a_fault_nothing_is_inside_a_window() -> None:
    from trials import quiet_trial

    assert judged(WARNS, trial(quiet_trial("lock", "dedup"), anomaly())).verdict is Word.VIOLATED


def test_a_check_of_a_neighbouring_claim_is_not_this_ones_business() -> None:
    late = invalid("late", [anomaly("late-grant", at=5000)])
    assert judged(WARNS, failover(**{"late-grant": late})).verdict is Word.NOT_SEEN


def test_a_claim_that_cannot_run_here_is_unavailable_with_its_remedy() -> None:
    found = judge(ELSEWHERE, {})
    assert (found.verdict, found.remedy, found.expected) == (Word.UNAVAILABLE, "a virtual machine", True)


# Sabotage: what takes `holds` away


def spoiled_clock() -> Script:
    script = latency_trial("lock", "dedup")
    script.clock(1500, wall_ahead_ms=50)
    return script


def role_change() -> Script:
    script = latency_trial("lock", "dedup")
    script.role(2000, "n2", "primary", epoch=2)
    return script


def odd_error(prefix: str) -> Script:
    script = latency_trial("lock", "dedup")
    script.operation(50, 60, "is_held", {"owner": "x"}, None, type_="info", error=f"{prefix}OddError: ?")
    return script


def never_steady() -> Script:
    script = latency_trial("lock", "dedup")
    script.lines = [(at, line) for at, line in script.lines if line["value"] != {"n": 1, "phase": "steady"}]
    return script


def unproved() -> Script:
    script = latency_trial("lock", "dedup")
    script.lines = [(at, line) for at, line in script.lines if not (line["f"] == "latency" and line["value"]["phase"] == "active")]
    return script


def idle_dedup() -> Script:
    script = latency_trial("lock")
    script.workloads = ("lock", "dedup")
    return script


INVALID_TRIALS = [spoiled_clock(), role_change(), odd_error(BROKEN), never_steady()]
UNEXPOSED_TRIALS = [unproved(), idle_dedup(), odd_error(UNCLASSIFIED)]


@pytest.mark.parametrize("script", [*INVALID_TRIALS, *UNEXPOSED_TRIALS])
@pytest.mark.parametrize("claim", [PROMISES, SILENT])
def test_one_trial_with_an_unmet_gate_makes_holds_inconclusive_and_is_named(claim: Claim, script: Script) -> None:
    found = judged(claim, trial(n=1), trial(script, n=2))
    assert (found.verdict, found.expected) == (Word.INCONCLUSIVE, False)
    assert "trial 2" in found.missing[0]
    assert found.remedy is not None


@pytest.mark.parametrize("script", INVALID_TRIALS)
@pytest.mark.parametrize("claim", [PROMISES, SILENT])
def test_an_anomaly_in_a_trial_that_is_not_valid_proves_nothing(claim: Claim, script: Script) -> None:
    found = judged(claim, trial(n=1), trial(script, anomaly(), n=2))
    assert (found.verdict, found.anomalies) == (Word.INCONCLUSIVE, ())


@pytest.mark.parametrize(("claim", "word"), [(PROMISES, Word.VIOLATED), (SILENT, Word.FINDING), (WARNS, Word.AS_DOCUMENTED)])
def test_an_unclassified_error_takes_no_counterexample_away_and_is_told(claim: Claim, word: Word) -> None:
    script = failover_trial("lock", "dedup") if claim is WARNS else latency_trial("lock", "dedup")
    script.operation(50, 60, "is_held", {"owner": "x"}, None, type_="info", error=f"{UNCLASSIFIED}OddError: ?")
    found = judged(claim, trial(script, anomaly(at=4000, since=3900)))
    assert (found.verdict, found.rate and found.rate.k) == (word, 1)
    assert "unclassified errors: 1, needed 0" in found.missing[0]


# What a second round changes


@pytest.mark.parametrize("script", [spoiled_clock(), role_change(), never_steady(), unproved(), idle_dedup()])
def test_what_a_busy_machine_spoiled_is_decided_by_the_second_round(script: Script) -> None:
    first, second = judged(PROMISES, trial(script, n=1)), judged(PROMISES, trial(n=1))
    assert by_noise(first)
    assert decided(first, second) is second


def test_a_verdict_of_the_first_round_stands_where_the_second_saw_nothing() -> None:
    first = judged(PROMISES, trial(None, anomaly()))
    assert decided(first, judged(PROMISES, trial())) is first


def test_a_counterexample_of_the_second_round_counts_though_the_first_saw_none() -> None:
    second = judged(PROMISES, trial(None, anomaly()))
    assert decided(judged(PROMISES, trial()), second) is second


def test_a_second_round_in_doubt_takes_nothing_from_the_first() -> None:
    first = judged(PROMISES, trial())
    assert decided(first, judged(PROMISES, trial(spoiled_clock()))) is first


@pytest.mark.parametrize(
    "first",
    [
        judged(PROMISES, trial(odd_error(UNCLASSIFIED))),
        judged(PROMISES, trial(odd_error(BROKEN))),
        judged(PROMISES, trial(None, anomaly("stuck"))),
        judged(WARNS, failover(anomaly(at=4000, since=3900), fencing=unknown("budget"))),
    ],
    ids=["an error in doubt", "a bug of ours", "a class that nobody names", "what was seen and not decided"],
)
def test_a_doubt_that_is_no_noise_is_not_repeated_away(first: Judgement) -> None:
    assert first.verdict is Word.INCONCLUSIVE
    assert not by_noise(first)
    assert decided(first, judged(PROMISES, trial())) is first


def test_a_counterexample_in_a_valid_trial_stands_beside_one_that_does_not_count() -> None:
    found = judged(PROMISES, trial(role_change(), n=1), trial(None, anomaly(), n=2))
    assert found.verdict is Word.VIOLATED
    assert found.rate is not None
    assert (found.rate.k, found.rate.n) == (1, 1)


def test_a_change_of_primary_makes_not_seen_inconclusive_too() -> None:
    script = failover_trial("lock", "dedup")
    script.role(12_000, "n1", "primary", epoch=9)
    assert judged(WARNS, trial(script)).verdict is Word.INCONCLUSIVE


def test_as_documented_needs_no_exposure_but_every_check_to_answer() -> None:
    seen = anomaly(at=5000, since=2000)
    claim = msgspec.structs.replace(WARNS, gates={"promoted": 2})
    assert judged(claim, failover(seen)).verdict is Word.AS_DOCUMENTED
    assert judged(claim, failover(seen, n=1), failover(n=2, fencing=unknown("out of budget"))).verdict is Word.INCONCLUSIVE


@pytest.mark.parametrize("document", ["promises", "silent", "warns"])
def test_no_trials_are_inconclusive(document: str) -> None:
    claim = {"promises": PROMISES, "silent": SILENT, "warns": WARNS}[document]
    found = judged(claim)
    assert (found.verdict, found.rate) == (Word.INCONCLUSIVE, None)
    assert "no trial" in found.missing[0]


def test_an_experiment_that_was_not_run_is_inconclusive() -> None:
    found = judge(PROMISES, {})
    assert (found.verdict, found.missing) == (Word.INCONCLUSIVE, ("experiment faults was not run",))


def test_void_trials_do_not_count_and_are_told() -> None:
    void = latency_trial("lock", "dedup")
    void.trial(900, "void", reason="n2 became primary")
    found = judged(PROMISES, trial(n=1), trial(void, anomaly(), n=2), voids=("trial 2: n2 became primary",))
    assert found.verdict is Word.HOLDS
    assert found.rate is not None
    assert (found.rate.n, found.voids) == (1, ("faults: trial 2: n2 became primary",))


def test_more_void_trials_than_trials_are_inconclusive() -> None:
    assert judged(PROMISES, trial(), voids=("trial 1: x", "trial 2: x")).verdict is Word.INCONCLUSIVE


def test_nothing_but_void_trials_are_inconclusive() -> None:
    assert judged(PROMISES, voids=("trial 1: x",)).verdict is Word.INCONCLUSIVE


def test_an_unknown_check_is_inconclusive() -> None:
    found = judged(PROMISES, trial(dedup=unknown("out of budget")))
    assert found.verdict is Word.INCONCLUSIVE
    assert "dedup unknown: out of budget" in found.missing[0]


def test_an_unknown_part_is_inconclusive_though_another_part_is_invalid_in_a_class_that_does_not_count() -> None:
    mixed = combine({"a": invalid("x", [anomaly("lost-early")]), "b": unknown("out of budget")})
    assert judged(PROMISES, trial(lease=mixed)).verdict is Word.INCONCLUSIVE


def test_a_check_that_was_not_carried_out_is_inconclusive() -> None:
    only = TrialEvidence(1, latency_trial("lock", "dedup").history(), {"lease": valid("l")})
    assert judged(PROMISES, only).verdict is Word.INCONCLUSIVE


def test_a_control_that_was_not_condemned_is_inconclusive_and_named() -> None:
    found = judged(PROMISES, trial(), controls=(*CONTROLS, MISSED))
    assert found.verdict is Word.INCONCLUSIVE
    assert "release-unchecked" in found.missing[0]


def test_a_check_without_a_positive_control_is_inconclusive() -> None:
    found = judged(PROMISES, trial(), controls=CONTROLS[:1])
    assert (found.verdict, found.missing) == (Word.INCONCLUSIVE, ("faults: no positive control for the dedup check",))


def test_an_experiment_that_the_machine_cut_short_is_inconclusive_and_infrastructure() -> None:
    found = judged(PROMISES, trial(), broken="redis-1 did not start")
    assert (found.verdict, found.infrastructure) == (Word.INCONCLUSIVE, "faults: redis-1 did not start")


def test_a_broken_operation_is_a_bug_of_ours() -> None:
    found = judged(PROMISES, trial(odd_error(BROKEN)))
    assert (found.verdict, found.bug is not None) == (Word.INCONCLUSIVE, True)


def test_gates_show_the_worst_trial() -> None:
    good, bad = trial(n=1), trial(idle_dedup(), n=2)
    found = judged(PROMISES, good, bad, good)
    assert {gate.name: gate.measured for gate in found.gates}["acknowledged_after:dedup"] == 0


def test_only_the_workloads_of_a_claims_checks_must_be_exposed() -> None:
    claim = msgspec.structs.replace(PROMISES, anomalies=("two-holders",))
    assert judged(claim, trial(idle_dedup())).verdict is Word.HOLDS


# Live


def test_a_lease_extended_during_the_fault_was_lost_as_the_extension_made_it() -> None:
    script = failover_trial("lock", "dedup")
    script.operation(1300, 1301, "try_acquire", {"owner": "A", "ttl_ms": 800}, {"granted": True, "fencing_token": 1}, process=1)
    script.operation(1600, 1601, "extend", {"owner": "A", "duration_ms": 3000}, {"held": True}, process=1)
    script.operation(3500, 3501, "try_acquire", {"owner": "B", "ttl_ms": 800}, {"granted": True, "fencing_token": 1}, process=2, node="n2")
    indices = tuple(event.index for event in script.history().events if event.type == "invoke" and event.process in (1, 2))
    assert live(script.history(), anomaly(at=3501, since=1301, operations=indices)) == 1601 * NS_PER_MS


def test_a_lease_whose_own_term_reaches_the_contradiction_was_live_from_its_grant() -> None:
    script = failover_trial("lock", "dedup")
    script.operation(1300, 1301, "try_acquire", {"owner": "A", "ttl_ms": 12_000}, {"granted": True, "fencing_token": 1}, process=1)
    script.operation(1600, 1601, "extend", {"owner": "A", "duration_ms": 12_000}, {"held": True}, process=1)
    script.operation(3500, 3501, "try_acquire", {"owner": "B", "ttl_ms": 800}, {"granted": True, "fencing_token": 1}, process=2, node="n2")
    indices = tuple(event.index for event in script.history().events if event.type == "invoke" and event.process in (1, 2))
    assert live(script.history(), anomaly(at=3501, since=1301, operations=indices)) == 1301 * NS_PER_MS


def test_an_anomaly_of_operations_whose_answers_are_no_objects_was_live_when_it_stood() -> None:
    script = Script()
    script.operation(1000, 1001, "ring", {}, 7)
    indices = (script.index_of(f="ring", type="invoke"),)
    assert live(script.history(), anomaly("unheard-of", at=2000, operations=indices)) == 2000 * NS_PER_MS


def test_a_dedup_key_was_live_from_its_acknowledgement_where_its_anomaly_does_not_say() -> None:
    script = failover_trial("lock", "dedup")
    script.operation(2000, 2001, "check_and_set", {"value": "x", "ttl_ms": None}, {"set": True}, key="t1-dedup-1", process=1)
    script.operation(10_500, 10_501, "get", {}, {"value": None}, key="t1-dedup-1", process=2)
    indices = tuple(event.index for event in script.history().events if event.type == "invoke" and event.process in (1, 2))
    assert live(script.history(), anomaly("dedup-lost", at=10_501, operations=indices)) == 2001 * NS_PER_MS


# Cells, exit codes, headline


def made(claim: Claim, word: Word, **more: Any) -> Judgement:
    judgement = left_out(claim, "", None, asked=False)
    return msgspec.structs.replace(
        judgement, verdict=word, expected=word in claim.expect, said="seen in 5 of 5 failovers", absent=False, **more
    )


def cells(*judgements: Judgement, claims: Claims = CLAIMS) -> dict[str, str]:
    return {cell.column: cell.verdict for row in table(claims, judgements) for cell in row.cells}


def first(judgements: list[Judgement]) -> str:
    return headline(table(CLAIMS, judgements), {each.id: each for each in judgements})


def test_a_cell_shows_its_worst_claim_and_one_without_claims_is_not_judged() -> None:
    other = msgspec.structs.replace(WARNS, id="four", expect=(Word.FINDING,))
    claims = replace(CLAIMS, claims=(*CLAIMS.claims, other))
    found = cells(
        made(PROMISES, Word.HOLDS),
        made(WARNS, Word.AS_DOCUMENTED),
        made(ELSEWHERE, Word.UNAVAILABLE),
        made(other, Word.FINDING),
        claims=claims,
    )
    assert found == {"Mutual exclusion": "holds", "Failover safety": "finding", "Recommendation": "not judged"}


def test_an_expected_unavailable_does_not_decide_its_cell() -> None:
    assert cells(made(WARNS, Word.AS_DOCUMENTED), made(ELSEWHERE, Word.UNAVAILABLE))["Failover safety"] == "as-documented"


def test_an_unavailable_that_was_not_expected_decides_its_cell() -> None:
    assert cells(made(WARNS, Word.UNAVAILABLE), made(ELSEWHERE, Word.UNAVAILABLE))["Failover safety"] == "unavailable"


def test_a_cell_of_which_only_some_claims_were_judged_is_inconclusive() -> None:
    assert cells(made(WARNS, Word.AS_DOCUMENTED))["Failover safety"] == "inconclusive"


def test_words_are_ordered_worst_first() -> None:
    order = ["violated", "inconclusive", "unavailable", "finding", "not-seen", "as-documented", "holds"]
    assert sorted(Word, key=lambda word: word.rank) == order


EXPECTS_VIOLATED = msgspec.structs.replace(PROMISES, expect=(Word.VIOLATED,))


@pytest.mark.parametrize(
    ("judgements", "strict", "code"),
    [
        ([made(PROMISES, Word.HOLDS), made(ELSEWHERE, Word.UNAVAILABLE)], False, 0),
        ([made(PROMISES, Word.HOLDS), made(ELSEWHERE, Word.UNAVAILABLE)], True, 0),
        ([made(PROMISES, Word.VIOLATED)], False, 1),
        ([made(WARNS, Word.NOT_SEEN)], False, 1),
        ([made(EXPECTS_VIOLATED, Word.VIOLATED)], False, 0),
        ([made(EXPECTS_VIOLATED, Word.VIOLATED)], True, 1),
        ([made(EXPECTS_VIOLATED, Word.HOLDS)], False, 1),
        ([made(PROMISES, Word.INCONCLUSIVE)], False, 2),
        ([made(PROMISES, Word.UNAVAILABLE)], False, 2),
        ([made(PROMISES, Word.INCONCLUSIVE), made(WARNS, Word.VIOLATED)], False, 1),
        ([made(PROMISES, Word.INCONCLUSIVE, infrastructure="x")], False, 3),
        ([made(PROMISES, Word.INCONCLUSIVE, infrastructure="x"), made(WARNS, Word.VIOLATED)], False, 1),
        ([made(PROMISES, Word.INCONCLUSIVE, bug="x"), made(WARNS, Word.VIOLATED)], False, 70),
        ([], False, 2),
    ],
)
def test_exit_codes_follow_the_precedence(judgements: list[Judgement], strict: bool, code: int) -> None:
    assert exit_code(judgements, strict=strict) == code


def absent(*, asked: bool) -> Judgement:
    return left_out(PROMISES, "no redis-server 7 or later on this machine", "run: holdwater install", asked=asked)


def test_what_this_machine_lacks_is_unavailable_and_expected() -> None:
    found = absent(asked=False)
    assert (found.verdict, found.expected, found.absent) == (Word.UNAVAILABLE, True, True)
    assert exit_code([found, made(WARNS, Word.AS_DOCUMENTED)]) == 0


def test_what_this_machine_lacks_though_it_was_asked_for_is_not_expected() -> None:
    found = absent(asked=True)
    assert (found.expected, exit_code([found, made(WARNS, Word.AS_DOCUMENTED)])) == (False, 2)


def test_where_this_machine_lacks_everything_nothing_was_judged() -> None:
    assert exit_code([absent(asked=False), made(ELSEWHERE, Word.UNAVAILABLE)]) == 2


def test_the_headline_names_what_contradicts_its_document_in_words() -> None:
    judgements = [made(PROMISES, Word.HOLDS), made(WARNS, Word.VIOLATED), made(ELSEWHERE, Word.UNAVAILABLE)]
    text = first(judgements)
    assert text.startswith("One of two judged cells does not hold water: Redis, failover safety (“Lock may be lost”): “A lock can be lost”")


def test_the_headline_of_a_run_without_contradiction_says_what_is_in_doubt() -> None:
    judgements = [made(PROMISES, Word.HOLDS), made(WARNS, Word.INCONCLUSIVE), made(ELSEWHERE, Word.UNAVAILABLE)]
    expected = "No contradiction of the document was seen in two judged cells; one could not be decided."
    assert first(judgements) == expected


def test_the_headline_of_nothing_judged_claims_nothing() -> None:
    assert first([]) == "No documented cell was judged."


def test_the_headline_counts_no_cell_that_is_only_unavailable() -> None:
    judgements = [made(PROMISES, Word.UNAVAILABLE), made(WARNS, Word.VIOLATED)]
    assert first(judgements).startswith("One of one judged cell does not hold water")
    assert first(judgements[:1]) == "No documented cell was judged."


def test_a_judgement_is_read_as_it_was_written() -> None:
    found = [
        judged(PROMISES, trial(None, anomaly())),
        judged(WARNS, failover(anomaly(at=5000, since=2000))),
        judged(PROMISES, trial(role_change()), voids=("x",)),
        judge(ELSEWHERE, {}),
    ]
    assert msgspec.json.decode(msgspec.json.encode(found), type=list[Judgement]) == found


def test_numbers_of_extra_holders_are_in_the_sentence() -> None:
    claim = msgspec.structs.replace(PROMISES, anomalies=("extra-holders",))
    trials = []
    for n, count in enumerate((3, 5, 9), 1):
        extra = invalid("extra", [anomaly("extra-holders", at=5000)], median=1, maximum=count)
        trials.append(failover(n=n, **{"extra-holders": extra}))
    found = judged(claim, *trials)
    assert found.verdict is Word.VIOLATED
    assert "extra holders a name: median 1, at most 9; TTL 0.8 s; cut 6.7 s" in found.said


def test_evidence_of_an_empty_history_is_inconclusive() -> None:
    assert judged(PROMISES, TrialEvidence(1, History(()), verdicts())).verdict is Word.INCONCLUSIVE
