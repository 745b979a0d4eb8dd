"""What may be left out or renamed before the search: rules N and I.

Both hold for models that compare and copy values and never compute with them (`Object.opaque`).

N. A value that no answer and no comparison mentions is renamed to one symbol: legality never looks at it.
I. Register without negative observations (a cas that answers false says only "not a"): an unanswered write or
   cas is kept only if its value is read or expected by an answered operation, closed backwards over unanswered
   cas. Without it the cell keeps the value before, and nobody who looks sees the difference. With "not a"
   observations an unread write can be the explanation, so nothing is dropped.
   Mutex: an unanswered acquire of a process that does nothing afterwards can only be in the way of others.

Both only narrow the search: it then decides exactly the same histories (tests switch each off in turn).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from harness.judging.model import Model
from harness.judging.models import Object
from harness.judging.models.mutex import Mutex
from harness.judging.models.register import Register
from harness.record.fields import canonical
from harness.record.history import Operation


def rename(model: Model, operations: Sequence[Operation]) -> Sequence[Operation]:
    """Apply rule N; O(n)."""
    if not isinstance(model, Object) or not model.opaque or not model.functions >= {operation.f for operation in operations}:
        return operations
    mentioned = {canonical(value) for operation in operations for value in looked_at(operation)}
    symbols: list[Any] = []  # the first value that is not mentioned stands for all of them
    return [_renamed(operation, mentioned, symbols) for operation in operations]


def _renamed(operation: Operation, mentioned: set[str], symbols: list[Any]) -> Operation:
    if not writes(operation):
        return operation
    value = written(operation)
    if canonical(value) in mentioned:
        return operation
    if not symbols:
        symbols.append(value)
    return rewritten(operation, symbols[0])


def needed(model: Model, operations: Sequence[Operation]) -> Sequence[Operation]:
    """Apply rule I; O(n)."""
    if isinstance(model, Mutex):
        return _without_idle_acquires(operations)
    if not isinstance(model, Register) or not plain(operations):
        return operations
    wanted = {canonical(value) for operation in operations if operation.status == "ok" for value in looked_at(operation)}
    swaps = [operation.argument for operation in operations if operation.status == "info" and operation.f == "cas"]
    expected_for: dict[str, set[str]] = {}
    for expected, new in swaps:
        expected_for.setdefault(canonical(new), set()).add(canonical(expected))
    fresh = list(wanted)
    while fresh:
        more = expected_for.get(fresh.pop(), set()) - wanted
        wanted |= more
        fresh += more
    return [
        operation for operation in operations if operation.status == "ok" or (writes(operation) and canonical(written(operation)) in wanted)
    ]


def plain(operations: Iterable[Operation]) -> bool:
    """Say that no operation of a register is a negative observation."""
    return not any(operation.f == "cas" and operation.status == "ok" and operation.result is False for operation in operations)


def _without_idle_acquires(operations: Sequence[Operation]) -> Sequence[Operation]:
    last: dict[int, int] = {}
    for operation in operations:
        last[operation.process] = max(last.get(operation.process, -1), operation.index)
    return [
        operation
        for operation in operations
        if not (operation.f == "acquire" and operation.status == "info" and last[operation.process] == operation.index)
    ]


def writes(operation: Operation) -> bool:
    """Say whether the operation of an opaque model carries a value to be written."""
    return operation.f in ("write", "set", "cas", "compare_and_swap", "check_and_set")


def written(operation: Operation) -> Any:
    """Give the value that a writing operation carries."""
    match operation.f:
        case "write":
            return operation.argument
        case "cas":
            return operation.argument[1]
    return operation.argument["value"]


def looked_at(operation: Operation) -> list[Any]:
    """Give the values that legality compares with: what was read, and what a cas expects."""
    answered = operation.status == "ok"
    match operation.f:
        case "cas":
            return [operation.argument[0]]
        case "read":
            return [operation.result] if answered else []
        case "get" | "get_versioned":
            return [operation.result["value"]] if answered else []
        case "compare_and_swap" if answered:
            own = operation.result["swapped"] and operation.result["value"] == operation.argument["value"]
            return [] if own else [operation.result["value"]]
    return []


def rewritten(operation: Operation, value: Any) -> Operation:
    """Give the operation with another value to write; an answer that repeats the value follows."""
    result = operation.result
    match operation.f:
        case "write":
            return msgspec.structs.replace(operation, argument=value)
        case "cas":
            return msgspec.structs.replace(operation, argument=[operation.argument[0], value])
    argument: Mapping[str, Any] = {**operation.argument, "value": value}
    if (
        operation.f == "compare_and_swap"
        and operation.status == "ok"
        and result["swapped"]
        and result["value"] == operation.argument["value"]
    ):
        result = {**result, "value": value}
    return msgspec.structs.replace(operation, argument=argument, result=result)
