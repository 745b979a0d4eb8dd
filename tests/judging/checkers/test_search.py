"""The search against the definition: brute force over all orders, with every rule switched off in turn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import Simulation, brute_force

from harness.judging.checkers.replay import replay
from harness.judging.checkers.search import EVERY_RULE, NO_RULE, Budget, Rules, Search
from harness.judging.models import MODELS, Object
from harness.judging.models.register import Register
from harness.judging.verdict import Status
from harness.record.history import Operation

RULES = [
    EVERY_RULE,
    NO_RULE,
    *(replace(EVERY_RULE, **{rule.name: False}) for rule in fields(Rules)),
    *(replace(NO_RULE, **{rule.name: True}) for rule in fields(Rules)),
]
PLENTY = Budget()
randoms = st.integers(0, 2**48).map(Random)
models = st.sampled_from(list(MODELS.values()))


def small(random: Random, model: Object, **given: Any) -> list[Operation]:
    how = {"clients": random.choice((2, 3, 4)), "unanswered": random.choice((0, 0.2, 0.5)), "lies": random.choice((0, 0.5, 1))}
    return Simulation(random, model, **{**how, **given}).run(random.randrange(2, 8))


def decide(model: Object, operations: Iterable[Operation], rules: Rules = EVERY_RULE) -> bool:
    outcome = Search(model, list(operations), rules).run(60, PLENTY)
    assert outcome is not None
    return outcome is Status.VALID


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=200, deadline=None)
@given(random=randoms)
def test_the_search_agrees_with_brute_force_whichever_rules_it_uses(name: str, random: Random) -> None:
    model = MODELS[name]
    operations = small(random, model)
    truth = brute_force(model, operations)
    assert [decide(model, operations, rules) for rules in RULES] == [truth] * len(RULES)


@settings(max_examples=200, deadline=None)
@given(random=randoms)
def test_chains_of_unanswered_cas_are_kept_where_an_answer_needs_them(random: Random) -> None:
    register = MODELS["register"]
    operations = [withheld(random, one) for one in small(random, register, refusals=False, lies=random.choice((0, 1)))]
    truth = brute_force(register, operations)
    assert [decide(register, operations, rules) for rules in RULES] == [truth] * len(RULES)


def withheld(random: Random, one: Operation) -> Operation:
    """Leave a writing operation unanswered, mostly."""
    if one.f == "read" or one.status == "fail" or random.random() < 0.3:
        return one
    return msgspec.structs.replace(one, status="info", result=None, end=None, end_index=None)


@pytest.mark.parametrize("name", MODELS)
def test_random_histories_are_both_valid_and_invalid(name: str) -> None:
    truths = [brute_force(MODELS[name], small(Random(seed), MODELS[name])) for seed in range(300)]
    assert 0.05 < truths.count(False) / len(truths) < 0.95


@settings(max_examples=100, deadline=None)
@given(random=randoms, model=models)
def test_the_witness_of_a_valid_history_replays(random: Random, model: Object) -> None:
    operations = small(random, model, lies=0)
    search = Search(model, operations)
    assert search.run(60, PLENTY) is Status.VALID
    assert search.witness is not None
    assert replay(model, operations, search.witness) is None


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("unanswered", [0, 0.01])
def test_what_a_perfect_object_did_is_valid(name: str, unanswered: float) -> None:
    operations = Simulation(Random(5), MODELS[name], clients=8, unanswered=unanswered, unique=True).run(1_000)
    search = Search(MODELS[name], operations)
    assert search.run(60, PLENTY) is Status.VALID
    assert replay(MODELS[name], operations, search.witness or []) is None


@settings(max_examples=200, deadline=None)
@given(random=randoms, model=models, steps=st.integers(0, 60), entries=st.integers(0, 20))
def test_any_budget_gives_the_truth_or_no_answer(random: Random, model: Object, steps: int, entries: int) -> None:
    operations = small(random, model)
    search = Search(model, operations)
    outcome = search.run(60, Budget(steps=steps, entries=entries))
    assert outcome in (None, Status.VALID if brute_force(model, operations) else Status.INVALID)
    assert outcome is not None or search.exhausted(Budget(steps=steps, entries=entries))


@settings(max_examples=50, deadline=None)
@given(random=randoms, model=models)
def test_an_interrupted_search_resumes_where_it_stood(random: Random, model: Object) -> None:
    operations = small(random, model)
    whole, halting = Search(model, operations), Search(model, operations)
    expected = whole.run(60, PLENTY)
    while halting.run(60, Budget(steps=halting.steps + 1)) is None:
        pass
    assert (halting.outcome, halting.steps, halting.witness) == (expected, whole.steps, whole.witness)


def test_time_ends_a_search() -> None:
    operations = Simulation(Random(1), MODELS["register"], clients=10, unique=True).run(2_000)
    ticking = iter(range(10_000))
    search = Search(MODELS["register"], operations)
    assert search.run(3, PLENTY, lambda: next(ticking)) is None
    assert 0 < search.reached < search.total
    assert search.standing is not None


@settings(max_examples=100, deadline=None)
@given(random=randoms, model=models)
def test_withholding_an_answer_keeps_a_history_valid(random: Random, model: Object) -> None:
    operations = small(random, model, lies=0)
    index = random.randrange(len(operations))
    operations[index] = msgspec.structs.replace(operations[index], status="info", result=None, end=None, end_index=None)
    if model.name != "mutex" or all(one.process != operations[index].process for one in operations[index + 1 :]):
        assert decide(model, operations)


@settings(max_examples=100, deadline=None)
@given(random=randoms, model=models)
def test_widening_an_interval_keeps_a_history_valid(random: Random, model: Object) -> None:
    operations = spread(small(random, model, lies=0))
    index = random.randrange(len(operations))
    end = operations[index].end_index
    if end is not None:
        operations[index] = msgspec.structs.replace(operations[index], end_index=end + 10 * random.randrange(1, 5) + 1)
        assert decide(model, operations)


def spread(operations: list[Operation]) -> list[Operation]:
    """Make room between events."""
    return [
        msgspec.structs.replace(one, index=10 * one.index, end_index=None if one.end_index is None else 10 * one.end_index)
        for one in operations
    ]


@settings(max_examples=100, deadline=None)
@given(random=randoms)
def test_dropping_an_unread_unanswered_write_keeps_a_valid_register(random: Random) -> None:
    operations = [one for one in small(random, MODELS["register"], lies=0, unanswered=0.5) if one.f != "cas" or one.result is not False]
    read = [one.result for one in operations if one.f == "read"] + [one.argument[0] for one in operations if one.f == "cas"]
    kept = [one for one in operations if not (one.f == "write" and one.status == "info" and one.argument not in read)]
    assert brute_force(MODELS["register"], operations) <= decide(MODELS["register"], kept)


def test_stamps_in_nanoseconds_do_not_order_operations() -> None:
    wrote = Operation(index=0, process=1, f="write", key=None, argument=1, status="ok", result=1, start=9, end=9, end_index=1)
    read = Operation(index=2, process=2, f="read", key=None, argument=None, status="ok", result=None, start=0, end=1, end_index=3)
    assert not decide(MODELS["register"], [wrote, read])


def test_a_model_without_hints_is_searched_too() -> None:
    class Bare:
        def __init__(self, state: Register) -> None:
            self._state = state

        def __hash__(self) -> int:
            return hash(self._state)

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Bare) and other._state == self._state

        def step(self, operation: Operation) -> list[Bare]:
            return [Bare(state) for state in self._state.step(operation)]

    for seed in range(50):
        operations = small(Random(seed), MODELS["register"])
        outcome = Search(Bare(Register()), operations).run(60, PLENTY)  # type: ignore[arg-type]
        assert (outcome is Status.VALID) == brute_force(MODELS["register"], operations)


WITNESSED = [
    Operation(index=0, process=1, f="write", key=None, argument=1, status="ok", result=1, start=0, end=1, end_index=1),
    Operation(index=2, process=1, f="write", key=None, argument=2, status="ok", result=2, start=2, end=3, end_index=3),
    Operation(index=4, process=1, f="write", key=None, argument=3, status="info", start=4),
]


@pytest.mark.parametrize(
    ("witness", "wrong"),
    [
        ([0, 2], None),
        ([0, 2, 4], None),
        ([2, 0], "returned before"),
        ([0], "not in the witness"),
        ([0, 2, 2], "twice"),
        ([0, 2, 9], "none of the history"),
    ],
)
def test_replay_accepts_only_what_proves(witness: list[int], wrong: str | None) -> None:
    said = replay(MODELS["register"], WITNESSED, witness)
    assert (said is None) if wrong is None else (said is not None and wrong in said)


def test_replay_refuses_an_impossible_step() -> None:
    read = Operation(index=6, process=1, f="read", key=None, argument=None, status="ok", result=7, start=6, end=7, end_index=7)
    assert replay(MODELS["register"], [*WITNESSED, read], [0, 2, 6]) == "operation 6 is impossible at its place"
