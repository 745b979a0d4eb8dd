"""The indexes of timeouts and of chains: entered, moved, taken out, and listed at the times that entries have.

Each slot keeps some entries of its own, with names that no server may take for anything but names; a few are everybody's, so that slots
move and remove one entry at one instant. Times are those of a scheduler, near a `now` that runs with the trial, or drawn from
all that there are. Lists ask for the very time of an entry (it is due), for the instant before (it is not), for
now, and for all. At the end every slot lists all, takes its own out and lists again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.driving.generator import Context, Invocation, meeting
from harness.driving.workload import Workload
from harness.record.history import Event

NS_PER_MS = 1_000_000
FIRST_MS = 1_795_000_000_000
"""The time at which a trial begins, as its entries have it: a moment of the year 2026."""
LAST_MS = 2**53
NEAR_MS = 500
KNOWN = 8
SHARED_PERCENT = 15
MEETING_LISTS = 3
"""Of so many slots that change a shared entry at one instant one lists instead."""

ENTER, LEAVE, LIST = 0, 1, 2
INDEXES = (
    ("timeouts", ("index_timeout", "remove_timeout_index", "get_expired_timeouts")),
    ("chains", ("index_chain_ready", "remove_chain_ready_index", "get_ready_chains")),
)
IDS = ("x", "x:h", "a:b", "*", "_", "%", "?[x]", "\\", "two\nlines", " ", "ключ", "🔑", "'; DEL", "{x}", '"', "0", "-1")
"""Ids of entries, hostile to who builds texts of them."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry of this slot: in which index, its name, and its time as far as it knows."""

    index: int
    name: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class IndexGenerator:
    """One slot's entries; `known` are times that it has lately entered."""

    kept: int
    shared: int
    list_percent: int
    mine: tuple[Kept, ...] = ()
    known: tuple[int, ...] = ()
    ended: int = 0  # how many steps of the final phase are done

    def next(self, context: Context) -> tuple[Invocation | None, IndexGenerator]:
        if context.phase == "final":
            return self._final(context)
        draw = context.draw
        index, met = draw.randrange(len(INDEXES)), meeting(context) if self.shared else None
        if met is not None and (met[0] + context.slot) % MEETING_LISTS == 0:
            return self._list(context, met[0] % len(INDEXES), LAST_MS, met[1]), self
        if met is None and draw.randrange(100) < self.list_percent:
            return self._list(context, index, self._asked_ms(context)), self
        if met is not None or (self.shared and draw.randrange(100) < SHARED_PERCENT):
            number, at = met if met is not None else (draw.randrange(self.shared), 0)
            shared = Kept(number % len(INDEXES), f"{context.prefix}-shared-{number % self.shared}", 0)
            return self._change(context, shared, at, leaves=draw.randrange(100) < 20), self
        if len(self.mine) < self.kept:
            new = Kept(index, f"{_own(context)}{context.step}-{draw.choice(IDS)}", 0)
            return self._change(context, new, leaves=False), self
        return self._change(context, draw.choice(self.mine), leaves=draw.randrange(100) < 40), self

    def update(self, context: Context, invocation: Event, completion: Event) -> IndexGenerator:
        index, act = _act_of(invocation.f)
        if act == LIST or completion.type == "fail":
            return self
        name = invocation.value["key"]
        others = tuple(each for each in self.mine if (each.index, each.name) != (index, name))
        if act == LEAVE:
            return replace(self, mine=others)
        at = invocation.value["time_ms"]
        own = (Kept(index, name, at),) if name.startswith(_own(context)) and completion.type == "ok" else ()
        return replace(self, mine=(*others, *own), known=(*self.known, at)[-KNOWN:])

    def _final(self, context: Context) -> tuple[Invocation | None, IndexGenerator]:
        """List both, take out what is mine, list both again."""
        lists = len(INDEXES)
        if self.ended < lists:
            return self._list(context, self.ended, LAST_MS), replace(self, ended=self.ended + 1)
        if self.mine:
            return self._change(context, self.mine[0], leaves=True), replace(self, mine=self.mine[1:])
        if self.ended < 2 * lists:
            return self._list(context, self.ended - lists, LAST_MS), replace(self, ended=self.ended + 1)
        return None, self

    def _asked_ms(self, context: Context) -> int:
        of_an_entry = context.draw.choice(self.known or (FIRST_MS,))
        return context.draw.choice((of_an_entry, of_an_entry, max(0, of_an_entry - 1), _now_ms(context), LAST_MS))

    def _change(self, context: Context, entry: Kept, at: int = 0, *, leaves: bool) -> Invocation:
        if leaves:
            return _asked(context, entry.index, LEAVE, {"key": entry.name}, at)
        return _asked(context, entry.index, ENTER, {"key": entry.name, "time_ms": _drawn_ms(context)}, at)

    def _list(self, context: Context, index: int, now_ms: int, at: int = 0) -> Invocation:
        return _asked(context, index, LIST, {"now_ms": now_ms}, at)


def _asked(context: Context, index: int, act: int, value: Mapping[str, Any], at: int = 0) -> Invocation:
    name, functions = INDEXES[index]
    return Invocation(functions[act], f"{context.prefix}-{name}", value, at)


def _own(context: Context) -> str:
    return f"{context.prefix}-{context.slot}-"


def _act_of(f: str) -> tuple[int, int]:
    return next((index, functions.index(f)) for index, (_, functions) in enumerate(INDEXES) if f in functions)


def _now_ms(context: Context) -> int:
    return FIRST_MS + context.now // NS_PER_MS


def _drawn_ms(context: Context) -> int:
    draw = context.draw
    near = max(0, _now_ms(context) + draw.randint(-NEAR_MS, NEAR_MS))
    return draw.choice((near, near, near, draw.randrange(LAST_MS), draw.choice((0, 1, LAST_MS - 1, LAST_MS))))


def _generator(options: Mapping[str, Any], functions: frozenset[str]) -> IndexGenerator:
    """Give a slot's generator: it keeps `kept` entries of its own, beside `shared` that are everybody's."""
    return IndexGenerator(**options)


INDEX = Workload(
    name="index",
    sentence="entries of the indexes of timeouts and chains: entered, moved, taken out, listed at their very times",
    functions=frozenset(f for _, functions in INDEXES for f in functions),
    keys=frozenset(name for name, _ in INDEXES),
    checks=("index",),
    generator=_generator,
    options={"kept": 4, "shared": 3, "list_percent": 30},
    least={"kept": 1},
    most={"list_percent": 100},
)
