"""The rules condemn what breaks them, leave out what a backend does not have, and say what was seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backends.client import FUNCTIONS, StateClient
from backends.memory.session import MemorySession
from backends.memory.store import MemoryStore
from backends.memory.system import MEMORY
from harness.contract.reference import sum_of
from harness.contract.suite import RULES, Kept, ask_all, chosen
from harness.driving.backend import Deployment
from harness.driving.client import Client, Indeterminate, NotApplied

BREAKS = {
    "release-unchecked": "strangers",
    "get-then-set": "one-winner",
    "stale-cas": "swaps-concurrent",
    "increment-twice": "sums-exact",
    "ttl-early": "lock-expires",
    "ttl-late": "lock-expires",
    "fencing-repeats": "release-frees",
    "versions-skip": "sequence",
    "delete-resurrects": "sequence",
    "read-evicts": "fresh-stays",
    "cas-endless": "swap-expires",
    "set-short": "set-expires",
    "increment-short": "increment-expires",
    "extend-expired": "late-extend",
    "set-by-swap": "sets-concurrent",
    "delete-looks-first": "one-delete",
    "scan-wildcards": "scan-sequence",
    "due-exclusive": "timeouts-entry",
}


class Odd:
    """A client of Memory that answers one function in another way; it is closed as often as one likes."""

    def __init__(self, inner: Client, f: str, answer: Callable[[Any], Any]) -> None:
        self._inner, self._f, self._answer = inner, f, answer

    def invoke(self, f: str, key: str, argument: Any) -> Any:
        answer = self._inner.invoke(f, key, argument)
        return self._answer(answer) if f == self._f else answer

    def close(self) -> None:
        self._inner.close()


def asked(rule: str, connect: Callable[[], Client], functions: frozenset[str] = FUNCTIONS) -> Kept:
    (found,) = ask_all(chosen([rule]), connect, functions)
    return found


def odd(rule: str, f: str, answer: Callable[[Any], Any]) -> Kept:
    store = MemoryStore()
    return asked(rule, lambda: Odd(StateClient(MemorySession(store)), f, answer))


@pytest.mark.parametrize(("mutant", "rule"), BREAKS.items())
def test_a_planted_bug_breaks_a_rule(mutant: str, rule: str, tmp_path: Path) -> None:
    with MEMORY.open(Deployment("default", tmp_path, mutant=mutant)) as system:
        found = asked(rule, lambda: system.client("clients", 10.0))
    assert found.status == "broken"
    assert found.seen
    assert found.expected


def test_every_rule_has_a_name_of_its_own_and_a_sentence() -> None:
    assert len({each.name for each in RULES}) == len(RULES)
    assert all(each.sentence.endswith(".") for each in RULES)


def test_every_function_of_the_interface_is_asked_by_a_rule() -> None:
    assert frozenset().union(*(each.needs for each in RULES)) | {"get"} >= FUNCTIONS


def test_a_rule_whose_functions_a_backend_lacks_is_left_out_and_says_which() -> None:
    found = asked("swaps-concurrent", lambda: StateClient(MemorySession(MemoryStore())), frozenset({"set", "get"}))
    assert (found.status, found.lacks) == ("left out", ("compare_and_swap", "get_versioned"))


def test_a_value_is_read_by_what_a_backend_has() -> None:
    store, functions = MemoryStore(), frozenset({"check_and_set", "get_versioned"})
    assert asked("one-winner", lambda: StateClient(MemorySession(store)), functions).status == "ok"
    assert asked("one-winner", lambda: StateClient(MemorySession(store)), frozenset({"check_and_set"})).lacks == ("get or get_versioned",)


def test_an_answer_that_is_another_one_is_told_with_the_one_expected() -> None:
    found = odd("versions-restart", "get_versioned", lambda answer: ({**answer[0], "version": 7}, answer[1]))
    told = ("get_versioned after set, set, delete, set: {'value': 'c', 'version': 7}", "{'value': 'c', 'version': 1}")
    assert (found.seen, found.expected) == told


def test_a_truth_that_is_a_number_is_another_answer() -> None:
    assert odd("one-winner", "check_and_set", lambda answer: ({"set": int(answer[0]["set"])}, answer[1])).status == "broken"


def test_an_answer_that_is_no_pair_breaks_the_contract() -> None:
    assert "expected a pair" in str(odd("colons", "get", lambda answer: answer[0]).seen)


def test_a_client_that_raises_what_it_may_not_breaks_the_contract() -> None:
    found = odd("colons", "get", lambda answer: answer[0]["absent"])
    assert (found.status, found.seen) == ("broken", "KeyError: 'absent'")


def test_a_server_that_does_not_answer_breaks_nothing() -> None:
    def lost(answer: Any) -> Any:
        raise Indeterminate("no answer")

    found = odd("colons", "get", lost)
    assert (found.status, found.seen) == ("unanswered", "Indeterminate: no answer")


def test_what_certainly_had_no_effect_is_asked_again() -> None:
    refused = iter([True, True])

    def busy(answer: Any) -> Any:
        if next(refused, False):
            raise NotApplied("busy")
        return answer

    assert odd("colons", "get", busy).status == "ok"


@pytest.mark.parametrize("value", ["1", "-1", "0", "-0", str(2**63 - 2)])
def test_the_reference_adds_to_an_integer(value: str) -> None:
    assert sum_of(value, 1) == int(value) + 1


@pytest.mark.parametrize("value", ["", "-", "01", "+1", " 1", "1 ", "1.0", "٣", "--1", str(2**63 - 1), str(2**63), str(-(2**63) - 1)])
def test_the_reference_adds_to_nothing_else(value: str) -> None:
    assert sum_of(value, 1) is None
