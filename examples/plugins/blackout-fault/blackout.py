"""Cut every client side from a node: the servers still see each other."""

from __future__ import annotations

from dataclasses import dataclass

from harness.driving.nemesis import Fault, Injection, Probe, Words
from harness.driving.system import HasLinks, Link, Need, Part, System
from harness.record.history import Effect


@dataclass(frozen=True, slots=True)
class Blackout:
    """The client links into one node."""

    system: HasLinks
    node: str

    @property
    def targets(self) -> tuple[str, ...]:
        return tuple(link.name for link in self._links())

    def inject(self) -> None:
        for link in self._links():
            link.cut()

    def bites(self) -> Probe:
        seen = {link.name: self.system.passage(link).arrived for link in self._links()}
        return Probe(bool(seen) and not any(seen.values()), {"arrived": seen})

    def heal(self) -> None:
        for link in self._links():
            link.heal()

    def healed(self) -> Probe:
        seen = {link.name: self.system.passage(link).answered for link in self._links()}
        return Probe(all(seen.values()), {"answered": seen})

    def _links(self) -> list[Link]:
        return [link for side in self.system.sides for link in self.system.links(side, self.node)]


def _on(system: System, target: str) -> Injection:
    assert isinstance(system, HasLinks)  # a backend that offers Need.LINKS opens nothing else
    return Blackout(system, target)


BLACKOUT = Fault(
    "blackout",
    "no client reaches the server; the servers reach each other",
    _on,
    lasts_s=1.5,
    needs=frozenset({Need.LINKS}),
    effects=frozenset({Effect.CUTS_A_SIDE}),
    meets=frozenset({Part.FIRST_LINKS, Part.OTHER_LINKS}),
    words=Words(does="all clients cut from {node}", healed="links to {node} open again", since="all clients were cut from {primary}"),
)
