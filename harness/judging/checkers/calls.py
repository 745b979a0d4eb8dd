"""Calls on locks: what each client asked, and what it was answered, read from a history.

The owner token stands in every invocation, so that an answer that never came still has its owner.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import NoneType
from typing import Any

from harness.record.fields import malformed, shown
from harness.record.history import Operation

NS_PER_S = 1_000_000_000
ACQUISITIONS = frozenset({"try_acquire", "acquire_within"})
FUNCTIONS = ACQUISITIONS | {"extend", "release", "is_held"}
"""The vocabulary of f that the lease rules read; every other operation is another checker's."""


@dataclass(frozen=True, slots=True)
class Call:
    """An operation on a lock; `answer` is None and `end` too where it may yet take effect."""

    index: int
    process: int
    f: str
    key: str | None
    owner: str
    start: int
    end: int | None
    answer: bool | None
    span_ms: int
    token: int | None
    node: str | None

    @property
    def ended(self) -> int:
        """The completion of an answered call."""
        assert self.end is not None
        return self.end


_ANSWERS = {"try_acquire": "granted", "acquire_within": "granted", "extend": "held", "release": "released", "is_held": "held"}
_SPANS = {"try_acquire": "ttl_ms", "acquire_within": "ttl_ms", "extend": "duration_ms"}


def call_of(operation: Operation) -> Call:
    """Read an operation of FUNCTIONS; raises MalformedHistory where it lacks its owner, span or answer."""
    span = _SPANS.get(operation.f)
    answered = operation.status == "ok"
    token = operation.result.get("fencing_token") if answered and isinstance(operation.result, dict) else None
    if type(token) not in (int, NoneType):
        raise malformed(operation, f"fencing_token {shown(token)}, expected an integer or null", "result")
    return Call(
        index=operation.index,
        process=operation.process,
        f=operation.f,
        key=operation.key,
        owner=_field(operation, "argument", "owner", str),
        start=operation.start,
        end=operation.end,
        answer=_field(operation, "result", _ANSWERS[operation.f], bool) if answered else None,
        span_ms=_field(operation, "argument", span, int) if span else 0,
        token=token,
        node=operation.node,
    )


def _field(operation: Operation, place: str, name: str, kind: type[Any]) -> Any:
    record = getattr(operation, place)
    value: Any = record.get(name) if isinstance(record, dict) else None
    if not isinstance(value, kind) or (kind is int and (isinstance(value, bool) or value < 1)):
        wanted = "a whole number of 1 or more" if kind is int else f"of type {kind.__name__}"
        raise malformed(operation, f"{place} {shown(record)}, expected {name} {wanted}", place)
    return value


# Words


def indices_of(*indices: int) -> tuple[int, ...]:
    """Give the indices that an anomaly names: each once, ascending."""
    return tuple(sorted(set(indices)))


def at_s(time: int) -> str:
    """Write an instant in seconds."""
    return f"{time / NS_PER_S:.3f} s"


def between_s(call: Call) -> str:
    """Write the interval of an answered call in seconds."""
    return f"{at_s(call.start)} and {at_s(call.ended)}"


def who_asked(call: Call) -> str:
    """Name the owner token, and the process that used it."""
    return f"{call.owner} (process {call.process})"
