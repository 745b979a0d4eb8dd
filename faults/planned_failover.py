"""Ask the cluster's manager to move the primary, as operators do before they service a machine: nothing is killed and nothing cut.

Whether anything is lost is the manager's doing: Sentinel promotes a replica and lets the old primary go on until it is told to
follow; its coordinated form, and Patroni's switchover, first let writes wait until the other node has all of them. There is nothing
to undo: it is over once one node says that it is the primary and all others follow it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.driving.nemesis import Fault, Injection, Probe, Words
from harness.driving.operated import CoordinatesHandovers, HandsOver
from harness.driving.system import Need, System
from harness.record.history import Effect


@dataclass(slots=True)
class PlannedFailover:
    """One request to the manager."""

    system: HandsOver
    node: str
    ask: Callable[[], None]
    asked: bool = False

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.node,)

    def inject(self) -> None:
        if not self.asked:
            self.ask()
            self.asked = True

    def bites(self) -> Probe:
        named, primaries = self._look()
        return Probe(self.asked and named in primaries and named != self.node, {"named": named, "primaries": primaries})

    def heal(self) -> None:
        """Do nothing: the manager ends what it has begun."""

    def healed(self) -> Probe:
        named, primaries = self._look()
        return Probe(primaries == [named], {"named": named, "primaries": primaries})

    def _look(self) -> tuple[str | None, list[str]]:
        """Give whom the manager names, and who says of itself that it is the primary."""
        primaries = sorted(name for name, role in self.system.roles().items() if role.role == "primary")
        return self.system.primary(), primaries


def _on(system: System, target: str) -> Injection:
    assert isinstance(system, HandsOver)
    return PlannedFailover(system, target, system.hand_over)


def _coordinated(system: System, target: str) -> Injection:
    assert isinstance(system, CoordinatesHandovers)
    return PlannedFailover(system, target, system.hand_over_coordinated)


WORDS = Words(does="{node} asked to hand over", healed="{node} has handed over", since="the primary was asked to hand over")
PLANNED_FAILOVER = Fault(
    "planned-failover",
    "the cluster's manager is asked to move the primary, as before service",
    _on,
    changes_roles=True,
    lasts_s=7.0,
    needs=frozenset({Need.TAKEOVER, Need.HANDOVER}),
    effects=frozenset({Effect.MOVES_PRIMARY}),
    words=WORDS,
    proved_within_s=15.0,
)
PLANNED_FAILOVER_COORDINATED = Fault(
    "planned-failover-coordinated",
    "the same, in the form that lets writes wait until the other node has all of them",
    _coordinated,
    changes_roles=True,
    lasts_s=7.0,
    needs=frozenset({Need.TAKEOVER, Need.COORDINATED_HANDOVER}),
    effects=frozenset({Effect.MOVES_PRIMARY}),
    words=WORDS,
    proved_within_s=15.0,
)
