"""One experiment of the user's choice, and the planted bugs: run, selftest."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from harness import heartbeat
from harness.claims.results import FORMAT, Detection, Run, SelfTest
from harness.commands import request, screens
from harness.commands.drawing import as_json, draw, tell
from harness.commands.guard import INFRASTRUCTURE, NOT_VALID, OK, kept
from harness.commands.options import (
    command,
    gathered,
    json_option,
    number,
    on_option,
    out_option,
    repeating,
    seed,
    seed_option,
)
from harness.commands.streams import show
from harness.deploy import jobs
from harness.errors import UsageError
from harness.record import store


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedRun:
    """What a run was asked for."""

    workload: str
    backend: str
    faults: tuple[str, ...]
    time_limit: float | None
    rate: float
    concurrency: int
    repeat: int
    options: tuple[str, ...]
    dry_run: bool
    on: str
    attach: str | None
    seed: int | None
    out: Path
    as_json: bool

    def request(self) -> request.Request:
        """Give what a plan is made from."""
        return request.Request(
            workload=self.workload,
            backend=self.backend,
            seed=seed(self.seed),
            faults=_faults(self.faults),
            time_limit=self.time_limit,
            rate=self.rate,
            concurrency=self.concurrency,
            repeat=self.repeat,
            on=self.on,
            attach=self.attach,
            options=self.options,
        )


def _faults(given: tuple[str, ...]) -> str:
    """Give the faults as one text; raise UsageError where there is none in it, or where they stand in two."""
    if len(given) > 1:
        raise UsageError(f"--fault stands {len(given)} times, expected it once: --fault {','.join(given)!r}")
    if given and not given[0].strip():
        raise UsageError(f"--fault {given[0]!r} names no fault; leave it out for a run without one")
    return given[0] if given else ""


@command()
@click.argument("workload")
@click.option("--backend", required=True)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    help="NAME[:primary|replica][@START[+LENGTH]][,NAME...]; all of them in each trial, with times in seconds after the steady state",
)
@click.option("--time-limit", **number(request.TIME_LIMIT), help="seconds a trial")
@click.option("--rate", **number(request.RATE), default=15.0, show_default=True, help="operations a second and slot")
@click.option("--concurrency", **number(request.CONCURRENCY), default=8, show_default=True)
@click.option("--repeat", **number(request.TRIALS), default=1, show_default=True, help="trials")
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="K=V",
    help="variant, mutant, quiet_s, fault_s, after_s, grants, deadline_s, or one of the workload's (list options)",
)
@click.option("--dry-run", is_flag=True, help="check and print the plan, start nothing")
@on_option
@click.option(
    "--attach", metavar="PROJECT", help="with --on compose: drive a project that is up, and leave it up; our own keys in it are removed"
)
@seed_option
@out_option
@json_option
@gathered(AskedRun)
def run(asked: AskedRun) -> int:
    """One experiment: a run directory, a verdict, and the command that repeats it."""
    with heartbeat.doing("reading the plan"):
        from harness.claims import plans, running
        from harness.deploy import launch

        plan = request.plan(asked.request())
        plans.check(plan)
    if asked.dry_run:
        show(json.dumps(store.plain(plan), indent=2))
        return OK
    launch.require_servers(plan, heartbeat.on_stderr)
    directory = store.create(asked.out, f"{'-'.join(plan.workloads)}-{plan.backend}-{plan.seed}")
    trials = len(plan.episodes)
    with kept(directory), screens.live(trials) as live, live.experiment(f"{asked.workload} on {asked.backend}", 1, 1, trials) as progress:
        judged = running.run_plan(plan, directory, progress, repeating(plan.seed))

    def outcome(told: Run) -> str:
        return screens.terminal().outcome(told, judged.history, colour=screens.colour())

    return tell(lambda: draw(directory), judged.results, None if asked.as_json else outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedSelftest:
    """What a selftest was asked for."""

    mutants: tuple[str, ...]
    backends: tuple[str, ...]
    references: bool
    trials: int
    seeds: int
    jobs: int
    seed: int | None
    out: Path
    as_json: bool


@command()
@click.option("--mutant", "mutants", multiple=True, help="only this one; may be repeated")
@click.option("--references", is_flag=True, help="no mutant: only the references, under all that the documented table says they bear")
@click.option(
    "--backend", "backends", multiple=True, default=("memory", "redis", "postgres", "dynamodb"), show_default=True, help="may be repeated"
)
@click.option(
    "--trials", **number(request.TRIALS), default=1, show_default=True, help="of each run, mostly of 4 s; one that condemns is enough"
)
@click.option(
    "--seeds",
    **number(request.TRIALS),
    default=1,
    show_default=True,
    help="so many runs of each, from --seed on; a mutant is found in 9 of 10",
)
@click.option(
    "--jobs",
    **number(request.JOBS),
    default=lambda: 2 * jobs.by_cores(),
    show_default="two a core",
    help="runs on deployments of their own at once: they wait most of their time",
)
@seed_option
@out_option
@json_option
@gathered(AskedSelftest)
def selftest(asked: AskedSelftest) -> int:
    """The planted bugs against the checkers: the detection matrix."""
    from harness.commands import selftest as matrix

    if asked.references and asked.mutants:
        raise UsageError(f"--mutant {asked.mutants[0]} beside --references, expected one of them")
    backends = [request.backend_of(name) for name in asked.backends]
    plans = matrix.plans(matrix.Asked(backends, asked.mutants, asked.trials, seed(asked.seed), asked.seeds, alone=asked.references))
    directory = store.create(asked.out, "selftest")
    with kept(directory), screens.live(len(plans) * asked.trials) as live:
        found = matrix.carry_out_all(plans, directory, asked.jobs, live)
    results = SelfTest(holdwater=FORMAT, detections=tuple(found))
    store.write(directory / store.RESULTS, results)
    show(told(results, in_json=asked.as_json))
    return NOT_VALID if results.bad else INFRASTRUCTURE if results.broken else OK


def told(results: SelfTest, *, in_json: bool) -> str:
    """Give the detection matrix as it is printed; as JSON it is what results.json holds."""
    if in_json:
        return as_json(results)
    rows = [(_what(each), _detected(each)) for each in results.detections]
    show_rows = partial(screens.terminal().listing, colour=screens.colour())
    return show_rows("selftest", rows) + "\n" + show_rows("in all", _in_all(results))


def _in_all(results: SelfTest) -> list[tuple[str, str]]:
    """Count mutants by backend, each once whatever faults it was run under, and the runs of references."""
    mutants = {(each.backend, each.mutant) for each in results.detections if each.mutant is not None}
    missed = {(each.backend, each.mutant) for each in results.bad if each.mutant is not None}
    left_open = {(each.backend, each.mutant) for each in results.broken if each.mutant is not None} - missed
    rows = [("mutants found", f"{len(mutants) - len(missed) - len(left_open)} of {len(mutants)}")] if mutants else []
    for word, found in (("missed", missed), ("not decided", left_open)):
        rows += [(word, ", ".join(f"{mutant} ({backend})" for backend, mutant in sorted(found, key=str)))] if found else []
    references = [each for each in results.detections if each.mutant is None]
    detected, trials = sum(each.detected for each in references), sum(each.trials for each in references)
    return [*rows, *([("references", f"condemned in {detected} of {trials}")] if references else [])]


def _what(found: Detection) -> str:
    under = f" under {found.fault}" if found.fault is not None else ""
    return f"{found.mutant or 'reference'}, {found.backend}{under}"


def _detected(found: Detection) -> str:
    if found.broken is not None and not found.detected:
        return f"not run to the end: {found.broken}"
    if found.mutant is None:
        return f"condemned in {found.detected} of {found.trials}{_seen(found)}"
    if not found.detected:
        return f"missed in {found.trials}; driven by {', '.join(found.by)}"
    return f"{found.detected} of {found.trials}, after {found.first_s:g} s{_seen(found)}"


def _seen(found: Detection) -> str:
    seen = [
        f"{name} {shown.detected}" + (f" ({shown.first_s:g} s)" if shown.first_s is not None else "") for name, shown in found.by.items()
    ]
    return f": {', '.join(seen)}" if found.detected else ""
