"""Keys written, removed and written anew while they are scanned, with names that no server may take for anything but names.

A trial's keys are in places of its own, which differ in what a pattern would match: namespaces, tenants and kinds with `*`, `_`, `[`.
Their ids begin with texts that are asked for as prefixes, as they stand. First every slot writes its share of the keys, so
that a scan needs more than one page where there are many of them (500 in Redis and PostgreSQL, 1 MB in DynamoDB: `wide`);
then they are set, removed and set anew, five times a second at one instant at which others scan. At the end all is scanned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.driving.generator import Context, Invocation, meeting
from harness.driving.workload import Workload
from harness.record.history import Event

Place = tuple[str, str, str]
PLACES: tuple[Place, ...] = (
    ("scan-n", "t", "kind"),
    ("scan-n", "t", "k_nd"),
    ("scan-n", "*", "kind"),
    ("scan-?", "%", "k*"),
)
"""Namespace, tenant and kind of a trial's keys; namespaces and kinds begin with the trial's prefix."""
STEMS = ("a", "a*", "ab", "a_", "a%", "[ab]", "a\\", "a?", "a:b", ":h", "A", "é", "ключ", "🔑", "a'b", "two\nlines")
SCANS = frozenset({"scan_keys", "scan_keys_by_kind"})
WIDE = ("scan-w", "w", "wide")
WIDE_BYTES = 300_000
AGAIN_PERCENT = 20
"""So often the last scan is asked for again: who was answered from what he had seen before is then found out."""
NEAR_KEYS = 8
"""At a meeting the slots change keys that lie so near each other."""


@dataclass(frozen=True, slots=True)
class ScanGenerator:
    """One slot's writes and scans; `written` are the keys of its share that it has begun with, `ended` the scans at the end."""

    keys: int
    wide: int
    scan_percent: int
    ttl_percent: int
    ttl_ms: int
    written: int = 0
    ended: int = 0
    last: Invocation | None = None  # the scan before

    def next(self, context: Context) -> tuple[Invocation | None, ScanGenerator]:
        if context.phase == "final":
            return self._final(context)
        mine = context.slot + self.written * context.slots
        if mine < self.keys + self.wide:
            key = self._key(context, mine) if mine < self.keys else _wide_key(context, mine)
            value = _value(context) if mine < self.keys else _value(context).ljust(WIDE_BYTES, ".")
            return Invocation("set", key, {"value": value, "ttl_ms": None}), replace(self, written=self.written + 1)
        met = meeting(context)
        if met is not None and (met[0] + context.slot) % 2 == 0:
            return self._scan(context, met[1]), self
        if met is not None:
            return self._change(context, met[0] + context.draw.randrange(NEAR_KEYS), met[1]), self
        if context.draw.randrange(100) < self.scan_percent:
            return self._scan(context), self
        if self.last is not None and context.draw.randrange(100) < AGAIN_PERCENT:
            return self.last, replace(self, last=None)
        return self._change(context, context.draw.randrange(self.keys)), self

    def update(self, context: Context, invocation: Event, completion: Event) -> ScanGenerator:
        if invocation.f not in SCANS:
            return self
        return replace(self, last=Invocation(invocation.f, str(invocation.key), invocation.value))

    def _final(self, context: Context) -> tuple[Invocation | None, ScanGenerator]:
        """Let the slots scan every place and every kind between them."""
        scans: list[Place | str] = [*PLACES, *dict.fromkeys(kind for _, _, kind in PLACES), *([WIDE] if self.wide else [])]
        number = context.slot + self.ended * context.slots
        if number >= len(scans):
            return None, self
        what, following = scans[number], replace(self, ended=self.ended + 1)
        if isinstance(what, str):
            return _of_a_kind(context, what), following
        return _of_a_place(context, what, ""), following

    def _change(self, context: Context, number: int, at: int = 0) -> Invocation:
        draw, key = context.draw, self._key(context, number % self.keys)
        argument = {"value": _value(context), "ttl_ms": self.ttl_ms if draw.randrange(100) < self.ttl_percent else None}
        f = draw.choices(("set", "check_and_set", "delete", "get"), (35, 25, 35, 5))[0]
        return Invocation(f, key, argument if f in ("set", "check_and_set") else {}, at)

    def _scan(self, context: Context, at: int = 0) -> Invocation:
        place = PLACES[context.draw.randrange(len(PLACES))]
        if context.draw.random() < 0.4:
            return _of_a_kind(context, place[2], at)
        return _of_a_place(context, place, context.draw.choice(("", "", "a", *STEMS)), at)

    def _key(self, context: Context, number: int) -> str:
        stem = STEMS[number // len(PLACES) % len(STEMS)]
        return ":".join((*_in_full(context, PLACES[number % len(PLACES)]), f"{stem}{number}"))


def _wide_key(context: Context, number: int) -> str:
    return ":".join((*_in_full(context, WIDE), f"{number}"))


def _in_full(context: Context, place: Place) -> Place:
    namespace, tenant, kind = place
    return f"{context.prefix}-{namespace}", tenant, f"{context.prefix}-{kind}"


def _value(context: Context) -> str:
    return f"{context.process}-{context.step}"


def _of_a_place(context: Context, place: Place, prefix: str, at: int = 0) -> Invocation:
    namespace, tenant, kind = _in_full(context, place)
    argument = {"namespace": namespace, "tenant": tenant, "kind": kind, "prefix": prefix}
    return Invocation("scan_keys", f"{context.prefix}-scans", argument, at)


def _of_a_kind(context: Context, kind: str, at: int = 0) -> Invocation:
    return Invocation("scan_keys_by_kind", f"{context.prefix}-scans", {"kind": f"{context.prefix}-{kind}"}, at)


def _generator(options: Mapping[str, Any], functions: frozenset[str]) -> ScanGenerator:
    """Give a slot's generator; `keys` are scanned and change, `wide` have values of 300 KB and are scanned once at the end."""
    return ScanGenerator(**options)


SCAN = Workload(
    name="scan",
    sentence="keys with hostile names, set, removed and set anew while they are scanned by prefix and by kind",
    functions=SCANS | {"set", "check_and_set", "delete", "get"},
    counted=SCANS,
    keys=frozenset({"scan", "scans"}),
    checks=("scan", "expiry", "linearizable"),
    generator=_generator,
    options={"keys": 64, "wide": 0, "scan_percent": 20, "ttl_percent": 20, "ttl_ms": 200},
    least={"keys": 1, "ttl_ms": 1},
    most={"scan_percent": 200, "ttl_percent": 100},
)
