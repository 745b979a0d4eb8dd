"""Not a workload. Windows of a throttle: counters that are incremented by 1, always with the same TTL, which is the window.

Two questions, of two checks. *At most N admissions a window*, whatever N is: a call is admitted where its answer is N at
most. Every call sets the TTL anew, so that sums rise until a whole window has passed without a call. Of N + 1 admissions two have the
same sum; so it is enough that none comes again, nor a lower one, before such a silence can have been:

    call 4 |--|      |-| |-|   |--|    |-| call 4 or less
             <--- no window without a whole call in it --->

*The window closes.* Under steady traffic it never does: each call sets the TTL anew, and one whose users call on is refused for
ever. That keeps the interface's rules, so `endless-window` judges on request, where a claim counts its class. The sum of a
call counts calls; where it is more than all that may have been made in the last window, the window is older than that:

    window 300 ms, answer 40        |- 12 calls at most -|b        28 calls were made before, and still count

*Invalid is sound* in both, if the clock that ends keys keeps within the skew (`harness.judging.checkers.skew`). Judged are keys that
are called so, and read. *Valid* of the first says nothing of other wrong sums: those are the `expiry` check's. O(n log n), and
a step for each pair of calls in a window.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from harness.judging.check import Check, Kind
from harness.judging.checkers.sentence import counted
from harness.judging.checkers.skew import NS_PER_MS, Skew, skew_of
from harness.judging.verdict import Anomaly, Verdict, first_of, invalid, unknown, valid
from harness.record import fields
from harness.record.clock import clock_sane
from harness.record.history import Event, History, Operation
from harness.record.operation import split

READS = frozenset({"get", "get_versioned"})
FOREVER = 2**63


@dataclass(frozen=True, slots=True)
class _Counter:
    """A key of a throttle: its window, and the calls that had an effect or may have, in order of invocation."""

    key: str | None
    window_ms: int
    calls: tuple[Operation, ...]

    @property
    def answered(self) -> list[Operation]:
        return [call for call in self.calls if call.status == "ok"]


@dataclass(frozen=True, slots=True)
class _Old:
    """A call whose window had been open for at least so long; `first` is the last call that may have opened it."""

    call: Operation
    first: Operation
    age: int


def admissions(history: History) -> Verdict:
    """Judge whether a window gives each of its places once; anomalies are over-admitted. Numbers: `windows` begun, `calls` answered."""
    counters, skew = _counters(history), skew_of(history)
    windows, calls = sum(map(_begun, counters)), sum(len(each.answered) for each in counters)
    numbers = {"windows": windows, "calls": calls}
    if not clock_sane(history):
        return unknown("the clock was not sane: how long a window lasted is not known", **numbers)
    anomalies = [anomaly for each in counters if (anomaly := _twice(each, skew)) is not None]
    if anomalies:
        return invalid(
            f"{len(anomalies)} of {counted(len(counters), 'throttle')} gave a place of a window twice; {first_of(anomalies)}",
            anomalies,
            **numbers,
        )
    return valid(f"{counted(calls, 'call')} in {counted(windows, 'window')}, each place of a window given once", **numbers)


def endless(history: History) -> Verdict:
    """Judge whether windows close under steady traffic; anomalies are endless-window, one a key. Number: `steady`, see `steady_windows`."""
    counters, skew = _counters(history), skew_of(history)
    numbers = {"steady": steady_windows(history)}
    if not clock_sane(history):
        return unknown("the clock was not sane: how long a window lasted is not known", **numbers)
    found = [(each, old) for each in counters if (old := _oldest(each, skew)) is not None]
    if found:
        anomalies = [_never_closed(each, old) for each, old in found]
        return invalid(f"{len(found)} of {counted(len(counters), 'window')} did not close; {first_of(anomalies)}", anomalies, **numbers)
    return valid(
        f"no window was open longer than it lasts, with traffic of up to {counted(numbers['steady'], 'window')} without a silence",
        **numbers,
    )


def windows_begun(history: History) -> int:
    """Count the windows of which the first call was answered."""
    return sum(map(_begun, _counters(history)))


def steady_windows(history: History) -> int:
    """Give for how many windows, at most, a key was called without a silence that ends one."""
    skew = skew_of(history)
    return max((run // (each.window_ms * NS_PER_MS) for each in _counters(history) for run in _runs(each, skew)), default=0)


def is_throttle(events: Sequence[Event]) -> bool:
    """Say whether a key is called as a throttle, and a call was answered: counted up by 1, always with the same TTL, and read."""
    answered = any(each.type == "ok" and each.f == "increment" for each in events)
    return answered and _window_ms([(each.f, each.value) for each in events if each.type == "invoke"]) is not None


def _counters(history: History) -> list[_Counter]:
    found = []
    for key, operations in split(history.operations()).items():
        window_ms = _window_ms([(each.f, each.argument) for each in operations])
        if window_ms is not None:
            calls = tuple(each for each in operations if each.f not in READS and each.status != "fail")
            found.append(_Counter(key, window_ms, calls))
    return found


def _window_ms(asked: Sequence[tuple[str, Any]]) -> int | None:
    """Give the TTL of all that was asked but reads, None where it is no throttle that is asked."""
    changes = [(f, argument) for f, argument in asked if f not in READS]
    if not all(f == "increment" and isinstance(argument, Mapping) and argument.get("delta") == 1 for f, argument in changes):
        return None
    windows = {argument.get("ttl_ms") for _, argument in changes}
    window_ms = windows.pop() if len(windows) == 1 else None
    return window_ms if type(window_ms) is int else None


def _sum(call: Operation) -> int | None:
    return None if call.result["value"] is None else fields.integer(call, "result", "value")


def _begun(counter: _Counter) -> int:
    return sum(_sum(call) == 1 for call in counter.answered)


def _twice(counter: _Counter, skew: Skew) -> Anomaly | None:
    """Give the first call that was given a place again, or one before: no window can have ended since the other call."""
    least = counter.window_ms * NS_PER_MS - skew.before(counter.window_ms)
    calls = sorted((call for call in counter.answered if _sum(call) is not None), key=_end)
    silences = _silences(counter.answered, least)
    for number, call in enumerate(calls):
        latest = bisect_right(silences, _end(call) - least)
        since = silences[latest - 1] if latest else -1
        for other in reversed(calls[:number]):
            again = _same(other, call, least, silences) or (_end(other) < call.start and _place(other) > _place(call))
            if other.start > since and again:
                return _over(counter, other, call)
    return None


def _same(other: Operation, call: Operation, least: int, silences: Sequence[int]) -> bool:
    """Say whether two calls have one sum, and whichever was first, no window can have ended between them."""
    if _place(other) != _place(call):
        return False
    begun = bisect_left(silences, call.start)
    return begun == len(silences) or silences[begun] > _end(other) - least


def _silences(calls: Sequence[Operation], least: int) -> list[int]:
    """Give when a window without a call may have begun: with a call, such that each that began later may have come a window after it."""
    found: list[int] = []
    ended = FOREVER
    for call in sorted(calls, key=lambda each: each.start, reverse=True):
        if ended >= call.start + least:
            found.append(call.start)
        ended = min(ended, _end(call))
    return found[::-1]


def _place(call: Operation) -> int:
    place = _sum(call)
    assert place is not None
    return place


def _oldest(counter: _Counter, skew: Skew) -> _Old | None:
    """Give the answered call that shows the oldest window, None if none is older than a window lasts."""
    most = counter.window_ms * NS_PER_MS + skew.late(counter.window_ms)
    ends: list[tuple[int, int]] = []  # of the calls made by then, with their places: the one that ended last may have been made last
    waiting = iter(enumerate(counter.calls))
    following = next(waiting, None)
    oldest: _Old | None = None
    for call in sorted(counter.answered, key=lambda each: each.end_index or 0):
        while following is not None and following[1].index < (call.end_index or 0):
            insort(ends, (FOREVER if following[1].end is None else following[1].end, following[0]))
            following = next(waiting, None)
        place = _sum(call)
        if place is None or not 1 <= place <= len(ends):
            continue
        ended, number = ends[-place]
        if call.start - ended > max(most, oldest.age if oldest is not None else 0):
            oldest = _Old(call, counter.calls[number], call.start - ended)
    return oldest


def _runs(counter: _Counter, skew: Skew) -> Iterator[int]:
    """Give the lengths of traffic without a silence that may have ended a window."""
    least = counter.window_ms * NS_PER_MS - skew.before(counter.window_ms)
    calls = sorted(counter.answered, key=_end)
    begun = calls[0].start if calls else 0
    for before, call in pairwise(calls):
        if _end(call) - before.start >= least:
            begun = call.start
        yield _end(call) - begun


def _end(call: Operation) -> int:
    assert call.end is not None
    return call.end


def _over(counter: _Counter, first: Operation, second: Operation) -> Anomaly:
    message = (
        f"{_who(second)} was call {_place(second)} of {counter.key} between {_s(second.start)} and {_s(_end(second))}, after {_who(first)} "
        f"was call {_place(first)} between {_s(first.start)} and {_s(_end(first))}: they never paused for {counter.window_ms} ms"
    )
    at = max(_end(first), _end(second))
    return Anomaly("over-admitted", counter.key, tuple(sorted((first.index, second.index))), at, message, live=_end(first))


def _never_closed(counter: _Counter, old: _Old) -> Anomaly:
    call, place = old.call, _sum(old.call)
    message = (
        f"{_who(call)} was told at {_s(_end(call))} that it is call {place} of a window of {counter.window_ms} ms on {counter.key}: "
        f"it has been open since {_s(_end(old.first))} at least, {old.age / NS_PER_MS:.0f} ms"
    )
    operations = tuple(sorted({old.first.index, call.index}))
    return Anomaly("endless-window", counter.key, operations, _end(call), message, live=_end(old.first))


def _who(call: Operation) -> str:
    return f"process {call.process}" + (f" ({call.node})" if call.node else "")


def _s(ns: int) -> str:
    return f"{ns / 1e9:.3f} s"


ADMISSIONS = Check(
    name="throttle",
    sentence="a window gives each of its places once, so that no more than N calls are told a number of N at most",
    kinds=(
        Kind(
            name="over-admitted",
            rule="The numbers of calls rise until a window has passed without one.",
            heading="{key} gave a place of its window twice",
            one="One window admitted too many",
            many="{n} windows admitted too many",
            rank=36,
            of_a_key=True,
            each_operation=True,
        ),
    ),
    judge=lambda history, terms: admissions(history),
    families=("key",),
    wanted=frozenset({"increment"}),
    picks=is_throttle,
    gates={"windows_begun": lambda history, terms: windows_begun(history)},
)

ENDLESS = Check(
    name="endless-window",
    sentence="a window closes after its time also while calls go on",
    kinds=(
        Kind(
            name="endless-window",
            rule="A window of a throttle ends after its time, however many call meanwhile.",
            heading="{key}: the window did not close while calls went on",
            one="One window never closed under steady traffic",
            many="{n} windows never closed under steady traffic",
            brief="never closes",
            rank=180,
            of_a_key=True,
            each_operation=True,
        ),
    ),
    judge=lambda history, terms: endless(history),
    families=("key",),
    wanted=frozenset({"increment"}),
    picks=is_throttle,
    on_request=True,
    gates={"steady_windows": lambda history, terms: steady_windows(history)},
)
