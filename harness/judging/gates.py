"""Gates: what a history must show before a verdict may rest on it. Read from the history of one trial alone.

*Validity* gates hold for every verdict: an anomaly in a trial whose replicas were not in sync, whose clock
jumped or whose primary changed by itself says nothing of the guarantee. *Exposure* gates hold for what was
not seen: a trial in which nothing contended, or whose fault did not bite, cannot show that a claim holds.

Every fault seen at work elsewhere that did nothing (a proxy walked around, a kill after replication had
settled, a pause that lost no packet) gave a green result: hence the probes, and the counts here.

Sources: SPEC 8; "sometimes" assertions of Antithesis and the minimal rate of etcd's robustness tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from harness.judging.checkers.grants import Grant, grants, skew_of
from harness.judging.checkers.late_grant import late_grant
from harness.judging.checkers.survival import attempted_while_cut, survival
from harness.record.clock import clock_sane, excess_ns, samples
from harness.record.history import BROKEN, CLIENTS, NEMESIS, UNCLASSIFIED, Event, History, Operation

WORKLOADS: Mapping[str, frozenset[str]] = {
    "lock": frozenset({"try_acquire", "acquire_within", "extend", "release", "is_held"}),
    "dedup": frozenset({"check_and_set"}),
    "cas": frozenset({"compare_and_swap", "get_versioned"}),
    "counter": frozenset({"increment"}),
    "resource": frozenset({"try_acquire", "release", "resource_read", "resource_write"}),
    "acquire": frozenset({"acquire_within"}),
}
"""By which functions a workload's share of a trial is counted; of a workload not named here every operation counts."""

GENERAL: Mapping[str, int] = {"attempted_during": 20, "acknowledged_after": 20, "overlapping_pairs": 10}
"""What each trial and workload needs unless a claim sets its own numbers."""

ATTEMPTS = frozenset({"try_acquire", "check_and_set"})
NOT_FAULTS = frozenset({"trial", "role", "clock", "observer", "lag"})
NO_ANSWER = "silent"
"""The role of a node that did not answer the watcher in time: nothing was seen, so nothing changed."""


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


@dataclass(frozen=True, slots=True)
class Episode:
    """One fault of a trial, from its events; a phase that was not proved is missing."""

    name: str
    targets: tuple[str, ...]
    changes_roles: bool
    phases: Mapping[str, Event]

    @property
    def proved(self) -> bool:
        """Say whether it was proved active, and later proved healed."""
        return "active" in self.phases and "healed" in self.phases

    def index(self, phase: str) -> int | None:
        """Give the index of the event of a phase, None if it was not reached."""
        event = self.phases.get(phase)
        return None if event is None else event.index


@dataclass(frozen=True, slots=True)
class Promotion:
    """A node seen as primary that was not one when the first fault began; `old` is the one that was."""

    node: str
    index: int
    time: int
    old: str | None


def episodes(history: History) -> list[Episode]:
    """Give the faults of a trial in order of their begin."""
    found: dict[tuple[str, int], dict[str, Event]] = {}
    for event in history.nemesis():
        if event.f not in NOT_FAULTS:
            found.setdefault((event.f, event.value.get("id", 0)), {}).setdefault(event.value["phase"], event)
    return [_episode(name, phases) for (name, _), phases in found.items()]


def _episode(name: str, phases: Mapping[str, Event]) -> Episode:
    value = next(iter(phases.values())).value
    return Episode(name, tuple(value.get("targets", ())), bool(value.get("changes_roles", False)), phases)


def mark(history: History, phase: str) -> Event | None:
    """Give the trial's own event of a phase (begin, steady, settled, void), None if there is none."""
    for event in history.nemesis():
        if event.f == "trial" and event.value["phase"] == phase:
            return event
    return None


def window(history: History, since: str, until: str) -> tuple[int, int] | None:
    """Give the times of a window between two phases of the trial (steady, settled) or its faults; None if it has no start.

    Of several faults the first begin and the last end count. A phase at the end that was not
    reached (the run was interrupted) leaves the window open to the end of the trial.
    """
    starts = _times(history, since)
    if not starts or not history.events:
        return None
    ends = _times(history, until)
    return min(starts), max(ends, default=history.events[-1].time)


def began(history: History) -> int | None:
    """Give the time at which the first fault of the trial began, None if none did."""
    return min(_times(history, "begin"), default=None)


def _times(history: History, phase: str) -> list[int]:
    if phase in ("steady", "settled"):
        marked = mark(history, phase)
        return [] if marked is None else [marked.time]
    return [episode.phases[phase].time for episode in episodes(history) if phase in episode.phases]


# Validity

DOUBTS = frozenset({"unclassified_errors"})
"""Validity gates that take no counterexample away: an unclassified error is an info, which is sound. They forbid `valid` and `holds`."""


def validity(history: History) -> tuple[Gate, ...]:
    """Judge what every verdict needs: steady state first, clock sane, errors classified, no unplanned change of roles."""
    errors = [event.error for event in history.events if event.error is not None]
    pairs = samples(history)
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
    steady = mark(history, "steady")
    if steady is None:
        return Gate("steady", 1, 0, False, "no steady state was recorded")
    for event in history.events:
        fault = event.process == NEMESIS and event.f not in NOT_FAULTS
        if event.index > steady.index:
            break
        if fault or event.process != NEMESIS:
            return Gate("steady", 1, 0, False, f"{event.f} came before the steady state")
    return Gate("steady", 1, 1, True)


def _roles_known(history: History) -> Gate:
    """Want the role of every node that answered. One that answers alone and meets no fault (Memory's threads) has none."""
    answering = {event.node for event in history.events if event.node is not None and event.type == "ok"} - nodes_of_ours()
    known = answering & set(_baseline(history))
    if len(answering) < 2 and not _nodes_meet_faults(history):
        return Gate("roles_known", len(known), len(known), True)
    missing = sorted(answering - known)
    return at_least("roles_known", len(answering), len(known), f"no role of {missing[0]} was recorded" if missing else "")


def _faults_expected(history: History) -> bool:
    return bool(episodes(history)) or bool(history.header and history.header.faults)


def _nodes_meet_faults(history: History) -> bool:
    faults = episodes(history)
    return any(fault.targets != (CLIENTS,) for fault in faults) if faults else _faults_expected(history)


def _roles(history: History) -> list[Event]:
    return [event for event in history.nemesis() if event.f == "role" and event.value["role"] != NO_ANSWER]


def _baseline(history: History) -> dict[str, Mapping[str, Any]]:
    """Give the last role of each node seen before the trial's first fault."""
    first = min((index for episode in episodes(history) if (index := episode.index("begin")) is not None), default=None)
    return {event.value["node"]: event.value for event in _roles(history) if first is None or event.index < first}


def unplanned(history: History) -> list[str]:
    """Name each change of role, epoch or run id from the steady state on that no fault of the trial was meant to make.

    A fault that changes roles and met a primary allows any change from its begin until the trial is
    settled. Every other fault allows its own target to be away and to come back as what it was; only
    one that changes roles may give it a new run id. So the death of a replica excuses no election.
    """
    steady = mark(history, "steady")
    if steady is None:
        return []
    allowed = _Allowed(history)
    last: dict[str, Mapping[str, Any]] = {}
    found = []
    for event in _roles(history):
        node = event.value["node"]
        before, last[node] = last.get(node), _known(event.value, last.get(node))
        if before is None or event.index < steady.index or not _differs(before, event.value):
            continue
        if not allowed(event, before):
            found.append(f"{node} became {event.value.get('role')} (epoch {event.value.get('epoch')}) with no fault meant to do so")
    return found


def _known(value: Mapping[str, Any], before: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Keep the last epoch and run id that were seen: a dead node tells none."""
    kept = before or {}
    return {**value, **{name: kept.get(name) for name in ("epoch", "run_id") if value.get(name) is None}}


def _differs(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    return before.get("role") != after.get("role") or any(_moved(name, before, after) for name in ("epoch", "run_id"))


def _moved(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    return None not in (before.get(name), after.get(name)) and before[name] != after[name]


class _Allowed:
    """Which changes the faults of a trial explain."""

    def __init__(self, history: History) -> None:
        self._faults = episodes(history)
        self._roles = _baseline(history)
        settled = mark(history, "settled")
        self._until = None if settled is None else settled.time

    def __call__(self, event: Event, before: Mapping[str, Any]) -> bool:
        return any(self._explains(fault, event, before) for fault in self._faults)

    def _explains(self, fault: Episode, event: Event, before: Mapping[str, Any]) -> bool:
        begin = fault.index("begin")
        if begin is None or event.index < begin or (self._until is not None and event.time > self._until):
            return False
        value = event.value
        if fault.changes_roles and self._meets_primary(fault):
            return True
        if value["node"] not in fault.targets:
            return False
        back = value.get("role") in ("paused", "dead", self._roles.get(value["node"], {}).get("role"))
        return back and not _moved("epoch", before, value) and (fault.changes_roles or not _moved("run_id", before, value))

    def _meets_primary(self, fault: Episode) -> bool:
        # A target that is no node (a link), or whose role was never seen, may be the primary's.
        return not fault.targets or any(self._roles.get(target, {}).get("role", "primary") == "primary" for target in fault.targets)


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
    faults = episodes(history)
    expected = _faults_expected(history)
    proved = sum(fault.proved for fault in faults)
    settled = mark(history, "settled") is not None and history.complete
    gates = [at_least("settled", 1, int(settled), "" if settled else "the trial did not reach its end")]
    if expected:
        unproved = ", ".join(fault.name for fault in faults if not fault.proved)
        gates.append(at_least("faults_proved", max(1, len(faults)), proved, f"not proved: {unproved}" if unproved else ""))
    operations = history.operations()
    for workload in driven(history) if workloads is None else workloads:
        gates += _workload(
            history, operations, workload, {name: own.get(name, number) for name, number in GENERAL.items()}, expected=expected
        )
    special = [name for name in own if name not in GENERAL]
    return (*gates, *(at_least(name, own[name], SPECIAL[name](history, bound_ns)) for name in special))


def driven(history: History) -> tuple[str, ...]:
    """Give the workloads of a run, as its header says."""
    return history.header.workloads if history.header else ()


def _workload(history: History, operations: Sequence[Operation], workload: str, needed: Mapping[str, int], *, expected: bool) -> list[Gate]:
    functions = WORKLOADS.get(workload)
    mine = [operation for operation in operations if functions is None or operation.f in functions]
    during, healed = _fault_span(history)
    after = -1 if not expected else healed
    acknowledged = (
        0 if after is None else sum(each.status == "ok" and each.end_index is not None and each.end_index > after for each in mine)
    )
    attempted = 0 if during is None else sum(during[0] < each.index < during[1] for each in mine)
    measured = {"attempted_during": attempted, "acknowledged_after": acknowledged, "overlapping_pairs": overlapping_pairs(history, mine)}
    names = [name for name in GENERAL if expected or name != "attempted_during"]
    return [at_least(f"{name}:{workload}", needed[name], measured[name]) for name in names]


def _fault_span(history: History) -> tuple[tuple[int, int] | None, int | None]:
    """Give the indices between which the faults were active, and after which all were healed; None where not proved."""
    faults = episodes(history)
    active = [index for fault in faults if (index := fault.index("active")) is not None]
    healing = [index for fault in faults if (index := fault.index("healing")) is not None]
    healed = [index for fault in faults if (index := fault.index("healed")) is not None]
    during = (min(active), min(healing)) if active and healing else None
    return during, max(healed) if healed and len(healed) == len(faults) else None


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


def promotions(history: History) -> list[Promotion]:
    """Give each node that became primary after the first fault began and was not one before, once."""
    before = _baseline(history)
    old = next((node for node, value in before.items() if value.get("role") == "primary"), None)
    found: dict[str, Promotion] = {}
    for event in _roles(history):
        node = event.value["node"]
        if event.value.get("role") == "primary" and node in before and before[node].get("role") != "primary" and node not in found:
            found[node] = Promotion(node, event.index, event.time, old)
    return list(found.values())


def _promoted(history: History, bound_ns: int | None) -> int:
    return len(promotions(history))


def _answered_by_new(history: History, bound_ns: int | None) -> int:
    """Count attempts that a promoted node answered while the fault was on."""
    since = {promoted.node: promoted.index for promoted in promotions(history)}
    end = _first_healing(history)
    return sum(each.node in since and since[each.node] < each.index < end for each in _attempts(history))


def _granted_by_old(history: History, bound_ns: int | None) -> int:
    """Count grants by the old primary, invoked after another was seen promoted and while the fault was on."""
    first = min(promotions(history), key=lambda promoted: promoted.index, default=None)
    if first is None or first.old is None:
        return 0
    end = _first_healing(history)
    grants = [each for each in _attempts(history) if each.f == "try_acquire" and each.result["granted"]]
    return sum(each.node == first.old and first.index < each.index < end for each in grants)


def _attempts(history: History) -> list[Operation]:
    return [each for each in history.operations() if each.status == "ok" and each.f in ATTEMPTS]


def _first_healing(history: History) -> int:
    """Give the index at which healing began, one past the last event if it did not."""
    healing = [begun for fault in episodes(history) if (begun := fault.index("healing")) is not None]
    return min(healing, default=history.events[-1].index + 1 if history.events else 0)


def _bound_number(name: str) -> Callable[[History, int | None], int]:
    def measure(history: History, bound_ns: int | None) -> int:
        return 0 if bound_ns is None else int(late_grant(history, bound_ns).numbers.get(name, 0))

    return measure


def _granted_after_expiry(history: History, bound_ns: int | None) -> int:
    """Count the grants by which a lock went on after a holder that had not released it, as one that died does not.

    That each came in time, within TTL + skew + one poll, is what spurious-refusal and stuck of the lease rules
    deny: an attempt invoked after the last instant at which a lease can live may not be refused.
    """
    operations = history.operations()
    releases = {operation.index: operation.start for operation in operations if operation.f == "release"}
    of_key: dict[str | None, list[Grant]] = {}
    for grant in grants(operations, skew_of(history)):
        if grant.acknowledged_at is not None:
            of_key.setdefault(grant.key, []).append(grant)
    count = 0
    for found in of_key.values():
        ordered = sorted(found, key=lambda grant: grant.acknowledged_at or 0)
        for before, after in pairwise(ordered):
            granted = after.acknowledged_at or 0
            released = any(releases.get(index, granted) < granted for index in before.operations)
            count += not released and (before.must_end or 0) <= granted
    return count


SPECIAL: Mapping[str, Callable[[History, int | None], int]] = {
    "promoted": _promoted,
    "answered_by_new": _answered_by_new,
    "granted_by_old_after_promotion": _granted_by_old,
    "held_across": lambda history, _: survival(history).locks_held_across,
    "answered_inside_hold": lambda history, _: survival(history).locks_probed,
    "dedup_acknowledged_before": lambda history, _: survival(history).dedup_acknowledged,
    "attempted_while_cut": lambda history, _: attempted_while_cut(history),
    "held_before_cut": lambda history, _: survival(history, whole=True).locks_held_across,
    "answered_inside_that_hold": lambda history, _: survival(history, whole=True).locks_probed,
    "dedup_acknowledged_before_cut": lambda history, _: survival(history, whole=True).dedup_acknowledged,
    "attempted_on_old_after_bound": _bound_number("attempted_on_old_after_bound"),
    "answered_by_new_after_bound": _bound_number("answered_by_new_after_bound"),
    "granted_after_expiry": _granted_after_expiry,
    "stale_writes_tried": lambda history, _: stale_tried(history),
}
"""The gates that only some claims ask for: (history of a trial, the claim's bound) -> a count."""

NAMES = frozenset({*GENERAL, *SPECIAL})
"""Every gate for which a claim may set a number."""

NEEDS_BOUND = frozenset({"attempted_on_old_after_bound", "answered_by_new_after_bound"})
