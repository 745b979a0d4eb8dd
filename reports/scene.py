"""What is drawn around the operations of a run: the window in time, and each node's roles as spans.

A node has the role that it was last seen in. What came after a fault is counted from its begin, when it was done;
from the proof, which takes time, it would come out too short.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from harness.record.history import History, RecordedFault

SURE = frozenset({"primary", "replica"})


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
    steady = [mark.moment.time for mark in history.marks if mark.phase == "steady"]
    once = sum(mark.phase == "begin" for mark in history.marks) == 1
    start, end = steady[0] if steady and once else times[0], times[-1]
    unit = 1
    while unit * 1000 < max(end - start, 1):
        unit *= 10
    start = start // unit * unit
    least = 1_000_000 if end > 1_000_000 else 10  # a foreign history without real times counts its events
    return start, max(-(-end // unit) * unit, start + least)


def last_proved(seen: Iterable[RecordedFault], at: int) -> RecordedFault | None:
    """Give the last fault that had begun by an instant, of those that were proved on: what something came after."""
    begun = [fault for fault in seen if fault.active is not None and fault.first.time <= at]
    return max(begun, key=lambda fault: fault.first.time, default=None)


def nodes(history: History, end: int) -> list[NodeSeen]:
    """Give every node whose role was recorded, by name; the last role lasts to `end`."""
    seen: dict[str, list[tuple[int, str]]] = {}
    for each in history.roles:
        seen.setdefault(each.node, []).append((each.moment.time, each.role))
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
