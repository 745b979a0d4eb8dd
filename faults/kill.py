"""Kill a server with SIGKILL; healing starts it again from what it left on disk."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.driving.nemesis import Fault, Injection, Probe, Words
from harness.driving.system import HasNodes, Need, System
from harness.record.history import Effect


@dataclass(slots=True)
class Kill:
    """SIGKILL to all of the node, then a start."""

    system: HasNodes
    node: str
    run_id: str | None = field(default=None)

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.node,)

    def inject(self) -> None:
        self.run_id = self.run_id or self.system.roles()[self.node].run_id
        self.system.nodes[self.node].kill()

    def bites(self) -> Probe:
        state = self.system.nodes[self.node].state()
        return Probe(state == "dead", {"state": state, "run_id": self.run_id})

    def heal(self) -> None:
        self.system.nodes[self.node].start()

    def healed(self) -> Probe:
        role = self.system.roles()[self.node]
        return Probe(role.run_id is not None and role.run_id != self.run_id, {"role": role.role, "run_id": role.run_id})


def kill(system: System, target: str) -> Injection:
    """Make the injection; `restart` is the same with another name and plan."""
    assert isinstance(system, HasNodes)
    return Kill(system, target)


KILL = Fault(
    "kill",
    "the server is killed (SIGKILL) and started again when healed",
    kill,
    changes_roles=True,
    needs=frozenset({Need.PROCESS}),
    effects=frozenset({Effect.SILENCES_A_NODE}),
    words=Words(does="{node} killed", healed="{node} started again", since="{primary} was killed"),
)
