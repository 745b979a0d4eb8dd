"""A key of the document with all of its functions, and with time: values that expire.

`set`, `check_and_set`, `get`, `get_versioned`, `delete`, `increment`, `compare_and_swap` on one key, each with its TTL. A `Cell` is
what is there at an instant; `perform` is the sequential specification of one operation on it, and says what becomes of the expiry:
a write of `set`, `compare_and_swap` and `check_and_set` replaces it (null clears it), an `increment` sets it anew where it brings a TTL
and keeps it where it brings none, and what writes nothing changes nothing. When a cell ends is not said here, but by the clock
(`harness.judging.checkers.instants`); what has ended is missing, and its versions begin at 1 again.

The family takes the keys that no other can judge: those with a TTL, and those on which functions meet that no plain family has all of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.judging.family import Family
from harness.judging.models.counter import COUNTER, LARGEST, SMALLEST, Counter
from harness.judging.models.dedup import DEDUP
from harness.judging.models.register import REGISTER
from harness.judging.models.versioned_register import VERSIONED_REGISTER, VersionedRegister
from harness.record import fields
from harness.record.history import NEMESIS, Event, Operation

FUNCTIONS = VERSIONED_REGISTER.functions | {"increment"}
TIMED = frozenset({"set", "check_and_set", "compare_and_swap", "increment"})
"""The functions that may bring a TTL."""
PLAIN = (DEDUP, COUNTER, VERSIONED_REGISTER, REGISTER)
"""The families of keys without time."""
LONGEST_MS = 2**53
DIGITS = 20
"""The longest text of an int64: int() of a long one takes quadratic time."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What is there: a value and its version; missing = None and 0."""

    value: str | None = None
    version: int = 0

    def __str__(self) -> str:
        return "missing" if self.value is None else f'"{self.value}" at version {self.version}'


MISSING = Cell()


@dataclass(frozen=True, slots=True)
class Asked:
    """What an operation asks: equal ones do the same in every state. `ttl_ms` is None for no expiry, or where there is none to give."""

    f: str
    value: str | None = None
    number: int = 0  # the delta, or the version expected
    ttl_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What an operation does: the cell after it, its answer, and whether its TTL is set anew (None clears it) or what was there stays."""

    cell: Cell
    answer: tuple[Any, ...]
    renews: bool = False


def asked(operation: Operation) -> Asked:
    """Read what an operation asks; raises MalformedHistory where it is no function of a key, or a value does not fit."""
    match operation.f:
        case "increment":
            return Asked(operation.f, None, fields.integer(operation, "argument", "delta"), ttl_of(operation))
        case "compare_and_swap":
            return Asked(operation.f, fields.written(operation), fields.integer(operation, "argument", "expected"), ttl_of(operation))
        case "set" | "check_and_set":
            return Asked(operation.f, fields.written(operation), 0, ttl_of(operation))
        case "get" | "get_versioned" | "delete":
            return Asked(operation.f)
    raise fields.unknown_function(operation, KEY.name, FUNCTIONS)


def answer(operation: Operation) -> tuple[Any, ...] | None:
    """Read what an operation was answered, None if it was not; raises MalformedHistory where a value does not fit."""
    if operation.status != "ok":
        return None
    found: tuple[Any, ...] | None = (Counter() if operation.f == "increment" else VersionedRegister()).identity(operation)[1]
    return found


def ttl_of(operation: Operation) -> int | None:
    """Give the TTL that an operation brings, None where it brings none; raises MalformedHistory where it is none."""
    ttl_ms = operation.argument.get("ttl_ms") if isinstance(operation.argument, Mapping) else None
    if ttl_ms is not None and (type(ttl_ms) is not int or not 1 <= ttl_ms <= LONGEST_MS):
        raise fields.malformed(operation, f"argument ttl_ms is {fields.shown(ttl_ms)}, expected null or milliseconds from 1 to 2**53")
    return ttl_ms


def perform(cell: Cell, one: Asked) -> Step:
    """Carry an operation out on what is there."""
    match one.f:
        case "get":
            return Step(cell, (cell.value,))
        case "get_versioned":
            return Step(cell, (cell.value, cell.version))
        case "delete":
            return Step(MISSING, (cell.version > 0,))
        case "set":
            return Step(_written(cell, one.value), (), renews=True)
        case "check_and_set":
            return Step(cell, (False,)) if cell.version else Step(_written(cell, one.value), (True,), renews=True)
        case "compare_and_swap":
            if one.number != cell.version:
                return Step(cell, (False, cell.version, cell.value))
            return Step(_written(cell, one.value), (True, cell.version + 1, one.value), renews=True)
    return _incremented(cell, one)


def _written(cell: Cell, value: str | None) -> Cell:
    return Cell(value, cell.version + 1)


def _incremented(cell: Cell, one: Asked) -> Step:
    old = number_of("0" if cell.value is None else cell.value)
    if old is None or not SMALLEST <= old + one.number <= LARGEST:
        return Step(cell, (None,))
    after = _written(cell, str(old + one.number))
    return Step(after, (old + one.number,), renews=one.ttl_ms is not None or cell == MISSING)


def number_of(text: str) -> int | None:
    """Give the int64 that a text is, None if it is none."""
    digits = text.removeprefix("-")
    if len(text) > DIGITS or not (digits.isascii() and digits.isdigit()) or (digits[0] == "0" and digits != "0"):
        return None
    return int(text) if SMALLEST <= int(text) <= LARGEST else None


def changes(operation: Operation) -> bool:
    """Say whether an answered operation changed what is there, or may have."""
    given = answer(operation)
    match operation.f:
        case "get" | "get_versioned":
            return False
        case "increment":
            return given != (None,)
        case "check_and_set" | "delete" | "compare_and_swap":
            return given is not None and given[0]
    return True


def without_versions(step: Step) -> Step:
    """Forget which version is there, where nobody looks at it."""
    return replace(step, cell=Cell(step.cell.value, 1)) if step.cell.version else step


# Which keys


def has_ttl(value: Any) -> bool:
    """Say whether an invocation with this value brings a TTL."""
    return isinstance(value, Mapping) and value.get("ttl_ms") is not None


def needs_time(events: Iterable[Event]) -> bool:
    """Say whether something on a key brought a TTL and had an effect, or may have had one."""
    asking: dict[int | str, bool] = {}
    for event in events:
        if event.process == NEMESIS or event.f not in TIMED:
            continue
        if event.type == "invoke":
            asking[event.process] = has_ttl(event.value)
        elif asking.pop(event.process, False) and event.type != "fail":
            return True
    return any(asking.values())


def _marked(events: Sequence[Event], used: frozenset[str]) -> bool:
    if not used <= FUNCTIONS:
        return False  # its family says what is wrong with it
    return needs_time(events) or not any(used <= family.functions for family in PLAIN)


KEY = Family(
    name="key",
    sentence="a key with any function of the document, or with a TTL: a value, its version, and when it ends",
    functions=FUNCTIONS,
    marks=frozenset(),
    marked=_marked,
    rank=20,
)
