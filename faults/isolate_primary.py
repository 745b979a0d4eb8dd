"""Split brain: {primary, first client side} cut from {replicas, sentinels, other client side}.

A link points into a node. Cut are the links of the peers and of the other side into the primary, the links of the
first side into every other node, and the primary's own links to others: to where its manager keeps who leads.
So nothing passes between the two groups, in either direction.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from faults.marker import Marker
from harness.driving.nemesis import Fault, Injection, Probe, Words
from harness.driving.system import HasPeers, Link, Need, Part, System
from harness.record.history import SPLIT_BRAIN


@dataclass(slots=True)
class Isolation:
    """The cut around one node."""

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
        passages = {link.name: self.system.passage(link) for link in self._client_links()}
        passed = {name: each.arrived or each.answered for name, each in passages.items()}
        return Probe(self.marker.withheld(arrived) and not any(passed.values()), {"marker_arrived": arrived, "client_links_pass": passed})

    def heal(self) -> None:
        for link in self._links():
            link.heal()

    def healed(self) -> Probe:
        passed = {}
        for link in self._client_links():
            each = self.system.passage(link)
            passed[link.name] = each.arrived or each.answered or self._refuses_writes(link.target)
        return Probe(all(passed.values()), {"client_links_pass": passed})

    def _refuses_writes(self, node: str) -> bool:
        return self.system.roles()[node].role == "replica"  # it answers READONLY to a marker

    def _links(self) -> list[Link]:
        into_primary = [link for link in self.system.links(target=self.node) if link.source != self.system.sides[0]]
        of_first_side = [link for link in self.system.links(self.system.sides[0]) if link.target != self.node]
        return into_primary + of_first_side + self.system.links(self.node)

    def _client_links(self) -> list[Link]:
        return [link for side in self.system.sides[1:] for link in self.system.links(side, self.node)]


def _on(system: System, target: str) -> Injection:
    assert isinstance(system, HasPeers)
    return Isolation(system, target)


ISOLATE_PRIMARY = Fault(
    "isolate-primary",
    "split brain: the primary and one client side are cut from replicas, sentinels and the other side",
    _on,
    changes_roles=True,
    lasts_s=7.0,
    needs=frozenset({Need.LINKS, Need.TAKEOVER}),
    effects=SPLIT_BRAIN,
    meets=frozenset({Part.OTHER_LINKS, Part.PEER_LINKS}),
    words=Words(does="{inner} cut off", healed="links to {node} open again", since="the primary was cut off"),
)
