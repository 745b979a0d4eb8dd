"""Keys that expire, by brute force: every order, every instant, every end; and a server that may lie, to draw histories from.

Written from the contract alone, without zones and without any of the search's rules. One tick is one nanosecond and, for TTLs, one
millisecond. `python tests/judging/checkers/expiry_oracle.py COUNT [SEED]` compares so many histories of each kind with the search.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from harness.judging.check import Budget
from harness.judging.checkers.instants import Clock, Coarse
from harness.judging.checkers.skew import Skew
from harness.judging.checkers.timed import TimedSearch
from harness.judging.checkers.timed_steps import NO_RULE
from harness.judging.checkers.witness import wrong_with
from harness.judging.verdict import Status
from harness.record.history import Event, History, Operation

There = tuple[str, int] | None
"""A value and its version; None = missing."""
Ending = int | None
State = tuple[There, Ending]


# The contract


def does(f: str, argument: dict[str, Any], there: There) -> tuple[There, dict[str, Any], str]:
    """Give what is there afterwards, the answer, and what becomes of the end: set, kept."""
    value, version = there if there is not None else (None, 0)
    match f:
        case "get":
            return there, {"value": value}, "kept"
        case "get_versioned":
            return there, {"value": value, "version": version}, "kept"
        case "set":
            return (argument["value"], version + 1), {}, "set"
        case "delete":
            return None, {"deleted": there is not None}, "kept"
        case "check_and_set":
            if there is not None:
                return there, {"set": False}, "kept"
            return (argument["value"], 1), {"set": True}, "set"
        case "compare_and_swap":
            if argument["expected"] != version:
                return there, {"swapped": False, "version": version, "value": value}, "kept"
            return (argument["value"], version + 1), {"swapped": True, "version": version + 1, "value": argument["value"]}, "set"
        case "increment":
            if value is not None and not value.lstrip("-").isdigit():
                return there, {"value": None}, "kept"
            total = int(value or "0") + argument["delta"]
            return (str(total), version + 1), {"value": total}, "set" if argument["ttl_ms"] is not None or there is None else "kept"
    raise ValueError(f)


# Brute force


def possible(operations: Sequence[Operation], clock: Clock) -> bool:
    """Say whether some order, some instants and some ends give every operation its answer."""
    kept = [operation for operation in operations if operation.status != "fail"]
    horizon = max((operation.end for operation in kept if operation.end is not None), default=0)
    seen: set[Any] = set()

    def search(left: frozenset[int], now: int, state: State) -> bool:
        if all(kept[place].status == "info" for place in left):
            return True
        if (left, now, state) in seen:
            return False
        seen.add((left, now, state))
        for place in left:
            one = kept[place]
            if any(other.end_index is not None and other.end_index < one.index for other in (kept[each] for each in left - {place})):
                continue
            for x in range(max(now, one.start), (horizon if one.end is None else one.end) + 1):
                if any(search(left - {place}, x, after) for after in outcomes(one, x, state, clock)):
                    return True
        return False

    return search(frozenset(range(len(kept))), 0, (None, None))


def outcomes(one: Operation, x: int, state: State, clock: Clock) -> set[State]:
    """Give the states after an operation at x that have its answer."""
    there, end = state
    found: set[State] = set()
    for seen in (there,) if end is None else sights(one, x, state, clock):
        after, answer, ending = does(one.f, one.argument, seen)
        if one.status == "ok" and answer != (one.result or {}):
            continue
        ttl = one.argument.get("ttl_ms") if ending == "set" else None
        if ending == "set" and ttl is not None:
            found |= {(after, each) for each in ends(one.start, x, ttl, clock)}
        elif ending == "set" or (after is None and (seen is not None or clock.decides)):
            found.add((after, None))
        elif seen is None and end is not None and not clock.decides:
            found.add(state)  # it is still there for others
        else:
            found.add((after, end if after is not None else None))
    return found


def sights(one: Operation, x: int, state: State, clock: Clock) -> set[There]:
    """Give what an operation may find of what ends."""
    there, end = state
    assert end is not None
    if clock.decides:
        return {there if x < end else None}
    looked = range(one.start, x + 1)
    live = {there for at in looked if at < end + clock.skew.late(1)}
    gone: set[There] = {None for at in looked if at >= end - clock.skew.before(1)}
    return live | gone


def ends(start: int, x: int, ttl: int, clock: Clock) -> set[int]:
    """Give when what is written may end."""
    if clock.decides:
        since = start if clock.begun else x
        return set(range(since + ttl - clock.skew.before(ttl), x + ttl + clock.skew.late(ttl) + 1))
    return {at + ttl for at in range(start, x + 1)}


# A server


@dataclass(frozen=True, slots=True)
class Lie:
    """How a server goes wrong: an operation is carried out by `act` instead, with the random numbers, the operation and what is stored."""

    name: str
    act: Callable[[Random, str, dict[str, Any], There, Ending, int], tuple[There, dict[str, Any], str]] | None = None


VALUES = ("a", "b", "7")


def drawn(random: Random, functions: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Draw an operation."""
    f = random.choice(functions)
    ttl = random.choice((None, 1, 2, 3, 5, 8))
    match f:
        case "set" | "check_and_set":
            return f, {"value": random.choice(VALUES), "ttl_ms": ttl}
        case "compare_and_swap":
            return f, {"expected": random.choice((0, 1, 1, 2)), "value": random.choice(VALUES), "ttl_ms": ttl}
        case "increment":
            return f, {"delta": random.choice((1, 1, 2, 7)), "ttl_ms": ttl}
    return f, {}


ALL = ("set", "check_and_set", "get", "get_versioned", "delete", "increment", "compare_and_swap")
SETS = (
    ALL,
    ("check_and_set", "get"),
    ("increment", "get"),
    ("set", "get", "delete"),
    ("check_and_set", "compare_and_swap", "get_versioned"),
)


@dataclass(slots=True)
class Server:
    """A server that keeps to the contract but for one lie. Client clocks are apart by up to the bound."""

    random: Random
    clock: Clock
    lie: str | None = None
    there: There = None
    end: Ending = None

    def serve(self, f: str, argument: dict[str, Any], start: int, x: int) -> dict[str, Any]:
        offset, looked, counted = 0, x, x
        if self.clock.begun:
            counted = self.random.randint(start, x)
        elif not self.clock.decides:
            offset, looked = self.random.randint(0, self.clock.skew.bound_ns), self.random.randint(start, x)
            counted = looked
        gone = self.end is not None and self._over(looked, offset)
        seen = None if gone else self.there
        if self.lie == "ignores expiry" and f != "get" and gone and self.random.random() < 0.7:
            gone, seen = False, self.there
        if self.lie == "forgets" and seen is not None and self.random.random() < 0.3:
            gone, seen = True, None
        after, answer, ending = does(f, argument, seen)
        if self.lie == "refusal renews" and answer == {"set": False}:
            ending, after = "set", seen
        if self.lie == "increment drops the TTL" and f == "increment" and ending == "kept" and self.random.random() < 0.8:
            self.end = None
        if self.lie == "set keeps the TTL" and f in ("set", "compare_and_swap") and ending == "set" and seen is not None:
            ending = "kept"
        if self.lie == "versions go on" and gone and after is not None and self.there is not None:
            after = (after[0], self.there[1] + 1)
        if ending == "set":
            self.there, self.end = after, self._ends(argument["ttl_ms"], counted, offset)
        elif after is None and not gone:
            self.there, self.end = None, None
        elif not gone:
            self.there = after
        elif self.clock.decides or after is not None:
            self.there, self.end = after, None
        return answer

    def _over(self, looked: int, offset: int) -> bool:
        assert self.end is not None
        return looked >= self.end if self.clock.decides else looked + offset - self.clock.skew.bound_ns > self.end

    def _ends(self, ttl: int | None, counted: int, offset: int) -> Ending:
        if ttl is None:
            return None
        if self.lie == "ends early":
            ttl = max(1, ttl // 2)
        if self.lie == "ends late":
            ttl = ttl * 2 + 2
        if self.clock.decides:
            return counted + ttl + self.random.randint(-self.clock.skew.before(ttl), self.clock.skew.late(ttl))
        return counted + offset + ttl


LIES = (
    "ignores expiry",
    "forgets",
    "refusal renews",
    "increment drops the TTL",
    "set keeps the TTL",
    "versions go on",
    "ends early",
    "ends late",
    "one answer flipped",
)


def history(random: Random, clock: Clock, lie: str | None = None, size: int = 5) -> History:
    """Draw a history of one key: what clients ask of a server at instants of its own, some of it never answered."""
    functions = random.choice(SETS)
    span, longest = random.choice((6, 10, 16)), random.choice((0, 2, 5))
    starts = sorted(random.randint(0, span) for _ in range(random.randrange(2, size + 1)))
    calls = []
    for process, start in enumerate(starts):
        x = start + random.randint(0, longest)
        calls.append((x, random.random(), process, start, x + random.randint(0, longest), *drawn(random, functions)))
    server = Server(random, clock, lie)
    lines: list[tuple[int, float, int, str, str, Any]] = []
    for x, _, process, start, end, f, argument in sorted(calls):
        lost = random.random() < 0.2
        answer = server.serve(f, argument, start, x) if not lost or random.random() < 0.5 else None
        lines.append((start, random.random(), process, "invoke", f, argument))
        if not lost:
            lines.append((end, 1 + random.random(), process, "ok", f, answer))
        elif random.random() < 0.5:
            lines.append((end, 1 + random.random(), process, "info", f, None))
    lines.sort(key=lambda line: line[:3])
    events = [
        Event(index=index, time=time, process=process, type=kind, f=f, key="k", value=value)  # type: ignore[arg-type]
        for index, (time, _, process, kind, f, value) in enumerate(lines)
    ]
    if lie == "one answer flipped":
        events = flipped(random, events)
    return History(tuple(events), complete=True)


def flipped(random: Random, events: list[Event]) -> list[Event]:
    """Give one answer another way."""
    answered = [place for place, event in enumerate(events) if event.type == "ok" and event.value]
    if not answered:
        return events
    place = random.choice(answered)
    told = dict(events[place].value)
    name = random.choice(sorted(told))
    told[name] = other(random, told[name], number=events[place].f == "increment")
    return [replace_value(event, told) if number == place else event for number, event in enumerate(events)]


def other(random: Random, value: Any, *, number: bool) -> Any:
    """Give another value that the function may answer."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int) or number:
        return (value or 0) + random.choice((1, -1))
    return random.choice([each for each in (None, *VALUES) if each != value])


def replace_value(event: Event, value: Any) -> Event:
    """Give an event with another value."""
    return Event(index=event.index, time=event.time, process=event.process, type=event.type, f=event.f, key=event.key, value=value)


def clocks() -> list[Clock]:
    """Give clocks of each kind: exact, inexact, of clients with no bound and with one, one by which TTLs count from before the effect."""
    exact, near, apart = Skew(0, 0), Skew(1, 0), Skew(1, 0, 2)
    kinds = ((exact, False), (near, False), (near, True), (apart, True))
    return [*(Clock(skew, clients, 1) for skew, clients in kinds), Clock(near, ms=1, begun=True)]


def searched(drawn: History, clock: Clock, **rules: Any) -> Status | None:
    """Give what the search says, with its witness carried out again."""
    search = TimedSearch(clock, drawn.operations(), **rules)
    status = search.run(60, Budget())
    if status is Status.VALID:
        wrong = wrong_with(search.witness or [], drawn.operations(), clock)
        assert wrong is None, wrong
    return status


def main(count: int, seed: int) -> None:
    """Compare so many histories of each clock and each lie."""
    for clock in clocks():
        for lie in (None, *LIES):
            found: Counter[str] = Counter()
            for number in range(count):
                drawn = history(Random(f"{seed} {number} {lie}"), clock, lie)
                right = possible(drawn.operations(), clock)
                said = searched(drawn, clock)
                coarse = TimedSearch(Coarse(clock), drawn.operations()).run(60, Budget())
                if coarse is Status.INVALID:
                    found["coarse enough"] += 1
                    if right:
                        found["wrong"] += 1
                        print("WRONG coarse", clock, lie, seed, number)
                bare = searched(drawn, clock, rules=NO_RULE)
                found["possible" if right else "impossible"] += 1
                if (said is Status.VALID) != right or (bare is Status.VALID) != right:
                    found["wrong"] += 1
                    print("WRONG", clock, lie, seed, number, said, bare, right)
                if lie is None and not right:
                    print("FALSE ALARM of the model", clock, seed, number)
            print("clients" if clock.clients else "server", clock.skew, lie, dict(found), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
