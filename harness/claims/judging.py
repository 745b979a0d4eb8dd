"""From what was counted to a verdict on a claim: pure functions of the document's stance and the account.

A promise is broken by one counterexample in one valid trial, whatever else was missing; that nothing was seen counts
only where every gate was met, every check gave an answer, and each check condemned a planted bug. In doubt the verdict
is inconclusive, and says what was missing: `holds` is earned. Shards that are joined go through the same
functions (`harness.claims.merging`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from harness.claims.claim import Claim, Document, Word
from harness.claims.counting import ENDED, ExperimentEvidence, Sighting, Tally, account, numbers, tally, worst
from harness.claims.results import Account, Judgement
from harness.judging.statistics import Rate, rate
from harness.judging.verdict import combine, of_each_kind_first, worst_first

MOST_SHOWN = 50  # anomalies of a claim in results.json; all are in its experiments' own
SHARDS_DIFFER = "; shards differ: "  # what the sentence of a claim of several shards goes on with


def judge(claim: Claim, evidence: Mapping[str, ExperimentEvidence]) -> Judgement:
    """Judge a claim by what its experiments left."""
    if not claim.experiments:
        return unavailable(claim, claim.requires or "what is not here", claim.remedy)
    found = tally(claim, evidence)
    counted = account(claim, found)
    concluded = word(claim.document, counted)
    contradicting = _first_first(found.contradicting)
    seen = [*contradicting, *_first_first([each for each in found.counted if each not in found.contradicting])]
    kinds = {each.anomaly.kind for each in contradicting or seen}
    return replace(
        _undecided(claim),
        verdict=concluded,
        expected=concluded in claim.expect,
        said=said(claim, concluded, counted),
        rate=rate_of(counted),
        missing=missing(concluded, counted),
        remedy=_remedy(claim, counted, found) if concluded is Word.INCONCLUSIVE else None,
        infrastructure=found.infrastructure,
        bug=found.bug,
        gates=worst(found.gates),
        numbers=numbers(counted),
        anomalies=tuple(each.told() for each in seen[:MOST_SHOWN]),
        excused=tuple(each.told() for each in found.excused[:MOST_SHOWN]),
        voids=tuple(found.voids),
        controls=tuple(found.controls),
        experiments=tuple(found.directories),
        evidence=_texts(kinds, [evidence[name] for name in claim.experiments if name in evidence]),
        account=counted,
    )


def unavailable(claim: Claim, needed: str, remedy: str | None = None) -> Judgement:
    """Judge a claim that cannot be tested anywhere by us: what that would need, and the remedy."""
    return replace(
        _undecided(claim),
        verdict=Word.UNAVAILABLE,
        expected=Word.UNAVAILABLE in claim.expect,
        said=f"cannot be tested here: {needed}",
        missing=(needed,),
        remedy=remedy,
    )


def left_out(claim: Claim, needed: str, remedy: str | None, *, asked: bool) -> Judgement:
    """Judge a claim whose servers this machine lacks: as expected, unless the user asked for it."""
    found = unavailable(claim, needed, remedy)
    return replace(found, expected=found.expected or not asked, absent=True)


def _undecided(claim: Claim) -> Judgement:
    return Judgement(
        id=claim.id,
        cell=claim.cell,
        table=claim.table,
        quote=claim.quote,
        sentence=claim.sentence,
        conditions=claim.conditions,
        document=claim.document,
        expect=claim.expect,
        unit=claim.unit,
        verdict=Word.INCONCLUSIVE,
        expected=False,
        said="",
        rate=None,
        missing=(),
        remedy=None,
        gates=(),
        numbers={},
        anomalies=(),
        experiments=(),
        evidence=(),
    )


# The word


def word(document: Document, found: Account) -> Word:
    """Give the verdict on a claim: the first line that fits (docs/claims.md)."""
    if found.contradicting:
        return Word.VIOLATED
    if document == "silent" and found.hits:
        return Word.FINDING
    if found.unknown or not found.n:
        return Word.INCONCLUSIVE
    if found.hits:
        return Word.AS_DOCUMENTED
    if found.unmet or found.excluded or found.doubts:
        return Word.INCONCLUSIVE
    return Word.NOT_SEEN if document == "warns" else Word.HOLDS


def missing(concluded: Word, found: Account) -> tuple[str, ...]:
    """Say what stood in the way of a verdict. A counterexample stands by itself; what was lacking beside it is told all the same."""
    beside = (*found.unknown, *found.excluded, *found.doubts)
    if concluded is Word.INCONCLUSIVE:
        return tuple(dict.fromkeys((*beside, *found.unmet))) or ("no trial",)
    return tuple(dict.fromkeys(beside))


def rate_of(found: Account) -> Rate | None:
    """Give in how many of the trials that count what the claim names was seen; None where none counts."""
    return rate(found.hits, found.n) if found.n else None


# What a second round changes


def by_noise(first: Judgement) -> bool:
    """Say whether a verdict is missing only for what a busy machine does: nothing was seen, and no error was in doubt."""
    found = first.account
    if first.verdict is not Word.INCONCLUSIVE or found is None or first.bug is not None or found.doubts:
        return False
    return not _saw(first) and (first.document == "warns" or not found.excused)


def decided(first: Judgement, second: Judgement) -> Judgement:
    """Give the verdict on a claim whose experiments were repeated.

    The first one stands, unless it was in doubt by noise, or unless something was seen now that was not seen then.
    """
    return second if by_noise(first) or (_saw(second) and not _saw(first)) else first


def _saw(judgement: Judgement) -> bool:
    found = judgement.account
    return found is not None and bool(found.hits or found.contradicting)


# The sentence


def said(claim: Claim | Judgement, concluded: Word, found: Account) -> str:
    """Give the verdict in a sentence."""
    counted = rate_of(found)
    if concluded is Word.INCONCLUSIVE:
        seen = f"; seen in {_of(claim.unit, counted)}" if counted is not None and counted.k else ""
        return f"not decided: {missing(concluded, found)[0]}{seen}"
    assert counted is not None
    text = {
        Word.VIOLATED: f"false in {_of(claim.unit, counted)}",
        Word.FINDING: f"false in {_of(claim.unit, counted)}, and the document does not say so",
        Word.AS_DOCUMENTED: f"seen in {_of(claim.unit, counted)}, as the document warns",
        Word.NOT_SEEN: f"what the document warns of was not seen in {counted.n} {claim.unit}; {_possible(counted)}",
        Word.HOLDS: f"no violation in {counted.n} {claim.unit}; {_possible(counted)}",
    }[concluded]
    if concluded is Word.VIOLATED and claim.document == "warns":
        text = (
            f"{sum(found.contradicting.values())} anomalies that the document does not warn of, first {worst_first(found.contradicting)[0]}"
        )
        text += f"; as it warns in {_of(claim.unit, counted)}"
    excluded = f"; {len(found.excluded)} more did not count" if found.excluded else ""
    return text + _measured(numbers(found)) + excluded


def _of(unit: str, counted: Rate | None) -> str:
    return "no trial" if counted is None else f"{counted} {unit} (95 % interval {counted.interval})"


def _possible(counted: Rate) -> str:
    return f"at most {counted.interval.removeprefix('≤ ')} at 95 % confidence"


def _measured(told: Mapping[str, Any]) -> str:
    if not {"extra-holders.median", "extra-holders.maximum"} <= told.keys():
        return ""
    middle, most = told["extra-holders.median"]["median"], told["extra-holders.maximum"]["max"]
    words = [f"extra holders a name: median {middle:g}, at most {most:g}"]
    if told.get("ttl_ms"):
        words.append("TTL " + " and ".join(f"{ttl / 1000:g} s" for ttl in told["ttl_ms"]))
    if "cut_s" in told:
        words.append(f"cut {told['cut_s']['median']:g} s")
    return "".join(f"; {word}" for word in words)


def _remedy(claim: Claim, counted: Account, found: Tally) -> str | None:
    if claim.remedy is not None:
        return claim.remedy
    if found.bug is not None:
        return "report it with its run directory: this is an error of ours, not of the system"
    if found.infrastructure is not None and ENDED in found.infrastructure:
        return f"run it again: {ENDED}"
    if found.infrastructure is not None:
        return "run it again: the machine or a server failed, not the claim"
    if counted.doubts:
        return "name the unclassified error in the backend's table of errors, as definite or not; docs/adding-a-backend.md"
    if counted.excluded:
        return "run it again, on a machine with less load: in the trials that do not count something changed by itself"
    if counted.unmet and not counted.unknown:
        return "give its experiment a longer fault (timeline), a higher rate (options), or the control that is missing"
    return None


# What is shown first


def _first_first(seen: Sequence[Sighting]) -> list[Sighting]:
    """Order what was seen by trial, in each as its texts are: the first of the worst kind leads."""
    trials: dict[tuple[str, int], list[Sighting]] = {}
    for each in seen:
        trials.setdefault((each.experiment, each.trial), []).append(each)
    of = {id(each.anomaly): each for each in seen}
    return [of[id(anomaly)] for found in trials.values() for anomaly in of_each_kind_first([each.anomaly for each in found])]


def _texts(kinds: set[str], evidence: Sequence[ExperimentEvidence]) -> tuple[str, ...]:
    """Name the first text of one of these kinds that each experiment's reports write: of its first trial with an anomaly."""
    paths = []
    for each in evidence:
        found = next((anomalies for trial in each.trials if (anomalies := combine(trial.verdicts).all_anomalies())), [])
        numbers = [n for n, anomaly in enumerate(of_each_kind_first(found), 1) if anomaly.kind in kinds]
        paths += [f"{each.directory}/anomalies/{number}.txt" for number in numbers[:1]]
    return tuple(paths)
