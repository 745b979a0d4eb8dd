"""Which runs show a mutant: whose it is, what it gets wrong and needs, what the documented table says of it; and what they came to."""

from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import pytest

from backends.dynamodb.system import DYNAMODB
from backends.memory.system import MEMORY
from backends.redis.single import REDIS
from harness import registry
from harness.claims.results import Detection, SelfTest, Share, convert
from harness.commands import runs
from harness.commands.selftest import Asked, borne, directory_of, mingled, of_runs, plans, shown_by
from harness.driving.backend import mutants_of, planted_of
from harness.driving.plan import Plan
from harness.errors import UsageError

WORKLOADS = [registry.load("workloads", name) for name in registry.names("workloads")]
ORDINARY = tuple(each.name for each in WORKLOADS if each.attend is None)


def faults(plan: Plan) -> list[str]:
    return [str(spec) for spec in plan.episodes[0].faults]


@pytest.mark.parametrize(
    ("mutant", "driven"),
    [
        (None, ORDINARY),
        ("due-early", ("index",)),
        ("release-unchecked", ("lock",)),
        ("grant-waits", ("acquire",)),
        ("ttl-late", ("resource",)),
    ],
)
def test_a_mutant_is_shown_by_what_drives_what_it_gets_wrong_or_by_who_the_table_controls_it_with(
    mutant: str | None, driven: tuple[str, ...]
) -> None:
    assert shown_by(mutant, MEMORY, WORKLOADS) == driven


def test_a_mutant_of_a_backend_that_says_no_more_is_looked_for_with_all_ordinary_workloads() -> None:
    class Silent:
        name, variants, functions, mutants = "silent", MEMORY.variants, MEMORY.functions, {"odd": "something is wrong"}

    assert shown_by("odd", Silent(), WORKLOADS) == ORDINARY  # type: ignore[arg-type]


def test_a_workloads_own_mutant_is_shown_by_it_alone() -> None:
    rings = replace(WORKLOADS[0], name="rings", mutants={"muffled": "the bell is not heard"})
    assert shown_by("muffled", MEMORY, [*WORKLOADS, rings]) == ("rings",)


def test_where_no_mutant_is_asked_for_each_has_a_plan_and_so_has_the_reference() -> None:
    made = [plan.mutant for plan in plans(Asked(["memory"]))]
    assert made[0] is None
    assert set(made) - {None} == set(MEMORY.mutants)


def test_a_mutant_that_needs_no_fault_runs_in_quiet() -> None:
    assert {tuple(faults(plan)) for plan in plans(Asked(["redis"], ["two-forms"])) if plan.mutant} == {()}


def test_a_mutant_that_needs_a_fault_runs_under_those_that_do_what_it_needs() -> None:
    under = {name for plan in plans(Asked(["redis"], ["unanswered-is-false"])) if plan.mutant for name in faults(plan)}
    assert under == {"lost-reply"}


def test_a_clocks_bound_is_looked_at_where_clocks_differ_by_less() -> None:
    under = {name for plan in plans(Asked(["dynamodb"], ["clock-bound-ignored"])) if plan.mutant for name in faults(plan)}
    assert under == {"client-clock"}


def test_a_reference_runs_under_what_the_table_says_it_bears_and_under_nothing_else() -> None:
    assert {"latency", "cut", "lost-reply", "pause"} <= {name for plan in borne(REDIS, frozenset()) for name in faults(plan)}
    assert "client-clock-beyond" not in {name for plan in borne(DYNAMODB, frozenset()) for name in faults(plan)}


def test_no_two_runs_of_a_selftest_share_a_directory() -> None:
    names = [directory_of(plan) for plan in plans(Asked(["memory", "redis", "postgres", "dynamodb"]))]
    assert len(set(names)) == len(names)


def test_runs_of_a_backend_are_spread_over_the_whole_selftest() -> None:
    order = [plan.backend for plan in mingled(plans(Asked(["memory", "dynamodb"])))]
    first = order[: len(order) // 2].count("dynamodb")
    assert abs(first - order.count("dynamodb") / 2) <= 1


def test_each_seed_has_runs_of_its_own() -> None:
    assert [plan.seed for plan in plans(Asked(["memory"], ["due-early"], seed=5, seeds=3)) if plan.mutant] == [5, 6, 7]


@pytest.mark.parametrize("backend", [each for each in registry.names("backends") if mutants_of(registry.load("backends", each))])
def test_every_mutant_gets_functions_wrong_that_a_workload_drives(backend: str) -> None:
    loaded = registry.load("backends", backend)
    driven = frozenset().union(*(workload.driven_at_most for workload in WORKLOADS))
    assert all(planted_of(loaded, mutant).functions & driven for mutant in mutants_of(loaded))


def test_a_mutant_that_no_history_shows_is_run_where_it_is_asked_for_only() -> None:
    assert "clock-bound-ignored" not in {plan.mutant for plan in plans(Asked(["dynamodb"]))}


def test_references_alone_run_as_they_do_beside_mutants() -> None:
    beside = [plan for plan in plans(Asked(["redis"])) if plan.mutant is None]
    assert plans(Asked(["redis"], alone=True)) == beside


def test_an_unknown_mutant_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown mutant 'stale-ca', did you mean 'stale-cas'"):
        plans(Asked(["memory"], ["stale-ca"]))


def seen(found: int, *, mutant: str | None = "stale-cas", by: str = "cas", fault: str | None = None) -> Detection:
    first_s = 0.2 if found else None
    share = {by: Share(detected=found, first_s=first_s)}
    return Detection(
        backend="memory", mutant=mutant, trials=1, detected=found, checks=(), first_s=first_s, fault=fault, seeds=1, found=found, by=share
    )


def bad(*detections: Detection) -> int:
    return len(SelfTest(holdwater=1, detections=detections).bad)


def test_a_mutant_is_found_in_a_seed_where_one_of_its_runs_shows_it() -> None:
    found = of_runs([[seen(0), seen(1, by="mixed")]])
    assert (found.seeds, found.found, {name: share.detected for name, share in found.by.items()}) == (1, 1, {"cas": 0, "mixed": 1})


@pytest.mark.parametrize(("found", "good"), [(9, True), (8, False)])
def test_a_mutant_is_found_in_nine_of_ten_seeds(found: int, *, good: bool) -> None:
    assert of_runs([[seen(1)]] * found + [[seen(0)]] * (10 - found)).good is good


def test_one_fault_that_shows_a_mutant_is_enough() -> None:
    assert bad(seen(0, fault="restart"), seen(1, fault="pause")) == 0
    assert bad(seen(0, fault="restart"), seen(0, fault="pause")) == 2


def test_a_reference_that_is_condemned_under_one_fault_is_bad() -> None:
    assert bad(seen(0, mutant=None), seen(1, mutant=None, fault="pause")) == 1


def test_what_is_printed_as_json_is_what_results_json_holds() -> None:
    results = SelfTest(holdwater=1, detections=(seen(1),))
    assert convert(json.loads(runs.told(results, in_json=True))) == results


def test_a_result_of_before_there_were_faults_and_seeds_is_read() -> None:
    old = {"backend": "memory", "mutant": "stale-cas", "trials": 3, "detected": 3, "checks": ["linearizable"], "first_s": 0.2}
    found = convert({"kind": "selftest", "holdwater": 1, "detections": [old]})
    assert isinstance(found, SelfTest)
    assert not found.bad


def test_the_matrix_says_what_each_workload_saw_and_what_was_missed() -> None:
    told = runs.told(SelfTest(holdwater=1, detections=(seen(1), seen(0, mutant="read-evicts", by="mixed"))), in_json=False)
    assert "cas 1 (0.2 s)" in told
    assert "missed in 1; driven by mixed" in " ".join(told.split())
    assert "mutants found 1 of 2 missed read-evicts (memory)" in " ".join(told.split())


def test_a_bug_that_is_the_same_everywhere_runs_on_two_of_four_backends_and_others_on_each_that_has_them() -> None:
    made = plans(Asked(["memory", "redis", "postgres", "dynamodb"]))
    homes = {
        mutant: {plan.backend for plan in made if plan.mutant == mutant} for mutant in ("get-then-set", "two-forms", "release-unchecked")
    }
    assert {name: len(found) for name, found in homes.items()} == {"get-then-set": 2, "two-forms": 2, "release-unchecked": 4}
    assert {plan.backend for plan in plans(Asked(["memory", "redis", "postgres"], ["two-forms"])) if plan.mutant} == {
        "memory",
        "redis",
        "postgres",
    }


def test_what_the_machine_left_open_is_neither_found_nor_missed() -> None:
    left = msgspec.structs.replace(seen(0), trials=0, broken="no port")
    results = SelfTest(holdwater=1, detections=(left,))
    assert (results.bad, results.broken) == ((), (left,))
    assert "not run to the end: no port" in runs.told(results, in_json=False)


def test_a_mutant_that_was_found_at_the_second_try_is_found() -> None:
    found = of_runs([[seen(0), seen(0, by="mixed"), seen(1), seen(0, by="mixed")]])
    assert (found.seeds, found.found, found.trials, found.detected) == (1, 1, 2, 1)
