"""Leases on few names: acquire, look, extend, release, let expire, and use tokens that are not one's own any more.

Three kinds of names in a trial. *Anchors* are taken early and held with a long TTL: what was replicated
before a fault must survive it. *Fresh* names are taken by the side of the old primary once the fault is
active: what was acknowledged only there is lost in a split brain. *Churn* names change hands all the
time under a short TTL: expiry, extension, release and the owner check are exercised there.

Of three churn names one has the whole TTL, one a quarter, one an eighth. Some of their locks are left behind, as by a holder
that died. A holder aims releases, extends and looks at the instant at which its lease ends, from both sides; the others
come for it at that instant: who takes a lock at a meeting has it until a time that follows from the meeting. While it is
quiet holders also ask again for what they hold: a lock lets nobody in twice.

And each slot has a lock to itself while it is quiet: it takes it, leaves it until it is over, and uses it once more. Elsewhere the lock is
another's by then, and whoever does not look at the expiry is refused by the owner check.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.driving.generator import NS_PER_S, Context, Invocation, meeting_at
from harness.driving.workload import Workload
from harness.record.history import Event
from workloads.instants import NEAR_NS, NS_PER_MS

ANCHOR_FROM = NS_PER_S // 2
SPENT_KEPT = 4
ANCHOR = "-anchor-"
USES = ("release", "extend", "is_held")
LEFT = 0.35  # of the churn names' grants are left behind, and as many of the extended ones
SHARES = (1, 4, 8)
OFFSETS_MS = (-3, -1, -0.5, -0.25, 0, 0, 0, 0.25, 0.5, 1, 3)
LATER_MS = (0, 0, 0.25, 0.5, 1, 2)
OWN = "-own-"
OWN_SHARE = 8  # of the churn names' TTL, one such part
LEFT_FOR_MS = (4, 10, 30, 260)  # after its end: one clock is sure of it, or clients' clocks 100 ms apart are
BEGINS = 0.06
"""So often a slot that has no lock to itself takes it."""
WAITS_NS = 100 * NS_PER_MS
"""How long a holder waits for the end of its lease at most: there is one of a name only."""


@dataclass(frozen=True, slots=True)
class Held:
    """A grant that this slot believes to hold, `until` about that time of the trial; one that is `left` is not used before."""

    key: str
    owner: str
    until: int = 0
    left: bool = False


@dataclass(frozen=True, slots=True)
class LockGenerator:
    """One slot's dealings with the names of a trial; `asked_at` is when its last operation was to be done."""

    anchors: int
    anchor_ttl_ms: int
    churn: int
    churn_ttl_ms: int
    fresh: int
    strays: int = 1
    again: int = 1
    own: int = 1
    alone: Held | None = None
    offered: frozenset[str] = frozenset(USES)
    held: tuple[Held, ...] = ()
    spent: tuple[Held, ...] = ()
    fresh_tried: bool = False
    asked_at: int = 0

    def next(self, context: Context) -> tuple[Invocation | None, LockGenerator]:
        if context.phase == "final":
            return None, self
        if self._takes_fresh(context):
            key = f"{context.prefix}-fresh-{context.slot % self.fresh}"
            return self._acquire(context, key), replace(self, fresh_tried=True, asked_at=context.now)
        if self._may_be_alone(context) and (mine := self._alone(context)) is not None:
            return mine
        invocation = self._any(context)
        return invocation, replace(self, asked_at=max(context.now, invocation.at))

    def update(self, context: Context, invocation: Event, completion: Event) -> LockGenerator:
        f, value, key, owner = invocation.f, completion.value, str(invocation.key), invocation.value["owner"]
        if OWN in key:
            granted = f == "try_acquire" and completion.type == "ok" and value["granted"]
            return self._leave(context, key, owner) if granted else self
        if completion.type == "info":
            return self._spend(key, owner)  # perhaps ours, perhaps not: never relied on again
        if completion.type == "fail":
            return self
        if f == "try_acquire":
            if value["granted"]:
                return self._hold(context, key, owner, invocation.value["ttl_ms"])
            return self if any(each.owner == owner for each in self.held) else self._spend(key, owner)
        if f == "release" or not value["held"]:
            return self._spend(key, owner)
        mine = f == "extend" and any(each.owner == owner for each in self.held)  # a stray stays one, whatever is answered
        return self._hold(context, key, owner, invocation.value["duration_ms"]) if mine else self

    def _any(self, context: Context) -> Invocation:
        draw = context.draw
        if (found := self._meets(context) or self._aims(context)) is not None:
            return found
        if self.strays and self.spent and draw.random() < 0.12:
            stray = draw.choice(self.spent)
            return self._use(context, stray, draw.choice(USES))
        if self.again and self.held and context.phase == "quiet" and draw.random() < 0.08:
            mine = draw.choice(self.held)
            return self._acquire(context, mine.key, owner=mine.owner)
        churned = [held for held in self.held if "-churn-" in held.key and not held.left]
        if churned and draw.random() < 0.6:
            return self._use(context, draw.choice(churned), draw.choices(USES, (0.4, 0.25, 0.35))[0])
        lasting = [held for held in self.held if "-churn-" not in held.key]
        if lasting and draw.random() < 0.2 and "is_held" in self.offered:
            return self._use(context, draw.choice(lasting), "is_held")
        return self._acquire(context, self._name(context))

    def _may_be_alone(self, context: Context) -> bool:
        return self.own > 0 and self.churn > 0 and context.phase == "quiet" and not self._met(context)

    def _alone(self, context: Context) -> tuple[Invocation, LockGenerator] | None:
        """Take the lock that this slot has to itself, or use it once when it is over; None where there is nothing to do about it now."""
        mine = self.alone
        if mine is not None:
            invocation = self._use(context, mine, context.draw.choice(USES), mine.until)
            return (invocation, replace(self, alone=None)) if mine.until - context.now <= NEAR_NS else None
        if context.draw.random() >= BEGINS:
            return None
        return self._acquire(context, f"{context.prefix}{OWN}{context.slot}"), replace(self, asked_at=context.now)

    def _leave(self, context: Context, key: str, owner: str) -> LockGenerator:
        """Leave a lock until it is over, and some more."""
        left_ms = self._ttl_ms(key) + context.draw.choice(LEFT_FOR_MS)
        return replace(self, alone=Held(key, owner, self.asked_at + left_ms * NS_PER_MS))

    def _meets(self, context: Context) -> Invocation | None:
        met = self._met(context)
        return self._acquire(context, *context.draw.choice(met)) if met else None

    def _met(self, context: Context) -> list[tuple[str, int]]:
        """Give the churn names to come for now, and when: that of a meeting, and those of which the lease taken at its meeting ends."""
        met: list[tuple[str, int]] = []
        if self.churn and (now := meeting_at(context.now)) is not None:
            met.append((f"{context.prefix}-churn-{now[0] % self.churn}", now[1]))
        for number in range(self.churn):
            key = f"{context.prefix}-churn-{number}"
            ago = self._ttl_ms(key) * NS_PER_MS
            then = meeting_at(context.now - ago)
            if then is not None and then[0] > 0 and then[0] % self.churn == number:
                met.append((key, then[1] + ago + round(context.draw.choice(LATER_MS) * NS_PER_MS)))
        return met

    def _aims(self, context: Context) -> Invocation | None:
        """Use a token at the instant at which its lease ends: just before, or just after."""
        ending = [held for held in self.held if "-churn-" in held.key and -NEAR_NS <= held.until - context.now <= WAITS_NS]
        if not ending or context.draw.random() < 0.4:
            return None
        chosen = context.draw.choice(ending)
        at = max(0, chosen.until + round(context.draw.choice(OFFSETS_MS) * NS_PER_MS))
        return self._use(context, chosen, context.draw.choice(USES), at)

    def _takes_fresh(self, context: Context) -> bool:
        return self.fresh > 0 and context.cut and context.side == context.first_side and not self.fresh_tried

    def _name(self, context: Context) -> str:
        names = [f"churn-{n}" for n in range(self.churn)] * 2
        if context.now >= ANCHOR_FROM or not names:
            names += [f"anchor-{n}" for n in range(self.anchors)]
        if context.phase != "quiet":
            names += [f"fresh-{n}" for n in range(self.fresh)] * 2
        return f"{context.prefix}-{context.draw.choice(names)}"

    def _ttl_ms(self, key: str) -> int:
        if OWN in key:
            return max(1, self.churn_ttl_ms // OWN_SHARE)
        if "-churn-" not in key:
            return self.anchor_ttl_ms
        return max(1, self.churn_ttl_ms // SHARES[int(key.rpartition("-")[2]) % len(SHARES)])

    def _acquire(self, context: Context, key: str, at: int = 0, owner: str | None = None) -> Invocation:
        owner = f"{context.process}-{context.step}" if owner is None else owner
        return Invocation("try_acquire", key, {"owner": owner, "ttl_ms": self._ttl_ms(key)}, at)

    def _use(self, context: Context, held: Held, f: str, at: int = 0) -> Invocation:
        f = f if f in self.offered else "release"
        argument: dict[str, Any] = {"owner": held.owner}
        if f == "extend":
            ttl_ms = self._ttl_ms(held.key) if "-churn-" in held.key else self.churn_ttl_ms
            argument["duration_ms"] = max(1, context.draw.choice((ttl_ms // 2, ttl_ms, ttl_ms * 3 // 2)))
        return Invocation(f, held.key, argument, at)

    def _hold(self, context: Context, key: str, owner: str, ttl_ms: int) -> LockGenerator:
        """Believe to hold a lock for that long; what was left behind and is over by now is not believed any more."""
        left = "-churn-" in key and context.draw.random() < LEFT
        mine = Held(key, owner, self.asked_at + ttl_ms * NS_PER_MS, left)
        over = [each for each in self.held if each.left and each.until + NEAR_NS < context.now]
        held = [each for each in self.held if each.owner != owner and each not in over]
        return replace(self, held=(*held, mine), spent=(*self.spent, *over)[-SPENT_KEPT:])

    def _spend(self, key: str, owner: str) -> LockGenerator:
        held = tuple(each for each in self.held if each.owner != owner)
        spent = tuple(each for each in self.spent if each.owner != owner)
        return replace(self, held=held, spent=(*spent, Held(key, owner))[-SPENT_KEPT:])


def _generator(options: Mapping[str, Any], functions: frozenset[str]) -> LockGenerator:
    """Give a slot's generator; its options are how many names of each kind there are, and their TTLs.

    With `strays` 0 a token that is not this slot's for certain is never used again, with `again` 0 none asks again for what it holds,
    with `own` 0 no slot has a lock to itself.
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
    keys=frozenset({"anchor", "fresh", "churn", "own"}),
    counted=frozenset({"try_acquire", "acquire_within", "extend", "release", "is_held"}),
    checks=("lease", "fencing", "extra-holders", "late-grant"),
    options={"anchors": 2, "anchor_ttl_ms": 12_000, "churn": 3, "churn_ttl_ms": 800, "fresh": 2, "strays": 1, "again": 1, "own": 1},
    most={"own": 1},
    least={"anchor_ttl_ms": 1, "churn_ttl_ms": 2},  # a lock is also extended by half of its churn_ttl_ms
    generator=_generator,
    anchors=_anchors,
)
