"""Rates and their intervals."""

from __future__ import annotations

import pytest
import recount
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.judging.statistics import rate

counts = st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def test_nothing_seen_in_59_trials_leaves_5_percent() -> None:
    assert rate(0, 59).upper == pytest.approx(0.0495, abs=1e-4)


def test_the_upper_bound_of_nothing_seen_is_one_minus_the_nth_root_of_5_percent() -> None:
    assert rate(0, 8).upper == pytest.approx(1 - 0.05 ** (1 / 8))


def test_the_interval_of_8_in_10_is_the_published_one() -> None:
    found = rate(8, 10)
    assert (found.low, found.high) == (pytest.approx(0.4439, abs=1e-4), pytest.approx(0.9748, abs=1e-4))


def test_all_of_n_has_no_upper_limit_below_one() -> None:
    found = rate(20, 20)
    assert (found.low, found.high, found.upper) == (pytest.approx(0.8316, abs=1e-4), 1.0, 1.0)


def test_no_trials_leave_everything_possible() -> None:
    found = rate(0, 0)
    assert (found.low, found.high, found.upper) == (0.0, 1.0, 1.0)


@pytest.mark.parametrize(("k", "n"), [(-1, 3), (4, 3)])
def test_impossible_counts_are_refused(k: int, n: int) -> None:
    with pytest.raises(ValueError, match="expected 0 <= k <= n"):
        rate(k, n)


@settings(deadline=None, max_examples=60)
@given(counts)
def test_the_interval_is_the_one_of_the_beta_quantiles(count: tuple[int, int]) -> None:
    from scipy.stats import beta

    k, n = count
    found = rate(k, n)
    assert found.low == pytest.approx(beta.ppf(0.025, k, n - k + 1) if k else 0.0)
    assert found.high == pytest.approx(beta.ppf(0.975, k + 1, n - k) if k < n else 1.0)


@settings(deadline=None, max_examples=60)
@given(counts)
def test_the_interval_contains_the_rate_and_more_trials_of_the_same_narrow_it(count: tuple[int, int]) -> None:
    k, n = count
    found, more = rate(k, n), rate(2 * k, 2 * n)
    assert found.low <= k / n <= found.high
    assert more.high - more.low <= found.high - found.low


@pytest.mark.parametrize(("k", "n", "printed"), [(0, 8, "≤ 31.3 %"), (20, 20, "83–100 %"), (5, 5, "47–100 %"), (0, 0, "≤ 100.0 %")])
def test_intervals_are_printed_rounded_outwards(k: int, n: int, printed: str) -> None:
    assert rate(k, n).interval == printed


@pytest.mark.parametrize(("k", "n"), [(0, 5), (1, 5), (3, 10), (5, 5), (19, 20)])
def test_the_interval_agrees_with_the_second_opinion_by_bisection(k: int, n: int) -> None:
    found = rate(k, n)
    assert (found.low, found.high) == pytest.approx(recount.interval(k, n), abs=1e-6)
