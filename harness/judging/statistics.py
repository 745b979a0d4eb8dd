"""Rates of trials with the interval that they leave open.

A trial is one fault episode on keys of its own, so that trials count as independent draws of one
schedule; operations inside a trial do not and never get an interval. Clopper-Pearson since it keeps
its 95 % at every n and k, and n is 4 to 80 here: Wilson and Wald fall short exactly at k = 0 and k = n,
the ends that matter most.

Source: Clopper and Pearson, The use of confidence or fiducial limits illustrated in the case of the
binomial, Biometrika 1934.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
TAIL = 0.025
"""What lies beyond each end of the two-sided interval."""


@dataclass(frozen=True, slots=True)
class Rate:
    """k of n trials: [low, high] two-sided at 95 %; `upper` one-sided at 95 %, what k = 0 leaves possible.

    n = 0 leaves everything possible: 0 to 1. `upper` None where an earlier version wrote it: `high`, which is not less, stands for it.
    """

    k: Count
    n: Count
    low: Share
    high: Share
    upper: Share | None = None

    def __post_init__(self) -> None:
        if self.k > self.n:
            raise ValueError(f"k {self.k} of n {self.n}, expected at most n")

    def __str__(self) -> str:
        return f"{self.k} of {self.n}"

    @property
    def bound(self) -> float:
        """Give the one-sided upper bound."""
        return self.high if self.upper is None else self.upper

    @property
    def interval(self) -> str:
        """Give the interval as it is printed: "48–100 %"; with k = 0 the upper bound: "≤ 31.2 %".

        Rounded outwards: what is printed never claims more than what was computed.
        """
        if self.k == 0:
            return f"≤ {min(100.0, math.ceil(self.bound * 1000) / 10):.1f} %"
        return f"{math.floor(self.low * 100)}–{math.ceil(self.high * 100)} %"


def rate(k: int, n: int) -> Rate:
    """Give the rate of k in n trials; raise ValueError unless 0 <= k <= n."""
    if not 0 <= k <= n:
        raise ValueError(f"{k} of {n}, expected 0 <= k <= n")
    return Rate(k, n, 1 - _limit(n - k, n, TAIL), _limit(k, n, TAIL), _limit(k, n, 2 * TAIL))


def _limit(k: int, n: int, tail: float) -> float:
    """Give the largest rate at which k or fewer of n still happen with probability `tail`."""
    if k == n:
        return 1.0
    if k == 0:
        return float(1 - tail ** (1 / n))  # the closed form: 0 of n and n of n, the usual ends, need no scipy
    from scipy.stats import beta  # importing it takes about a second: not before it is needed

    return float(beta.ppf(1 - tail, k + 1, n - k))
