"""Whether the clock that a history was stamped with ran evenly.

Lease rules compare the harness' monotonic time with a server's; a clock that was set, or a machine that
slept, makes both meaningless. Wall and monotonic time are sampled as pairs once a second: between two
successive samples they may not part by more than 500 ppm of the time between them, the most that NTP
slews, plus 1 ms, what taking the pair may cost.
"""

from __future__ import annotations

from itertools import pairwise

from harness.history import NEMESIS, History

DRIFT_PPM = 500
JUMP_NS = 1_000_000


def samples(history: History) -> list[tuple[int, int]]:
    """Give the (monotonic, wall) pairs that were recorded, in ns."""
    clocks = [event.value for event in history.events if event.process == NEMESIS and event.f == "clock"]
    return [(value["monotonic"], value["wall"]) for value in clocks]


def clock_sane(history: History) -> bool:
    """Say that no two successive samples part further than allowed; true where there are fewer than two."""
    return excess_ns(history) <= 0


def excess_ns(history: History) -> int:
    """Give by how much the worst pair of successive samples parted beyond what is allowed; at most 0 if none did."""
    pairs = samples(history)
    worst = -JUMP_NS
    for (monotonic, wall), (later, wall_later) in pairwise(pairs):
        passed = later - monotonic
        parted = abs((wall_later - wall) - passed)
        worst = max(worst, parted - abs(passed) * DRIFT_PPM // 1_000_000 - JUMP_NS)
    return worst
