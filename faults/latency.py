"""Delay one client side's traffic with a node, well below the clients' deadline."""

from __future__ import annotations

from faults.links import FIRST_LINKS, OnLinks, links_of_first_side
from harness.driving.nemesis import Fault, Injection, Words
from harness.driving.system import HasLinks, Need, Passage, System
from harness.record.history import Effect

LATENCY_MS = 120
SURE = 0.7  # of it, whatever the jitter


def _late(passage: Passage) -> bool:
    return passage.arrived and passage.took_ms is not None and passage.took_ms >= LATENCY_MS * SURE


def _on(system: System, target: str) -> Injection:
    assert isinstance(system, HasLinks)
    return OnLinks(system, links_of_first_side(system, target), lambda link: link.delay(LATENCY_MS), _late)


LATENCY = Fault(
    "latency",
    f"one client side reaches the server {LATENCY_MS} ms late",
    _on,
    needs=frozenset({Need.LINKS}),
    effects=frozenset({Effect.DELAYS_ANSWERS}),
    meets=FIRST_LINKS,
    delay_ms=round(LATENCY_MS * SURE),
    words=Words(does="{source} reach {node} late", healed="links to {node} open again", since="the links were slowed"),
)
