"""Trials written by hand: histories that meet every gate, for tests to spoil in one way each. Times in milliseconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.record.history import NEMESIS, Event, EventType, Header, History

NS_PER_MS = 1_000_000
FIRST = {
    "lock": ("try_acquire", {"owner": "0-1", "ttl_ms": 800}, {"granted": False, "fencing_token": None}),
    "dedup": ("check_and_set", {"value": "v", "ttl_ms": None}, {"set": False}),
    "cas": ("get_versioned", {}, {"value": None, "version": 0}),
    "counter": ("increment", {"delta": 1, "ttl_ms": None}, {"value": 1}),
    "resource": ("resource_read", {"lock": "t1-lock", "fencing_token": 1}, {"value": 0, "token": 1}),
}


@dataclass
class Script:
    """Events in any order; `history` sorts them by time."""

    workloads: tuple[str, ...] = ("lock",)
    faults: tuple[str, ...] = ()
    lines: list[tuple[float, Any]] = field(default_factory=list)
    next_process: int = 100
    complete: bool = True

    def nemesis(self, at: float, f: str, value: Any) -> None:
        self.lines.append((at, {"process": NEMESIS, "type": "info", "f": f, "value": value}))

    def trial(self, at: float, phase: str, **more: Any) -> None:
        self.nemesis(at, "trial", {"n": 1, "phase": phase, **more})

    def role(self, at: float, node: str, role: str, epoch: int | None = 1, run_id: str | None = None) -> None:
        self.nemesis(at, "role", {"node": node, "role": role, "epoch": epoch, "run_id": run_id})

    def clock(self, at: float, *, wall_ahead_ms: float = 0) -> None:
        self.nemesis(at, "clock", {"monotonic": int(at * NS_PER_MS), "wall": int((at + wall_ahead_ms) * NS_PER_MS) + 10**18})

    def fault(
        self, f: str, at: Mapping[str, float], targets: Iterable[str] = ("n1",), *, changes_roles: bool = False, id_: int = 1
    ) -> None:
        for phase, time in at.items():
            self.nemesis(time, f, {"id": id_, "phase": phase, "targets": list(targets), "changes_roles": changes_roles, "probe": {}})

    def operation(
        self,
        start: float,
        end: float,
        f: str,
        argument: Any,
        result: Any,
        *,
        key: str = "t1-a",
        node: str | None = "n1",
        type_: EventType = "ok",
        error: str | None = None,
        process: int | None = None,
    ) -> None:
        if process is None:
            self.next_process += 1
            process = self.next_process
        common = {"process": process, "f": f, "key": key}
        self.lines.append((start, {**common, "type": "invoke", "value": argument}))
        self.lines.append((end, {**common, "type": type_, "value": result, "node": node, "error": error}))

    def pairs(self, start: float, count: int, workload: str, node: str = "n1") -> None:
        """Add so many pairs of overlapping operations on one key, 10 ms apart."""
        f, argument, result = FIRST[workload]
        for number in range(count):
            at = start + 10 * number
            for late in (0, 1):
                self.operation(at + late, at + late + 2, f, argument, result, key=f"t1-{workload}-0", node=node)

    def index_of(self, **wanted: Any) -> int:
        """Give the index of the first event with these fields."""
        return next(event.index for event in self.history().events if all(getattr(event, name) == value for name, value in wanted.items()))

    def history(self) -> History:
        ordered = sorted(self.lines, key=lambda line: line[0])
        events = tuple(Event(index=index, time=int(at * NS_PER_MS), **fields) for index, (at, fields) in enumerate(ordered))
        header = Header(workloads=self.workloads, faults=self.faults, concurrency=None, sides={})
        return History(events, header, self.complete)


def opening(script: Script, *, nodes: bool = True) -> None:
    """Begin a trial: roles, clock, steady state."""
    script.trial(0, "begin")
    if nodes:
        script.role(0.5, "n1", "primary", run_id="a")
        script.role(0.6, "n2", "replica", run_id="b")
    script.clock(0.7)
    script.trial(1, "steady")
    script.clock(1000)


def quiet_trial(*workloads: str) -> Script:
    """A trial without a fault that meets every gate."""
    script = Script(workloads=workloads or ("lock",))
    opening(script)
    for workload in script.workloads:
        script.pairs(10, 12, workload)
    script.trial(2000, "settled")
    return script


def latency_trial(*workloads: str) -> Script:
    """A trial with a fault that changes no role, meeting every gate."""
    script = Script(workloads=workloads or ("lock",), faults=("latency",))
    opening(script)
    script.fault("latency", {"begin": 1100, "active": 1200, "healing": 3000, "healed": 3100}, ("clients-a>n1",))
    for workload in script.workloads:
        script.pairs(1300, 12, workload)
        script.pairs(3200, 12, workload)
    script.trial(3150, "settled")
    return script


def failover_trial(*workloads: str, f: str = "isolate-primary") -> Script:
    """A trial in which n1 is cut off at 1.5 s, n2 is promoted at 3 s, healing begins at 8.5 s and all is settled at 10 s."""
    script = Script(workloads=workloads or ("lock",), faults=(f,))
    opening(script)
    script.fault(f, {"begin": 1500, "active": 1800, "healing": 8500, "healed": 9000}, changes_roles=True)
    script.role(3000, "n2", "primary", epoch=2, run_id="b")
    script.role(9500, "n1", "replica", epoch=2, run_id="a")
    script.trial(10_000, "settled")
    for workload in script.workloads:
        script.pairs(4000, 12, workload, node="n2")
        script.pairs(10_100, 12, workload, node="n2")
    return script
