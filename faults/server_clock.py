"""Let a server's clock jump ahead, and back when healed: a time service that steps, a virtual machine that is moved.

Both jumps are felt where the server decides what has expired. Ahead, all that is held ends at once; back, what was granted
meanwhile lasts longer by as much.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.driving.nemesis import Fault, Injection, Probe, Words
from harness.driving.operated import HasServerClocks
from harness.driving.system import Need, System

AHEAD_MS = 30_000  # more than any lease of the workloads
NEAR_MS = 250.0  # a question and its answer take time


@dataclass(frozen=True, slots=True)
class ServerClock:
    """An offset of one server's clock."""

    clocks: HasServerClocks
    node: str

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.node,)

    def inject(self) -> None:
        self.clocks.shift_server_clock(self.node, AHEAD_MS)

    def bites(self) -> Probe:
        return self._look(AHEAD_MS)

    def heal(self) -> None:
        self.clocks.shift_server_clock(self.node, 0)

    def healed(self) -> Probe:
        return self._look(0)

    def _look(self, wanted_ms: int) -> Probe:
        ahead_ms = self.clocks.server_clock_ahead_ms(self.node)
        near = ahead_ms is not None and abs(ahead_ms - wanted_ms) < NEAR_MS
        return Probe(near, {"node": self.node, "ahead_ms": None if ahead_ms is None else round(ahead_ms, 1)})


def _on(system: System, target: str) -> Injection:
    assert isinstance(system, HasServerClocks)
    return ServerClock(system, target)


SERVER_CLOCK = Fault(
    "server-clock",
    f"the server's clock jumps {AHEAD_MS // 1000} s ahead, and back when healed",
    _on,
    lasts_s=3.0,
    needs=frozenset({Need.SERVER_CLOCKS}),
    words=Words(does="clock of {node} set ahead", healed="the clock of {node} is set back", since="the clock of {node} was set ahead"),
)
