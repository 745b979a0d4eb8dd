"""Let one client group's clock run ahead: within the bound that the deployment is configured for, or far beyond it.

Only a backend whose clients' clocks decide what has expired can feel it. Healing sets the clock back: what was granted
meanwhile then lasts longer for the others by the offset, which within the bound they allow for.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.driving.nemesis import Fault, Injection, Probe, Words
from harness.driving.system import HasClientClocks, Need, System

NEAR_MS = 5.0  # reading two clocks one after the other takes time


@dataclass(frozen=True, slots=True)
class ClientClock:
    """An offset of the second side's clock."""

    clocks: HasClientClocks
    side: str
    offset_ms: int

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.side,)

    def inject(self) -> None:
        self.clocks.shift_clock(self.side, self.offset_ms)

    def bites(self) -> Probe:
        return self._look(self.offset_ms)

    def heal(self) -> None:
        self.clocks.shift_clock(self.side, 0)

    def healed(self) -> Probe:
        return self._look(0)

    def _look(self, wanted_ms: int) -> Probe:
        ahead_ms = self.clocks.clock_ahead_ms(self.side)
        return Probe(abs(ahead_ms - wanted_ms) < NEAR_MS, {"side": self.side, "ahead_ms": round(ahead_ms, 1)})


def _shifted(system: System, share_of_bound: float) -> Injection:
    assert isinstance(system, HasClientClocks)
    return ClientClock(system, system.sides[-1], round(system.clock_bound_ms * share_of_bound))


def _within(system: System, target: str) -> Injection:
    return _shifted(system, 0.9)


def _beyond(system: System, target: str) -> Injection:
    return _shifted(system, 30)


CLIENT_CLOCK = Fault(
    "client-clock",
    "one client side's clock runs ahead by nine tenths of the configured bound",
    _within,
    lasts_s=3.0,
    needs=frozenset({Need.CLIENT_CLOCKS}),
    words=Words(does="clocks of {group} set ahead", healed="the clocks of {node} are set back", since="clocks were set ahead"),
)
CLIENT_CLOCK_BEYOND = Fault(
    "client-clock-beyond",
    "one client side's clock runs ahead by 30 times the configured bound",
    _beyond,
    lasts_s=3.0,
    needs=frozenset({Need.CLIENT_CLOCKS}),
    words=Words(
        does="clocks of {group} set ahead beyond the bound", healed="the clocks of {node} are set back", since="clocks were set ahead"
    ),
)
