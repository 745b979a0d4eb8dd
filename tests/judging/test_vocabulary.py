"""What a stored history says that no model looks at is refused, and never passed over."""

from __future__ import annotations

from typing import Any

import pytest
from test_checks import ACQUIRE, COUNT, EVERY, SWAP, WIN, Call, history

from harness.judging.checks import judge
from harness.judging.verdict import Status
from harness.record.history import MalformedHistory

SPELT: list[Call] = [ACQUIRE, WIN, COUNT, SWAP, ("counter", "get", {}, {"value": "1"})]


@pytest.mark.parametrize("call", SPELT, ids=lambda call: call[1])
def test_a_field_of_an_argument_that_nobody_knows_is_refused_with_its_event(call: Call) -> None:
    key, f, argument, result = call
    with pytest.raises(MalformedHistory, match="unknown field 'ttl' of its argument") as error:
        judge(history((key, f, {**argument, "ttl": 5}, result)), None, 5)
    assert error.value.event == 1


@pytest.mark.parametrize("call", SPELT, ids=lambda call: call[1])
def test_a_field_of_an_answer_that_nobody_knows_is_refused_with_its_event(call: Call) -> None:
    key, f, argument, result = call
    with pytest.raises(MalformedHistory, match="unknown field 'eror' of its result") as error:
        judge(history((key, f, argument, {**result, "eror": None})), None, 5)
    assert error.value.event == 2


@pytest.mark.parametrize("call", EVERY.values(), ids=list(EVERY))
def test_what_is_spelt_as_documented_is_judged(call: Call) -> None:
    assert judge(history(call), None, 5).status is Status.VALID


OTHERWISE: dict[str, tuple[str, Any, Any]] = {
    "a refused release": ("release", None, False),
    "a refused acquire": ("acquire", None, False),
    "a lock named by a value": ("acquire", "A", None),
    "a write answered with another value": ("write", 1, 2),
    "a write answered with false": ("write", 1, False),
    "a read asked with a value": ("read", 1, 2),
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_an_answer_that_no_model_looks_at_is_refused(name: str) -> None:
    with pytest.raises(MalformedHistory, match="expected"):
        judge(history(("k", *OTHERWISE[name])), None, 5)


@pytest.mark.parametrize("call", [("write", 1, 1), ("write", 1, None), ("read", 1, 1)])
def test_an_answer_that_says_the_same_is_taken(call: tuple[str, Any, Any]) -> None:
    assert judge(history(("k", "write", 1, 1), ("k", *call)), None, 5).status is Status.VALID
