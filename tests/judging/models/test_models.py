"""The models: what each allows, what it refuses to read, and that applying and stepping agree."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from harness.judging.models import MODELS, Object
from harness.judging.models.counter import LARGEST, SMALLEST, Counter
from harness.judging.models.dedup import Dedup
from harness.judging.models.mutex import Mutex
from harness.judging.models.register import Register
from harness.judging.models.versioned_register import VersionedRegister
from harness.record.history import MalformedHistory, Operation

CALLS: dict[str, list[tuple[str, Any]]] = {
    "register": [("read", None), ("write", 1), ("write", [1, {"a": 2}]), ("cas", [1, 2]), ("set", {"value": "x"})],
    "versioned-register": [
        ("get", {}),
        ("get_versioned", {}),
        ("set", {"value": "a"}),
        ("check_and_set", {"value": "b"}),
        ("compare_and_swap", {"expected": 1, "value": "c"}),
        ("compare_and_swap", {"expected": 0, "value": "d"}),
        ("delete", {}),
    ],
    "counter": [("get", {}), ("increment", {"delta": 1}), ("increment", {"delta": -3}), ("increment", {"delta": LARGEST})],
    "dedup": [("get", {}), ("get_versioned", {}), ("check_and_set", {"value": "a"}), ("check_and_set", {"value": "b"})],
}


def operation(f: str, argument: Any, result: Any = None, *, status: Any = "ok", process: int = 1) -> Operation:
    return Operation(index=0, process=process, f=f, key="k", argument=argument, status=status, result=result, start=0, end=1, end_index=1)


def walk(name: str, seed: int) -> list[tuple[Object, str, Any]]:
    """Give states that are reached by random calls, each with a next call."""
    random, state, found = Random(seed), MODELS[name], []
    for _ in range(60):
        f, argument = random.choice(CALLS[name])
        found.append((state, f, argument))
        state = state.apply(f, argument)[0]
    return found


@pytest.mark.parametrize("name", CALLS)
def test_what_a_perfect_system_answers_is_the_only_legal_step(name: str) -> None:
    for state, f, argument in walk(name, 1):
        after, result = state.apply(f, argument)
        assert tuple(state.step(operation(f, argument, result))) == (after,)


@pytest.mark.parametrize("name", CALLS)
def test_an_unanswered_operation_steps_as_its_answer_would(name: str) -> None:
    for state, f, argument in walk(name, 2):
        assert tuple(state.step(operation(f, argument, status="info"))) == (state.apply(f, argument)[0],)


@pytest.mark.parametrize("name", CALLS)
def test_an_observer_never_changes_a_state(name: str) -> None:
    states = {state for state, _, _ in walk(name, 3)}
    for state, f, argument in walk(name, 3):
        answered = operation(f, argument, state.apply(f, argument)[1])
        if state.observes(answered):
            assert all(tuple(other.step(answered)) in ((), (other,)) for other in states)


@pytest.mark.parametrize("name", CALLS)
def test_the_state_that_an_answer_proves_is_the_one_after_it(name: str) -> None:
    for state, f, argument in walk(name, 4):
        after, result = state.apply(f, argument)
        assert state.after(operation(f, argument, result)) in (None, after)


@pytest.mark.parametrize("name", CALLS)
def test_operations_of_one_identity_do_the_same_everywhere(name: str) -> None:
    calls = walk(name, 5)
    asked = [operation(f, argument, state.apply(f, argument)[1]) for state, f, argument in calls]
    for one in asked:
        for other in asked:
            if MODELS[name].identity(one) == MODELS[name].identity(other):
                assert all(tuple(state.step(one)) == tuple(state.step(other)) for state, _, _ in calls)


@pytest.mark.parametrize("name", MODELS)
def test_an_f_that_the_model_lacks_is_malformed(name: str) -> None:
    with pytest.raises(MalformedHistory, match=r"frobnicate \(event 0, process 1\): the model .* knows .* only"):
        MODELS[name].step(operation("frobnicate", {}))


@pytest.mark.parametrize(
    ("name", "f", "argument", "result"),
    [
        ("register", "cas", 3, True),
        ("register", "cas", [1, 2], None),
        ("register", "set", {"value": None}, {}),
        ("register", "get", {}, 5),
        ("versioned-register", "set", {}, {}),
        ("versioned-register", "set", {"value": 3}, {}),
        ("versioned-register", "get_versioned", {}, {"value": "a"}),
        ("versioned-register", "get_versioned", {}, {"value": "a", "version": True}),
        ("versioned-register", "compare_and_swap", {"expected": "1", "value": "a"}, {"swapped": True, "version": 1, "value": "a"}),
        ("versioned-register", "compare_and_swap", {"expected": 1, "value": "a"}, {"swapped": 1, "version": 1, "value": "a"}),
        ("counter", "increment", {"delta": "1"}, {"value": 1}),
        ("counter", "increment", {"delta": 1}, {"value": "1"}),
        ("counter", "increment", {"delta": 1}, {}),
        ("counter", "get", {}, {"value": 1}),
        ("dedup", "check_and_set", {"value": "a"}, {"set": None}),
    ],
)
def test_a_value_of_the_wrong_shape_is_malformed(name: str, f: str, argument: Any, result: Any) -> None:
    with pytest.raises(MalformedHistory, match="expected"):
        MODELS[name].identity(operation(f, argument, result))


def test_a_register_tells_true_from_1_and_1_from_1_0() -> None:
    one = Register().apply("write", 1)[0]
    assert [bool(one.step(operation("read", None, value))) for value in (1, True, 1.0, "1")] == [True, False, False, False]


def test_the_order_of_a_maps_fields_does_not_matter_to_a_register() -> None:
    written = Register().apply("write", {"a": 1, "b": 2})[0]
    assert written.step(operation("read", None, {"b": 2, "a": 1}))


def test_a_conflict_shows_the_state_that_refused_it() -> None:
    state = VersionedRegister("a", 2)
    asked = {"expected": 1, "value": "b"}
    assert state.apply("compare_and_swap", asked)[1] == {"swapped": False, "version": 2, "value": "a"}
    assert not state.step(operation("compare_and_swap", asked, {"swapped": False, "version": 3, "value": "a"}))
    assert not state.step(operation("compare_and_swap", asked, {"swapped": False, "version": 2, "value": "x"}))


def test_a_swap_carries_the_new_value_and_version() -> None:
    state, asked = VersionedRegister("a", 2), {"expected": 2, "value": "b"}
    assert state.step(operation("compare_and_swap", asked, {"swapped": True, "version": 3, "value": "b"})) == (VersionedRegister("b", 3),)
    assert not state.step(operation("compare_and_swap", asked, {"swapped": True, "version": 3, "value": "a"}))
    assert not state.step(operation("compare_and_swap", asked, {"swapped": True, "version": 2, "value": "b"}))


@pytest.mark.parametrize(("value", "delta"), [(LARGEST, 1), (SMALLEST, -1)])
def test_an_increment_is_refused_exactly_where_it_would_overflow(value: int, delta: int) -> None:
    refused = operation("increment", {"delta": delta}, {"value": None})
    assert Counter(value).step(refused) == (Counter(value),)
    assert not Counter(value - delta).step(refused)
    assert not Counter().step(refused)


def test_the_text_of_a_counter_is_canonical() -> None:
    assert [bool(Counter(7).step(operation("get", {}, {"value": text}))) for text in ("7", "07", "+7", "7.0")] == [
        True,
        False,
        False,
        False,
    ]


def test_a_mutex_is_released_by_its_owner_only() -> None:
    held = Mutex(1)
    assert held.step(operation("release", None)) == (Mutex(),)
    assert not held.step(operation("release", None, process=2))
    assert not held.step(operation("acquire", None))


def test_the_first_value_of_a_dedup_key_stays() -> None:
    state = Dedup("a")
    assert state.apply("check_and_set", {"value": "b"}) == (state, {"set": False})
    assert not state.step(operation("get_versioned", {}, {"value": "a", "version": 2}))
