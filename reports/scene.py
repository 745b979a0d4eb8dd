"""What was around the operations of a run: its window, its faults and its nodes' roles, read from the history.

Only what the nemesis recorded: a fault is on from the probe that proved it to the first step of healing,
a node has the role that it was last seen in. Pictures and explanations share this reading. What came after a
fault is counted from its begin, when it was done; from the proof, which takes time, it would come out too short.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from harness.record.history import History

PHASES = frozenset({"begin", "active", "healing", "healed", "failed"})
SURE = frozenset({"primary", "replica"})


@dataclass(frozen=True, slots=True)
class FaultSeen:
    """A fault with the times (ns) of its events; None where one is missing. `probe` is what proved it active."""

    name: str
    id: int
    targets: tuple[str, ...]
    begin: int
    active: int | None = None
    healing: int | None = None
    healed: int | None = None
    probe: Mapping[str, Any] = field(default_factory=dict)
    failed: str | None = None

    @property
    def node(self) -> str:
        """Give the node it met: a link is called "source -> node"."""
        return self.targets[0].rpartition(" -> ")[2] if self.targets else "?"


@dataclass(frozen=True, slots=True)
class RoleSpan:
    """A node in one role, as seen, from `start` to `end`."""

    role: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """A node's roles in time order, and when it changed between primary and replica."""

    name: str
    spans: tuple[RoleSpan, ...]
    changes: tuple[tuple[int, str], ...]

    def role(self, at: int) -> str | None:
        """Give the role at an instant, None before it was first seen."""
        found = [span.role for span in self.spans if span.start <= at]
        return found[-1] if found else None


def window(history: History) -> tuple[int, int]:
    """Give the times to draw: of one trial from its steady state on, of anything else all of it; never empty."""
    times = [event.time for event in history.events]
    if not times:
        return 0, 1_000_000_000
    marks = [event for event in history.nemesis() if event.f == "trial"]
    steady = [event.time for event in marks if event.value["phase"] == "steady"]
    once = sum(event.value["phase"] == "begin" for event in marks) == 1
    start, end = steady[0] if steady and once else times[0], times[-1]
    unit = 1
    while unit * 1000 < max(end - start, 1):
        unit *= 10
    start = start // unit * unit
    least = 1_000_000 if end > 1_000_000 else 10  # a foreign history without real times counts its events
    return start, max(-(-end // unit) * unit, start + least)


def trial_starts(history: History) -> list[tuple[int, int]]:
    """Give (number, time of the steady state) of each trial that got so far."""
    return [(event.value["n"], event.time) for event in history.nemesis() if event.f == "trial" and event.value["phase"] == "steady"]


def has_nemesis(history: History) -> bool:
    """Say whether a nemesis was there: a foreign history has none, and says nothing of faults."""
    return bool(history.nemesis())


def faults(history: History) -> list[FaultSeen]:
    """Give every fault, in order of its begin."""
    found: dict[tuple[str, int], FaultSeen] = {}
    for event in history.nemesis():
        value = event.value
        if not isinstance(value, Mapping) or value.get("phase") not in PHASES or "id" not in value:
            continue
        phase, name = value["phase"], (event.f, value["id"])
        if phase == "begin" or name not in found:
            found[name] = FaultSeen(event.f, value["id"], tuple(map(str, value.get("targets") or ())), event.time)
        seen = found[name]
        if phase == "active":
            found[name] = replace(seen, active=event.time, probe=value.get("probe") or {})
        elif phase == "healing":
            found[name] = replace(seen, healing=event.time)
        elif phase == "healed":
            found[name] = replace(seen, healed=event.time)
        elif phase == "failed":
            found[name] = replace(seen, failed=str(value.get("reason") or "no reason given"))
    return list(found.values())


def last_proved(seen: Iterable[FaultSeen], at: int) -> FaultSeen | None:
    """Give the last fault that had begun by an instant, of those that were proved on: what something came after."""
    return max((fault for fault in seen if fault.active is not None and fault.begin <= at), key=lambda fault: fault.begin, default=None)


def nodes(history: History, end: int) -> list[NodeSeen]:
    """Give every node whose role was recorded, by name; the last role lasts to `end`."""
    seen: dict[str, list[tuple[int, str]]] = {}
    for event in history.nemesis():
        if event.f == "role":
            seen.setdefault(str(event.value["node"]), []).append((event.time, str(event.value["role"])))
    return [_node(name, changes, end) for name, changes in sorted(seen.items())]


def _node(name: str, changes: Sequence[tuple[int, str]], end: int) -> NodeSeen:
    spans: list[RoleSpan] = []
    for time, role in changes:
        if spans and spans[-1].role == role:
            continue
        if spans:
            spans[-1] = replace(spans[-1], end=time)
        spans.append(RoleSpan(role, time, end))
    # A node that was silent, paused or dead in between has changed only if it came back as another.
    sure = [span for span in spans if span.role in SURE]
    turns = tuple((after.start, after.role) for before, after in pairwise(sure) if before.role != after.role)
    return NodeSeen(name, tuple(spans), turns)
