"""The history: what every process asked and what it was answered, in real-time order.

A history is JSON Lines, one event a line, appended as it happens (`harness.record.journal`); any prefix
of one is a valid history. Index order is real-time order: the journal assigns index and time
under one lock, before the call is made and after it has ended, so that the recorded interval
contains the true one. Checkers order operations by index and never by nanoseconds; lease rules
need real times and use `start` and `end`.

Whoever reads a history needs this module alone: events, operations and what the nemesis recorded have modules of their own.
`harness.record.format` reads and writes it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property

from harness.record import recorded
from harness.record.event import (
    BROKEN,
    CLIENTS,
    FELT,
    LARGEST,
    MOST_NESTED,
    NEMESIS,
    SPLIT_BRAIN,
    UNCLASSIFIED,
    Effect,
    Event,
    EventType,
    Header,
    MalformedHistory,
)
from harness.record.operation import Operation, pair, split
from harness.record.recorded import NO_ANSWER, ClockSample, Moment, Overslept, OwnersSeen, RecordedFault, RoleSeen, TrialMark

__all__ = [
    "BROKEN",
    "CLIENTS",
    "FELT",
    "LARGEST",
    "MOST_NESTED",
    "NEMESIS",
    "NO_ANSWER",
    "SPLIT_BRAIN",
    "UNCLASSIFIED",
    "ClockSample",
    "Effect",
    "Event",
    "EventType",
    "Header",
    "History",
    "Lines",
    "MalformedHistory",
    "Moment",
    "Operation",
    "Overslept",
    "OwnersSeen",
    "RecordedFault",
    "RoleSeen",
    "Trial",
    "TrialMark",
    "pair",
    "split",
]


@dataclass(frozen=True, slots=True)
class Trial:
    """One fault episode: its number, its events, and why it is void (None if it is not)."""

    n: int
    history: History
    void: str | None = None


@dataclass(frozen=True, slots=True)
class Lines:
    """Where the events of a file stand: its name, and the line of each event by index. 16 bytes an event."""

    source: str
    indices: array[int]
    numbers: array[int]

    def number(self, index: int) -> int | None:
        """Give the line of the event with this index, None if the file has none."""
        place = bisect_left(self.indices, index)
        return self.numbers[place] if place < len(self.indices) and self.indices[place] == index else None


@dataclass(frozen=True)
class History:
    """Events in index order, validated. `complete` says that the end mark was read; `lines` that a file was.

    Every reading is made once, when it is first asked for.
    """

    events: tuple[Event, ...]
    header: Header | None = None
    complete: bool = False
    torn: bool = False
    lines: Lines | None = field(default=None, compare=False, repr=False)

    def operations(self) -> Sequence[Operation]:
        """Pair invocations with completions, in order of invocation; O(n), once."""
        return self._operations

    def nemesis(self) -> Sequence[Event]:
        """Give the events of the nemesis as they are; read them as `faults`, `roles`, `owners`, `clocks`, `overslept`, `marks`."""
        return self._nemesis

    @property
    def has_nemesis(self) -> bool:
        """Say whether a nemesis of ours was there: a foreign history has none, and says nothing of faults."""
        return bool(self._nemesis)

    @cached_property
    def faults(self) -> tuple[RecordedFault, ...]:
        """Give the faults, in order of their begin."""
        return tuple(recorded.faults(self._nemesis, self.effects_of))

    @cached_property
    def strikes(self) -> tuple[tuple[RecordedFault, ...], ...]:
        """Give the faults in parts that were healed at once, in order of their begin: one part, unless the trial had a schedule."""
        parts = recorded.together(self.faults, self._nemesis)
        return tuple(sorted(parts, key=lambda part: min(fault.first.index for fault in part)))

    @cached_property
    def roles(self) -> tuple[RoleSeen, ...]:
        """Give each role that was seen, in order; a node that did not answer is "silent"."""
        return tuple(recorded.roles(self._nemesis))

    @cached_property
    def owners(self) -> tuple[OwnersSeen, ...]:
        """Give whom the nodes named as owners of a lock, in order."""
        return tuple(recorded.owners(self._nemesis))

    @cached_property
    def clocks(self) -> tuple[ClockSample, ...]:
        """Give the samples of the harness' clock, in order."""
        return tuple(recorded.clocks(self._nemesis))

    @cached_property
    def overslept(self) -> tuple[Overslept, ...]:
        """Give what the lag meter overslept, in order; nothing where none ran."""
        return tuple(recorded.overslept(self._nemesis))

    @cached_property
    def marks(self) -> tuple[TrialMark, ...]:
        """Give the marks of the trials, in order."""
        return tuple(recorded.marks(self._nemesis))

    def mark(self, phase: str) -> TrialMark | None:
        """Give the first mark of a phase (begin, steady, settled, void), None if there is none."""
        return next((each for each in self.marks if each.phase == phase), None)

    @cached_property
    def first_act(self) -> Event | None:
        """Give the first event that is a client's, or that a nemesis of any tool did: neither a mark nor a look at roles or clocks."""
        return next((event for event in self.events if event.process != NEMESIS or recorded.is_fault(event)), None)

    def effects_of(self, fault: str) -> frozenset[Effect]:
        """Give the effects of a fault by its name: those that the header tells, else those of the fault that is installed.

        A header that tells none of those that clients feel is older than they are: these the installed fault tells.
        """
        told = self.header.effects if self.header else {}
        if fault not in told:
            return recorded.installed_effects(fault)
        own = frozenset(told[fault])
        return own if own & FELT else own | (recorded.installed_effects(fault) & FELT - SPLIT_BRAIN)

    def has_fault_with(self, effects: Set[Effect]) -> bool:
        """Say whether a fault of the run, met by a trial or not, has all of these effects."""
        return any(self.effects_of(name) >= effects for name in (self.header.faults if self.header else ()))

    @cached_property
    def _operations(self) -> tuple[Operation, ...]:
        return tuple(pair(self.events))

    @cached_property
    def _nemesis(self) -> tuple[Event, ...]:
        return tuple(recorded.readable(event for event in self.events if event.process == NEMESIS))

    @contextmanager
    def lines_named(self) -> Iterator[None]:
        """Name file and line in a MalformedHistory that knows the event only."""
        try:
            yield
        except MalformedHistory as error:
            if error.event is None or self.lines is None:
                raise
            raise MalformedHistory(error.reason, self.lines.number(error.event), self.lines.source, event=error.event) from None

    def slot(self, process: int) -> int:
        """Give the slot of a process: a retired process goes on as process + concurrency."""
        concurrency = self.header.concurrency if self.header else None
        return process % concurrency if concurrency else process

    def side(self, process: int) -> str | None:
        """Give the side of the partition that a process is on, None where there are no sides."""
        sides = self.header.sides if self.header else {}
        return sides.get(str(self.slot(process)))

    def trials(self) -> Sequence[Trial]:
        """Split at the nemesis' trial marks; the whole history is trial 0 where there are none.

        A trial lasts from its "begin" to the next one's, final reads after "settled" included.
        Workers are idle between trials, so that no operation crosses a mark. A trial is complete
        if another one began after it, or the end mark was read.
        """
        return self._trials

    @cached_property
    def _trials(self) -> tuple[Trial, ...]:
        return tuple(_trials(self))


def _trials(history: History) -> Iterator[Trial]:
    current: list[Event] = []
    begun: TrialMark | None = None
    void: str | None = None
    marks = {mark.moment.index: mark for mark in history.marks}
    for event in history.events:
        mark = marks.get(event.index)
        if mark is not None and mark.phase == "begin":
            if begun is not None:
                yield Trial(begun.n, replace(history, events=tuple(current), complete=True), void)
            begun, current, void = mark, [], None
        elif mark is not None and mark.phase == "void":
            void = mark.reason
        if begun is not None:
            current.append(event)
    if begun is not None:
        yield Trial(begun.n, replace(history, events=tuple(current)), void)
    else:
        yield Trial(0, history)
