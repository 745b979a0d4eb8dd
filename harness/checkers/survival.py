"""What an operator asks after a crash: of the locks and dedup keys acknowledged before, how many were still there?

Counts, and no anomaly of its own: what was lost is found by the lease and dedup checks. They are the
evidence for gates, since a survival that nobody could have missed proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.checkers.lease import Grant, grants
from harness.history import NEMESIS, Event, History, Operation, split

PROBES = ("try_acquire", "is_held", "extend")


@dataclass(frozen=True, slots=True)
class Survival:
    """Of one trial: what was acknowledged before the crash, what of it was asked about after it, what was gone."""

    dedup_acknowledged: int = 0
    dedup_read_back: int = 0
    dedup_lost: int = 0
    locks_held_across: int = 0
    locks_probed: int = 0
    locks_lost: int = 0


def survival(history: History) -> Survival:
    """Count what survived the crash or promotion of a trial; all 0 where there was none."""
    crash, back = _crash(history.events)
    if crash is None or back is None:
        return Survival()
    operations = history.operations()
    before = _won_before(operations, crash.index)
    read = _read_after(operations, back.index, before)
    held = [grant for grant in _grants(operations) if _across(grant, crash.time)]
    by_key = split(operations)
    probes = {grant.owner: _probes(by_key[grant.key], grant, back) for grant in held}
    return Survival(
        dedup_acknowledged=len(before),
        dedup_read_back=len(read),
        dedup_lost=sum(value != before[key] for key, value in read.items()),
        locks_held_across=len(held),
        locks_probed=sum(bool(found) for found in probes.values()),
        locks_lost=sum(any(_denies(probe, grant) for probe in probes[grant.owner]) for grant in held),
    )


def _crash(events: Iterable[Event]) -> tuple[Event | None, Event | None]:
    """Give what ended the old primary's time, and from when on the new one or the restarted server answers."""
    faults = [event for event in events if event.process == NEMESIS and isinstance(event.value, dict) and event.value.get("changes_roles")]
    begins = [event for event in faults if event.value["phase"] == "begin"]
    crash = next((event for event in begins if event.f == "kill"), next(iter(begins), None))
    if crash is None:
        return None, None
    targets = set(crash.value["targets"])
    for event in events:
        if event.process != NEMESIS or event.index < crash.index:
            continue
        promoted = event.f == "role" and event.value["role"] == "primary" and event.value["node"] not in targets
        if promoted or (event.f == crash.f and event.value.get("phase") == "healed"):
            return crash, event
    return crash, None


def _won_before(operations: Iterable[Operation], index: int) -> dict[str | None, str]:
    won = (each for each in operations if each.f == "check_and_set" and each.status == "ok" and each.result["set"])
    return {each.key: each.argument["value"] for each in won if each.end_index is not None and each.end_index < index}


def _read_after(operations: Iterable[Operation], index: int, wanted: dict[str | None, str]) -> dict[str | None, str | None]:
    reads = (each for each in operations if each.f == "get" and each.status == "ok" and each.index > index and each.key in wanted)
    return {each.key: each.result["value"] for each in reads}


def _grants(operations: Iterable[Operation]) -> list[Grant]:
    locks = [each for each in operations if each.f in ("try_acquire", "extend", "release", "is_held", "acquire_within")]
    return [grant for grant in grants(locks) if grant.acknowledged]


def _across(grant: Grant, at: int) -> bool:
    return grant.acknowledged_at is not None and grant.must_end is not None and grant.acknowledged_at < at < grant.must_end


def _probes(operations: Iterable[Operation], grant: Grant, back: Event) -> list[Operation]:
    """Give the answers after the crash, inside the must-hold, that would have shown its loss.

    The owner's own answer that shows the loss ends the must-hold at its invocation: it is one of them.
    """
    return [
        each
        for each in operations
        if each.f in PROBES and each.status == "ok" and each.index > back.index and _within(each, grant)
        if (each.argument["owner"] == grant.owner) == (each.f != "try_acquire")
    ]


def _within(probe: Operation, grant: Grant) -> bool:
    assert grant.must_end is not None
    assert probe.end is not None
    return probe.start <= grant.must_end if probe.argument["owner"] == grant.owner else probe.end < grant.must_end


def _denies(probe: Operation, grant: Grant) -> bool:
    return bool(probe.result["granted"]) if probe.f == "try_acquire" else not probe.result["held"]
