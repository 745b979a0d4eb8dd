"""How far the clock that ends leases may be from ours."""

from __future__ import annotations

from dataclasses import dataclass

from harness.record.history import History

NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Skew:
    """How far the clock that ends leases may be from ours, in nanoseconds and parts per million.

    `bound_ns` is b, the largest difference between two clients' clocks where those end leases; who
    waits for another's lease waits up to 2 b longer, and a holder whose clock is set within b sees its own
    end up to b early.
    """

    fixed_ns: int = 2 * NS_PER_MS
    drift_ppm: int = 500
    bound_ns: int = 0

    def early(self, span_ms: int) -> int:
        """Give the nanoseconds by which a lease of this length may end before its time."""
        return self.fixed_ns + span_ms * self.drift_ppm + self.bound_ns  # ms * ppm = ns

    def before(self, span_ms: int) -> int:
        """Give the nanoseconds by which others may see what lasts this long end before its time: they wait b longer than their clock says.

        All clocks are taken to lie within b of one another, whenever they are read.
        """
        return self.fixed_ns + span_ms * self.drift_ppm

    def late(self, span_ms: int) -> int:
        """Give the nanoseconds by which others may see a lease of this length end after its time."""
        return self.fixed_ns + span_ms * self.drift_ppm + 2 * self.bound_ns

    @property
    def comes_back(self) -> bool:
        """Say whether an owner who saw his lease expired may hold it again: where his own clock decides, it may be set back."""
        return self.bound_ns > 0

    def seen_over(self) -> int:
        """Give the nanoseconds for which others may still see a lease that its owner saw expired."""
        return self.fixed_ns + 2 * self.bound_ns if self.bound_ns else 0


SERVER = Skew()
"""One server's clock ends the leases: 2 ms + 500 ppm."""


def client_clocks(bound_ms: int) -> Skew:
    """Give the skew of a backend whose clients' clocks end the leases, at most `bound_ms` apart."""
    return Skew(bound_ns=bound_ms * NS_PER_MS)


def skew_of(history: History) -> Skew:
    """Give the skew that a history's header calls for: that of client clocks where it names their bound."""
    bound_ms = history.header.clock_bound_ms if history.header else None
    return SERVER if bound_ms is None else client_clocks(bound_ms)
