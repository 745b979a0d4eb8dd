"""Certificates: carry an order out again, step by step, with nothing but the model and the definition."""

from __future__ import annotations

from collections.abc import Sequence

from harness.judging.model import Model
from harness.record.history import Operation


def replay(model: Model, operations: Sequence[Operation], witness: Sequence[int]) -> str | None:
    """Say what is wrong with a witness (operation indices in order), None if it proves the history linearizable.

    Every answered operation stands in it once and every unanswered one at most once, each step is legal, and
    none stands after one that was invoked when it had already returned. O(n).
    """
    by_index = {operation.index: operation for operation in operations if operation.status != "fail"}
    placed = set(witness)
    if len(placed) != len(witness):
        return "an operation stands twice in the witness"
    missing = [operation.index for operation in operations if operation.status == "ok" and operation.index not in placed]
    if missing:
        return f"operation {missing[0]} was answered and is not in the witness"
    states = {model}
    latest = -1
    for index in witness:
        if index not in by_index:
            return f"operation {index} of the witness is none of the history"
        operation = by_index[index]
        if operation.end_index is not None and operation.end_index < latest:
            return f"operation {index} returned before event {latest}, the invocation of one that stands before it"
        latest = max(latest, operation.index)
        states = {after for state in states for after in state.step(operation)}
        if not states:
            return f"operation {index} is impossible at its place"
    return None
