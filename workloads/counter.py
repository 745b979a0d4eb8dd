"""Atomic counters: increments by one and the same delta, and reads. One delta, since mixed ones make judging NP-complete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.driving.generator import Context, Invocation, meeting
from harness.driving.workload import Workload
from harness.record.history import Event


@dataclass(frozen=True, slots=True)
class CounterGenerator:
    """One slot's increments and reads."""

    keys: int
    delta: int
    read: bool = False

    def next(self, context: Context) -> tuple[Invocation | None, CounterGenerator]:
        key = f"{context.prefix}-counter-{context.draw.randrange(self.keys)}"
        if context.phase == "final":
            return (None, self) if self.read else (Invocation("get", key, {}), CounterGenerator(self.keys, self.delta, read=True))
        if context.draw.random() < 0.3:
            return Invocation("get", key, {}), self
        at = 0
        if (met := meeting(context)) is not None:
            number, at = met
            key = f"{context.prefix}-counter-{number % self.keys}"
        return Invocation("increment", key, {"delta": self.delta, "ttl_ms": None}, at), self

    def update(self, context: Context, invocation: Event, completion: Event) -> CounterGenerator:
        return self


def _generator(options: Mapping[str, Any], functions: frozenset[str]) -> CounterGenerator:
    """Give a slot's generator."""
    return CounterGenerator(**options)


COUNTER = Workload(
    name="counter",
    sentence="increments and reads of few counters",
    functions=frozenset({"increment", "get"}),
    keys=frozenset({"counter"}),
    counted=frozenset({"increment"}),
    checks=("linearizable",),
    options={"keys": 2, "delta": 1},
    least={"keys": 1, "delta": 1},
    generator=_generator,
)
