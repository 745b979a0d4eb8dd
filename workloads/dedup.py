"""Single winners: all slots try the same new key at the same instant; later every key is read back.

Which key is tried follows from the time alone, so that slots on both sides of a partition meet on it
without talking to each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.driving.generator import NS_PER_S, Context, Invocation
from harness.driving.workload import Workload
from harness.record.history import Event


@dataclass(frozen=True, slots=True)
class DedupGenerator:
    """One slot's tries and reads."""

    keys_per_s: int
    tried: int = -1
    read: int = 0

    def next(self, context: Context) -> tuple[Invocation | None, DedupGenerator]:
        if context.phase == "final":
            return self._read(context)
        number = max(self.tried, context.now * self.keys_per_s // NS_PER_S) + 1
        value = {"value": f"{context.process}-{context.step}", "ttl_ms": None}
        at = number * NS_PER_S // self.keys_per_s
        return Invocation("check_and_set", f"{context.prefix}-dedup-{number}", value, at), replace(self, tried=number)

    def update(self, context: Context, invocation: Event, completion: Event) -> DedupGenerator:
        return self

    def _read(self, context: Context) -> tuple[Invocation | None, DedupGenerator]:
        # Slot s reads every key whose number is s, s + slots, ...: together they read all.
        number = context.slot + self.read * context.slots
        if number > context.final_at * self.keys_per_s // NS_PER_S + 1:
            return None, self
        return Invocation("get", f"{context.prefix}-dedup-{number}", {}), replace(self, read=self.read + 1)


def _generator(options: Mapping[str, Any], functions: frozenset[str]) -> DedupGenerator:
    """Give a slot's generator; `keys_per_s` new keys appear a second."""
    return DedupGenerator(**options)


DEDUP = Workload(
    name="dedup",
    sentence="check_and_set on new keys, tried by all slots at once; every key is read back at the end",
    functions=frozenset({"check_and_set", "get"}),
    keys=frozenset({"dedup"}),
    counted=frozenset({"check_and_set"}),
    checks=("dedup", "late-grant"),
    options={"keys_per_s": 20},
    least={"keys_per_s": 1},
    generator=_generator,
)
