"""Synthetic histories that look like those of real runs: a split brain, simulated with two servers and a fixed seed."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field
from typing import Any

from harness.record.history import NEMESIS, Event, Header, History

MS, S = 1_000_000, 1_000_000_000
SIDES = {str(slot): "clients-a" if slot < 4 else "clients-b" for slot in range(8)}


@dataclass
class Recorder:
    """Events in the order of time, whatever order they are told in."""

    told: list[tuple[int, dict[str, Any]]] = field(default_factory=list)

    def nemesis(self, at: int, f: str, **value: Any) -> None:
        self.told.append((at, {"process": NEMESIS, "type": "info", "f": f, "value": value}))

    def call(self, start: int, end: int | None, process: int, f: str, key: str | None, argument: Any, result: Any, **more: Any) -> None:
        """One operation; `type` in `more` is "ok" unless given; no completion where `end` is None."""
        self.told.append((start, {"process": process, "type": "invoke", "f": f, "key": key, "value": argument}))
        if end is not None:
            self.told.append((end, {"process": process, "type": "ok", "f": f, "key": key, "value": result, **more}))

    def history(self, **header: Any) -> History:
        ordered = sorted(enumerate(self.told), key=lambda each: (each[1][0], each[0]))
        events = [Event(index=n, time=at, **event) for n, (_, (at, event)) in enumerate(ordered)]
        return History(tuple(events), Header(**{"concurrency": 8, "sides": SIDES, **header}), complete=True)


@dataclass
class Server:
    """Leases of one server: key -> (owner, expiry)."""

    leases: dict[str, tuple[str, int]] = field(default_factory=dict)
    token: int = 0

    def acquire(self, key: str, owner: str, at: int, ttl_ms: int) -> dict[str, Any]:
        if key in self.leases and self.leases[key][1] > at:
            return {"granted": False, "fencing_token": None}
        self.leases[key] = (owner, at + ttl_ms * MS)
        self.token += 1
        return {"granted": True, "fencing_token": self.token}

    def owns(self, key: str, owner: str, at: int) -> bool:
        return self.leases.get(key, ("", 0))[0] == owner and self.leases[key][1] > at


@dataclass
class Slot:
    process: int
    held: list[tuple[str, str]] = field(default_factory=list)
    steps: int = 0


def split_brain(*, seed: int = 7, cut: bool = True, trial: int = 1, end_s: float = 11.0) -> History:
    """Eight clients, two sides, two anchors (TTL 12 s), three churn locks (TTL 0.8 s), two fresh ones; cut from 1.5 to 8.5 s.

    The old primary is demoted 1.1 s after the heal; until then its side goes on with it. Without the cut nothing is wrong.
    """
    record, draw = Recorder(), random.Random(seed)
    _around(record, cut=cut, trial=trial, end=int(end_s * S))
    old = new = Server()
    slots = [Slot(n) for n in range(8)]
    turns = [(int(draw.expovariate(15) * S), n) for n in range(8)]
    heapq.heapify(turns)
    copied = False
    while turns and turns[0][0] < end_s * S:
        at, n = heapq.heappop(turns)
        if cut and not copied and at >= 1.5 * S:
            new, copied = Server(dict(old.leases), old.token), True
        apart = n >= 4 and cut and 1.5 * S <= at < 2.9 * S
        server = new if not cut or n >= 4 or at >= 9.6 * S else old
        took = draw.randrange(MS // 2, 2 * MS)
        if apart:
            done = _unreachable(record, slots[n], at, took, draw)
        else:
            _one(record, slots[n], server, (at, took, trial), draw, node="redis-1" if server is old else "redis-2")
            done = at + took
        heapq.heappush(turns, (done + int(draw.expovariate(15) * S), n))
    return record.history(deployment="redis-sentinel", seed=seed)


def _around(record: Recorder, *, cut: bool, trial: int, end: int) -> None:
    record.nemesis(2 * MS, "trial", n=trial, phase="begin")
    for node, role in (("redis-1", "primary"), ("redis-2", "replica"), ("redis-3", "replica")):
        record.nemesis(8 * MS, "role", node=node, role=role, epoch=0, run_id=node)
    record.nemesis(9 * MS, "trial", n=trial, phase="steady")
    if cut:
        seen = {"marker_arrived": {"redis-2": False, "redis-3": False}, "client_links_pass": {"clients-b -> redis-1": False}}
        fault = {"id": 1, "targets": ["redis-1"], "changes_roles": True}
        record.nemesis(1_500 * MS, "isolate-primary", phase="begin", **fault)
        record.nemesis(1_810 * MS, "isolate-primary", phase="active", probe=seen, **fault)
        record.nemesis(2_900 * MS, "role", node="redis-2", role="primary", epoch=1, run_id="redis-2")
        record.nemesis(8_500 * MS, "isolate-primary", phase="healing", **fault)
        record.nemesis(8_540 * MS, "isolate-primary", phase="healed", probe={}, **fault)
        record.nemesis(9_600 * MS, "role", node="redis-1", role="replica", epoch=1, run_id="redis-1")
        record.nemesis(9_900 * MS, "trial", n=trial, phase="settled")
    record.nemesis(end, "clock", monotonic=end, wall=end)


def _unreachable(record: Recorder, slot: Slot, at: int, took: int, draw: random.Random) -> int:
    slot.steps += 1
    argument = {"owner": f"{slot.process}-{slot.steps}", "ttl_ms": 800}
    key = f"t1-churn-{draw.randrange(3)}"
    if at < 1.7 * S:
        record.call(at, at + 500 * MS, slot.process, "try_acquire", key, argument, None, type="info", error="timed out")
        slot.process += 8
        slot.held.clear()
        return at + 500 * MS
    record.call(at, at + 300 * took, slot.process, "try_acquire", key, argument, None, type="fail", error="connect timed out")
    return at + 300 * took


def _one(record: Recorder, slot: Slot, server: Server, when: tuple[int, int, int], draw: random.Random, *, node: str) -> None:
    at, took, trial = when
    slot.steps += 1
    done = at + took // 2
    churned = [held for held in slot.held if "churn" in held[0]]
    if churned and draw.random() < 0.6:
        key, owner = draw.choice(churned)
        slot.held.remove((key, owner))
        released = server.owns(key, owner, done)
        if released:
            del server.leases[key]
        record.call(at, at + took, slot.process, "release", key, {"owner": owner}, {"released": released}, node=node)
        return
    names = (
        [f"churn-{n}" for n in range(3)]
        + (["anchor-0", "anchor-1"] if at > S // 2 else [])
        + (["fresh-0", "fresh-1"] if at > 2 * S else [])
    )
    key = f"t{trial}-{draw.choice(names)}"
    owner, ttl_ms = f"{slot.process}-{slot.steps}", 800 if "churn" in key else 12_000
    result = server.acquire(key, owner, done, ttl_ms)
    if result["granted"]:
        slot.held.append((key, owner))
    record.call(at, at + took, slot.process, "try_acquire", key, {"owner": owner, "ttl_ms": ttl_ms}, result, node=node)
