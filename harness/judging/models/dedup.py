"""A key for deduplication: `check_and_set` has a single winner, whose value stays; `get`, `get_versioned`.

A sticky register (Plotkin, Sticky Bits and Universality of Consensus, PODC 1989): set once, never deleted,
no expiry. Its only version is 1. Keys that expire or are deleted are judged over time (`harness.judging.models.key`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.judging.family import Family
from harness.record import fields
from harness.record.history import Operation


@dataclass(frozen=True, slots=True)
class Dedup:
    """The winner's value, None = not yet set."""

    value: str | None = None

    name: ClassVar[str] = "dedup"
    functions: ClassVar[frozenset[str]] = frozenset({"check_and_set", "get", "get_versioned"})
    opaque: ClassVar[bool] = True

    def step(self, operation: Operation) -> tuple[Dedup, ...]:
        f, value, answer = self.identity(operation)
        after, result = self._do(f, value)
        return (after,) if answer in (None, result) else ()

    def _do(self, f: str, value: str | None) -> tuple[Dedup, tuple[Any, ...]]:
        if f == "check_and_set":
            return (Dedup(value), (True,)) if self.value is None else (self, (False,))
        return self, (self.value,) if f == "get" else (self.value, 0 if self.value is None else 1)

    def identity(self, operation: Operation) -> tuple[str, str | None, tuple[Any, ...] | None]:
        answered = operation.status == "ok"
        match operation.f:
            case "check_and_set":
                answer = (fields.flag(operation, "result", "set"),) if answered else None
                return operation.f, fields.written(operation), answer
            case "get":
                return operation.f, None, (fields.text(operation, "result", "value"),) if answered else None
            case "get_versioned":
                seen = (fields.text(operation, "result", "value"), fields.integer(operation, "result", "version")) if answered else None
                return operation.f, None, seen
        raise fields.unknown_function(operation, self.name, self.functions)

    def observes(self, operation: Operation) -> bool:
        return operation.f != "check_and_set" or (operation.status == "ok" and not fields.flag(operation, "result", "set"))

    def after(self, operation: Operation) -> Dedup | None:
        match self.identity(operation):
            case ("check_and_set", value, (True,)):
                return Dedup(value)
            case ("get" | "get_versioned", _, (value, *_)):
                return Dedup(value)
        return None

    def apply(self, f: str, argument: Any) -> tuple[Dedup, Any]:
        after, result = self._do(f, argument["value"] if f == "check_and_set" else None)
        names = {"check_and_set": ("set",), "get": ("value",), "get_versioned": ("value", "version")}
        return after, dict(zip(names[f], result, strict=True))

    def __str__(self) -> str:
        return "not set" if self.value is None else f'"{self.value}"'


DEDUP = Family(
    name=Dedup.name,
    sentence="check_and_set has a single winner, whom every later read sees",
    functions=Dedup.functions,
    marks=frozenset({"check_and_set"}),
    rank=50,
    model=Dedup(),
    timed=frozenset({"delete"}),
    searched=False,  # the dedup check decides it, and says who lost what
)
