"""Who led in a trial: which changes of roles no fault was meant to make, and which node took over."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.record.history import History, Moment, RecordedFault, RoleSeen


@dataclass(frozen=True, slots=True)
class Promotion:
    """A node seen as primary that was not one when the first fault began; `old` is the one that was."""

    node: str
    moment: Moment
    old: str | None


def baseline(history: History) -> dict[str, RoleSeen]:
    """Give the last role of each node seen before the trial's first fault."""
    first = min((fault.begin.index for fault in history.faults if fault.begin is not None), default=None)
    return {seen.node: seen for seen in _answered(history) if first is None or seen.moment.index < first}


def promotions(history: History) -> list[Promotion]:
    """Give each node that became primary after the first fault began and was not one before, once."""
    before = baseline(history)
    old = next((node for node, seen in before.items() if seen.role == "primary"), None)
    found: dict[str, Promotion] = {}
    for seen in _answered(history):
        if seen.role == "primary" and seen.node in before and before[seen.node].role != "primary" and seen.node not in found:
            found[seen.node] = Promotion(seen.node, seen.moment, old)
    return list(found.values())


def unplanned(history: History) -> list[str]:
    """Name each change of role, epoch or run id from the steady state on that no fault of the trial was meant to make.

    A fault that changes roles and met a primary allows any change from its begin until the trial is
    settled. Every other fault allows its own target to be away and to come back as what it was; only
    one that changes roles may give it a new run id. So the death of a replica excuses no election.
    """
    steady = history.mark("steady")
    if steady is None:
        return []
    allowed = _Allowed(history)
    last: dict[str, RoleSeen] = {}
    found = []
    for seen in _answered(history):
        before = last.get(seen.node)
        last[seen.node] = _completed(seen, before)
        if before is None or seen.moment.index < steady.moment.index or not _differs(before, seen):
            continue
        if not allowed(seen, before):
            found.append(f"{seen.node} became {seen.role} (epoch {seen.epoch}) with no fault meant to do so")
    return found


def _answered(history: History) -> list[RoleSeen]:
    return [seen for seen in history.roles if seen.answered]


def _completed(seen: RoleSeen, before: RoleSeen | None) -> RoleSeen:
    """Keep the last epoch and run id that were seen: a dead node tells none."""
    if before is None:
        return seen
    return replace(
        seen,
        epoch=before.epoch if seen.epoch is None else seen.epoch,
        run_id=before.run_id if seen.run_id is None else seen.run_id,
    )


def _differs(before: RoleSeen, after: RoleSeen) -> bool:
    return before.role != after.role or _moved(before.epoch, after.epoch) or _moved(before.run_id, after.run_id)


def _moved(before: int | str | None, after: int | str | None) -> bool:
    return None not in (before, after) and before != after


class _Allowed:
    """Which changes the faults of a trial explain."""

    def __init__(self, history: History) -> None:
        self._faults = history.faults
        self._roles = baseline(history)
        settled = history.mark("settled")
        self._until = None if settled is None else settled.moment.time

    def __call__(self, seen: RoleSeen, before: RoleSeen) -> bool:
        return any(self._explains(fault, seen, before) for fault in self._faults)

    def _explains(self, fault: RecordedFault, seen: RoleSeen, before: RoleSeen) -> bool:
        if fault.begin is None or seen.moment.index < fault.begin.index:
            return False
        if self._until is not None and seen.moment.time > self._until:
            return False
        if fault.changes_roles and self._meets_primary(fault):
            return True
        if seen.node not in fault.targets:
            return False
        back = seen.role in ("paused", "dead", self._role(seen.node))
        return back and not _moved(before.epoch, seen.epoch) and (fault.changes_roles or not _moved(before.run_id, seen.run_id))

    def _meets_primary(self, fault: RecordedFault) -> bool:
        # A target that is no node (a link), or whose role was never seen, may be the primary's.
        return not fault.targets or any(self._role(target) in ("primary", None) for target in fault.targets)

    def _role(self, node: str) -> str | None:
        return self._roles[node].role if node in self._roles else None
