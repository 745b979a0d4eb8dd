"""An operation: an invocation paired with its completion. What checkers judge.

Sources: Herlihy and Wing, Linearizability, TOPLAS 1990, section 2 (invocation, response, history);
Jepsen's history (process, type, f, value), with its rule that an `info` retires the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import msgspec

from harness.record.event import Event, MalformedHistory


class Operation(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An invocation paired with its completion.

    `index` and `end_index` order operations; `start` and `end` are nanoseconds. `end` and
    `end_index` are None where the operation may yet take effect (`info`, or never completed);
    `gave_up` is then the time at which its client stopped waiting, None if it never did.
    """

    index: int
    process: int
    f: str
    key: str | None
    argument: Any
    status: Literal["ok", "fail", "info"]
    result: Any = None
    start: int
    end: int | None = None
    end_index: int | None = None
    gave_up: int | None = None
    node: str | None = None
    error: str | None = None


def split(operations: Iterable[Operation]) -> dict[str | None, list[Operation]]:
    """Group operations by key, keys in order of first use.

    Sound for linearizability: it is local (Herlihy and Wing 1990, theorem 1).
    """
    groups: dict[str | None, list[Operation]] = {}
    for operation in operations:
        groups.setdefault(operation.key, []).append(operation)
    return groups


def pair(events: Sequence[Event]) -> list[Operation]:
    """Pair client invocations with their completions; raise MalformedHistory where they do not fit."""
    return [_operation(invoke, completion) for invoke, completion in pairs(events, lambda n: n + 1)]


def _operation(invoke: Event, completion: Event | None) -> Operation:
    status: Literal["ok", "fail", "info"] = "info"
    if completion is not None and completion.type != "invoke":
        status = completion.type
    answered = completion is not None and status != "info"
    return Operation(
        index=invoke.index,
        process=int(invoke.process),
        f=invoke.f,
        key=invoke.key,
        argument=invoke.value,
        status=status,
        result=completion.value if completion is not None and status == "ok" else None,
        start=invoke.time,
        end=completion.time if completion is not None and answered else None,
        end_index=completion.index if completion is not None and answered else None,
        gave_up=completion.time if completion is not None and not answered else None,
        node=completion.node if completion is not None else None,
        error=completion.error if completion is not None else None,
    )


def pairs(events: Sequence[Event], line_of: Callable[[int], int], source: str = "history") -> list[tuple[Event, Event | None]]:
    """Give each invocation with its completion, None where it has none; `line_of` names the line of an event by its place."""
    open_: dict[int, int] = {}  # process -> place of its pair
    retired: set[int] = set()
    found: list[tuple[Event, Event | None]] = []
    for position, event in enumerate(events):
        if not isinstance(event.process, int):
            continue
        process = event.process
        if event.type == "invoke":
            if process in open_:
                raise MalformedHistory(
                    f"process {process} invokes {event.f} while its {found[open_[process]][0].f} is open", line_of(position), source
                )
            if process in retired:
                raise MalformedHistory(f"process {process} invokes {event.f} after an info retired it", line_of(position), source)
            open_[process] = len(found)
            found.append((event, None))
            continue
        if process not in open_:
            raise MalformedHistory(f"process {process} completes {event.f} without an invocation", line_of(position), source)
        place = open_.pop(process)
        invoke = found[place][0]
        if (invoke.f, invoke.key) != (event.f, event.key):
            raise MalformedHistory(
                f"process {process} completes {event.f} on {event.key!r}, expected {invoke.f} on {invoke.key!r}", line_of(position), source
            )
        if event.type == "info":
            retired.add(process)
        found[place] = (invoke, event)
    return found
