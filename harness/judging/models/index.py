"""An index: keys with a time each; a list gives those whose time has come. One member of it is the object: here at a time, or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from harness.judging.family import Family
from harness.record import fields
from harness.record.history import Operation

Act = Literal["enter", "leave", "list"]
TIMEOUT, CHAIN = "timeout", "chain"
ACTS: Mapping[str, tuple[str, Act]] = {
    "index_timeout": (TIMEOUT, "enter"),
    "remove_timeout_index": (TIMEOUT, "leave"),
    "get_expired_timeouts": (TIMEOUT, "list"),
    "index_chain_ready": (CHAIN, "enter"),
    "remove_chain_ready_index": (CHAIN, "leave"),
    "get_ready_chains": (CHAIN, "list"),
}
"""Of each function: the index that it is about, and what it does to it."""
LATEST_MS = 2**53


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of an index: its time in ms, None = not in it.

    It is entered and taken out by operations of the history. A list is here one about this member alone, with the answer
    `{listed}`: true where the member is in it and its time is `now_ms` or before.
    """

    time_ms: int | None = None

    name: ClassVar[str] = "index"
    functions: ClassVar[frozenset[str]] = frozenset(ACTS)
    opaque: ClassVar[bool] = False

    def step(self, operation: Operation) -> tuple[Entry, ...]:
        act, number, listed = self.identity(operation)
        if act == "list":
            return (self,) if listed in (None, self._due(number)) else ()
        return (Entry(number),)

    def _due(self, now_ms: int | None) -> bool:
        return self.time_ms is not None and now_ms is not None and self.time_ms <= now_ms

    def identity(self, operation: Operation) -> tuple[Act, int | None, bool | None]:
        if operation.f not in ACTS:
            raise fields.unknown_function(operation, self.name, self.functions)
        _, act = ACTS[operation.f]
        match act:
            case "enter":
                return act, time_of(operation, "time_ms"), None
            case "leave":
                return act, None, None
        listed = fields.flag(operation, "result", "listed") if operation.status == "ok" else None
        return act, time_of(operation, "now_ms"), listed

    def observes(self, operation: Operation) -> bool:
        return ACTS[operation.f][1] == "list"

    def after(self, operation: Operation) -> Entry | None:
        act, number, _ = self.identity(operation)
        return None if act == "list" else Entry(number)

    def apply(self, f: str, argument: Any) -> tuple[Entry, Any]:
        match ACTS[f][1]:
            case "enter":
                return Entry(argument["time_ms"]), {}
            case "leave":
                return Entry(), {}
        return self, {"listed": self._due(argument["now_ms"])}

    def __str__(self) -> str:
        return "not in the index" if self.time_ms is None else f"there, due at {self.time_ms}"


def time_of(operation: Operation, name: str) -> int:
    """Give a time of an index, 0 to 2**53 ms; raise MalformedHistory on another."""
    found = fields.integer(operation, "argument", name)
    if not 0 <= found <= LATEST_MS:
        raise fields.malformed(operation, f"argument {name} is {found}, expected Unix milliseconds from 0 to 2**53")
    return found


INDEX = Family(
    name=Entry.name,
    sentence="an index of timeouts or of chains that are ready: keys with a time each, listed once it has come",
    functions=Entry.functions,
    marks=Entry.functions,
    rank=25,
    fields={
        "index_timeout": (("key", "time_ms"), ()),
        "remove_timeout_index": (("key",), ()),
        "get_expired_timeouts": (("now_ms",), ("keys",)),
        "index_chain_ready": (("key", "time_ms"), ()),
        "remove_chain_ready_index": (("key",), ()),
        "get_ready_chains": (("now_ms",), ("keys",)),
    },
)
