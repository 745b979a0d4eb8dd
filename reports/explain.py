"""One anomaly in English, and the finding of a run in one line.

An explanation is a heading, a strip where the anomaly is about a lock, the events that lead to it in the
order of time, and a last sentence that says what contradicts what. It says only what the history has.

The way of telling follows Elle (Kingsbury and Alvaro, VLDB 2020, section 6): a counterexample is worth
what a reader can follow.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.judging.checkers.calls import ACQUISITIONS
from harness.judging.checkers.grants import Grant
from harness.judging.kind import kind_of
from harness.judging.verdict import Anomaly, Status, Verdict, of_each_kind_first
from harness.record.history import History, Operation, RecordedFault
from reports import phrases
from reports.groups import LOCK_FUNCTIONS, holds
from reports.scene import NodeSeen, last_proved, nodes
from reports.strip import Holds, Ruler, Strip

WIDTH = 79
LISTED = 24
LEASE_CHECKS = frozenset({"lease", "fencing"})  # of other keys they say nothing


@dataclass(frozen=True, slots=True)
class Case:
    """All that an explanation draws on. `operations` are those of the anomaly's key, `involved` the evidence."""

    history: History
    anomaly: Anomaly
    operations: Sequence[Operation]
    involved: Sequence[Operation]
    grants: Sequence[Grant]
    faults: Sequence[RecordedFault]
    nodes: Sequence[NodeSeen]
    start: int
    end: int

    @property
    def key(self) -> str:
        return self.anomaly.key if self.anomaly.key is not None else "the object"

    @property
    def until(self) -> int:
        return self.anomaly.until if self.anomaly.until is not None else self.anomaly.at


def explain(history: History, anomaly: Anomaly) -> str:
    """Explain an anomaly of this history, in plain text of at most 79 columns; O(n log n) in operations."""
    case = _case(history, anomaly)
    parts = [_heading(case)]
    if kind_of(anomaly.kind).strip and any(each.f in LOCK_FUNCTIONS for each in case.operations):
        parts.append(_strip(case).text())
    parts.append("\n".join(_told(_events(case))))
    parts.append("\n".join(textwrap.wrap(_contradiction(case), WIDTH, initial_indent="  ", subsequent_indent="  ")))
    return "\n\n".join(part for part in parts if part) + "\n"


def finding(history: History, verdict: Verdict) -> str:
    """Say in one line what a verdict found: the title of a picture."""
    anomalies = verdict.all_anomalies()
    if verdict.status is Status.UNKNOWN:
        return f"No verdict: {verdict.summary}"
    return _found(history, anomalies) if anomalies else _nothing(history, verdict)


def _found(history: History, anomalies: Sequence[Anomaly]) -> str:
    first = of_each_kind_first(anomalies)[0]
    mine = [anomaly for anomaly in anomalies if anomaly.kind == first.kind]
    others = [anomaly for anomaly in anomalies if anomaly.kind != first.kind]
    kind = kind_of(first.kind)
    n = len({anomaly.key for anomaly in mine}) if kind.of_a_key else len(mine)
    told = (kind.one if n == 1 else kind.many).format(n=f"{n:,}", times=phrases.times(n), who=_who(history, mine))
    at = f"{'first ' if len(mine) > 1 else ''}at {phrases.moment(first.at)}{_after(history, first.at)}"
    return f"{told}, {at}{_others(others)}"


def _who(history: History, anomalies: Iterable[Anomaly]) -> str:
    """Say who held the same lock: clients, or owners where one client was granted it twice."""
    slots = {each.index: history.slot(each.process) for each in history.operations() if each.f in ACQUISITIONS}
    pairs = [[slots[n] for n in anomaly.operations if n in slots] for anomaly in anomalies]
    return "clients" if all(len(set(pair)) == len(pair) for pair in pairs) else "owners"


def _others(anomalies: Sequence[Anomaly]) -> str:
    if not anomalies:
        return ""
    first = "first " if len(anomalies) > 1 else ""
    return f"; {phrases.counted(len(anomalies), 'other violation')}, {first}at {phrases.moment(min(each.at for each in anomalies))}"


def _after(history: History, at: int) -> str:
    """Say how long after the begin of the last fault that was begun by then, and proved; nothing without one."""
    fault = last_proved(history.faults, at)
    return f", {phrases.after(history, fault, nodes(history, at), at)}" if fault is not None else ""


def _nothing(history: History, verdict: Verdict) -> str:
    operations = history.operations()
    locks = {each.key for each in operations if each.f in LOCK_FUNCTIONS}
    granted = sum(1 for each in operations if isinstance(each.result, Mapping) and each.result.get("granted") is True)
    others = [each for each in operations if each.key not in locks]
    rest = f"{phrases.counted(len(others), 'operation')} on {phrases.counted(len({each.key for each in others}), 'key')}"
    if not locks:
        return f"No violation: {rest}" if others else "Nothing was done, nothing was judged"
    more = f"; none in {rest}" if others and {name for name, _ in verdict.parts} - LEASE_CHECKS else ""
    return f"No violation by the lease rules: {phrases.counted(granted, 'grant')} on {phrases.counted(len(locks), 'lock')}{more}"


def _case(history: History, anomaly: Anomaly) -> Case:
    proofs = set(anomaly.operations)  # a scan is an event of another key than what it found
    operations = [each for each in history.operations() if each.key == anomaly.key or each.index in proofs]
    held = holds(history, operations) if any(each.f in LOCK_FUNCTIONS for each in operations) else []
    involved = _involved(anomaly, operations, held)
    last = history.events[-1].time if history.events else anomaly.at
    until = anomaly.until if anomaly.until is not None else anomaly.at
    first = min([each.start for each in involved] + [anomaly.at])
    span = max(until - first, 1_000_000)
    near = [fault for fault in history.faults if fault.first.time <= until and _lasts(fault, first - span)]
    first = min([first] + [fault.first.time for fault in near if fault.first.time >= first - 2 * span])
    span = max(until - first, 1_000_000)
    return Case(
        history=history,
        anomaly=anomaly,
        operations=operations,
        involved=involved,
        grants=held,
        faults=near,
        nodes=nodes(history, last),
        start=max(first - span // 20, 0),
        end=max(min(until + span // 5, last), until + 1),
    )


def _lasts(fault: RecordedFault, until: int) -> bool:
    return fault.healed is None or fault.healed.time >= until


def _involved(anomaly: Anomaly, operations: Sequence[Operation], held: Iterable[Grant]) -> list[Operation]:
    """Give the evidence, and what it cannot be understood without: whose lease a stranger met, what a writer had read."""
    wanted = set(anomaly.operations)
    if anomaly.kind == "stranger":
        wanted |= {grant.index for grant in held if _must_hold(grant, anomaly.at, anomaly.at)}
    for write in (each for each in operations if each.index in anomaly.operations and each.f == "resource_write"):
        read = [each.index for each in operations if each.f == "resource_read" and each.process == write.process]
        wanted |= set([index for index in read if index < write.index][-1:])
    return [each for each in operations if each.index in wanted]


def _must_hold(grant: Grant, start: int, end: int) -> bool:
    known, least = grant.acknowledged_at, grant.must_end
    return known is not None and least is not None and known <= start and end <= least


def _heading(case: Case) -> str:
    if case.anomaly.kind != "two-holders":
        return kind_of(case.anomaly.kind).heading.format(key=case.key)
    if case.anomaly.until is None:
        return f"{case.key} had two owners"
    return f"{case.key} had two owners for {phrases.duration(case.until - case.anomaly.at)}"


# The strip


def _strip(case: Case) -> Strip:
    anomaly = case.anomaly
    both = ((anomaly.at, case.until),) if anomaly.kind == "two-holders" and case.until > anomaly.at else ()
    mine = {grant.index for grant in case.grants if set(grant.operations) & set(anomaly.operations)}
    clients: dict[int, list[Grant]] = {}
    for grant in case.grants:
        if grant.index in mine or _shown(grant, case):
            clients.setdefault(case.history.slot(grant.process), []).append(grant)
    for operation in case.involved:
        clients.setdefault(case.history.slot(operation.process), [])
    rows = [_holds(slot, held, both if any(grant.index in mine for grant in held) else (), case) for slot, held in sorted(clients.items())]
    words = f"both entitled, {phrases.duration(case.until - anomaly.at)}" if both else kind_of(anomaly.kind).words
    return Strip(Ruler(case.start, case.end), case.faults, case.nodes, rows, (anomaly.at, case.until), words)


def _shown(grant: Grant, case: Case) -> bool:
    spans = [(grant.acknowledged_at, grant.must_end), *grant.again]
    return any(start is not None and end is not None and start < case.end and end > case.start for start, end in spans)


def _holds(slot: int, held: Iterable[Grant], both: tuple[tuple[int, int], ...], case: Case) -> Holds:
    must: list[tuple[int, int]] = []
    may: list[tuple[int, int]] = []
    for grant in held:
        known, least = grant.acknowledged_at, grant.must_end
        must += grant.again
        if known is not None and least is not None and least > known:
            must.append((known, least))
            if grant.may_end is None or grant.may_end - least > (case.end - case.start) // 30:
                may.append((least, case.end if grant.may_end is None else grant.may_end))
        else:
            may.append((grant.invoked, case.end if grant.may_end is None else grant.may_end))
    return Holds(f"client {slot}", tuple(must), tuple(may), both)


# The sentences


Told = tuple[int, str]


def _events(case: Case) -> list[Told]:
    told = [*_fault_events(case), *_role_events(case), *_observed(case), *_operation_events(case)]
    told.sort(key=lambda each: each[0])
    if len(told) <= LISTED:
        return told
    rest = len(told) - LISTED
    return [*told[: LISTED - 4], (told[LISTED - 4][0], f"({rest} more are left out here)"), *told[-4:]]


def _told(events: Iterable[Told]) -> Iterator[str]:
    for at, text in events:
        stamp = f"{phrases.moment(at):>10}  "
        yield from textwrap.wrap(text, WIDTH, initial_indent=stamp, subsequent_indent=" " * len(stamp))


def _fault_events(case: Case) -> Iterator[Told]:
    for fault in case.faults:
        yield fault.first.time, f"{phrases.fault(case.history, fault)} (░)"
        if fault.active is not None:
            yield fault.active.time, f"{phrases.proof(fault)} (▒)"
        elif fault.failed is not None:
            yield fault.first.time, phrases.proof(fault)
        if fault.healing is not None and fault.healing.time <= case.until:
            yield fault.healing.time, f"healing of {fault.name} begins"


def _role_events(case: Case) -> Iterator[Told]:
    for node in case.nodes:
        for at, role in node.changes:
            if case.start <= at <= case.until:
                yield at, f"{node.name} is promoted (▲)" if role == "primary" else f"{node.name} becomes a {role} (▲)"
        for span in node.spans:
            if span.role in ("dead", "paused") and case.start <= span.start <= case.until:
                yield span.start, f"{node.name} is {span.role}"


def _observed(case: Case) -> Iterator[Told]:
    """Tell when an observer past the proxies first saw two owners of this key while the contradiction stood."""
    for seen in case.history.owners:
        if seen.key != case.anomaly.key or not case.anomaly.at <= seen.moment.time <= case.until:
            continue
        by_owner: dict[str, list[str]] = {}
        for node, owner in seen.owners.items():
            if owner is not None:
                by_owner.setdefault(owner, []).append(node)
        if len(by_owner) > 1:
            told = [f"{phrases.listed(at)} {owner}" for owner, at in by_owner.items()]
            yield seen.moment.time, f"an observer reads the owner: {'; '.join(told)}"
            return


def _operation_events(case: Case) -> Iterator[Told]:
    mine = {n for grant in case.grants if grant.index in case.anomaly.operations for n in grant.operations}
    evidence = {each.index for each in case.involved}
    since = min((each.start for each in case.involved), default=case.start)
    for operation in case.operations:
        proves = operation.index in evidence and not (case.anomaly.until is not None and operation.start > case.until)
        own = operation.index in mine and _changes(operation) and operation.start <= case.until
        if proves or own or (kind_of(case.anomaly.kind).caused and _between(operation, since, case.anomaly.at)):
            yield operation.start, _sentence(case, operation)


def _between(operation: Operation, since: int, at: int) -> bool:
    """Say whether it changed the lock in this time: a grant did that was answered by then, an extend or release that had begun."""
    if operation.f == "is_held" or not _took_effect(operation) or operation.end is None:
        return False
    return operation.end >= since and (operation.end if operation.f in ACQUISITIONS else operation.start) <= at


def _changes(operation: Operation) -> bool:
    """Say whether it tells until when its owner holds: what moved the end, or may have, or saw that it was over."""
    if operation.f == "is_held":
        return operation.status == "ok" and not _took_effect(operation)
    return operation.f in ("extend", "release") and operation.status != "fail"


def _took_effect(operation: Operation) -> bool:
    answer = {**dict.fromkeys(ACQUISITIONS, "granted"), "extend": "held", "release": "released", "is_held": "held"}.get(operation.f)
    return answer is not None and isinstance(operation.result, Mapping) and operation.result.get(answer) is True


def _sentence(case: Case, operation: Operation) -> str:
    who = phrases.client(case.history, operation.process)
    by = f"{phrases.by(operation)}: " if operation.node else ""
    owner = operation.argument.get("owner") if isinstance(operation.argument, Mapping) else None
    token = f" as {owner}" if owner else ""
    ended = operation.end if operation.end is not None else operation.gave_up
    at = f" at {phrases.moment(ended)}" if ended is not None and operation.status == "ok" else ""
    return f"{who}{token} {phrases.asked(operation)}{_of_another(case, operation)}; {by}{phrases.answered(operation)}{at}"


def _of_another(case: Case, operation: Operation) -> str:
    """Say whose lease it was that took a stranger's extend or release, where the bounds leave no doubt."""
    if operation.f not in ("extend", "release") or not _took_effect(operation) or operation.end is None:
        return ""
    owner, end = operation.argument.get("owner"), operation.end
    own = [grant for grant in case.grants if grant.owner == owner and (grant.may_end is None or grant.may_end > operation.start)]
    others = [grant.owner for grant in case.grants if grant.owner != owner and _must_hold(grant, operation.start, end)]
    return f", the lease{'s' if len(others) > 1 else ''} of {phrases.listed(others)}" if others and not own else ""


def _contradiction(case: Case) -> str:
    anomaly = case.anomaly
    if anomaly.kind == "two-holders" and anomaly.until is not None:
        owners = [case.history.slot(grant.process) for grant in case.grants if grant.index in anomaly.operations]
        who = phrases.slots(owners) if len(set(owners)) > 1 else "two owners"
        return f"{phrases.seconds(anomaly.at)} – {phrases.seconds(anomaly.until)} s: {who} were both entitled to {case.key} (▓)."
    rule = kind_of(anomaly.kind).rule
    message = anomaly.message.rstrip(". ")
    return f"{rule} But {message}." if rule else f"{message}."
