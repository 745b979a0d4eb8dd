"""What a workload has at work beside its clients: when it is called, what it may answer itself, and its planted bugs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from fakes import WORKLOADS, FakeBackend, FakeInjection, fake_catalogue, fault

from backends.client import FUNCTIONS
from harness.driving.client import Client
from harness.driving.generator import Context, Invocation
from harness.driving.nemesis import Fault
from harness.driving.plan import Episode, FaultSpec, Plan
from harness.driving.run import HISTORY, Catalogue, planted_bugs, run
from harness.driving.system import Need
from harness.driving.workload import Attendant, Attended, Workload
from harness.errors import UsageError
from harness.judging.gates import validity
from harness.record.event import Event
from harness.record.format import load

SHORT = Episode(quiet_s=0.2, after_s=0.1)


@dataclass(slots=True)
class Seen:
    """What an attendant was told, in order."""

    calls: list[str] = field(default_factory=list)
    ended: list[tuple[str, str]] = field(default_factory=list)
    run: Attended | None = None

    def attend(self, run_: Attended) -> Attendant:
        self.run = run_
        return Attendant(
            start=lambda: self.calls.append("start"),
            stop=lambda: self.calls.append("stop"),
            steady=lambda: self.calls.append("steady"),
            client=Answering,
            before=lambda slot, stopped: self.calls.append("before"),
            after=self.after,
        )

    def after(self, slot: int, invoke: Event, completion: Event) -> None:
        self.ended.append((invoke.f, completion.type))


class Answering:
    """A client in front of the backend's, which answers `ring` itself."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def invoke(self, f: str, key: str, argument: Any) -> tuple[Any, str | None]:
        return ({"rung": True}, "bell") if f == "ring" else self.client.invoke(f, key, argument)

    def close(self) -> None:
        self.client.close()


@dataclass(frozen=True, slots=True)
class Ringing:
    """Rings and sets, in turn."""

    def next(self, context: Context) -> tuple[Invocation | None, Ringing]:
        if context.phase == "final":
            return None, self
        if context.step % 2:
            return Invocation("set", f"{context.prefix}-door", {"value": "x", "ttl_ms": None}), self
        return Invocation("ring", f"{context.prefix}-bell", {}), self

    def update(self, context: Context, invocation: Event, completion: Event) -> Ringing:
        return self


def ringing(seen: Seen, **more: Any) -> Workload:
    made = Workload(
        name="ringing",
        sentence="rings a bell",
        functions=frozenset({"ring", "set"}),
        answers=frozenset({"ring"}),
        checks=("linearizable",),
        generator=lambda options, functions: Ringing(),
        options={"loudness": 3},
        attend=seen.attend,
        mutants={"muffled": "the bell is not heard"},
    )
    return replace(made, **more)


def carried_out(
    path: Path, workload: Workload, backend: FakeBackend | None = None, faults: Mapping[str, Fault] | None = None, **more: Any
) -> None:
    plan = Plan("fake", "default", (workload.name,), more.pop("episodes", (SHORT,)), seed=1, rate=200.0, **more)
    run(plan, Catalogue(backend or FakeBackend(), {workload.name: workload}, faults or {}), path)


def test_an_attendant_is_started_told_of_each_steady_state_and_stopped(tmp_path: Path) -> None:
    seen = Seen()
    carried_out(tmp_path, ringing(seen), episodes=(SHORT, SHORT))
    assert [call for call in seen.calls if call != "before"] == ["start", "steady", "steady", "stop"]


def test_an_attendant_is_told_of_every_operation(tmp_path: Path) -> None:
    seen = Seen()
    carried_out(tmp_path, ringing(seen))
    operations = load(tmp_path / HISTORY).operations()
    assert sorted(seen.ended) == sorted((each.f, each.status) for each in operations)
    assert seen.calls.count("before") == len(operations)


def test_what_an_attendant_answers_reaches_no_backend(tmp_path: Path) -> None:
    carried_out(tmp_path, ringing(Seen()))
    assert {(each.f, each.node) for each in load(tmp_path / HISTORY).operations()} == {("ring", "bell"), ("set", "node-1")}


def test_an_attendant_is_stopped_when_the_run_raises(tmp_path: Path) -> None:
    seen, backend = Seen(), FakeBackend()

    def fails() -> None:
        raise KeyboardInterrupt

    def attend(run_: Attended) -> Attendant:
        return replace(seen.attend(run_), steady=fails)

    with pytest.raises(KeyboardInterrupt):
        carried_out(tmp_path, ringing(seen, attend=attend), backend)
    assert seen.calls[-1] == "stop"


def test_an_attendant_that_cannot_start_ends_the_run_and_all_that_was_started(tmp_path: Path) -> None:
    seen, backend = Seen(), FakeBackend()

    def fails() -> None:
        raise RuntimeError("no bell")

    with pytest.raises(RuntimeError, match="no bell"):
        carried_out(tmp_path, ringing(seen, attend=lambda run_: replace(seen.attend(run_), start=fails)), backend)
    assert (seen.calls, backend.closed) == (["stop"], True)


def test_an_attendant_is_given_the_options_of_its_workload(tmp_path: Path) -> None:
    seen = Seen()
    carried_out(tmp_path, ringing(seen), options={"ringing": {"loudness": 7, "weight": 2.0}})
    assert seen.run is not None
    assert seen.run.options == {"loudness": 7}


def test_what_an_attendant_records_is_neither_a_fault_nor_in_the_way_of_a_verdict(tmp_path: Path) -> None:
    def attend(run_: Attended) -> Attendant:
        return Attendant(client=Answering, steady=lambda: run_.journal.nemesis("loudness", {"decibel": 3}))

    carried_out(tmp_path, ringing(Seen(), attend=attend))
    (trial,) = load(tmp_path / HISTORY).trials()
    assert [event.value for event in trial.history.events if event.f == "loudness"] == [{"decibel": 3}]
    assert trial.history.faults == ()
    assert next(gate for gate in validity(trial.history) if gate.name == "steady").met


# Mutants


class Remembers(FakeBackend):
    """Keeps the mutant that it was opened with."""

    def open(self, deployment: Any) -> Any:
        self.mutant = deployment.mutant
        return super().open(deployment)


@pytest.mark.parametrize(("mutant", "of_backend"), [("muffled", None), ("release-unchecked", "release-unchecked"), (None, None)])
def test_a_mutant_is_planted_by_whose_it_is(tmp_path: Path, mutant: str | None, of_backend: str | None) -> None:
    seen, backend = Seen(), Remembers()
    carried_out(tmp_path, ringing(seen), backend, mutant=mutant)
    assert seen.run is not None
    assert (backend.mutant, seen.run.mutant) == (of_backend, mutant if mutant == "muffled" else None)


def test_a_mutant_of_a_workload_that_is_not_driven_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown mutant 'muffled' of fake"):
        carried_out(tmp_path, WORKLOADS["cas"], mutant="muffled")


def test_the_mutants_of_a_run_are_its_backends_and_its_workloads() -> None:
    assert set(planted_bugs(FakeBackend(), [ringing(Seen())])) == {"release-unchecked", "muffled"}


# Anchors


def granted(key: str) -> Event:
    return Event(index=1, time=1, process=0, type="ok", f="try_acquire", key=key, value={"granted": True, "fencing_token": 1})


@pytest.mark.parametrize(("key", "anchors"), [("t1-anchor-0", True), ("t1-churn-0", False)])
def test_the_lock_workload_says_which_grants_anchor_a_trial(key: str, anchors: bool) -> None:
    assert WORKLOADS["lock"].anchors(granted(key)) is anchors


def test_a_fault_waits_for_what_its_workload_calls_an_anchor(tmp_path: Path) -> None:
    heard: list[int] = []

    def anchors(completion: Event) -> bool:
        heard.append(completion.index)
        return completion.f == "ring"

    injection = FakeInjection()
    episode = Episode((FaultSpec("cut"),), quiet_s=0.1, fault_s=0.1, after_s=0.1, grants=3)
    carried_out(tmp_path, ringing(Seen(), anchors=anchors), faults={"cut": fault(injection)}, episodes=(episode,))
    history = load(tmp_path / HISTORY)
    begin = history.faults[0].begin
    assert begin is not None
    assert sum(each.f == "ring" and each.end_index is not None and each.end_index < begin.index for each in history.operations()) >= 3
    assert len(heard) == len(set(heard)) == len(history.operations())


# Optional functions


def functions_of(offered: frozenset[str], path: Path) -> set[str]:
    backend = FakeBackend()
    backend.functions = offered
    carried_out(path, WORKLOADS["lock"], backend)
    return {each.f for each in load(path / HISTORY).operations()}


def test_optional_functions_are_driven_where_the_backend_offers_them(tmp_path: Path) -> None:
    assert {"extend", "is_held"} <= functions_of(FUNCTIONS, tmp_path)


def test_optional_functions_are_left_out_where_the_backend_offers_none(tmp_path: Path) -> None:
    assert functions_of(frozenset({"try_acquire", "release"}), tmp_path) == {"try_acquire", "release"}


# Faults on clients


def test_a_fault_on_clients_is_handed_what_the_workload_offers(tmp_path: Path) -> None:
    handed: list[object] = []
    bell = object()

    def on(clients: Any, target: str) -> FakeInjection:
        handed.append(clients)
        return FakeInjection()

    seen = Seen()
    workload = ringing(seen, offers=frozenset({Need.HOLDERS}), attend=lambda run_: replace(seen.attend(run_), clients=bell))
    hush = Fault("hush", "a fault of a test", on, needs=frozenset({Need.HOLDERS}))
    episode = Episode((FaultSpec("hush"),), quiet_s=0.1, fault_s=0.1, after_s=0.1)
    carried_out(tmp_path, workload, faults={"hush": hush}, episodes=(episode,))
    assert handed == [bell]


def test_a_fault_on_clients_is_refused_where_no_workload_has_what_it_needs(tmp_path: Path) -> None:
    hush = Fault("hush", "a fault of a test", lambda clients, target: FakeInjection(), needs=frozenset({Need.HOLDERS}))
    episode = Episode((FaultSpec("hush"),), quiet_s=0.1, fault_s=0.1, after_s=0.1)
    with pytest.raises(UsageError, match=r"fault hush needs a client that holds a lock .*; expected workload resource"):
        run(Plan("fake", "default", ("lock",), (episode,), seed=1), fake_catalogue(FakeBackend(), ("lock",), hush=hush), tmp_path)


@dataclass(frozen=True, slots=True)
class Strange(Ringing):
    """Rings on a key that is not of its trial."""

    key: str = "bell"

    def next(self, context: Context) -> tuple[Invocation | None, Ringing]:
        return (None if context.phase == "final" else Invocation("ring", self.key, {})), self


@pytest.mark.parametrize("key", ["bell", "t", "t12-bell", "T1-bell"])
def test_a_key_that_is_not_of_its_trial_is_refused(tmp_path: Path, key: str) -> None:
    """The next trial would meet what this one left, and accuse the system of it."""
    with pytest.raises(UsageError, match=rf"ring on key '{key}', expected one that begins with 't1'"):
        carried_out(tmp_path, ringing(Seen(), generator=lambda options, functions: Strange(key)))
