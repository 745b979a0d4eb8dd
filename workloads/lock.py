"""Leases on few names: acquire, look, extend, release, let expire, and use tokens that are not one's own any more.

Three kinds of names in a trial. *Anchors* are taken early and held with a long TTL: what was replicated
before a fault must survive it. *Fresh* names are taken by the side of the old primary once the fault is
active: what was acknowledged only there is lost in a split brain. *Churn* names change hands all the
time under a short TTL: expiry, extension, release and the owner check are exercised there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.driving.generator import NS_PER_S, Context, Invocation, meeting
from harness.driving.workload import Workload
from harness.record.history import Event

ANCHOR_FROM = NS_PER_S // 2
SPENT_KEPT = 4
ANCHOR = "-anchor-"
USES = ("release", "extend", "is_held")


@dataclass(frozen=True, slots=True)
class Held:
    """A grant that this slot believes to hold."""

    key: str
    owner: str


@dataclass(frozen=True, slots=True)
class LockGenerator:
    """One slot's dealings with the names of a trial."""

    anchors: int
    anchor_ttl_ms: int
    churn: int
    churn_ttl_ms: int
    fresh: int
    strays: int = 1
    offered: frozenset[str] = frozenset(USES)
    held: tuple[Held, ...] = ()
    spent: tuple[Held, ...] = ()
    fresh_tried: bool = False

    def next(self, context: Context) -> tuple[Invocation | None, LockGenerator]:
        if context.phase == "final":
            return None, self
        if self._takes_fresh(context):
            key = f"{context.prefix}-fresh-{context.slot % self.fresh}"
            return self._acquire(context, key, self.anchor_ttl_ms), replace(self, fresh_tried=True)
        return self._any(context), self

    def update(self, context: Context, invocation: Event, completion: Event) -> LockGenerator:
        mine = Held(str(invocation.key), invocation.value["owner"])
        f, value = invocation.f, completion.value
        if completion.type == "info":
            return self._spend(mine)  # perhaps ours, perhaps not: never relied on again
        if completion.type == "fail":
            return self
        if f == "try_acquire":
            return replace(self, held=(*self.held, mine)) if value["granted"] else self._spend(mine)
        kept = {"extend": "held", "is_held": "held"}.get(f)
        return self if kept is not None and value[kept] else self._spend(mine)

    def _any(self, context: Context) -> Invocation:
        draw = context.draw
        if self.churn and (met := meeting(context)) is not None:
            number, at = met
            return self._acquire(context, f"{context.prefix}-churn-{number % self.churn}", self.churn_ttl_ms, at)
        if self.strays and self.spent and draw.random() < 0.12:
            stray = draw.choice(self.spent)
            return self._use(context, stray, draw.choice(USES))
        churned = [held for held in self.held if "-churn-" in held.key]
        if churned and draw.random() < 0.6:
            return self._use(context, draw.choice(churned), draw.choices(USES, (0.4, 0.25, 0.35))[0])
        lasting = [held for held in self.held if "-churn-" not in held.key]
        if lasting and draw.random() < 0.2 and "is_held" in self.offered:
            return self._use(context, draw.choice(lasting), "is_held")
        key = self._name(context)
        return self._acquire(context, key, self.churn_ttl_ms if "-churn-" in key else self.anchor_ttl_ms)

    def _takes_fresh(self, context: Context) -> bool:
        return self.fresh > 0 and context.cut and context.side == context.first_side and not self.fresh_tried

    def _name(self, context: Context) -> str:
        names = [f"churn-{n}" for n in range(self.churn)] * 2
        if context.now >= ANCHOR_FROM or not names:
            names += [f"anchor-{n}" for n in range(self.anchors)]
        if context.phase != "quiet":
            names += [f"fresh-{n}" for n in range(self.fresh)] * 2
        return f"{context.prefix}-{context.draw.choice(names)}"

    def _acquire(self, context: Context, key: str, ttl_ms: int, at: int = 0) -> Invocation:
        return Invocation("try_acquire", key, {"owner": f"{context.process}-{context.step}", "ttl_ms": ttl_ms}, at)

    def _use(self, context: Context, held: Held, f: str) -> Invocation:
        f = f if f in self.offered else "release"
        argument: dict[str, Any] = {"owner": held.owner}
        if f == "extend":
            argument["duration_ms"] = context.draw.choice((self.churn_ttl_ms // 2, self.churn_ttl_ms, self.churn_ttl_ms * 3 // 2))
        return Invocation(f, held.key, argument)

    def _spend(self, lost: Held) -> LockGenerator:
        held = tuple(each for each in self.held if each != lost)
        spent = tuple(each for each in self.spent if each != lost)
        return replace(self, held=held, spent=(*spent, lost)[-SPENT_KEPT:])


def _generator(options: Mapping[str, Any], functions: frozenset[str]) -> LockGenerator:
    """Give a slot's generator; its options are how many names of each kind there are, and their TTLs.

    With `strays` 0 a token that is not this slot's for certain is never used again.
    """
    return LockGenerator(**options, offered=functions)


def _anchors(completion: Event) -> bool:
    granted = completion.f == "try_acquire" and completion.type == "ok" and completion.value["granted"]
    return bool(granted) and ANCHOR in str(completion.key)


LOCK = Workload(
    name="lock",
    sentence="leases on few names: acquire, extend, look, release, expire, stray releases",
    functions=frozenset({"try_acquire", "release"}),
    optional=frozenset({"extend", "is_held"}),
    keys=frozenset({"anchor", "fresh", "churn"}),
    counted=frozenset({"try_acquire", "acquire_within", "extend", "release", "is_held"}),
    checks=("lease", "fencing", "extra-holders", "late-grant"),
    options={"anchors": 2, "anchor_ttl_ms": 12_000, "churn": 3, "churn_ttl_ms": 800, "fresh": 2, "strays": 1},
    least={"anchor_ttl_ms": 1, "churn_ttl_ms": 2},  # a lock is also extended by half of its churn_ttl_ms
    generator=_generator,
    anchors=_anchors,
)
