"""A deployment without servers: a memory store with two nodes that never were."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from backends.client import FUNCTIONS, StateClient
from backends.memory.session import MemorySession
from backends.memory.store import MemoryStore
from harness.driving.backend import Deployment
from harness.driving.client import Client
from harness.driving.nemesis import Fault, Probe
from harness.driving.run import Catalogue
from harness.driving.system import Node, Role, System
from workloads.acquire import ACQUIRE
from workloads.cas import CAS
from workloads.counter import COUNTER
from workloads.dedup import DEDUP
from workloads.lock import LOCK
from workloads.resource import RESOURCE

WORKLOADS = {workload.name: workload for workload in (LOCK, DEDUP, CAS, COUNTER, RESOURCE, ACQUIRE)}


class FakeSystem:
    """Says what a test tells it to say; `client_of` may wrap each client."""

    name, variant, sides = "fake", "default", ("clients-a", "clients-b")
    versions = {"fake": "1"}

    def __init__(self, mutant: str | None = None) -> None:
        self.store, self.mutant = MemoryStore(node="node-1"), mutant
        self.nodes: dict[str, Node] = {}
        self.role = {"node-1": Role("primary", epoch=1, run_id="a"), "node-2": Role("replica", epoch=1, run_id="b")}
        self.healed = 0
        self.missing: str | None = None
        self.client_of: Callable[[Client], Client] = lambda client: client

    def client(self, side: str, deadline_s: float) -> Client:
        return self.client_of(StateClient(MemorySession(self.store, self.mutant)))

    def roles(self) -> dict[str, Role]:
        return dict(self.role)

    def primary(self) -> str | None:
        return "node-1"

    def steady(self) -> str | None:
        return self.missing

    def heal_all(self) -> None:
        self.healed += 1

    def promote(self, node: str = "node-2") -> None:
        """Change who is primary, as a manager would."""
        self.role = {name: replace(role, role="primary" if name == node else "replica", epoch=2) for name, role in self.role.items()}


class FakeBackend:
    """Opens one FakeSystem."""

    name = "fake"
    variants = {"default": "nothing special"}
    mutants = {"release-unchecked": "as in memory"}
    functions = FUNCTIONS

    def __init__(self, system: FakeSystem | None = None) -> None:
        self.system = system or FakeSystem()
        self.closed = False

    @contextmanager
    def open(self, deployment: Deployment) -> Iterator[System]:
        try:
            yield self.system
        finally:
            self.closed = True


@dataclass(slots=True)
class FakeInjection:
    """A fault that bites and heals as it is told, and counts its calls."""

    proves: bool = True
    heals: bool = True
    act: Callable[[], None] = lambda: None
    calls: list[str] = field(default_factory=list)

    @property
    def targets(self) -> tuple[str, ...]:
        return ("node-1",)

    def inject(self) -> None:
        self.calls.append("inject")
        self.act()

    def bites(self) -> Probe:
        return Probe(self.proves, {"seen": self.proves})

    def heal(self) -> None:
        self.calls.append("heal")

    def healed(self) -> Probe:
        return Probe(self.heals, {"seen": self.heals})


def fault(injection: FakeInjection, name: str = "cut", *, changes_roles: bool = False) -> Fault:
    """Make a fault whose every injection is this one."""
    return Fault(name, "a fault of a test", lambda system, target: injection, changes_roles)


def fake_catalogue(backend: FakeBackend, workloads: tuple[str, ...] = ("lock",), **faults: Fault) -> Catalogue:
    """Give the plug-ins of a plan against the fake backend."""
    return Catalogue(backend, {name: WORKLOADS[name] for name in workloads}, faults)
