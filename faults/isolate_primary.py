"""Split brain: {primary, first client side} cut from {replicas, sentinels, other client side}.

Links point into nodes; cut are those of the peers and of the other side into the primary, and those of
the first side into everything else. The primary itself dials nobody but through its peers' links, so
that this divides the two groups in both directions.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.nemesis import Fault, Injection, Probe
from harness.system import Link, System

SILENCE_S = 0.25  # a marker that has not arrived after this long would have, without the cut: it takes 1 ms


def arrivals(system: System, node: str, marker: str) -> dict[str, bool | None]:
    """Say of every other node whether a marker has arrived there; None where it does not answer, which proves nothing."""
    roles = system.roles()
    return {
        name: system.read_marker(name) == marker if roles[name].role in ("primary", "replica") else None
        for name in system.nodes
        if name != node
    }


def nowhere(arrived: Mapping[str, bool | None]) -> bool:
    """Say whether every node was seen to lack the marker."""
    return all(each is False for each in arrived.values())


@dataclass(slots=True)
class Isolation:
    """The cut around one node."""

    system: System
    node: str
    marker: str = ""
    marked_at: float = field(default=0.0)

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.node,)

    def inject(self) -> None:
        for link in self._links():
            link.cut()
        self.marker = f"isolated-{time.monotonic_ns()}"
        self.system.write_marker(self.node, self.marker)
        self.marked_at = time.monotonic()

    def bites(self) -> Probe:
        time.sleep(max(0.0, self.marked_at + SILENCE_S - time.monotonic()))
        arrived = arrivals(self.system, self.node, self.marker)
        written = self.system.read_marker(self.node) == self.marker
        passages = {link.name: self.system.passage(link) for link in self._client_links()}
        passed = {name: each.arrived or each.answered for name, each in passages.items()}
        return Probe(written and nowhere(arrived) and not any(passed.values()), {"marker_arrived": arrived, "client_links_pass": passed})

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
        return into_primary + [link for link in self.system.links(self.system.sides[0]) if link.target != self.node]

    def _client_links(self) -> list[Link]:
        return [link for side in self.system.sides[1:] for link in self.system.links(side, self.node)]


def _on(system: System, target: str) -> Injection:
    return Isolation(system, target)


ISOLATE_PRIMARY = Fault(
    "isolate-primary",
    "split brain: the primary and one client side are cut from replicas, sentinels and the other side",
    _on,
    changes_roles=True,
    lasts_s=7.0,
)
