"""Cut the standbys from a synchronous primary, cancel what waits for them, then kill it.

A cancelled wait answers success: the row is committed at the primary and nowhere else. Whatever cancels does so: a
driver's time-out that sends a cancel request, an administrator, a pooler. Statements are cancelled again and again until
the kill, since each new one waits too.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from faults.kill import KILL
from faults.marker import Marker
from harness.driving.nemesis import Fault, Injection, Probe, Words
from harness.driving.system import HasSynchronousWaits, Link, Need, Part, System
from harness.record.history import Effect

UNTIL_KILL_S = 1.0
EVERY_S = 0.05


@dataclass(slots=True)
class CancelWait:
    """The cut between a primary and its peers, and a thread that cancels."""

    system: HasSynchronousWaits
    node: str
    marker: Marker = field(init=False)
    cancelled: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    def __post_init__(self) -> None:
        self.marker = Marker(self.system, self.node)

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.node,)

    def inject(self) -> None:
        for link in self._links():
            link.cut()
        self.marker.write()
        if self.thread is None:
            self.thread = threading.Thread(target=self._cancel, name="cancel-wait", daemon=True)
            self.thread.start()

    def bites(self) -> Probe:
        arrived = self.marker.arrivals()
        return Probe(self.marker.withheld(arrived) and self.cancelled > 0, {"marker_arrived": arrived, "cancelled": self.cancelled})

    def heal(self) -> None:
        self.stop.set()
        if self.thread is not None:
            self.thread.join()
        for link in self._links():
            link.heal()

    def healed(self) -> Probe:
        passed = {link.name: (each := self.system.passage(link)).answered or each.arrived for link in self._links()}
        role = self.system.roles()[self.node].role
        return Probe(all(passed.values()) or role == "replica", {"peer_links_pass": passed, "role": role, "cancelled": self.cancelled})

    def _cancel(self) -> None:
        while not self.stop.wait(EVERY_S):
            self.cancelled += self.system.cancel_waits(self.node)

    def _links(self) -> list[Link]:
        return self.system.links("peers", self.node)


def _on(system: System, target: str) -> Injection:
    assert isinstance(system, HasSynchronousWaits)
    return CancelWait(system, target)


CANCEL_WAIT = Fault(
    "cancel-wait",
    "standbys are cut from a synchronous primary, what waits for them is cancelled, then it is killed",
    _on,
    changes_roles=True,
    lasts_s=6.0,
    needs=frozenset({Need.LINKS, Need.PROCESS, Need.TAKEOVER, Need.WAITS}),
    follow=((UNTIL_KILL_S, KILL),),
    effects=frozenset({Effect.CUTS_REPLICATION}),
    meets=frozenset({Part.PEER_LINKS}),
    words=Words(
        does="replication from {node} held back, waits for it cancelled",
        healed="replication from {node} let through",
        since="replication was held back",
    ),
)
