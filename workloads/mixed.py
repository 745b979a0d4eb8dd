"""All functions of a key on the same few keys, new ones all the time, with a TTL and without.

A workload of one function each never shows what two of them do to each other: two check_and_set that win because of one delete, a read
that tears, an increment of what was set as text. A key is shared by a few slots and used for a fraction of a second, so that the
exact search decides it. At the end every key is read once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.driving.generator import NS_PER_S, Context, Invocation, meeting
from harness.driving.workload import Workload
from harness.record.history import Event
from workloads.instants import crowd, number

WEIGHTS: Mapping[str, float] = {
    "check_and_set": 0.18,
    "compare_and_swap": 0.18,
    "increment": 0.16,
    "delete": 0.14,
    "get_versioned": 0.14,
    "set": 0.12,
    "get": 0.08,
}
LATE = 0.15  # of the operations go to the key before the present one
KNOWN = 6  # keys of which a slot keeps the version that it saw last
TTLS_MS = (100, 150, 200, 300, 400)
LARGEST = 2**63 - 1
DELTAS = (1, 1, -1, 7, 2**62)


@dataclass(frozen=True, slots=True)
class MixedGenerator:
    """One slot's operations, with the versions that it last saw; `kept` percent of what is written gets no TTL."""

    keys_per_s: int
    crowd: int
    kept: int
    seen: tuple[tuple[str, int], ...] = ()
    read: int = 0

    def next(self, context: Context) -> tuple[Invocation | None, MixedGenerator]:
        if context.phase == "final":
            return self._read(context)
        draw = context.draw
        mine, crowds = crowd(context, self.crowd)
        met = meeting(context)
        now, at = (context.now, 0) if met is None else (met[1], met[1])
        place = max(0, now * self.keys_per_s // NS_PER_S - (met is None and draw.random() < LATE))
        key = self._key(context, place * crowds + mine)
        f = draw.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        return Invocation(f, key, self._argument(context, f, key), at), self

    def update(self, context: Context, invocation: Event, completion: Event) -> MixedGenerator:
        if completion.type != "ok" or invocation.f not in ("get_versioned", "compare_and_swap"):
            return self
        others = [each for each in self.seen if each[0] != invocation.key]
        return replace(self, seen=(*others[1 - KNOWN :], (str(invocation.key), completion.value["version"])))

    def _argument(self, context: Context, f: str, key: str) -> dict[str, Any]:
        if f in ("get", "get_versioned", "delete"):
            return {}
        ttl_ms = None if context.draw.random() * 100 < self.kept else context.draw.choice(TTLS_MS)
        if f == "increment":
            return {"delta": context.draw.choice(DELTAS), "ttl_ms": ttl_ms}
        written = {"value": self._value(context), "ttl_ms": ttl_ms}
        return written if f != "compare_and_swap" else {"expected": dict(self.seen).get(key, 0), **written}

    def _value(self, context: Context) -> str:
        """Give a text that no other operation writes: nearly always a number, now and then one beyond which nothing counts, or none."""
        chance = context.draw.random()
        if chance < 0.15:
            return f"{context.process}-{context.step}"
        return str(LARGEST - number(context) // 1000) if chance < 0.3 else str(number(context))

    def _read(self, context: Context) -> tuple[Invocation | None, MixedGenerator]:
        # Slot s reads the keys s, s + slots, ...: together they read all.
        place, (_, crowds) = context.slot + self.read * context.slots, crowd(context, self.crowd)
        if place >= (context.final_at * self.keys_per_s // NS_PER_S + 1) * crowds:
            return None, self
        return Invocation("get_versioned", self._key(context, place), {}), replace(self, read=self.read + 1)

    def _key(self, context: Context, place: int) -> str:
        return f"{context.prefix}-mixed-{place}"


def _generator(options: Mapping[str, Any], functions: frozenset[str]) -> MixedGenerator:
    """Give a slot's generator; every crowd of at most `crowd` slots has `keys_per_s` new keys a second."""
    return MixedGenerator(**options)


MIXED = Workload(
    name="mixed",
    sentence="all functions of a key on the same few keys, new ones all the time, with a TTL and without",
    functions=frozenset(WEIGHTS),
    keys=frozenset({"mixed"}),
    checks=("expiry", "linearizable", "aba"),
    options={"keys_per_s": 3, "crowd": 6, "kept": 50},
    least={"keys_per_s": 1, "crowd": 1},
    most={"kept": 100},
    generator=_generator,
)
