"""A mutex that is owned: the process that acquires it releases it.

Herlihy and Wing's lock with an owner, for foreign histories: `acquire` and `release` with null values,
`ok` = done. A refused or timed-out acquire is recorded there as `fail` and tells nothing. Locks that
expire are leases (`harness.judging.checkers.lease`), not mutexes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.judging.family import Family
from harness.record import fields
from harness.record.history import Operation


@dataclass(frozen=True, slots=True)
class Mutex:
    """The process that holds it, None = free."""

    owner: int | None = None

    name: ClassVar[str] = "mutex"
    functions: ClassVar[frozenset[str]] = frozenset({"acquire", "release"})
    opaque: ClassVar[bool] = False

    def step(self, operation: Operation) -> tuple[Mutex, ...]:
        f, process, answered = self.identity(operation)
        if f == "acquire" and self.owner is None:
            return (Mutex(process),)
        if f == "release" and self.owner == process:
            return (Mutex(),)
        return () if answered else (self,)

    def identity(self, operation: Operation) -> tuple[str, int, bool]:
        if operation.f not in self.functions:
            raise fields.unknown_function(operation, self.name, self.functions)
        return operation.f, operation.process, operation.status == "ok"

    def observes(self, operation: Operation) -> bool:
        return False

    def after(self, operation: Operation) -> Mutex | None:
        return Mutex(operation.process) if operation.f == "acquire" else Mutex()

    def apply(self, f: str, argument: Any) -> tuple[Mutex, Any]:
        """Give the next state and true, or this one and false where it must wait; `argument` is the process."""
        if f == "acquire":
            return (Mutex(argument), True) if self.owner is None else (self, False)
        return (Mutex(), True) if self.owner == argument else (self, False)

    def __str__(self) -> str:
        return "free" if self.owner is None else f"held by process {self.owner}"


MUTEX = Family(
    name=Mutex.name,
    sentence="a lock without a lease, owned by the process that acquires",
    functions=Mutex.functions,
    marks=Mutex.functions,
    rank=70,
    model=Mutex(),
)
