"""Refusals: somebody must have held the lock at some instant of each, or it was refused without reason.

An acknowledged grant explains a refusal that its may-hold reaches; an unanswered one wherever it *fits*,
which lasts for one TTL. What is left unexplained is spurious, and stuck where it outlasts every lease.
See `harness.judging.checkers.lease` for the server under test and what is sound.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from harness.judging.checkers.bounds import Lease, endings_of, longest_of, releases_of, shortest_of
from harness.judging.checkers.calls import Call, at_s, between_s, indices_of, who_asked
from harness.judging.checkers.grants import Certain, Name
from harness.judging.checkers.skew import Skew
from harness.judging.verdict import Anomaly


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which one lease was certainly live."""

    begin: int
    end: int
    one: Certain


def refused_wrongly(name: Name, certain: list[Certain], spans: list[Span], skew: Skew) -> Iterator[Anomaly]:
    """Somebody's lease must have been live at some instant of every refusal; say where nobody's can have been."""
    holder = _last_holder(certain)
    left = []
    for refusal in sorted(name.refusals, key=lambda one: one.ended):
        last = holder(refusal)
        if last is None or last.most <= refusal.start:
            left.append(refusal)
    if not left:
        return
    uncertain = name.uncertain()
    fits = _fits(uncertain, spans, skew)
    fitting = []
    for refusal in left:
        if fits(refusal):
            fitting.append(refusal)
        else:
            yield _spurious(name.key, refusal, holder(refusal), skew)
    yield from _too_many(name.key, fitting, uncertain, skew)
    longest = max([_reach(one, skew) for one in name.leases] + [longest_of(refusal, skew) for refusal in left])
    yield from _stuck(name.key, left, (certain, uncertain), longest)


def _last_holder(certain: list[Certain]) -> Callable[[Call], Certain | None]:
    """Tell, of the grants that can have been made before a refusal ended, the one that can have lasted longest."""
    ordered = sorted(certain, key=lambda one: one.lease.call.start)
    starts = [one.lease.call.start for one in ordered]
    longest = list(accumulate(ordered, _longer))

    def holder(refusal: Call) -> Certain | None:
        before = bisect_right(starts, refusal.ended)
        return longest[before - 1] if before else None

    return holder


def _longer(one: Certain, other: Certain) -> Certain:
    return other if other.most > one.most else one


def _reach(one: Lease, skew: Skew) -> int:
    """Give the longest time that a lease can last from its grant, whenever that was."""
    return longest_of(one.call, skew) + sum(longest_of(use, skew) for use in one.uses if use.f == "extend" and use.answer is not False)


def least_length(one: Lease, skew: Skew) -> int:
    """Give the shortest time for which a lease lasts from its grant: none if it may be released at the same instant, or was lost."""
    if releases_of(one.uses) or one.lost is not None:
        return 0
    extends = [use for use in one.uses if use.f == "extend" and use.answer is not False]
    return max(0, min(shortest_of(call, skew) for call in [one.call, *extends]))


def _fits(uncertain: list[Lease], spans: list[Span], skew: Skew) -> Callable[[Call], bool]:
    """Tell whether an unanswered grant can explain a refusal [a, b].

    It must have been made at some x >= its invocation, x <= b, x + reach > a, while nobody else held:
    [x, x + least length) meets no must-hold. Grants of equal lengths differ only in their invocation,
    and the first one can be made whenever a later one can.
    """
    first: dict[tuple[int, int], int] = {}
    for one in uncertain:
        lengths = (_reach(one, skew), least_length(one, skew))
        first[lengths] = min(one.call.start, first.get(lengths, one.call.start))
    free = {least: free_for(spans, least) for _, least in first}

    def fits(refusal: Call) -> bool:
        return any(free[least](max(invoked, refusal.start - reach + 1)) <= refusal.ended for (reach, least), invoked in first.items())

    return fits


def free_for(spans: list[Span], length: int) -> Callable[[int], int]:
    """Give the function from an instant to the first one, not before it, from which nobody must hold for this length."""
    starts: list[int] = []
    ends: list[int] = []
    for span in spans:
        if ends and span.begin - length < ends[-1]:
            ends[-1] = max(ends[-1], span.end)
        else:
            starts.append(span.begin - length)
            ends.append(span.end)

    def free(at: int) -> int:
        place = bisect_left(starts, at) - 1  # the last one that began before: both ends of a blocked interval are free
        return max(at, ends[place]) if place >= 0 else at

    return free


def _spurious(key: str | None, refusal: Call, last: Certain | None, skew: Skew) -> Anomaly:
    operations: tuple[int, ...] = (refusal.index,)
    why = "nobody had held it before"
    if last is not None:
        ending = min(endings_of(last.lease.uses, last.known, skew), key=lambda use: use.ended, default=None)
        why = f"the last holder, {last.lease.who}, no longer held it from {at_s(last.most)} on"
        operations = indices_of(last.lease.call.index, *([ending.index] if ending else last.lease.basis), refusal.index)
    message = f"{key} was refused to {who_asked(refusal)} between {between_s(refusal)}, although {why}"
    return Anomaly("spurious-refusal", key, operations, refusal.start, message, refusal.end)


def _windows(refusals: list[Call], length: int) -> list[Call]:
    """Give, in order of completion, the refusals that each need a lease of this length of their own.

    The fewest intervals [w, w + length) that meet every refusal: put each as late as the first refusal
    not met allows. The result for a prefix is the prefix of the result.
    """
    found: list[Call] = []
    for refusal in sorted(refusals, key=lambda one: one.ended):
        if not found or refusal.start >= found[-1].ended + length:
            found.append(refusal)
    return found


def _too_many(key: str | None, fitting: list[Call], uncertain: list[Lease], skew: Skew) -> Iterator[Anomaly]:
    """Each unanswered grant explains the refusals of one lease; report the first refusal for which none is left."""
    if not uncertain:
        return
    windows = _windows(fitting, max(_reach(one, skew) for one in uncertain))
    invoked = sorted(one.call.start for one in uncertain)
    for count, refusal in enumerate(windows, 1):
        there = bisect_right(invoked, refusal.ended)
        if count > there:
            message = (
                f"{key} was refused to {who_asked(refusal)} between {between_s(refusal)}, although nobody known can have held it and "
                f"unanswered acquisitions ({there}) explain only earlier refusals, each for one lease"
            )
            operations = indices_of(
                *(one.call.index for one in uncertain if one.call.start <= refusal.ended), *(w.index for w in windows[:count])
            )
            yield Anomaly("spurious-refusal", key, operations, refusal.start, message, refusal.end)
            return


def _stuck(key: str | None, left: list[Call], leases: tuple[list[Certain], list[Lease]], longest: int) -> Iterator[Anomaly]:
    """Refusals that go on for longer than every lease, with no grant known between them: it does not come free."""
    certain, uncertain = leases
    known = sorted(one.known for one in certain)
    invoked = sorted(one.call.start for one in uncertain)
    gaps: dict[int, list[Call]] = {}
    for refusal in left:
        gaps.setdefault(bisect_right(known, refusal.start), []).append(refusal)
    for gap in gaps.values():
        windows = _windows(gap, longest)
        last = windows[-1]
        if len(windows) < 2 or len(windows) <= bisect_right(invoked, last.ended):
            continue
        first = min(gap, key=lambda one: one.start)
        message = (
            f"{key} was refused {len(gap)} times from {at_s(first.start)} to {at_s(gap[-1].ended)}, longer than any lease lasts, "
            f"although nobody can have held it"
        )
        yield Anomaly("stuck", key, indices_of(*(window.index for window in windows)), first.start, message, gap[-1].end)
