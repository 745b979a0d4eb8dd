"""The bounds of one grant: the earliest and the latest end of its lease that its owner's answers allow, and what came too late.

Drawn in `harness.judging.checkers.grants`, which finds the calls of each grant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.judging.checkers.calls import Call, at_s, between_s, who_asked
from harness.judging.checkers.skew import NS_PER_MS, Skew


@dataclass(frozen=True, slots=True)
class _Lost:
    """A refusal of the owner that ended before `due`, the earliest end as far as it could see, and what `due` follows from."""

    refusal: Call
    due: int
    basis: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Late:
    """A success of the owner after its lease was over: why it was, and the operations that say so."""

    use: Call
    why: str
    basis: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Lease:
    """A grant with its bounds.

    `known` is the first instant at which the grant is certain to have been made, None if never;
    `least` and `most` bound its end (Emin, Emax), None where `known` is. `basis` are the
    operations from which `least` follows. `late` are the successes of its owner after it was over: where there
    are any, no end fits. `must_end` and `may_end` are `least` and `most` without them, the ends of what its owner was
    promised at first, and `must_basis` the operations from which the former follows; `again` is when it was promised
    anew, by an extend that came too late and yet took effect.
    """

    call: Call
    uses: tuple[Call, ...]
    known: int | None
    least: int | None
    most: int | None
    basis: tuple[int, ...]
    lost: _Lost | None
    late: tuple[Late, ...] = ()
    must_end: int | None = None
    may_end: int | None = None
    must_basis: tuple[int, ...] = ()
    again: tuple[tuple[int, int], ...] = ()

    @property
    def who(self) -> str:
        """Its owner token and process."""
        return who_asked(self.call)


def lease_of(call: Call, uses: tuple[Call, ...], skew: Skew) -> Lease:
    """Bound the lease of an acquisition by all uses of its token."""
    proofs = [use for use in uses if use.answer]
    # What succeeded was done by the owner, so the grant was made by then, answered or not.
    ends = [one.ended for one in proofs] + ([call.ended] if call.answer else [])
    if not ends:
        return Lease(call, uses, None, None, None, (), None)
    known = min(ends)
    lost = _lost(call, uses, known, skew)
    least, basis = _least(call, uses, lost, skew)
    late = tuple(_late(call, uses, known, skew))
    first_late = min((one.use.start for one in late), default=None)
    in_time = uses if first_late is None else tuple(use for use in uses if use.start < first_late)
    must_end, must_basis = _least(call, in_time, _lost(call, in_time, known, skew), skew) if late else (least, basis)
    most = _most(call, uses, known, skew)
    may_end = _most(call, in_time, known, skew) if late else most
    again = tuple(span for one in late if one.use.f == "extend" and (span := _again(one.use, uses, skew))[0] < span[1])
    return Lease(call, uses, known, least, most, basis, lost, late, must_end, may_end, must_basis, again)


def _again(extend: Call, uses: tuple[Call, ...], skew: Skew) -> tuple[int, int]:
    """Give from when until when, at least, an extend that came too late promises the lease anew."""
    others = [use for use in uses if use is not extend and (use.end is None or use.end >= extend.start)]
    ends = [max(extend.start, use.start) + shortest_of(use, skew) for use in others if use.f == "extend" and use.answer is not False]
    ends += [use.start for use in others if use.answer is False or (use.f == "release" and use.start > extend.start)]
    return extend.ended, min([extend.start + shortest_of(extend, skew), *ends])


def extends_of(uses: Iterable[Call], answer: bool | None) -> list[Call]:
    """Give the extends that were answered so; None: not answered."""
    return [use for use in uses if use.f == "extend" and use.answer is answer]


def releases_of(uses: Iterable[Call]) -> list[Call]:
    """Give the releases that took effect, or may have."""
    return [use for use in uses if use.f == "release" and use.answer is not False]


def refused_of(uses: Iterable[Call], known: int) -> list[Call]:
    """Give the refusals that looked after the grant had been made: an earlier one may have seen the time before it."""
    return [use for use in uses if use.answer is False and use.start > known]


def shortest_of(call: Call, skew: Skew) -> int:
    """Give the shortest time in ns for which a lease lasts from when this grant or extend was done."""
    return call.span_ms * NS_PER_MS - skew.early(call.span_ms)


def longest_of(call: Call, skew: Skew) -> int:
    """Give the longest time in ns for which others may see it last from then."""
    return call.span_ms * NS_PER_MS + skew.late(call.span_ms)


def _setters(call: Call, extends: list[Call]) -> tuple[int, list[Call]]:
    """Give the earliest instant of the last acknowledged operation that set the end, and which it may have been.

    The last one was done no earlier than any of them began, so one that had ended by then was not it.
    """
    last = max([call.start] + [extend.start for extend in extends])
    return last, [extend for extend in extends if extend.ended >= last] or [call]


def _basis(call: Call, extends: list[Call]) -> tuple[int, ...]:
    return tuple(setter.index for setter in _setters(call, extends)[1] if setter is not call)


def _expiry(call: Call, extends: list[Call], unanswered: list[Call], skew: Skew) -> int:
    """Give the earliest expiry if all of `extends` were done and any of `unanswered`; these can only lower it."""
    last, setters = _setters(call, extends)
    ends = [last + shortest_of(setter, skew) for setter in setters]
    ends += [max(last, extend.start) + shortest_of(extend, skew) for extend in unanswered]
    return min(ends)


def _lost(call: Call, uses: tuple[Call, ...], known: int, skew: Skew) -> _Lost | None:
    """Give the refusal that ended before the lease could have, if there is one.

    It looked at x <= its end. The owner's successes came before x, as a token never comes back, so
    those begun by then set the end; where one may come back, those that had ended by then. Only the refusal that ends first
    can be too early: the bound falls with every operation begun later.
    """
    refused = refused_of(uses, known)
    if not refused:
        return None
    first = min(refused, key=lambda use: use.ended)
    before = [use for use in uses if use.start <= first.ended]
    maybe = extends_of(before, None)
    extends = extends_of(before, True)
    if skew.comes_back:
        maybe += [extend for extend in extends if extend.ended >= first.start]
        extends = [extend for extend in extends if extend.ended < first.start]
    due = min([_expiry(call, extends, maybe, skew)] + [release.start for release in releases_of(before)])
    return _Lost(first, due, _basis(call, extends)) if first.ended < due else None


def _least(call: Call, uses: tuple[Call, ...], lost: _Lost | None, skew: Skew) -> tuple[int, tuple[int, ...]]:
    """Give the earliest possible end of the lease, and the operations that say so."""
    extends = extends_of(uses, True)
    least = _expiry(call, extends, extends_of(uses, None), skew)
    least = min([least] + [release.start for release in releases_of(uses)])
    if lost is not None:
        least = min(least, lost.refusal.start)  # its owner knows from here on: reported as lost, not as held twice
    proof = max((use for use in uses if use.answer), key=lambda use: use.start, default=None)
    if proof is not None and proof.start > least:
        return proof.start, (proof.index,)
    return least, _basis(call, extends)


class Latest:
    """The latest possible end after the acknowledged extends so far, pushed in order of completion."""

    def __init__(self, call: Call, known: int, skew: Skew) -> None:
        self.end = known + longest_of(call, skew)
        self._skew = skew
        self._last = call.start
        self._setters: list[Call] = []

    def push(self, extend: Call) -> None:
        """Take in the next acknowledged extend."""
        self._last = max(self._last, extend.start)
        self._setters = [setter for setter in self._setters if setter.ended >= self._last] + [extend]
        if len(self._setters) == 1:  # all others were before it: it was done while the lease was live
            self.end = min(extend.ended, self.end) + longest_of(extend, self._skew)
        else:
            self.end = max(setter.ended + longest_of(setter, self._skew) for setter in self._setters)


def lengthened(end: int, extends: Iterable[Call], skew: Skew) -> int:
    """Add extends that may have been done at any time, each once, if the lease can have lived to see it begin."""
    for extend in sorted(extends, key=lambda one: one.start):
        if extend.start >= end:
            break
        end += longest_of(extend, skew)
    return end


def _most(call: Call, uses: tuple[Call, ...], known: int, skew: Skew) -> int:
    """Give the latest possible end of the lease."""
    latest = Latest(call, known, skew)
    for extend in sorted(extends_of(uses, True), key=lambda use: use.ended):
        latest.push(extend)
    ends = [lengthened(latest.end, extends_of(uses, None), skew)]
    # At the very instant of an ending both orders are possible: the end is closed, hence + 1.
    ends += [use.ended + 1 for use in uses if use.f == "release" and use.answer]
    ends += [use.ended + 1 + skew.seen_over() for use in _last_refusals(uses, known, skew)]
    return min(ends)


def endings_of(uses: Iterable[Call], known: int, skew: Skew, until: Call | None = None) -> list[Call]:
    """Give the answers after which the lease is over: acknowledged releases, and refusals of its owner."""
    return [use for use in uses if use.f == "release" and use.answer] + _last_refusals(uses, known, skew, until)


def _last_refusals(uses: Iterable[Call], known: int, skew: Skew, until: Call | None = None) -> list[Call]:
    """Give the refusals after which the lease is over: where it may come back, those that no extend may have followed (`until` a use)."""
    found = refused_of(uses, known)
    if not skew.comes_back:
        return found
    extends = [use for use in uses if use.f == "extend" and use.answer is not False and use is not until]
    extends = [each for each in extends if until is None or each.start <= until.ended]
    return [refusal for refusal in found if all(each.end is not None and each.ended < refusal.start for each in extends)]


# What came too late


def _late(call: Call, uses: tuple[Call, ...], known: int, skew: Skew) -> Iterator[Late]:
    extends = sorted(extends_of(uses, True), key=lambda use: use.ended)
    overs: list[tuple[int, Call]] | None = None
    released = next((use for use in uses if use.f == "release" and use.answer), None)
    latest, done = Latest(call, known, skew), 0
    for use in sorted((use for use in uses if use.answer), key=lambda use: use.start):
        while done < len(extends) and extends[done].ended < use.start:
            latest.push(extends[done])
            done += 1
        if overs is None or skew.comes_back:
            ends = [(each.ended + (0 if each.answer else skew.seen_over()), each) for each in endings_of(uses, known, skew, use)]
            overs = sorted(ends, key=lambda over: over[0])[:2]
        over = next((ending for at, ending in overs if ending is not use and at < use.start), None)
        if over is not None:
            how = "released" if over.answer else f"seen lost (by {over.f})"
            yield Late(use, f"it had been {how} by {at_s(over.ended)}", (over.index,))
        elif released is not None and use.f == "release" and use is not released:
            yield Late(use, f"it was also released between {between_s(released)}", (released.index,))
        elif use.start >= latest.end and use.start >= (end := _end_before(use, latest.end, uses, skew)):
            yield Late(use, f"its lease ended by {at_s(end)}", tuple(extend.index for extend in extends[max(0, done - 1) : done]))


def _end_before(use: Call, end: int, uses: Iterable[Call], skew: Skew) -> int:
    """Give the latest end before this use: extends that overlap it, or were not answered, may have been done before it."""
    others = [other for other in uses if other.f == "extend" and other.answer is not False and other is not use]
    return lengthened(end, [other for other in others if other.end is None or other.end >= use.start], skew)
