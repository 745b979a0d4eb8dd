"""Whether the clock that a history was stamped with ran evenly.

Lease rules compare the harness' monotonic time with a server's; a clock that was set, or a machine that
slept, makes both meaningless. Wall and monotonic time are sampled as pairs once a second: between any two
samples they may not part by more than 500 ppm of the time between them, the most that NTP
slews, plus 1 ms, what taking the pair may cost. Monotonic time that runs backward earns no allowance.
"""

from __future__ import annotations

from math import inf

from harness.record.history import History

DRIFT_PPM = 500
JUMP_NS = 1_000_000


def clock_sane(history: History) -> bool:
    """Say that no two samples part further than allowed; true where there are fewer than two."""
    return excess_ns(history) <= 0


def excess_ns(history: History) -> int:
    """Give by how much the worst pair of samples parted beyond what is allowed; at most 0 if none did. O(n).

    Any two samples and not only neighbours: 500 ppm + 1 ms from one second to the next would let a
    clock run 1500 ppm fast for ever, and condemn a correct server's lease of 12 s.
    """
    worst, least, greatest = -JUMP_NS, inf, -inf
    for sample in history.clocks:
        offset, drift = sample.wall - sample.monotonic, sample.monotonic * DRIFT_PPM // 1_000_000
        least, greatest = min(least, offset - drift), max(greatest, offset + drift)
        # Gained on an earlier sample, or lost against one, beyond the drift allowed since then.
        worst = max(worst, int(max(offset - drift - least, greatest - offset - drift)) - JUMP_NS)
    return worst
