"""Each fault that clients feel, as one that does nothing beside a probe that lies: their answers find it out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from fakes import FakeBackend, fake_catalogue

from harness import registry
from harness.driving.nemesis import Fault, Injection, Probe
from harness.driving.plan import Episode, FaultSpec, Plan
from harness.driving.run import HISTORY, run
from harness.driving.system import LINKS, System
from harness.judging.gates import exposure
from harness.judging.trials import judge_trials, status_of, with_doubt
from harness.judging.verdict import Status
from harness.record.format import load
from harness.record.history import CLIENTS, FELT

EVERY: list[Fault] = [registry.load("faults", name) for name in registry.names("faults")]
SHOWN = [fault for fault in EVERY if fault.effects & FELT]
LINK, NODE = "clients-a -> node-1", "node-1"


@dataclass(frozen=True, slots=True)
class Sham:
    """Nothing, told as a fault."""

    target: str

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.target,)

    def inject(self) -> None: ...

    def bites(self) -> Probe:
        return Probe(True, {})

    def heal(self) -> None: ...

    def healed(self) -> Probe:
        return Probe(True, {})


def sham(fault: Fault, target: str | None = None) -> Fault:
    """Give a fault of the same name and effects, told of a target, or of the one that the real one has."""
    one_link = bool(fault.parts & LINKS) and len(fault.parts) == 1
    target = target or (CLIENTS if fault.on_clients else LINK if one_link else NODE)

    def on(system: System, node: str) -> Injection:
        return Sham(target)

    return replace(fault, on=on, needs=fault.needs if fault.on_clients else frozenset(), meets=fault.parts, follow=())


OF_A_NODE = [fault for fault in SHOWN if fault.name in ("latency", "lost-reply")]


@pytest.mark.parametrize(
    ("fault", "target"),
    [*((fault, None) for fault in SHOWN), *((fault, NODE) for fault in OF_A_NODE)],
    ids=lambda each: each.name if isinstance(each, Fault) else each or "as it is",
)
def test_a_fault_that_does_nothing_beside_a_probe_that_lies_is_not_felt_and_leaves_a_run_unknown(
    fault: Fault, target: str | None, tmp_path: Path
) -> None:
    workload = "resource" if fault.on_clients else "dedup"
    episode = Episode((FaultSpec(fault.name),), quiet_s=0.3, fault_s=0.6, after_s=0.1)
    options = {"resource": {"ttl_ms": 60_000}}  # a busy machine lets no client rest for that long
    plan = Plan("fake", "default", (workload,), (episode,), seed=1, rate=60.0, options=options if fault.on_clients else {})
    run(plan, fake_catalogue(FakeBackend(), (workload,), **{fault.name: sham(fault, target)}), tmp_path)
    (trial,) = judge_trials(load(tmp_path / HISTORY))
    met = {gate.name: gate.met for gate in exposure(trial.history)}
    assert (met["faults_proved"], met["faults_felt"]) == (True, False)
    assert status_of(trial, with_doubt(trial)) is Status.UNKNOWN


def test_most_faults_show_in_what_clients_are_answered() -> None:
    silent = {"cancel-wait", "client-clock", "client-clock-beyond", "hold-back-replication"}  # clocks and replication show nowhere
    assert {fault.name for fault in EVERY if not fault.effects & FELT} >= silent
    assert len(SHOWN) >= 10
    assert all(fault.flaw is None for fault in EVERY)
