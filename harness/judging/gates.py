"""Gates: what a history must show before a verdict may rest on it. Read from the history of one trial alone.

*Validity* gates hold for every verdict: an anomaly in a trial whose replicas were not in sync, whose clock
jumped or whose primary changed by itself says nothing of the guarantee. *Exposure* gates hold for what was
not seen: a trial in which nothing contended, or whose fault did not bite, cannot show that a claim holds.

Every fault seen at work elsewhere that did nothing (a proxy walked around, a kill after replication had
settled, a pause that lost no packet) gave a green result: hence the probes, and the counts here.

Sources: docs/claims.md, gates; "sometimes" assertions of Antithesis and the minimal rate of etcd's robustness tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness import registry
from harness.judging.check import Terms
from harness.judging.counts import every_count
from harness.judging.family import nodes_of_ours
from harness.judging.felt import felt
from harness.judging.roles import baseline, unplanned
from harness.record.clock import clock_sane, excess_ns
from harness.record.history import BROKEN, CLIENTS, UNCLASSIFIED, History, Operation, RecordedFault

GENERAL: Mapping[str, int] = {"attempted_during": 20, "acknowledged_after": 20, "overlapping_pairs": 10}
"""What each trial and workload needs unless a claim sets its own numbers."""
FELT = "faults_felt"


@dataclass(frozen=True, slots=True)
class Gate:
    """What was needed and what was measured. `measured` may not exceed `needed` where 0 is needed, else not fall short of it."""

    name: str
    needed: int
    measured: int
    met: bool
    detail: str = ""

    def __str__(self) -> str:
        more = f" ({self.detail})" if self.detail else ""
        return f"{self.name.replace('_', ' ')}: {self.measured}, needed {self.needed}{more}"


def at_least(name: str, needed: int, measured: int, detail: str = "") -> Gate:
    """Make a gate that wants so many or more."""
    return Gate(name, needed, measured, measured >= needed, detail)


def none_of(name: str, found: Sequence[str]) -> Gate:
    """Make a gate that wants none; the first one found is named."""
    return Gate(name, 0, len(found), not found, found[0] if found else "")


def window(history: History, since: str, until: str) -> tuple[int, int] | None:
    """Give the times of a window between two phases of the trial (steady, settled) or its faults; None if it has no start.

    Of several faults the first begin and the last end count; in a schedule, of those that are meant to change roles, where there are any.
    A phase at the end that was not reached (the run was interrupted) leaves the window open to the end of the trial.
    """
    starts = _times(history, since)
    if not starts or not history.events:
        return None
    ends = _times(history, until)
    return min(starts), max(ends, default=history.events[-1].time)


def began(history: History) -> int | None:
    """Give the time at which the first fault of the trial began, by which its window is opened; None if none did."""
    return min(_times(history, "begin"), default=None)


def _times(history: History, phase: str) -> list[int]:
    if phase in ("steady", "settled"):
        mark = history.mark(phase)
        return [] if mark is None else [mark.moment.time]
    moving = [strike for strike in history.strikes if any(fault.changes_roles for fault in strike)]
    return [fault.moments[phase].time for strike in moving or history.strikes for fault in strike if phase in fault.moments]


# Validity

DOUBTS = frozenset({"unclassified_errors"})
"""Validity gates that take no counterexample away: an unclassified error is an info, which is sound. They forbid `valid` and `holds`."""


def validity(history: History) -> tuple[Gate, ...]:
    """Judge what every verdict needs: steady state first, clock sane, errors classified, no unplanned change of roles."""
    errors = [event.error for event in history.events if event.error is not None]
    pairs = history.clocks
    sane = clock_sane(history)
    jump = "" if sane else f"wall and monotonic time parted {excess_ns(history) / 1e6:.1f} ms too far"
    return (
        _steady(history),
        Gate("clock_samples", 2, len(pairs), len(pairs) >= 2 and sane, jump),
        none_of("unclassified_errors", [error for error in errors if error.startswith(UNCLASSIFIED)]),
        none_of("broken_operations", broken(history)),
        _roles_known(history),
        none_of("unplanned_role_changes", unplanned(history)),
    )


def broken(history: History) -> list[str]:
    """Give the errors that are bugs of ours: the run is broken (exit 70)."""
    return [event.error for event in history.events if event.error is not None and event.error.startswith(BROKEN)]


def _steady(history: History) -> Gate:
    steady, first = history.mark("steady"), history.first_act
    if steady is None:
        return Gate("steady", 1, 0, False, "no steady state was recorded")
    if first is not None and first.index < steady.moment.index:
        return Gate("steady", 1, 0, False, f"{first.f} came before the steady state")
    return Gate("steady", 1, 1, True)


def _roles_known(history: History) -> Gate:
    """Want the role of every node that answered. One that answers alone and meets no fault (Memory's threads) has none."""
    answering = {event.node for event in history.events if event.node is not None and event.type == "ok"} - nodes_of_ours()
    known = answering & set(baseline(history))
    if len(answering) < 2 and not _nodes_meet_faults(history):
        return Gate("roles_known", len(known), len(known), True)
    missing = sorted(answering - known)
    return at_least("roles_known", len(answering), len(known), f"no role of {missing[0]} was recorded" if missing else "")


def _faults_expected(history: History) -> bool:
    return bool(history.faults) or bool(history.header and history.header.faults)


def _nodes_meet_faults(history: History) -> bool:
    if not history.faults:
        return _faults_expected(history)
    return any(fault.targets != (CLIENTS,) for fault in history.faults)


# Exposure


def exposure(
    history: History, workloads: Iterable[str] | None = None, needed: Mapping[str, int] | None = None, bound_ns: int | None = None
) -> tuple[Gate, ...]:
    """Judge what a verdict on something not seen needs: faults that bit and healed, and enough operations around them.

    `workloads` are those that matter, all of the run's where not given. `needed` are a claim's own
    numbers: they replace the general ones and ask for its special gates; `bound_ns` is the claim's
    bound, for the gates that need one.
    """
    own = dict(needed or {})
    faults = history.faults
    expected = _faults_expected(history)
    proved = sum(fault.proved for fault in faults)
    settled = history.mark("settled") is not None and history.complete
    gates = [at_least("settled", 1, int(settled), "" if settled else "the trial did not reach its end")]
    if expected:
        unproved = ", ".join(fault.name for fault in faults if not fault.proved)
        gates.append(at_least("faults_proved", max(1, len(faults)), proved, f"not proved: {unproved}" if unproved else ""))
        gates += _faults_felt(history)
    operations = history.operations()
    for workload in driven(history) if workloads is None else workloads:
        gates += _workload(
            history, operations, workload, {name: own.get(name, number) for name, number in GENERAL.items()}, expected=expected
        )
    special, terms = [name for name in own if name not in GENERAL], Terms(bound_ns=bound_ns)
    return (*gates, *(at_least(name, own[name], every_count()[name](history, terms)) for name in special))


def _faults_felt(history: History) -> list[Gate]:
    """Want that clients felt what was proved; no gate where no fault shows in their answers."""
    asked = felt(history)
    contradicted = [f"{fault.name}: {said}" for fault, said in asked if said is not None]
    told = contradicted[0] if contradicted else ""
    return [at_least(FELT, len(asked), len(asked) - len(contradicted), told)] if asked else []


def driven(history: History) -> tuple[str, ...]:
    """Give the workloads of a run, as its header says."""
    return history.header.workloads if history.header else ()


def _workload(history: History, operations: Sequence[Operation], workload: str, needed: Mapping[str, int], *, expected: bool) -> list[Gate]:
    mine = list(filter(_share(workload, driven(history)), operations))
    spans = _spans(history)
    after = -1 if not expected else _all_healed(history)
    acknowledged = (
        0 if after is None else sum(each.status == "ok" and each.end_index is not None and each.end_index > after for each in mine)
    )
    attempted = min((sum(start < each.index < end for each in mine) for start, end in spans), default=0)
    measured = {"attempted_during": attempted, "acknowledged_after": acknowledged, "overlapping_pairs": overlapping_pairs(history, mine)}
    names = [name for name in GENERAL if expected or name != "attempted_during"]
    return [at_least(f"{name}:{workload}", needed[name], measured[name]) for name in names]


def _share(workload: str, beside: Iterable[str]) -> Callable[[Operation], bool]:
    """Give what tells the operations of a workload's share of a trial; every one is, where the workload is not installed here.

    Of the functions by which it is counted those are its own that no workload beside it drives too, and those on its own keys.
    """
    there = registry.names("workloads")
    if workload not in there:
        return lambda operation: True
    own: Any = registry.load("workloads", workload)
    others = [registry.load("workloads", name) for name in beside if name in there and name != workload]
    counted, unshared = own.counts, own.counts.difference(*(other.driven_at_most for other in others))

    def is_own(operation: Operation) -> bool:
        if operation.f not in counted or any(other.owns(operation.key) for other in others):
            return False
        return operation.f in unshared or own.owns(operation.key)

    return is_own


def names() -> list[str]:
    """Give every gate for which a claim may set a number."""
    return [*GENERAL, *every_count()]


def _spans(history: History) -> list[tuple[int, int]]:
    """Give for each strike of the trial the indices between which its faults were active; those that were not proved are left out."""
    phases = [(_indices(strike, "active"), _indices(strike, "healing")) for strike in history.strikes]
    return [(min(active), min(healing)) for active, healing in phases if active and healing]


def _all_healed(history: History) -> int | None:
    """Give the index after which all faults were healed; None where not proved."""
    healed = _indices(history.faults, "healed")
    return max(healed) if healed and len(healed) == len(history.faults) else None


def _indices(faults: Iterable[RecordedFault], phase: str) -> list[int]:
    return [fault.moments[phase].index for fault in faults if phase in fault.moments]


def overlapping_pairs(history: History, operations: Sequence[Operation]) -> int:
    """Count the pairs of operations on one key that were in flight together; those that certainly had no effect do not count.

    An operation without an answer is in flight until its client gave up.
    """
    counted = {operation.index: operation.key for operation in operations if operation.status != "fail"}
    flying: dict[int | str, str | None] = {}  # process -> key
    on_key: dict[str | None, int] = {}
    pairs = 0
    for event in history.events:
        if event.type == "invoke" and event.index in counted:
            pairs += on_key.get(event.key, 0)
            on_key[event.key] = on_key.get(event.key, 0) + 1
            flying[event.process] = event.key
        elif event.type != "invoke" and event.process in flying:
            on_key[flying.pop(event.process)] -= 1
    return pairs
