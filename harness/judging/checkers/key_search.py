"""A key with time against its specification: a coarse search first, and the exact one where its order has no instants.

Without instants for each operation (`harness.judging.checkers.instants.Coarse`) far fewer configurations differ: a key with 300 operations
of 24 clients is decided in 0.1 s where the exact search alone passed 8 s. What is impossible so is impossible. An order that is possible
so is carried out again with instants (`harness.judging.checkers.witness`), and nearly always has some.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from harness.judging.check import Budget
from harness.judging.checkers.instants import Clock, Coarse
from harness.judging.checkers.timed import Move, TimedSearch
from harness.judging.checkers.witness import wrong_with
from harness.judging.verdict import Status
from harness.record.history import Operation


class KeySearch:
    """A search that can be interrupted and resumed, as `TimedSearch`; `coarse` tells by which half it is decided."""

    def __init__(self, clock: Clock, operations: Sequence[Operation]) -> None:
        self._clock, self._operations = clock, operations
        self._search = TimedSearch(Coarse(clock), operations)
        self._before = 0
        self.coarse = True

    @property
    def steps(self) -> int:
        """Give the steps of both halves."""
        return self._before + self._search.steps

    @property
    def reached(self) -> int:
        """Give how many completions were placed, of `total`."""
        return self._search.reached

    @property
    def total(self) -> int:
        """Give the number of completions."""
        return self._search.total

    @property
    def standing(self) -> Operation | None:
        """Give the completion that no order found so far gets past."""
        return self._search.standing

    @property
    def witness(self) -> list[Move] | None:
        """Give the order that was found."""
        return self._search.witness

    def run(self, seconds: float, budget: Budget, now: Callable[[], float] = time.monotonic) -> Status | None:
        """Search on for some seconds; give valid, invalid, or None where it has not been decided yet."""
        until = now() + seconds
        found = self._search.run(seconds, budget, now)
        if found is Status.VALID and self.coarse and self.wrong() is not None:
            self._before, self.coarse = self._search.steps, False
            self._search = TimedSearch(self._clock, self._operations)
            found = self._search.run(until - now(), budget, now)
        return found

    def wrong(self) -> str | None:
        """Say why the order that was found proves nothing, None if it does."""
        return wrong_with(self.witness or [], self._operations, self._clock)

    def exhausted(self, budget: Budget) -> str | None:
        """Say which limit besides time was reached, None if none was."""
        return self._search.exhausted(budget)
