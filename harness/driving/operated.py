"""What operators do to a deployment and its machines, asked of it by faults: move the primary, fill a memory, set a server's clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from harness.driving.system import HasNodes


@runtime_checkable
class HandsOver(HasNodes, Protocol):
    """A deployment whose manager can be asked to move the primary: what a failover that people plan asks of it."""

    def hand_over(self) -> None:
        """Ask the manager, as its documentation says, to make another node the primary.

        Returns once it has agreed. Raises Infrastructure where it refuses.
        """
        ...


@runtime_checkable
class CoordinatesHandovers(HandsOver, Protocol):
    """A deployment whose manager can also be asked to let writes wait until the other node has all of them."""

    def hand_over_coordinated(self) -> None:
        """Ask for that; else as `hand_over`."""
        ...


@dataclass(frozen=True, slots=True)
class Memory:
    """How a node stands with the limit of its memory: keys `evicted` since it was started, and whether it `refuses` writes now."""

    evicted: int
    refuses: bool


@runtime_checkable
class HasMemoryLimit(HasNodes, Protocol):
    """A deployment with a node whose memory is limited: what a fault that fills it asks of it."""

    def fill_memory(self, node: str) -> None:
        """Write what is nobody's at this node, past the proxies, until `free_memory`, or all is healed or closed; idempotent."""
        ...

    def free_memory(self, node: str) -> None:
        """End that, and remove all that it has written; idempotent."""
        ...

    def memory(self, node: str) -> Memory | None:
        """Ask how the node stands; None where it does not answer."""
        ...


@runtime_checkable
class HasServerClocks(HasNodes, Protocol):
    """A deployment whose servers' clocks can be set: what a fault that lets one jump asks of it."""

    def shift_server_clock(self, node: str, offset_ms: int) -> None:
        """Let this node see the machine's time + offset from now on, by one jump."""
        ...

    def server_clock_ahead_ms(self, node: str) -> float | None:
        """Ask the node for its time, past the proxies: by how much it is ahead of the harness' own; None where it does not answer."""
        ...
