"""A paused holder, in whole runs on a store in memory: it bites, it heals, it heals when the body raises, and it is felt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from fakes import FakeBackend, FakeSystem, fake_catalogue

from faults.client_pause import CLIENT_PAUSE
from harness.driving.plan import Episode, FaultSpec, Plan
from harness.driving.run import HISTORY, run
from harness.driving.system import System
from harness.errors import UsageError
from harness.judging.check import Terms
from harness.judging.checks import verdicts
from harness.judging.counts import every_count
from harness.judging.gates import exposure, validity
from harness.judging.verdict import Status
from harness.record.format import load
from harness.record.history import CLIENTS, History, Operation
from workloads.resource.pausing import Pauses

TTL_MS = 300
EPISODE = Episode((FaultSpec("client-pause"),), quiet_s=0.3, fault_s=1.6, after_s=0.4)


def plan(*, fenced: int = 0, workloads: tuple[str, ...] = ("resource",), faults: str = "client-pause", ttl_ms: int = TTL_MS) -> Plan:
    episode = Episode((FaultSpec.parse(faults),), EPISODE.quiet_s, EPISODE.fault_s, EPISODE.after_s)
    options = {"resource": {"fenced": fenced, "ttl_ms": ttl_ms}} if "resource" in workloads else {}
    return Plan("fake", "default", workloads, (episode,), seed=1, rate=60.0, options=options)


def carried_out(path: Path, *, fenced: int) -> History:
    path.mkdir()
    run(plan(fenced=fenced), fake_catalogue(FakeBackend(), ("resource",), **{"client-pause": CLIENT_PAUSE}), path)
    return load(path / HISTORY)


@pytest.fixture(scope="module")
def unfenced(tmp_path_factory: pytest.TempPathFactory) -> History:
    return carried_out(tmp_path_factory.mktemp("unfenced") / "run", fenced=0)


@pytest.fixture(scope="module")
def fenced(tmp_path_factory: pytest.TempPathFactory) -> History:
    return carried_out(tmp_path_factory.mktemp("fenced") / "run", fenced=1)


def phases(history: History) -> dict[str, Any]:
    return {event.value["phase"]: event for event in history.nemesis() if event.f == "client-pause"}


def gaps(history: History) -> list[tuple[Operation, Operation]]:
    """Give each read of a holder with the write that the same slot made of it."""
    found, last = [], {}
    for operation in history.operations():
        if operation.f == "resource_read":
            last[history.slot(operation.process)] = operation
        elif operation.f == "resource_write":
            found.append((last[history.slot(operation.process)], operation))
    return found


def test_its_four_events_are_recorded_on_clients(unfenced: History) -> None:
    events = phases(unfenced)
    assert list(events) == ["begin", "active", "healing", "healed"]
    assert {tuple(event.value["targets"]) for event in events.values()} == {(CLIENTS,)}
    assert not any(event.value["changes_roles"] for event in events.values())


def test_its_probe_shows_who_slept_for_longer_than_its_lease(unfenced: History) -> None:
    slept = phases(unfenced)["active"].value["probe"]["slept"]
    assert slept
    assert all(each["slept_ms"] > each["ttl_ms"] == TTL_MS for each in slept)


def test_it_is_healed_once_all_have_acted_again(unfenced: History) -> None:
    probe = phases(unfenced)["healed"].value["probe"]
    assert probe["not_back"] == []
    assert probe["stopped"] >= len(phases(unfenced)["active"].value["probe"]["slept"])


def test_the_history_itself_shows_clients_that_wrote_after_their_lease(unfenced: History) -> None:
    late = [write for read, write in gaps(unfenced) if write.start - (read.end or 0) > TTL_MS * 1_000_000]
    assert late
    assert all(write.start > phases(unfenced)["begin"].time for write in late)


def test_without_a_fencing_check_updates_are_lost(unfenced: History) -> None:
    verdict = verdicts(unfenced)["resource"]
    assert verdict.status is Status.INVALID
    assert {anomaly.kind for anomaly in verdict.all_anomalies()} == {"lost-update", "stale-write"}


def test_with_a_fencing_check_none_is(fenced: History) -> None:
    verdict = verdicts(fenced)["resource"]
    assert verdict.status is Status.VALID
    assert verdict.numbers["refused"] > 0


@pytest.mark.parametrize("which", ["unfenced", "fenced"])
def test_the_lock_itself_is_without_fault(which: str, request: pytest.FixtureRequest) -> None:
    found = verdicts(request.getfixturevalue(which))
    assert (found["lease"].status, found["fencing"].status) == (Status.VALID, Status.VALID)


@pytest.mark.parametrize("which", ["unfenced", "fenced"])
def test_the_trial_meets_the_gates(which: str, request: pytest.FixtureRequest) -> None:
    (trial,) = request.getfixturevalue(which).trials()
    needed = {"stale_writes_tried": 1, "granted_after_expiry": 1}
    assert [str(gate) for gate in (*validity(trial.history), *exposure(trial.history, ["resource"], needed)) if not gate.met] == []
    assert every_count()["stale_writes_tried"](trial.history, Terms()) <= every_count()["granted_after_expiry"](trial.history, Terms())


# Ways out


def test_it_heals_when_the_body_raises(tmp_path: Path) -> None:
    backend = FakeBackend()

    def steady() -> str | None:
        if any(event.f == "client-pause" for event in load(tmp_path / HISTORY).nemesis()):
            raise KeyboardInterrupt
        return None

    backend.system.steady = steady  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run(plan(ttl_ms=60_000), fake_catalogue(backend, ("resource",), **{"client-pause": CLIENT_PAUSE}), tmp_path)
    assert (backend.closed, backend.system.healed) == (True, 1)
    assert load(tmp_path / HISTORY).operations()


def test_a_lease_that_outlasts_the_fault_is_a_pause_that_was_not_proved(tmp_path: Path) -> None:
    pause = replace(CLIENT_PAUSE, proved_within_s=0.3)
    run(plan(ttl_ms=60_000), fake_catalogue(FakeBackend(), ("resource",), **{"client-pause": pause}), tmp_path)
    history = load(tmp_path / HISTORY)
    assert list(phases(history)) == ["begin", "failed", "healing", "healed"]
    assert "faults_proved" in [gate.name for gate in exposure(history, ["resource"]) if not gate.met]


def test_healing_without_injecting_changes_nothing() -> None:
    injection = CLIENT_PAUSE.on(cast(System, Pauses()), CLIENTS)
    injection.heal()
    assert injection.healed().proved
    assert not injection.bites().proved


# Refusals


@pytest.mark.parametrize(
    ("more", "said"),
    [({"workloads": ("lock",)}, "expected workload resource"), ({"faults": "client-pause:replica"}, "meets clients and no node")],
)
def test_a_run_without_a_resource_or_with_a_node_for_a_target_is_refused(tmp_path: Path, more: Any, said: str) -> None:
    workloads = more.get("workloads", ("resource",))
    with pytest.raises(UsageError, match=said):
        run(plan(**more), fake_catalogue(FakeBackend(), workloads, **{"client-pause": CLIENT_PAUSE}), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_system_without_a_primary_can_have_it(tmp_path: Path) -> None:
    class Threads(FakeSystem):
        def primary(self) -> str | None:
            return None

        def roles(self) -> Any:
            return {}

    run(plan(), fake_catalogue(FakeBackend(Threads()), ("resource",), **{"client-pause": CLIENT_PAUSE}), tmp_path)
    (trial,) = load(tmp_path / HISTORY).trials()
    assert [str(gate) for gate in (*validity(trial.history), *exposure(trial.history, ["resource"])) if not gate.met] == []
