"""The check of the example package timers: good and bad histories, and that what a real index answers is never condemned."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from timers.check import PUNCTUAL, punctual
from timers.workload import LIST, SET, TAKE, TimersGenerator

from harness.driving.generator import Context
from harness.judging.check import Terms
from harness.judging.verdict import Status, Verdict
from harness.record.event import Event
from harness.record.history import History, MalformedHistory

ASKED = {SET: lambda name, at: {"key": name, "time_ms": at}, TAKE: lambda name, at: {"key": name}, LIST: lambda name, at: {"now_ms": at}}


def history(*steps: tuple[Any, ...]) -> History:
    """Give a history of steps: (process, f, name or None, time) asks; (process, "ok" or "info" or "fail", names listed) ends it."""
    events: list[Event] = []
    asked: dict[int, str] = {}
    for index, (process, what, *more) in enumerate(steps):
        if what in ASKED:
            asked[process] = what
            said: dict[str, Any] = {"type": "invoke", "value": ASKED[what](*more)}
        else:
            said = {"type": what, "value": {"keys": more[0]} if more else {} if what == "ok" else None}
        events.append(Event(index=index, time=index * 1000, process=process, f=asked[process], key="t1-timers", **said))
    return History(tuple(events), complete=True)


def kinds(verdict: Verdict) -> list[str]:
    return [anomaly.kind for anomaly in verdict.all_anomalies()]


def whole(process: int, f: str, name: str | None, at: int, *names: list[str]) -> list[tuple[Any, ...]]:
    """Give an operation that is answered before another begins."""
    return [(process, f, name, at), (process, "ok", *names)]


SET_A = whole(0, SET, "a", 5)
TAKE_A = whole(0, TAKE, "a", 0)


def test_a_timer_that_is_listed_while_it_is_due_and_taken_away_is_valid() -> None:
    verdict = punctual(
        history(*SET_A, *whole(1, LIST, None, 5, ["a"]), *whole(1, LIST, None, 4, []), *TAKE_A, *whole(1, LIST, None, 5, []))
    )
    assert (verdict.status, verdict.numbers) == (Status.VALID, {"timers": 1, "lists": 3})


def test_an_acknowledged_timer_that_is_missing_is_lost_and_told_once() -> None:
    verdict = punctual(history(*SET_A, *whole(1, LIST, None, 9, []), *whole(1, LIST, None, 9, [])))
    (anomaly,) = verdict.all_anomalies()
    assert (anomaly.kind, anomaly.key, anomaly.operations, anomaly.live) == ("timer-lost", "t1-timers", (0, 2), 1000)


def test_a_timer_that_nobody_acknowledged_and_that_was_listed_once_is_lost_when_it_is_missing_later() -> None:
    unanswered = [(0, SET, "a", 5), *whole(1, LIST, None, 9, ["a"]), *whole(1, LIST, None, 9, [])]
    assert kinds(punctual(history(*unanswered))) == ["timer-lost"]


def test_a_timer_that_nobody_acknowledged_may_be_missing() -> None:
    assert punctual(history((0, SET, "a", 5), *whole(1, LIST, None, 9, []), *whole(2, SET, "b", 9))).status is Status.VALID


@pytest.mark.parametrize("ended", [[], [(0, "info")], [(0, "ok")]], ids=["open", "info", "ok"])
def test_a_timer_that_somebody_asks_to_take_away_before_the_list_has_ended_may_be_missing(ended: list[tuple[Any, ...]]) -> None:
    assert punctual(history(*SET_A, (1, LIST, None, 9), (0, TAKE, "a", 0), *ended, (1, "ok", []))).status is Status.VALID


def test_a_removal_that_failed_excuses_nothing() -> None:
    assert kinds(punctual(history(*SET_A, (0, TAKE, "a", 0), (0, "fail"), *whole(1, LIST, None, 9, [])))) == ["timer-lost"]


def test_a_timer_that_was_taken_away_and_is_listed_is_back() -> None:
    verdict = punctual(history(*SET_A, *TAKE_A, *whole(1, LIST, None, 9, ["a"])))
    assert [(each.kind, each.operations) for each in verdict.all_anomalies()] == [("timer-back", (0, 2, 4))]


@pytest.mark.parametrize(
    "steps",
    [
        [*SET_A, (0, TAKE, "a", 0), (0, "info"), *whole(1, LIST, None, 9, ["a"])],
        [(0, SET, "a", 5), *whole(2, TAKE, "a", 0), *whole(1, LIST, None, 9, ["a"])],
        [*SET_A, (1, LIST, None, 9), *TAKE_A, (1, "ok", ["a"])],
    ],
    ids=["removal unanswered", "set late", "list began before"],
)
def test_a_timer_that_may_still_be_there_may_be_listed(steps: list[tuple[Any, ...]]) -> None:
    assert punctual(history(*steps)).status is Status.VALID


def test_a_timer_that_is_listed_before_it_is_due_is_early() -> None:
    assert kinds(punctual(history(*SET_A, *whole(1, LIST, None, 4, ["a"])))) == ["timer-early"]


def test_a_timer_of_another_trial_is_not_judged() -> None:
    assert punctual(history(*SET_A, *whole(1, LIST, None, 9, ["a", "t0-timer-0-0"]))).status is Status.VALID


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([*SET_A, *SET_A, *whole(1, LIST, None, 9, [])], "set twice"),
        (SET_A, "saw nothing"),
        (whole(1, LIST, None, 9, []), "saw nothing"),
    ],
)
def test_what_cannot_be_judged_is_unknown(steps: list[tuple[Any, ...]], said: str) -> None:
    verdict = punctual(history(*steps))
    assert verdict.status is Status.UNKNOWN
    assert said in verdict.summary


@pytest.mark.parametrize(
    "steps",
    [
        [(0, SET, None, 5), (0, "ok")],
        [(0, SET, "a", "5"), (0, "ok")],
        [(0, SET, "a", 5), (0, "ok"), (1, LIST, None, 9), (1, "ok")],
    ],
    ids=["no name", "no time", "no list"],
)
def test_a_value_of_another_shape_is_malformed(steps: list[tuple[Any, ...]]) -> None:
    with pytest.raises(MalformedHistory):
        punctual(history(*steps))


class Index:
    """The index as it is specified; each operation takes effect once, at an instant of its own between its two events."""

    def __init__(self, draw: random.Random) -> None:
        self.draw, self.times = draw, dict[str, int]()
        self.steps: list[tuple[Any, ...]] = []
        self.open: dict[int, tuple[str, str | None, int]] = {}
        self.answers: dict[int, list[Any] | None] = {}

    def step(self) -> None:
        """Let one process begin, take effect or end."""
        process = self.draw.randrange(3)
        if process not in self.open:
            f = self.draw.choice((SET, SET, TAKE, LIST))
            name = f"{len(self.steps)}" if f == SET else f"{self.draw.randrange(len(self.steps) + 1)}"
            self.open[process] = f, name, self.draw.randrange(10)
            self.steps.append((process, f, name, self.open[process][2]))
        elif process not in self.answers:
            self.answers[process] = self.effect(*self.open[process])
        else:
            names = self.answers.pop(process)
            del self.open[process]
            self.steps.append((process, "ok", *([] if names is None else [names])))

    def effect(self, f: str, name: str | None, at: int) -> list[Any] | None:
        assert name is not None
        if f == SET:
            self.times[name] = at
        elif f == TAKE:
            self.times.pop(name, None)
        else:
            return [each for each, due in self.times.items() if due <= at]
        return None


@given(st.integers(0, 2**32), st.integers(5, 120))
def test_what_a_real_index_answers_is_never_condemned(seed: int, length: int) -> None:
    index = Index(random.Random(seed))
    for _ in range(length):
        index.step()
    assert kinds(punctual(history(*index.steps))) == []


@given(st.integers(0, 2**32), st.integers(30, 120))
def test_a_timer_that_one_list_has_and_no_later_one_has_although_nobody_took_it_is_condemned(seed: int, length: int) -> None:
    index = Index(random.Random(seed))
    for _ in range(length):
        index.step()
    kept = [*index.steps, *whole(7, SET, "kept", 0)]
    assert kinds(punctual(history(*kept, *whole(8, LIST, None, 9, ["kept", *index.times])))) == []
    assert "timer-lost" in kinds(punctual(history(*kept, *whole(8, LIST, None, 9, []))))


def context(step: int, phase: Any = "quiet") -> Context:
    times = {"now": 0, "final_at": 0, "cut": False}
    slot = {"trial": 1, "slot": 2, "slots": 4, "process": 2, "side": "clients", "first_side": "clients"}
    return Context(phase=phase, step=step, draw=random.Random(step), **times, **slot)  # type: ignore[arg-type]


def test_a_slot_keeps_as_many_timers_as_it_is_told_and_takes_the_oldest_away() -> None:
    generator = TimersGenerator(kept=2, list_percent=0)
    drawn = []
    for step in range(4):
        invocation, generator = generator.next(context(step))
        assert invocation is not None
        asked = Event(index=2 * step, time=0, process=2, type="invoke", f=invocation.f, key=invocation.key, value=invocation.value)
        answer = Event(index=2 * step + 1, time=0, process=2, type="ok", f=invocation.f, key=invocation.key, value={})
        generator = generator.update(context(step), asked, answer)
        drawn.append((invocation.f, invocation.value["key"]))
    first = [(SET, "t1-timer-2-0"), (SET, "t1-timer-2-1"), (TAKE, "t1-timer-2-0")]
    assert drawn == [*first, (SET, "t1-timer-2-3")]


def test_each_slot_lists_once_at_the_end() -> None:
    generator = TimersGenerator(kept=2, list_percent=0)
    first, generator = generator.next(context(0, "final"))
    again, _ = generator.next(context(1, "final"))
    assert (first and first.f, again) == (LIST, None)


def test_the_check_of_the_package_is_the_one_that_is_tested_here() -> None:
    given_history = history(*SET_A, *whole(1, LIST, None, 9, []))
    assert PUNCTUAL.judge(given_history, Terms()) == punctual(given_history)
    assert {kind.name for kind in PUNCTUAL.kinds} == {"timer-lost", "timer-back", "timer-early"}
