"""A plan: what a run does, as data. One episode is one trial's timeline, from quiet to settled.

    steady        begin   active              healing  healed   settled
      |--- quiet ---|------------ fault ----------|--- (heal) ----|--- after ---|- final reads -|
        quiet_s       fault_s, from begin to healing                 after_s

A plan is all that a seed needs to draw the same operations again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec

from harness.errors import UsageError


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """A fault and whom it meets: "pause:replica". The default target is the primary of that moment."""

    name: str
    target: str = "primary"

    @classmethod
    def parse(cls, text: str) -> FaultSpec:
        """Read NAME or NAME:TARGET; raise UsageError on an unknown target."""
        name, colon, target = text.partition(":")
        if colon and target not in ("primary", "replica"):
            raise UsageError(f"target {target!r} of fault {text!r}, expected primary or replica")
        return cls(name, target or "primary")

    def __str__(self) -> str:
        return self.name if self.target == "primary" else f"{self.name}:{self.target}"


@dataclass(frozen=True, slots=True)
class Episode:
    """One trial. With `grants`, the fault waits until so many anchors were granted (and 5 s at most)."""

    faults: tuple[FaultSpec, ...] = ()
    quiet_s: float = 2.0
    fault_s: float = 2.0
    after_s: float = 1.0
    grants: int = 0

    def __post_init__(self) -> None:
        for name in ("quiet_s", "fault_s", "after_s"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 3600:
                raise UsageError(f"{name} {value!r}, expected seconds from 0 to 3600")

    @property
    def seconds(self) -> float:
        """Give the planned length, without what healing and settling take."""
        return self.quiet_s + (self.fault_s if self.faults else 0) + self.after_s


@dataclass(frozen=True, slots=True)
class Plan:
    """A run: what is deployed, what drives it, what is done to it. `rate` is operations a second and slot."""

    backend: str
    variant: str
    workloads: tuple[str, ...]
    episodes: tuple[Episode, ...]
    seed: Annotated[int, msgspec.Meta(ge=0)]
    mutant: str | None = None
    on: str = "local"
    attach: str | None = None
    concurrency: int = 8
    rate: float = 15.0
    deadline_s: float = 0.5
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by workload

    def __post_init__(self) -> None:
        if not isinstance(self.concurrency, int) or not 1 <= self.concurrency <= 256:
            raise UsageError(f"concurrency {self.concurrency!r}, expected a whole number from 1 to 256")
        if not 0 < self.rate <= 100_000:
            raise UsageError(f"rate {self.rate!r}, expected operations a second above 0")
        if not 0 < self.deadline_s <= 60:
            raise UsageError(f"deadline_s {self.deadline_s!r}, expected seconds above 0 and at most 60")
        if not self.episodes:
            raise UsageError("0 trials, expected at least 1")
        if not self.workloads:
            raise UsageError("no workload, expected at least one")
