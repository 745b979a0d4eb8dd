"""Cut the peers from the primary for a moment, then kill it: what it acknowledged in between exists nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, field

from faults.kill import KILL
from faults.marker import Marker
from harness.driving.nemesis import Fault, Injection, Probe, Words
from harness.driving.system import HasPeers, Link, Need, Part, System
from harness.record.history import Effect

UNTIL_KILL_S = 0.5  # with the probe before it the peers are cut for less than a second


@dataclass(slots=True)
class HoldBack:
    """The cut between a primary and its peers; clients reach it."""

    system: HasPeers
    node: str
    marker: Marker = field(init=False)

    def __post_init__(self) -> None:
        self.marker = Marker(self.system, self.node)

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.node,)

    def inject(self) -> None:
        for link in self._links():
            link.cut()
        self.marker.write()

    def bites(self) -> Probe:
        arrived = self.marker.arrivals()
        return Probe(self.marker.withheld(arrived), {"marker_arrived": arrived})

    def heal(self) -> None:
        for link in self._links():
            link.heal()

    def healed(self) -> Probe:
        # Whether replication flows again is what the steady state asks; here only that the link lets answers through.
        links = self.system.links("peers", self.node)
        passed = {link.name: (each := self.system.passage(link)).answered or each.arrived for link in links}
        role = self.system.roles()[self.node].role
        return Probe(all(passed.values()) or role == "replica", {"peer_links_pass": passed, "role": role})

    def _links(self) -> list[Link]:
        return self.system.links("peers", self.node)


def _on(system: System, target: str) -> Injection:
    assert isinstance(system, HasPeers)
    return HoldBack(system, target)


HOLD_BACK_REPLICATION = Fault(
    "hold-back-replication",
    "replicas and sentinels are cut from the primary for less than a second, then it is killed",
    _on,
    changes_roles=True,
    lasts_s=6.0,
    needs=frozenset({Need.LINKS, Need.PROCESS, Need.TAKEOVER}),
    follow=((UNTIL_KILL_S, KILL),),
    effects=frozenset({Effect.CUTS_REPLICATION}),
    meets=frozenset({Part.PEER_LINKS}),
    words=Words(
        does="replication from {node} held back",
        healed="replication from {node} let through",
        since="replication was held back",
    ),
)
