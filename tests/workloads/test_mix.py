"""Workloads that share a slot: turns by weight, answers to the part that asked, and all of them drained at the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import pytest
from driving import SLOTS, Slot, context, drive, invocations, times

from backends.client import FUNCTIONS
from harness import registry
from harness.driving.generator import NS_PER_S, Context, Invocation, Mix
from harness.record.history import Event
from workloads.cas import CAS
from workloads.counter import COUNTER
from workloads.dedup import DEDUP
from workloads.lock import LOCK


@dataclass(frozen=True, slots=True)
class Part:
    """A generator that gives its own f so many times, and remembers the f of what it was told."""

    f: str
    left: int = 1_000_000
    told: tuple[str, ...] = ()

    def next(self, context: Context) -> tuple[Invocation | None, Part]:
        return (Invocation(self.f, "k", None), replace(self, left=self.left - 1)) if self.left else (None, self)

    def update(self, context: Context, invocation: Event, completion: Event) -> Part:
        return replace(self, told=(*self.told, invocation.f))


def answer(invocation: Invocation) -> tuple[str, Any]:
    return "ok", None


def many(slot: Slot, count: int, **more: Any) -> list[str]:
    return [each.f for _ in range(count) if (each := slot.one(answer, **more)) is not None]


def parts(slot: Slot) -> list[Part]:
    mix = slot.generator
    assert isinstance(mix, Mix)
    return [part for _, part in mix.parts if isinstance(part, Part)]


def test_parts_take_turns_by_weight() -> None:
    drawn = Counter(many(Slot(0, Mix(((3.0, Part("a")), (1.0, Part("b"))))), 2000))
    assert 1350 <= drawn["a"] <= 1650
    assert drawn["a"] + drawn["b"] == 2000


def test_a_part_of_weight_0_has_no_turn_while_another_has_something_to_do() -> None:
    assert set(many(Slot(0, Mix(((1.0, Part("a")), (0.0, Part("b"))))), 300)) == {"a"}


def test_where_a_part_has_nothing_to_do_another_has_its_turn() -> None:
    assert many(Slot(0, Mix(((1.0, Part("a", left=0)), (1.0, Part("b"))))), 100) == ["b"] * 100


def test_where_no_part_has_anything_to_do_the_mix_has_not() -> None:
    assert many(Slot(0, Mix(((1.0, Part("a", left=0)), (1.0, Part("b", left=0))))), 10) == []


def test_an_answer_goes_to_the_part_that_asked() -> None:
    slot = Slot(0, Mix(((1.0, Part("a")), (1.0, Part("b", left=30)), (1.0, Part("c", left=0)))))
    many(slot, 200)
    assert [set(part.told) for part in parts(slot)] == [{"a"}, {"b"}, set()]
    assert sum(len(part.told) for part in parts(slot)) == 200


def test_in_final_the_parts_are_drained_one_after_the_other() -> None:
    slot = Slot(0, Mix(((0.0, Part("a", left=3)), (0.0, Part("b", left=0)), (1.0, Part("c", left=2)))))
    assert many(slot, 10, phase="final") == ["a"] * 3 + ["c"] * 2


def test_a_mix_is_a_value() -> None:
    mix = Mix(((1.0, Part("a", left=1)), (1.0, Part("b", left=1))))
    first, _ = mix.next(context())
    second, _ = mix.next(context())
    assert first == second


def model(invocation: Invocation) -> tuple[str, Any]:
    value = {"granted": True, "held": True, "released": True, "fencing_token": 1, "set": True, "deleted": True, "value": "1"}
    return "ok", {**value, "swapped": True, "version": 1}


def whole() -> Mix:
    return Mix(tuple((1.0, workload.begin({}, FUNCTIONS)) for workload in (LOCK, DEDUP, CAS, COUNTER)))


def test_all_four_workloads_in_one_slot_have_their_turns() -> None:
    for slot in drive(whole, model):
        assert {each.key.split("-")[1] for each in slot.invocations} >= {"churn", "dedup", "cas", "counter"}


@pytest.mark.parametrize("phase", ["quiet", "fault", "after"])
def test_the_same_seed_and_answers_draw_the_same_in_a_mix(phase: Any) -> None:
    first, second, other = (invocations(drive(whole, model, times(1), seed=seed, phase=phase)) for seed in (1, 1, 2))
    assert first == second != other


def test_every_function_drawn_is_declared_by_a_workload() -> None:
    declared = LOCK.functions | LOCK.optional | DEDUP.functions | CAS.functions | COUNTER.functions
    drawn = {each.f for phase in ("fault", "final") for each in invocations(drive(whole, model, phase=phase, final_at=1))}
    assert drawn <= declared


@pytest.mark.parametrize("workload", [LOCK, DEDUP, CAS, COUNTER], ids=lambda workload: workload.name)
def test_a_workload_draws_all_the_functions_that_it_declares_and_no_others(workload: Any) -> None:
    drawn: set[str] = set()
    for phase in ("quiet", "fault", "final"):
        drawn |= {each.f for each in invocations(drive(lambda: workload.begin({}, FUNCTIONS), model, phase=phase, final_at=10**9))}
    assert drawn == workload.functions | workload.optional


# Whose keys they are

EVERY = {name: registry.load("workloads", name) for name in registry.names("workloads")}


def test_no_two_workloads_have_a_word_of_keys_in_common() -> None:
    words = [word for workload in EVERY.values() for word in workload.keys]
    assert len(words) == len(set(words))


@pytest.mark.parametrize("name", list(EVERY))
def test_a_workload_drives_no_keys_but_those_that_it_says_are_its_own(name: str) -> None:
    workload = EVERY[name]
    first = [
        workload.begin({}, FUNCTIONS).next(context(slot, now * NS_PER_S // 40, phase, step=step, final_at=NS_PER_S))[0]
        for phase in ("quiet", "fault", "final")
        for slot in range(SLOTS)
        for now in range(0, 80, 3)
        for step in range(3)
    ]
    assert [each for each in first if each is not None]
    assert [each.key for each in first if each is not None and not workload.owns(each.key)] == []
