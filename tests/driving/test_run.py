"""The runner against a fake deployment: what it records, what it refuses, and that every way out heals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeBackend, FakeInjection, FakeSystem, fake_catalogue, fault

from harness.driving.client import Client, Indeterminate, NotApplied
from harness.driving.plan import Episode, FaultSpec, Plan
from harness.driving.run import HISTORY, run
from harness.driving.system import Need
from harness.errors import Infrastructure, UsageError
from harness.record.format import load
from harness.record.history import BROKEN, NEMESIS, SPLIT_BRAIN, Event

SHORT = Episode(quiet_s=0.2, after_s=0.1)
LONGER = Episode(quiet_s=1.0, after_s=0.1)
CUT = Episode((FaultSpec("cut"),), quiet_s=0.1, fault_s=0.2, after_s=0.1)


def plan(*episodes: Episode, workloads: tuple[str, ...] = ("lock",), **more: Any) -> Plan:
    return Plan("fake", "default", workloads, episodes or (SHORT,), seed=1, rate=200.0, **more)


def nemesis(path: Path, f: str) -> list[Any]:
    return [event.value for event in load(path / HISTORY).nemesis() if event.f == f]


def phases(path: Path, f: str) -> list[str]:
    return [value["phase"] for value in nemesis(path, f)]


def test_a_run_records_a_complete_valid_history_of_all_workloads(tmp_path: Path) -> None:
    names = ("lock", "dedup", "cas", "counter")
    run(plan(workloads=names), fake_catalogue(FakeBackend(), names), tmp_path)
    history = load(tmp_path / HISTORY)
    assert history.complete
    used = {operation.f for operation in history.operations()}
    assert {"try_acquire", "check_and_set", "compare_and_swap", "increment"} <= used


def test_a_slot_whose_next_operation_lies_far_behind_the_end_does_not_hold_it_up(tmp_path: Path) -> None:
    sparse = replace(plan(LONGER), concurrency=50, rate=0.05)  # of 50 slots, nearly all would begin in 20 s or later
    ran = run(sparse, fake_catalogue(FakeBackend()), tmp_path)
    assert ran.trials == 1
    assert load(tmp_path / HISTORY).complete


def test_every_dedup_key_that_was_tried_is_read_back_at_the_end(tmp_path: Path) -> None:
    run(plan(workloads=("dedup",)), fake_catalogue(FakeBackend(), ("dedup",)), tmp_path)
    operations = load(tmp_path / HISTORY).operations()
    tried = {operation.key for operation in operations if operation.f == "check_and_set"}
    assert tried <= {operation.key for operation in operations if operation.f == "get"}


def test_the_same_seed_draws_the_same_first_operation_of_each_slot(tmp_path: Path) -> None:
    firsts = []
    for n in range(2):
        directory = tmp_path / str(n)
        directory.mkdir()
        run(plan(), fake_catalogue(FakeBackend()), directory)
        found: dict[int, Any] = {}
        for operation in load(directory / HISTORY).operations():
            found.setdefault(operation.process, (operation.f, operation.key, operation.argument))
        firsts.append(found)
    assert firsts[0] == firsts[1]


def test_a_trial_goes_from_begin_over_steady_and_the_four_events_of_its_fault_to_settled(tmp_path: Path) -> None:
    run(plan(CUT), fake_catalogue(FakeBackend(), cut=fault(FakeInjection())), tmp_path)
    events = [event for event in load(tmp_path / HISTORY).nemesis() if event.f in ("trial", "cut")]
    assert [event.value["phase"] for event in events] == ["begin", "steady", "begin", "active", "healing", "healed", "settled"]


def test_no_client_operation_comes_before_the_steady_state(tmp_path: Path) -> None:
    run(plan(), fake_catalogue(FakeBackend()), tmp_path)
    events = load(tmp_path / HISTORY).events
    first = next(event.index for event in events if event.process != NEMESIS)
    assert first > next(event.index for event in events if event.f == "trial" and event.value["phase"] == "steady")


def test_a_fault_that_is_not_proved_is_recorded_as_failed_and_never_active(tmp_path: Path) -> None:
    unproved = replace(fault(FakeInjection(proves=False)), proved_within_s=0.1)
    run(plan(CUT), fake_catalogue(FakeBackend(), cut=unproved), tmp_path)
    assert phases(tmp_path, "cut") == ["begin", "failed", "healing", "healed"]


def test_a_fault_that_does_not_heal_is_infrastructure_and_everything_is_healed(tmp_path: Path) -> None:
    backend = FakeBackend()
    staying = replace(fault(FakeInjection(heals=False)), healed_within_s=0.1)
    with pytest.raises(Infrastructure, match="did not heal"):
        run(plan(CUT), fake_catalogue(backend, cut=staying), tmp_path)
    assert backend.system.healed == 1
    assert backend.closed
    assert not load(tmp_path / HISTORY).complete


def test_an_exception_in_the_middle_heals_and_leaves_a_history_that_loads(tmp_path: Path) -> None:
    def explode() -> None:
        raise KeyboardInterrupt

    backend = FakeBackend()
    with pytest.raises(KeyboardInterrupt):
        run(plan(CUT), fake_catalogue(backend, cut=fault(FakeInjection(act=explode))), tmp_path)
    assert backend.system.healed == 1
    assert load(tmp_path / HISTORY).operations()


def test_a_role_change_that_nobody_planned_before_the_fault_makes_the_trial_void_and_repeats_it(tmp_path: Path) -> None:
    backend = FakeBackend()
    reads = 0

    def roles() -> Any:
        nonlocal reads
        reads += 1
        if reads == 2:  # the first look is the one at the steady state
            backend.system.promote()
        return dict(backend.system.role)

    backend.system.roles = roles  # type: ignore[method-assign]
    ran = run(plan(Episode(quiet_s=0.5, after_s=0)), fake_catalogue(backend), tmp_path)
    assert (ran.trials, len(ran.voids)) == (2, 1)
    first, second = load(tmp_path / HISTORY).trials()
    assert first.void is not None
    assert "became" in first.void
    assert second.void is None


def test_more_voids_than_trials_are_infrastructure(tmp_path: Path) -> None:
    class Restless(FakeSystem):
        def roles(self) -> Any:
            self.promote("node-1" if self.role["node-2"].role == "primary" else "node-2")
            return dict(self.role)

    with pytest.raises(Infrastructure, match="void"):
        run(plan(Episode(quiet_s=0.4, after_s=0)), fake_catalogue(FakeBackend(Restless())), tmp_path)


class Stumbling:
    """A client whose every fourth operation ends badly."""

    def __init__(self, client: Client, error: Exception) -> None:
        self.client, self.error, self.calls = client, error, 0

    def invoke(self, f: str, key: str, argument: Any) -> Any:
        self.calls += 1
        if self.calls % 4 == 0:
            raise self.error
        return self.client.invoke(f, key, argument)

    def close(self) -> None:
        self.client.close()


def stumbling(error: Exception) -> FakeBackend:
    backend = FakeBackend()
    backend.system.client_of = lambda client: Stumbling(client, error)
    return backend


def client_events(path: Path) -> list[Event]:
    return [event for event in load(path / HISTORY).events if event.process != NEMESIS]


def test_after_an_info_the_slot_goes_on_as_a_process_that_is_higher_by_the_concurrency(tmp_path: Path) -> None:
    run(plan(LONGER, concurrency=2), fake_catalogue(stumbling(Indeterminate("lost"))), tmp_path)
    processes = {event.process for event in client_events(tmp_path)}
    assert {0, 1, 2, 3} <= processes


def test_a_fail_keeps_the_process(tmp_path: Path) -> None:
    run(plan(LONGER, concurrency=2), fake_catalogue(stumbling(NotApplied("refused"))), tmp_path)
    assert {event.process for event in client_events(tmp_path)} == {0, 1}


def test_an_exception_of_ours_in_a_client_is_recorded_as_broken_info(tmp_path: Path) -> None:
    run(plan(LONGER), fake_catalogue(stumbling(TypeError("oops"))), tmp_path)
    errors = [event for event in client_events(tmp_path) if event.error]
    assert errors
    assert all(event.type == "info" and event.error is not None and event.error.startswith(BROKEN) for event in errors)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"variant": "fast"}, "unknown variant 'fast'"),
        ({"mutant": "nice"}, "unknown mutant 'nice'"),
        ({"episodes": (Episode((FaultSpec("latency"),)),)}, "cannot have latency"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused_before_anything_is_started(tmp_path: Path, bad: dict[str, Any], said: str) -> None:
    given = {"backend": "fake", "variant": "default", "workloads": ("lock",), "episodes": (SHORT,), "seed": 1, **bad}
    needy = replace(fault(FakeInjection(), "latency"), needs=frozenset({Need.LINKS}))
    with pytest.raises(UsageError, match=said):
        run(Plan(**given), fake_catalogue(FakeBackend(), latency=needy), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", [{"quiet_s": -1}, {"fault_s": "2"}, {"after_s": True}, {"quiet_s": float("nan")}])
def test_an_episode_refuses_times_that_are_none(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(bad))):
        Episode(**bad)


@pytest.mark.parametrize(
    "bad", [{"concurrency": 0}, {"rate": 0.0}, {"rate": -1.0}, {"deadline_s": 0.0}, {"workloads": ()}, {"episodes": ()}]
)
def test_a_plan_refuses_numbers_outside_their_range(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Plan(**{"backend": "fake", "variant": "default", "workloads": ("lock",), "episodes": (SHORT,), "seed": 1, **bad})


# Records that locks protect, and waits


def test_the_record_that_a_lock_protects_is_answered_by_the_harness_and_read_at_the_end(tmp_path: Path) -> None:
    run(plan(LONGER, workloads=("resource",)), fake_catalogue(FakeBackend(), ("resource",)), tmp_path)
    operations = load(tmp_path / HISTORY).operations()
    accesses = [each for each in operations if each.f.startswith("resource_")]
    assert {each.f for each in accesses} == {"resource_read", "resource_write"}
    assert {each.node for each in accesses} == {"resource"}
    assert {each.key for each in accesses[-2:]} == {"t1-record-0", "t1-record-1"}


def test_lag_is_measured_where_waits_are_driven_and_nowhere_else(tmp_path: Path) -> None:
    for name in ("acquire", "lock"):
        (tmp_path / name).mkdir()
        run(plan(workloads=(name,)), fake_catalogue(FakeBackend(), (name,)), tmp_path / name)
    assert nemesis(tmp_path / "acquire", "lag")[0] == {"late_ms": 0.0}
    assert nemesis(tmp_path / "lock", "lag") == []


def test_a_run_records_the_effects_of_its_faults_and_of_those_that_follow(tmp_path: Path) -> None:
    follower = fault(FakeInjection(), "after")
    cut = replace(fault(FakeInjection()), effects=SPLIT_BRAIN, follow=((0.0, follower),))
    run(plan(CUT), fake_catalogue(FakeBackend(), cut=cut), tmp_path)
    history = load(tmp_path / HISTORY)
    assert history.header is not None
    assert history.header.effects == {"cut": tuple(sorted(SPLIT_BRAIN)), "after": ()}
    assert [each.splits_brain for each in history.faults] == [True, False]
