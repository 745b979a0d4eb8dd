"""A plan carried out into a run directory, on servers that are brought first.

Running and judging are separate steps over the directory: run.json and history.jsonl are all that judging reads
(`harness.claims.stored`), also where the run was killed in the middle.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec

from harness import registry
from harness.deploy import engine, install
from harness.driving.backend import Backend, Deployment, MayBeTheUsers, grounds_of, servers_of
from harness.driving.plan import Plan
from harness.driving.run import SETTLE_S, Catalogue, Progress, Ran, check_plan, opened, run, through_links
from harness.driving.system import Need, System, unsteady
from harness.errors import Infrastructure, Misfit, UsageError
from harness.heartbeat import Say
from harness.record import store
from harness.waiting import wait_for

PROXY = "toxiproxy"  # which a run may do without


Plain = str | int | float | bool | None
Moment = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
"""As `store.now` gives it."""


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """run.json: what was asked for, and what the run left beside its history; `ran` None: it was killed before it came so far.

    `broken` says what of the machine failed. Fields with a default are those that an earlier version did not write.
    """

    plan: Plan
    environment: dict[str, Plain]
    command: str | None = None
    ran: Ran | None = None
    broken: str | None = None
    finished: Moment | None = None


def read_record(directory: Path) -> RunRecord:
    """Read run.json; raise UsageError that names the file where it is missing or holds something else."""
    path = directory / store.RUN
    told = store.read(path)
    if isinstance(told, dict) and "kind" in told:
        raise UsageError(f"{path}: kind {told['kind']!r}, expected what was asked of a run, which has no kind")
    try:
        return msgspec.convert(told, RunRecord)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}: {error}; expected what was asked of a run") from None


def catalogue(plan: Plan) -> Catalogue:
    """Load the plug-ins that a plan names; raise UsageError on an unknown one."""
    faults = {spec.name: registry.load("faults", spec.name) for episode in plan.episodes for spec in episode.faults}
    workloads = {name: registry.load("workloads", name) for name in plan.workloads}
    return Catalogue(registry.load("backends", plan.backend), workloads, faults)


def carry_out(plan: Plan, directory: Path, progress: Progress, command: str) -> RunRecord:
    """Run a plan into a directory; give what run.json then holds. `command` repeats it."""
    record = RunRecord(plan=plan, environment=dict(store.environment()), command=command)
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
        record = msgspec.structs.replace(record, ran=ran, broken=broken, finished=store.now())
        store.write(directory / store.RUN, record)
    return record


def check(plan: Plan) -> None:
    """Raise UsageError where the parts of a plan do not fit each other, Infrastructure where a variable names a server that is none."""
    try:
        check_plan(plan, catalogue(plan))
        install.absent(needed(plan))
    except Misfit as error:
        raise UsageError(f"{error} (package {registry.author(error)})") from error


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
    if plan.on == "compose" and (missing := engine.missing()):
        raise Infrastructure(missing)


@contextmanager
def bare(backend: Backend, deployment: Deployment, say: Say) -> Iterator[System]:
    """Bring what a deployment needs, open it, and wait for its steady state: nothing drives it yet. Raises Infrastructure."""
    servers = (*servers_of(backend, deployment.variant), *((PROXY,) if deployment.links else ())) if deployment.on == "local" else ()
    if gone := install.absent(servers):
        install.install(gone, say)
    if deployment.on == "compose" and (missing := engine.missing()):
        raise Infrastructure(missing)
    with opened(backend, deployment) as system:
        wait_for(lambda: unsteady(system), SETTLE_S, f"{system.name}: steady state", 0.05)
        yield system


def lacking(plan: Plan) -> str | None:
    """Say what this machine lacks for a plan, and after a semicolon the remedy; None if nothing."""
    backend = registry.load("backends", plan.backend)
    if plan.on not in (grounds := grounds_of(backend)):
        return f"{backend.name} does not run on {plan.on}; use --on {' or --on '.join(grounds)}"
    return engine.missing() if plan.on == "compose" else _refused(plan) or install.missing(*needed(plan))


def _refused(plan: Plan) -> str | None:
    """Say what a server of the user's cannot be asked for by a plan; None where it can, or where the server is ours."""
    backend = registry.load("backends", plan.backend)
    if plan.on != "local" or not isinstance(backend, MayBeTheUsers):
        return None
    return backend.refused(plan.variant, _needs(plan))


def _needs(plan: Plan) -> frozenset[Need]:
    return frozenset(need for fault in catalogue(plan).faults.values() for need in fault.needs)
