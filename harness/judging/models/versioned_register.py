"""A versioned register: `set`, `get`, `compare_and_swap` on versions, `check_and_set`, `delete`.

The document's key-value cell without expiry (`guarantees.toml`): versions start at 1, rise by 1 with every
successful write, and start at 1 again after a delete. A conflict shows the state that refused it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.judging.family import Family
from harness.record import fields
from harness.record.history import Operation


@dataclass(frozen=True, slots=True)
class VersionedRegister:
    """Value and version; missing = None and 0."""

    value: str | None = None
    version: int = 0

    name: ClassVar[str] = "versioned-register"
    functions: ClassVar[frozenset[str]] = frozenset({"set", "get", "get_versioned", "compare_and_swap", "delete", "check_and_set"})
    opaque: ClassVar[bool] = True

    def step(self, operation: Operation) -> tuple[VersionedRegister, ...]:
        after, answer = self._do(self._asked(operation))
        if operation.status == "ok" and answer != self._answer(operation):
            return ()
        return (after,)

    def _do(self, asked: tuple[Any, ...]) -> tuple[VersionedRegister, tuple[Any, ...]]:
        match asked:
            case ("get",):
                return self, (self.value,)
            case ("get_versioned",):
                return self, (self.value, self.version)
            case ("set", value):
                return self._write(value), ()
            case ("check_and_set", value):
                return (self, (False,)) if self.version else (self._write(value), (True,))
            case ("compare_and_swap", expected, value):
                if expected != self.version:
                    return self, (False, self.version, self.value)
                return self._write(value), (True, self.version + 1, value)
            case ("delete",):
                return VersionedRegister(), (self.version > 0,)
        raise AssertionError(asked)

    def _write(self, value: str) -> VersionedRegister:
        return VersionedRegister(value, self.version + 1)

    def _asked(self, operation: Operation) -> tuple[Any, ...]:
        match operation.f:
            case "get" | "get_versioned" | "delete":
                return (operation.f,)
            case "set" | "check_and_set":
                return (operation.f, fields.written(operation))
            case "compare_and_swap":
                return (operation.f, fields.integer(operation, "argument", "expected"), fields.written(operation))
        raise fields.unknown_function(operation, self.name, self.functions)

    def _answer(self, operation: Operation) -> tuple[Any, ...]:
        match operation.f:
            case "get":
                return (fields.text(operation, "result", "value"),)
            case "get_versioned":
                return (fields.text(operation, "result", "value"), fields.integer(operation, "result", "version"))
            case "check_and_set":
                return (fields.flag(operation, "result", "set"),)
            case "delete":
                return (fields.flag(operation, "result", "deleted"),)
            case "compare_and_swap":
                swapped = fields.flag(operation, "result", "swapped")
                return (swapped, fields.integer(operation, "result", "version"), fields.text(operation, "result", "value"))
        return ()

    def identity(self, operation: Operation) -> tuple[Any, ...]:
        return self._asked(operation), self._answer(operation) if operation.status == "ok" else None

    def observes(self, operation: Operation) -> bool:
        if operation.f in ("check_and_set", "compare_and_swap", "delete"):
            return operation.status == "ok" and not self._answer(operation)[0]
        return operation.f in ("get", "get_versioned")

    def after(self, operation: Operation) -> VersionedRegister | None:
        match self.identity(operation):
            case (("get_versioned",), (value, version)) | (("compare_and_swap", _, _), (_, version, value)):
                return VersionedRegister(value, version)
            case (("check_and_set", value), (True,)):
                return VersionedRegister(value, 1)
            case (("delete",), _) | (("get",), (None,)):
                return VersionedRegister()
        return None

    def apply(self, f: str, argument: Any) -> tuple[VersionedRegister, Any]:
        match f:
            case "compare_and_swap":
                after, (swapped, version, value) = self._do((f, argument["expected"], argument["value"]))
                return after, {"swapped": swapped, "version": version, "value": value}
            case "set" | "check_and_set":
                after, answer = self._do((f, argument["value"]))
            case _:
                after, answer = self._do((f,))
        names = {"get": ("value",), "get_versioned": ("value", "version"), "check_and_set": ("set",), "delete": ("deleted",), "set": ()}
        return after, dict(zip(names[f], answer, strict=True))

    def __str__(self) -> str:
        return f'"{self.value}" at version {self.version}' if self.version else "missing"


VERSIONED_REGISTER = Family(
    name=VersionedRegister.name,
    sentence="one value with a version: get_versioned, set, compare_and_swap, check_and_set, delete",
    functions=VersionedRegister.functions,
    marks=frozenset({"compare_and_swap", "get_versioned", "set", "delete"}),
    rank=40,
    model=VersionedRegister(),
)
