"""The core of a violation: each weakening is sound, and what is left is invalid alone and minimal."""

from __future__ import annotations

import time
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from simulation import Simulation, brute_force

from harness.judging.checkers.reductions import plain, writes, written
from harness.judging.checkers.search import Budget, Search
from harness.judging.checkers.shrink import Core, Trials, cut, from_anchor, possible_states, shrink, unanswered, weaken, without_values
from harness.judging.models import MODELS, Object
from harness.judging.verdict import Status
from harness.record.fields import canonical
from harness.record.history import Operation

randoms = st.integers(0, 2**48).map(Random)
models = st.sampled_from(list(MODELS.values()))


def trials(seconds: float = 60) -> Trials:
    return Trials(time.monotonic() + seconds, time.monotonic)


def small(random: Random, model: Object, **given: Any) -> list[Operation]:
    how = {"clients": random.choice((2, 3, 4)), "unanswered": random.choice((0, 0.3)), "lies": 0}
    return Simulation(random, model, **{**how, **given}).run(random.randrange(3, 8))


def answered(operations: list[Operation]) -> list[Operation]:
    return [one for one in operations if one.status == "ok"]


def core(model: Object, operations: list[Operation]) -> Core:
    last = max(answered(operations), key=lambda one: one.end_index or 0)
    return Core(model, tuple(operations), last)


@settings(max_examples=200, deadline=None)
@given(random=randoms, model=models)
def test_cutting_keeps_a_history_valid(random: Random, model: Object) -> None:
    operations = small(random, model)
    assume(answered(operations))
    assert brute_force(model, cut(operations, random.choice(answered(operations))))


@settings(max_examples=200, deadline=None)
@given(random=randoms, model=models)
def test_starting_at_an_anchor_keeps_a_history_valid(random: Random, model: Object) -> None:
    operations = small(random, model)
    assume(answered(operations))
    shorter = from_anchor(core(model, operations), random.choice(answered(operations)))
    assert shorter is None or brute_force(shorter.model, shorter.operations)


@settings(max_examples=200, deadline=None)
@given(random=randoms, model=models)
def test_weakening_operations_keeps_a_history_valid(random: Random, model: Object) -> None:
    operations = small(random, model)
    assume(answered(operations))
    indices = frozenset(one.index for one in answered(operations) if random.random() < 0.5)
    assert brute_force(model, weaken(core(model, operations), indices).operations)


@settings(max_examples=200, deadline=None)
@given(random=randoms)
def test_removing_a_value_keeps_a_register_valid(random: Random) -> None:
    operations = [one for one in small(random, MODELS["register"]) if one.f != "cas" or one.result is not False]
    values = [canonical(written(one)) for one in operations if writes(one)]
    assume(values)
    assert plain(operations)
    assert brute_force(MODELS["register"], without_values(operations, frozenset({random.choice(values)})))


@pytest.mark.parametrize("name", MODELS)
def test_a_core_is_invalid_alone_and_minimal(name: str) -> None:
    model, found = MODELS[name], 0
    for seed in range(400):
        operations = small(Random(seed), model, lies=0.5)
        search = Search(model, operations)
        if search.run(60, Budget()) is not Status.INVALID:
            continue
        found += 1
        least = shrink(model, operations, search.reached, trials())
        assert least.minimal
        assert not brute_force(least.model, least.operations)
        assert brute_force(least.model, [unanswered(one) if one.index == least.culprit.index else one for one in least.operations])
        for one in least.answered:
            if one.index != least.culprit.index:
                assert brute_force(least.model, weaken(least, frozenset({one.index})).operations)
    assert found > 20


def test_the_culprit_is_the_first_completion_after_which_the_history_is_invalid() -> None:
    found = 0
    for seed in range(1_000):
        model = list(MODELS.values())[seed % 5]
        operations = small(Random(seed), model, lies=0.5)
        search = Search(model, operations)
        if search.run(60, Budget()) is not Status.INVALID:
            continue
        found += 1
        culprit = shrink(model, operations, search.reached, trials()).culprit
        returns = sorted(answered(operations), key=lambda one: one.end_index or 0)
        first = next(one for one in returns if not brute_force(model, cut(operations, one)))
        assert culprit.index == first.index
    assert found > 50


@pytest.mark.parametrize("name", ["register", "versioned-register", "counter"])
def test_a_planted_stale_read_shrinks_to_a_handful(name: str) -> None:
    model = MODELS[name]
    operations = Simulation(Random(3), model, clients=8, unanswered=0.005, unique=True).run(1_000)
    place, old = stale(operations, model)
    operations[place] = msgspec.structs.replace(operations[place], result=old.result)
    search = Search(model, operations)
    assert search.run(60, Budget()) is Status.INVALID
    least = shrink(model, operations, search.reached, trials())
    assert least.culprit.index == operations[place].index
    assert len(least.answered) <= 3


def stale(operations: list[Operation], model: Object) -> tuple[int, Operation]:
    """Give the place of a late read, and an early one that saw something else."""
    f = {"register": "read", "versioned-register": "get_versioned", "counter": "get"}[model.name]
    reads = [place for place, one in enumerate(operations) if one.f == f and one.status == "ok"]
    return reads[-10], operations[reads[len(reads) // 2]]


def test_what_was_invoked_after_the_culprit_is_no_part_of_the_core() -> None:
    for seed in range(200):
        operations = small(Random(seed), MODELS["register"], lies=0.5)
        search = Search(MODELS["register"], operations)
        if search.run(60, Budget()) is Status.INVALID:
            least = shrink(MODELS["register"], operations, search.reached, trials())
            assert all(one.index < (least.culprit.end_index or 0) for wider in least.wider for one in wider.operations)


def test_possible_states_are_all_that_may_have_been_there() -> None:
    def one(index: int, end: int | None, f: str, value: Any) -> Operation:
        argument, result = (value, value) if f == "write" else (None, value)
        status: Any = "info" if end is None else "ok"
        return Operation(
            index=index, process=index, f=f, key=None, argument=argument, status=status, result=result, start=index, end=end, end_index=end
        )

    operations = [one(0, 1, "write", 1), one(2, 9, "write", 2), one(3, None, "write", 3), one(4, 5, "read", 7)]
    least = shrink(MODELS["register"], operations, 1, trials())
    assert possible_states(least, trials()) == ["1", "2", "3"]


def test_without_time_the_core_is_the_whole_history_up_to_its_end() -> None:
    operations = [one for one in Simulation(Random(3), MODELS["counter"], clients=4, unique=True).run(50) if one.status == "ok"]
    late = next(one for one in reversed(operations) if one.f == "increment")
    operations[operations.index(late)] = msgspec.structs.replace(late, result={"value": 0})
    search = Search(MODELS["counter"], operations)
    assert search.run(60, Budget()) is Status.INVALID
    least = shrink(MODELS["counter"], operations, search.reached, Trials(0, lambda: 1))
    assert not least.minimal
    assert Search(least.model, least.operations).run(60, Budget()) is Status.INVALID
