"""A model: the sequential specification of one object, as an immutable value that is its own state.

One definition serves three ends: the linearizability search asks which states an operation may
lead to, tests drive it as a fake system, explanations print it. An unknown result is a property
of the operation (`status`), never a None in its place: the gap of Knossos, where a completed read
of nil is always legal.

Sources: Herlihy and Wing, TOPLAS 1990, section 2.3; Stateright's SequentialSpec.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, Self

from harness.record.history import Operation


class Model(Protocol):
    """A hashable state of the object; equal states are interchangeable."""

    def step(self, operation: Operation) -> Iterable[Self]:
        """Give every state that the operation may lead to, none if its result is impossible here.

        An `info` operation has any result; raise MalformedHistory on an f that the model lacks.
        """
        ...

    def apply(self, f: str, argument: Any) -> tuple[Self, Any]:
        """Give the next state and the result, as a perfect system would."""
        ...
