"""Stop a server's process and let it go on later: it believes that no time has passed.

The probe of `freeze` sees the stop, as that of `pause`; whether another was promoted in time is the gate `promoted`.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.driving.nemesis import Fault, Injection, Probe, Words
from harness.driving.system import HasNodes, Need, System
from harness.record.history import Effect


@dataclass(frozen=True, slots=True)
class Pause:
    """SIGSTOP, then SIGCONT."""

    system: HasNodes
    node: str

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.node,)

    def inject(self) -> None:
        self.system.nodes[self.node].pause()

    def bites(self) -> Probe:
        state = self.system.nodes[self.node].state()
        return Probe(state == "paused", {"state": state})

    def heal(self) -> None:
        self.system.nodes[self.node].resume()

    def healed(self) -> Probe:
        role = self.system.roles()[self.node]
        return Probe(role.role in ("primary", "replica"), {"role": role.role})


def _on(system: System, target: str) -> Injection:
    assert isinstance(system, HasNodes)
    return Pause(system, target)


PAUSE = Fault(
    "pause",
    "the server's process is stopped (SIGSTOP) and goes on later",
    _on,
    needs=frozenset({Need.PROCESS}),
    effects=frozenset({Effect.SILENCES_A_NODE}),
    words=Words(does="{node} paused", healed="{node} goes on", since="{primary} was paused"),
)
FREEZE = Fault(
    "freeze",
    "the primary is stopped (SIGSTOP) for long enough that another takes its place, and then goes on",
    _on,
    changes_roles=True,
    lasts_s=7.0,
    needs=frozenset({Need.PROCESS, Need.TAKEOVER}),
    effects=frozenset({Effect.SILENCES_A_NODE}),
    words=Words(does="{node} paused, for a failover", healed="{node} goes on", since="{primary} was paused"),
)
