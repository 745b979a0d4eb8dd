"""A generator: what a client slot does next, as an immutable value.

Each slot has a generator of its own, so that no lock and no other slot's answers decide what it does:
what slots share (names of keys, the phase of the trial) follows from the trial and the time. Randomness
is a function of (seed, trial, slot, step) and never a stream: the seed fixes what is drawn, the
interleaving stays the machine's. Rejected: one generator shared by all slots, as Jepsen has, where
each answer of one client moves all others, and a run with the same seed draws other operations.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, Self

import msgspec

from harness.errors import Misfit
from harness.record.history import Event

Phase = Literal["quiet", "fault", "after", "final"]
"""quiet: steady, before the fault. fault: from its begin to the settled state. after: settled. final: last reads."""

NS_PER_S = 1_000_000_000


class Invocation(msgspec.Struct, frozen=True, gc=False):
    """An operation to invoke; `at` is the time (ns since the trial was steady) not to be earlier than."""

    f: str
    key: str
    value: Any
    at: int = 0


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What a slot knows when it chooses. Times in ns since the trial was steady."""

    trial: int
    slot: int
    slots: int
    process: int
    side: str
    first_side: str
    now: int
    phase: Phase
    cut: bool  # a fault that changes roles is proved active
    final_at: int  # when the final phase began, 0 before
    step: int  # how many operations this slot has been asked for in this trial
    draw: random.Random

    @property
    def prefix(self) -> str:
        """Give the beginning of every key of this trial."""
        return f"t{self.trial}"


MEETING_NS = NS_PER_S // 5
MEETING_NEAR_NS = NS_PER_S * 3 // 100


def meeting(context: Context) -> tuple[int, int] | None:
    """Give the number and the instant of the next meeting if it is near: five times a second, the same for all slots.

    Operations last a fraction of a millisecond: slots that do not agree on an instant hardly ever
    overlap, and a race that needs two of them is never met. A key that follows from the number makes
    them meet on one key, without talking to each other. Only who has less than 30 ms to wait goes
    there, so that a slot's rate hardly suffers.
    """
    return meeting_at(context.now)


def meeting_at(now: int) -> tuple[int, int] | None:
    """Give the number and the instant of the meeting that was next at a time, if it was near."""
    number = now // MEETING_NS + 1
    at = number * MEETING_NS
    return (number, at) if at - now <= MEETING_NEAR_NS else None


class Generator(Protocol):
    """A slot's plan."""

    def next(self, context: Context) -> tuple[Invocation | None, Self]:
        """Give the next invocation, None if there is nothing to do now (in `final`: nothing left), and what follows."""
        ...

    def update(self, context: Context, invocation: Event, completion: Event) -> Self:
        """Learn how an operation of this slot ended."""
        ...


def asked(generator: Generator, context: Context) -> tuple[Invocation | None, Generator]:
    """Ask a generator what is next; raise Misfit where it gives something else than that and what follows."""
    found: Any = generator.next(context)
    if not isinstance(found, tuple) or len(found) != 2:
        raise Misfit(generator, f"next of {type(generator).__name__} gave {found!r:.100}, expected a pair of an Invocation and a generator")
    invocation, following = found
    if invocation is not None and not isinstance(invocation, Invocation):
        raise Misfit(generator, f"next of {type(generator).__name__} gave {invocation!r:.100}, expected an Invocation or None")
    if invocation is not None and not (type(invocation.f) is str and type(invocation.key) is str and isinstance(invocation.at, int)):
        raise Misfit(generator, f"next of {type(generator).__name__} gave {invocation!r:.100}, expected texts as f and key, ns as at")
    return invocation, _following(following, generator, "next")


def told(generator: Generator, context: Context, invocation: Event, completion: Event) -> Generator:
    """Tell a generator how an operation ended; raise Misfit where it does not give what follows."""
    return _following(generator.update(context, invocation, completion), generator, "update")


def _following(found: Any, generator: Generator, method: str) -> Generator:
    if not hasattr(found, "next"):
        raise Misfit(generator, f"{method} of {type(generator).__name__} gave {found!r:.100} as what follows, expected a generator")
    following: Generator = found
    return following


@dataclass(frozen=True, slots=True)
class Mix:
    """Generators that take turns by weight; in `final` one after the other."""

    parts: tuple[tuple[float, Generator], ...]
    last: int = 0

    def next(self, context: Context) -> tuple[Invocation | None, Mix]:
        for number in self._order(context):
            invocation, following = asked(self.parts[number][1], context)
            if invocation is not None:
                return invocation, self._with(number, following)
        return None, self

    def update(self, context: Context, invocation: Event, completion: Event) -> Mix:
        return self._with(self.last, told(self.parts[self.last][1], context, invocation, completion))

    def _order(self, context: Context) -> list[int]:
        numbers = list(range(len(self.parts)))
        if context.phase == "final":
            return numbers
        first = context.draw.choices(numbers, [weight for weight, _ in self.parts])[0]
        return [first] if len(numbers) == 1 else [first, *(number for number in numbers if number != first)]

    def _with(self, number: int, following: Generator) -> Mix:
        parts = tuple((weight, following if n == number else part) for n, (weight, part) in enumerate(self.parts))
        return replace(self, parts=parts, last=number)
