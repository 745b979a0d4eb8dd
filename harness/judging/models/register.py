"""A register: one cell that is read, written, and compared and set. Values may be any JSON.

The object of Herlihy and Wing (TOPLAS 1990, section 2.1), with the cas of Jepsen and Knossos. It
speaks two vocabularies: `read`, `write`, `cas` of foreign histories, and our `get` and `set`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

from harness.judging.family import Family
from harness.record import fields
from harness.record.history import Operation


@dataclass(frozen=True, slots=True)
class Register:
    """The cell's value as JSON text; never written = null."""

    value: str = "null"

    name: ClassVar[str] = "register"
    functions: ClassVar[frozenset[str]] = frozenset({"read", "write", "cas", "get", "set"})
    opaque: ClassVar[bool] = True

    def step(self, operation: Operation) -> tuple[Register, ...]:
        answered = operation.status == "ok"
        match self.identity(operation):
            case ("read", seen):
                return (self,) if seen in (self.value, None) else ()
            case ("write", value):
                return (Register(value),)
            case ("cas", expected, new, swapped):
                if answered and swapped != (expected == self.value):
                    return ()
                return (Register(new),) if expected == self.value else (self,)
        raise AssertionError(operation)

    def identity(self, operation: Operation) -> tuple[Any, ...]:
        answered = operation.status == "ok"
        match operation.f:
            case "read":
                return ("read", fields.canonical(operation.result) if answered else None)
            case "get":
                return ("read", fields.canonical(fields.text(operation, "result", "value")) if answered else None)
            case "write":
                return ("write", fields.canonical(operation.argument))
            case "set":
                return ("write", fields.canonical(fields.written(operation)))
            case "cas":
                if not isinstance(operation.argument, list | tuple) or len(operation.argument) != 2:
                    raise fields.malformed(operation, f"argument {fields.shown(operation.argument)}, expected [expected, new]")
                if answered and type(operation.result) is not bool:
                    raise fields.malformed(operation, f"result {fields.shown(operation.result)}, expected true or false", "result")
                expected, new = map(fields.canonical, operation.argument)
                return ("cas", expected, new, operation.result if answered else None)
        raise fields.unknown_function(operation, self.name, self.functions)

    def observes(self, operation: Operation) -> bool:
        return operation.f in ("read", "get") or (operation.f == "cas" and operation.status == "ok" and operation.result is False)

    def after(self, operation: Operation) -> Register | None:
        match self.identity(operation):
            case ("read" | "write", value):
                return Register(value)
            case ("cas", _, new, True):
                return Register(new)
        return None

    def apply(self, f: str, argument: Any) -> tuple[Register, Any]:
        match f:
            case "read":
                return self, msgspec.json.decode(self.value)
            case "get":
                return self, {"value": msgspec.json.decode(self.value)}
            case "write":
                return Register(fields.canonical(argument)), argument
            case "set":
                return Register(fields.canonical(argument["value"])), {}
            case "cas":
                expected, new = map(fields.canonical, argument)
                return (Register(new), True) if expected == self.value else (self, False)
        raise ValueError(f"unknown f {f!r}")

    def __str__(self) -> str:
        return self.value


REGISTER = Family(
    name=Register.name,
    sentence="one value: read, write, cas; also set and get",
    functions=Register.functions,
    marks=frozenset({"read", "write", "cas"}),
    rank=60,
    model=Register(),
)
