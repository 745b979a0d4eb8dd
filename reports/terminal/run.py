"""What `run` shows: plan, timeline, verdict, the first anomaly explained, counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from harness import registry
from harness.claims.counting import ENDED
from harness.claims.results import CheckResult, Run, TrialResult, verdict_of
from harness.judging.check import every_check
from harness.judging.verdict import Status, Verdict, of_each_kind_first
from harness.record.history import History, RecordedFault
from harness.record.store import printable
from reports import phrases
from reports.explain import explain, finding
from reports.scene import NodeSeen, last_proved, nodes
from reports.terminal.lines import (
    A_BUG,
    GAP,
    INDENT,
    LOUD,
    MARKS,
    NOT_USABLE,
    QUIET,
    REASONS,
    STRONG,
    Lines,
    clean,
    cleaned,
    command_lines,
    fact_lines,
    gate_words,
    labelled,
    lasting,
    little,
    mark,
    padded,
    place_lines,
    rendered,
    spaced,
    status_meaning,
    stripped,
    versions_said,
    wrapped,
)

NS_PER_S = 1_000_000_000


def outcome(results: Run, history: History | None, *, colour: bool, width: int = 80) -> str:
    """Show what `run` found: the timeline of the first trial with an anomaly, the verdict, the first anomaly explained, counts."""
    chosen = _chosen(results.trials)
    recorded = _recorded(history, chosen)
    found = verdict_of(chosen.checks) if chosen else None
    sections = [
        _plan(results, chosen, width),
        _timeline(recorded, width) if recorded else [],
        _run_verdict(results, recorded, found, width),
        _explained(recorded, found, width),
        _checks(results, width),
        _run_end(results, width),
    ]
    return rendered(spaced(sections), colour=colour)


def _chosen(trials: Sequence[TrialResult]) -> TrialResult | None:
    """Give the first trial with an anomaly, else the first."""
    wrong = [trial for trial in trials if any(check.anomalies for check in trial.checks.values())]
    return next(iter(wrong or trials), None)


def _recorded(history: History | None, chosen: TrialResult | None) -> History | None:
    if history is None or not history.events:
        return None
    trials = {trial.n: trial.history for trial in history.trials()}
    return trials.get(chosen.n) if chosen else next(iter(trials.values()), None)


def _plan(results: Run, chosen: TrialResult | None, width: int) -> Lines:
    plan = results.plan
    parts = [f"seed {plan.seed}", f"{plan.backend}, variant {plan.variant}", plan.on]
    parts += [f"mutant {plan.mutant}"] if plan.mutant else []
    parts += [" + ".join(plan.workloads), f"{plan.concurrency} clients, {plan.rate:g} operations a second each"]
    if chosen and len(results.trials) > 1:
        parts.append(f"trial {chosen.n} of {len(results.trials)} is shown")
    return wrapped(cleaned("; ".join(parts), QUIET), width, 2)


@dataclass(frozen=True, slots=True)
class _Step:
    """A line of the timeline: when (ns), what kind, what, and whether it was proved; None where there is nothing to prove."""

    at: int
    label: str
    text: str
    proved: bool | None = None


def _timeline(history: History, width: int) -> Lines:
    steps = sorted(_steps(history), key=lambda step: step.at)
    seconds = max((len(f"{step.at / NS_PER_S:.1f}") for step in steps), default=0)
    head = max(seconds, 6) + 16
    wide = min(max((cell_len(clean(step.text)) for step in steps), default=0), width - head - 3)
    lines: Lines = []
    before = ""
    for step in steps:
        label = "" if step.label == before and step.label == "fault on" and step.proved is not None else step.label
        stamp = f"{step.at / NS_PER_S:>{max(seconds, 6)}.1f} s  {label:<12}"
        first, *rest = wrapped(Text.assemble(stamp, cleaned(step.text)), head + wide, head)
        lines += [Text.assemble(padded(first, head + wide + GAP), _proved(step.proved)), *rest]
        before = step.label
    return list(map(stripped, lines))


def _proved(proved: bool | None) -> Text:
    return Text("") if proved is None else Text(*MARKS["valid" if proved else "unknown"])


def _steps(history: History) -> Iterator[_Step]:
    last = history.events[-1].time
    seen, around = history.faults, nodes(history, last)
    for each in history.marks:
        at = each.moment.time
        if each.phase == "steady":
            yield _Step(at, "steady", _roles(around, at), True)
        elif each.phase == "settled":
            yield _Step(at, "settled", f"steady again{_final_reads(history, at)}", True)
        elif each.phase == "void":
            yield _Step(at, "void", each.reason or "", False)
    for fault in seen:
        yield from _fault_steps(history, fault)
    for node in around:
        yield from _node_steps(history, node, seen, around)


def _fault_steps(history: History, fault: RecordedFault) -> Iterator[_Step]:
    begun = fault.first.time
    yield _Step(begun, "fault on", phrases.fault(history, fault), None)
    yield _Step(begun if fault.active is None else fault.active.time, "fault on", phrases.proof(fault), fault.active is not None)
    if fault.healed is not None:
        yield _Step(fault.healed.time, "healed", f"{phrases.healed(history, fault)}; proved", True)
    elif fault.healing is not None:
        yield _Step(fault.healing.time, "healing", f"{fault.name}: no proof that it healed", False)


def _node_steps(history: History, node: NodeSeen, seen: Sequence[RecordedFault], around: Sequence[NodeSeen]) -> Iterator[_Step]:
    for at, role in node.changes:
        words = f"{node.name} promoted{_after(history, at, seen, around)}" if role == "primary" else f"{node.name} becomes a {role}"
        yield _Step(at, "role", words)
    met = {fault.node for fault in seen}
    for span in node.spans:
        if span.role in ("dead", "paused") and node.name not in met:
            yield _Step(span.start, "role", f"{node.name} is {span.role}")


def _after(history: History, at: int, seen: Sequence[RecordedFault], around: Sequence[NodeSeen]) -> str:
    fault = last_proved(seen, at)
    return f", {phrases.after(history, fault, around, at)}" if fault is not None else ""


def _roles(around: Sequence[NodeSeen], at: int) -> str:
    by_role: dict[str, list[str]] = {}
    for node in around:
        by_role.setdefault(node.role(at) or "unseen", []).append(node.name)
    told = [
        f"{phrases.listed(names)} {role}{'s' if role == 'replica' and len(names) > 1 else ''}" for role, names in sorted(by_role.items())
    ]
    return "; ".join(told) or "clients begin"


def _final_reads(history: History, settled: int) -> str:
    keys = {operation.key for operation in history.operations() if operation.f == "get" and operation.start >= settled}
    return f"; final reads of {phrases.counted(len(keys), 'key')}" if keys else ""


def _run_verdict(results: Run, recorded: History | None, found: Verdict | None, width: int) -> Lines:
    word = results.status
    if found is not None and recorded is not None and str(found.status) == word != "unknown":
        said = finding(recorded, found)
    elif found is not None:
        said = found.summary
    else:
        said = "no trial was judged"
    style = LOUD if word == "invalid" else STRONG
    lines = wrapped(Text.assemble(mark(word), cleaned(f"{little(results)}: {said}", style)), width, 2)
    lines += labelled("cut off", results.broken or "", width, 2)
    return lines


def _explained(recorded: History | None, found: Verdict | None, width: int) -> Lines:
    anomalies = found.all_anomalies() if found is not None else []
    if recorded is None or not anomalies:
        return []
    lines: Lines = []
    for line in explain(recorded, of_each_kind_first(anomalies)[0]).rstrip("\n").split("\n"):
        drawn = Text(printable(line))
        for pattern, style in ((r"[░▒]+", "yellow"), (r"[▓╳↑]+|└─*┘|both entitled, [\d.]+ m?s$", "red"), (r"━+|▲", STRONG)):
            drawn.highlight_regex(pattern, style)
        lines += wrapped(drawn, width, 2)
    lines[0].stylize(STRONG)
    return lines


def _checks(results: Run, width: int) -> Lines:
    """Give every check with its worst summary over the trials, and name those of the workloads that judge on request."""
    order, trials = [str(status) for status in Status], results.trials
    by_check: dict[str, list[tuple[int, CheckResult]]] = {}
    for trial in trials:
        for name, check in trial.checks.items():
            by_check.setdefault(name, []).append((trial.n, check))
    lines: Lines = []
    for name, found in by_check.items():
        n, worst = max(found, key=lambda each: order.index(each[1].status))
        same = sum(check.status == worst.status for _, check in found)
        of = f" in {same} of {len(found)} trials. Trial {n}" if len(trials) > 1 else ""
        took = [check.numbers["answered"] for _, check in found if "answered" in check.numbers]
        took_said = f", of {phrases.counted(sum(took), 'answered operation')}" if took else ""
        lines += wrapped(Text.assemble("  ", mark(worst.status), "  ", cleaned(f"{name}{took_said}{of}: {worst.summary}")), width, INDENT)
    if lines and (asked_for := _on_request(results.plan.workloads) - by_check.keys()):
        said = f"{phrases.listed(sorted(asked_for))}: on request, where a claim counts the classes"
        lines += labelled("not asked", said, width)
    return [Text("CHECKS", STRONG), *lines] if lines else []


def _on_request(workloads: Sequence[str]) -> set[str]:
    every, there = every_check(), registry.names("workloads")
    named = {check for name in workloads if name in there for check in registry.load("workloads", name).checks}
    return {check for check in named if check in every and every[check].on_request}


def _run_end(results: Run, width: int) -> Lines:
    operations = results.operations
    counts = ", ".join(f"{operations[status]:,} {status}" for status in ("ok", "fail", "info") if operations.get(status))
    late = results.late_us
    lines = fact_lines("operations", f"{sum(operations.values()):,}" + (f": {counts}" if counts else ""), width)
    lines += _exercised(results.trials, width)
    for number, void in enumerate(results.voids):
        lines += fact_lines("" if number else "void", void, width)
    lines += fact_lines("late by", ", ".join(f"{_microseconds(value)} ({name})" for name, value in late.items()), width)
    lines += fact_lines("took", lasting(results.seconds), width)
    lines += fact_lines("servers", versions_said(results), width)
    lines += place_lines(results, width)
    lines += command_lines("repeat", results.command, width, 0)
    code = results.exit
    return lines + wrapped(cleaned(f"exit {code}: {_run_meaning(results)}", STRONG if code else ""), width, 2)


def _exercised(trials: Sequence[TrialResult], width: int) -> Lines:
    gates = [(trial.n, gate) for trial in trials for gate in trial.gates]
    if not gates:
        return fact_lines("exercised", "no gate was measured", width)
    met = sum(bool(gate.met) for _, gate in gates)
    during, after = ([gate.measured for _, gate in gates if gate.name.startswith(name)] for name in ("attempted", "acknowledged"))
    seen = [f"{sum(during):,} attempted during the fault", f"{sum(after):,} acknowledged after it"] if during else []
    seen = seen or [f"{sum(after):,} acknowledged"] if after else seen
    lines = fact_lines(
        "exercised", "; ".join([f"{met} of {phrases.counted(len(gates), 'gate')} met", ", ".join(seen)]).removesuffix("; "), width
    )
    unmet = [(n, gate) for n, gate in gates if not gate.met]
    for n, gate in unmet[:REASONS]:
        detail = f" ({gate.detail})" if gate.detail else ""
        told = f"trial {n}: {gate_words(gate.name)}: {gate.measured:,}, needed {gate.needed:,}{detail}"
        lines += wrapped(Text.assemble(" " * 12, ("?", MARKS["unknown"][1]), " ", cleaned(told)), width, 14)
    return lines + (fact_lines("", f"and {len(unmet) - REASONS} more, in results.json", width) if len(unmet) > REASONS else [])


def _microseconds(value: float) -> str:
    return f"{value:.0f} µs" if value < 1000 else f"{value / 1000:.1f} ms" if value < 1_000_000 else f"{value / 1_000_000:.2f} s"


def _cut_short(broken: str | None) -> str:
    if broken is not None and broken.startswith(ENDED):
        return f"cut short: {broken}"
    return f"the machine or a server failed: {broken}" if broken else "the machine or a server failed"


def _run_meaning(results: Run) -> str:
    code = results.exit
    if code == 3:
        return _cut_short(results.broken)
    if code == 70:
        return A_BUG
    return {0: status_meaning("valid"), 1: status_meaning("invalid"), 2: status_meaning("unknown"), 64: NOT_USABLE}.get(code, "interrupted")
