"""From the words of `run` to a plan: what they become, and that what cannot be driven is refused before it is."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import registry
from harness.commands.request import CONCURRENCY, RATE, Range, Request, check_options, plan
from harness.driving.generator import Context, Generator, Invocation
from harness.driving.plan import FaultSpec
from harness.driving.workload import Workload
from harness.errors import UsageError
from harness.record.history import Event

WORKLOADS = ("cas", "counter", "dedup", "lock")


def asked(workload: str = "lock", *options: str, **more: Any) -> Request:
    return Request(workload, "memory", 1, options=options, **more)


# What the words become


def test_the_first_variant_is_the_default() -> None:
    assert plan(asked()).variant == "default"


def test_a_repeated_trial_is_planned_so_many_times() -> None:
    assert len(plan(asked(repeat=3)).episodes) == 3


def test_all_faults_are_in_each_trial_with_their_targets() -> None:
    episode = plan(Request("lock", "redis", 1, faults="latency, pause:replica")).episodes[0]
    assert episode.faults == (FaultSpec("latency"), FaultSpec("pause", "replica"))


def test_a_time_limit_is_shared_in_proportion() -> None:
    episode = plan(Request("lock", "redis", 1, faults="isolate-primary", time_limit=19.0)).episodes[0]
    assert (episode.quiet_s, episode.fault_s, episode.after_s) == (3.0, 14.0, 2.0)


def test_a_time_limit_without_a_fault_is_all_quiet() -> None:
    episode = plan(asked(time_limit=5.0)).episodes[0]
    assert (episode.quiet_s, episode.fault_s, episode.after_s) == (5.0, 0.0, 0.0)


def test_an_option_of_the_timeline_wins_over_the_time_limit() -> None:
    assert plan(asked("lock", "quiet_s=7", time_limit=5.0)).episodes[0].quiet_s == 7.0


def test_an_option_goes_to_each_workload_that_has_it_and_to_no_other() -> None:
    assert plan(asked("cas,counter,dedup", "keys=2")).options == {"cas": {"keys": 2}, "counter": {"keys": 2}}


def test_a_workload_named_twice_runs_once() -> None:
    assert plan(asked("cas,cas")).workloads == ("cas",)


@pytest.mark.parametrize("workloads", ["mixed,index", "index,mixed"])
def test_an_option_of_several_workloads_is_held_to_the_bounds_of_each(workloads: str) -> None:
    with pytest.raises(UsageError, match="kept"):
        plan(asked(workloads, "kept=200"))


@pytest.mark.parametrize("faults", ["pause,", ",", "pause,,cut"])
def test_a_comma_without_a_fault_is_refused(faults: str) -> None:
    with pytest.raises(UsageError, match="expected a name before and after each comma"):
        plan(asked(faults=faults))


def test_an_option_with_a_workloads_name_is_that_ones_own() -> None:
    made = plan(asked("expiry,resource", "ttl_ms=400", "expiry.ttl_ms=200", "expiry.weight=3"))
    assert made.options == {"expiry": {"ttl_ms": 200, "weight": 3.0}, "resource": {"ttl_ms": 400}}


def test_variant_mutant_and_deadline_are_options() -> None:
    made = plan(asked("lock", "variant=child", "mutant=stale-cas", "deadline_s=0.3"))
    assert (made.variant, made.mutant, made.deadline_s) == ("child", "stale-cas", 0.3)


# What is refused

REFUSED = {
    "anchors": "option 'anchors', expected NAME=VALUE",
    "=3": "unknown option '', there are: ",
    "anchor=3": "unknown option 'anchor', did you mean 'anchors'?",
    "keys=3": "unknown option 'keys'",
    "anchors=many": "option anchors 'many', expected a whole number from 0 to 1000000",
    "anchors=1.5": "option anchors '1.5', expected a whole number",
    "anchors=-1": "option anchors '-1', expected a whole number from 0",
    "anchors=": "option anchors '', expected a whole number",
    "anchor_ttl_ms=0": "option anchor_ttl_ms '0', expected a whole number from 1 to 86400000",
    "churn_ttl_ms=1": "option churn_ttl_ms '1', expected a whole number from 2",
    "grants=-1": "option grants '-1', expected a whole number from 0",
    "quiet_s=nan": "option quiet_s 'nan', expected seconds from 0 to 3600",
    "fault_s=inf": "option fault_s 'inf', expected seconds from 0 to 3600",
    "after_s=-0.1": "option after_s '-0.1', expected seconds from 0 to 3600",
    "deadline_s=0": "option deadline_s '0', expected seconds above 0 and at most 60",
    "mutant=": "unknown mutant '' of memory, there are: ",
}


@pytest.mark.parametrize(("option", "said"), REFUSED.items(), ids=list(REFUSED))
def test_an_option_that_does_not_fit_is_refused_by_name_value_and_range(option: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        plan(asked("lock", option))
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("workload", "option"), [("dedup", "keys_per_s=0"), ("cas", "keys=0"), ("counter", "keys=0"), ("counter", "delta=0")]
)
def test_nothing_to_draw_from_is_refused(workload: str, option: str) -> None:
    name, value = option.split("=")
    with pytest.raises(UsageError, match=f"option {name} '{value}', expected a whole number from 1"):
        plan(asked(workload, option))


def test_options_that_together_leave_nothing_to_do_are_refused() -> None:
    with pytest.raises(UsageError, match="workload lock has nothing to do with anchors=0, churn=0"):
        plan(asked("lock", "anchors=0", "churn=0"))


def test_an_option_that_stands_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="option anchors stands twice, 1 and '2'"):
        plan(asked("lock", "anchors=1", "anchors=2"))


@given(workload=st.sampled_from(WORKLOADS), text=st.text(max_size=12))
@settings(max_examples=60, deadline=None)
def test_whatever_an_option_says_is_taken_or_refused_and_nothing_else(workload: str, text: str) -> None:
    try:
        plan(asked(workload, text))
    except UsageError:
        pass


@given(workload=st.sampled_from(WORKLOADS), data=st.data())
@settings(max_examples=100, deadline=None)
def test_no_number_that_is_taken_leaves_a_slot_without_operations(workload: str, data: st.DataObject) -> None:
    loaded = registry.load("workloads", workload)
    numbers = st.integers(-2, 4).map(str)
    options = tuple(f"{name}={data.draw(numbers)}" for name in loaded.options)
    try:
        made = plan(asked(workload, *options))
    except UsageError:
        return
    _first_operations(loaded.begin(made.options[workload], loaded.optional))


def _first_operations(generator: Generator) -> None:
    for step in range(20):
        context = Context(
            trial=1,
            slot=step % 4,
            slots=4,
            process=step % 4,
            side="a",
            first_side="a",
            now=step * 10**8,
            phase="fault" if step > 10 else "quiet",
            cut=step > 15,
            final_at=0,
            step=step,
            draw=random.Random(step),
        )
        invocation, generator = generator.next(context)
        assert invocation is not None
        assert invocation.value.get("ttl_ms") is None or invocation.value["ttl_ms"] >= 1


# Ranges


@pytest.mark.parametrize("value", [True, "1", None, float("nan"), float("inf"), 0, 257, 1.0])
def test_only_numbers_of_the_kind_and_within_the_bounds_are_in_a_range(value: Any) -> None:
    with pytest.raises(UsageError, match=r"x .*, expected a whole number from 1 to 256"):
        CONCURRENCY.check("x", value)


def test_the_open_end_of_a_range_is_not_in_it() -> None:
    with pytest.raises(UsageError, match="above 0"):
        RATE.check("rate", 0)
    assert RATE.check("rate", 1e-9) == 1e-9


def test_both_ends_of_a_closed_range_are_in_it() -> None:
    bounds = Range(int, "a whole number", 1, 3)
    assert [bounds.read("x", text) for text in ("1", "3")] == [1, 3]


# Claims files


def loaded(*names: str) -> Mapping[str, Any]:
    return {name: registry.load("workloads", name) for name in names}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rte": 20}, "unknown option 'rte', did you mean 'rate'?"),
        ({"seed": 1}, "unknown option 'seed'"),
        ({"rate": "20"}, "option rate '20', expected operations a second"),
        ({"concurrency": 1.5}, "option concurrency 1.5, expected a whole number"),
        ({"deadline_s": -1}, "option deadline_s -1, expected seconds above 0"),
        ({"dedup": {"keys_per_s": 5}}, "unknown option 'dedup'"),
        ({"lock": 5}, "option lock is 5, expected a table of options"),
        ({"lock": {"anchor": 5}}, "unknown option 'anchor' of lock, did you mean 'anchors'?"),
        ({"lock": {"anchors": -1}}, "option anchors -1, expected a whole number from 0"),
        ({"lock": {"anchors": "2"}}, "option anchors '2', expected a whole number"),
        ({"lock": {"weight": 0}}, "option weight 0, expected a number above 0"),
    ],
)
def test_an_option_of_an_experiment_is_held_to_the_same_bounds(options: Mapping[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as error:
        check_options(loaded("lock"), options)
    assert said in str(error.value)


def test_an_option_within_bounds_is_taken() -> None:
    check_options(loaded("lock", "dedup"), {"rate": 20, "lock": {"anchors": 1, "weight": 2}, "dedup": {"keys_per_s": 5}})


@dataclass(frozen=True, slots=True)
class Part:
    """A slot of a third party's workload, which does the so manieth part of ten."""

    parts: int

    def next(self, context: Context) -> tuple[Invocation | None, Part]:
        return Invocation("get", f"k-{10 // self.parts}", {}), self

    def update(self, context: Context, invocation: Event, completion: Event) -> Part:
        return self


DIVIDES = Workload(
    name="divides",
    sentence="divides ten",
    functions=frozenset({"get"}),
    checks=(),
    options={"parts": 1},
    generator=lambda options, functions: Part(**options),
)


def test_a_third_partys_workload_that_cannot_draw_is_refused_too() -> None:
    with pytest.raises(UsageError, match="workload divides has nothing to do with parts=0"):
        check_options({"divides": DIVIDES}, {"divides": {"parts": 0}})


def test_a_third_partys_option_is_held_to_the_bounds_that_it_states() -> None:
    bounded = replace(DIVIDES, least={"parts": 2}, most={"parts": 5})
    with pytest.raises(UsageError, match="option parts 6, expected a whole number from 2 to 5"):
        check_options({"divides": bounded}, {"divides": {"parts": 6}})
