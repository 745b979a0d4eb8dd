"""The models by name: one object a file, each on one screen, each its own immutable state."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import ClassVar, Protocol, Self, runtime_checkable

from harness.judging.model import Model
from harness.judging.models.counter import Counter
from harness.judging.models.dedup import Dedup
from harness.judging.models.mutex import Mutex
from harness.judging.models.register import Register
from harness.judging.models.versioned_register import VersionedRegister
from harness.record.history import Operation


@runtime_checkable
class Object(Model, Protocol):
    """A model that also tells the search what it may skip; without this the search is only slower.

    `functions` are the f that it knows. `opaque`: it copies and compares values and never computes
    with them, so that values nobody looks at may be renamed.
    """

    name: ClassVar[str]
    functions: ClassVar[frozenset[str]]
    opaque: ClassVar[bool]

    def identity(self, operation: Operation) -> Hashable:
        """Give what `step` looks at: operations of one identity do the same in every state. Not a function of the state.

        Raise MalformedHistory where argument or result do not fit the vocabulary.
        """
        ...

    def observes(self, operation: Operation) -> bool:
        """Say that an operation with this answer leaves every state as it is; unanswered: whatever its answer."""
        ...

    def after(self, operation: Operation) -> Self | None:
        """Give the state that an `ok` operation proves to be there right after it, None if it leaves some of it open."""
        ...


MODELS: Mapping[str, Object] = {model.name: model for model in (Register(), VersionedRegister(), Counter(), Mutex(), Dedup())}
"""Each of our models in its initial state; those of third parties are families too (`harness.judging.family`)."""
