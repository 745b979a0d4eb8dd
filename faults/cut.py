"""Cut one client side from a node: every byte in both directions is swallowed, connections stay open."""

from __future__ import annotations

from faults.links import FIRST_LINKS, OnLinks, links_of_first_side
from harness.driving.nemesis import Fault, Injection, Words
from harness.driving.system import HasLinks, Need, System
from harness.record.history import Effect


def _on(system: System, target: str) -> Injection:
    assert isinstance(system, HasLinks)
    return OnLinks(
        system, links_of_first_side(system, target), lambda link: link.cut(), lambda passage: not passage.arrived and not passage.answered
    )


CUT = Fault(
    "cut",
    "one client side is cut from the server: nothing arrives, nothing is answered",
    _on,
    needs=frozenset({Need.LINKS}),
    effects=frozenset({Effect.CUTS_A_SIDE}),
    meets=FIRST_LINKS,
    words=Words(does="{source} cut from {node}", healed="links to {node} open again", since="{source} were cut from {primary}"),
)
