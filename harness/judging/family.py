"""A family of keys: which object the keys of a history may be, told by the functions used on them.

A history holds several objects, and no key says which it is. A family knows functions, and is recognised by some of them;
of the families that recognise a key the one of the lowest rank takes it. Most families are a sequential model
(`harness.judging.model`), and what is asked of them is that they are linearizable; others, such as leases, have rules of their own.
Found through the entry points `holdwater.models`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations

from harness import registry
from harness.errors import UsageError
from harness.judging.model import Model
from harness.record.history import Event

LAST = 1000
Fields = tuple[tuple[str, ...], tuple[str, ...]]
"""Of a function: the names of what it is asked with, and of what it answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What keys may be: the `functions` that it knows, and the `marks` by which a key is recognised.

    `marked` recognises a key where no function does: by its events, and the functions that had an effect or may have had. `model` is the
    sequential specification in its initial state; unless a check of its own decides it (`searched` false) it is judged for linearizability.
    `node` is the name under which a workload answers its functions itself, so that nobody asks for that node's role; None where servers
    answer. `fields` are those of functions that are nobody else's (`harness.judging.vocabulary` has the interface's): in a stored history
    a field that is none of them is an error. `timed` are further functions that a user who names this family may have on a key: the key is
    then judged over time.
    """

    name: str
    sentence: str
    functions: frozenset[str]
    marks: frozenset[str]
    rank: int = LAST
    model: Model | None = None
    searched: bool = True
    node: str | None = None
    marked: Callable[[Sequence[Event], frozenset[str]], bool] | None = None
    fields: Mapping[str, Fields] = field(default_factory=dict)
    timed: frozenset[str] = frozenset()

    @property
    def linearizable(self) -> bool:
        """Say whether its keys are judged by the search."""
        return self.model is not None and self.searched


@cache
def every_family() -> Mapping[str, Family]:
    """Give the installed families by name, in the order in which they take a key."""
    found: list[Family] = [registry.load("models", name) for name in registry.names("models")]
    for family, other in combinations(found, 2):
        if shared := family.marks & other.marks:
            said = f"model {family.name} is recognised by {', '.join(sorted(shared))}, as model {other.name} is"
            raise UsageError(f"{said}; expected marks of its own, or a check of the other's keys (families)")
    return {family.name: family for family in sorted(found, key=lambda family: (family.rank, family.name))}


@cache
def answered_here() -> frozenset[str]:
    """Give the functions that no server answers, but a workload itself."""
    return frozenset().union(*(family.functions for family in every_family().values() if family.node is not None))


@cache
def nodes_of_ours() -> frozenset[str]:
    """Give the names under which workloads answer themselves: no servers, which have no roles."""
    return frozenset(family.node for family in every_family().values() if family.node is not None)
