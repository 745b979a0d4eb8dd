"""Kill a primary without persistence and start it again before its manager notices: empty, and still the primary."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.nemesis import Fault, Injection, Probe
from harness.system import System


@dataclass(slots=True)
class RestartEmpty:
    """SIGKILL and start in one step."""

    system: System
    node: str
    run_id: str | None = field(default=None)

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.node,)

    def inject(self) -> None:
        if self.run_id is not None:
            return
        self.run_id = self.system.roles()[self.node].run_id
        self.system.nodes[self.node].kill()
        self.system.nodes[self.node].start()

    def bites(self) -> Probe:
        role = self.system.roles()[self.node]
        return Probe(role.run_id not in (None, self.run_id), {"role": role.role, "run_id": role.run_id, "primary": self.system.primary()})

    def heal(self) -> None:
        self.system.nodes[self.node].start()

    def healed(self) -> Probe:
        return self.bites()


def _on(system: System, target: str) -> Injection:
    return RestartEmpty(system, target)


RESTART_EMPTY = Fault(
    "restart-empty",
    "the primary, which keeps nothing on disk, is killed and started again before the failover limit",
    _on,
    changes_roles=True,
    lasts_s=1.0,
)
