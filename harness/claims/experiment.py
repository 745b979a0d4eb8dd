"""One experiment: a plan carried out into a run directory, and its history judged trial by trial.

Running and judging are separate steps over the directory: what was recorded can be judged again, by
this version or a later one, also where the run was killed in the middle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness import registry
from harness.claims.judging import TrialEvidence
from harness.deploy import compose, install
from harness.driving.backend import MayBeTheUsers, grounds_of, servers_of
from harness.driving.plan import Plan
from harness.driving.run import Catalogue, Progress, Ran, check_plan, run, through_links
from harness.driving.system import Need
from harness.errors import Infrastructure, UsageError
from harness.heartbeat import Say
from harness.judging.check import Terms
from harness.judging.checks import trial_verdicts, unjudged
from harness.judging.gates import DOUBTS, driven, exposure, validity
from harness.judging.verdict import Status, Verdict, combine, unknown
from harness.record import store
from harness.record.format import load
from harness.record.history import BROKEN, History

PROXY = "toxiproxy"  # which a run may do without
ESSENTIAL = ("settled", "faults_proved")


def catalogue(plan: Plan) -> Catalogue:
    """Load the plug-ins that a plan names; raise UsageError on an unknown one."""
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
        run(plan, catalogue(plan), directory, progress, ran)
        store.tidy(directory)
    except Infrastructure as error:
        broken = str(error)
        progress.step(f"infrastructure: {broken}")
    finally:
        store.write(directory / store.RUN, {**record, "ran": ran, "broken": broken})
    return ran, broken


def check(plan: Plan) -> None:
    """Raise UsageError where the parts of a plan do not fit each other, Infrastructure where a variable names a server that is none."""
    chosen = catalogue(plan)
    check_plan(plan, chosen)
    for name, workload in chosen.workloads.items():
        if left := unjudged(workload.driven(chosen.backend.functions), workload.checks):
            raise UsageError(
                f"workload {name} drives {', '.join(sorted(left))}, which none of its checks takes ({', '.join(workload.checks)})"
            )
    install.absent(needed(plan))


def needed(plan: Plan) -> tuple[str, ...]:
    """Name the servers that are brought for a plan; a proxy only where clients go through it."""
    backend = registry.load("backends", plan.backend)
    if plan.on != "local" or plan.on not in grounds_of(backend):
        return ()
    return (*servers_of(backend, plan.variant), *((PROXY,) if through_links(backend, plan.variant, _needs(plan)) else ()))


def require_servers(plan: Plan, say: Say) -> None:
    """Bring what the machine lacks for a plan; raise Infrastructure, with the remedy, where it cannot be had."""
    if refused := _refused(plan):
        raise UsageError(refused)
    if gone := install.absent(needed(plan)):
        install.install(gone, say)
    if plan.on == "compose" and (missing := compose.missing()):
        raise Infrastructure(missing)


def lacking(plan: Plan) -> str | None:
    """Say what this machine lacks for a plan, and after a semicolon the remedy; None if nothing."""
    backend = registry.load("backends", plan.backend)
    if plan.on not in (grounds := grounds_of(backend)):
        return f"{backend.name} does not run on {plan.on}; use --on {' or --on '.join(grounds)}"
    return compose.missing() if plan.on == "compose" else _refused(plan) or install.missing(*needed(plan))


def _refused(plan: Plan) -> str | None:
    """Say what a server of the user's cannot be asked for by a plan; None where it can, or where the server is ours."""
    backend = registry.load("backends", plan.backend)
    if plan.on != "local" or not isinstance(backend, MayBeTheUsers):
        return None
    return backend.refused(plan.variant, _needs(plan))


def _needs(plan: Plan) -> frozenset[Need]:
    return frozenset(need for fault in catalogue(plan).faults.values() for need in fault.needs)


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
    if any(not gate.met and gate.name not in DOUBTS for gate in validity(trial.history)):
        return Status.UNKNOWN
    return combine(_with_doubt(trial)).status


def _with_doubt(trial: TrialEvidence) -> dict[str, Verdict]:
    """Give a trial's verdicts, and an unknown beside them where nothing that was not seen counts.

    It was not valid, its fault was not proved, or it runs a planted bug that no check saw: the system is known to be wrong, so
    that its trial is not valid. Whether enough was exercised is a claim's question and only shown.
    """
    gates = [*validity(trial.history), *(gate for gate in exposure(trial.history, ()) if gate.name in ESSENTIAL)]
    found = dict(trial.verdicts)
    if unmet := [str(gate) for gate in gates if not gate.met]:
        found["gates"] = unknown(f"nothing can be concluded: {'; '.join(unmet)}")
    mutant = planted(trial.history)
    if mutant is not None and not combine(found).all_anomalies():
        found["mutant"] = unknown(f"the planted bug {mutant} was not seen: these workloads and options do not show it, or not in this time")
    return found


def planted(history: History) -> str | None:
    """Give the mutant that a history was recorded with, None for a reference."""
    mutant = history.header.options.get("mutant") if history.header else None
    return None if mutant is None else str(mutant)


def _described(trial: TrialEvidence) -> dict[str, Any]:
    began = [fault.name for fault in trial.history.faults if fault.begin is not None]
    checks = {
        name: {"status": str(found.status), "summary": found.summary, "numbers": found.numbers, "anomalies": found.all_anomalies()}
        for name, found in _with_doubt(trial).items()
    }
    gates = [*validity(trial.history), *exposure(trial.history, driven(trial.history))]
    return {"n": trial.n, "status": str(_status(trial)), "faults": began, "checks": checks, "gates": gates}


def load_if_there(path: Path) -> History:
    """Read a history; an empty one where the run did not get so far as to begin it."""
    return load(path) if path.exists() else History(())


def judge_trials(history: History, bound_ns: int | None = None) -> list[TrialEvidence]:
    """Judge each trial that is not void by every check that it calls for; `bound_ns` is the claims' bound."""
    found = []
    for trial in history.trials():
        if trial.void is not None or not trial.history.events:
            continue
        found.append(TrialEvidence(trial.n, trial.history, trial_verdicts(trial.history, Terms(bound_ns=bound_ns))))
    return found
