"""Kill a primary without persistence and start it again before its manager notices: empty, and still the primary."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from harness.driving.nemesis import Fault, Injection, Probe, Words
from harness.driving.system import HasMarkers, Need, Role, System
from harness.record.history import Effect


@dataclass(slots=True)
class RestartEmpty:
    """SIGKILL and start in one step. That it is empty, a marker written before tells: it is gone."""

    system: HasMarkers
    node: str
    run_id: str | None = field(default=None)
    marker: str = ""

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.node,)

    def inject(self) -> None:
        if self.run_id is not None:
            return
        self.run_id = self.system.roles()[self.node].run_id
        self.marker = f"restarted-empty-{time.monotonic_ns()}"
        self.system.write_marker(self.node, self.marker)
        self.system.nodes[self.node].kill()
        self.system.nodes[self.node].start()

    def bites(self) -> Probe:
        role, primary = self.system.roles()[self.node], self.system.primary()
        empty = self.system.read_marker(self.node) != self.marker
        proved = self.run_id is not None and self._runs_anew(role) and role.role == "primary" and primary == self.node and empty
        return Probe(proved, {"role": role.role, "run_id": role.run_id, "primary": primary, "empty": empty})

    def heal(self) -> None:
        self.system.nodes[self.node].start()

    def healed(self) -> Probe:
        role = self.system.roles()[self.node]
        return Probe(self._runs_anew(role), {"role": role.role, "run_id": role.run_id})

    def _runs_anew(self, role: Role) -> bool:
        return role.run_id not in (None, self.run_id)


def _on(system: System, target: str) -> Injection:
    assert isinstance(system, HasMarkers)
    return RestartEmpty(system, target)


RESTART_EMPTY = Fault(
    "restart-empty",
    "the primary, which keeps nothing on disk, is killed and started again before the failover limit",
    _on,
    changes_roles=True,
    lasts_s=1.0,
    needs=frozenset({Need.EMPTY_RESTART}),
    effects=frozenset({Effect.ENDS_CONNECTIONS}),
    words=Words(does="{node} killed and started empty", healed="{node} left running", since="{primary} was killed"),
)
