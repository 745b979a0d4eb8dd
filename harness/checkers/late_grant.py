"""A bound: a cut-off primary acknowledges nothing that was invoked later than so long after the cut began.

Judged are operations invoked by the side that stayed with the old primary, from the bound until
healing begins; a grant or a dedup win among them that the old primary answered is a violation. Sound
and complete for that statement. Unknown where no cut was proved active.
"""

from __future__ import annotations

from harness.history import NEMESIS, Event, History, Operation
from harness.verdict import Anomaly, Verdict, invalid, unknown, valid

FAULT = "isolate-primary"
TRIES = ("try_acquire", "check_and_set")


def late_grant(history: History, bound_ns: int) -> Verdict:
    """Judge one trial by its bound, in ns after the begin of the cut."""
    phases = {event.value["phase"]: event for event in history.events if event.process == NEMESIS and event.f == FAULT}
    if not {"begin", "active", "healing"} <= set(phases):
        return unknown(f"no {FAULT} was proved active and healed")
    old = phases["begin"].value["targets"][0]
    first = history.header.sides.get("0") if history.header else None
    zone = [each for each in history.operations() if each.f in TRIES and _inside(each, phases, bound_ns)]
    on_old = [each for each in zone if history.side(each.process) == first]
    by_new = [each for each in zone if each.status == "ok" and each.node is not None and each.node != old]
    late = [each for each in on_old if each.status == "ok" and each.node == old and (each.result.get("granted") or each.result.get("set"))]
    numbers = {"attempted_on_old_after_bound": len(on_old), "answered_by_new_after_bound": len(by_new), "late": len(late)}
    if not late:
        return valid(f"no grant by {old} later than {bound_ns / 1e9:g} s after the cut, of {len(on_old)} attempts", **numbers)
    begin = phases["begin"].time
    return invalid(
        f"{len(late)} acknowledgements by {old} later than {bound_ns / 1e9:g} s after the cut",
        [_anomaly(each, begin, bound_ns) for each in late],
        **numbers,
    )


def _inside(operation: Operation, phases: dict[str, Event], bound_ns: int) -> bool:
    return phases["begin"].time + bound_ns <= operation.start and operation.index < phases["healing"].index


def _anomaly(operation: Operation, begin: int, bound_ns: int) -> Anomaly:
    assert operation.end is not None
    what = "granted" if operation.f == "try_acquire" else "won"
    after = (operation.start - begin) / 1e9
    message = (
        f"{operation.node} acknowledged {operation.key} as {what} to process {operation.process} at {operation.end / 1e9:.3f} s, "
        f"asked {after:.3f} s after the cut began; the bound is {bound_ns / 1e9:g} s"
    )
    return Anomaly("late-grant", operation.key, (operation.index,), at=operation.end, message=message)
