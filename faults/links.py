"""A fault on links: something is done to each of them, and a marker sent over each proves it.

Not a fault of its own: `cut`, `latency` and `lost_reply` say which links, what is done, and what the
marker must show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from harness.driving.nemesis import Probe
from harness.driving.system import HasLinks, Link, Part, Passage

FIRST_LINKS = frozenset({Part.FIRST_LINKS})


@dataclass(frozen=True, slots=True)
class OnLinks:
    """An injection into some links; `felt` says whether a passage shows the fault."""

    system: HasLinks
    links: Sequence[Link]
    do: Callable[[Link], None]
    felt: Callable[[Passage], bool]

    @property
    def targets(self) -> tuple[str, ...]:
        return tuple(link.name for link in self.links)

    def inject(self) -> None:
        for link in self.links:
            self.do(link)

    def bites(self) -> Probe:
        return self._look(lambda link, passage: self.felt(passage))

    def heal(self) -> None:
        for link in self.links:
            link.heal()

    def healed(self) -> Probe:
        roles = self.system.roles()

        def passes(link: Link, passage: Passage) -> bool:
            return self._open(passage, refuses=link.target in roles and roles[link.target].role == "replica")

        return self._look(passes)

    def _open(self, passage: Passage, *, refuses: bool) -> bool:
        # A primary that has become a replica refuses the marker, by an answer that passed the link.
        arrived = replace(passage, arrived=passage.arrived or (refuses and passage.answered))
        return arrived.arrived and arrived.answered and not self.felt(arrived)

    def _look(self, proof: Callable[[Link, Passage], bool]) -> Probe:
        seen = [(link, self.system.passage(link)) for link in self.links]
        roles = self.system.roles()
        # A far end that does not answer shows nothing: that no marker was found there is then no proof of a cut.
        visible = all(link.target in roles and roles[link.target].role in ("primary", "replica") for link in self.links)
        facts = {link.name: {"arrived": each.arrived, "answered": each.answered, "took_ms": each.took_ms} for link, each in seen}
        return Probe(bool(seen) and visible and all(proof(*each) for each in seen), {**facts, "far_end_answers": visible})


def links_of_first_side(system: HasLinks, target: str) -> list[Link]:
    """Give the links of the first client side into a node: the other side goes on, and contends."""
    return system.links(system.sides[0], target)
