"""What lists and scans have in common beside the look at each object: whose a name is, words, and the verdict."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from harness.judging.checkers.projection import Seen
from harness.judging.verdict import Anomaly, Verdict, combine, first_of, invalid, kinds_of, unknown, valid
from harness.record.history import History, Operation

NS_PER_S = 1_000_000_000


def own_names(history: History) -> Callable[[str], bool]:
    """Give whether a name is one that this history's own operations must have made: a server keeps what other trials left."""
    trials = sorted({mark.n for mark in history.marks})
    ours = re.compile("|".join(rf"t{n}(?!\d)" for n in trials))  # without trials every name is
    return lambda name: ours.match(name) is not None


def who(operation: Operation) -> str:
    """Name the process, where it was answered, and when."""
    node = f" ({operation.node})" if operation.node else ""
    end = "..." if operation.end is None else f"{operation.end / NS_PER_S:.3f} s"
    return f"process {operation.process}{node} [{operation.start / NS_PER_S:.3f} s, {end}]"


def named(key: str | None) -> str:
    """Name what an event's key names."""
    return "the object" if key is None else key


def legible(name: str) -> str:
    """Give a name as it is, or quoted where it has signs that nobody sees."""
    return name if name.isprintable() else repr(name)


def summed(anomalies: Sequence[Anomaly], seen: Sequence[Seen], numbers: Mapping[str, int], what: str, nothing: str | None) -> Verdict:
    """Give the verdict; `what` was judged, and `nothing` says that it was too little to be one."""
    found: dict[str, Verdict] = {}
    if anomalies:
        found["wrong"] = invalid(f"{kinds_of(anomalies)}, in {what}; {first_of(anomalies)}", anomalies, **numbers)
    if undecided := [each for each in seen if each.reason is not None]:
        first = undecided[0]
        found["undecided"] = unknown(f"{what}: {len(undecided)} undecided, the first {legible(first.name)}: {first.reason}", **numbers)
    if not found:
        return unknown(nothing, **numbers) if nothing is not None else valid(f"{what} as they must be", **numbers)
    if len(found) == 1:
        return next(iter(found.values()))
    whole = combine(found)
    return Verdict(whole.status, whole.summary, parts=whole.parts, numbers=numbers)
