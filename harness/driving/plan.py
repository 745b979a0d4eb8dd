"""A plan: what a run does, as data. One episode is one trial's timeline, from quiet to settled.

    steady        begin   active              healing  healed   settled
      |--- quiet ---|------------ fault ----------|--- (heal) ----|--- after ---|- final reads -|
        quiet_s       fault_s, from begin to healing                 after_s

In a schedule each fault has a begin and a healing of its own.

A plan is all that a seed needs to draw the same operations again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec

from harness.errors import UsageError

LONGEST_S = 3600


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """A fault and whom it meets: "pause:replica". The default target is the primary of that moment.

    In a schedule also when: it begins `at_s` after the steady state, and is healed `lasts_s` later: "pause:replica@2+1.5".
    """

    name: str
    target: str = "primary"
    at_s: float | None = None
    lasts_s: float | None = None

    def __post_init__(self) -> None:
        for name in ("at_s", "lasts_s"):
            value = getattr(self, name)
            if value is not None and not _is_time(value):
                raise UsageError(f"{name} {value!r} of fault {self.name}, expected seconds from 0 to {LONGEST_S}")

    @classmethod
    def parse(cls, text: str) -> FaultSpec:
        """Read NAME, NAME:TARGET, and either with @START or @START+LENGTH; raise UsageError on an unknown target or no time."""
        whom, at, when = text.partition("@")
        name, colon, target = whom.partition(":")
        if colon and target not in ("primary", "replica"):
            raise UsageError(f"target {target!r} of fault {text!r}, expected primary or replica")
        start, plus, length = when.partition("+")
        return cls(name, target or "primary", _seconds(start, text) if at else None, _seconds(length, text) if plus else None)

    @property
    def whom(self) -> str:
        """Name the fault and whom it meets, as a history does."""
        return self.name if self.target == "primary" else f"{self.name}:{self.target}"

    @property
    def end_s(self) -> float:
        """Give when its healing begins, in seconds after the steady state; 0 without a time."""
        return (self.at_s or 0.0) + (self.lasts_s or 0.0)

    def __str__(self) -> str:
        at = "" if self.at_s is None else f"@{self.at_s:g}"
        return f"{self.whom}{at}" + ("" if self.lasts_s is None else f"+{self.lasts_s:g}")


def _seconds(text: str, fault: str) -> float:
    try:
        if "_" not in text and _is_time(value := float(text)):
            return value
    except ValueError:
        pass
    raise UsageError(f"time {text!r} of fault {fault!r}, expected seconds from 0 to {LONGEST_S}, such as cut@2+3")


def _is_time(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, (int, float)) and 0 <= value <= LONGEST_S


@dataclass(frozen=True, slots=True)
class Episode:
    """One trial. With `grants`, the fault waits until so many anchors were granted (and 5 s at most), and with it all of a schedule.

    Its faults begin together after `quiet_s` and are healed together `fault_s` later; or all have times of their own, a schedule: then
    `quiet_s` is when the first one begins, and `fault_s` reaches from there to the healing of the last one.
    """

    faults: tuple[FaultSpec, ...] = ()
    quiet_s: float = 2.0
    fault_s: float = 2.0
    after_s: float = 1.0
    grants: int = 0

    def __post_init__(self) -> None:
        for name in ("quiet_s", "fault_s", "after_s"):
            value = getattr(self, name)
            if not _is_time(value):
                raise UsageError(f"{name} {value!r}, expected seconds from 0 to {LONGEST_S}")
        if self.scheduled and (without := [spec for spec in self.faults if spec.at_s is None or spec.lasts_s is None]):
            raise UsageError(f"fault {without[0]} of a schedule, expected one with a start and a length, such as {without[0].name}@2+3")

    @property
    def scheduled(self) -> bool:
        """Say whether its faults have times of their own."""
        return any(spec.at_s is not None for spec in self.faults)

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
