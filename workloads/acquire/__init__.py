"""The waiting acquisition: `acquire_within` beside holders that keep the lock longer than some will wait.

Those holders never release, so that many a waiter gets the lock only because a lease ran out. Half of the
waiters that are granted release, half let theirs run out too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.driving.generator import Context, Invocation
from harness.driving.workload import Attendant, Attended, Workload
from harness.record.history import Event
from workloads.acquire.lag import LagMeter


@dataclass(frozen=True, slots=True)
class AcquireGenerator:
    """One slot's waits; `held` is the name and owner token of a grant to give back."""

    names: int
    timeout_ms: int
    ttl_ms: int
    hold_ms: int
    held: tuple[str, str] | None = None

    def next(self, context: Context) -> tuple[Invocation | None, AcquireGenerator]:
        if context.phase == "final":
            return None, self
        if self.held is not None:
            return Invocation("release", self.held[0], {"owner": self.held[1]}), replace(self, held=None)
        draw = context.draw
        key = f"{context.prefix}-acquire-{draw.randrange(self.names)}"
        owner = f"{context.process}-{context.step}"
        if draw.random() < 0.25:
            return Invocation("try_acquire", key, {"owner": owner, "ttl_ms": self.hold_ms}), self
        return Invocation("acquire_within", key, {"owner": owner, "ttl_ms": self.ttl_ms, "timeout_ms": self.timeout_ms}), self

    def update(self, context: Context, invocation: Event, completion: Event) -> AcquireGenerator:
        granted = invocation.f == "acquire_within" and completion.type == "ok" and completion.value["granted"]
        if not granted or context.draw.random() < 0.5:
            return self
        return replace(self, held=(str(invocation.key), invocation.value["owner"]))


def _generator(options: Mapping[str, Any], functions: frozenset[str]) -> AcquireGenerator:
    """Give a slot's generator; waiters ask for leases of `ttl_ms`, holders take those of `hold_ms`."""
    return AcquireGenerator(**options)


def _attend(run: Attended) -> Attendant:
    """Measure how late this process is run: without it a late answer cannot be told from a late look at it."""
    meter = LagMeter(run.journal)
    return Attendant(start=meter.start, stop=meter.stop, steady=meter.mark)


ACQUIRE = Workload(
    name="acquire",
    sentence="acquire_within a time, beside holders that keep the lock for longer",
    functions=frozenset({"acquire_within", "try_acquire", "release"}),
    keys=frozenset({"acquire"}),
    counted=frozenset({"acquire_within"}),
    checks=("acquire-bound", "lease", "fencing"),
    options={"names": 3, "timeout_ms": 300, "ttl_ms": 150, "hold_ms": 500},
    least={"names": 1, "ttl_ms": 1},
    generator=_generator,
    attend=_attend,
)
