"""A throttle: calls are counted by increments with a TTL, the window, which each call sets anew.

In bursts: all slots of a crowd call at once, close together, and come back when the window ends: just before, at the instant, just
after, in turn.

    call call call|<------ window ------>|            before: the count goes on
    ^ all at once  ^ all at once      ^ at ^ after    after: it begins anew

With `steady` 1 calls never stop: the window is set anew for ever. Names serve for a few windows each, and then the next ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.driving.generator import Context, Invocation
from harness.driving.workload import Workload
from harness.record.history import Event
from workloads.instants import NS_PER_MS, crowd, is_near

COMEBACKS = (-0.15, 0.0, 0.15, 0.0)  # in windows from the end of the one before
NEAR_MS = (-8, -4, -2, 0, 0, 2, 4, 8)
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
        """Call at the beginning of a round, at the last instant of its burst, and when its window ends; look in between."""
        key, number, began = self._round(context, context.now)
        window = self.window_ms * NS_PER_MS
        last = began + window // 3
        end = last + window + int(COMEBACKS[number % len(COMEBACKS)] * window)
        for at in (last, end):
            if is_near(context, at):
                jitter = context.draw.choice(NEAR_MS) * NS_PER_MS if at == end else 0
                return self._call(key, at + jitter)
        if context.now < last or end < context.now < end + window // 8:
            return self._call(key)
        return Invocation("get", key, {}) if context.draw.random() < 0.3 else None

    def _steadily(self, context: Context) -> Invocation | None:
        key, _, _ = self._round(context, context.now)
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
    counted=frozenset({"increment"}),
    checks=("throttle", "expiry", "endless-window"),
    options={"window_ms": 300, "crowd": 6, "steady": 0},
    least={"window_ms": 1, "crowd": 1},
    most={"steady": 1},
    generator=_generator,
)
