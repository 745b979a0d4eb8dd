"""A marker written at one node that must not arrive at the others: the probe of a cut between peers.

Not a fault of its own: `isolate_primary` and `hold_back_replication` use it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from harness.driving.system import HasMarkers

SILENCE_S = 0.25  # a marker that has not arrived after this long would have, without the cut: it takes 1 ms


@dataclass(slots=True)
class Marker:
    """A text of its own at one node, past the proxies."""

    system: HasMarkers
    node: str
    text: str = ""
    written_at: float = 0.0

    def write(self) -> None:
        """Write it anew. Raises Infrastructure if the node refuses."""
        self.text = f"cut-{time.monotonic_ns()}"
        self.system.write_marker(self.node, self.text)
        self.written_at = time.monotonic()

    def arrivals(self) -> dict[str, bool | None]:
        """Say of every other node whether it has arrived, once it has had time; None where a node does not answer."""
        time.sleep(max(0.0, self.written_at + SILENCE_S - time.monotonic()))
        roles = self.system.roles()
        return {
            name: self.system.read_marker(name) == self.text if roles[name].role in ("primary", "replica") else None
            for name in self.system.nodes
            if name != self.node
        }

    def withheld(self, arrived: Mapping[str, bool | None]) -> bool:
        """Say whether it stands at its node and every other one was seen to lack it."""
        return bool(self.text) and self.system.read_marker(self.node) == self.text and all(each is False for each in arrived.values())
