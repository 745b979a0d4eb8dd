"""The one rule for a sane clock: any two samples, 500 ppm of the time between them, and 1 ms."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.record.clock import clock_sane, excess_ns
from harness.record.history import Event, History

WALL = 1_795_573_581_330_151_090  # a wall clock's size: no float holds it


def history(*samples: tuple[int, int]) -> History:
    """Make a history of (monotonic ns, how far the wall clock is ahead in ns)."""
    values = [{"monotonic": monotonic, "wall": WALL + monotonic + ahead} for monotonic, ahead in samples]
    events = [Event(index=n, time=n, process="nemesis", type="info", f="clock", value=value) for n, value in enumerate(values)]
    return History(tuple(events))


@given(st.lists(st.tuples(st.integers(0, 10**10), st.integers(-(10**7), 10**7)), max_size=8))
@settings(max_examples=200, deadline=None)
def test_it_agrees_with_a_look_at_every_pair(drawn: list[tuple[int, int]]) -> None:
    samples = sorted(drawn)
    parted = [abs(b[1] - a[1]) - (b[0] - a[0]) * 500 // 1_000_000 - 1_000_000 for a, b in combinations(samples, 2)]
    assert abs(excess_ns(history(*samples)) - max([-1_000_000, *parted])) <= 2  # of rounding
    assert clock_sane(history(*samples)) is (excess_ns(history(*samples)) <= 0)


def test_a_clock_that_gains_1000_ppm_all_the_time_is_not_sane_though_each_second_looks_so() -> None:
    samples = [(second * 10**9, second * 10**6) for second in range(13)]
    assert all(clock_sane(history(*pair)) for pair in pairwise(samples))
    assert not clock_sane(history(*samples))


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_samples_are_sane(count: int) -> None:
    assert clock_sane(history(*[(0, 0)] * count))
