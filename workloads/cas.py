"""Versioned compare_and_swap with unique values, no TTL; deletes only on a key of its own, by two slots.

Deletes make versions start at 1 again, which only the general search can judge: with few clients it can.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.driving.generator import Context, Invocation, meeting
from harness.driving.workload import Workload
from harness.record.history import Event

DELETERS = 2
LOOKS = 2  # a deleted value that comes back is seen by who reads twice


@dataclass(frozen=True, slots=True)
class CasGenerator:
    """One slot's reads and swaps, with the version that it last saw of each key."""

    keys: int
    seen: tuple[tuple[str, int], ...] = ()
    looks: int = 0  # how often to read the key that this slot has just deleted

    def next(self, context: Context) -> tuple[Invocation | None, CasGenerator]:
        if context.phase == "final":
            return None, self
        if self.looks:
            return Invocation("get_versioned", f"{context.prefix}-cas-deleted", {}), replace(self, looks=self.looks - 1)
        draw = context.draw
        number = draw.randrange(self.keys)
        key, chance = f"{context.prefix}-cas-{number}", draw.random()
        if context.slot < DELETERS and draw.random() < 0.3:
            key = f"{context.prefix}-cas-deleted"
            if chance < 0.3:
                return Invocation("delete", key, {}), self
        if chance < 0.45:
            return Invocation("get_versioned", key, {}), self
        at = 0
        if key != f"{context.prefix}-cas-deleted" and (met := meeting(context)) is not None:
            number, at = met
            key = f"{context.prefix}-cas-{number % self.keys}"
        argument: dict[str, Any] = {"value": f"{context.process}-{context.step}", "ttl_ms": None}
        if chance < 0.55:
            return Invocation("set", key, argument, at), self
        return Invocation("compare_and_swap", key, {"expected": dict(self.seen).get(key, 0), **argument}, at), self

    def update(self, context: Context, invocation: Event, completion: Event) -> CasGenerator:
        if completion.type == "ok" and invocation.f == "delete":
            return replace(self, looks=LOOKS if completion.value["deleted"] else 0)
        if completion.type != "ok" or invocation.f not in ("get_versioned", "compare_and_swap"):
            return self
        seen = {**dict(self.seen), str(invocation.key): completion.value["version"]}
        return replace(self, seen=tuple(seen.items()))


def _generator(options: Mapping[str, Any], functions: frozenset[str]) -> CasGenerator:
    """Give a slot's generator; `keys` are contended for."""
    return CasGenerator(**options)


CAS = Workload(
    name="cas",
    sentence="compare_and_swap on versions, reads and sets, unique values",
    functions=frozenset({"get_versioned", "compare_and_swap", "set", "delete"}),
    keys=frozenset({"cas"}),
    counted=frozenset({"compare_and_swap", "get_versioned"}),
    checks=("linearizable",),
    options={"keys": 3},
    least={"keys": 1},
    generator=_generator,
)
