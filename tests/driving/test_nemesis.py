"""The nemesis and the watcher against a fake deployment: what they record, in which order, and what they leave behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeInjection, FakeSystem, fault

from harness.driving.nemesis import Fault, Nemesis, Probe, Watcher, Words, target_of
from harness.driving.plan import FaultSpec
from harness.driving.system import Role
from harness.errors import Infrastructure
from harness.record.history import NEMESIS, Event, Header
from harness.record.journal import Journal

DEADLINE_S = 20.0


class Recorded:
    """A journal whose events the test reads."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.events: list[Event] = []
        journal.listen(self.events.append)

    def phases(self) -> list[tuple[str, str]]:
        return [(event.f, event.value["phase"]) for event in self.events if isinstance(event.value, dict) and "phase" in event.value]

    def values(self, f: str) -> list[Any]:
        return [event.value for event in self.events if event.f == f]


WATCH_S = 0.002


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Recorded]:
    with Journal(tmp_path / "h.jsonl", Header()) as journal:
        yield Recorded(journal)


@pytest.fixture
def system() -> FakeSystem:
    return FakeSystem()


@pytest.fixture
def nemesis(system: FakeSystem, recorded: Recorded) -> Nemesis:
    return Nemesis(system, recorded.journal)


@pytest.fixture
def watcher(system: FakeSystem, recorded: Recorded) -> Iterator[Watcher]:
    made = Watcher(system, recorded.journal, WATCH_S)
    yield made
    made.stop()


@dataclass(slots=True)
class Ordered:
    """An injection that writes what is done to it into a list shared by several."""

    name: str
    log: list[str] = field(default_factory=list)

    @property
    def targets(self) -> tuple[str, ...]:
        return ("node-1",)

    def inject(self) -> None:
        self.log.append(f"inject {self.name}")

    def bites(self) -> Probe:
        return Probe(True, {})

    def heal(self) -> None:
        self.log.append(f"heal {self.name}")

    def healed(self) -> Probe:
        return Probe(True, {})


def ordered(name: str, log: list[str], **more: Any) -> Fault:
    injection = Ordered(name, log)
    return Fault(name, "a fault of a test", lambda system, target: injection, **more)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "not seen before the deadline"
        time.sleep(0.005)


# The nemesis


def test_a_fault_is_four_events_with_one_id_its_targets_and_its_probe(nemesis: Nemesis, recorded: Recorded) -> None:
    assert nemesis.inject(fault(FakeInjection(), changes_roles=True), "node-1")
    nemesis.heal()
    values = recorded.values("cut")
    assert [value["phase"] for value in values] == ["begin", "active", "healing", "healed"]
    assert {(value["id"], tuple(value["targets"]), value["changes_roles"]) for value in values} == {(1, ("node-1",), True)}
    assert [value.get("probe") for value in values] == [None, {"seen": True}, None, {"seen": True}]
    assert {event.process for event in recorded.events} == {NEMESIS}


def test_a_probe_is_looked_at_until_it_proves(nemesis: Nemesis, recorded: Recorded) -> None:
    @dataclass
    class Slow(FakeInjection):
        looks: int = 0

        def bites(self) -> Probe:
            self.looks += 1
            return Probe(self.looks == 3, {"look": self.looks})

    assert nemesis.inject(fault(Slow()), "node-1")
    assert recorded.values("cut")[-1]["probe"] == {"look": 3}


def test_begin_is_recorded_before_anything_is_done(nemesis: Nemesis, recorded: Recorded) -> None:
    seen: list[list[tuple[str, str]]] = []
    nemesis.inject(fault(FakeInjection(act=lambda: seen.append(recorded.phases()))), "node-1")
    assert seen == [[("cut", "begin")]]


def test_two_faults_that_overlap_have_ids_of_their_own_and_heal_the_last_first(nemesis: Nemesis, recorded: Recorded) -> None:
    log: list[str] = []
    nemesis.inject(ordered("first", log), "node-1")
    nemesis.inject(ordered("second", log), "node-1")
    nemesis.heal()
    assert log == ["inject first", "inject second", "heal second", "heal first"]
    assert [value["id"] for value in (*recorded.values("first"), *recorded.values("second"))] == [1] * 4 + [2] * 4


def test_healing_twice_heals_once(nemesis: Nemesis, recorded: Recorded) -> None:
    nemesis.inject(fault(FakeInjection()), "node-1")
    nemesis.heal()
    before = list(recorded.events)
    nemesis.heal()
    assert recorded.events == before


def test_healing_without_a_fault_does_nothing(nemesis: Nemesis, recorded: Recorded) -> None:
    nemesis.heal()
    assert recorded.events == []


def test_what_follows_a_fault_comes_once_it_is_active_and_not_before_its_delay(nemesis: Nemesis, recorded: Recorded) -> None:
    log: list[str] = []
    first = ordered("first", log, follow=((0.1, ordered("second", log)),))
    assert nemesis.inject(first, "node-1")
    nemesis.heal()
    assert recorded.phases()[:4] == [("first", "begin"), ("first", "active"), ("second", "begin"), ("second", "active")]
    active, begin = recorded.events[1:3]
    assert begin.time - active.time >= 99_000_000
    assert log[2:] == ["heal second", "heal first"]


def test_what_follows_meets_the_same_target(nemesis: Nemesis) -> None:
    targets: list[str] = []

    def on(_: Any, target: str) -> FakeInjection:
        targets.append(target)
        return FakeInjection()

    second = Fault("second", "", on)
    nemesis.inject(Fault("first", "", on, follow=((0.0, second),)), "node-2")
    assert targets == ["node-2", "node-2"]


def test_a_fault_that_was_not_proved_is_not_followed_but_healed(nemesis: Nemesis, recorded: Recorded) -> None:
    follower = ordered("second", [])
    first = replace(fault(FakeInjection(proves=False), "first"), follow=((0.0, follower),), proved_within_s=0.05)
    assert not nemesis.inject(first, "node-1")
    nemesis.heal()
    assert recorded.phases() == [("first", "begin"), ("first", "failed"), ("first", "healing"), ("first", "healed")]


def test_a_failed_event_says_why_and_what_was_seen(nemesis: Nemesis, recorded: Recorded) -> None:
    nemesis.inject(replace(fault(FakeInjection(proves=False)), proved_within_s=0.05), "node-1")
    failed = recorded.values("cut")[-1]
    assert (failed["probe"], failed["reason"]) == ({"seen": False}, "not proved active within 0.05 s")


def test_a_fault_that_stays_is_infrastructure_and_is_still_undone_by_abandon(
    nemesis: Nemesis, system: FakeSystem, recorded: Recorded
) -> None:
    nemesis.inject(replace(fault(FakeInjection(heals=False)), healed_within_s=0.05), "node-1")
    with pytest.raises(Infrastructure, match="fault cut on node-1 did not heal"):
        nemesis.heal()
    nemesis.abandon()
    assert system.healed == 1
    assert ("cut", "healed") not in recorded.phases()


def test_abandon_says_that_every_fault_is_healing_the_last_first_and_never_that_one_is_healed(
    nemesis: Nemesis, system: FakeSystem, recorded: Recorded
) -> None:
    nemesis.inject(ordered("first", []), "node-1")
    nemesis.inject(ordered("second", []), "node-1")
    nemesis.abandon()
    assert recorded.phases()[4:] == [("second", "healing"), ("first", "healing")]
    assert system.healed == 1


def test_a_fault_that_raises_while_it_is_injected_is_undone_by_abandon(nemesis: Nemesis, system: FakeSystem, recorded: Recorded) -> None:
    def explode() -> None:
        raise OSError("half done")

    with pytest.raises(OSError, match="half done"):
        nemesis.inject(fault(FakeInjection(act=explode)), "node-1")
    nemesis.abandon()
    assert recorded.phases() == [("cut", "begin"), ("cut", "healing")]
    assert system.healed == 1


# Whom a fault meets


def test_a_fault_meets_the_primary_of_that_moment(system: FakeSystem) -> None:
    assert target_of(system, FaultSpec("pause")) == "node-1"


def test_a_fault_on_a_replica_meets_the_first_node_that_is_not_primary() -> None:
    class Three(FakeSystem):
        def primary(self) -> str | None:
            return "b"

    three = Three()
    three.nodes = dict.fromkeys(("c", "b", "a"))  # type: ignore[assignment]
    assert target_of(three, FaultSpec("pause", "replica")) == "a"


def test_a_fault_without_anybody_to_meet_is_infrastructure(system: FakeSystem) -> None:
    with pytest.raises(Infrastructure, match="no replica"):
        target_of(system, FaultSpec("pause", "replica"))


def test_a_fault_while_there_is_no_primary_is_infrastructure() -> None:
    class Headless(FakeSystem):
        def primary(self) -> str | None:
            return None

    with pytest.raises(Infrastructure, match="no primary"):
        target_of(Headless(), FaultSpec("pause"))


# The watcher


def seen_roles(recorded: Recorded) -> list[tuple[str, str]]:
    return [(value["node"], value["role"]) for value in recorded.values("role")]


def test_a_mark_records_every_node_once(watcher: Watcher, recorded: Recorded) -> None:
    watcher.mark()
    assert seen_roles(recorded) == [("node-1", "primary"), ("node-2", "replica")]
    assert recorded.values("role")[0] == {"node": "node-1", "role": "primary", "epoch": 1, "run_id": "a"}


def test_a_mark_records_every_node_again_although_nothing_changed(watcher: Watcher, recorded: Recorded) -> None:
    watcher.mark()
    watcher.mark()
    assert len(seen_roles(recorded)) == 4


def test_a_look_records_only_what_changed(watcher: Watcher, system: FakeSystem, recorded: Recorded) -> None:
    watcher.mark()
    watcher.look()
    system.role["node-2"] = Role("dead")
    watcher.look()
    watcher.look()
    assert seen_roles(recorded)[2:] == [("node-2", "dead")]


@pytest.mark.parametrize(
    "changed", [Role("replica", 1, "a"), Role("primary", 2, "a"), Role("primary", 1, "z")], ids=["role", "epoch", "run id"]
)
def test_a_change_that_no_fault_explains_is_unplanned(watcher: Watcher, system: FakeSystem, recorded: Recorded, changed: Role) -> None:
    watcher.mark()
    system.role["node-1"] = changed
    watcher.look()
    assert watcher.unplanned is not None
    assert watcher.unplanned.startswith("node-1 became")
    assert len(recorded.values("role")) == 3


def test_a_change_under_a_fault_that_is_meant_to_change_roles_is_planned(watcher: Watcher, system: FakeSystem, recorded: Recorded) -> None:
    watcher.mark()
    watcher.planned = True
    system.promote()
    watcher.look()
    assert watcher.unplanned is None
    assert seen_roles(recorded)[2:] == [("node-1", "replica"), ("node-2", "primary")]


def test_what_changed_while_planned_is_not_unplanned_afterwards(watcher: Watcher, system: FakeSystem) -> None:
    watcher.mark()
    watcher.planned = True
    system.promote()
    watcher.look()
    watcher.planned = False
    watcher.look()
    assert watcher.unplanned is None


def test_the_next_trial_begins_with_nothing_unplanned(watcher: Watcher, system: FakeSystem) -> None:
    watcher.mark()
    system.promote()
    watcher.look()
    watcher.mark()
    assert (watcher.unplanned, watcher.planned) == (None, False)


def test_a_node_that_answers_late_and_is_then_as_before_has_not_changed(watcher: Watcher, system: FakeSystem, recorded: Recorded) -> None:
    before = system.role["node-1"]
    watcher.mark()
    for role in (Role("silent"), before, replace(before, epoch=None), before):
        system.role["node-1"] = role
        watcher.look()
    assert watcher.unplanned is None
    assert len(seen_roles(recorded)) == 6  # each is recorded all the same


def test_a_change_behind_a_late_answer_is_unplanned(watcher: Watcher, system: FakeSystem) -> None:
    watcher.mark()
    for role in (Role("silent"), Role("primary", epoch=1, run_id="another")):
        system.role["node-1"] = role
        watcher.look()
    assert watcher.unplanned is not None


def test_a_dead_node_that_comes_back_with_another_run_id_is_unplanned(watcher: Watcher, system: FakeSystem) -> None:
    watcher.mark()
    system.role["node-1"] = Role("dead")
    watcher.look()
    watcher.unplanned = None
    system.role["node-1"] = Role("primary", epoch=1, run_id="another")
    watcher.look()
    assert watcher.unplanned is not None


def test_the_clock_is_sampled_at_the_start_and_goes_on(watcher: Watcher, recorded: Recorded) -> None:
    watcher.start()
    assert len(recorded.values("clock")) == 1
    wait_until(lambda: len(recorded.values("clock")) > 2)


def test_a_watcher_that_dies_keeps_its_failure_for_the_run(watcher: Watcher, system: FakeSystem) -> None:
    def explode() -> dict[str, Role]:
        raise RuntimeError("planted")

    system.roles = explode  # type: ignore[method-assign]
    watcher.start()
    wait_until(lambda: watcher.failure is not None)
    assert isinstance(watcher.failure, RuntimeError)


def test_stop_is_idempotent_and_fine_without_a_start(watcher: Watcher) -> None:
    watcher.stop()
    watcher.stop()


# The observer


class Watched(FakeSystem):
    """Two data nodes whose owners the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes = dict.fromkeys(("node-1", "node-2"))  # type: ignore[assignment]
        self.owners: dict[tuple[str, str], str | None] = {}

    def lock_owner(self, node: str, name: str) -> str | None:
        return self.owners.get((node, name))


def grant(recorded: Recorded, key: str, owner: str, *, granted: bool = True) -> None:
    recorded.journal.append(0, "invoke", "try_acquire", key, {"owner": owner, "ttl_ms": 1000})
    recorded.journal.append(0, "ok", "try_acquire", key, {"granted": granted, "fencing_token": 1})


@pytest.fixture
def watched(recorded: Recorded) -> Iterator[tuple[Watched, Watcher]]:
    system = Watched()
    watcher = Watcher(system, recorded.journal, WATCH_S)
    watcher.start()
    yield system, watcher
    watcher.stop()


def passes(recorded: Recorded) -> Callable[[], bool]:
    """Say whether the watcher has gone round since: it samples the clock every tenth time."""
    before = len(recorded.values("clock"))
    return lambda: len(recorded.values("clock")) >= before + 2


def test_the_observer_records_the_owners_at_every_node_and_again_when_they_change(
    watched: tuple[Watched, Watcher], recorded: Recorded
) -> None:
    system, watcher = watched
    system.owners = {("node-1", "k"): "0-1", ("node-2", "k"): "0-1"}
    watcher.planned = True
    grant(recorded, "k", "0-1")
    wait_until(lambda: len(recorded.values("observer")) == 1)
    wait_until(passes(recorded))
    system.owners["node-2", "k"] = "5-2"
    wait_until(lambda: len(recorded.values("observer")) == 2)
    assert recorded.values("observer") == [
        {"key": "k", "owners": {"node-1": "0-1", "node-2": "0-1"}},
        {"key": "k", "owners": {"node-1": "0-1", "node-2": "5-2"}},
    ]


def test_the_observer_is_idle_while_no_role_change_is_planned(watched: tuple[Watched, Watcher], recorded: Recorded) -> None:
    grant(recorded, "k", "0-1")
    wait_until(passes(recorded))
    assert recorded.values("observer") == []


def test_the_observer_reads_no_lock_that_was_refused(watched: tuple[Watched, Watcher], recorded: Recorded) -> None:
    watched[1].planned = True
    grant(recorded, "k", "0-1", granted=False)
    wait_until(passes(recorded))
    assert recorded.values("observer") == []


def test_the_observer_reads_the_locks_granted_last(watched: tuple[Watched, Watcher], recorded: Recorded) -> None:
    for n in range(10):
        grant(recorded, f"k-{n}", "0-1")
    grant(recorded, "k-0", "0-2")
    watched[1].planned = True
    wait_until(passes(recorded))
    assert {value["key"] for value in recorded.values("observer")} == {"k-0", "k-9", "k-8", "k-7", "k-6", "k-5"}


# How a fault is told


@pytest.mark.parametrize("template", ["does", "healed", "since"])
def test_words_with_a_place_that_no_report_fills_are_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"\{victim\} in the words of a fault, expected \{group\}"):
        Words(**{template: "{victim} is hit"})
