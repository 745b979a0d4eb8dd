"""Searches that share a budget: how one is interrupted and resumed, and how several objects take turns.

An object gets 0.05 s, then four times that, and so on: one that is hard does not starve the others (finishing each before the next took
82 s where this takes 0.14 s on one of Porcupine's histories).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from harness.judging.check import Budget
from harness.judging.verdict import Status

FIRST_TURN_S = 0.05
LONGER = 4
LOOK_EVERY = 256
"""Steps between two looks at the clock."""


class Stepping(Protocol):
    """A search that goes on step by step: `outcome` is None until it is decided, `entries` is what it remembers."""

    outcome: Status | None
    steps: int
    entries: int

    def step(self) -> None: ...


class Undecided(Protocol):
    """What is searched in turns; `reason` says why it will not be decided."""

    reason: str | None

    @property
    def open(self) -> bool: ...


O = TypeVar("O", bound=Undecided)  # noqa: E741 - an object, as the literature names it


def spend(search: Stepping, seconds: float, budget: Budget, now: Callable[[], float]) -> Status | None:
    """Search on for some seconds; give valid, invalid, or None where it has not been decided yet."""
    until = now() + seconds
    while search.outcome is None:
        if search.steps >= budget.steps or search.entries > budget.entries:
            return None
        stop = min(search.steps + LOOK_EVERY, budget.steps)
        while search.outcome is None and search.steps < stop:
            search.step()
        if search.outcome is None and now() >= until:
            return None
    return search.outcome


def exhausted(search: Stepping, budget: Budget) -> str | None:
    """Say which limit besides time was reached, None if none was."""
    if search.entries > budget.entries:
        return f"{budget.entries:,} configurations are remembered, the most allowed"
    if search.steps >= budget.steps:
        return f"the {budget.steps:,} steps are spent"
    return None


def take(
    objects: Sequence[O],
    search: Callable[[O, float], None],
    time_s: float,
    now: Callable[[], float],
    enough: Callable[[], bool] = lambda: False,
) -> None:
    """Search each open object for some seconds, in turns, until none is open, it is `enough`, or the time is spent."""
    until, turn = now() + time_s, FIRST_TURN_S
    while not enough() and (left := [each for each in objects if each.open]):
        for each in left:
            left_s = until - now()
            if left_s <= 0:
                each.reason = f"the {time_s:g} s are over"
            else:
                search(each, min(turn, left_s))
        turn *= LONGER
