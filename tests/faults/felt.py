"""What a client feels of a fault, independently of its probe; and a deployment that several runs may use."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.driving.backend import Backend, Deployment, offers_of
from harness.driving.client import Client, Completion, outcome
from harness.driving.nemesis import Fault, Injection, Nemesis, Probe
from harness.driving.plan import Episode, FaultSpec, Plan
from harness.driving.run import Catalogue, run
from harness.driving.system import Need, System, hurried
from harness.record.history import Header
from harness.record.journal import Journal
from workloads.counter import COUNTER

CLIENT_DEADLINE_S = 0.5
PATIENCE_S = 60.0
ANSWERED_LATE_S = 3.0  # a deadline of 0.5 s, kept on a busy machine
POLL_S = 0.01


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Poll until true; fail at the deadline."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"not within {PATIENCE_S} s: {what}"
        time.sleep(POLL_S)


def proved(look: Callable[[], Probe]) -> Probe:
    """Poll a probe until it proves its point; give what it saw."""
    seen: list[Probe] = []

    def proves() -> bool:
        seen.append(look())
        return seen[-1].proved

    eventually(proves, "the probe proves")
    return seen[-1]


def unproved(look: Callable[[], Probe]) -> None:
    """Poll a probe until it proves nothing: on a busy machine a healthy link may once be late by itself."""
    eventually(lambda: not look().proved, "the probe proves nothing")


@contextmanager
def client(system: System, side: int = 0, deadline_s: float = CLIENT_DEADLINE_S) -> Iterator[Client]:
    """Make a client of the first or second side; it connects when first used."""
    made = system.client(system.sides[side], deadline_s)
    try:
        yield made
    finally:
        made.close()


def ask(system: System, f: str, key: str, argument: Any, side: int = 0, deadline_s: float = CLIENT_DEADLINE_S) -> Completion:
    """Do one operation by a client of its own; give how it ended."""
    with client(system, side, deadline_s) as fresh:
        return outcome(fresh, f, key, argument)


def timed(call: Callable[[], Completion]) -> tuple[Completion, float]:
    """Give how an operation ended and how long it took, in seconds."""
    start = time.monotonic()
    done = call()
    return done, time.monotonic() - start


def put(system: System, key: str, value: str, side: int = 0) -> Completion:
    return ask(system, "set", key, {"value": value, "ttl_ms": None}, side)


def found(system: System, key: str, side: int = 1) -> str | None:
    """Read a key by a client of the second side, whom faults on links spare; poll until it is answered."""
    answers: list[Completion] = []

    def answered() -> bool:
        answers.append(ask(system, "get", key, {}, side))
        return answers[-1].type == "ok"

    eventually(answered, f"a client of {system.sides[side]} reads {key}")
    value: str | None = answers[-1].value["value"]
    return value


def serves_again(system: System) -> bool:
    """Say whether clients of both sides write, each by a fresh connection; on a busy machine one may be late, but not for ever."""
    for side in range(len(system.sides)):
        eventually(lambda side=side: put(system, f"after-{time.monotonic_ns()}", "x", side).type == "ok", f"side {side} is served")
    return True


def is_steady(system: System) -> None:
    """Wait for the steady state, hurried as in a run."""
    with hurried(system):
        eventually(lambda: system.steady() is None, "the steady state")


class Standing:
    """A backend whose system stands already, and goes on standing after the run."""

    def __init__(self, backend: Backend, system: System) -> None:
        self.name, self.variants, self.mutants, self.functions = backend.name, backend.variants, backend.mutants, backend.functions
        self._backend, self._system = backend, system

    @contextmanager
    def open(self, deployment: Deployment) -> Iterator[System]:
        yield self._system

    def offers(self, variant: str) -> frozenset[Need]:
        return offers_of(self._backend, variant)


class Planted(Exception):
    """What a test raises in the body of a run."""


def planted(fault: Fault) -> Fault:
    """Let the body raise as soon as a fault, and what follows it, is proved active."""

    def explode(system: System, target: str) -> Injection:
        raise Planted

    return replace(fault, follow=(*fault.follow, (0.0, Fault("planted", "raises", explode))))


def run_that_raises(backend: Any, system: System, fault: Fault, directory: Path) -> None:
    """Run with a fault under which the body raises Planted, on a system that stands."""
    episode = Episode((FaultSpec(fault.name),), quiet_s=0.1, fault_s=1, after_s=0)
    plan = Plan(backend.name, system.variant, ("counter",), (episode,), seed=1, concurrency=2)
    counter: Any = COUNTER
    run(plan, Catalogue(Standing(backend, system), {"counter": counter}, {fault.name: planted(fault)}), directory)


def abandoned(system: System, fault: Fault, target: str, directory: Path) -> None:
    """Inject a fault, prove it active, and leave by the nemesis' way out."""
    with Journal(directory / "history.jsonl", Header()) as journal:
        nemesis = Nemesis(system, journal)
        assert nemesis.inject(fault, target)
        nemesis.abandon()
