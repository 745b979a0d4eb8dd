"""Not a workload. Instants and keys that follow from the time alone, so that slots meet without talking to each other.

Operations last a fraction of a millisecond: whoever does not aim at an instant is never near it. Only who has less than `NEAR_NS` to
wait aims, so that a slot's rate, and the workloads beside it, hardly suffer.
"""

from __future__ import annotations

from harness.driving.generator import NS_PER_S, Context

NS_PER_MS = NS_PER_S // 1000
NEAR_NS = 30 * NS_PER_MS


def is_near(context: Context, at: int) -> bool:
    """Say whether an instant comes soon."""
    return 0 <= at - context.now <= NEAR_NS


def crowd(context: Context, size: int) -> tuple[int, int]:
    """Give the slot's crowd, and how many there are: of `size` slots at most, and of every side of a partition.

    A key is a crowd's: the search that judges it takes time with those in flight together.
    """
    crowds = -(-context.slots // max(1, size))
    return context.slot % crowds, crowds


def number(context: Context) -> int:
    """Give a number of this process that it has not given before, far from its others: sums come between."""
    return (context.process * 10**6 + context.step) * 1000
