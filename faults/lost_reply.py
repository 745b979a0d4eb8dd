"""Let requests of one client side arrive and cut the answers off: applied, and the client cannot know."""

from __future__ import annotations

from faults.links import FIRST_LINKS, OnLinks, links_of_first_side
from harness.driving.nemesis import Fault, Injection, Words
from harness.driving.system import HasLinks, Need, System
from harness.record.history import Effect


def _on(system: System, target: str) -> Injection:
    assert isinstance(system, HasLinks)
    return OnLinks(
        system,
        links_of_first_side(system, target),
        lambda link: link.drop_replies(),
        lambda passage: passage.arrived and not passage.answered,
    )


LOST_REPLY = Fault(
    "lost-reply",
    "requests of one client side are applied, and their answers cut off",
    _on,
    needs=frozenset({Need.REPLIES}),
    effects=frozenset({Effect.LOSES_ANSWERS}),
    meets=FIRST_LINKS,
    words=Words(does="answers from {node} to {source} lost", healed="links to {node} open again", since="answers were lost"),
)
