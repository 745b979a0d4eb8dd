"""Which protocol a system keeps where its backend offers a need, and whether it does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.driving.operated import CoordinatesHandovers, HandsOver, HasMemoryLimit, HasServerClocks
from harness.driving.system import HasClientClocks, HasLinks, HasMarkers, HasNodes, HasPeers, HasSynchronousWaits, Need, System

KEPT_BY: Mapping[Need, type] = {
    Need.PROCESS: HasNodes,
    Need.LINKS: HasLinks,
    Need.REPLIES: HasLinks,
    Need.TAKEOVER: HasPeers,
    Need.HANDOVER: HandsOver,
    Need.COORDINATED_HANDOVER: CoordinatesHandovers,
    Need.WAITS: HasSynchronousWaits,
    Need.MEMORY_LIMIT: HasMemoryLimit,
    Need.SERVER_CLOCKS: HasServerClocks,
    Need.CLIENT_CLOCKS: HasClientClocks,
    Need.EMPTY_RESTART: HasMarkers,
}
"""The protocol of a system that has what is needed: a fault that needs it may take it for granted."""


def unkept(system: System, offered: Iterable[Need]) -> str | None:
    """Say which protocol a system lacks of what its backend offers; None if none."""
    lacking = {need: KEPT_BY[need].__name__ for need in offered if need in KEPT_BY and not isinstance(system, KEPT_BY[need])}
    return "; ".join(f"{system.name} offers Need.{need.name} and its system is no {name}" for need, name in sorted(lacking.items())) or None
