"""Drives generators by hand: a context as the runner would give it, and completions as a test wants them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from harness.driving.generator import NS_PER_S, Context, Generator, Invocation, Phase
from harness.record.history import Event

SLOTS = 4
SIDES = ("clients-a", "clients-b")
Answer = Callable[[Invocation], tuple[str, Any]]
"""How an operation ends: the type of its completion and its value."""


def context(slot: int = 0, now: int = 0, phase: Phase = "quiet", **more: Any) -> Context:
    """Give what a slot knows at a time; randomness follows from slot and step, as in a run."""
    given: dict[str, Any] = {"trial": 1, "step": 0, "process": slot, "cut": False, "final_at": 0, "seed": 1, **more}
    seed = given.pop("seed")
    return Context(
        slot=slot,
        slots=SLOTS,
        side=SIDES[slot * len(SIDES) // SLOTS],
        first_side=SIDES[0],
        now=now,
        phase=phase,
        draw=random.Random(hash((seed, given["trial"], slot, given["step"]))),
        **given,
    )


@dataclass(slots=True)
class Slot:
    """One slot: its generator, what it has invoked, and how each ended. `process` rises after an info, as in a run."""

    number: int
    generator: Generator
    seed: int = 1
    process: int = -1
    step: int = 0
    done: list[tuple[Context, Invocation, str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.process = self.number if self.process < 0 else self.process

    def one(self, answer: Answer, now: int = 0, phase: Phase = "quiet", **more: Any) -> Invocation | None:
        """Ask for one operation, end it, tell the generator; None if there is nothing to do."""
        given = context(self.number, now, phase, step=self.step, process=self.process, seed=self.seed, **more)
        invocation, self.generator = self.generator.next(given)
        self.step += 1
        if invocation is None:
            return None
        type_, value = answer(invocation)
        at = max(now, invocation.at)
        events = [
            Event(index=index, time=at, process=self.process, type=kind, f=invocation.f, key=invocation.key, value=said)  # type: ignore[arg-type]
            for index, (kind, said) in enumerate((("invoke", invocation.value), (type_, value)))
        ]
        self.generator = self.generator.update(given, *events)
        self.done.append((given, invocation, type_, value))
        if type_ == "info":
            self.process += SLOTS
        return invocation

    @property
    def invocations(self) -> list[Invocation]:
        return [invocation for _, invocation, _, _ in self.done]


def times(seconds: float, per_s: int = 200) -> Iterator[int]:
    """Give instants, evenly spread."""
    yield from (n * NS_PER_S // per_s for n in range(int(seconds * per_s)))


def drive(make: Callable[[], Generator], answer: Answer, moments: Iterable[int] | None = None, **more: Any) -> list[Slot]:
    """Let every slot ask once at each moment (3 s of them); give the slots with what they did."""
    slots = [Slot(number, make(), seed=more.get("seed", 1)) for number in range(SLOTS)]
    more.pop("seed", None)
    for now in times(3) if moments is None else moments:
        for slot in slots:
            slot.one(answer, now, **more)
    return slots


def invocations(slots: Iterable[Slot]) -> list[Invocation]:
    """Give all that was invoked, slot by slot."""
    return [invocation for slot in slots for invocation in slot.invocations]
