"""The verdict on whole histories: examples, planted bugs, keys, budgets, certificates and what is said."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import Simulation, brute_force

from harness.judging.checkers.linearizable import Budget, linearizable
from harness.judging.models import MODELS, Object
from harness.judging.models.register import Register
from harness.judging.verdict import Status, Verdict
from harness.record.format import load
from harness.record.history import NEMESIS, Event, History, MalformedHistory, Operation

EXAMPLES = sorted((Path(__file__).parents[3] / "examples/histories").glob("*/*/*.jsonl"))
JUDGED = [path for path in EXAMPLES if path.parts[-3] in MODELS]
randoms = st.integers(0, 2**48).map(Random)


def history(operations: Iterable[Operation], **fields: Any) -> History:
    """Make a history of operations, with a millisecond between events."""
    events = []
    for one in operations:
        end = one.end if one.end is not None else one.gave_up
        common = {"process": one.process, "f": one.f, "key": one.key}
        events.append(Event(index=one.index, time=(one.index + 1) * 1_000_000, type="invoke", value=one.argument, **common))
        if end is not None:
            events.append(Event(index=end, time=(end + 1) * 1_000_000, type=one.status, value=one.result, **common))
    return History(tuple(sorted(events, key=lambda event: event.index)), **fields)


def on_keys(groups: dict[str, list[Operation]]) -> History:
    """Put each group on a key of its own, one after the other."""
    placed, shift = [], 0
    for key, operations in groups.items():
        for one in operations:
            moved = {
                name: None if at is None else at + shift
                for name, at in (("end", one.end), ("end_index", one.end_index), ("gave_up", one.gave_up))
            }
            placed.append(msgspec.structs.replace(one, key=key, index=one.index + shift, process=one.process + 1000 * len(placed), **moved))
        shift += 2 * len(operations) + 10
    return history(placed)


def say(model: str, *told: tuple[int, str, str, Any], key: str | None = "k") -> Verdict:
    return linearizable(MODELS[model])(lines(*told, key=key))


def lines(*told: tuple[int, str, str, Any], key: str | None = "k") -> History:
    """Make a history of lines (process, type, f, value), one a millisecond."""
    events = [
        Event(index=i, time=i * 1_000_000 + 5, process=process, type=kind, f=f, key=key, value=value)  # type: ignore[arg-type]
        for i, (process, kind, f, value) in enumerate(told)
    ]
    return History(tuple(events))


def read(process: int, value: Any) -> tuple[tuple[int, str, str, Any], ...]:
    return (process, "invoke", "read", None), (process, "ok", "read", value)


def write(process: int, value: Any) -> tuple[tuple[int, str, str, Any], ...]:
    return (process, "invoke", "write", value), (process, "ok", "write", value)


@pytest.mark.parametrize("path", JUDGED, ids=lambda path: "/".join(path.parts[-3:]))
def test_examples(path: Path) -> None:
    verdict = linearizable(MODELS[path.parts[-3]])(load(path))
    assert verdict.status is (Status.VALID if path.parts[-2] == "good" else Status.INVALID)


def test_every_model_has_examples_of_both_kinds() -> None:
    assert {path.parts[-3:-1] for path in JUDGED} == {(name, kind) for name in MODELS for kind in ("good", "bad")}


@settings(max_examples=100, deadline=None)
@given(random=randoms, model=st.sampled_from(list(MODELS.values())))
def test_the_verdict_is_that_of_brute_force(random: Random, model: Object) -> None:
    operations = Simulation(random, model, clients=3, unanswered=0.2, lies=0.5).run(random.randrange(1, 8))
    verdict = linearizable(model)(history(operations))
    expected = Status.VALID if brute_force(model, operations) else Status.INVALID
    nothing = not any(one.status == "ok" for one in operations)
    assert verdict.status is (Status.UNKNOWN if nothing else expected)


@settings(max_examples=60, deadline=None)
@given(random=randoms, model=st.sampled_from(list(MODELS.values())))
def test_splitting_by_key_commutes_with_checking(random: Random, model: Object) -> None:
    groups = {key: Simulation(random, model, unanswered=0.1, lies=random.choice((0, 0, 0.5))).run(5) for key in "abc"}
    groups = {key: [one for one in operations if one.status != "fail"] for key, operations in groups.items()}
    whole = linearizable(model)(on_keys(groups))
    single = {key: linearizable(model)(on_keys({key: operations})).status for key, operations in groups.items()}
    condemned = {key for key, status in single.items() if status is Status.INVALID}
    assert {name for name, part in whole.parts if part.status is Status.INVALID} == condemned


@settings(max_examples=60, deadline=None)
@given(random=randoms, model=st.sampled_from(list(MODELS.values())), steps=st.integers(0, 40))
def test_any_budget_gives_the_truth_or_unknown(random: Random, model: Object, steps: int) -> None:
    operations = Simulation(random, model, clients=3, unanswered=0.2, lies=0.5).run(6)
    verdict = linearizable(model, Budget(steps=steps))(history(operations))
    assert verdict.status in (Status.UNKNOWN, Status.VALID if brute_force(model, operations) else Status.INVALID)


def planted(model: str, f: str, spoil: Any) -> Verdict:
    """Spoil the answer of a late f of a long right history."""
    operations = Simulation(Random(9), MODELS[model], clients=6, unanswered=0.003, unique=True).run(1_500)
    places = [place for place, one in enumerate(operations) if one.f == f and one.status == "ok"]
    place = next(place for place in places if place > 1_000 and spoil(operations, place) is not None)
    operations[place] = msgspec.structs.replace(operations[place], result=spoil(operations, place))
    return linearizable(MODELS[model])(history(operations))


def test_a_planted_stale_read_is_invalid() -> None:
    def earlier(operations: list[Operation], place: int) -> Any:
        return next(one.result for one in operations[place - 300 :] if one.f == "read" and one.status == "ok")

    assert planted("register", "read", earlier).status is Status.INVALID


def test_a_planted_lost_update_is_invalid() -> None:
    def swapped_twice(operations: list[Operation], place: int) -> Any:
        one = operations[place]
        older = [other.result["version"] for other in operations[: place - 50] if other.f == "get_versioned" and other.status == "ok"]
        if one.argument["expected"] + 1 >= max(older):
            return None
        return {"swapped": True, "version": one.argument["expected"] + 1, "value": one.argument["value"]}

    assert planted("versioned-register", "compare_and_swap", swapped_twice).status is Status.INVALID


def test_a_planted_double_increment_is_invalid() -> None:
    def far_ahead(operations: list[Operation], place: int) -> Any:
        return {"value": operations[place].result["value"] + 40}

    assert planted("counter", "increment", far_ahead).status is Status.INVALID


def test_nothing_to_see_is_unknown() -> None:
    assert linearizable(MODELS["register"])(History(())).summary.startswith("saw nothing")
    assert say("register", (1, "invoke", "write", 1), (1, "info", "write", None)).status is Status.UNKNOWN


def test_a_ttl_is_unknown_and_hides_no_other_keys_violation() -> None:
    events = [
        ("a", 1, "invoke", "get", {}),
        ("a", 1, "ok", "get", {"value": "x"}),
        ("b", 1, "invoke", "set", {"value": "x", "ttl_ms": 50}),
        ("b", 1, "ok", "set", {}),
    ]
    made = [Event(index=i, time=i, process=p, type=kind, f=f, key=key, value=value) for i, (key, p, kind, f, value) in enumerate(events)]  # type: ignore[arg-type]
    verdict = linearizable(MODELS["versioned-register"])(History(tuple(made)))
    assert verdict.status is Status.INVALID
    assert dict(verdict.parts)["b"].summary == "undecided: 1 operation with a TTL, and this model knows no time"


def test_a_key_that_needs_more_than_the_budget_does_not_hide_another_keys_violation() -> None:
    hard = Simulation(Random(2), MODELS["register"], clients=8, unique=True).run(1_000)
    easy = [one for one in Simulation(Random(1), MODELS["register"], clients=1, unique=True).run(6) if one.f == "read"][:1]
    easy[0] = msgspec.structs.replace(easy[0], result="never")
    verdict = linearizable(MODELS["register"], Budget(steps=100))(on_keys({"hard": hard, "easy": easy}))
    parts = dict(verdict.parts)
    assert (verdict.status, parts["hard"].status, parts["easy"].status) == (Status.INVALID, Status.UNKNOWN, Status.INVALID)
    assert [anomaly.key for anomaly in verdict.all_anomalies()] == ["easy"]


def test_a_budget_that_ends_says_how_far_it_got() -> None:
    hard = Simulation(Random(2), MODELS["register"], clients=8, unique=True).run(300)
    verdict = linearizable(MODELS["register"], Budget(steps=50))(history(hard))
    assert verdict.status is Status.UNKNOWN
    assert "undecided: the 50 steps are spent" in verdict.summary
    assert "completions placed, up to " in verdict.summary


def test_time_ends_the_search_of_all_keys() -> None:
    groups = {key: Simulation(Random(2), MODELS["register"], clients=8, unique=True).run(600) for key in "ab"}
    ticks = count()
    verdict = linearizable(MODELS["register"], Budget(time_s=1), lambda: next(ticks) * 0.4)(on_keys(groups))
    assert verdict.status is Status.UNKNOWN
    assert [name for name, _ in verdict.parts] == ["a", "b"]


def test_keys_that_are_valid_are_no_parts() -> None:
    verdict = linearizable(MODELS["register"])(on_keys({"a": Simulation(Random(1), MODELS["register"], unique=True).run(20)}))
    assert (verdict.status, verdict.parts) == (Status.VALID, ())


def test_one_object_without_a_key_has_its_anomaly_in_the_verdict_itself() -> None:
    verdict = say("register", *write(1, 1), *read(2, 3), key=None)
    assert verdict.parts == ()
    assert [anomaly.key for anomaly in verdict.anomalies] == [None]


def test_the_anomaly_names_the_core_the_culprit_and_the_possible_states() -> None:
    verdict = say(
        "register",
        *write(1, 1),
        (1, "invoke", "write", 3),
        (1, "info", "write", None),
        (2, "invoke", "write", 4),
        *read(3, 5),
        (2, "ok", "write", 4),
    )
    (anomaly,) = verdict.all_anomalies()
    assert (anomaly.kind, anomaly.key, anomaly.operations, anomaly.at) == ("not-linearizable", "k", (0, 5), 6_000_005)
    assert anomaly.message == (
        "read -> 5 by process 3 [0.005 s, 0.006 s] fits none of the possible states {1, 3, 4}, "
        "given write 1 by process 1 [0.000 s, 0.001 s]; none of the 2 operations unanswered by then can explain it"
    )


def test_a_single_possible_state_is_said_so() -> None:
    increment = {"delta": 1, "ttl_ms": None}
    verdict = say("counter", (1, "invoke", "increment", increment), (1, "ok", "increment", {"value": 2}))
    assert verdict.all_anomalies()[0].message == (
        "increment 1 -> 2 by process 1 [0.000 s, 0.001 s] does not fit the only possible state missing"
    )


def test_a_history_without_times_is_told_in_events() -> None:
    events = [
        Event(index=i, time=i, process=1, type=kind, f="read", value=value) for i, (kind, value) in enumerate([("invoke", None), ("ok", 3)])
    ]  # type: ignore[arg-type]
    verdict = linearizable(MODELS["register"])(History(tuple(events)))
    assert "[events 0, 1]" in verdict.anomalies[0].message


def test_the_numbers_account_for_every_operation() -> None:
    verdict = say(
        "register",
        *write(1, 1),
        (1, "invoke", "write", 2),
        (2, "invoke", "read", None),
        (3, "invoke", "write", 3),
        (1, "info", "write", None),
        (2, "info", "read", None),
        (3, "fail", "write", None),
        *read(4, 2),
    )
    expected = {"operations": 5, "ok": 2, "info": 1, "dropped": 2, "keys": 1, "max_concurrency": 3}
    assert {name: verdict.numbers[name] for name in expected} == expected
    assert verdict.numbers["steps"] > 0


def test_the_nemesis_is_no_operation() -> None:
    event = Event(index=0, time=0, process=NEMESIS, type="info", f="cut", value={"phase": "begin"})
    lines = [Event(index=i + 1, time=i + 1, process=p, type=kind, f=f, value=v) for i, (p, kind, f, v) in enumerate(write(1, 1))]  # type: ignore[arg-type]
    assert linearizable(MODELS["register"])(History((event, *lines))).status is Status.VALID


@pytest.mark.parametrize("kind", ["ok", "fail"])
def test_an_f_that_the_model_lacks_is_malformed(kind: str) -> None:
    with pytest.raises(MalformedHistory, match="the model counter knows"):
        say("counter", (1, "invoke", "enqueue", 1), (1, kind, "enqueue", None))


@dataclass(frozen=True)
class Careless:
    """A register whose hint is wrong: it says that all operations of one f do the same."""

    register: Register
    name: ClassVar[str] = "careless"
    functions: ClassVar[frozenset[str]] = frozenset({"read", "write"})
    opaque: ClassVar[bool] = False

    def step(self, operation: Operation) -> list[Careless]:
        return [Careless(state) for state in self.register.step(operation)]

    def identity(self, operation: Operation) -> str:
        return operation.f

    def observes(self, operation: Operation) -> bool:
        return self.register.observes(operation)

    def after(self, operation: Operation) -> None:
        return None

    def apply(self, f: str, argument: Any) -> tuple[Careless, Any]:
        state, result = self.register.apply(f, argument)
        return Careless(state), result


def test_a_witness_that_does_not_replay_makes_the_verdict_unknown() -> None:
    verdict = linearizable(Careless(Register()))(lines(*write(1, 1), *write(1, 2), *read(2, 1)))
    assert (verdict.status, "checker error: operation 4 is impossible" in verdict.summary) == (Status.UNKNOWN, True)


def test_a_core_that_is_valid_alone_makes_the_verdict_unknown() -> None:
    verdict = linearizable(Careless(Register()))(lines(*write(1, 1), *write(1, 2), *read(2, 2)))
    assert (verdict.status, "checker error: the core" in verdict.summary) == (Status.UNKNOWN, True)
