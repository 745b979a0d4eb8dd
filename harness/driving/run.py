"""The run: a plan in, a history on disk out.

Workers are threads, one a client slot, each with a private connection. The main thread walks each
trial's timeline and is the nemesis; a watcher records roles, owners and clocks. Below saturation the
recorded intervals lie within 0.15 ms of the wire; how late workers woke is measured and reported.

The life of an operation: generator.next -> journal (invoke) -> client -> outcome -> journal (completion)
-> generator.update; after an `info` a fresh process on a fresh connection.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Protocol, cast

import msgspec

from harness import registry
from harness.driving import schedule
from harness.driving.backend import Backend, Deployment, grounds_of, mutants_of, offers_of
from harness.driving.generator import Generator, Mix
from harness.driving.nemesis import Fault, Nemesis, Watcher, refusal, target_of, target_refusal
from harness.driving.plan import Episode, FaultSpec, Plan
from harness.driving.system import OF_CLIENTS, Need, System, clock_bound_of, hurried, unkept, unsteady
from harness.driving.worker import IDLE_S, Place, Stages, Worker, side_of
from harness.driving.workload import Attendant, Attended, Workload
from harness.errors import Infrastructure, Misfit, UsageError
from harness.record.history import CLIENTS, NEMESIS, Event, Header
from harness.record.journal import Journal
from harness.registry import nearest
from harness.shape import held
from harness.waiting import wait_for

SETTLE_S = 90.0
FINAL_S = 20.0
GRANTS_S = 5.0
HISTORY = "history.jsonl"
WEIGHT = "weight"  # the option of a workload that says how often it takes its turn


class Progress(Protocol):
    """Who is told how far a run is."""

    def step(self, text: str) -> None: ...

    def trial_done(self) -> None: ...


class Unheard:
    """Nobody listens."""

    def step(self, text: str) -> None:
        """Tell nobody."""

    def trial_done(self) -> None:
        """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The plug-ins that a plan names, loaded."""

    backend: Backend
    workloads: Mapping[str, Workload]
    faults: Mapping[str, Fault]


@dataclass(slots=True)
class Ran:
    """What a run leaves beside its history: trials begun, why some are void, how late workers woke (us)."""

    trials: int = 0
    voids: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    late_us: dict[str, Annotated[int, msgspec.Meta(ge=0, le=2**53)]] = field(default_factory=dict)
    seconds: Annotated[float, msgspec.Meta(ge=0, le=1e9)] = 0.0


def check_plan(plan: Plan, catalogue: Catalogue) -> None:
    """Raise UsageError where the parts of a plan do not fit each other, before anything is started."""
    backend = catalogue.backend
    if plan.on not in (grounds := grounds_of(backend)):
        raise UsageError(f"{backend.name} does not run on {plan.on}, only on {' or '.join(grounds)}")
    if plan.attach is not None and (plan.on != "compose" or "compose" not in grounds):
        raise UsageError(f"attach {plan.attach!r}, expected --on compose with it")
    if plan.variant not in backend.variants:
        raise UsageError(f"unknown variant {plan.variant!r} of {backend.name}, {nearest(plan.variant, backend.variants)}")
    if plan.mutant is not None and plan.mutant not in (mutants := planted_bugs(backend, catalogue.workloads.values())):
        raise UsageError(f"unknown mutant {plan.mutant!r} of {backend.name}, {nearest(plan.mutant, mutants)}")
    for name, workload in catalogue.workloads.items():
        if alien := workload.functions - backend.functions - workload.answers:
            raise UsageError(f"workload {name} needs {', '.join(sorted(alien))}, which {backend.name} does not offer")
    for episode in plan.episodes:
        _check_rate(plan, episode)
        if refused := schedule.overlap_refusal(episode, catalogue.faults):
            raise UsageError(refused)
        for spec in episode.faults:
            fault = catalogue.faults[spec.name]
            if refused := target_refusal(spec, fault, backend, plan.variant) or refusal(fault, backend, plan.variant):
                raise UsageError(refused)
            _check_on_clients(spec, fault, catalogue)


def planted_bugs(backend: Backend, workloads: Iterable[Workload]) -> Mapping[str, str]:
    """Give the mutants that a run may name, with a sentence each: those of its backend, and those of its workloads."""
    found: dict[str, str] = {}
    homes: dict[str, str] = {}
    planted = [(f"backend {backend.name}", mutants_of(backend)), *((f"workload {each.name}", each.mutants) for each in workloads)]
    for home, mutants in planted:
        for name in mutants:
            if homes.setdefault(name, home) != home:
                raise UsageError(f"mutant {name!r} is of {homes[name]} and of {home}, expected a name of its own")
        found |= mutants
    return found


def _check_rate(plan: Plan, episode: Episode) -> None:
    sent = plan.rate * plan.concurrency * episode.seconds
    if sent < 1:
        of = f"{plan.concurrency} slots in the {episode.seconds:g} s of a trial"
        raise UsageError(f"rate {plan.rate:g} sends {sent:.2g} operations of {of}, expected at least one; raise the rate or the time limit")


def _check_on_clients(spec: FaultSpec, fault: Fault, catalogue: Catalogue) -> None:
    offered = frozenset().union(*(workload.offers for workload in catalogue.workloads.values()))
    for need in (fault.needs & OF_CLIENTS) - offered:
        able = [name for name in registry.names("workloads") if need in registry.load("workloads", name).offers]
        said = f"fault {spec} needs a {need}, and no workload of the run has one"
        raise UsageError(f"{said}; expected workload {' or '.join(able)}" if able else said)


def run(plan: Plan, catalogue: Catalogue, directory: Path, progress: Progress | None = None, ran: Ran | None = None) -> Ran:
    """Carry out a plan; the history is `directory`/history.jsonl, on disk whatever happens.

    What is learnt on the way goes into `ran`, so that it is not lost with an error.

    Raises UsageError before anything is started, Infrastructure where the machine or a server failed.
    On any way out faults are healed, workers stopped, servers ended.
    """
    check_plan(plan, catalogue)
    ran = Ran() if ran is None else ran
    started = time.monotonic()
    needs = frozenset(need for fault in catalogue.faults.values() for need in fault.needs)
    links = through_links(catalogue.backend, plan.variant, needs)
    mutant = plan.mutant if plan.mutant in mutants_of(catalogue.backend) else None
    deployment = Deployment(plan.variant, directory, plan.on, mutant, plan.attach, links)
    with opened(catalogue.backend, deployment) as system, _quiet_memory():
        if broken := unkept(system, offers_of(catalogue.backend, plan.variant)):
            raise UsageError(broken)
        ran.versions = dict(system.versions)
        with Journal(directory / HISTORY, _header(plan, system, catalogue)) as journal:
            place = _place(plan, catalogue, system, journal)
            _Run(place, catalogue, ran, Unheard() if progress is None else progress).all_trials()
    ran.seconds = round(time.monotonic() - started, 1)
    return ran


@contextmanager
def opened(backend: Backend, deployment: Deployment) -> Iterator[System]:
    """Open a backend, and hold it and its system to what they are."""
    opened = backend.open(deployment)
    if not isinstance(opened, AbstractContextManager):
        raise Misfit(backend, f"what open of backend {backend.name} gave is {opened!r:.100}, expected a context manager of a System")
    with opened as system:
        yield held(system, System, f"the system of backend {backend.name}", backend)


def through_links(backend: Backend, variant: str, needs: frozenset[Need]) -> bool:
    """Say whether a run needs links: its servers reach each other through them, or one of its faults cuts, delays or empties one."""
    return Need.TAKEOVER in offers_of(backend, variant) or not needs.isdisjoint({Need.LINKS, Need.REPLIES})


def _header(plan: Plan, system: System, catalogue: Catalogue) -> Header:
    return Header(
        seed=plan.seed,
        deployment=plan.backend,
        variant=plan.variant,
        workloads=plan.workloads,
        faults=tuple(sorted({spec.whom for episode in plan.episodes for spec in episode.faults})),
        concurrency=plan.concurrency,
        sides={str(slot): side_of(plan, system, slot) for slot in range(plan.concurrency)},
        clock_bound_ms=clock_bound_of(system),
        options={"mutant": plan.mutant, "rate": plan.rate, "deadline_s": plan.deadline_s} | dict(plan.options),
        effects={each.name: tuple(sorted(each.effects)) for fault in catalogue.faults.values() for each in fault.with_followers()},
    )


def _place(plan: Plan, catalogue: Catalogue, system: System, journal: Journal) -> Place:
    attendants = tuple(_attendant(workload, plan, journal) for workload in catalogue.workloads.values())
    return Place(plan, system, journal, partial(_generator, plan, catalogue), attendants, Stages())


def _attendant(workload: Workload, plan: Plan, journal: Journal) -> Attendant:
    mutant = plan.mutant if plan.mutant in workload.mutants else None
    return workload.attendant(Attended(journal, {**workload.options, **_options(plan, workload.name)}, mutant))


def _options(plan: Plan, workload: str) -> dict[str, Any]:
    return {name: value for name, value in plan.options.get(workload, {}).items() if name != WEIGHT}


def _generator(plan: Plan, catalogue: Catalogue) -> Generator:
    parts = []
    for name, workload in catalogue.workloads.items():
        weight = plan.options.get(name, {}).get(WEIGHT, 1.0)
        parts.append((weight, workload.begin(_options(plan, name), catalogue.backend.functions)))
    return parts[0][1] if len(parts) == 1 else Mix(tuple(parts))


@contextmanager
def _quiet_memory() -> Iterator[None]:
    # Collections of the oldest generation pause all threads, up to 350 ms with 2 million live events.
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


class _Run:
    def __init__(self, place: Place, catalogue: Catalogue, ran: Ran, progress: Progress) -> None:
        self.plan, self.system, self.journal = place.plan, place.system, place.journal
        self.catalogue, self.ran, self.progress = catalogue, ran, progress
        self.stages, self.attendants = place.stages, place.attendants
        self.nemesis = Nemesis(self.system, self.journal, self._proved, _clients(catalogue, place.attendants))
        self.watcher = Watcher(self.system, self.journal)
        self.workers = [Worker(place, slot) for slot in range(place.plan.concurrency)]
        self.anchors = 0

    def all_trials(self) -> None:
        with ExitStack() as stack:
            stack.callback(self.watcher.stop)
            self.watcher.start()
            for attendant in self.attendants:
                stack.callback(attendant.stop)
                attendant.start()
            self.journal.listen(self._count)
            stack.callback(self._end_workers)
            for worker in self.workers:
                worker.thread.start()
            try:
                self._each_trial()
            except BaseException:
                self._end_workers()
                with suppress(Infrastructure):  # the first error is the one to tell
                    self.nemesis.abandon()
                raise
        self._look_after_threads()
        self.ran.late_us = _late(self.workers)

    def _each_trial(self) -> None:
        planned = list(self.plan.episodes)
        while planned:
            self.ran.trials += 1
            void = self._trial(self.ran.trials, planned[0])
            if void is None:
                planned.pop(0)
                self.progress.trial_done()
            else:
                self._void(void)

    def _trial(self, n: int, episode: Episode) -> str | None:
        label = " + ".join(str(spec) for spec in episode.faults) or "no fault"
        self.journal.nemesis("trial", {"n": n, "phase": "begin"})
        self.progress.step(f"trial {n}: waiting for the steady state")
        wait_for(self._steady, SETTLE_S, f"{self.system.name}: steady state before trial {n}", 0.05)
        self.watcher.mark()
        self.anchors = 0
        self.journal.nemesis("trial", {"n": n, "phase": "steady"})
        for attendant in self.attendants:
            attendant.steady()
        self.progress.step(f"trial {n}: clients at work")
        self.stages.enter("quiet", trial=n, steady_at=self.journal.now_ns())
        self._sleep(episode.quiet_s)
        self._await_grants(episode)
        if self.watcher.unplanned is not None:
            return self._give_up(n, self.watcher.unplanned)
        if episode.faults:
            self.progress.step(f"trial {n}: {label}")
            self._fault(episode)
        self.watcher.look()
        self.journal.nemesis("trial", {"n": n, "phase": "settled"})
        self.stages.enter("after", cut=False)
        self._sleep(episode.after_s)
        self.progress.step(f"trial {n}: final reads")
        self.stages.enter("final", final_at=self.journal.now_ns() - self.stages.now.steady_at)
        self._await_idle(FINAL_S)
        self.stages.enter(None)
        self._look_after_threads()
        return None

    def _fault(self, episode: Episode) -> None:
        began = time.monotonic()
        faults = [self.catalogue.faults[spec.name] for spec in episode.faults]
        self.watcher.planned = any(fault.changes_roles for fault in faults) or any(spec.target == "replica" for spec in episode.faults)
        self.stages.enter("fault")
        *steps, last = schedule.steps(episode)
        for step in steps:
            self._sleep(began + step.at_s - time.monotonic())
            if step.heals:
                self.nemesis.heal(step.numbers)
                self.stages.enter("fault", cut=self.nemesis.changes_roles)
            else:
                self._inject(episode, step.numbers)
        self._sleep(began + last.at_s - time.monotonic())
        with hurried(self.system):
            self.nemesis.heal()
            wait_for(self._steady, SETTLE_S, f"{self.system.name}: steady state after the fault", 0.05)

    def _inject(self, episode: Episode, numbers: Iterable[int]) -> None:
        for number in numbers:
            spec = episode.faults[number]
            self.nemesis.inject(self.catalogue.faults[spec.name], self._target(spec), number)

    def _target(self, spec: FaultSpec) -> str:
        return CLIENTS if self.catalogue.faults[spec.name].on_clients else target_of(self.system, spec)

    def _proved(self, fault: Fault) -> None:
        if fault.changes_roles:
            self.stages.enter("fault", cut=True)

    def _give_up(self, n: int, reason: str) -> str:
        self.journal.nemesis("trial", {"n": n, "phase": "void", "reason": reason})
        self.stages.enter(None)
        self._await_idle(FINAL_S)
        return f"trial {n}: {reason}"

    def _void(self, reason: str) -> None:
        self.ran.voids.append(reason)
        self.progress.step(f"void, repeated: {reason}")
        if len(self.ran.voids) > len(self.plan.episodes):
            raise Infrastructure(f"{len(self.ran.voids)} trials were void, more than were planned; the last: {reason}")

    def _await_grants(self, episode: Episode) -> None:
        end = time.monotonic() + GRANTS_S
        while self.anchors < episode.grants and time.monotonic() < end:
            time.sleep(IDLE_S)
        if episode.grants:
            time.sleep(0.1)  # the kill comes at least this long after the acknowledgement

    def _count(self, event: Event) -> None:
        if event.process != NEMESIS and event.type != "invoke":
            self.anchors += any(workload.anchors(event) for workload in self.catalogue.workloads.values())

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.2))
            self._look_after_threads()

    def _await_idle(self, deadline_s: float) -> None:
        def busy() -> str | None:
            self._look_after_threads()
            waiting = [worker.slot for worker in self.workers if not worker.idle]
            return f"slots {waiting} are busy" if waiting else None

        for worker in self.workers:
            worker.idle = False
        wait_for(busy, deadline_s + self.plan.deadline_s, "the workers come to rest")

    def _end_workers(self) -> None:
        self.stages.stop()
        for worker in self.workers:
            if worker.thread.is_alive():
                worker.thread.join()

    def _steady(self) -> str | None:
        self._look_after_threads()
        return unsteady(self.system)

    def _look_after_threads(self) -> None:
        for failure in (self.journal.failure, self.watcher.failure, *(worker.failure for worker in self.workers)):
            if failure is not None:
                raise failure


def _clients(catalogue: Catalogue, attendants: Iterable[Attendant]) -> System | None:
    """Give what faults on clients are handed in place of a system: of the first workload that offers it; None if there is none."""
    offering = zip(catalogue.workloads.values(), attendants, strict=True)
    return next((cast(System, attendant.clients) for workload, attendant in offering if workload.offers & OF_CLIENTS), None)


def _late(workers: list[Worker]) -> dict[str, int]:
    late = sorted(ns for worker in workers for ns in worker.late_ns)
    if not late:
        return {}
    return {"p50": late[len(late) // 2] // 1000, "p99": late[len(late) * 99 // 100] // 1000, "max": late[-1] // 1000}
