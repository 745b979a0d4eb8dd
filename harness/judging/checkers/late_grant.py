"""A bound: a cut-off primary acknowledges no grant and no dedup win invoked later than so long after the cut began.

Judged are acquisitions and tries of check_and_set in the zone

    begin .......... begin + bound |==== zone ====| healing

invoked inside it. Those granted or won whose answer by the old primary ended before healing began are
violations, whoever asked. *Invalid is sound*: once healing begins the old primary may be in touch with its
replicas again, and until it is demoted it goes on acknowledging, so that what it answers from then on says
nothing of a primary that is cut off. *Valid* says how much was tried; a claim asks for enough of it by its
gates. *Unknown*: no cut was proved active, nobody tried inside the zone, or a grant to the side of the old
primary does not say which node gave it. O(n) in operations.

An extension is no grant: reads and looks on a cut-off primary stay possible, and are not judged here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.judging.check import Check, Kind, Terms
from harness.judging.verdict import Anomaly, Verdict, first_of, invalid, unknown, valid
from harness.record.history import SPLIT_BRAIN, History, Moment, Operation

STAYING = "clients-a"
ANSWERS = {"try_acquire": "granted", "acquire_within": "granted", "check_and_set": "set"}


@dataclass(frozen=True, slots=True)
class _Cut:
    """One cut that was proved; `healing` is None where the history ends before it."""

    old: str
    begin: Moment
    healing: Moment | None

    def zone(self, operation: Operation, bound_ns: int) -> bool:
        return self.begin.time + bound_ns <= operation.start and (self.healing is None or operation.index < self.healing.index)

    def answered_in_time(self, operation: Operation) -> bool:
        return operation.end_index is not None and (self.healing is None or operation.end_index < self.healing.index)


def late_grant(history: History, bound_ns: int) -> Verdict:
    """Judge a trial by its bound, in nanoseconds after the begin of the cut; anomalies are late-grant.

    Numbers: `attempted_on_old_after_bound`, by the side of the old primary, whatever came of it;
    `answered_by_new_after_bound`, answers of other nodes to the other side; `late`.
    """
    cuts = _cuts(history)
    if not cuts:
        return unknown("no split brain was proved active")
    side = staying_side(history)
    tries = [each for each in history.operations() if each.f in ANSWERS]
    attempted = answered = nameless = 0
    late: list[tuple[_Cut, Operation]] = []
    for cut in cuts:
        zone = [each for each in tries if cut.zone(each, bound_ns)]
        mine = [each for each in zone if side is not None and history.side(each.process) == side]
        others = [each for each in zone if side is not None and history.side(each.process) not in (side, None)]
        attempted += len(mine)
        answered += sum(each.status == "ok" and each.node not in (cut.old, None) for each in others)
        given = [each for each in zone if _given(each) and cut.answered_in_time(each)]
        late += [(cut, each) for each in given if each.node == cut.old]
        nameless += sum(each.node is None for each in given)
    numbers = {"attempted_on_old_after_bound": attempted, "answered_by_new_after_bound": answered, "late": len(late)}
    bound = f"later than {bound_ns / 1e9:g} s after the cut"
    if late:
        anomalies = [_anomaly(cut, each, bound_ns) for cut, each in late]
        told = f"{len(late)} acknowledged by the cut-off primary {bound}, of {attempted} attempts on its side; {first_of(anomalies)}"
        return invalid(told, anomalies, **numbers)
    if nameless:
        return unknown(f"{nameless} grants {bound} do not say which node gave them", **numbers)
    if not attempted:
        return unknown(f"nobody on the side of the old primary tried {bound}", **numbers)
    return valid(f"nothing acknowledged by {cuts[0].old} {bound}, of {attempted} attempts", **numbers)


def staying_side(history: History) -> str | None:
    """Give the side that stays with the old primary in a split brain: clients-a, else the first one; None without sides."""
    sides = history.header.sides if history.header else {}
    return STAYING if STAYING in sides.values() else sides.get("0")


def _cuts(history: History) -> list[_Cut]:
    proved = [fault for fault in history.faults if fault.splits_brain and fault.active is not None]
    return [_Cut(fault.targets[0], fault.begin, fault.healing) for fault in proved if fault.begin is not None and fault.targets]


def _given(operation: Operation) -> bool:
    return operation.status == "ok" and operation.result[ANSWERS[operation.f]] is True


def _anomaly(cut: _Cut, operation: Operation, bound_ns: int) -> Anomaly:
    assert operation.end is not None
    key = "the object" if operation.key is None else operation.key
    what = f"that process {operation.process} had set {key}" if operation.f == "check_and_set" else f"{key} to process {operation.process}"
    message = (
        f"{operation.node} acknowledged {what} at {operation.end / 1e9:.3f} s, "
        f"asked {(operation.start - cut.begin.time) / 1e9:.3f} s after the cut began; the bound is {bound_ns / 1e9:g} s"
    )
    return Anomaly("late-grant", operation.key, (operation.index,), at=operation.end, message=message, live=operation.end)


def _number(name: str) -> Callable[[History, Terms], int]:
    def measure(history: History, terms: Terms) -> int:
        return 0 if terms.bound_ns is None else int(late_grant(history, terms.bound_ns).numbers.get(name, 0))

    return measure


def _judge(history: History, terms: Terms) -> Verdict:
    assert terms.bound_ns is not None
    return late_grant(history, terms.bound_ns)


LATE_GRANT = Check(
    name="late-grant",
    sentence="a cut-off primary acknowledges nothing that is asked later than a bound after the cut began",
    kinds=(
        Kind(
            name="late-grant",
            rule="A primary that has been cut off for this long must not acknowledge any more.",
            heading="{key} was granted by a primary long cut off",
            one="A cut-off primary still acknowledged once",
            many="A cut-off primary still acknowledged {times}",
            rank=120,
            strip=True,
        ),
    ),
    judge=_judge,
    effects=SPLIT_BRAIN,
    needs_bound=True,
    gates={name: _number(name) for name in ("attempted_on_old_after_bound", "answered_by_new_after_bound")},
)
