"""A violation of linearizability in one sentence: what was seen, what may have been there, and what cannot explain it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from harness.judging.checkers.shrink import Core
from harness.record.history import Operation

STATES_LISTED = 5
NS_PER_S = 1_000_000_000


class Reaching(Protocol):
    """How far a search got: `reached` of `total` completions placed, and the one that no order found so far gets past."""

    @property
    def reached(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def standing(self) -> Operation | None: ...


def explain(core: Core, states: Sequence[str] | None) -> str:
    """Say what contradicts what; `states` are all that may have been there when the culprit returned, None if not known."""
    what = phrase(core.culprit)
    if states is None:
        text = f"{what} fits no order of what was seen before"
    elif len(states) == 1:
        text = f"{what} does not fit the only possible state {states[0]}"
    else:
        text = f"{what} fits none of the possible states {{{_listed(states)}}}"
    before = [operation for operation in core.answered if operation.index != core.culprit.index]
    if core.anchor is not None:
        before.insert(0, core.anchor)
    if 0 < len(before) <= 2:
        text += f", given {' and '.join(map(phrase, before))}"
    return text + _excuses(core)


def _listed(states: Sequence[str]) -> str:
    more = f", and {len(states) - STATES_LISTED:,} more" if len(states) > STATES_LISTED else ""
    return ", ".join(states[:STATES_LISTED]) + more


def _excuses(core: Core) -> str:
    widest = core.wider[0] if core.wider else core
    count = sum(operation.status == "info" for operation in widest.operations)
    if count == 1:
        return "; the one operation unanswered by then cannot explain it"
    return f"; none of the {count:,} operations unanswered by then can explain it" if count else ""


def phrase(operation: Operation) -> str:
    """Give an operation in words: `read -> 5 by process 3 [1.200 s, 1.205 s]`."""
    argument, lasts = operation.argument, ""
    if isinstance(argument, Mapping):
        lasts = f" for {argument['ttl_ms']} ms" if argument.get("ttl_ms") is not None else ""
        argument = {name: value for name, value in argument.items() if name != "ttl_ms"}
    asked = "" if argument is None else words(argument) + lasts
    answer = words(operation.result) if operation.status == "ok" and operation.f not in ("write", "set", "acquire", "release") else ""
    call = operation.f + (f" {asked}" if asked else "") + (f" -> {answer}" if answer else "")
    return f"{call} by process {operation.process} {when(operation)}"


def words(value: Any) -> str:
    """Give a recorded value shortly: of a map the values with their names, of a single one the value."""
    if isinstance(value, Mapping):
        if len(value) == 1:
            return words(next(iter(value.values())))
        return ", ".join(f"{name} {words(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return f"[{' '.join(map(words, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f'"{value}"' if isinstance(value, str) else str(value)


def when(operation: Operation) -> str:
    """Give its interval in seconds; in events where the history has no times of its own (`harness.record.foreign`)."""
    if operation.start == operation.index and operation.end == operation.end_index:
        end = "" if operation.end_index is None else f"{operation.end_index}"
        return f"[events {operation.index}, {end}]"
    end = "" if operation.end is None else f"{operation.end / NS_PER_S:.3f} s"
    return f"[{operation.start / NS_PER_S:.3f} s, {end}]"


def counted(n: int, one: str, many: str | None = None) -> str:
    """Say a number of things: 1 key, 1,204 keys."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def how_far(reason: str | None, steps: int, search: Reaching | None) -> str:
    """Say why an object is undecided, and how far its search got."""
    if search is None:
        return f"undecided: {reason}"
    where = f", up to {phrase(search.standing)}" if search.standing else ""
    placed = f"{search.reached:,} of {counted(search.total, 'completion')} placed"
    return f"undecided: {reason}; {counted(steps, 'step')}, {placed}{where}"
