"""Checks, kinds and families as plug-ins: who is given what, and what clashes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from third_party import forget
from trials import Script

from harness import registry
from harness.errors import Misfit, UsageError
from harness.judging import checks
from harness.judging.check import Check, Kind, Terms, check_of, every_check, functions_of, workloads_of
from harness.judging.checks import families, judge, trial_verdicts, unjudged, verdicts
from harness.judging.counts import every_count, needs_bound
from harness.judging.family import Family, answered_here, every_family, nodes_of_ours
from harness.judging.kind import every_kind, kind_of
from harness.judging.models.counter import Counter
from harness.judging.verdict import Anomaly, Status, Verdict, invalid, of_each_kind_first, valid
from harness.record.history import SPLIT_BRAIN, History, MalformedHistory


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[tuple[str, str], Any]]:
    """Give the plug-ins of a third party, by kind and name: what a test puts there is installed beside ours."""
    theirs: dict[tuple[str, str], Any] = {}
    names, load = registry.names, registry.load
    monkeypatch.setattr(registry, "names", lambda kind: sorted({*names(kind), *(name for of, name in theirs if of == kind)}))
    monkeypatch.setattr(registry, "load", lambda kind, name: theirs.get((kind, name)) or load(kind, name))
    forget()
    yield theirs
    monkeypatch.undo()
    forget()


def kind(name: str, rank: int = 25) -> Kind:
    return Kind(name=name, rule="A rule.", heading="{key} is odd", one="One was odd", many="{n} were odd", rank=rank)


def check(name: str, *kinds: Kind, **more: Any) -> Check:
    return Check(name=name, sentence="a check of a test", kinds=kinds, judge=lambda history, terms: valid(name), **more)


def trial(*functions: str, faults: tuple[str, ...] = ()) -> History:
    script = Script(faults=faults)
    answers = {"acquire_within": {"granted": True, "fencing_token": 1}, "try_acquire": {"granted": True, "fencing_token": 1}}
    for number, f in enumerate(functions):
        argument = (
            {"owner": f"{number}", "ttl_ms": 800, "timeout_ms": 100} if f == "acquire_within" else {"owner": f"{number}", "ttl_ms": 800}
        )
        asked = argument if f in answers else {"value": "x", "ttl_ms": None}
        script.operation(1000 + 1000 * number, 1001 + 1000 * number, f, asked, answers.get(f, {"set": True}), key=f"t1-{number}")
    return script.history()


# A third party's


def test_a_class_of_a_third_partys_check_has_its_place_between_ours(installed: dict[tuple[str, str], Any]) -> None:
    installed["checks", "odd"] = check("odd", kind("odd", rank=15))
    found = [Anomaly(name, "k", (at,), at, name) for at, name in enumerate(("fencing", "odd", "two-holders"))]
    assert [each.kind for each in of_each_kind_first(found)] == ["two-holders", "odd", "fencing"]


def test_two_checks_with_one_name_for_a_class_are_refused(installed: dict[tuple[str, str], Any]) -> None:
    installed["checks", "odd"] = check("odd", kind("two-holders"))
    with pytest.raises(UsageError, match="class two-holders of check odd is also of check lease"):
        every_kind()


def test_two_checks_with_one_name_for_a_gate_are_refused(installed: dict[tuple[str, str], Any]) -> None:
    installed["checks", "odd"] = check("odd", kind("odd"), gates={"held_across": lambda history, terms: 1})
    with pytest.raises(UsageError, match="gate held_across of check"):
        every_count()


def test_a_gate_that_counts_nothing_is_a_mistake_of_its_check(installed: dict[tuple[str, str], Any]) -> None:
    installed["checks", "odd"] = check("odd", kind("odd"), gates={"rung": lambda history, terms: None})
    with pytest.raises(Misfit, match="what gate rung counted is None, expected int"):
        every_count()["rung"](History(()), Terms())


def test_a_model_that_no_check_names_is_judged_for_linearizability(installed: dict[tuple[str, str], Any]) -> None:
    installed["models", "counter"] = Family(  # in place of ours
        name="odd", sentence="odd", functions=frozenset({"increment", "get"}), marks=frozenset({"increment"}), model=Counter()
    )
    assert "odd" in {family.name for family in every_family().values() if family.linearizable}
    script = Script()
    script.operation(1000, 1001, "increment", {"delta": 1, "ttl_ms": None}, {"value": 7})
    assert list(families(script.history())) == ["odd"]
    assert judge(script.history(), None, 5).status is Status.INVALID


def test_a_check_that_a_third_party_adds_to_a_model_of_ours_takes_no_check_away(installed: dict[tuple[str, str], Any]) -> None:
    installed["checks", "odd"] = check("odd", kind("odd"), families=("counter",))
    script = Script()
    script.operation(1000, 1001, "increment", {"delta": 1, "ttl_ms": None}, {"value": 7})
    found = verdicts(script.history())
    assert {name: each.status for name, each in found.items()} == {"odd": Status.VALID, "linearizable": Status.INVALID}


def test_a_check_sees_what_it_wants_beside_its_own_keys_which_stay_others(installed: dict[tuple[str, str], Any]) -> None:
    seen: list[list[tuple[str, str | None]]] = []

    def judged(history: History, terms: Terms) -> Verdict:
        seen.append([(each.f, each.key) for each in history.operations()])
        return valid("seen")

    bell = Family(name="bell", sentence="a bell", functions=frozenset({"ring"}), marks=frozenset({"ring"}))
    installed["models", "bell"] = bell
    installed["checks", "odd"] = Check(
        name="odd", sentence="odd", kinds=(kind("odd"),), judge=judged, families=("bell",), beside=frozenset({"increment"})
    )
    script = Script()
    script.operation(1000, 1001, "increment", {"delta": 1, "ttl_ms": None}, {"value": 1}, key="counted")
    script.operation(1010, 1011, "get", {}, {"value": "1"}, key="counted")
    script.operation(1020, 1021, "ring", {}, {}, key="bell")
    found = verdicts(script.history())
    assert seen == [[("increment", "counted"), ("ring", "bell")]]
    assert {name: verdict.numbers["answered"] for name, verdict in found.items()} == {"linearizable": 2, "odd": 1}


def test_an_unheard_class_is_told_by_its_name() -> None:
    assert (kind_of("new-thing").words, kind_of("new-thing").heading.format(key="k")) == ("new thing", "k: new-thing")


def test_a_field_that_a_third_partys_function_does_not_have_is_malformed(installed: dict[tuple[str, str], Any]) -> None:
    installed["models", "bell"] = Family(
        name="bell", sentence="a bell", functions=frozenset({"ring"}), marks=frozenset({"ring"}), fields={"ring": (("times",), ("rung",))}
    )
    script = Script()
    script.operation(1000, 1001, "ring", {"tims": 1}, {"rung": True})
    with pytest.raises(MalformedHistory, match="unknown field 'tims' of its argument, did you mean 'times'"):
        judge(script.history(), None, 5)


def rings(installed: dict[tuple[str, str], Any], **more: Any) -> History:
    """Install a family of bells, and a check that wants what was not used on this one; give a history of one."""
    installed["models", "bell"] = Family(name="bell", sentence="a bell", functions=frozenset({"ring"}), marks=frozenset({"ring"}))
    if more:
        installed["checks", "odd"] = check("odd", kind("odd"), families=("bell",), **more)
    script = Script()
    script.operation(1000, 1001, "ring", {}, {})
    return script.history()


@pytest.mark.parametrize("more", [{}, {"wanted": frozenset({"pull"})}])
def test_a_key_of_a_family_that_no_check_judges_is_unknown_and_named(installed: dict[tuple[str, str], Any], more: dict[str, Any]) -> None:
    found = verdicts(rings(installed, **more))
    assert (list(found), found["untaken"].status) == (["untaken"], Status.UNKNOWN)
    assert "no check takes ring" in found["untaken"].summary


def test_a_key_of_a_family_that_its_check_wants_is_taken(installed: dict[tuple[str, str], Any]) -> None:
    assert list(verdicts(rings(installed, wanted=frozenset({"ring"})))) == ["odd"]


def test_a_check_of_a_family_that_is_none_is_refused_with_the_nearest(installed: dict[tuple[str, str], Any]) -> None:
    installed["checks", "odd"] = check("odd", kind("odd"), families=("leese",))
    with pytest.raises(UsageError, match="check odd judges the family 'leese', did you mean 'lease'"):
        every_check()


def test_the_workloads_of_a_check_are_those_that_name_it(installed: dict[tuple[str, str], Any]) -> None:
    installed["workloads", "mine"] = SimpleNamespace(checks=("lease",))
    assert workloads_of("lease") == ("acquire", "lock", "mine", "resource")


# Who is given what


def test_a_check_is_given_the_keys_on_which_what_it_wants_was_used() -> None:
    found = verdicts(trial("acquire_within", "try_acquire"))
    assert (found["acquire-bound"].numbers["answered"], found["lease"].numbers["answered"]) == (1, 2)


def test_a_check_whose_functions_were_not_used_takes_no_part() -> None:
    assert set(verdicts(trial("try_acquire"))) == {"lease", "fencing"}


SPLIT = ("isolate-primary",)


@pytest.mark.parametrize(
    ("faults", "bound_ns", "whole"),
    [
        ((), None, set()),
        ((), 1, set()),
        (("kill",), 1, set()),
        (SPLIT, None, {"extra-holders"}),
        (SPLIT, 1, {"extra-holders", "late-grant"}),
    ],
)
def test_whole_trials_are_judged_where_their_faults_and_the_bound_call_for_it(
    faults: tuple[str, ...], bound_ns: int | None, whole: set[str]
) -> None:
    found = trial_verdicts(trial("try_acquire", faults=faults), Terms(bound_ns=bound_ns))
    assert set(found) - {"lease", "fencing"} == whole


def test_a_check_of_whole_trials_wants_its_functions_too(monkeypatch: pytest.MonkeyPatch) -> None:
    wanting = check("odd", wanted=frozenset({"check_and_set"}))
    monkeypatch.setattr(checks, "every_check", lambda: {"odd": wanting})
    assert "odd" not in trial_verdicts(trial("try_acquire"))
    assert "odd" in trial_verdicts(trial("check_and_set"))


def test_a_whole_check_that_raises_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(history: History, terms: Terms) -> Verdict:
        raise ZeroDivisionError

    monkeypatch.setattr(checks, "every_check", lambda: {"odd": Check(name="odd", sentence="odd", kinds=(), judge=raises)})
    assert trial_verdicts(trial("try_acquire"))["odd"].status is Status.UNKNOWN


def test_a_check_is_told_of_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    def judged(history: History, terms: Terms) -> Verdict:
        return invalid("late", [Anomaly("odd", None, (history.operations()[0].index,), 0, f"{terms.bound_ns}")])

    odd = Check(name="odd", sentence="odd", kinds=(kind("odd"),), judge=judged, needs_bound=True)
    monkeypatch.setattr(checks, "every_check", lambda: {"odd": odd})
    found = trial_verdicts(trial("try_acquire"), Terms(bound_ns=7))["odd"]
    assert found.all_anomalies()[0].message == "7"


# What is derived


def test_only_checks_of_a_split_brain_need_a_fault_to_be_shown_to_work() -> None:
    assert {name for name, each in every_check().items() if each.needs_fault} == {"late-grant", "extra-holders"}
    assert every_check()["late-grant"].effects == SPLIT_BRAIN


def test_only_counts_after_a_bound_need_one() -> None:
    assert {name for name in every_count() if needs_bound(name)} == {"attempted_on_old_after_bound", "answered_by_new_after_bound"}


def test_a_class_belongs_to_the_check_that_finds_it() -> None:
    found = check_of("dedup-lost")
    assert found is not None
    assert found.name == "dedup"
    assert check_of("never-heard-of") is None


def test_a_function_that_none_of_some_checks_takes_is_named() -> None:
    assert unjudged(frozenset({"scan_keys", "set", "get"}), ["linearizable"]) == {"scan_keys"}
    assert unjudged(frozenset({"set"}), ["dedup"]) == {"set"}


def test_a_check_that_does_not_exist_takes_nothing_and_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown check 'linearisable', did you mean 'linearizable'"):
        unjudged(frozenset({"set"}), ["linearisable"])


def test_what_is_answered_by_a_workload_itself_is_known_by_its_functions_and_its_node() -> None:
    assert (answered_here(), nodes_of_ours()) == ({"resource_read", "resource_write"}, {"resource"})


def test_a_check_takes_the_functions_of_its_families() -> None:
    assert functions_of(every_check()["dedup"]) == every_family()["dedup"].functions


# What somebody else's plug-in must not do


def test_a_model_that_is_recognised_by_a_function_of_another_is_refused(installed: dict[tuple[str, str], Any]) -> None:
    """It would take the other's keys, and with them what its checks would see."""
    installed["models", "odd"] = Family(name="odd", sentence="odd", functions=frozenset({"increment"}), marks=frozenset({"increment"}))
    with pytest.raises(UsageError, match=r"model (odd|counter) is recognised by increment, as model (odd|counter) is"):
        every_family()


def told(*operations: int, name: str = "odd", at: Any = 1) -> Verdict:
    return Verdict(Status.INVALID, "told", (Anomaly(name, "k", operations, at, "told"),))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (True, "True, expected a Verdict with a status and a summary"),
        (None, "None, expected a Verdict with a status and a summary"),
        (Verdict(Status.VALID, None), "expected a Verdict with a status and a summary"),  # type: ignore[arg-type]
        (Verdict(Status.INVALID, "told"), "invalid with 0 anomalies, expected some where it is invalid, and none elsewhere"),
        (Verdict(Status.VALID, "told", told(0).anomalies), "valid with 1 anomalies"),
        (told(0, name="two-holders"), "an anomaly of class 'two-holders', expected odd"),
        (told(), "expected the indices of invocations of this history, and a time in ns"),
        (told(10**9), "expected the indices of invocations of this history, and a time in ns"),
        (told(0, at=None), "expected the indices of invocations of this history, and a time in ns"),
    ],
)
def test_what_a_check_gives_that_is_no_verdict_on_the_history_is_unknown(
    installed: dict[tuple[str, str], Any], given: Any, said: str
) -> None:
    installed["checks", "odd"] = replace(check("odd", kind("odd"), families=("counter",)), judge=lambda history, terms: given)
    script = Script()
    script.operation(1000, 1001, "increment", {"delta": 1, "ttl_ms": None}, {"value": 1})
    found = verdicts(script.history())["odd"]
    assert found.status is Status.UNKNOWN
    assert found.summary.startswith("the odd check gave ")
    assert said in found.summary


def test_a_check_of_a_workload_that_has_judged_nothing_is_unknown_though_its_functions_were_answered() -> None:
    script = Script(workloads=("dedup",))
    script.operation(1000, 1001, "check_and_set", {"value": "v", "ttl_ms": None}, {"set": True})
    script.operation(1002, 1003, "index_timeout", {"key": "k", "time_ms": 1}, {})  # on the same key: no family takes it
    found = trial_verdicts(script.history())["dedup"]
    assert (found.status, found.summary) == (Status.UNKNOWN, "it has judged nothing, though check_and_set was answered")
