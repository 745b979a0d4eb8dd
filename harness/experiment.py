"""One experiment: a plan carried out into a run directory, and its history judged trial by trial.

Running and judging are separate steps over the directory: what was recorded can be judged again, by
this version or a later one, also where the run was killed in the middle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from harness import registry, store
from harness.checkers.extra_holders import extra_holders
from harness.checkers.late_grant import late_grant
from harness.checks import guarded, verdicts
from harness.client import BROKEN
from harness.deploy import compose, install
from harness.gates import driven, exposure, validity
from harness.heartbeat import Say
from harness.history import History, load
from harness.judge import TrialEvidence
from harness.plan import BadPlan, FaultSpec, Plan
from harness.run import Catalogue, Ran, check_plan, run, through_links
from harness.system import Backend, Infrastructure, Need
from harness.verdict import Status, Verdict, combine, unknown

PROXY = "toxiproxy"  # which a run may do without
ESSENTIAL = ("settled", "faults_proved")


class Progress(Protocol):
    """Who is told how far a run is."""

    def step(self, text: str) -> None: ...

    def trial_done(self) -> None: ...


def catalogue(plan: Plan) -> Catalogue:
    """Load the plug-ins that a plan names; raise BadPlan on an unknown one."""
    faults = {spec.name: registry.load("faults", spec.name) for episode in plan.episodes for spec in episode.faults}
    workloads = {name: registry.load("workloads", name) for name in plan.workloads}
    return Catalogue(registry.load("backends", plan.backend), workloads, faults)


def carry_out(plan: Plan, directory: Path, progress: Progress) -> tuple[Ran, str | None]:
    """Run a plan into a directory; give what is known of the run, and what broke it (None if nothing did)."""
    record: dict[str, Any] = {"plan": plan, "environment": store.environment()}
    store.write(directory / store.RUN, record)
    ran = Ran()
    broken: str | None = None
    try:
        run(plan, catalogue(plan), directory, progress.step, ran, progress.trial_done)
        store.tidy(directory)
    except Infrastructure as error:
        broken = str(error)
        progress.step(f"infrastructure: {broken}")
    finally:
        store.write(directory / store.RUN, {**record, "ran": ran, "broken": broken})
    return ran, broken


def check(plan: Plan) -> None:
    """Raise BadPlan where the parts of a plan do not fit each other, Infrastructure where a variable names a server that is none."""
    check_plan(plan, catalogue(plan))
    install.absent(needed(plan))


def needed(plan: Plan) -> tuple[str, ...]:
    """Name the servers that are brought for a plan; a proxy only where clients go through it."""
    backend = registry.load("backends", plan.backend)
    if plan.on != "local" or plan.on not in backend.grounds:
        return ()
    links = through_links(backend, plan.variant, _needs(_faults(plan)))
    return (*backend.servers(plan.variant), *((PROXY,) if links else ()))


def require_servers(plan: Plan, say: Say) -> None:
    """Bring what the machine lacks for a plan; raise Infrastructure, with the remedy, where it cannot be had.

    Raises BadPlan where only its faults cannot be.
    """
    backend = registry.load("backends", plan.backend)
    if gone := install.absent(needed(plan)):
        try:
            install.install(gone, say)
        except Infrastructure:
            if lacking(plan) is not None:  # else another one does as well
                raise
    if missing := _lacking(backend, plan, ()):
        raise Infrastructure(missing)
    if refused := lacking(plan):
        raise BadPlan(refused)


def lacking(plan: Plan) -> str | None:
    """Say what this machine lacks for a plan, and after a semicolon the remedy; None if nothing."""
    return _lacking(registry.load("backends", plan.backend), plan, _faults(plan))


def _lacking(backend: Backend, plan: Plan, faults: Iterable[FaultSpec]) -> str | None:
    if plan.on not in backend.grounds:
        return f"{backend.name} does not run on {plan.on}; use --on {' or --on '.join(backend.grounds)}"
    if plan.on == "compose":
        return compose.missing()
    needs = _needs(faults)
    missing = backend.missing(plan.variant, needs)
    return install.missing(PROXY) if missing is None and through_links(backend, plan.variant, needs) else missing


def _faults(plan: Plan) -> list[FaultSpec]:
    return [spec for episode in plan.episodes for spec in episode.faults]


def _needs(faults: Iterable[FaultSpec]) -> frozenset[Need]:
    return frozenset(need for spec in faults for need in registry.load("faults", spec.name).needs)


def carry_out_and_judge(plan: Plan, directory: Path, progress: Progress, command: str) -> dict[str, Any]:
    """Run a plan, judge every trial, write results.json (docs/results.md); give its content."""
    ran, broken = carry_out(plan, directory, progress)
    progress.step("judging")
    history = load_if_there(directory / store.HISTORY)
    return write_results(plan, ran, broken, judge_trials(history), history, directory, command)


def write_results(
    plan: Plan, ran: Ran, broken: str | None, trials: Sequence[TrialEvidence], history: History, directory: Path, command: str
) -> dict[str, Any]:
    """Write what was concluded of a run into its directory; give it."""
    status = max((_status(trial) for trial in trials), default=Status.UNKNOWN)
    results = {
        "holdwater": 1,
        "kind": "run",
        "status": str(status),
        "exit": exit_code(status, broken, history),
        "command": command,
        "directory": str(directory),
        "plan": plan,
        "versions": ran.versions,
        "seconds": ran.seconds,
        "finished": store.now(),
        "late_us": ran.late_us,
        "voids": ran.voids,
        "broken": broken,
        "operations": Counter(operation.status for operation in history.operations()),
        "trials": [_described(trial) for trial in trials],
    }
    store.write(directory / store.RESULTS, results)
    return dict(store.plain(results))


def exit_code(status: Status, broken: str | None, history: History) -> int:
    """Give the exit code of a run: a bug of ours, a counterexample, the machine, in doubt, none found (SPEC 8)."""
    if any(event.error is not None and event.error.startswith(BROKEN) for event in history.events):
        return 70
    if status is Status.INVALID:
        return 1
    if broken is not None:
        return 3
    return 2 if status is Status.UNKNOWN else 0


def _status(trial: TrialEvidence) -> Status:
    """Give what a trial may be called: unknown where it was not valid, whatever was seen in it (SPEC 8)."""
    if any(not gate.met for gate in validity(trial.history)):
        return Status.UNKNOWN
    return combine(_with_doubt(trial)).status


def _with_doubt(trial: TrialEvidence) -> dict[str, Verdict]:
    """Give a trial's verdicts, and an unknown beside them where it was not valid, or its fault not proved.

    Whether enough was exercised is a claim's question and only shown; that nothing can be concluded
    from a fault that did not bite is nobody's.
    """
    gates = [*validity(trial.history), *(gate for gate in exposure(trial.history, ()) if gate.name in ESSENTIAL)]
    unmet = [str(gate) for gate in gates if not gate.met]
    return {**trial.verdicts, "gates": unknown(f"nothing can be concluded: {'; '.join(unmet)}")} if unmet else dict(trial.verdicts)


def _described(trial: TrialEvidence) -> dict[str, Any]:
    faults = [event.f for event in trial.history.nemesis() if isinstance(event.value, dict) and event.value.get("phase") == "begin"]
    checks = {
        name: {"status": str(found.status), "summary": found.summary, "numbers": found.numbers, "anomalies": found.all_anomalies()}
        for name, found in _with_doubt(trial).items()
    }
    gates = [*validity(trial.history), *exposure(trial.history, driven(trial.history))]
    began = [f for f in faults if f != "trial"]
    return {"n": trial.n, "status": str(_status(trial)), "faults": began, "checks": checks, "gates": gates}


def load_if_there(path: Path) -> History:
    """Read a history; an empty one where the run did not get so far as to begin it."""
    return load(path) if path.exists() else History(())


def judge_trials(history: History, bound_ns: int | None = None) -> list[TrialEvidence]:
    """Judge each trial that is not void by every check that it calls for; late grants where a bound is given."""
    found = []
    for trial in history.trials():
        if trial.void is not None or not trial.history.events:
            continue
        checks = verdicts(trial.history)
        faults = trial.history.header.faults if trial.history.header else ()
        if "isolate-primary" in faults:
            checks["extra-holders"] = guarded("extra-holders", extra_holders)(trial.history)
            if bound_ns is not None:
                checks["late-grant"] = guarded("late-grant", partial(late_grant, bound_ns=bound_ns))(trial.history)
        found.append(TrialEvidence(trial.n, trial.history, checks))
    return found
