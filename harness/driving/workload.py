"""A workload: what clients do, which checks judge it, and who is at work beside the clients.

A value, as a fault is. What a workload needs beside its generators (a record that locks protect, a meter) is its *attendant*:
it lives as long as the run, stands before each client, and is told of each operation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.driving.client import Client
from harness.driving.generator import Generator
from harness.driving.system import Need
from harness.record.history import Event
from harness.record.journal import Journal
from harness.registry import nearest
from harness.shape import held

OF_A_RUN = frozenset(
    {"variant", "mutant", "rate", "concurrency", "weight", "deadline_s", "quiet_s", "fault_s", "after_s", "grants"},
)
"""Names of options that every run has: a workload's are others."""
WORD = re.compile(r"t\d+-([a-z]+)")
"""A key, up to the word that says whose it is."""


def _nothing() -> None:
    """Do nothing."""


def _same(client: Client) -> Client:
    return client


def _no_wait(slot: int, stopped: Callable[[], bool]) -> None:
    """Let the slot go on."""


def _unheard(slot: int, invoke: Event, completion: Event) -> None:
    """Take no notice."""


def _none(event: Event) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Attendant:
    """Who is at work beside the clients of a run, from `start` to `stop`, which is idempotent; each part does nothing unless given.

    `client` stands before each client that is made. `before` is called by a slot before each invocation and may let it wait, but ends
    soon after `stopped` says so; `after` is told how the operation ended. `steady` is called at the steady state of each trial, before
    any operation. `clients` is what a fault on clients is handed in place of a system, such as `harness.driving.system.PausesClients`.
    All are called by several threads.
    """

    start: Callable[[], None] = _nothing
    stop: Callable[[], None] = _nothing
    steady: Callable[[], None] = _nothing
    client: Callable[[Client], Client] = _same
    before: Callable[[int, Callable[[], bool]], None] = _no_wait
    after: Callable[[int, Event, Event], None] = _unheard
    clients: Any = None


@dataclass(frozen=True, slots=True)
class Attended:
    """The run that an attendant is made for: its journal, the options of the workload, and the workload's own mutant that is planted.

    What it records in the journal are the nemesis' events: from `steady` on, and without a field `phase`, which is a fault's.
    """

    journal: Journal
    options: Mapping[str, Any]
    mutant: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A generator for each slot, and the checks that judge what it drove, by name.

    It drives its `functions`, and those `optional` ones that the backend offers; `answers` are those of its functions that its attendant
    answers, and no backend. `options` are its options with their defaults, which are of their type; `least` and `most` bound them where
    0 and a million (of milliseconds, a day) do not. `generator` gives what a slot begins a trial with, of the options and the functions
    that there are.

    `keys` are the words that its keys begin with, behind `context.prefix` and "-", and no other's. `counted` are the functions by which
    its share of a trial is counted (default: all of its own); of those that a workload beside it drives too, only the ones on its keys.
    `anchors` says whether a completion is one for which a fault may be made to wait (`Episode.grants`). `offers` is what faults need and
    its attendant has.
    `mutants` are planted bugs of its own, with a sentence each.
    """

    name: str
    sentence: str
    functions: frozenset[str]
    checks: tuple[str, ...]
    generator: Callable[[Mapping[str, Any], frozenset[str]], Generator]
    options: Mapping[str, Any] = field(default_factory=dict)
    least: Mapping[str, float] = field(default_factory=dict)
    most: Mapping[str, float] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    answers: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    counted: frozenset[str] = frozenset()
    anchors: Callable[[Event], bool] = _none
    attend: Callable[[Attended], Attendant] | None = None
    offers: frozenset[Need] = frozenset()
    mutants: Mapping[str, str] = field(default_factory=dict)

    def driven(self, offered: frozenset[str]) -> frozenset[str]:
        """Give the functions that it drives on a backend that offers these."""
        return self.functions | (self.optional & offered)

    def begin(self, given: Mapping[str, Any], offered: frozenset[str]) -> Generator:
        """Give a slot's generator: the options that were given, the defaults of the others, and what the backend offers."""
        found = self.generator({**self.options, **given}, self.driven(offered))
        return held(found, Generator, f"what the generator of workload {self.name} gave", self.generator)

    def attendant(self, attended: Attended) -> Attendant:
        """Give who is at work beside the clients of a run."""
        if self.attend is None:
            return Attendant()
        return held(self.attend(attended), Attendant, f"what attend of workload {self.name} gave", self.attend)

    @property
    def flaw(self) -> str | None:
        """Say which option cannot be one, None if all can."""
        for name, default in self.options.items():
            if name in OF_A_RUN:
                return f"option {name!r} is one of every run, expected a name of its own"
            if isinstance(default, bool) or not isinstance(default, (int, float)):
                return f"the default of option {name!r} is {default!r}, expected a number"
            if not self.least.get(name, 0) <= default <= self.most.get(name, default):
                return f"the default of option {name!r} is {default!r}, expected one within its bounds"
        for name in [*self.least, *self.most]:
            if name not in self.options:
                return f"{name!r} of least or most is no option, {nearest(name, self.options)}"
        return None

    @property
    def driven_at_most(self) -> frozenset[str]:
        """Give the functions that it drives on a backend that offers all."""
        return self.functions | self.optional

    @property
    def counts(self) -> frozenset[str]:
        """Give the functions by which its share of a trial is counted."""
        return self.counted or self.driven_at_most

    def owns(self, key: str | None) -> bool:
        """Say whether a key is of this workload, as its words tell."""
        found = WORD.match(key) if key is not None else None
        return found is not None and found[1] in self.keys
