"""What counts: an experiment's trials gone through for a claim, and what is found in them put to its account.

What counts follows the claim's document. A promise is broken by one counterexample in one valid trial; what a document
warns of counts inside its window, and contradicts outside. Accounts of shards add up (`together`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TypeVar

from harness import registry
from harness.claims.claim import Claim
from harness.claims.results import Account, ControlResult, Number, Numbers, Seen
from harness.judging.check import check_of, workloads_of
from harness.judging.gates import DOUBTS, Gate, at_least, began, broken, driven, exposure, window
from harness.judging.trials import TrialEvidence
from harness.judging.verdict import Anomaly, Status, Verdict, unknown
from harness.record.history import History, Operation

GRANT_SPANS = {"try_acquire": "ttl_ms", "acquire_within": "ttl_ms", "extend": "duration_ms"}
POSITIVE = ("granted", "held", "released", "set")
NOT_CHECKED = unknown("it was not carried out")
ANSWERED = 20
"""Answers to the functions that a claim is about, in each trial: what was hardly asked cannot hold."""
ENDED = "it was ended before it was done"
"""How a run is told that was cut short, and neither by the machine nor by a server: by the user, or nobody knows by whom."""
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ExperimentEvidence:
    """What an experiment left: trials that are not void, why others are, its controls. `broken`: the machine failed it.

    `named` are the classes of anomalies that any claim counts on it. `unlike`: in what the run is not what the claims file says.
    """

    name: str
    trials: tuple[TrialEvidence, ...]
    voids: tuple[str, ...] = ()
    controls: tuple[ControlResult, ...] = ()
    broken: str | None = None
    directory: str | None = None
    named: frozenset[str] = frozenset()
    unlike: str | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """An anomaly and where it was seen."""

    experiment: str
    trial: int
    anomaly: Anomaly

    def told(self) -> Seen:
        """Give it as results.json holds it."""
        anomaly = self.anomaly
        return Seen(experiment=self.experiment, trial=self.trial, kind=anomaly.kind, key=anomaly.key, message=anomaly.message)


@dataclass(slots=True)
class Tally:
    """What is found while a claim's trials are gone through. The lists of reasons are those of an Account."""

    n: int = 0
    hits: int = 0
    counted: list[Sighting] = field(default_factory=list)
    contradicting: list[Sighting] = field(default_factory=list)
    excused: list[Sighting] = field(default_factory=list)
    unmet: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    gates: list[Gate] = field(default_factory=list)
    numbers: dict[str, list[Number]] = field(default_factory=dict)
    histories: list[History] = field(default_factory=list)
    voids: list[str] = field(default_factory=list)
    controls: list[ControlResult] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)
    infrastructure: str | None = None
    bug: str | None = None


def tally(claim: Claim, evidence: Mapping[str, ExperimentEvidence]) -> Tally:
    """Go through all trials of a claim's experiments."""
    found = Tally()
    for name in claim.experiments:
        if name not in evidence:
            found.unknown.append(f"experiment {name} was not run")
        elif (unlike := evidence[name].unlike) is not None:
            found.unknown.append(f"experiment {name} was not run as the claims file says: {unlike}")
        else:
            _experiment(claim, evidence[name], found)
    return found


def account(claim: Claim, found: Tally) -> Account:
    """Give what adds up with other shards' of what was found."""
    breaking = set(map(id, found.contradicting))
    cuts, ttls = _cuts(found.histories) if "extra-holders" in claim.checks else ((), None)
    return Account(
        n=found.n,
        hits=found.hits,
        counted=_by_class(each for each in found.counted if id(each) not in breaking),
        contradicting=_by_class(found.contradicting),
        excused=_by_class(found.excused),
        unknown=tuple(found.unknown),
        excluded=tuple(found.excluded),
        doubts=tuple(found.doubts),
        unmet=tuple(found.unmet),
        numbers={name: tuple(values) for name, values in found.numbers.items()},
        cuts_s=cuts,
        ttls_ms=ttls,
    )


def _by_class(found: Iterable[Sighting]) -> dict[str, int]:
    return dict(Counter(each.anomaly.kind for each in found))


def together(accounts: Sequence[Account]) -> Account:
    """Add accounts of different trials up."""
    ttls = [each.ttls_ms for each in accounts if each.ttls_ms is not None]
    return Account(
        n=sum(each.n for each in accounts),
        hits=sum(each.hits for each in accounts),
        counted=_summed(each.counted for each in accounts),
        contradicting=_summed(each.contradicting for each in accounts),
        excused=_summed(each.excused for each in accounts),
        unknown=_all(each.unknown for each in accounts),
        excluded=_all(each.excluded for each in accounts),
        doubts=_all(each.doubts for each in accounts),
        unmet=_all(each.unmet for each in accounts),
        numbers={
            name: _all(each.numbers.get(name, ()) for each in accounts)
            for name in dict.fromkeys(name for each in accounts for name in each.numbers)
        },
        cuts_s=_all(each.cuts_s for each in accounts),
        ttls_ms=tuple(sorted(set(_all(ttls)))) if ttls else None,
    )


def _summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    return dict(sum((Counter(each) for each in counts), Counter()))


def _all(parts: Iterable[tuple[T, ...]]) -> tuple[T, ...]:
    return tuple(each for part in parts for each in part)


def worst(found: Iterable[Gate]) -> tuple[Gate, ...]:
    """Give of each gate the worst measurement."""
    gates: dict[str, Gate] = {}
    for gate in found:
        before = gates.get(gate.name)
        if before is None or _shortfall(gate) > _shortfall(before):
            gates[gate.name] = gate
    return tuple(gates.values())


def _shortfall(gate: Gate) -> tuple[bool, int]:
    return not gate.met, gate.measured if gate.needed == 0 else -gate.measured


def numbers(found: Account) -> dict[str, Numbers]:
    """Give median and maximum over the trials of each number that the checks reported, and counts of anomalies by class."""
    told: dict[str, Numbers] = {name: {"median": median(values), "max": max(values)} for name, values in found.numbers.items()}
    told["anomalies"] = dict(_summed((found.counted, found.contradicting)))
    told["excused"] = dict(found.excused)
    if found.cuts_s:
        told["cut_s"] = {"median": round(median(found.cuts_s), 1), "max": round(max(found.cuts_s), 1)}
    if found.ttls_ms is not None:
        told["ttl_ms"] = list(found.ttls_ms)
    return told


# Trials


def _experiment(claim: Claim, evidence: ExperimentEvidence, found: Tally) -> None:
    trials = [trial for trial in evidence.trials if trial.history.mark("void") is None]
    checks = _checks(claim, trials)
    found.histories += [trial.history for trial in evidence.trials]
    for trial in trials:
        _trial(claim, evidence, trial, checks, found)
    found.voids += [f"{evidence.name}: {reason}" for reason in evidence.voids]
    if not trials:
        found.unknown.append(f"{evidence.name}: no trial")
    if len(evidence.voids) > len(trials):
        found.unmet.append(f"{evidence.name}: {len(evidence.voids)} trials void, at most {len(trials)} allowed: {evidence.voids[0]}")
    if evidence.broken is not None:
        found.infrastructure = found.infrastructure or f"{evidence.name}: {evidence.broken}"
        found.unknown.append(f"{evidence.name} was cut short: {evidence.broken}")
    if evidence.directory is not None:
        found.directories.append(evidence.directory)
    _controls(claim, evidence, checks, found)


def _controls(claim: Claim, evidence: ExperimentEvidence, checks: Sequence[str], found: Tally) -> None:
    counting = {check.name for kind in claim.anomalies if (check := check_of(kind)) is not None}
    mine = [control for control in evidence.controls if control.check in counting]
    found.controls += mine
    for control in mine:
        if not control.condemned:
            more = f" ({control.detail})" if control.detail else ""
            found.unknown.append(f"{evidence.name}: the {control.check} check did not condemn {control.planted}{more}")
    for name in checks:
        if name in counting and name not in {control.check for control in mine}:
            found.unmet.append(f"{evidence.name}: no positive control for the {name} check")


def _checks(claim: Claim, trials: Sequence[TrialEvidence]) -> list[str]:
    """Give the checks of a claim that an experiment serves: all, less those of workloads that it does not drive."""
    workloads = {name for trial in trials for name in driven(trial.history)}
    if not workloads or workloads - set(registry.names("workloads")):
        return list(claim.checks)
    return [check for check in claim.checks if workloads & set(workloads_of(check))]


def _trial(claim: Claim, evidence: ExperimentEvidence, trial: TrialEvidence, checks: Sequence[str], found: Tally) -> None:
    where = f"{evidence.name}, trial {trial.n}"
    if bugs := broken(trial.history):
        found.bug = found.bug or f"{where}: {bugs[0]}"
    valid = trial.validity
    found.gates += valid
    lacking = [gate for gate in valid if not gate.met]
    if serious := [gate for gate in lacking if gate.name not in DOUBTS]:
        found.excluded.append(f"{where} does not count: {serious[0]}")
        return
    found.doubts += [f"{where}: {gate}" for gate in lacking]
    found.n += 1
    exposed = exposure(trial.history, _workloads(checks, trial.history), claim.gates, claim.bound.ns if claim.bound else None)
    if claim.functions:
        answered = sum(each.status == "ok" and each.f in claim.functions for each in trial.history.operations())
        exposed = (*exposed, at_least("answered_of_its_functions", ANSWERED, answered))
    found.gates += exposed
    found.unmet += [f"{where}: {gate}" for gate in exposed if not gate.met]
    hit = False
    for check in checks:
        verdict = trial.verdicts.get(check, NOT_CHECKED)
        found.unknown += [f"{where}: {check} unknown: {reason}" for reason in _unknowns(verdict)]
        for name, value in verdict.numbers.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                found.numbers.setdefault(f"{check}.{name}", []).append(value)
        for anomaly in verdict.all_anomalies():
            hit |= _anomaly(claim, trial, Sighting(evidence.name, trial.n, anomaly), evidence.named, found)
    found.hits += hit


def _anomaly(claim: Claim, trial: TrialEvidence, seen: Sighting, named: Collection[str], found: Tally) -> bool:
    """Put an anomaly to the tally; say whether it is one that the claim counts, so that its trial is a hit.

    `named` are the classes that some claim counts on the same trials: they are judged there, and leave no doubt here.
    """
    counts = seen.anomaly.kind in claim.anomalies
    if counts and claim.functions and (elsewhere := _elsewhere(claim.functions, trial.history, seen)) is not None:
        found.excused.append(seen)
        found.unknown += elsewhere
        return False
    if claim.document != "warns":
        (found.counted if counts else found.excused).append(seen)
        if not counts and seen.anomaly.kind not in named:  # nothing is excused where nothing is warned of
            found.unmet.append(f"{seen.experiment}, trial {seen.trial}: {seen.anomaly.kind}, a class that no claim names there")
        if counts and claim.document == "promises":
            found.contradicting.append(seen)
        return counts
    if not counts and seen.anomaly.kind not in claim.excuses:
        found.contradicting.append(seen)  # of another class than what the document warns of
        return False
    inside = _inside(claim, trial.history, seen.anomaly) if trial.felt else None
    if inside is None:
        doubt = "was not proved" if trial.felt else "was proved and not felt"
        found.unknown.append(f"{seen.experiment}, trial {seen.trial}: {seen.anomaly.kind} cannot be placed, its fault {doubt}")
        return False
    if not inside:
        found.contradicting.append(seen)
        return False
    (found.counted if counts else found.excused).append(seen)
    return counts


def _elsewhere(functions: Collection[str], history: History, seen: Sighting) -> list[str] | None:
    """Say what doubt an anomaly leaves on these functions where none of them takes part in it; None where one does.

    On a key that they were used on they may have caused it, though what shows it is other operations: their claim is in doubt.
    """
    involved, anomaly = set(functions), seen.anomaly
    named = set(anomaly.operations)
    operations = [each for each in history.operations() if each.f in involved and each.status != "fail"]
    if any(each.index in named for each in operations):
        return None
    used = next((each for each in operations if each.key == anomaly.key), None)
    return [] if used is None else [f"{seen.experiment}, trial {seen.trial}: {anomaly.kind} on {anomaly.key}, where {used.f} was used too"]


def _inside(claim: Claim, history: History, anomaly: Anomaly) -> bool | None:
    """Say whether an anomaly is one that the claim's window excuses; None where a fault began but the window has no start.

    What it concerns must have been live inside the window, and it must not have stood before the fault
    began: what went wrong by then no fault has caused, however early the window starts.
    """
    assert claim.window is not None
    fault = began(history)
    if fault is None or anomaly.at < fault:
        return False
    span = window(history, claim.window.since, claim.window.until)
    return None if span is None else span[0] <= live(history, anomaly) <= span[1]


def live(history: History, anomaly: Anomaly) -> int:
    """Give the time from which the state that was lost counted, in ns: a grant's acknowledgement, or that of its extension.

    A lease granted before a fault and extended during it was lost as what the extension made it: the
    first acknowledged step of the earlier owner whose own term reaches the contradiction counts, the
    last one if none does. Other anomalies say it themselves, or count from their earliest write.
    """
    steps = _steps(history, anomaly)
    check = check_of(anomaly.kind)
    if check is None or check.name != "lease":
        return anomaly.live if anomaly.live is not None else (steps[0].end or anomaly.at) if steps else anomaly.at
    since = anomaly.live if anomaly.live is not None else anomaly.at
    owner = steps[0].argument.get("owner") if steps else None
    mine = [step for step in steps if step.argument.get("owner") == owner and step.start < anomaly.at]
    reaching = [step for step in mine if step.start + _span_ns(step) > anomaly.at]
    chosen = reaching[0] if reaching else mine[-1] if mine else None
    return since if chosen is None or chosen.end is None else max(since, chosen.end)


def _steps(history: History, anomaly: Anomaly) -> list[Operation]:
    named = set(anomaly.operations)
    found = [operation for operation in history.operations() if operation.index in named]
    answered = [step for step in found if step.status == "ok" and isinstance(step.result, Mapping)]
    return [step for step in answered if any(step.result.get(name) is True for name in POSITIVE)]


def _span_ns(step: Operation) -> int:
    return int(step.argument.get(GRANT_SPANS.get(step.f, ""), 0)) * NS_PER_MS


def _workloads(checks: Iterable[str], history: History) -> list[str]:
    """Give the workloads whose exposure matters: of those that the checks judge the ones that were driven, or all if none was."""
    found: list[str] = []
    for check in checks:
        judged = workloads_of(check)
        run = [name for name in driven(history) if name in judged] or list(judged)
        found += [name for name in run if name not in found]
    return found


def _unknowns(verdict: Verdict) -> list[str]:
    if verdict.parts:
        return [reason for _, part in verdict.parts for reason in _unknowns(part)]
    return [verdict.summary] if verdict.status is Status.UNKNOWN else []


def _cuts(histories: Sequence[History]) -> tuple[tuple[Number, ...], tuple[Number, ...]]:
    """Give how long each fault was on, in seconds, and every TTL that was asked for, in ms."""
    lengths = (
        (fault.healing.time - fault.active.time) / NS_PER_S
        for history in histories
        for fault in history.faults
        if fault.active is not None and fault.healing is not None
    )
    invoked = (event for history in histories for event in history.events if event.type == "invoke" and event.f == "try_acquire")
    return tuple(lengths), tuple(sorted({event.value["ttl_ms"] for event in invoked}))
