"""From evidence to a verdict on a claim, a cell, the table: pure functions.

What counts follows the claim's document. A promise is broken by one counterexample in one valid trial,
whatever else was missing; that nothing was seen counts only where every gate was met, every check gave
an answer, and each check condemned a planted bug. In doubt the verdict is inconclusive, and says what
was missing: `holds` is earned (SPEC 8).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness import registry
from harness.claims.file import Claim, Claims, Word
from harness.judging.check import check_of, workloads_of
from harness.judging.gates import DOUBTS, Gate, began, broken, driven, exposure, validity, window
from harness.judging.statistics import Rate, median, rate
from harness.judging.verdict import Anomaly, Status, Verdict, of_each_kind_first, unknown
from harness.record.history import History, Operation

GRANT_SPANS = {"try_acquire": "ttl_ms", "acquire_within": "ttl_ms", "extend": "duration_ms"}
POSITIVE = ("granted", "held", "released", "set")
NOT_CHECKED = unknown("it was not carried out")
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class TrialEvidence:
    """One trial: its own history, and the verdict of each check by name."""

    n: int
    history: History
    verdicts: Mapping[str, Verdict]


@dataclass(frozen=True, slots=True)
class ControlResult:
    """Whether a check condemned what was planted."""

    check: str
    planted: str
    condemned: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ExperimentEvidence:
    """What an experiment left: trials that are not void, why others are, its controls. `broken`: the machine failed it.

    `named` are the classes of anomalies that any claim counts on it.
    """

    name: str
    trials: tuple[TrialEvidence, ...]
    voids: tuple[str, ...] = ()
    controls: tuple[ControlResult, ...] = ()
    broken: str | None = None
    directory: str | None = None
    named: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Seen:
    """An anomaly and where it was seen."""

    experiment: str
    trial: int
    anomaly: Anomaly


@dataclass(frozen=True, slots=True)
class Judgement:
    """What we conclude of a claim, with all that was counted.

    `rate` is of valid trials with an anomaly that counts. `gates` hold the worst trial's measurement
    of each. `anomalies` count, `contradicting` are those among them (or of another class, or outside
    the window) that break a promise; `excused` were seen and not counted. `missing` says what stood in
    the way of a verdict, or of counting a trial. `bug` is an error of ours: exit 70. `absent`: this
    machine lacks what it needs, another one may not.
    """

    claim: Claim
    verdict: Word
    expected: bool
    sentence: str
    rate: Rate | None = None
    gates: tuple[Gate, ...] = ()
    missing: tuple[str, ...] = ()
    remedy: str | None = None
    anomalies: tuple[Seen, ...] = ()
    contradicting: tuple[Seen, ...] = ()
    excused: tuple[Seen, ...] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)
    voids: tuple[str, ...] = ()
    controls: tuple[ControlResult, ...] = ()
    directories: tuple[str, ...] = ()
    infrastructure: str | None = None
    bug: str | None = None
    absent: bool = False


@dataclass(slots=True)
class _Account:
    """What is found while a claim's trials are gone through."""

    n: int = 0
    hits: int = 0
    counted: list[Seen] = field(default_factory=list)
    contradicting: list[Seen] = field(default_factory=list)
    excused: list[Seen] = field(default_factory=list)
    unmet: list[str] = field(default_factory=list)  # stands in the way of holds and not-seen
    unknown: list[str] = field(default_factory=list)  # stands in the way of as-documented too
    excluded: list[str] = field(default_factory=list)  # trials whose validity failed
    doubts: list[str] = field(default_factory=list)  # stands in the way of holds and not-seen, and takes no counterexample away
    gates: dict[str, Gate] = field(default_factory=dict)
    numbers: dict[str, list[float]] = field(default_factory=dict)
    voids: list[str] = field(default_factory=list)
    controls: list[ControlResult] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)
    infrastructure: str | None = None
    bug: str | None = None


def judge(claim: Claim, evidence: Mapping[str, ExperimentEvidence]) -> Judgement:
    """Judge a claim by what its experiments left."""
    if not claim.experiments:
        return unavailable(claim, claim.requires or "what is not here", claim.remedy)
    account = _Account()
    for name in claim.experiments:
        if name in evidence:
            _experiment(claim, evidence[name], account)
        else:
            account.unknown.append(f"experiment {name} was not run")
    verdict = _word(claim, account)
    counted = rate(account.hits, account.n) if account.n else None
    numbers = _numbers(claim, evidence, account)
    missing = _missing(verdict, account)
    return Judgement(
        claim=claim,
        verdict=verdict,
        expected=verdict in claim.expect,
        sentence=_sentence(claim, verdict, counted, account, numbers, missing),
        rate=counted,
        gates=tuple(account.gates.values()),
        missing=missing,
        remedy=_remedy(claim, account) if verdict is Word.INCONCLUSIVE else None,
        anomalies=tuple(account.counted),
        contradicting=tuple(account.contradicting),
        excused=tuple(account.excused),
        numbers=numbers,
        voids=tuple(account.voids),
        controls=tuple(account.controls),
        directories=tuple(account.directories),
        infrastructure=account.infrastructure,
        bug=account.bug,
    )


def unavailable(claim: Claim, needed: str, remedy: str | None = None) -> Judgement:
    """Judge a claim that cannot be tested anywhere by us: what that would need, and the remedy."""
    return Judgement(
        claim=claim,
        verdict=Word.UNAVAILABLE,
        expected=Word.UNAVAILABLE in claim.expect,
        sentence=f"cannot be tested here: {needed}",
        missing=(needed,),
        remedy=remedy,
    )


def left_out(claim: Claim, needed: str, remedy: str | None, *, asked: bool) -> Judgement:
    """Judge a claim whose servers this machine lacks: as expected, unless the user asked for it."""
    found = unavailable(claim, needed, remedy)
    return replace(found, expected=found.expected or not asked, absent=True)


def _word(claim: Claim, account: _Account) -> Word:
    if account.contradicting:
        return Word.VIOLATED
    if claim.document == "silent" and account.hits:
        return Word.FINDING
    if account.unknown or not account.n:
        return Word.INCONCLUSIVE
    if account.hits:
        return Word.AS_DOCUMENTED
    if account.unmet or account.excluded or account.doubts:
        return Word.INCONCLUSIVE
    return Word.NOT_SEEN if claim.document == "warns" else Word.HOLDS


def _missing(verdict: Word, account: _Account) -> tuple[str, ...]:
    lacking = (*account.unknown, *account.excluded, *account.doubts, *account.unmet)
    if verdict is Word.INCONCLUSIVE:
        return tuple(dict.fromkeys(lacking)) or ("no trial",)
    # A counterexample stands by itself; what was lacking beside it is told all the same.
    return tuple(dict.fromkeys((*account.unknown, *account.excluded, *account.doubts)))


# Trials


def _experiment(claim: Claim, evidence: ExperimentEvidence, account: _Account) -> None:
    trials = [trial for trial in evidence.trials if trial.history.mark("void") is None]
    checks = _checks(claim, trials)
    for trial in trials:
        _trial(claim, evidence, trial, checks, account)
    account.voids += [f"{evidence.name}: {reason}" for reason in evidence.voids]
    if not trials:
        account.unknown.append(f"{evidence.name}: no trial")
    if len(evidence.voids) > len(trials):
        account.unmet.append(f"{evidence.name}: {len(evidence.voids)} trials void, at most {len(trials)} allowed: {evidence.voids[0]}")
    if evidence.broken is not None:
        account.infrastructure = account.infrastructure or f"{evidence.name}: {evidence.broken}"
        account.unknown.append(f"{evidence.name} was cut short: {evidence.broken}")
    if evidence.directory is not None:
        account.directories.append(evidence.directory)
    _controls(claim, evidence, checks, account)


def _controls(claim: Claim, evidence: ExperimentEvidence, checks: Sequence[str], account: _Account) -> None:
    counting = {found.name for kind in claim.anomalies if (found := check_of(kind)) is not None}
    mine = [control for control in evidence.controls if control.check in counting]
    account.controls += mine
    for control in mine:
        if not control.condemned:
            more = f" ({control.detail})" if control.detail else ""
            account.unknown.append(f"{evidence.name}: the {control.check} check did not condemn {control.planted}{more}")
    for check in checks:
        if check in counting and check not in {control.check for control in mine}:
            account.unmet.append(f"{evidence.name}: no positive control for the {check} check")


def _checks(claim: Claim, trials: Sequence[TrialEvidence]) -> list[str]:
    """Give the checks of a claim that an experiment serves: all, less those of workloads that it does not drive."""
    workloads = {name for trial in trials for name in driven(trial.history)}
    if not workloads or workloads - set(registry.names("workloads")):
        return list(claim.checks)
    return [check for check in claim.checks if workloads & set(workloads_of(check))]


def _trial(claim: Claim, evidence: ExperimentEvidence, trial: TrialEvidence, checks: Sequence[str], account: _Account) -> None:
    where = f"{evidence.name}, trial {trial.n}"
    if bugs := broken(trial.history):
        account.bug = account.bug or f"{where}: {bugs[0]}"
    valid = validity(trial.history)
    _keep(account, valid)
    lacking = [gate for gate in valid if not gate.met]
    if serious := [gate for gate in lacking if gate.name not in DOUBTS]:
        account.excluded.append(f"{where} does not count: {serious[0]}")
        return
    account.doubts += [f"{where}: {gate}" for gate in lacking]
    account.n += 1
    exposed = exposure(trial.history, _workloads(checks, trial.history), claim.gates, claim.bound.ns if claim.bound else None)
    _keep(account, exposed)
    account.unmet += [f"{where}: {gate}" for gate in exposed if not gate.met]
    hit = False
    for check in checks:
        verdict = trial.verdicts.get(check, NOT_CHECKED)
        account.unknown += [f"{where}: {check} unknown: {reason}" for reason in _unknowns(verdict)]
        for name, value in verdict.numbers.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                account.numbers.setdefault(f"{check}.{name}", []).append(value)
        for anomaly in verdict.all_anomalies():
            hit |= _anomaly(claim, trial, Seen(evidence.name, trial.n, anomaly), evidence.named, account)
    account.hits += hit


def _anomaly(claim: Claim, trial: TrialEvidence, seen: Seen, named: Collection[str], account: _Account) -> bool:
    """Put an anomaly to the account; say whether the trial counts as one in which what the claim names was seen.

    `named` are the classes that some claim counts on these trials: what another claim judges puts this one in no doubt.
    """
    counts = seen.anomaly.kind in claim.anomalies
    if claim.document != "warns":
        (account.counted if counts else account.excused).append(seen)
        if not counts and seen.anomaly.kind not in named:  # nothing is excused where nothing is warned of
            account.unmet.append(f"{seen.experiment}, trial {seen.trial}: {seen.anomaly.kind}, a class that no claim names there")
        if counts and claim.document == "promises":
            account.contradicting.append(seen)
        return counts
    if not counts and seen.anomaly.kind not in claim.excuses:
        account.contradicting.append(seen)  # of another class than what the document warns of
        return False
    inside = _inside(claim, trial.history, seen.anomaly)
    if inside is None:
        account.unknown.append(f"{seen.experiment}, trial {seen.trial}: {seen.anomaly.kind} cannot be placed, its fault was not proved")
        return False
    if not inside:
        account.contradicting.append(seen)
        return False
    (account.counted if counts else account.excused).append(seen)
    return counts


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
    return [step for step in found if step.status == "ok" and any((step.result or {}).get(name) is True for name in POSITIVE)]


def _span_ns(step: Operation) -> int:
    return int(step.argument.get(GRANT_SPANS.get(step.f, ""), 0)) * NS_PER_MS


def _workloads(checks: Iterable[str], history: History) -> list[str]:
    """Give the workloads whose exposure matters: of those that the checks judge the ones that were driven, or all if none was."""
    found: list[str] = []
    for check in checks:
        judged = workloads_of(check)
        run = [name for name in judged if name in driven(history)] or list(judged)
        found += [name for name in run if name not in found]
    return found


def _unknowns(verdict: Verdict) -> list[str]:
    if verdict.parts:
        return [reason for _, part in verdict.parts for reason in _unknowns(part)]
    return [verdict.summary] if verdict.status is Status.UNKNOWN else []


def _keep(account: _Account, found: Iterable[Gate]) -> None:
    for gate in found:
        worst = account.gates.get(gate.name)
        if worst is None or _shortfall(gate) > _shortfall(worst):
            account.gates[gate.name] = gate


def _shortfall(gate: Gate) -> tuple[bool, int]:
    return not gate.met, gate.measured if gate.needed == 0 else -gate.measured


# Numbers and words


def _numbers(claim: Claim, evidence: Mapping[str, ExperimentEvidence], account: _Account) -> dict[str, Any]:
    """Give median and maximum over the trials of each number that the claim's checks report, and counts of anomalies by class."""
    found: dict[str, Any] = {name: {"median": median(values), "max": max(values)} for name, values in account.numbers.items()}
    found["anomalies"] = dict(Counter(seen.anomaly.kind for seen in (*account.counted, *account.contradicting)))
    found["excused"] = dict(Counter(seen.anomaly.kind for seen in account.excused))
    if "extra-holders" in claim.checks:
        found |= _cuts([trial.history for name in claim.experiments if name in evidence for trial in evidence[name].trials])
    return found


def _cuts(histories: Sequence[History]) -> dict[str, Any]:
    lengths = [
        (fault.healing.time - fault.active.time) / NS_PER_S
        for history in histories
        for fault in history.faults
        if fault.active is not None and fault.healing is not None
    ]
    ttls = {
        event.value["ttl_ms"] for history in histories for event in history.events if event.type == "invoke" and event.f == "try_acquire"
    }
    cut = {"cut_s": {"median": round(median(lengths), 1), "max": round(max(lengths), 1)}} if lengths else {}
    return {**cut, "ttl_ms": sorted(ttls)}


def _sentence(
    claim: Claim, verdict: Word, counted: Rate | None, account: _Account, numbers: Mapping[str, Any], missing: Sequence[str]
) -> str:
    if verdict is Word.INCONCLUSIVE:
        seen = f"; seen in {_of(claim, counted)}" if counted is not None and counted.k else ""
        return f"not decided: {missing[0]}{seen}"
    assert counted is not None
    text = {
        Word.VIOLATED: f"false in {_of(claim, counted)}",
        Word.FINDING: f"false in {_of(claim, counted)}, and the document does not say so",
        Word.AS_DOCUMENTED: f"seen in {_of(claim, counted)}, as the document warns",
        Word.NOT_SEEN: f"what the document warns of was not seen in {counted.n} {claim.unit}; {_possible(counted)}",
        Word.HOLDS: f"no violation in {counted.n} {claim.unit}; {_possible(counted)}",
    }[verdict]
    if verdict is Word.VIOLATED and claim.document == "warns":
        first = of_each_kind_first([seen.anomaly for seen in account.contradicting])[0]
        text = f"{len(account.contradicting)} anomalies that the document does not warn of, first {first.kind}"
        text += f"; as it warns in {_of(claim, counted)}"
    excluded = f"; {len(account.excluded)} more did not count" if account.excluded else ""
    return text + _measured(numbers) + excluded


def _of(claim: Claim, counted: Rate | None) -> str:
    return "no trial" if counted is None else f"{counted} {claim.unit} (95 % interval {counted.interval})"


def _possible(counted: Rate) -> str:
    return f"at most {counted.interval.removeprefix('≤ ')} at 95 % confidence"


def _measured(numbers: Mapping[str, Any]) -> str:
    if "extra-holders.maximum" not in numbers:
        return ""
    middle, most = numbers["extra-holders.median"]["median"], numbers["extra-holders.maximum"]["max"]
    words = [f"extra holders a name: median {middle:g}, at most {most:g}"]
    if numbers.get("ttl_ms"):
        words.append("TTL " + " and ".join(f"{ttl / 1000:g} s" for ttl in numbers["ttl_ms"]))
    if "cut_s" in numbers:
        words.append(f"cut {numbers['cut_s']['median']:g} s")
    return "".join(f"; {word}" for word in words)


def _remedy(claim: Claim, account: _Account) -> str | None:
    if claim.remedy is not None:
        return claim.remedy
    if account.bug is not None:
        return "report it with its run directory: this is an error of ours, not of the system"
    if account.infrastructure is not None:
        return "run it again: the machine or a server failed, not the claim"
    if account.doubts:
        return "name the unclassified error in the backend's table of errors, as definite or not; docs/adding-a-backend.md"
    if account.excluded:
        return "run it again, on a machine with less load: what did not count had not kept still by itself"
    if account.unmet and not account.unknown:
        return "give its experiment a longer fault (timeline), a higher rate (options), or the control that is missing"
    return None


# Cells, table, exit code


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the documented table: the document's words, and the worst of its claims. `word` None = not judged."""

    row: str
    column: str
    quote: str | None
    word: Word | None
    judgements: tuple[Judgement, ...] = ()

    @property
    def verdict(self) -> str:
        """Give the word that is printed."""
        return "not judged" if self.word is None else str(self.word)


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of the documented table."""

    name: str
    cells: tuple[Cell, ...]


def table(claims: Claims, judgements: Sequence[Judgement]) -> list[TableRow]:
    """Give the documented table with a verdict in each cell; a file without rows has those that its claims name."""
    quotes: dict[str, dict[str, str | None]] = {row.name: row.quotes for row in claims.rows}
    for claim in claims.claims:
        row, column = claim.cell
        cells = quotes.setdefault(row, {})
        cells[column] = cells.get(column) or claim.quote
    columns = list(dict.fromkeys(column for cells in quotes.values() for column in cells))
    return [
        TableRow(row, tuple(_cell(row, column, cells.get(column), claims, judgements) for column in columns))
        for row, cells in quotes.items()
    ]


def _cell(row: str, column: str, quote: str | None, claims: Claims, judgements: Sequence[Judgement]) -> Cell:
    mine = tuple(judgement for judgement in judgements if judgement.claim.cell == (row, column))
    if not mine:
        return Cell(row, column, quote, None)
    deciding = [judgement.verdict for judgement in mine if not (judgement.verdict is Word.UNAVAILABLE and judgement.expected)]
    words = deciding or [Word.UNAVAILABLE]
    judged = {judgement.claim.id for judgement in mine}
    if any(claim.cell == (row, column) and claim.id not in judged for claim in claims.claims):
        words.append(Word.INCONCLUSIVE)  # some of its claims were not judged: the others do not speak for them
    return Cell(row, column, quote, min(words, key=lambda word: word.rank), mine)


def exit_code(judgements: Sequence[Judgement], *, strict: bool = False) -> int:
    """Give the exit code of SPEC 8: 70 a bug of ours, 1 a verdict not expected, 3 infrastructure, 2 in doubt, 0 all as expected.

    `strict`: a contradiction of the document is 1 though it was expected. Where this machine lacks what every claim needs, nothing
    was judged: 2.
    """
    doubt = (Word.INCONCLUSIVE, Word.UNAVAILABLE)
    surprising = [judgement for judgement in judgements if not judgement.expected]
    if any(judgement.bug is not None for judgement in judgements):
        return 70
    if any(judgement.verdict not in doubt for judgement in surprising):
        return 1
    if strict and any(judgement.verdict is Word.VIOLATED for judgement in judgements):
        return 1
    if any(judgement.infrastructure is not None for judgement in judgements):
        return 3
    return 2 if surprising or _nothing_judged(judgements) else 0


def _nothing_judged(judgements: Sequence[Judgement]) -> bool:
    """Say whether every claim is unavailable, and of one at least it is not the claims file that expects it but this machine."""
    if any(judgement.verdict is not Word.UNAVAILABLE for judgement in judgements):
        return False
    return not judgements or any(each.absent and Word.UNAVAILABLE not in each.claim.expect for each in judgements)


NUMBERS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve")


def headline(rows: Sequence[TableRow]) -> str:
    """Say first, and in words, what contradicts its document; else what was found, and what is in doubt."""
    claimed = [cell for row in rows for cell in row.cells if cell.word is not None]
    cells = [cell for cell in claimed if cell.word is not Word.UNAVAILABLE]
    wrong = [cell for cell in cells if cell.word is Word.VIOLATED]
    if not cells:
        return "No documented cell was judged."
    of = _number(len(cells)).lower()
    if wrong:
        verb = "does" if len(wrong) == 1 else "do"
        return f"{_number(len(wrong))} of {of} judged {'cell' if len(cells) == 1 else 'cells'} {verb} not hold water: " + " ".join(
            _contradiction(cell) for cell in wrong
        )
    doubtful = [cell for cell in claimed if cell.word in (Word.INCONCLUSIVE, Word.UNAVAILABLE)]
    findings = [cell for cell in cells if cell.word is Word.FINDING]
    text = f"No contradiction of the document was seen in {of} judged {'cell' if len(cells) == 1 else 'cells'}"
    if doubtful:
        text += f"; {_number(len(doubtful)).lower()} could not be decided"
    if findings:
        text += f"; {_number(len(findings)).lower()} {'has' if len(findings) == 1 else 'have'} a finding of which the document is silent"
    return text + "."


def _number(count: int) -> str:
    return NUMBERS[count] if count < len(NUMBERS) else str(count)


def _contradiction(cell: Cell) -> str:
    worst = next(judgement for judgement in cell.judgements if judgement.verdict is Word.VIOLATED)
    quote = f" (“{cell.quote}”)" if cell.quote else ""
    return f"{cell.row}, {cell.column.lower()}{quote}: “{worst.claim.sentence.rstrip('.')}” is {worst.sentence}."
