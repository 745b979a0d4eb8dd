"""Not a workload. A bound: an acquisition that waits for a time gives its answer within that time + 250 ms, whatever the answer is.

Judged is how long each `acquire_within` lasted from invocation to completion: granted, timed out, failed or
without an answer. What it was granted is the lease rules' business.

*Whose delay it was.* A recorded interval contains the true one, and on a busy machine it is longer: a thread
that is not run returns late from a call that was over. The run's lag meter records when its own thread
slept too long (`lag` events, `workloads.acquire.lag`). Of an acquisition beyond the bound

    net = lasted - what the meter overslept meanwhile

    net <= bound                  set aside: the machine explains it. Not judged
    net <= bound + MARGIN         in doubt: another thread's delay is not the meter's. The check is unknown
    beyond that                   late; in doubt where no meter ran

*Invalid is sound* as far as no thread is held up by the machine for 100 ms more than the meter's was.
*Valid* says nothing of those set aside: with more than one in twenty of them it is unknown. One that was never
answered is judged by the time that the history shows it open. O(n log n) in operations.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

from harness.judging.check import Check, Kind
from harness.judging.verdict import Anomaly, Verdict, first_of, invalid, unknown, valid
from harness.record.fields import malformed
from harness.record.history import History, Operation

NS_PER_MS = 1_000_000
SLACK_NS = 250 * NS_PER_MS
MARGIN_NS = 100 * NS_PER_MS
ASIDE = 0.05


@dataclass(frozen=True, slots=True)
class _Wait:
    """An acquisition: how long it lasted, how long it may have, and what the meter overslept meanwhile, in ns."""

    operation: Operation
    until: int
    allowed: int
    overslept: int

    @property
    def lasted(self) -> int:
        return self.until - self.operation.start

    @property
    def excess(self) -> int:
        """Give by how much it is beyond its bound when the machine's delay is taken off."""
        return self.lasted - self.overslept - self.allowed


def acquire_bound(history: History) -> Verdict:
    """Judge every `acquire_within` of a history by its own timeout; anomalies are acquire-late.

    Numbers: `waits` judged, the longest time beyond the timeout `most_over_ms` (0 if none), `set_aside`,
    `overslept_ms` in all. Raises MalformedHistory where an invocation lacks its timeout.
    """
    meter = _Meter(history)
    waits = [wait for operation in history.operations() if (wait := _wait(operation, history, meter)) is not None]
    beyond = [wait for wait in waits if wait.lasted > wait.allowed]
    aside = [wait for wait in beyond if wait.excess <= 0]
    late = [wait for wait in beyond if wait.excess > MARGIN_NS and meter.ran]
    doubtful = len(beyond) - len(aside) - len(late)
    judged = [wait for wait in waits if wait.lasted <= wait.allowed or wait.excess > 0]
    over = max((wait.lasted - wait.allowed + SLACK_NS for wait in judged), default=0)
    numbers = {
        "waits": len(judged),
        "most_over_ms": max(0, round(over / NS_PER_MS)),
        "set_aside": len(aside),
        "overslept_ms": round(meter.total / NS_PER_MS),
    }
    if late:
        anomalies = [_anomaly(wait) for wait in late]
        return invalid(f"{len(late)} of {len(judged)} acquisitions came late; {first_of(anomalies)}", anomalies, **numbers)
    if not judged:
        return unknown("no acquisition within a time was seen", **numbers)
    if doubtful:
        why = "too little to tell from this machine's delays" if meter.ran else "nothing measured this machine's delays"
        return unknown(f"{doubtful} of {len(judged)} acquisitions came late, {why}", **numbers)
    if len(aside) > ASIDE * len(waits):
        return unknown(f"{len(aside)} of {len(waits)} acquisitions were held up by this machine", **numbers)
    return valid(f"{len(judged)} acquisitions, each at most {numbers['most_over_ms']} ms beyond its timeout", **numbers)


def _wait(operation: Operation, history: History, meter: _Meter) -> _Wait | None:
    if operation.f != "acquire_within":
        return None
    timeout_ms = operation.argument.get("timeout_ms") if isinstance(operation.argument, dict) else None
    if type(timeout_ms) is not int or timeout_ms < 0:
        raise malformed(operation, f"timeout_ms {timeout_ms!r}, expected milliseconds")
    ended = operation.end if operation.end is not None else operation.gave_up
    until = history.events[-1].time if ended is None else ended
    wait = _Wait(operation, until, timeout_ms * NS_PER_MS + SLACK_NS, meter.overslept(operation.start, until))
    return None if ended is None and wait.lasted <= wait.allowed else wait  # cut off by the end of the history


class _Meter:
    """What the lag meter overslept: intervals that do not overlap, in order."""

    def __init__(self, history: History) -> None:
        self.ran = bool(history.overslept)
        self._ends = [each.moment.time for each in history.overslept]
        self._lengths = [each.ns for each in history.overslept]
        self._sums: list[int] = [0, *accumulate(self._lengths)]
        self.total = self._sums[-1]

    def overslept(self, start: int, end: int) -> int:
        """Give the time overslept in an interval, the parts of a sleep that reach out of it left off."""
        first, last = bisect_right(self._ends, start), bisect_right(self._ends, end)
        total = self._sums[last] - self._sums[first]
        if first < last:
            total -= max(0, start - (self._ends[first] - self._lengths[first]))
        if last < len(self._ends):
            total += max(0, end - max(start, self._ends[last] - self._lengths[last]))
        return total


def _anomaly(wait: _Wait) -> Anomaly:
    operation = wait.operation
    timeout_ms = operation.argument["timeout_ms"]
    how = {"ok": "answered", "fail": "given up"}.get(operation.status, "without an answer")
    over = (
        f"the bound is {timeout_ms} + {SLACK_NS // NS_PER_MS} ms, and the lag meter overslept {wait.overslept / NS_PER_MS:.0f} ms meanwhile"
    )
    message = (
        f"process {operation.process} waited {wait.lasted / NS_PER_MS:.0f} ms for {operation.key}, "
        f"until {wait.until / 1e9:.3f} s, and was {how}; {over}"
    )
    return Anomaly("acquire-late", operation.key, (operation.index,), wait.until, message, live=operation.start)


ACQUIRE_BOUND = Check(
    name="acquire-bound",
    sentence="an acquisition that waits for a time gives its answer within that time + 250 ms",
    kinds=(
        Kind(
            name="acquire-late",
            rule="acquire returns at its timeout, whatever the server does.",
            heading="{key}: acquire returned late",
            one="acquire returned late once",
            many="acquire returned late {times}",
            rank=110,
        ),
    ),
    judge=lambda history, terms: acquire_bound(history),
    families=("lease",),
    wanted=frozenset({"acquire_within"}),
)
