"""Judges of the checks of indexes and scans: small random histories of right and lying servers, and a naive search over all instants.

`python tests/judging/checkers/views_oracle.py COUNT [SEED]` compares so many histories of each check with what the search says.

An instant lies between two events. The search tries to carry out each of an object's operations at every instant of its call, an
unanswered one at any later instant or never, and asks of each list or scan that the object looked, at some instant of that call, as
it says. Nothing is shared with the checks: states, answers and instants are written down here anew.

Servers answer a list or a scan by looking at each object at an instant of its own. A lying one spoils what it says.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from itertools import product
from random import Random
from typing import Any

from harness.judging.check import Terms
from harness.judging.checkers.index import ENTRIES
from harness.judging.checkers.scan import SCANS
from harness.judging.verdict import Status
from harness.record.event import Event
from harness.record.history import History, Operation

MEMBERS = ("t1-a", "t1-b")
TIMES = (3, 5, 7)
STEM = ("t1-n", "t", "k")
STATE_FUNCTIONS = ("set", "check_and_set", "delete", "get", "increment")


# The naive search


@dataclass(frozen=True, slots=True)
class Call:
    """What the search sees of an operation: the instants `start` to `end` (None: for ever), and what it does to a state."""

    start: int
    end: int | None
    does: Callable[[Any], Any]  # gives the next state, None where its answer is impossible

    def open_at(self, instant: int) -> bool:
        return self.start <= instant and (self.end is None or instant < self.end)


@dataclass(frozen=True, slots=True)
class Look:
    """What a list or scan says of an object, from `start` to `end`."""

    start: int
    end: int
    fits: Callable[[Any], bool]


def explained(begin: Hashable, calls: Sequence[Call], looks: Sequence[Look], last: int) -> bool:
    """Say whether some instants for the calls give every call its answer and every look what it says."""
    seen: set[Any] = set()
    stack: list[tuple[int, frozenset[int], Any, frozenset[int]]] = [(0, frozenset(range(len(calls))), begin, frozenset())]
    while stack:
        instant, left, state, met = stack.pop()
        met |= {n for n, look in enumerate(looks) if look.start <= instant < look.end and look.fits(state)}
        if (instant, left, state, met) in seen:
            continue
        seen.add((instant, left, state, met))
        if instant == last:
            if all(calls[n].end is None for n in left) and len(met) == len(looks):
                return True
            continue
        for n in left:
            if calls[n].open_at(instant) and (after := calls[n].does(state)) is not None:
                stack.append((instant, left - {n}, after, met))
        late = any(calls[n].end == instant + 1 for n in left) or any(
            look.end == instant + 1 and n not in met for n, look in enumerate(looks)
        )
        if not late:
            stack.append((instant + 1, left, state, met))
    return False


def last_of(history: History) -> int:
    return history.events[-1].index + 1


# Indexes: the state of a member is ("at", time) or ("out",)


def entered(operation: Operation) -> Call:
    if operation.f.startswith("index_"):
        state: tuple[Any, ...] = ("at", operation.argument["time_ms"])
    else:
        state = ("out",)
    return Call(operation.index, operation.end_index, lambda _: state)


def listed(operation: Operation, member: str) -> Look:
    now = operation.argument["now_ms"]
    there = member in operation.result["keys"]
    assert operation.end_index is not None
    return Look(operation.index, operation.end_index, lambda state: (state[0] == "at" and state[1] <= now) == there)


def index_is_possible(history: History) -> bool:
    """Say whether every list has each member at most once, only members that there are, and each look has an instant."""
    operations = [each for each in history.operations() if each.status != "fail"]
    lists = [each for each in operations if each.f == "get_expired_timeouts" and each.status == "ok"]
    changes = [each for each in operations if each.f != "get_expired_timeouts"]
    named = {each.argument["key"] for each in changes}
    for each in lists:
        if len(set(each.result["keys"])) < len(each.result["keys"]) or not set(each.result["keys"]) <= named:
            return False
    return all(
        explained(
            ("out",),
            [entered(each) for each in changes if each.argument["key"] == member],
            [listed(each, member) for each in lists],
            last_of(history),
        )
        for member in named
    )


def an_order_is_possible(history: History) -> bool:
    """Say whether times that the members may have had, all together, rise in the order of every list."""
    operations = [each for each in history.operations() if each.status != "fail"]
    lists = [each for each in operations if each.f == "get_expired_timeouts" and each.status == "ok"]
    changes = [each for each in operations if each.f != "get_expired_timeouts"]
    choices: list[list[dict[tuple[int, str], int]]] = []
    for member in {each.argument["key"] for each in changes}:
        on = [each for each in lists if member in each.result["keys"]]
        calls = [entered(each) for each in changes if each.argument["key"] == member]
        chosen = []
        for times in product(TIMES, repeat=len(on)):
            had = dict(zip((each.index for each in on), times, strict=True))
            looks = [listed_at(each, had[each.index]) if each.index in had else listed(each, member) for each in lists]
            if explained(("out",), calls, looks, last_of(history)):
                chosen.append({(index, member): at for index, at in had.items()})
        choices.append(chosen)
    together = ({name: at for part in parts for name, at in part.items()} for parts in product(*choices))
    return any(all(_rises([had[each.index, name] for name in each.result["keys"]]) for each in lists) for had in together)


def listed_at(operation: Operation, at: int) -> Look:
    now = operation.argument["now_ms"]
    assert operation.end_index is not None
    return Look(operation.index, operation.end_index, lambda state: state == ("at", at) and at <= now)


def _rises(times: Sequence[int]) -> bool:
    return list(times) == sorted(times)


# Keys: the state of a key is (value, version), ("", 0) = missing


def acted(operation: Operation) -> Call:
    answer = operation.result if operation.status == "ok" else None
    return Call(operation.index, operation.end_index, lambda state: _acted(operation.f, operation.argument, answer, state))


def _acted(f: str, argument: Any, answer: Any, state: tuple[str, int]) -> tuple[str, int] | None:
    value, version = state
    match f:
        case "set":
            return argument["value"], version + 1
        case "check_and_set":
            after, said = (state, False) if version else ((argument["value"], 1), True)
            return after if answer is None or answer["set"] == said else None
        case "delete":
            return ("", 0) if answer is None or answer["deleted"] == (version > 0) else None
        case "get":
            return state if answer is None or answer["value"] == (value if version else None) else None
        case "increment":
            number = None if version and not value.isdigit() else int(value or "0") + 1
            after = state if number is None else (str(number), version + 1)
            return after if answer is None or answer["value"] == number else None
    raise AssertionError(f)


def scanned(operation: Operation, key: str) -> Look:
    items = dict(operation.result["items"])
    assert operation.end_index is not None
    return Look(operation.index, operation.end_index, lambda state: (state[0] if state[1] else None) == items.get(key))


def scan_is_possible(history: History) -> bool:
    """Say whether every scan has each key at most once, only keys that it asks for, and each look has an instant."""
    operations = [each for each in history.operations() if each.status != "fail"]
    scans = [each for each in operations if each.f == "scan_keys" and each.status == "ok"]
    own = [each for each in operations if each.f != "scan_keys"]
    keys = {str(each.key) for each in own}
    for each in scans:
        stem = ":".join((*STEM, each.argument["prefix"]))
        found = [key for key, _ in each.result["items"]]
        if len(set(found)) < len(found) or not all(key in keys and key.startswith(stem) for key in found):
            return False
    return all(
        explained(
            ("", 0),
            [acted(each) for each in own if each.key == key],
            [scanned(each, key) for each in scans if key.startswith(":".join((*STEM, each.argument["prefix"])))],
            last_of(history),
        )
        for key in keys
    )


# Servers


@dataclass
class Server:
    """Clients of one server; each operation takes effect at instants between its two events, a list or scan in one a member."""

    random: Random
    draw: Callable[[Random], tuple[str, Any, Any]]  # key, f, argument
    effect: Callable[[dict[str, Any], str, str, Any], Any]  # of (state, key, f, argument): the answer
    parts: Callable[[str, Any], Sequence[str]]  # what an f looks at one by one; none: it is one step
    answer: Callable[[str, Any, dict[str, Any]], Any]  # of (f, argument, what was seen of each part)
    spoil: Callable[[Random, Any], Any] | None = None
    state: dict[str, Any] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    def run(self, count: int, clients: int = 3) -> History:
        """Give a history of so many operations."""
        open_: dict[int, _Open] = {}
        late: list[_Open] = []
        process, left = clients, count
        while left or open_:
            self._late(late)
            slot = self.random.randrange(clients)
            one = open_.get(slot)
            if one is None:
                if left:
                    left -= 1
                    key, f, argument = self.draw(self.random)
                    open_[slot] = one = _Open(process, key, f, argument, list(self.parts(f, argument)))
                    process += 1
                    self._append(one, "invoke", argument)
            elif self.random.random() < 0.1:
                self._append(one, "info", None)
                late.append(open_.pop(slot))
            elif one.step(self):
                del open_[slot]
                value = self.answer(one.f, one.argument, one.seen) if one.of_parts else one.result
                if self.spoil is not None and one.of_parts and self.random.random() < 0.4:
                    value = self.spoil(self.random, value)
                self._append(one, "ok", value)
        return History(tuple(self.events), complete=True)

    def _late(self, late: list[_Open]) -> None:
        if late and self.random.random() < 0.2:
            late.pop(self.random.randrange(len(late))).step(self)

    def _append(self, one: _Open, type_: Any, value: Any) -> None:
        at = len(self.events)
        self.events.append(Event(index=at, time=at * 1000, process=one.process, type=type_, f=one.f, key=one.key, value=value))


@dataclass
class _Open:
    process: int
    key: str
    f: str
    argument: Any
    left: list[str]
    done: bool = False
    result: Any = None
    seen: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.of_parts = bool(self.left)

    def step(self, server: Server) -> bool:
        """Take one step; say whether it is over, and was so before."""
        if self.left:
            part = self.left.pop()
            self.seen[part] = server.state.get(part)
            return False
        if self.done or self.of_parts:
            return True
        self.result, self.done = server.effect(server.state, self.key, self.f, self.argument), True
        return server.random.random() < 0.5


def of_an_index(random: Random, *, lies: bool) -> History:
    """Give a history of an index."""

    def draw(random: Random) -> tuple[str, str, Any]:
        f = random.choice(("index_timeout", "index_timeout", "remove_timeout_index", "get_expired_timeouts", "get_expired_timeouts"))
        argument: dict[str, Any] = {"now_ms": random.choice(TIMES)} if f == "get_expired_timeouts" else {"key": random.choice(MEMBERS)}
        return "t1-index", f, {**argument, "time_ms": random.choice(TIMES)} if f == "index_timeout" else argument

    def effect(state: dict[str, Any], key: str, f: str, argument: Any) -> Any:
        state[argument["key"]] = argument.get("time_ms")
        return {}

    def answer(f: str, argument: Any, seen: dict[str, Any]) -> Any:
        due = {name: at for name, at in seen.items() if at is not None and at <= argument["now_ms"]}
        return {"keys": sorted(due, key=due.__getitem__)}

    def parts(f: str, argument: Any) -> Sequence[str]:
        return random.sample(MEMBERS, len(MEMBERS)) if f == "get_expired_timeouts" else ()

    return Server(random, draw, effect, parts, answer, _spoilt_keys if lies else None).run(random.randrange(3, 10))


def _spoilt_keys(random: Random, value: Any) -> Any:
    keys = list(value["keys"])
    match random.randrange(4):
        case 0:
            keys = keys[1:]
        case 1:
            keys = [*keys, random.choice(MEMBERS)]
        case 2:
            keys = [key for key in MEMBERS if key not in keys]
        case 3:
            keys = keys[::-1]
    return {"keys": keys}


def of_scans(random: Random, *, lies: bool) -> History:
    """Give a history of keys that are scanned."""
    names = [":".join((*STEM, id_)) for id_ in ("a1", "a*2")]
    plain, counted = ("set", "check_and_set", "delete", "get"), ("increment", "get")
    functions = random.choice((plain, plain, counted, (*plain, "increment")))

    def draw(random: Random) -> tuple[str, str, Any]:
        if random.random() < 0.4:
            place = dict(zip(("namespace", "tenant", "kind"), STEM, strict=True))
            return "t1-scans", "scan_keys", {**place, "prefix": random.choice(("", "a", "a*"))}
        f = random.choice(functions)
        values = {"value": random.choice("xy1"), "ttl_ms": None}
        return random.choice(names), f, {"delta": 1, "ttl_ms": None} if f == "increment" else values if f.endswith("set") else {}

    def effect(state: dict[str, Any], key: str, f: str, argument: Any) -> Any:
        value, version = state.get(key, ("", 0))
        match f:
            case "set":
                state[key] = argument["value"], version + 1
                return {}
            case "check_and_set":
                if not version:
                    state[key] = argument["value"], 1
                return {"set": not version}
            case "delete":
                state.pop(key, None)
                return {"deleted": version > 0}
            case "increment":
                if version and not value.isdigit():
                    return {"value": None}
                state[key] = str(int(value or "0") + 1), version + 1
                return {"value": int(state[key][0])}
        return {"value": value if version else None}

    def answer(f: str, argument: Any, seen: dict[str, Any]) -> Any:
        stem = ":".join((*STEM, argument["prefix"]))
        return {"items": [[key, state[0]] for key, state in seen.items() if state is not None and key.startswith(stem)]}

    def parts(f: str, argument: Any) -> Sequence[str]:
        return random.sample(names, len(names)) if f == "scan_keys" else ()

    def spoil(random: Random, value: Any) -> Any:
        items = list(value["items"])
        match random.randrange(4):
            case 0:
                items = items[1:]
            case 1:
                items = [*items, [random.choice(names), random.choice("xyz12")]]
            case 2:
                items = [[key, random.choice("xyz12")] for key, _ in items]
            case 3:
                items = [[key, random.choice("xyz12")] for key in names]
        return {"items": items}

    return Server(random, draw, effect, parts, answer, spoil if lies else None).run(random.randrange(3, 10))


DRAWN = {
    "index": (of_an_index, index_is_possible, ENTRIES),
    "scan": (of_scans, scan_is_possible, SCANS),
}


def wrong(name: str, seed: int) -> str | None:
    """Say what is wrong with what a check says of a drawn history; None if nothing is."""
    draw, is_possible, check = DRAWN[name]
    history, lies = _drawn(draw, seed)
    found = check.judge(history, Terms())
    kinds = {each.kind for each in found.all_anomalies()}
    possible = is_possible(history)
    if not lies and kinds:
        return "a right server is condemned"
    if kinds - {"index-disorder"} and possible:
        return "invalid, though possible"
    if not kinds - {"index-disorder"} and not possible:
        return f"{found.status}, though impossible: {found.summary}"
    if kinds == {"index-disorder"} and an_order_is_possible(history):
        return "an order is condemned, though possible"
    return None


def missed(seed: int) -> bool | None:
    """Say whether the check of indexes lets an order pass that is impossible; None where the order does not matter."""
    history, _ = _drawn(of_an_index, seed)
    if not index_is_possible(history) or an_order_is_possible(history):
        return None
    return ENTRIES.judge(history, Terms()).status is not Status.INVALID


def _drawn(draw: Callable[..., History], seed: int) -> tuple[History, bool]:
    random = Random(seed)
    lies = random.random() < 0.6
    return draw(random, lies=lies), lies


def main(count: int, seed: int) -> None:
    """Compare so many histories of each check."""
    for name, (draw, is_possible, check) in DRAWN.items():
        found: Counter[str] = Counter()
        for number in range(seed, seed + count):
            if (said := wrong(name, number)) is not None:
                print(name, number, said)
            history, _ = _drawn(draw, number)
            found[f"{check.judge(history, Terms()).status}, {'possible' if is_possible(history) else 'impossible'}"] += 1
        print(name, dict(found), flush=True)
    orders = Counter(missed(number) for number in range(seed, seed + count))
    print("impossible orders: found", orders[False], "missed", orders[True])


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
