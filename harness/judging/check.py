"""A check as one value: what it judges, how, and which classes of anomalies it finds.

Whatever else names a check derives it from here: the class that belongs to it, the workloads that it judges, the gates that only
it can count, the words for what it found. Found through the entry points `holdwater.checks`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cache

from harness import registry
from harness.errors import UsageError
from harness.judging.family import Family, every_family
from harness.judging.kind import LAST, Kind
from harness.judging.model import Model
from harness.judging.verdict import Verdict
from harness.record.history import Effect, Event, History

__all__ = ["Budget", "Check", "Kind", "Terms", "check_of", "every_check", "families_of", "functions_of", "workloads_of"]


@dataclass(frozen=True, slots=True)
class Budget:
    """What a search may spend: seconds in all, configurations and remembered ones (about 250 bytes each) a key."""

    time_s: float = 60.0
    steps: int = 50_000_000
    entries: int = 5_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a check is given beside the history. `models` are initial states that are not their families' own, by family.

    `bound_ns` is the bound of the claims that are judged, None where there is none. `requested` are the checks on request whose classes
    a claim counts. `family` is the one whose keys the history holds,
    None for a whole trial.
    """

    budget: Budget = Budget()
    models: Mapping[str, Model] = field(default_factory=dict)
    bound_ns: int | None = None
    requested: frozenset[str] = frozenset()
    family: Family | None = None

    @property
    def model(self) -> Model:
        """Give the family's model in the state in which it began."""
        assert self.family is not None
        model = self.models.get(self.family.name, self.family.model)
        assert model is not None
        return model


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A property of histories. `judge` says whether one has it, with anomalies of `kinds` where it has not.

    `families` are the families whose keys it is given, each family by itself; with `rest` also each that is judged for linearizability.
    Without either it is given whole trials of runs.
    `beside`: it is also given the operations by these functions on keys of other families, which stay their own checks'.
    `wanted`: it is given those keys only (or trials) on which one of these functions was used; `picks`: and of those keys only the ones
    that it says, by their events.
    `effects`: it is given trials only of runs that have one fault with all of these effects (`harness.record.event.Effect`).
    `needs_bound`: only where a claim sets a bound. `on_request`: only where a claim counts its classes, since what it finds keeps the
    contract, and is a finding all the same: it takes no operation off the hands of the others.
    `gates` are counts that only it can give, by the name that a claim asks for.
    """

    name: str
    sentence: str
    kinds: tuple[Kind, ...]
    judge: Callable[[History, Terms], Verdict]
    families: tuple[str, ...] = ()
    rest: bool = False
    beside: frozenset[str] = frozenset()
    wanted: frozenset[str] = frozenset()
    picks: Callable[[Sequence[Event]], bool] | None = None
    effects: frozenset[Effect] = frozenset()
    needs_bound: bool = False
    on_request: bool = False
    gates: Mapping[str, Callable[[History, Terms], int]] = field(default_factory=dict)

    def takes(self, events: Sequence[Event], used: Set[str]) -> bool:
        """Say whether it is given a key with these events and functions used."""
        return (not self.wanted or not self.wanted.isdisjoint(used)) and (self.picks is None or self.picks(events))

    @property
    def whole(self) -> bool:
        """Say whether it is given whole trials."""
        return not self.families and not self.rest

    @property
    def needs_fault(self) -> bool:
        """Say whether it can judge nothing of a run without a fault: there no planted bug shows that it works."""
        return bool(self.effects) or self.needs_bound


@cache
def every_check() -> Mapping[str, Check]:
    """Give the installed checks by name: the worst kind first. Raise UsageError where one names a family that there is not."""
    found: list[Check] = [registry.load("checks", name) for name in registry.names("checks")]
    for check in found:
        for name in check.families:
            if name not in every_family():
                raise UsageError(f"check {check.name} judges the family {name!r}, {registry.nearest(name, every_family())}")
    return {
        check.name: check for check in sorted(found, key=lambda check: (min((kind.rank for kind in check.kinds), default=LAST), check.name))
    }


def check_of(kind: str) -> Check | None:
    """Give the check that finds a class of anomalies, None where none is installed."""
    return next((check for check in every_check().values() if kind in {each.name for each in check.kinds}), None)


@cache
def workloads_of(check: str) -> tuple[str, ...]:
    """Give the installed workloads that a check judges: those that name it."""
    return tuple(name for name in registry.names("workloads") if check in registry.load("workloads", name).checks)


def families_of(check: Check) -> list[Family]:
    """Give the families whose keys a check is given."""
    return [family for family in every_family().values() if family.name in check.families or (check.rest and family.linearizable)]


def functions_of(check: Check) -> frozenset[str]:
    """Give the functions that a check takes: those of its families."""
    return frozenset().union(*(family.functions for family in families_of(check)))
