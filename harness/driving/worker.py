"""A worker: one client slot, a thread that draws operations, sends them, and records how they ended.

All workers see one stage of the trial, and change with it.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from harness.driving.client import Client, outcome
from harness.driving.generator import NS_PER_S, Context, Generator, Invocation, Phase, asked, told
from harness.driving.plan import Plan
from harness.driving.system import System, sides_of
from harness.driving.workload import Attendant
from harness.errors import UsageError
from harness.record.journal import Journal
from harness.shape import held

FINAL_RATE = 400.0
IDLE_S = 0.005
SLICE_S = 0.05  # a waiting worker looks this often whether the phase has changed


def side_of(plan: Plan, system: System, slot: int) -> str:
    """Give the side of a slot: as many slots on each side, in order."""
    sides = sides_of(system)
    return sides[slot * len(sides) // plan.concurrency]


@dataclass(frozen=True, slots=True)
class Stage:
    """What all workers see: the trial and its phase. Replaced as a whole, so that reading it needs no lock."""

    trial: int = 0
    phase: Phase | None = None  # None: nothing to do
    steady_at: int = 0
    final_at: int = 0
    cut: bool = False
    stopped: bool = False


class Stages:
    """The stage that there is `now`; thread-safe."""

    def __init__(self) -> None:
        self.now = Stage()
        self._changed = threading.Condition()

    def enter(self, phase: Phase | None, **more: Any) -> None:
        """Go over to a phase, None for a rest."""
        self._set(replace(self.now, phase=phase, **more))

    def stop(self) -> None:
        """Let every worker end."""
        self._set(replace(self.now, stopped=True))

    def await_phase(self, resting: Callable[[], None]) -> Stage:
        """Wait until there is something to do, or all is stopped; `resting` is called again and again meanwhile."""
        with self._changed:
            while self.now.phase is None and not self.now.stopped:
                resting()
                self._changed.wait(SLICE_S)
            return self.now

    def _set(self, stage: Stage) -> None:
        with self._changed:
            self.now = stage
            self._changed.notify_all()


@dataclass(frozen=True, slots=True)
class Place:
    """What the workers of a run share; `generator` makes what a slot begins a trial with."""

    plan: Plan
    system: System
    journal: Journal
    generator: Callable[[], Generator]
    attendants: tuple[Attendant, ...]
    stages: Stages

    def client(self, side: str) -> Client:
        """Make a client of a side, with the attendants before it."""
        client = held(self.system.client(side, self.plan.deadline_s), Client, f"a client of system {self.system.name}", self.system)
        for attendant in self.attendants:
            client = held(attendant.client(client), Client, "what client of an attendant gave", attendant.client)
        return client


class Worker:
    """One client slot."""

    def __init__(self, place: Place, slot: int) -> None:
        self.place, self.slot = place, slot
        self.side = side_of(place.plan, place.system, slot)
        self._first_side = sides_of(place.system)[0]  # asked once: isinstance with a protocol takes 15 µs
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
        place, waited = self.place, False
        while True:
            stage = place.stages.now
            if stage.phase is None and not stage.stopped:
                stage = place.stages.await_phase(self._rest)
            if stage.stopped:
                return None
            if stage.trial != self._trial:
                self._begin(stage)
            now = place.journal.now_ns()
            if stage.phase == "final":  # what was drawn from a low rate may lie far behind the end
                self._next_at = min(self._next_at, now + int(SLICE_S * NS_PER_S))
            if now < self._next_at:
                time.sleep(min((self._next_at - now) / NS_PER_S, SLICE_S))
                waited = True
                continue
            if waited:
                self.late_ns.append(now - self._next_at)
            return self._context(stage, now)

    def _rest(self) -> None:
        self.idle = True

    def _begin(self, stage: Stage) -> None:
        self._trial, self._step = stage.trial, -1
        self._generator = self.place.generator()
        self._next_at = stage.steady_at + int(self._drawn().expovariate(self.place.plan.rate) * NS_PER_S)
        self._step = 0

    def _drawn(self) -> random.Random:
        # A hash of integers is the same in every process. One generator, seeded anew: making one costs more.
        self._random.seed(hash((self.place.plan.seed, self._trial, self.slot, self._step)))
        return self._random

    def _context(self, stage: Stage, now: int) -> Context:
        assert stage.phase is not None
        place = self.place
        return Context(
            trial=stage.trial,
            slot=self.slot,
            slots=place.plan.concurrency,
            process=self.process,
            side=self.side,
            first_side=self._first_side,
            now=now - stage.steady_at,
            phase=stage.phase,
            cut=stage.cut,
            final_at=stage.final_at,
            step=self._step,
            draw=self._drawn(),
        )

    def _one(self, context: Context) -> None:
        assert self._generator is not None
        invocation, self._generator = asked(self._generator, context)
        self._step += 1
        now = self.place.journal.now_ns()
        rate = FINAL_RATE if context.phase == "final" else self.place.plan.rate
        self._next_at = max(self._next_at, now - NS_PER_S) + int(context.draw.expovariate(rate) * NS_PER_S)
        if invocation is None:
            self.idle = self.idle or context.phase == "final"
            self._next_at = max(self._next_at, now + int(IDLE_S * NS_PER_S))
            return
        self.idle = False
        if not self._await_instant(self.place.stages.now.steady_at + invocation.at, context):
            return
        self._invoke(invocation, context)

    def _await_instant(self, at: int, context: Context) -> bool:
        place = self.place
        while (left := at - place.journal.now_ns()) > 0:
            stage = place.stages.now
            if stage.phase != context.phase or stage.trial != context.trial or stage.stopped:
                return False
            time.sleep(min(left / NS_PER_S, SLICE_S))
        return True

    def _invoke(self, invocation: Invocation, context: Context) -> None:
        place, f, key = self.place, invocation.f, invocation.key
        if not _of_trial(key, context.prefix):
            raise UsageError(
                f"{f} on key {key!r}, expected one that begins with {context.prefix!r} (context.prefix): a trial has keys of its own"
            )
        if self._client is None:
            self._client = place.client(self.side)
        for attendant in place.attendants:
            attendant.before(self.slot, self._stopped)
        if self._stopped():
            return
        invoke = place.journal.append(self.process, "invoke", f, key, invocation.value)
        done = outcome(self._client, f, key, invocation.value)
        completion = place.journal.complete(self.process, f, key, done)
        for attendant in place.attendants:
            attendant.after(self.slot, invoke, completion)
        assert self._generator is not None
        self._generator = told(self._generator, context, invoke, completion)
        if done.type == "info":
            self._client.close()
            self._client = None
            self.process += place.plan.concurrency

    def _stopped(self) -> bool:
        return self.place.stages.now.stopped


def _of_trial(key: str, prefix: str) -> bool:
    """Say whether a key is of this trial, and of none that has more digits."""
    return isinstance(key, str) and key.startswith(prefix) and not key[len(prefix) : len(prefix) + 1].isdigit()
