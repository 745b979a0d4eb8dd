"""ABA: a compare_and_swap that succeeded on a version which its caller had read in an earlier life of the key.

A delete or an expiry ends a life, and versions start at 1 again. Between a caller's read and its swap the key may end and
come to the same version anew: the swap then succeeds, and replaces a value that its caller has never seen.

    read: version 2          ended                    swap of version 2: true
       |-------|         |----------|                     |--------|
                 delete true, check_and_set true,
                 a swap of version 0 true, seen missing

The interface allows it, since it promises no more of versions. So the check judges on request: where a claim counts its class.

*Invalid is sound.* What a process was told last of the key, before its swap, is the version that it swapped, and the life ended
after the last value that it read or made. An answer that only
the end of that life explains lies wholly between the two, in the order of events. With client clocks a key that one
client sees missing may live for another, so that there only what replaced or removed it counts. *Valid* is not complete: what ended
without such an answer is not seen, nor what a slot read before an operation without an answer. O(n) in operations, a step each that
ended a life and came after a read.

Source: Treiber, Systems Programming: Coping with Parallelism, IBM RJ 5118, 1986 (the problem, and counters as the way out).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.judging.check import Check, Kind
from harness.judging.verdict import Anomaly, Verdict, first_of, invalid, valid
from harness.record import fields
from harness.record.history import History, Operation
from harness.record.operation import split

SWAP = "compare_and_swap"


@dataclass(frozen=True, slots=True)
class _Stale:
    """A swap, the answer from which its caller knew the version, and what ended that life between the two."""

    told: Operation
    ended: Operation
    swap: Operation


def aba(history: History) -> Verdict:
    """Judge every key; anomalies are aba. Numbers: `swaps` that succeeded, `stale_tried` on a version of an ended life."""
    answered = [each for each in history.operations() if each.status == "ok"]
    stale = list(_stale(answered, looks=_one_clock(history)))
    found = [each for each in stale if _swapped(each.swap)]
    numbers = {"swaps": sum(each.f == SWAP and _swapped(each) for each in answered), "stale_tried": len(stale)}
    if found:
        anomalies = [_anomaly(each) for each in found]
        return invalid(f"{len(found)} of {numbers['swaps']} swaps met another life's version; {first_of(anomalies)}", anomalies, **numbers)
    return valid(f"{numbers['swaps']} swaps, none on the version of an ended life; {len(stale)} of those refused", **numbers)


def stale_tried(history: History) -> int:
    """Count answered swaps of a version that their caller had read in a life that had ended."""
    answered = [each for each in history.operations() if each.status == "ok"]
    return sum(1 for _ in _stale(answered, looks=_one_clock(history)))


def _one_clock(history: History) -> bool:
    return history.header is None or history.header.clock_bound_ms is None


def _stale(answered: Iterable[Operation], *, looks: bool) -> Iterator[_Stale]:
    for operations in split(answered).values():
        enders = sorted((each for each in operations if _ends(each, looks=looks)), key=lambda each: each.index)
        told: dict[int, tuple[Operation, int]] = {}
        met: dict[int, Operation] = {}  # by process: what it last read or made
        for operation in sorted(operations, key=lambda each: each.index):
            last, version = told.get(operation.process, (None, 0))
            if operation.f == SWAP and last is not None and version == fields.integer(operation, "argument", "expected") > 0:
                since = met[operation.process]
                ended = next((each for each in enders if _after(each, since) and _after(operation, each)), None)
                if ended is not None:
                    yield _Stale(last, ended, operation)
            if operation.f in ("get_versioned", SWAP):
                told[operation.process] = operation, fields.integer(operation, "result", "version")
            if _meets(operation):
                met[operation.process] = operation


def _ends(operation: Operation, *, looks: bool) -> bool:
    """Say whether an answer shows that the life that was there before has ended; `looks`: one that only saw it missing does."""
    match operation.f:
        case "check_and_set":
            return fields.flag(operation, "result", "set")
        case "delete":
            return fields.flag(operation, "result", "deleted") or looks
        case "compare_and_swap":
            created = _swapped(operation) and fields.integer(operation, "argument", "expected") == 0
            return created or (looks and fields.integer(operation, "result", "version") == 0)
        case "get" | "get_versioned":
            return looks and fields.text(operation, "result", "value") is None
    return False


def _swapped(operation: Operation) -> bool:
    return fields.flag(operation, "result", "swapped")


def _meets(operation: Operation) -> bool:
    """Say whether its caller has read the value that is there after it, or made it, or learnt that there is none."""
    match operation.f:
        case "delete":
            return False
        case "check_and_set":
            return fields.flag(operation, "result", "set")
    return True


def _after(later: Operation, earlier: Operation) -> bool:
    return earlier.end_index is not None and earlier.end_index < later.index


def _anomaly(found: _Stale) -> Anomaly:
    told, ended, swap = found.told, found.ended, found.swap
    assert told.end is not None
    assert swap.end is not None
    version = swap.argument["expected"]
    message = (
        f"process {swap.process} knew {swap.key or 'the object'} at version {version} from {_s(told.end)}; {_how(ended)} by "
        f"{_s(ended.end)}, and yet its compare_and_swap of version {version} succeeded by {_s(swap.end)}, on another life's value"
    )
    return Anomaly("aba", swap.key, (told.index, ended.index, swap.index), swap.end, message, live=told.end)


def _how(ended: Operation) -> str:
    if ended.f == "delete" and ended.result["deleted"]:
        return f"process {ended.process} deleted it"
    if ended.f == "check_and_set" or (ended.f == SWAP and _swapped(ended)):
        return f"process {ended.process} created it anew"
    return f"process {ended.process} saw it missing"


def _s(ns: int | None) -> str:
    return "?" if ns is None else f"{ns / 1e9:.3f} s"


ABA = Check(
    name="aba",
    sentence="no compare_and_swap succeeds on a version that its caller read before the key was deleted or expired",
    kinds=(
        Kind(
            name="aba",
            rule="A version names one value, also when its key was deleted or has expired since.",
            heading="{key}: a swap met the version of an earlier life",
            one="One swap succeeded on the version of an earlier life",
            many="{n} swaps succeeded on the version of an earlier life",
            brief="ABA",
            rank=170,
            each_operation=True,
        ),
    ),
    judge=lambda history, terms: aba(history),
    families=("key", "versioned-register"),
    wanted=frozenset({SWAP}),
    on_request=True,
    gates={"stale_swaps_tried": lambda history, terms: stale_tried(history)},
)
