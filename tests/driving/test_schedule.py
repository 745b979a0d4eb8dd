"""Schedules: faults with times of their own, in which order they are injected and healed, and which are refused side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeBackend, FakeInjection, FakeSystem, fake_catalogue, fault

from harness import registry
from harness.claims import asked
from harness.claims.asked import Settings
from harness.claims.claim import Experiment
from harness.commands import request
from harness.driving import schedule
from harness.driving.nemesis import Fault, Injection
from harness.driving.plan import Episode, FaultSpec, Plan
from harness.driving.run import HISTORY, run
from harness.driving.system import Need, Part, System
from harness.errors import UsageError
from harness.record.format import load
from harness.record.history import Effect, History

EXAMPLE = "latency@1+3,isolate-primary@2+6,restart@9"


def episode(text: str, **timeline: Any) -> Episode:
    specs = schedule.read(text)
    return Episode(specs, **{**timeline, **schedule.timeline(specs)})


def installed(of: Episode) -> Mapping[str, Fault]:
    return {spec.name: registry.load("faults", spec.name) for spec in of.faults}


def refused(text: str) -> str | None:
    found = episode(text)
    return schedule.overlap_refusal(found, installed(found))


# How they are written


def test_a_fault_has_a_start_and_a_length_and_may_have_a_target() -> None:
    assert FaultSpec.parse("pause:replica@2+1.5") == FaultSpec("pause", "replica", 2.0, 1.5)


def test_without_a_length_a_fault_lasts_as_long_as_it_does_by_itself() -> None:
    assert [spec.lasts_s for spec in schedule.read("restart@9,latency@1")] == [0.3, 2.0]


@pytest.mark.parametrize("text", ["cut", "pause:replica", "cut@2+3", "pause:replica@0.5+1.25"])
def test_what_is_written_is_what_is_read(text: str) -> None:
    assert str(FaultSpec.parse(text)) == text


def test_without_times_nothing_is_a_schedule() -> None:
    assert schedule.read("cut,kill:replica") == (FaultSpec("cut"), FaultSpec("kill", "replica"))
    assert schedule.timeline(schedule.read("cut,kill:replica")) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cut@", "time '' of fault 'cut@', expected seconds from 0 to 3600, such as cut@2+3"),
        ("cut@x", "time 'x'"),
        ("cut@1+", "time ''"),
        ("cut@-1", "time '-1'"),
        ("cut@1+-1", "time '-1'"),
        ("cut@nan", "time 'nan'"),
        ("cut@1+inf", "time 'inf'"),
        ("cut@4000", "time '4000'"),
        ("cut@1@2", "time '1@2'"),
        ("cut:nobody@1", "target 'nobody' of fault 'cut:nobody@1', expected primary or replica"),
        ("kut@1+2", "unknown fault 'kut', did you mean 'cut'"),
        ("latency@1+3,cut", "fault cut of 'latency@1+3,cut' has no time, expected one such as cut@2+3, as the others have"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(text: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        schedule.read(text)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_plan_that_gives_only_some_faults_a_time_is_refused() -> None:
    with pytest.raises(UsageError, match="a start and a length"):
        Episode((FaultSpec("cut", at_s=1.0, lasts_s=1.0), FaultSpec("kill")))


# When what is done


def test_the_quiet_time_and_the_length_of_a_trial_follow_from_the_times() -> None:
    found = episode(EXAMPLE, after_s=1.0)
    assert (found.quiet_s, found.fault_s, found.seconds) == (1.0, 8.3, 10.3)


def test_each_fault_is_healed_by_itself() -> None:
    found = [(step.at_s, step.heals, step.numbers) for step in schedule.steps(episode(EXAMPLE))]
    assert found == [
        (0.0, False, (0,)),
        (1.0, False, (1,)),
        (3.0, True, (0,)),
        (7.0, True, (1,)),
        (8.0, False, (2,)),
        (8.3, True, (2,)),
    ]


def test_at_one_instant_what_ends_is_healed_before_what_begins_the_last_one_first() -> None:
    steps = schedule.steps(episode("cut@1+3,pause:replica@2+2,latency@4+1"))
    assert [(step.heals, step.numbers) for step in steps if step.at_s == 3.0] == [(True, (1,)), (True, (0,)), (False, (2,))]


def test_a_fault_of_no_length_is_healed_after_it_was_injected() -> None:
    instant = Episode((FaultSpec("restart", "primary", 1.0, 0.0),), quiet_s=1.0, fault_s=0.0)
    assert [step.heals for step in schedule.steps(instant)] == [False, True]


def test_a_fault_that_lasts_is_not_given_no_time_at_all() -> None:
    with pytest.raises(UsageError, match=r"fault pause@2\+0 lasts 0 s, expected a length such as pause@2\+2"):
        schedule.read("pause@2+0")


def test_a_time_is_written_in_digits_alone() -> None:
    with pytest.raises(UsageError, match="time '1_0' of fault 'pause@1_0'"):
        schedule.read("pause@1_0")


def test_without_times_all_begin_in_order_and_are_healed_together() -> None:
    steps = schedule.steps(Episode(schedule.read("cut,kill:replica"), fault_s=2.0))
    assert [(step.at_s, step.heals, step.numbers) for step in steps] == [(0.0, False, (0,)), (0.0, False, (1,)), (2.0, True, (0, 1))]


# What cannot be proved side by side


@pytest.mark.parametrize(
    "text",
    [
        EXAMPLE,
        "latency@1+1,lost-reply@2+1,cut@3+1",  # one after the other
        "cut@1+3,pause:replica@2+1",  # two nodes
        "latency@1+5,restart@2+0.3",  # proved and healed while the server is up
        "cut@1+4,pause@2+1",
        "client-clock@1+4,cut@2+1",
        "cut,kill",  # the cut is proved first, and all are healed before any proof
    ],
)
def test_faults_that_can_be_proved_side_by_side_are_not_refused(text: str) -> None:
    assert refused(text) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lost-reply@1+3,latency@2+3", "faults lost-reply@1+3 and latency@2+3 both meet the links of the first client side at one time"),
        ("latency,lost-reply", "faults latency and lost-reply both meet the links of the first client side at one time"),
        ("cut@1+3,cut@2+1", "links of the first client side"),
        ("isolate-primary@1+6,hold-back-replication@3+2", "links of other servers"),
        ("pause@1+3,kill@2+1", "server's process"),
        ("client-clock@1+2,client-clock-beyond@2+2", "clients' clocks"),
        ("kill@1+3,cut@2+3", "fault cut@2+3 begins or ends while the server's process is stopped or dead by kill@1+3"),
        ("cut@1+2,kill@2+3", "fault cut@1+2 begins or ends while"),
        ("kill,cut", "fault cut begins or ends while"),
        ("freeze@1+7,cut:replica@3+1", "fault cut:replica@3+1 begins or ends while"),  # who was primary may be a replica by then
    ],
)
def test_faults_that_cannot_be_proved_side_by_side_are_refused_in_one_line(text: str, said: str) -> None:
    found = refused(text)
    assert found is not None
    assert said in found
    assert "\n" not in found


def test_a_fault_that_says_nothing_of_what_it_meets_has_all_to_itself() -> None:
    assert Fault("odd", "of a test", lambda system, target: FakeInjection()).parts == frozenset(Part)


def test_a_fault_meets_what_it_needs_and_what_follows_it_meets() -> None:
    def on(system: System, target: str) -> Injection:
        return FakeInjection()

    follower = Fault("later", "of a test", on, needs=frozenset({Need.PROCESS}))
    assert Fault("first", "of a test", on, needs=frozenset({Need.CLIENT_CLOCKS}), follow=((0.1, follower),)).parts == {
        Part.CLIENT_CLOCKS,
        Part.PROCESS,
    }


def test_a_run_refuses_before_anything_is_started(tmp_path: Path) -> None:
    backend = FakeBackend()
    both = fake_catalogue(backend, a=fault(FakeInjection(), "a"), b=fault(FakeInjection(), "b"))
    plan = Plan("fake", "default", ("lock",), (Episode((FaultSpec("a"), FaultSpec("b"))),), seed=1)
    with pytest.raises(UsageError, match="a and b both meet the links of the first client side at one time"):
        run(plan, both, tmp_path)
    assert list(tmp_path.iterdir()) == []


# What the user asks for


def plan(faults: str, **more: Any) -> Plan:
    return request.plan(request.Request("lock", "redis-sentinel", 1, faults, **more))


def test_a_schedule_says_itself_when_a_trial_is_quiet_and_how_long_its_faults_last() -> None:
    (found,) = plan(EXAMPLE).episodes
    assert (found.quiet_s, found.fault_s, found.after_s) == (1.0, 8.3, 1.0)


def test_a_time_limit_gives_what_is_left_after_a_schedule() -> None:
    (found,) = plan(EXAMPLE, time_limit=12).episodes
    assert (found.quiet_s, found.fault_s, found.after_s) == (1.0, 8.3, 2.7)


def test_a_time_limit_before_the_last_healing_is_refused() -> None:
    with pytest.raises(UsageError, match=r"time limit 9, but the last fault is healed at 9.3 s; expected at least that"):
        plan(EXAMPLE, time_limit=9)


@pytest.mark.parametrize("option", ["quiet_s=1", "fault_s=1"])
def test_an_option_that_a_schedule_says_itself_is_refused(option: str) -> None:
    with pytest.raises(UsageError, match=f"option {option}, but each fault has a time of its own"):
        plan(EXAMPLE, options=(option,))


def test_the_command_that_repeats_a_run_has_its_schedule() -> None:
    told = asked.repeat(plan(EXAMPLE))
    assert "--fault latency@1+3,isolate-primary@2+6,restart@9+0.3" in told
    assert "quiet_s" not in told


def experiment(*faults: str, **timeline: float) -> Experiment:
    return Experiment(
        name="e", deployment="redis", variant="default", workloads=("lock",), faults=faults, timeline=timeline, trials={"quick": 3}
    )


def test_a_claims_file_has_schedules_that_take_turns_with_other_faults() -> None:
    of = experiment("latency@1+3,restart@5+1", "cut", quiet_s=2.0, fault_s=2.5)
    found = asked.plan_of(of, Settings("quick", 1, Path("x"))).episodes
    assert [(each.quiet_s, each.fault_s, len(each.faults)) for each in found] == [(1.0, 5.0, 2), (2.0, 2.5, 1), (1.0, 5.0, 2)]


# In a run


class Told:
    """An injection that notes when it is healed."""

    def __init__(self, log: list[str], name: str) -> None:
        self.log, self.name = log, name
        self.injection = FakeInjection(act=lambda: log.append(f"inject {name}"))

    def __call__(self, system: System, target: str) -> Injection:
        injection, log, name = self.injection, self.log, self.name

        class Heard(FakeInjection):
            def inject(self) -> None:
                injection.inject()

            def heal(self) -> None:
                log.append(f"heal {name}")

        return Heard()


def carried_out(path: Path, text: str, **changes: bool) -> tuple[History, list[str]]:
    log: list[str] = []
    specs = tuple(FaultSpec.parse(each) for each in text.split(","))
    parts = [frozenset({part}) for part in Part]
    faults = {
        spec.name: Fault(spec.name, "of a test", Told(log, spec.name), changes.get(spec.name, False), meets=part)
        for spec, part in zip(specs, parts, strict=False)
    }
    of = Episode(specs, **schedule.timeline(specs), after_s=0.1)
    run(Plan("fake", "default", ("lock",), (of,), seed=1, rate=200.0), fake_catalogue(FakeBackend(FakeSystem()), **faults), path)
    return load(path / HISTORY), log


def test_each_fault_begins_is_proved_and_is_healed_on_its_own(tmp_path: Path) -> None:
    history, log = carried_out(tmp_path, "one@0.1+0.4,two@0.2+0.1,three@0.6+0.1")
    assert log == ["inject one", "inject two", "heal two", "heal one", "inject three", "heal three"]
    assert [list(fault.moments) for fault in history.faults] == [["begin", "active", "healing", "healed"]] * 3
    assert [[fault.name for fault in strike] for strike in history.strikes] == [["one"], ["two"], ["three"]]


def test_a_fault_begins_no_earlier_than_it_was_asked_to(tmp_path: Path) -> None:
    history, _ = carried_out(tmp_path, "one@0.1+0.1,two@0.5+0.1")
    steady = history.mark("steady")
    assert steady is not None
    after = [(fault.begin.time - steady.moment.time) / 1e9 for fault in history.faults if fault.begin is not None]
    assert after[0] >= 0.1
    assert after[1] >= 0.5


def test_faults_without_times_are_one_strike(tmp_path: Path) -> None:
    names = [Part.FIRST_LINKS, Part.PROCESS]
    faults = {part.name: Fault(part.name, "of a test", Told([], part.name), meets=frozenset({part})) for part in names}
    of = Episode(tuple(FaultSpec(name) for name in faults), quiet_s=0.1, fault_s=0.2, after_s=0.1)
    run(Plan("fake", "default", ("lock",), (of,), seed=1, rate=200.0), fake_catalogue(FakeBackend(), **faults), tmp_path)
    assert [[fault.name for fault in strike] for strike in load(tmp_path / HISTORY).strikes] == [list(faults)]


def test_a_fault_that_delays_says_by_how_much() -> None:
    delaying = Fault("slow", "of a test", lambda system, target: FakeInjection(), effects=frozenset({Effect.DELAYS_ANSWERS}))
    assert delaying.flaw == "delay_ms is 0, expected milliseconds above 0 with Effect.DELAYS_ANSWERS, and 0 without"
