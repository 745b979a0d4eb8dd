"""One object's history against its model: the exact depth-first just-in-time search.

The answered operations are sorted by their completion, `returns[0..n-1]`. At step p an order of all that
returned before is fixed; nothing is placed until returns[p] must be, then a chain of pending ones that ends
with it. A configuration is

    (p, mask, used, state, flag)   mask  = which pending answered operations are placed: a bit per *slot*,
                                           freed when the operation returns
                                   used  = how many unanswered ones of each class are placed, packed into an int
                                   state = the model's
                                   flag  = the unanswered class placed last and the state before it, for rule L

Only exhausted configurations are remembered: a valid history that needs little backtracking stores almost
nothing, and slots make an entry as wide as the concurrency, not as long as the history (Porcupine's bit set
per entry passed 5 GB at 100,000 operations).

Rules, each switchable so that tests can turn it off; none loses an order (proofs in brief):
N, I  see `harness.judging.checkers.reductions`.
E     An operation that leaves every state alone is placed the moment it is legal: moving it forward changes
      no state, and all it must follow has returned already.
C     Of pending operations that do the same, only the one that returns first; of unanswered ones the first
      invoked, hence counts: swap two of them in any order.
L     After an unanswered u from state s, skip Y where Y alone leads from s to the same state (u was overwritten:
      drop it) or Y, u does (place u later; two unanswered ones keep one fixed order). u has no end, so that
      moving it later breaks no real time.

Complete: `valid` comes with a witness, `invalid` when every configuration is exhausted; `unknown` when the
budget is. Exponential at worst; 10 clients and 10,000 operations take about a second.

Rejected: breadth-first (pays for every configuration on valid histories too: 5.3 s where this takes 0.09 s);
the point that the search reached as culprit (wrong in 2 to 5 % of small histories: see `shrink`).

Sources: Wing and Gong, Testing and Verifying Concurrent Objects, JPDC 1993; Lowe, Testing for Linearizability,
CCPE 2017, sections 4 and 5 (just-in-time, memo of configurations).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.judging.check import Budget
from harness.judging.checkers import turns
from harness.judging.checkers.reductions import needed, rename
from harness.judging.model import Model
from harness.judging.models import Object
from harness.judging.verdict import Status
from harness.record.history import Operation


@dataclass(frozen=True, slots=True)
class Rules:
    """Which reductions the search uses; all of them are exact."""

    rename: bool = True  # N
    needed: bool = True  # I
    absorb: bool = True  # E
    classes: bool = True  # C
    overwritten: bool = True  # L


EVERY_RULE = Rules()
NO_RULE = Rules(rename=False, needed=False, absorb=False, classes=False, overwritten=False)


Configuration = tuple[int, int, int, int, tuple[int, int] | None]
Placed = tuple[int, ...]


@dataclass(slots=True)
class _Frame:
    """A configuration on the stack, what was placed to get here, and the successors not yet tried."""

    configuration: Configuration
    placed: Placed
    successors: Iterator[tuple[int, Configuration]]


@dataclass(slots=True)
class _Unanswered:
    """The unanswered operations of one class, by invocation, and where their count stands in `used`."""

    identity: int
    operations: list[Operation] = field(default_factory=list)
    shift: int = 0
    width: int = 0


class Search:
    """A search that can be interrupted and resumed; one object, one use, not thread-safe.

    `outcome` is None until it is decided; `steps`, `reached` (of `total` completions) tell how far it got.
    """

    def __init__(self, model: Model, operations: Sequence[Operation], rules: Rules = EVERY_RULE) -> None:
        self._rules = rules
        self.outcome: Status | None = None
        self.witness: list[int] | None = None
        self.steps = self.reached = self.entries = 0
        self.ends: set[int] = set()
        hints = model if isinstance(model, Object) else None  # asked for once: this isinstance costs 10 us
        kept = [operation for operation in operations if operation.status == "ok" or _matters(hints, operation)]
        if rules.needed:
            kept = list(needed(model, kept))
        if rules.rename:
            kept = list(rename(model, kept))
        self._returns = sorted((operation for operation in kept if operation.status == "ok"), key=_end)
        self.total = len(self._returns)
        self._transitions = _Transitions(model, hints if rules.classes else None)
        self._lay_out_pending(hints if rules.absorb else None)
        self._lay_out_unanswered([operation for operation in kept if operation.status == "info"])
        self._failed: set[Configuration] = set()
        start, placed = self._ready((0, 0, 0, 0, None))
        self._stack = [_Frame(start, placed, self._successors(start))]
        self._note(start)

    @property
    def standing(self) -> Operation | None:
        """Give the completion that no order found so far gets past."""
        return self._returns[self.reached] if self.reached < self.total else None

    def possible_states(self) -> list[Model]:
        """Give the states seen just before the last completion; all of them if rules N, I and L are off."""
        return [self._transitions.states[number] for number in sorted(self.ends)]

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
        if frame.configuration[0] == self.total:
            self.outcome = Status.VALID
            self.witness = [index for one in self._stack for index in one.placed]
            return
        for index, successor in frame.successors:
            configuration, placed = self._ready(successor)
            if configuration in self._failed:
                continue
            self._note(configuration)
            self._stack.append(_Frame(configuration, (index, *placed), self._successors(configuration)))
            return
        self._failed.add(frame.configuration)
        self.entries += 1
        self._stack.pop()

    def _note(self, configuration: Configuration) -> None:
        p = configuration[0]
        if p > self.reached:
            self.reached = p
        if p == self.total - 1:
            self.ends.add(configuration[3])

    def _ready(self, configuration: Configuration) -> tuple[Configuration, Placed]:
        """Place what costs nothing (rule E) and pass every completion whose operation is placed."""
        p, mask, used, state, flag = configuration
        placed: list[int] = []
        while p < self.total:
            for identity, bit, index in self._observers[p]:
                if not mask & bit and self._transitions.leads(state, identity):
                    mask |= bit
                    flag = None
                    placed.append(index)
            if not mask & self._bits[p]:
                break
            mask ^= self._bits[p]
            p += 1
        return (p, mask, used, state, flag), tuple(placed)

    def _successors(self, configuration: Configuration) -> Iterator[tuple[int, Configuration]]:
        p, mask, used, state, flag = configuration
        if p == self.total:
            return
        leads = self._transitions.leads
        tried: set[int] = set()
        for identity, bit, index in self._mutators[p]:
            if mask & bit or identity in tried:
                continue
            if self._rules.classes:
                tried.add(identity)
            for after in leads(state, identity):
                if flag is None or not self._skip(flag, identity, after, unanswered=False):
                    yield index, (p, mask | bit, used, after, None)
        for each in self._classes:
            count = used >> each.shift & (1 << each.width) - 1
            if count == len(each.operations) or each.operations[count].index > self._ends[p]:
                continue
            for after in leads(state, each.identity):
                if after == state or (flag is not None and self._skip(flag, each.identity, after, unanswered=True)):
                    continue
                lately = (each.identity, state) if self._rules.overwritten else None
                yield each.operations[count].index, (p, mask, used + (1 << each.shift), after, lately)

    def _skip(self, flag: tuple[int, int], identity: int, after: int, *, unanswered: bool) -> bool:
        """Apply rule L: the unanswered operation placed just before could be dropped, or placed later."""
        late, before = flag
        without = self._transitions.leads(before, identity)
        if after in without:
            return True
        if unanswered and identity >= late:
            return False
        return any(after in self._transitions.leads(state, late) for state in without)

    def _lay_out_pending(self, hints: Object | None) -> None:
        """Give each answered operation a slot, and each step its pending operations, those that return first first."""
        by_start = sorted(self._returns, key=lambda operation: operation.index)
        entries: dict[int, tuple[int, int, int]] = {}
        free: list[int] = []
        width = started = 0
        open_: list[Operation] = []
        self._ends = [_end(operation) for operation in self._returns]
        self._bits: list[int] = []
        self._observers: list[list[tuple[int, int, int]]] = []
        self._mutators: list[list[tuple[int, int, int]]] = []
        watching = {operation.index for operation in self._returns if hints is not None and hints.observes(operation)}
        for returning in self._returns:
            end = _end(returning)
            while started < len(by_start) and by_start[started].index < end:
                operation = by_start[started]
                if not free:
                    free.append(width)
                    width += 1
                entries[operation.index] = (self._transitions.identity(operation), 1 << free.pop(), operation.index)
                open_.append(operation)
                started += 1
            open_.sort(key=_end)
            self._bits.append(entries[returning.index][1])
            self._observers.append([entries[operation.index] for operation in open_ if operation.index in watching])
            self._mutators.append([entries[operation.index] for operation in open_ if operation.index not in watching])
            open_.pop(0)
            free.append(entries.pop(returning.index)[1].bit_length() - 1)

    def _lay_out_unanswered(self, operations: Sequence[Operation]) -> None:
        classes: dict[int, _Unanswered] = {}
        for operation in sorted(operations, key=lambda operation: operation.index):
            identity = self._transitions.identity(operation)
            classes.setdefault(identity, _Unanswered(identity)).operations.append(operation)
        shift = 0
        for each in classes.values():
            each.shift, each.width = shift, len(each.operations).bit_length()
            shift += each.width
        self._classes = list(classes.values())


class _Transitions:
    """The model's steps, each asked for once; states and identities of operations are numbered, the initial state is 0."""

    def __init__(self, model: Model, hints: Object | None) -> None:
        self.states: list[Model] = [model]
        self._hints = hints
        self._state_numbers: dict[Any, int] = {model: 0}
        self._identity_numbers: dict[Hashable, int] = {}
        self._examples: list[Operation] = []
        self._known: list[dict[int, tuple[int, ...]]] = []

    def identity(self, operation: Operation) -> int:
        """Number what the model looks at; each is of its own where rule C is off."""
        what: Hashable = operation.index if self._hints is None else self._hints.identity(operation)
        number = self._identity_numbers.setdefault(what, len(self._examples))
        if number == len(self._examples):
            self._examples.append(operation)
            self._known.append({})
        return number

    def leads(self, state: int, identity: int) -> tuple[int, ...]:
        """Give the states that an operation may lead to from here, none if its answer is impossible."""
        known = self._known[identity]
        after = known.get(state)
        if after is None:
            after = known[state] = tuple(self._number(each) for each in self.states[state].step(self._examples[identity]))
        return after

    def _number(self, state: Model) -> int:
        number = self._state_numbers.setdefault(state, len(self.states))
        if number == len(self.states):
            self.states.append(state)
        return number


def _end(operation: Operation) -> int:
    assert operation.end_index is not None
    return operation.end_index


def _matters(hints: Object | None, operation: Operation) -> bool:
    return operation.status != "fail" and not (hints is not None and hints.observes(operation))
