"""A key with time against its specification: the exact depth-first search over orders, with zones for the instants.

As `harness.judging.checkers.search`, which see for steps, slots and the order in which completions are placed; what is added is time. A
configuration is

    (p, mask, used, cell, held)  and a zone      cell = what is there, held = whether it ends (and by which TTL, where that matters)

and the zone holds all instants that are possible after this order (`harness.judging.checkers.instants`): they are never tried one by
one. A configuration is exhausted where one with the same five and a zone around its own was. Where a server's clock ends keys, the end
is a step of its own, *expire*: what is there is missing from then on.

Rules, each switchable so that tests can turn it off; none loses an order (proofs in brief):
N  Values that no answer mentions are one value, unless something counts (`increment`): legality never looks at them.
E  An answer that only looks (a read, a refusal) is placed the moment that it leaves the zone as it is: all goes on as it would without it.
   Not a write that changes nothing here: it may be needed later.
O  Of answers that only look and find the same, the one that started first: where another one comes first, this one can come at the same
   instant before it.
C  Of pending operations that do the same, the one that returns first, if it has started by any instant at which the other can be:
   swap the two. Of unanswered ones the first invoked, hence counts. Not where the start counts too (clients' clocks, views).
L  After an unanswered u, skip a step whose result lies within what the same step gives without u, or gives before u (see `search`). That
   loses no order because each has a form that is not skipped: the one with the fewest unanswered operations, each as late as it can be.
V  Where nobody looks at versions, they are not counted.
W  A value that one operation alone can have written stays until all who read it have: once it is gone nobody will find it.

Complete: `valid` comes with a witness (`harness.judging.checkers.witness` finds instants for it), `invalid` when every configuration is
exhausted. Exponential at worst.

Rejected: instants as points (starts, ends, and sums of them with TTLs): hundreds for each step; polynomial rules in front (must-exist
windows): they decide nothing that this does not, in less than it takes to find out that they do not.

Sources: Lowe, Testing for Linearizability, CCPE 2017; Dill, CAV 1989; Bouyer, Forward analysis of updatable timed automata, FMSD 2004
(why inclusion of zones is exact here: nothing compares two expiries).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.judging.check import Budget
from harness.judging.checkers import turns
from harness.judging.checkers.instants import START, Ends, Window, Zone
from harness.judging.checkers.timed_steps import EVERY_RULE, WATCHING, Known, Rules, Steps
from harness.judging.models.key import MISSING, Cell
from harness.judging.verdict import Status
from harness.record.history import Operation

LATE = 2**90


@dataclass(frozen=True, slots=True)
class Began:
    """What was there at first, with the zone of its end where it has one (`held`)."""

    cell: Cell = MISSING
    held: int = 0
    zone: Zone = START


NOTHING = Began()


class Move(NamedTuple):
    """A step of a witness: an operation, or (None) the end of what was there. `found`: whether it was seen there, ended, or neither."""

    operation: int | None
    found: bool | None = None


class _Place(NamedTuple):
    cell: int
    held: int
    zone: Zone


class _Spot(NamedTuple):
    p: int
    mask: int
    used: int


class _Entry(NamedTuple):
    """An operation in the search: what it does, the bit of its slot, when it started, which it is, and whether it only looks."""

    identity: int
    bit: int
    start: int
    operation: int
    looks: bool = False


class _Flag(NamedTuple):
    """The unanswered operation placed last, and the place before it."""

    late: _Entry
    before: _Place


class _Next(NamedTuple):
    move: Move
    spot: _Spot
    place: _Place
    flag: _Flag | None


@dataclass(slots=True)
class _Frame:
    """A configuration on the stack, the moves that led here, and what was not tried yet."""

    spot: _Spot
    place: _Place
    moves: tuple[Move, ...]
    successors: Iterator[_Next]


@dataclass(slots=True)
class _Unanswered:
    """The unanswered operations of one class, by invocation, and where their count stands in `used`."""

    entries: list[_Entry] = field(default_factory=list)
    shift: int = 0
    width: int = 0


class TimedSearch:
    """A search that can be interrupted and resumed; one key, one use, not thread-safe.

    `outcome` is None until it is decided; `steps`, `reached` (of `total` completions) tell how far it got.
    """

    def __init__(self, clock: Ends, operations: Sequence[Operation], began: Began = NOTHING, rules: Rules = EVERY_RULE) -> None:
        self._clock, self._rules = clock, rules
        self.outcome: Status | None = None
        self.witness: list[Move] | None = None
        self.steps = self.reached = self.entries = 0
        kept = [operation for operation in operations if operation.status == "ok" or _matters(operation)]
        self._returns = sorted((operation for operation in kept if operation.status == "ok"), key=_end)
        self.total = len(self._returns)
        self._steps = Steps(began.cell, kept, rules, own=not rules.classes or clock.starts_count)
        self._lay_out_pending()
        self._lay_out_unanswered([operation for operation in kept if operation.status == "info"])
        self._failed: dict[tuple[_Spot, int, int], list[Zone]] = {}
        self._stack: list[_Frame] = []
        self._push((), _Next(Move(None), _Spot(0, 0, 0), _Place(0, began.held, began.zone), None))

    @property
    def standing(self) -> Operation | None:
        """Give the completion that no order found so far gets past."""
        return self._returns[self.reached] if self.reached < self.total else None

    def run(self, seconds: float, budget: Budget, now: Callable[[], float] = time.monotonic) -> Status | None:
        """Search on for some seconds; give valid, invalid, or None where it has not been decided yet."""
        return turns.spend(self, seconds, budget, now)

    def exhausted(self, budget: Budget) -> str | None:
        """Say which limit besides time was reached, None if none was."""
        return turns.exhausted(self, budget)

    def step(self) -> None:
        """Go on by one configuration."""
        self.steps += 1
        if not self._stack:
            self.outcome = Status.INVALID
            return
        frame = self._stack[-1]
        if frame.spot.p == self.total:
            self.outcome = Status.VALID
            self.witness = [move for one in self._stack for move in one.moves]
            return
        for successor in frame.successors:
            if self._push((successor.move,), successor):
                return
        self._remember(frame)
        self._stack.pop()

    def _push(self, moves: tuple[Move, ...], what: _Next) -> bool:
        """Go to a configuration, if none around it is exhausted."""
        spot, place, placed = self._ready(what.spot, what.place)
        known = self._failed.get((spot, place.cell, place.held), ())
        if any(place.zone.within(zone) for zone in known):
            return False
        self.reached = max(self.reached, spot.p)
        flag = None if placed else what.flag
        self._stack.append(_Frame(spot, place, (*moves, *placed), self._successors(spot, place, flag)))
        return True

    def _remember(self, frame: _Frame) -> None:
        known = self._failed.setdefault((frame.spot, frame.place.cell, frame.place.held), [])
        outer = [zone for zone in known if not zone.within(frame.place.zone)]
        self.entries += 1 + len(outer) - len(known)
        known[:] = [*outer, frame.place.zone]

    def _ready(self, spot: _Spot, place: _Place) -> tuple[_Spot, _Place, list[Move]]:
        """Place what costs nothing (rule E) and pass every completion whose operation is placed."""
        p, mask, used = spot
        moves: list[Move] = []
        while p < self.total:
            if self._rules.absorb:
                for entry in self._pending[p]:
                    if entry.looks and not mask & entry.bit and (free := self._free(place, entry, self._until[p])) is not None:
                        mask |= entry.bit
                        moves.append(free)
            if not mask & self._bits[p]:
                break
            mask ^= self._bits[p]
            p += 1
        return _Spot(p, mask, used), place, moves

    def _free(self, place: _Place, entry: _Entry, until: int) -> Move | None:
        return next((Move(entry.operation, found) for found, after in self._leads(place, entry, until) if after == place), None)

    def _successors(self, spot: _Spot, place: _Place, flag: _Flag | None) -> Iterator[_Next]:
        p, mask, used = spot
        if p == self.total:
            return
        wanted = self._wanted(spot, place)
        for entry in self._candidates(spot, place):
            for found, after in self._leads(place, entry, self._until[p]):
                if wanted and after.cell != place.cell and self._steps.loses(place.cell, after.cell):
                    continue
                if flag is None or not self._skip(flag, entry, after, p):
                    yield _Next(Move(entry.operation, found), _Spot(p, mask | entry.bit, used), after, None)
        if not wanted and (ended := self._expired(place, self._until[p])) is not None:
            yield _Next(Move(None), spot, ended, None)
        for each in self._classes:
            count = used >> each.shift & (1 << each.width) - 1
            if count == len(each.entries) or each.entries[count].operation > self._ends[p]:
                continue
            entry = each.entries[count]
            for found, after in self._leads(place, entry, self._until[p]):
                if _within(after, place) or (wanted and after.cell != place.cell and self._steps.loses(place.cell, after.cell)):
                    continue
                if flag is None or not self._skip(flag, entry, after, p):
                    late = _Flag(entry, place) if self._rules.overwritten else None
                    yield _Next(Move(entry.operation, found), _Spot(p, mask, used + (1 << each.shift)), after, late)

    def _candidates(self, spot: _Spot, place: _Place) -> Iterator[_Entry]:
        """Give the answered operations to try: those that only look (rule O), then the others, those that return first first (rule C)."""
        left = [entry for entry in self._pending[spot.p] if not spot.mask & entry.bit]
        if self._rules.watch:
            yield from self._first_looks([entry for entry in left if entry.looks], place)
            left = [entry for entry in left if not entry.looks]
        tried: dict[int, int] = {}
        for entry in left:
            before = tried.get(entry.identity, LATE)
            if not self._rules.classes or before > max(place.zone.now, entry.start):
                tried[entry.identity] = min(before, entry.start)
                yield entry

    def _first_looks(self, looks: Sequence[_Entry], place: _Place) -> Iterator[_Entry]:
        """Give of those that can find it there, and of those that can find it ended, the one that started first."""
        steps = self._steps
        there = [entry for entry in looks if steps.of(place.cell, entry.identity) is not None]
        gone = [entry for entry in looks if place.held and steps.of(steps.missing, entry.identity) is not None]
        for found in (there, gone):
            if found:
                yield min(found, key=lambda entry: entry.start)

    def _wanted(self, spot: _Spot, place: _Place) -> bool:
        """Say whether somebody is still to read the value that is there, and nobody can write it again (rule W)."""
        readers = self._steps.readers(place.cell)
        return any(self._waits(index, spot) for index in readers)

    def _waits(self, reader: int, spot: _Spot) -> bool:
        position, entry = self._places[reader]
        return position >= spot.p and (reader > self._ends[spot.p] or not spot.mask & entry.bit)

    def _leads(self, place: _Place, entry: _Entry, until: int) -> Iterator[tuple[bool | None, _Place]]:
        """Give the places that an operation may lead to from here, none if its answer is impossible; and as what it found the key."""
        window = Window(entry.start, until)
        step = self._steps.of(place.cell, entry.identity)
        if not place.held:
            if step is not None and (found := self._clock.there(place.zone, window, 0)):
                yield True, self._after(place, step, found, window)
            return
        over = self._steps.of(self._steps.missing, entry.identity)
        if step is not None and over is not None and self._alike(step, over):
            if (zone := self._clock.either(place.zone, window)) is not None:
                yield None, self._after(place, step, (zone, until), window)
            return
        if step is not None and (found := self._clock.there(place.zone, window, place.held)):
            yield True, self._after(place, step, found, window)
        if not self._clock.decides and over is not None and (left := self._clock.gone(place.zone, window, place.held)):
            kept = not over.renews and over.cell == self._steps.missing
            yield False, place._replace(zone=left) if kept else self._after(place, over, (left, until), window)

    def _alike(self, one: Known, other: Known) -> bool:
        """Say whether it makes no difference if what was there had ended."""
        return one.cell == other.cell and ((one.renews and other.renews) or (one.cell == self._steps.missing and self._clock.decides))

    def _after(self, place: _Place, step: Known, found: tuple[Zone, int], window: Window) -> _Place:
        zone, latest = found
        if step.renews and step.ttl_ms is not None:
            written = self._clock.written((zone.now, latest), window, step.ttl_ms)
            return _Place(step.cell, self._clock.holds(step.ttl_ms), written)
        if step.renews or step.cell == self._steps.missing:
            return _Place(step.cell, 0, Zone(zone.now))
        return _Place(step.cell, place.held, zone)

    def _expired(self, place: _Place, until: int) -> _Place | None:
        if not place.held or not self._clock.decides:
            return None
        zone = self._clock.gone(place.zone, Window(place.zone.now, until), place.held)
        return None if zone is None else _Place(self._steps.missing, 0, zone)

    def _skip(self, flag: _Flag, entry: _Entry, after: _Place, p: int) -> bool:
        """Apply rule L: the unanswered operation placed just before could be dropped, or placed later."""
        without = [place for _, place in self._leads(flag.before, entry, self._until[p])]
        if any(_within(after, place) for place in without):
            return True
        if not entry.bit and entry.identity >= flag.late.identity:
            return False
        return any(_within(after, place) for one in without for _, place in self._leads(one, flag.late, self._until[p]))

    def _lay_out_pending(self) -> None:
        """Give each answered operation a slot, and each step its pending operations, those that return first first."""
        by_start = sorted(self._returns, key=lambda operation: operation.index)
        entries: dict[int, _Entry] = {}
        free: list[int] = []
        width = started = 0
        open_: list[Operation] = []
        self._ends = [_end(operation) for operation in self._returns]
        self._until = [operation.end for operation in self._returns if operation.end is not None]
        self._bits: list[int] = []
        self._pending: list[list[_Entry]] = []
        self._places: dict[int, tuple[int, _Entry]] = {}
        for position, returning in enumerate(self._returns):
            while started < len(by_start) and by_start[started].index < _end(returning):
                operation = by_start[started]
                if not free:
                    free.append(width)
                    width += 1
                identity = self._steps.identity(operation)
                entries[operation.index] = _Entry(identity, 1 << free.pop(), operation.start, operation.index, self._steps.looks[identity])
                open_.append(operation)
                started += 1
            open_.sort(key=_end)
            self._bits.append(entries[returning.index].bit)
            self._pending.append([entries[operation.index] for operation in open_])
            open_.pop(0)
            self._places[returning.index] = position, entries[returning.index]
            free.append(entries.pop(returning.index).bit.bit_length() - 1)

    def _lay_out_unanswered(self, operations: Sequence[Operation]) -> None:
        classes: dict[int, _Unanswered] = {}
        for operation in sorted(operations, key=lambda operation: operation.index):
            identity = self._steps.identity(operation)
            entry = _Entry(identity, 0, operation.start, operation.index)
            classes.setdefault(identity, _Unanswered()).entries.append(entry)
        shift = 0
        for each in classes.values():
            each.shift, each.width = shift, len(each.entries).bit_length()
            shift += each.width
        self._classes = list(classes.values())


def _same(one: _Place, other: _Place) -> bool:
    return one.cell == other.cell and one.held == other.held


def _within(inner: _Place, outer: _Place) -> bool:
    return _same(inner, outer) and inner.zone.within(outer.zone)


def _matters(operation: Operation) -> bool:
    return operation.status == "info" and operation.f not in WATCHING


def _end(operation: Operation) -> int:
    assert operation.end_index is not None
    return operation.end_index
