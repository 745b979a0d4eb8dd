"""junit.xml of a run or of the main job, for a CI's list of tests: it follows the exit code.

What the exit code counts is a failure; what the machine or a bug of ours broke, an error. A contradiction that
is expected passes and says its sentence in system-out; what cannot be tested here is skipped. So that a list
without a failure always means exit 0, a test "exit code" fails where no other one does: a viewer that greens
what is skipped, or an empty list, must not hide a 2.

The form is the one that Jenkins publishes (junit-10.xsd), which also GitLab, GitHub's reporters and Azure read.
Text from outside cannot leave its element: what XML 1.0 has no letter for is spelt out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from harness.claims.reading import read
from harness.claims.results import CheckResult, Judgement, Run, SelfTest, TrialResult, Verify, kind
from harness.judging.verdict import of_each_kind_first
from harness.record import store
from harness.report import Report
from reports.phrases import counted
from reports.terminal.lines import A_BUG, clean

DOUBT = ("inconclusive", "unavailable")
MOST_TOLD = 20  # anomalies, gates or reasons in a test's text; all are in results.json


@dataclass(frozen=True, slots=True)
class _Case:
    """A test: `outcome` None = passed, else failure, error or skipped; `word` is the type of it, `said` its one line."""

    place: str
    name: str
    outcome: str | None
    word: str
    said: str
    told: Sequence[str] = ()


def junit(directory: Path) -> list[Path]:
    """Write junit.xml of a run directory; give its path, nothing where it holds neither a run nor a verify."""
    results = read(directory)
    if isinstance(results, SelfTest):
        return []
    path = directory / "junit.xml"
    cases = _of_run(results) if isinstance(results, Run) else _of_verify(results)
    store.save(path, _xml(results, _with_exit_code(results, cases)))
    return [path]


def _of_verify(results: Verify) -> list[_Case]:
    cases = [_claim(claim, strict=bool(results.strict)) for claim in results.claims]
    told = [str(claim.infrastructure or "") for claim in results.claims]
    for name, reason in results.failures.items():
        if not any(each.startswith(f"{name}: ") for each in told):  # else its claim is the error
            cases.append(_Case("machine", name, "error", "infrastructure", reason))
    return cases


def _claim(claim: Judgement, *, strict: bool) -> _Case:
    word, said = claim.verdict, claim.said
    place = ", ".join(filter(None, (claim.table, *claim.cell)))
    expected = " or ".join(claim.expect)
    told = _told(claim)
    if claim.bug:
        return _Case(place, claim.id, "error", "bug", f"a bug of Holdwater or of a plug-in: {claim.bug}", told)
    if not claim.expected and word not in DOUBT:
        return _Case(place, claim.id, "failure", word, f"{word}, expected {expected}: {said}", told)
    if strict and word == "violated":
        return _Case(place, claim.id, "failure", word, f"contradicts its document, and --strict was given: {said}", told)
    if claim.infrastructure:
        return _Case(place, claim.id, "error", "infrastructure", claim.infrastructure, told)
    if word == "unavailable":
        surprise = "" if claim.expected else f", expected {expected}"
        return _Case(place, claim.id, "skipped", word, f"{word}{surprise}: {said}", told)
    if not claim.expected:
        return _Case(place, claim.id, "failure", word, f"{word}, expected {expected}: {said}", told)
    return _Case(place, claim.id, None, word, f"{word}: {said}", told)


def _told(claim: Judgement) -> list[str]:
    quote = f" The document: “{claim.quote}”." if claim.quote else ""
    anomalies = [f"{each.experiment}, trial {each.trial}: {each.kind}: {each.message}" for each in claim.anomalies]
    lines = [f"{claim.sentence}{quote}", f"Under: {claim.conditions}."]
    lines += [*_some("Missing: ", claim.missing), *_some("", anomalies)]
    lines += [f"Evidence: {path}" for path in claim.evidence]
    lines += [f"Remedy: {claim.remedy}"] if claim.remedy else []
    return lines + ([f"Repeat: {claim.repeat}"] if claim.repeat else [])


def _of_run(results: Run) -> list[_Case]:
    cases = [_trial(results, trial) for trial in results.trials]
    if results.broken:
        cases.append(_Case("machine", "run", "error", "infrastructure", results.broken))
    if results.exit == 70:
        cases.append(_Case("machine", "holdwater", "error", "bug", A_BUG))
    return cases


def _trial(results: Run, trial: TrialResult) -> _Case:
    plan, checks = results.plan, trial.checks
    status = trial.status or _worst(checks)
    faults = "".join(f", {fault}" for fault in trial.faults)
    summaries = [f"{name}: {check.summary}" for name, check in checks.items() if check.status == status]
    said = f"{status}: {'; '.join(summaries) or 'nothing was checked'}"
    told = [f"{name}: {each.kind}: {each.message}" for name, check in checks.items() for each in of_each_kind_first(check.anomalies)]
    lines = [*_some("", told), f"Repeat: {results.command}"]
    place = f"{plan.backend}, {plan.variant}, {' + '.join(plan.workloads)}"
    return _Case(place, f"trial {trial.n}{faults}", None if status == "valid" else "failure", status, said, lines)


def _worst(checks: Mapping[str, CheckResult]) -> str:
    order = ("valid", "unknown", "invalid")
    return max((check.status for check in checks.values()), key=order.index, default="unknown")


def _some(label: str, lines: Sequence[str]) -> list[str]:
    more = [f"and {len(lines) - MOST_TOLD} more, in results.json"] if len(lines) > MOST_TOLD else []
    return [*(label + line for line in lines[:MOST_TOLD]), *more]


def _with_exit_code(results: Run | Verify, cases: list[_Case]) -> list[_Case]:
    code = results.exit
    if not code or any(case.outcome in ("failure", "error") for case in cases):
        return cases
    why = "nothing was judged" if not cases else f"{counted(sum(case.outcome == 'skipped' for case in cases), 'claim')} could not be tested"
    return [*cases, _Case("machine", "exit code", "error" if code in (3, 70) else "failure", f"exit {code}", f"exit {code}: {why}")]


def _xml(results: Run | Verify, cases: Sequence[_Case]) -> bytes:
    places = dict.fromkeys(case.place for case in cases)
    root = ElementTree.Element("testsuites", {"name": f"holdwater {kind(results)}", **_counts(cases, "tests", "failures", "errors")})
    root.set("time", _seconds(results))
    for number, place in enumerate(places):
        mine = [case for case in cases if case.place == place]
        suite = ElementTree.SubElement(root, "testsuite", name=_line(place), id=str(number))
        for name, value in _counts(mine, "tests", "failures", "errors", "skipped").items():
            suite.set(name, value)
        suite.set("time", _seconds(results) if len(places) == 1 else "0")
        if results.finished:
            suite.set("timestamp", _line(results.finished).removesuffix("Z"))
        properties = ElementTree.SubElement(suite, "properties")
        for name, value in (("command", results.command), ("directory", results.directory)):
            ElementTree.SubElement(properties, "property", name=name, value=_line(value))
        for case in mine:
            _test(suite, case)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, "utf-8", xml_declaration=True)) + b"\n"


def _test(suite: ElementTree.Element, case: _Case) -> None:
    test = ElementTree.SubElement(suite, "testcase", classname=_line(case.place), name=_line(case.name), time="0")
    text = "\n".join(_line(line) for line in (case.said, *case.told))
    if case.outcome is None:
        ElementTree.SubElement(test, "system-out").text = text
        return
    outcome = ElementTree.SubElement(test, case.outcome, message=_line(case.said))
    if case.outcome == "skipped":  # its content is not shown by most viewers
        ElementTree.SubElement(test, "system-out").text = text
        return
    outcome.set("type", case.word)
    outcome.text = text


def _counts(cases: Sequence[_Case], *names: str) -> dict[str, str]:
    outcomes = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    return {name: str(len(cases) if name == "tests" else sum(case.outcome == outcomes[name] for case in cases)) for name in names}


def _seconds(results: Run | Verify) -> str:
    return f"{results.seconds or 0:.1f}"


def _line(text: object) -> str:
    """Give a text on one line, with what XML has no letter for spelt out."""
    return clean(text)


JUNIT = Report(name="junit", sentence="junit.xml: each claim or trial as a test, for a CI", draw=junit, place=50)
