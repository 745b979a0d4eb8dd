"""Histories of several objects of several kinds, keys that are only read, ends that are missing; and what an exact judge says of them.

`python tests/judging/checkers/mixed.py COUNT [SEED]` compares so many of each model with the checks, and of all models mixed.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Any

from simulation import Simulation, brute_force

from harness.judging.checks import judge
from harness.judging.models import MODELS, Object
from harness.judging.models.versioned_register import VersionedRegister
from harness.judging.verdict import Status
from harness.record.history import Event, History, Operation

READ_BY = {"register": "read", "versioned-register": "get", "counter": "get", "dedup": "get"}
STRIDE = 1_000  # between the processes of two keys


@dataclass(frozen=True, slots=True)
class Mixed:
    """A history and whether some execution of correct objects gives what is left of it."""

    history: History
    possible: bool


def mixed(random: Random, model: str | None) -> Mixed:
    """Draw a history of one model, or of all (None)."""
    keys: dict[str, tuple[Object, list[Operation]]] = {}
    for number in range(random.randrange(1, 4)):
        name = model or random.choice(list(MODELS))
        operations = Simulation(
            random, MODELS[name], random.choice((2, 3)), random.choice((0, 0.3)), random.choice((0, 0, 0.3, 1)), refusals=False
        ).run(random.randrange(1, 6))
        keys[f"k{number}"] = MODELS[name], [moved(each, f"k{number}", number) for each in operations]
    if (model or random.choice(list(READ_BY))) in READ_BY and random.random() < 0.7:
        f = READ_BY[model] if model else random.choice(("get", "get", "read"))
        of = MODELS[model] if model else MODELS["register"] if f == "read" else VersionedRegister()
        keys["only read"] = of, only_read(random, f, len(keys))
    events = interleaved(random, [operations for _, operations in keys.values()])
    if cut := random.random() < 0.2:
        events = events[: random.randrange(len(events) + 1)]
    history = History(tuple(events), complete=not cut and random.random() < 0.8, torn=cut and random.random() < 0.5)
    left: dict[str | None, list[Operation]] = {}
    for operation in history.operations():
        left.setdefault(operation.key, []).append(operation)
    return Mixed(history, all(brute_force(keys[str(key)][0], operations) for key, operations in left.items()))


def moved(operation: Operation, key: str, number: int) -> Operation:
    """Give an operation another key, and a process of its own."""
    return Operation(
        **{
            **{name: getattr(operation, name) for name in operation.__struct_fields__},
            "key": key,
            "process": operation.process + number * STRIDE,
        }
    )


def only_read(random: Random, f: str, number: int) -> list[Operation]:
    """Give reads, one after the other, of a key that nobody writes."""
    found = []
    for n in range(random.randrange(1, 4)):
        seen = random.choice((None, None, "7"))
        status: Any = random.choice(("ok", "ok", "ok", "fail"))
        answer = (seen if f == "read" else {"value": seen}) if status == "ok" else None
        argument = None if f == "read" else {}
        common = {"process": number * STRIDE, "f": f, "key": "only read", "argument": argument, "result": answer}
        found.append(Operation(index=2 * n, status=status, start=2 * n, end=2 * n + 1, end_index=2 * n + 1, **common))
    return found


def interleaved(random: Random, keys: list[list[Operation]]) -> list[Event]:
    """Give the events of all keys, each key's in their own order."""
    streams = [sorted((event for operation in operations for event in both(operation)), key=lambda event: event[0]) for operations in keys]
    events: list[Event] = []
    while any(streams):
        stream = random.choice([each for each in streams if each])
        _, fields = stream.pop(0)
        events.append(Event(index=len(events), time=len(events), **fields))
    return events


def both(operation: Operation) -> list[tuple[int, dict[str, Any]]]:
    """Give invocation and completion of an operation, with their places."""
    common = {"process": operation.process, "f": operation.f, "key": operation.key}
    ended = operation.end_index if operation.end_index is not None else operation.gave_up
    assert ended is not None
    result = operation.result
    if operation.f in ("acquire", "release") or operation.status != "ok":
        result = None
    return [
        (operation.index, {**common, "type": "invoke", "value": operation.argument}),
        (ended, {**common, "type": operation.status, "value": result}),
    ]


def wrong(drawn: Mixed, model: str | None) -> str | None:
    """Say how the checks are wrong about a history, None if they are not."""
    status = judge(drawn.history, model, 60).status
    if status is Status.VALID and not drawn.possible:
        return "valid, though impossible"
    if status is Status.INVALID and drawn.possible:
        return "invalid, though possible"
    if status is Status.VALID and not drawn.history.complete:
        return "valid, though its end is missing"
    if status is Status.UNKNOWN and not drawn.possible:
        return "unknown, though impossible"
    return None


def main(count: int, seed: int) -> None:
    """Compare so many histories of each model, and mixed."""
    for model in [None, *MODELS]:
        found: Counter[str] = Counter()
        for number in range(count):
            drawn = mixed(Random(seed + number), model)
            said = wrong(drawn, model)
            found[said or str(judge(drawn.history, model, 60).status)] += 1
            if said:
                print(model, seed + number, said)
        print(model or "mixed", dict(found), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
