"""A throttle: calls are counted by increments with a TTL, the window, which each call sets anew.

In bursts: all slots of a crowd call at once, a few times, and come back when the window ends: before, at the instant, and after, in turn.

    | call call call |<----- window ----->|            before: the count goes on
      ^    ^    ^ all at once          ^  at  ^ after   after: it begins anew

With `steady` 1 calls never stop: the window is set anew for ever. Names serve for a few windows each, and then the next ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.driving.generator import Context, Invocation, meeting
from harness.driving.workload import Workload
from harness.record.history import Event
from workloads.instants import NS_PER_MS, crowd

COMEBACKS = (-0.15, 0.0, 0.15, 0.0)  # in windows from the end of the one before
NEAR_MS = (-4, -2, 0, 0, 0, 0, 2, 4)
BURSTS = 3
LOOKS = 0.6
ROUNDS = 3  # of a name, before the next one


@dataclass(frozen=True, slots=True)
class ThrottleGenerator:
    """One slot's calls."""

    window_ms: int
    crowd: int
    steady: int
    read: bool = False

    def next(self, context: Context) -> tuple[Invocation | None, ThrottleGenerator]:
        if context.phase == "final":
            key, _, _ = self._round(context, context.now)
            return (None, self) if self.read else (Invocation("get", key, {}), replace(self, read=True))
        return self._steadily(context) if self.steady else self._in_bursts(context), self

    def update(self, context: Context, invocation: Event, completion: Event) -> ThrottleGenerator:
        return self

    def _in_bursts(self, context: Context) -> Invocation | None:
        """Meet at the instants of a round's burst, and when its window ends; look in between."""
        key, number, began = self._round(context, context.now)
        window = self.window_ms * NS_PER_MS
        bursts = [began + n * window // 8 for n in range(1, BURSTS + 1)]
        end = bursts[-1] + window + int(COMEBACKS[number % len(COMEBACKS)] * window)
        for at in (*bursts, end, end + window // 8):
            if 0 <= at - context.now <= window // 8:
                return self._call(key, max(0, at + (context.draw.choice(NEAR_MS) * NS_PER_MS if at == end else 0)))
        return Invocation("get", key, {}) if context.draw.random() < LOOKS else None

    def _steadily(self, context: Context) -> Invocation | None:
        met = meeting(context)
        key, _, _ = self._round(context, context.now if met is None else met[1])
        if met is not None:
            return self._call(key, met[1])
        return Invocation("get", key, {}) if context.draw.random() < 0.1 else self._call(key)

    def _round(self, context: Context, now: int) -> tuple[str, int, int]:
        """Give the name that is called now, which round it is, and when it began."""
        mine, crowds = crowd(context, self.crowd)
        period = 3 * self.window_ms * NS_PER_MS
        number = now // period
        return f"{context.prefix}-throttle-{number // ROUNDS * crowds + mine}", number, number * period

    def _call(self, key: str, at: int = 0) -> Invocation:
        return Invocation("increment", key, {"delta": 1, "ttl_ms": self.window_ms}, at)


def _generator(options: Mapping[str, Any], functions: frozenset[str]) -> ThrottleGenerator:
    """Give a slot's generator; with `steady` 1 calls never stop."""
    return ThrottleGenerator(**options)


THROTTLE = Workload(
    name="throttle",
    sentence="increments with a window as TTL: bursts as it begins and ends, or with steady=1 calls that never stop",
    functions=frozenset({"increment", "get"}),
    keys=frozenset({"throttle"}),
    checks=("throttle", "expiry", "endless-window"),
    options={"window_ms": 300, "crowd": 6, "steady": 0},
    least={"window_ms": 1, "crowd": 1},
    most={"steady": 1},
    generator=_generator,
)
