"""Certificates with times: find an instant for each operation of an order, and for each end, by nothing but the definition.

The search keeps zones; here the order is carried out again, and what it says of instants is written down as lower bounds of one instant
by another: x follows the one before and its own start, an end follows the instants at which it was not yet over, the instant of its write
follows the end less what it lasts at most. The least instants that keep all of these are found by going round until nothing rises. They
are a proof if each stands by its operation's end, and the order is wrong if one does not.

Sources: Bellman, On a routing problem, 1958 (difference constraints as longest paths).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.judging.checkers.instants import Clock
from harness.judging.checkers.timed import Move
from harness.judging.models.key import MISSING, Cell, answer, asked, perform
from harness.record.history import Operation

NEVER = 2**90


def wrong_with(moves: Sequence[Move], operations: Sequence[Operation], clock: Clock) -> str | None:
    """Say what is wrong with a witness, None if it proves that a history of one key, missing at first, is possible."""
    by_index = {operation.index: operation for operation in operations if operation.status != "fail"}
    wrong = _misplaced([move.operation for move in moves if move.operation is not None], by_index)
    if wrong is not None:
        return wrong
    told = _Told(clock)
    for move in moves:
        if (wrong := told.carry_out(move, by_index.get(-1 if move.operation is None else move.operation))) is not None:
            return wrong
    return told.impossible()


def _misplaced(order: Sequence[int], by_index: dict[int, Operation]) -> str | None:
    placed = set(order)
    if len(placed) != len(order):
        return "an operation stands twice in the witness"
    if missing := [index for index, operation in by_index.items() if operation.status == "ok" and index not in placed]:
        return f"operation {missing[0]} was answered and is not in the witness"
    latest = -1
    for index in order:
        if index not in by_index:
            return f"operation {index} of the witness is none of the history"
        ended = by_index[index].end_index
        if ended is not None and ended < latest:
            return f"operation {index} returned before event {latest}, the invocation of one that stands before it"
        latest = max(latest, index)
    return None


class _Bound(NamedTuple):
    """The instant numbered `later` is at least `by` ns after the one numbered `than`."""

    later: int
    than: int
    by: int


@dataclass(slots=True)
class _Told:
    """What an order says of instants: numbered, each with its earliest and its latest, and bounds of one by another."""

    clock: Clock
    cell: Cell = MISSING
    end: int | None = None  # the number of the end of what is there
    ttl_ms: int = 0
    last: int | None = None
    earliest: list[int] = field(default_factory=list)
    latest: list[int] = field(default_factory=list)
    bounds: list[_Bound] = field(default_factory=list)

    def carry_out(self, move: Move, operation: Operation | None) -> str | None:
        """Take the next step; say why it is impossible."""
        x = self._instant(-NEVER if operation is None else operation.start, NEVER if operation is None else _until(operation))
        if self.last is not None:
            self.bounds.append(_Bound(x, self.last, 0))
        self.last = x
        if operation is None:
            return self._expire(x)
        found = self.cell
        if self.end is not None and move.found is False:
            if self.clock.decides:
                return f"operation {operation.index} finds ended what ends for all"
            self.bounds.append(_Bound(x, self.end, -self.clock.skew.before(self.ttl_ms)))
            found = MISSING
        elif self.end is not None and move.found is True:
            self._seen_there(x, operation)
        return self._perform(x, operation, found, either=self.end is not None and move.found is None)

    def _expire(self, x: int) -> str | None:
        if self.end is None or not self.clock.decides:
            return "something ends that never does"
        self.bounds.append(_Bound(x, self.end, 0))
        self.cell, self.end = MISSING, None
        return None

    def _seen_there(self, x: int, operation: Operation) -> None:
        assert self.end is not None
        if self.clock.decides:
            self.bounds.append(_Bound(self.end, x, 1))
        else:
            self.earliest[self.end] = max(self.earliest[self.end], operation.start - self.clock.skew.late(self.ttl_ms) + 1)

    def _perform(self, x: int, operation: Operation, found: Cell, *, either: bool) -> str | None:
        what, given = asked(operation), answer(operation)
        step = perform(found, what)
        if given is not None and step.answer != given:
            return f"operation {operation.index} is impossible at its place"
        if either:
            over = perform(MISSING, what)
            if given is not None and over.answer != given:
                return f"operation {operation.index} depends on whether the key had ended"
            if not (step.renews and over.renews) and step.cell != MISSING:
                return f"operation {operation.index} depends on whether the key had ended"
        if step.renews:
            self.cell, self.end = step.cell, None
            if what.ttl_ms is not None:
                self._write(x, operation.start, what.ttl_ms)
        elif step.cell == MISSING and found != MISSING:
            self.cell, self.end = MISSING, None
        elif found == self.cell:
            self.cell = step.cell
        return None

    def _write(self, x: int, start: int, ttl_ms: int) -> None:
        lasts, skew = ttl_ms * self.clock.ms, self.clock.skew
        self.ttl_ms = ttl_ms
        if self.clock.begun:
            self.end = self._instant(start + lasts - skew.before(ttl_ms), NEVER)
            self.bounds.append(_Bound(x, self.end, -lasts - skew.late(ttl_ms)))
        elif self.clock.decides:
            self.end = self._instant(-NEVER, NEVER)
            self.bounds += [_Bound(self.end, x, lasts - skew.before(ttl_ms)), _Bound(x, self.end, -lasts - skew.late(ttl_ms))]
        else:
            self.end = self._instant(start + lasts, NEVER)
            self.bounds.append(_Bound(x, self.end, -lasts))

    def _instant(self, earliest: int, latest: int) -> int:
        self.earliest.append(earliest)
        self.latest.append(latest)
        return len(self.earliest) - 1

    def impossible(self) -> str | None:
        """Say which instant is too late in the least solution."""
        found = list(self.earliest)
        for _ in range(len(found) + 1):
            rose = False
            for later, than, by in self.bounds:
                if found[later] < found[than] + by:
                    found[later], rose = found[than] + by, True
            if not rose:
                late = [number for number, instant in enumerate(found) if instant > self.latest[number]]
                return f"no instant fits the order: one comes {found[late[0]] - self.latest[late[0]]} ns too late" if late else None
        return "no instants fit the order"


def _until(operation: Operation) -> int:
    return NEVER if operation.end is None else operation.end
