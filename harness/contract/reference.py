"""Sequences of operations by one client, drawn at random, against a reference of a few lines: every answer must be its.

Keys are hostile: what a server's language, a pattern or a separator could take for something else. A difference is told with
what was done to its key.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from harness.contract.asking import LONG_MS, Asking, fresh, same
from harness.contract.rule import rule

SEED = 20_260_101
ROUNDS, STEPS = 40, 30
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
HOSTILE_IDS = (
    *("x", "x:h", "a:b", "*", "_", "%", "?[x]", "\\", "two\nlines", "\r\n$3\r\nfoo\r\n"),
    *(" ", "ключ", "🔑", "'; DEL", "{x}", "\x01\x7f"),
)
ODD_VALUES = ("", "0", "-0", "1", "-1", "01", "+1", " 1", "1 ", "1.0", "1e3", "0x1", "--1", "-", "1\n", "٣", "\r\n", "\u2028")
EDGES = (2**53, 2**53 + 1, INT64_MAX, INT64_MAX + 1, INT64_MIN, INT64_MIN - 1)

State = tuple[str, int] | None
"""Value and version of a key; None = missing."""


class Drawing:
    """What is drawn, from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def value(self) -> str:
        drawn = self.random.randrange(4)
        if drawn == 0:
            return self.random.choice(ODD_VALUES)
        if drawn == 1:
            return str(self.random.choice(EDGES))
        if drawn == 2:
            return str(self.random.randint(INT64_MIN - 2, INT64_MAX + 2))
        return "".join(
            map(chr, (self.random.choice([*range(1, 0x300), *range(0x1F600, 0x1F640)]) for _ in range(self.random.randrange(20))))
        )

    def delta(self) -> int:
        return self.random.choice([0, 1, -1, 2**53 + 1, INT64_MAX, INT64_MIN, self.random.randint(INT64_MIN, INT64_MAX)])

    def ttl(self) -> int | None:
        return self.random.choice([None, LONG_MS])


def sum_of(value: str, delta: int) -> int | None:
    """Add as an increment does; None where the value or the sum is no int64."""
    digits = value.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or (digits[0] == "0" and digits != "0"):
        return None
    return int(value) + delta if all(INT64_MIN <= number <= INT64_MAX for number in (int(value), int(value) + delta)) else None


def _put(state: State, value: str) -> tuple[str, int]:
    return value, state[1] + 1 if state else 1


def _check_and_set(state: State, draw: Drawing) -> tuple[dict[str, Any], Any, State]:
    value = draw.value()
    return {"value": value, "ttl_ms": draw.ttl()}, {"set": state is None}, state or _put(state, value)


def _set(state: State, draw: Drawing) -> tuple[dict[str, Any], Any, State]:
    value = draw.value()
    return {"value": value, "ttl_ms": draw.ttl()}, {}, _put(state, value)


def _delete(state: State, draw: Drawing) -> tuple[dict[str, Any], Any, State]:
    return {}, {"deleted": state is not None}, None


def _increment(state: State, draw: Drawing) -> tuple[dict[str, Any], Any, State]:
    delta = draw.delta()
    found = sum_of(state[0] if state else "0", delta)
    after = state if found is None else _put(state, str(found))
    return {"delta": delta, "ttl_ms": draw.ttl()}, {"value": found}, after


def _compare_and_swap(state: State, draw: Drawing) -> tuple[dict[str, Any], Any, State]:
    value, off = draw.value(), draw.random.choice([0, 0, 0, 1, -1, 7])
    current, version = state or (None, 0)
    after = _put(state, value) if off == 0 else state
    refused = {"swapped": False, "version": version, "value": current}
    answer = {"swapped": True, "version": version + 1, "value": value} if off == 0 else refused
    return {"expected": version + off, "value": value, "ttl_ms": draw.ttl()}, answer, after


def _get(state: State, draw: Drawing) -> tuple[dict[str, Any], Any, State]:
    return {}, {"value": state[0] if state else None}, state


def _get_versioned(state: State, draw: Drawing) -> tuple[dict[str, Any], Any, State]:
    value, version = state or (None, 0)
    return {}, {"value": value, "version": version}, state


STEPS_OF: Mapping[str, Callable[[State, Drawing], tuple[dict[str, Any], Any, State]]] = {
    "check_and_set": _check_and_set,
    "set": _set,
    "delete": _delete,
    "increment": _increment,
    "compare_and_swap": _compare_and_swap,
    "get": _get,
    "get_versioned": _get_versioned,
}
"""By function: from a key's state to the argument, the answer that is right, and the state after it."""


@rule(
    "sequence", "What one client does to keys, one after the other, is answered as a table of values and versions answers.", "", reads=True
)
def sequence(asking: Asking) -> None:
    known = sorted(asking.functions & STEPS_OF.keys())
    for number in range(ROUNDS):
        draw, states, done = Drawing(SEED + number), dict[str, State](), dict[str, list[str]]()
        keys = {id_: fresh(id_) for id_ in HOSTILE_IDS}
        for _ in range(STEPS):
            id_ = draw.random.choice(HOSTILE_IDS)
            f = draw.random.choice(known)
            argument, expected, states[id_] = STEPS_OF[f](states.get(id_), draw)
            done.setdefault(id_, []).append(f"{f}({', '.join(f'{name}={value!r}' for name, value in argument.items())})")
            seen = asking.ask(f, keys[id_], **argument)
            same(f"on the id {id_!r}, {'; '.join(done[id_])}", seen, expected)
