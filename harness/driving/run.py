"""The run: a plan in, a history on disk out.

Workers are threads, one a client slot, each with a private connection. The main thread walks each
trial's timeline and is the nemesis; a watcher records roles, owners and clocks. Below saturation the
recorded intervals lie within 0.15 ms of the wire; how late workers woke is measured and reported.

The life of an operation: generator.next -> journal (invoke) -> client -> outcome -> journal (completion)
-> generator.update; after an `info` a fresh process on a fresh connection.
"""

from __future__ import annotations

import gc
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.driving.backend import Backend, Deployment, grounds_of, mutants_of, offers_of
from harness.driving.client import Client, outcome
from harness.driving.generator import NS_PER_S, Context, Generator, Mix, Phase, Workload
from harness.driving.lag import LagMeter
from harness.driving.nemesis import Fault, Nemesis, Watcher, refusal, target_of, target_refusal
from harness.driving.pausing import Pauses, with_clients
from harness.driving.plan import Episode, FaultSpec, Plan
from harness.driving.resource import FUNCTIONS as RESOURCE_FUNCTIONS
from harness.driving.resource import Resource, ResourceClient
from harness.driving.system import Need, System, clock_bound_of, hurried, sides_of, unkept, unsteady
from harness.errors import Infrastructure, UsageError
from harness.record.history import CLIENTS, NEMESIS, Event, Header
from harness.record.journal import Journal
from harness.registry import nearest
from harness.waiting import wait_for

SETTLE_S = 90.0
FINAL_S = 20.0
FINAL_RATE = 400.0
GRANTS_S = 5.0
IDLE_S = 0.005
SLICE_S = 0.05  # a waiting worker looks this often whether the phase has changed
HISTORY = "history.jsonl"

Say = Callable[[str], None]


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
    late_us: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


def check_plan(plan: Plan, catalogue: Catalogue) -> None:
    """Raise UsageError where the parts of a plan do not fit each other, before anything is started."""
    backend = catalogue.backend
    if plan.on not in (grounds := grounds_of(backend)):
        raise UsageError(f"{backend.name} does not run on {plan.on}, only on {' or '.join(grounds)}")
    if plan.attach is not None and (plan.on != "compose" or "compose" not in grounds):
        raise UsageError(f"attach {plan.attach!r}, expected --on compose with it")
    if plan.variant not in backend.variants:
        raise UsageError(f"unknown variant {plan.variant!r} of {backend.name}, {nearest(plan.variant, backend.variants)}")
    if plan.mutant is not None and plan.mutant not in (mutants := mutants_of(backend)):
        raise UsageError(f"unknown mutant {plan.mutant!r} of {backend.name}, {nearest(plan.mutant, mutants)}")
    for name, workload in catalogue.workloads.items():
        if alien := workload.functions - backend.functions - RESOURCE_FUNCTIONS:
            raise UsageError(f"workload {name} needs {', '.join(sorted(alien))}, which {backend.name} does not offer")
    for episode in plan.episodes:
        _check_rate(plan, episode)
        for spec in episode.faults:
            fault = catalogue.faults[spec.name]
            if refused := target_refusal(spec, fault, backend, plan.variant) or refusal(fault, backend, plan.variant):
                raise UsageError(refused)
            if fault.on_clients:
                _check_on_clients(spec, catalogue)


def _check_rate(plan: Plan, episode: Episode) -> None:
    sent = plan.rate * plan.concurrency * episode.seconds
    if sent < 1:
        of = f"{plan.concurrency} slots in the {episode.seconds:g} s of a trial"
        raise UsageError(f"rate {plan.rate:g} sends {sent:.2g} operations of {of}, expected at least one; raise the rate or the time limit")


def _check_on_clients(spec: FaultSpec, catalogue: Catalogue) -> None:
    if not _drives(catalogue, RESOURCE_FUNCTIONS):
        raise UsageError(f"fault {spec} meets clients that use a resource, and no workload of the run has any; expected workload resource")


def _drives(catalogue: Catalogue, functions: Iterable[str]) -> bool:
    return any(not workload.functions.isdisjoint(functions) for workload in catalogue.workloads.values())


def run(
    plan: Plan,
    catalogue: Catalogue,
    directory: Path,
    say: Say = lambda _: None,
    ran: Ran | None = None,
    trial_done: Callable[[], None] = lambda: None,
) -> Ran:
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
    deployment = Deployment(plan.variant, directory, plan.on, plan.mutant, plan.attach, links)
    with catalogue.backend.open(deployment) as system, _quiet_memory():
        if broken := unkept(system, offers_of(catalogue.backend, plan.variant)):
            raise TypeError(broken)
        ran.versions = dict(system.versions)
        with Journal(directory / HISTORY, _header(plan, system, catalogue)) as journal:
            _Run(plan, catalogue, system, journal, ran, say, trial_done).all_trials()
    ran.seconds = round(time.monotonic() - started, 1)
    return ran


def through_links(backend: Backend, variant: str, needs: frozenset[Need]) -> bool:
    """Say whether a run needs links: its servers reach each other through them, or one of its faults cuts, delays or empties one."""
    return Need.TAKEOVER in offers_of(backend, variant) or not needs.isdisjoint({Need.LINKS, Need.REPLIES})


def side_of(plan: Plan, system: System, slot: int) -> str:
    """Give the side of a slot: as many slots on each side, in order."""
    sides = sides_of(system)
    return sides[slot * len(sides) // plan.concurrency]


def _header(plan: Plan, system: System, catalogue: Catalogue) -> Header:
    return Header(
        seed=plan.seed,
        deployment=plan.backend,
        variant=plan.variant,
        workloads=plan.workloads,
        faults=tuple(sorted({str(spec) for episode in plan.episodes for spec in episode.faults})),
        concurrency=plan.concurrency,
        sides={str(slot): side_of(plan, system, slot) for slot in range(plan.concurrency)},
        clock_bound_ms=clock_bound_of(system),
        options={"mutant": plan.mutant, "rate": plan.rate, "deadline_s": plan.deadline_s} | dict(plan.options),
        effects={each.name: tuple(sorted(each.effects)) for fault in catalogue.faults.values() for each in fault.with_followers()},
    )


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


@dataclass(frozen=True, slots=True)
class Stage:
    """What all workers see: the trial and its phase. Replaced as a whole, so that reading it needs no lock."""

    trial: int = 0
    phase: Phase | None = None  # None: nothing to do
    steady_at: int = 0
    final_at: int = 0
    cut: bool = False
    stopped: bool = False


class _Run:
    def __init__(
        self, plan: Plan, catalogue: Catalogue, system: System, journal: Journal, ran: Ran, say: Say, trial_done: Callable[[], None]
    ) -> None:
        self.plan, self.catalogue, self.system, self.journal, self.ran, self.say = plan, catalogue, system, journal, ran, say
        self.trial_done = trial_done
        self.stage = Stage()
        self.condition = threading.Condition()
        self.pauses = Pauses()
        self.resource = Resource() if _drives(catalogue, RESOURCE_FUNCTIONS) else None
        self.nemesis = Nemesis(system, journal, self._proved, with_clients(system, self.pauses))
        self.watcher = Watcher(system, journal)
        self.lag = LagMeter(journal) if _drives(catalogue, ("acquire_within",)) else None
        self.workers = [_Worker(self, slot) for slot in range(plan.concurrency)]
        self.anchors = 0
        self.promoted = threading.Event()

    def client(self, side: str) -> Client:
        """Make a client of a side, the resource in front of it where the plan has one."""
        client = self.system.client(side, self.plan.deadline_s)
        return client if self.resource is None else ResourceClient(client, self.resource)

    def all_trials(self) -> None:
        self.watcher.start()
        if self.lag is not None:
            self.lag.start()
        self.journal.listen(self._count)
        for worker in self.workers:
            worker.thread.start()
        try:
            planned = list(self.plan.episodes)
            while planned:
                episode = planned[0]
                self.ran.trials += 1
                void = self._trial(self.ran.trials, episode)
                if void is None:
                    planned.pop(0)
                    self.trial_done()
                else:
                    self._void(void)
        except BaseException:
            self._end_workers()
            with suppress(Infrastructure):  # the first error is the one to tell
                self.nemesis.abandon()
            raise
        finally:
            self._end_workers()
            self.watcher.stop()
            if self.lag is not None:
                self.lag.stop()
        self._look_after_threads()
        self.ran.late_us = _late(self.workers)

    def _trial(self, n: int, episode: Episode) -> str | None:
        label = " + ".join(str(spec) for spec in episode.faults) or "no fault"
        self.journal.nemesis("trial", {"n": n, "phase": "begin"})
        self.say(f"trial {n}: waiting for the steady state")
        wait_for(self._steady, SETTLE_S, f"{self.system.name}: steady state before trial {n}", 0.05)
        self.watcher.mark()
        if self.lag is not None:
            self.lag.mark()
        self.anchors = 0
        self.journal.nemesis("trial", {"n": n, "phase": "steady"})
        self.say(f"trial {n}: clients at work")
        self._enter("quiet", trial=n, steady_at=self.journal.now_ns())
        self._sleep(episode.quiet_s)
        self._await_grants(episode)
        if self.watcher.unplanned is not None:
            return self._give_up(n, self.watcher.unplanned)
        if episode.faults:
            self.say(f"trial {n}: {label}")
            self._fault(episode)
        self.watcher.look()
        self.journal.nemesis("trial", {"n": n, "phase": "settled"})
        self._enter("after", cut=False)
        self._sleep(episode.after_s)
        self.say(f"trial {n}: final reads")
        self._enter("final", final_at=self.journal.now_ns() - self.stage.steady_at)
        self._await_idle(FINAL_S)
        self._enter(None)
        self._look_after_threads()
        return None

    def _fault(self, episode: Episode) -> None:
        began = time.monotonic()
        faults = [(self.catalogue.faults[spec.name], self._target(spec)) for spec in episode.faults]
        self.watcher.planned = any(fault.changes_roles for fault, _ in faults) or any(spec.target == "replica" for spec in episode.faults)
        self._enter("fault")
        for fault, target in faults:
            self.nemesis.inject(fault, target)
        self._sleep(began + episode.fault_s - time.monotonic())
        with hurried(self.system):
            self.nemesis.heal()
            wait_for(self._steady, SETTLE_S, f"{self.system.name}: steady state after the fault", 0.05)

    def _target(self, spec: FaultSpec) -> str:
        return CLIENTS if self.catalogue.faults[spec.name].on_clients else target_of(self.system, spec)

    def _proved(self, fault: Fault) -> None:
        if fault.changes_roles:
            self._enter("fault", cut=True)

    def _give_up(self, n: int, reason: str) -> str:
        self.journal.nemesis("trial", {"n": n, "phase": "void", "reason": reason})
        self._enter(None)
        self._await_idle(FINAL_S)
        return f"trial {n}: {reason}"

    def _void(self, reason: str) -> None:
        self.ran.voids.append(reason)
        self.say(f"void, repeated: {reason}")
        if len(self.ran.voids) > len(self.plan.episodes):
            raise Infrastructure(f"{len(self.ran.voids)} trials were void, more than were planned; the last: {reason}")

    def _await_grants(self, episode: Episode) -> None:
        end = time.monotonic() + GRANTS_S
        while self.anchors < episode.grants and time.monotonic() < end:
            time.sleep(IDLE_S)
        if episode.grants:
            time.sleep(0.1)  # the kill comes at least this long after the acknowledgement

    def _count(self, event: Event) -> None:
        if event.process != NEMESIS and event.type == "ok" and event.f == "try_acquire" and event.value["granted"] and event.key:
            self.anchors += "-anchor-" in event.key

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.2))
            self._look_after_threads()

    def _enter(self, phase: Phase | None, **more: Any) -> None:
        self._set(replace(self.stage, phase=phase, **more))

    def _set(self, stage: Stage) -> None:
        with self.condition:
            self.stage = stage
            self.condition.notify_all()

    def _await_idle(self, deadline_s: float) -> None:
        def busy() -> str | None:
            self._look_after_threads()
            waiting = [worker.slot for worker in self.workers if not worker.idle]
            return f"slots {waiting} are busy" if waiting else None

        for worker in self.workers:
            worker.idle = False
        wait_for(busy, deadline_s + self.plan.deadline_s, "the workers come to rest")

    def _end_workers(self) -> None:
        self._set(replace(self.stage, stopped=True))
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


class _Worker:
    """One client slot."""

    def __init__(self, run_: _Run, slot: int) -> None:
        self.run, self.slot = run_, slot
        self.side = side_of(run_.plan, run_.system, slot)
        self.process = slot
        self.idle = True
        self.failure: BaseException | None = None
        self.late_ns: list[int] = []
        self.thread = threading.Thread(target=self._work, name=f"slot-{slot}", daemon=True)
        self._client: Client | None = None
        self._trial = -1
        self._step = 0
        self._random = random.Random()
        self._generator: Generator | None = None
        self._next_at = 0

    def _work(self) -> None:
        try:
            while (context := self._await_turn()) is not None:
                self._one(context)
        except BaseException as error:  # noqa: BLE001 - carried to the main thread, which raises it
            self.failure = error
        finally:
            self.idle = True
            if self._client is not None:
                self._client.close()

    def _await_turn(self) -> Context | None:
        run_, waited = self.run, False
        while True:
            stage = run_.stage
            if stage.phase is None and not stage.stopped:
                stage = self._await_phase()
            if stage.stopped:
                return None
            if stage.trial != self._trial:
                self._begin(stage)
            now = run_.journal.now_ns()
            if stage.phase == "final":  # what was drawn from a low rate may lie far behind the end
                self._next_at = min(self._next_at, now + int(SLICE_S * NS_PER_S))
            if now < self._next_at:
                time.sleep(min((self._next_at - now) / NS_PER_S, SLICE_S))
                waited = True
                continue
            if waited:
                self.late_ns.append(now - self._next_at)
            return self._context(stage, now)

    def _await_phase(self) -> Stage:
        run_ = self.run
        with run_.condition:
            while run_.stage.phase is None and not run_.stage.stopped:
                self.idle = True
                run_.condition.wait(SLICE_S)
            return run_.stage

    def _begin(self, stage: Stage) -> None:
        self._trial, self._step = stage.trial, -1
        self._generator = _generator(self.run.plan, self.run.catalogue)
        self._next_at = stage.steady_at + int(self._drawn().expovariate(self.run.plan.rate) * NS_PER_S)
        self._step = 0

    def _drawn(self) -> random.Random:
        # A hash of integers is the same in every process. One generator, seeded anew: making one costs more.
        self._random.seed(hash((self.run.plan.seed, self._trial, self.slot, self._step)))
        return self._random

    def _context(self, stage: Stage, now: int) -> Context:
        assert stage.phase is not None
        run_ = self.run
        return Context(
            trial=stage.trial,
            slot=self.slot,
            slots=run_.plan.concurrency,
            process=self.process,
            side=self.side,
            first_side=sides_of(run_.system)[0],
            now=now - stage.steady_at,
            phase=stage.phase,
            cut=stage.cut,
            final_at=stage.final_at,
            step=self._step,
            draw=self._drawn(),
        )

    def _one(self, context: Context) -> None:
        assert self._generator is not None
        invocation, self._generator = self._generator.next(context)
        self._step += 1
        now = self.run.journal.now_ns()
        rate = FINAL_RATE if context.phase == "final" else self.run.plan.rate
        self._next_at = max(self._next_at, now - NS_PER_S) + int(context.draw.expovariate(rate) * NS_PER_S)
        if invocation is None:
            self.idle = self.idle or context.phase == "final"
            self._next_at = max(self._next_at, now + int(IDLE_S * NS_PER_S))
            return
        self.idle = False
        if not self._await_instant(self.run.stage.steady_at + invocation.at, context):
            return
        self._invoke(context, invocation.f, invocation.key, invocation.value)

    def _await_instant(self, at: int, context: Context) -> bool:
        run_ = self.run
        while (left := at - run_.journal.now_ns()) > 0:
            if run_.stage.phase != context.phase or run_.stage.trial != context.trial or run_.stage.stopped:
                return False
            time.sleep(min(left / NS_PER_S, SLICE_S))
        return True

    def _invoke(self, context: Context, f: str, key: str, argument: Any) -> None:
        journal, plan = self.run.journal, self.run.plan
        if self._client is None:
            self._client = self.run.client(self.side)
        self.run.pauses.wait(self.slot, lambda: self.run.stage.stopped)
        if self.run.stage.stopped:
            return
        invoke = journal.append(self.process, "invoke", f, key, argument)
        done = outcome(self._client, f, key, argument)
        completion = journal.complete(self.process, f, key, done)
        self.run.pauses.note(self.slot, invoke, completion)
        assert self._generator is not None
        self._generator = self._generator.update(context, invoke, completion)
        if done.type == "info":
            self._client.close()
            self._client = None
            self.process += plan.concurrency


def _generator(plan: Plan, catalogue: Catalogue) -> Generator:
    parts = []
    for name, workload in catalogue.workloads.items():
        options = {**workload.options, **plan.options.get(name, {})}
        weight = options.pop("weight", 1.0)
        parts.append((weight, workload.generator(options)))
    return parts[0][1] if len(parts) == 1 else Mix(tuple(parts))


def _late(workers: list[_Worker]) -> dict[str, int]:
    late = sorted(ns for worker in workers for ns in worker.late_ns)
    if not late:
        return {}
    return {"p50": late[len(late) // 2] // 1000, "p99": late[len(late) * 99 // 100] // 1000, "max": late[-1] // 1000}
