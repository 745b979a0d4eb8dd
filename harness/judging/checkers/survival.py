"""What an operator asks after a crash: of the locks and dedup keys acknowledged before, how many were still there?

Counts, and no anomaly of its own: what was lost is found by the lease and dedup checks. They are evidence
for gates, since a survival that nobody could have missed proves nothing, so each count may be too low,
never too high.

*The crash* is the `begin` of the fault that killed, be it one of its own or one that followed a cut.
A fault that cuts replication kills nobody: there the crash is the promotion, when the old primary's state was
given up. A fault of replicas is none; of a schedule the first crash counts.
*Before* it counts what was acknowledged until then; where replication
was cut first, only from the begin of the cut on, since the rest had been copied; with `whole`, from the beginning
of the trial on: a synchronous primary acknowledges nothing once it is cut off, and what it had acknowledged until then
is what must survive. *After* it counts what the
promoted node answers once it was seen promoted; without a promotion, what the restarted server answers once
the fault is `healed`. What the old primary goes on answering on its side of a split brain counts nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.judging.checkers.grants import Grant, grants
from harness.record.history import Effect, History, Moment, Operation, RecordedFault, split

TRIES = frozenset({"try_acquire", "check_and_set"})

READS = ("get", "get_versioned")
PROBES = {"try_acquire": "granted", "is_held": "held", "extend": "held"}
REFUSABLE = {"is_held": "held", "extend": "held", "release": "released"}


@dataclass(frozen=True, slots=True)
class Survival:
    """Of one trial: what was acknowledged before the crash, what of it was asked about after it, what was gone."""

    dedup_acknowledged: int = 0
    dedup_read_back: int = 0
    dedup_lost: int = 0
    locks_held_across: int = 0
    locks_probed: int = 0
    locks_lost: int = 0


@dataclass(frozen=True, slots=True)
class _Crash:
    """From event `since` to event `index` counts as before; after it, who answers from which event on (None: any node)."""

    since: int
    index: int
    time: int
    answering: Mapping[str | None, int]

    def before(self, operation: Operation) -> bool:
        return operation.end_index is not None and self.since < operation.end_index < self.index

    def after(self, operation: Operation) -> bool:
        since = self.answering.get(operation.node)
        return operation.status == "ok" and since is not None and operation.index > since


def survival(history: History, *, whole: bool = False) -> Survival:
    """Count what survived the crash or promotion of one trial; all 0 where there was none. O(n log n) in operations."""
    crash = _crash(history, whole=whole)
    if crash is None:
        return Survival()
    operations = history.operations()
    won = _won(operations, crash)
    read = _read_back(operations, crash, won)
    by_key = split(operations)
    held = _held(operations, crash)
    answers = [[_denies(each) for each in by_key[grant.key] if crash.after(each) and _probes(each, grant)] for grant in held]
    return Survival(
        dedup_acknowledged=len(won),
        dedup_read_back=len(read),
        dedup_lost=sum(bool(values - won[key]) for key, values in read.items()),
        locks_held_across=len(held),
        locks_probed=sum(bool(found) for found in answers),
        locks_lost=sum(any(found) for found in answers),
    )


def attempted_while_cut(history: History) -> int:
    """Count the grants and dedup wins asked for between the cut and the crash of one trial, whatever came of them."""
    crash = _crash(history)
    if crash is None or crash.since < 0:
        return 0
    return sum(each.f in TRIES and crash.since < each.index < crash.index for each in history.operations())


# The crash


def _crash(history: History, *, whole: bool = False) -> _Crash | None:
    begins = next(filter(None, (_meeting_primary(history, strike) for strike in history.strikes)), [])
    cut = next((each for each in begins if _cuts(each[0])), None)
    killed = next((each for each in begins if not _cuts(each[0])), None)
    fault, begin = killed or cut or (None, None)
    if fault is None or begin is None:
        return None
    promoted = _promoted(history, fault, begin)
    moment = begin if killed else min(promoted.values(), key=lambda seen: seen.index, default=None)
    if moment is None:
        return None  # a cut, and nobody took over
    cut_at = cut[1].index if cut is not None and cut[1].index < moment.index else -1
    answering: dict[str | None, int] = {node: seen.index for node, seen in promoted.items()}
    if not promoted and killed:
        answering = _restarted(fault)
    return _Crash(-1 if whole else cut_at, moment.index, moment.time, answering)


def _meeting_primary(history: History, strike: Iterable[RecordedFault]) -> list[tuple[RecordedFault, Moment]]:
    """Give the faults of a strike that are meant to change roles and met the primary, each with its begin."""
    begins = [(fault, fault.begin) for fault in strike if fault.begin is not None and fault.changes_roles]
    return [(fault, begin) for fault, begin in begins if _meets_primary(history, fault, begin)]


def _cuts(fault: RecordedFault) -> bool:
    return Effect.CUTS_REPLICATION in fault.effects


def _meets_primary(history: History, fault: RecordedFault, begin: Moment) -> bool:
    """Say whether a fault can have met the primary: a target that is no node, or whose role was never seen, may be it."""
    roles = _roles(history, begin)
    return not fault.targets or any(roles.get(target, "primary") == "primary" for target in fault.targets)


def _roles(history: History, until: Moment) -> dict[str, str]:
    return {seen.node: seen.role for seen in history.roles if seen.moment.index < until.index}


def _promoted(history: History, fault: RecordedFault, begin: Moment) -> dict[str, Moment]:
    """Give the nodes that became primary since then, none of the fault's targets, and when each was seen so."""
    before = _roles(history, begin)
    found: dict[str, Moment] = {}
    for seen in history.roles:
        if seen.moment.index < begin.index or seen.role != "primary":
            continue
        if before.get(seen.node) != "primary" and seen.node not in fault.targets:
            found.setdefault(seen.node, seen.moment)
    return found


def _restarted(killed: RecordedFault) -> dict[str | None, int]:
    """Give the nodes that answer again once the fault is healed: its targets, or a server that has no name."""
    return {} if killed.healed is None else dict.fromkeys((*killed.targets, None), killed.healed.index)


# What was asked before and after


def _won(operations: Iterable[Operation], crash: _Crash) -> dict[str | None, set[str]]:
    """Give the values of the acknowledged winners of each dedup key."""
    won: dict[str | None, set[str]] = {}
    for each in operations:
        if each.f != "check_and_set" or each.status != "ok" or not crash.before(each):
            continue
        if each.result["set"] and each.argument.get("ttl_ms") is None:
            won.setdefault(each.key, set()).add(each.argument["value"])
    return won


def _read_back(operations: Iterable[Operation], crash: _Crash, wanted: Mapping[str | None, set[str]]) -> dict[str | None, set[str | None]]:
    read: dict[str | None, set[str | None]] = {}
    for each in operations:
        if each.f in READS and each.key in wanted and crash.after(each):
            read.setdefault(each.key, set()).add(each.result["value"])
    return read


def _held(operations: Iterable[Operation], crash: _Crash) -> list[Grant]:
    """Give the acknowledged grants whose must-hold spans the crash, each as long as its owner knew.

    A refusal of the owner after the crash would end its must-hold early: it is what is counted as lost.
    """
    kept = [each for each in operations if not (crash.after(each) and each.f in REFUSABLE and not each.result[REFUSABLE[each.f]])]
    acknowledged = {each.index: each for each in kept if crash.before(each)}
    return [each for each in grants(kept) if each.acknowledged and each.index in acknowledged and _spans(each, crash.time)]


def _spans(grant: Grant, at: int) -> bool:
    return grant.acknowledged_at is not None and grant.must_end is not None and grant.acknowledged_at < at < grant.must_end


def _probes(operation: Operation, grant: Grant) -> bool:
    """Say whether an answer would have shown the grant's loss: by its owner or a competitor, wholly inside the must-hold."""
    if operation.f not in PROBES or operation.end is None or grant.must_end is None or operation.end >= grant.must_end:
        return False
    return bool((operation.argument["owner"] == grant.owner) == (operation.f != "try_acquire"))


def _denies(probe: Operation) -> bool:
    return bool(probe.result[PROBES[probe.f]]) == (probe.f == "try_acquire")
