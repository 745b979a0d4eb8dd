"""Keys that expire, used around that instant from both sides: each is new, lives for one TTL or is renewed, cleared, cut short.

    born                  half               end                    over
     |---- reads, refusals | renew, clear ... |-x-x-x-|-x-x-x- ... looks, second lives |
     all of a crowd at once                     aimed: just before and just after; or all at once, just after

What a key is (its TTL, how it is made, what becomes of it, which function is aimed at its end) follows from its name,
and its instants from the time: slots meet at them without talking to each other. Several keys of a crowd overlap, so that one of them is
nearly always near an instant.

Beside these a slot has one key at a time to itself: what nobody else has touched since its end shows who does not look at the expiry, and
long after it every clock agrees that it is over:

    made |--------- looked at, or cleared -|----- left alone -----| used once, and its version read
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

from harness.driving.generator import Context, Invocation
from harness.driving.workload import Workload
from harness.record.history import Event
from workloads.instants import NEAR_NS, NS_PER_MS, crowd, is_near, number

Fate = Literal["left", "renewed", "cleared", "shortened", "remade"]
FATES: tuple[Fate, ...] = ("left", "left", "left", "renewed", "renewed", "cleared", "cleared", "shortened", "remade")
MAKERS = ("check_and_set", "set", "increment", "compare_and_swap")
AIMED = ("check_and_set", "get", "get_versioned", "increment", "compare_and_swap", "set", "delete", "delete")
READS = ("get", "get_versioned")
OFFSETS_MS = (-20, -10, -5, -3, -1, -0.5, 0, 0, 0.25, 0.5, 1, 3, 5, 10, 20)
MEETS_MS = (1, 2, 3, 5)
BORN_MS = 40  # into a key's time: whoever is asked before waits for it
KNOWN = 6  # keys of which a slot keeps the version that it saw last
ALONE_FOR_MS = (5, 40, 260)  # after its end a key is left alone so long: one clock is sure of it, or clients' clocks 100 ms apart are
LOOKED = ("get_versioned", "get_versioned", "set", "compare_and_swap", "increment")
LOOKS_NS = 40 * NS_PER_MS  # before the end: a busy machine is late
BEGINS = 0.35
"""So often a slot that has no key to itself makes one."""


@dataclass(frozen=True, slots=True)
class Life:
    """A key: when it is made and ends, in ns since its time began; `turned` is when its fate is done to it.

    `meets_ms` is when, after its end, all come at once, and nobody shortly before; None where each comes as it likes.
    """

    key: str
    ttl_ms: int
    maker: str
    fate: Fate
    aimed: str
    meets_ms: float | None

    @property
    def born(self) -> int:
        return BORN_MS * NS_PER_MS

    @property
    def turned(self) -> int:
        return self.born + self.ttl_ms * NS_PER_MS // 2

    @property
    def turned_ms(self) -> int | None:
        """Give the TTL that its fate gives it; None for none."""
        return {"left": None, "cleared": None, "shortened": max(1, self.ttl_ms // 4)}.get(self.fate, self.ttl_ms)

    @property
    def end(self) -> int:
        """Give when it ends, one that was cleared: when it would have."""
        turned_ms = self.turned_ms
        return self.born + self.ttl_ms * NS_PER_MS if turned_ms is None else self.turned + turned_ms * NS_PER_MS


@lru_cache(maxsize=256)
def life(prefix: str, place: int, ttl_ms: int) -> Life:
    """Give what a key is: the same for every slot."""
    draw = random.Random(hash((int(prefix[1:]), place)))
    lasts_ms = max(1, ttl_ms * draw.randint(1, 4) // 4)
    meets_ms = draw.choice((None, draw.choice(MEETS_MS), draw.choice(MEETS_MS)))
    return Life(f"{prefix}-expiry-{place}", lasts_ms, draw.choice(MAKERS), draw.choice(FATES), draw.choice(AIMED), meets_ms)


@dataclass(frozen=True, slots=True)
class Alone:
    """A key that a slot has to itself: it ends at `end`, and is `aimed` at from `use_at` on; `asks` is what is asked of it next."""

    key: str
    end: int
    use_at: int
    aimed: str
    asks: Literal["look", "use", "version"] = "look"


@dataclass(frozen=True, slots=True)
class ExpiryGenerator:
    """One slot's operations, with the versions that it last saw; TTLs are quarters of `ttl_ms`. `own` 0: no key to itself."""

    ttl_ms: int
    crowd: int
    lanes: int
    own: int = 1
    alone: Alone | None = None
    seen: tuple[tuple[str, int], ...] = ()
    read: int = 0

    def next(self, context: Context) -> tuple[Invocation | None, ExpiryGenerator]:
        if context.phase == "final":
            return self._read(context)
        draw = context.draw
        lanes = [self._lane(context, lane) for lane in range(self.lanes)]
        near = [each for each in lanes if is_near(context, each[0] + each[1].born) or is_near(context, each[0] + each[1].turned)]
        ending = [each for each in lanes if abs(context.now - each[0] - each[1].end) <= NEAR_NS]
        if self.own and not near and not ending and (mine := self._alone(context)) is not None:
            return mine
        began, chosen = draw.choice(near or ending or lanes)
        if is_near(context, began + chosen.born):
            return self._written(context, chosen.maker, chosen.key, chosen.ttl_ms, began + chosen.born), self
        if is_near(context, began + chosen.turned):
            return self._turn(context, chosen, began + chosen.turned), self
        if abs(context.now - began - chosen.end) <= NEAR_NS:
            return self._aim(context, chosen, began + chosen.end), self
        return self._between(context, chosen, context.now - began), self

    def update(self, context: Context, invocation: Event, completion: Event) -> ExpiryGenerator:
        if completion.type != "ok" or invocation.f not in ("get_versioned", "compare_and_swap"):
            return self
        others = [each for each in self.seen if each[0] != invocation.key]
        return replace(self, seen=(*others[1 - KNOWN :], (str(invocation.key), completion.value["version"])))

    def _alone(self, context: Context) -> tuple[Invocation, ExpiryGenerator] | None:
        """Deal with the key that this slot has to itself, if there is something to do about it now."""
        mine = self.alone
        if mine is None:
            return self._make(context) if context.draw.random() < BEGINS else None
        if mine.asks == "look" and context.now <= mine.end - LOOKS_NS:
            return self._look(context, mine) if is_near(context, mine.end - LOOKS_NS) else None
        if mine.asks == "version":
            return Invocation("get_versioned", mine.key, {}), replace(self, alone=None)
        if mine.use_at - context.now > NEAR_NS:
            return None
        invocation = self._written(context, mine.aimed, mine.key, max(1, self.ttl_ms // 4), mine.use_at)
        return invocation, replace(self, alone=replace(mine, asks="version"))

    def _look(self, context: Context, mine: Alone) -> tuple[Invocation, ExpiryGenerator]:
        """Look at a key that must still be there, or write to it without a TTL: it must be there for ever, or end as it would have."""
        knowing = replace(self, alone=replace(mine, asks="use"), seen=(*self.seen[1 - KNOWN :], (mine.key, 1)))
        return knowing._written(context, context.draw.choice(LOOKED), mine.key, None, mine.end - LOOKS_NS), knowing

    def _make(self, context: Context) -> tuple[Invocation, ExpiryGenerator]:
        draw = context.draw
        key = f"{context.prefix}-expiry-own-{context.process}-{context.step}"
        ttl_ms = max(1, draw.choice((self.ttl_ms // 4, self.ttl_ms // 2, self.ttl_ms * 2)))
        end = context.now + ttl_ms * NS_PER_MS
        mine = Alone(key, end, end + draw.choice(ALONE_FOR_MS) * NS_PER_MS, draw.choice(AIMED))
        knowing = replace(self, alone=mine, seen=(*self.seen[1 - KNOWN :], (key, 0)))
        return knowing._written(context, draw.choice(MAKERS), key, ttl_ms), knowing

    @property
    def _period(self) -> int:
        """Give how long a key is used: made, renewed halfway, and as long again once it is over."""
        return (2 * self.ttl_ms + BORN_MS) * NS_PER_MS

    def _lane(self, context: Context, lane: int) -> tuple[int, Life]:
        """Give the present key of one of this slot's lanes, and when its time began; the lanes of a crowd are spread over a period."""
        mine, crowds = crowd(context, self.crowd)
        shift = lane * self._period // self.lanes
        turn = (context.now + shift) // self._period
        place = (turn * self.lanes + lane) * crowds + mine
        return turn * self._period - shift, life(context.prefix, place, self.ttl_ms)

    def _turn(self, context: Context, chosen: Life, at: int) -> Invocation:
        """Do what becomes of a key; who meets one that is left tries to: a refused check_and_set renews nothing."""
        draw = context.draw
        if chosen.fate == "left":
            return self._written(context, "check_and_set", chosen.key, self.ttl_ms * 2, at)
        if chosen.fate == "remade" and draw.random() < 0.4:
            return Invocation("delete", chosen.key, {}, at)
        f = draw.choice(("set", "compare_and_swap") if chosen.turned_ms is None else ("set", "increment", "compare_and_swap"))
        return self._written(context, f, chosen.key, chosen.turned_ms, at)

    def _aim(self, context: Context, chosen: Life, end: int) -> Invocation:
        """Meet the end of a key: half of the crowd look, or are refused; half do what is aimed at it."""
        draw = context.draw
        met = None if chosen.meets_ms is None else end + round(chosen.meets_ms * NS_PER_MS)
        if met is not None and context.now <= met:
            f, at = chosen.aimed if chosen.aimed not in READS else "check_and_set", met
            f = f if draw.random() < 0.5 else draw.choice(READS)
        else:
            at = max(0, end + round(draw.choice(OFFSETS_MS) * NS_PER_MS))
            f = chosen.aimed if draw.random() < 0.5 else draw.choice((*READS, "check_and_set"))
        return self._written(context, f, chosen.key, max(1, self.ttl_ms // 4), at)

    def _between(self, context: Context, chosen: Life, age: int) -> Invocation:
        """Look, be refused, count on without a TTL; once it is over also begin a second life."""
        draw = context.draw
        functions = ["get", "get_versioned", "get_versioned"]
        if age > chosen.born:  # before that nobody makes it
            functions += ["check_and_set"]
        if age > chosen.end:
            functions += ["increment", "compare_and_swap", "delete", "set"]
        elif chosen.maker == "increment":
            functions += ["increment"]
        f = draw.choice(functions)
        ttl_ms = None if f == "increment" and age < chosen.end else self.ttl_ms
        return self._written(context, f, chosen.key, ttl_ms)

    def _written(self, context: Context, f: str, key: str, ttl_ms: int | None, at: int = 0) -> Invocation:
        argument: dict[str, Any] = {}
        if f in ("check_and_set", "set", "compare_and_swap"):
            argument = {"value": str(number(context)), "ttl_ms": ttl_ms}
        if f == "compare_and_swap":
            argument = {"expected": dict(self.seen).get(key, context.draw.choice((0, 1, 1))), **argument}
        if f == "increment":
            argument = {"delta": 1, "ttl_ms": ttl_ms}
        return Invocation(f, key, argument, at)

    def _read(self, context: Context) -> tuple[Invocation | None, ExpiryGenerator]:
        """Look at each of this slot's present keys once more."""
        if self.read >= self.lanes:
            return None, self
        _, last = self._lane(context, self.read)
        return Invocation("get_versioned", last.key, {}), replace(self, read=self.read + 1)


def _generator(options: Mapping[str, Any], functions: frozenset[str]) -> ExpiryGenerator:
    """Give a slot's generator; every crowd of at most `crowd` slots has `lanes` keys at a time, each slot one of its `own`."""
    return ExpiryGenerator(**options)


EXPIRY = Workload(
    name="expiry",
    sentence="keys with a TTL, used around the instant of expiry from both sides; some renewed, cleared, cut short, remade",
    functions=frozenset(AIMED),
    keys=frozenset({"expiry"}),
    checks=("expiry", "aba"),
    options={"ttl_ms": 320, "crowd": 6, "lanes": 2, "own": 1},
    least={"ttl_ms": 4, "crowd": 1, "lanes": 1},
    most={"own": 1},
    generator=_generator,
)
