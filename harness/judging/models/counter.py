"""A counter: `increment` by a delta, `get`. Missing counts as 0; beyond int64 an increment is refused and changes nothing.

`increment` gives the new value, null = refused ("not an integer": here only where the sum would
overflow, since nothing but increments writes to a counter); `get` gives the text (docs/history.md).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.judging.family import Family
from harness.record import fields
from harness.record.history import Operation

_NUMBER = re.compile("-?[0-9]{1,19}")
SMALLEST, LARGEST = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True)
class Counter:
    """The sum, None = missing."""

    value: int | None = None

    name: ClassVar[str] = "counter"
    functions: ClassVar[frozenset[str]] = frozenset({"increment", "get"})
    opaque: ClassVar[bool] = False

    def step(self, operation: Operation) -> tuple[Counter, ...]:
        asked, answer = self.identity(operation)
        after, result = self._do(asked)
        return (after,) if answer in (None, (result,)) else ()

    def _do(self, delta: int | None) -> tuple[Counter, Any]:
        if delta is None:
            return self, None if self.value is None else str(self.value)
        total = (self.value or 0) + delta
        return (Counter(total), total) if SMALLEST <= total <= LARGEST else (self, None)

    def identity(self, operation: Operation) -> tuple[int | None, tuple[Any, ...] | None]:
        answered = operation.status == "ok"
        match operation.f:
            case "get":
                return None, (fields.text(operation, "result", "value"),) if answered else None
            case "increment":
                delta = fields.integer(operation, "argument", "delta")
                return delta, (self._sum(operation),) if answered else None
        raise fields.unknown_function(operation, self.name, self.functions)

    def _sum(self, operation: Operation) -> int | None:
        refused = isinstance(operation.result, dict) and operation.result.get("value", 0) is None
        return None if refused else fields.integer(operation, "result", "value")

    def observes(self, operation: Operation) -> bool:
        return operation.f == "get" or (operation.status == "ok" and self._sum(operation) is None)

    def after(self, operation: Operation) -> Counter | None:
        match self.identity(operation):
            case (None, (None,)):
                return Counter()
            case (None, (str(value),)):
                return Counter(int(value)) if _NUMBER.fullmatch(value) else None
            case (int(), (int(value),)):
                return Counter(value)
        return None

    def apply(self, f: str, argument: Any) -> tuple[Counter, Any]:
        after, result = self._do(argument["delta"] if f == "increment" else None)
        return after, {"value": result}

    def __str__(self) -> str:
        return "missing" if self.value is None else str(self.value)


COUNTER = Family(
    name=Counter.name,
    sentence="increment and get",
    functions=Counter.functions,
    marks=frozenset({"increment"}),
    rank=30,
    model=Counter(),
)
