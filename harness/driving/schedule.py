"""When each fault of a trial begins and is healed, and which faults cannot be proved beside one another.

Written as on the command line: "latency@1+3,cut:replica@2+6,restart@9", each with its start in seconds after the steady
state and, after a plus, its length. Without times all begin together and are healed together.

Refused before anything runs: two faults at once on one part of one node (the healing of either would undo the other, and the
probe of neither would be sure), and a fault on links that begins or is healed while its node is down (its probe asks that node).
A node's role is what names it, so that once a fault may have changed roles "primary" and "replica" may be one node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from harness import registry
from harness.driving.nemesis import Fault
from harness.driving.plan import Episode, FaultSpec
from harness.driving.system import ASKED_OF_THE_NODE, Part
from harness.errors import UsageError

INSTANT_S = 0.001  # after its injection a fault of no length is healed


@dataclass(frozen=True, slots=True)
class Step:
    """What the nemesis does `at_s` after the first fault of the trial: inject these faults of the episode, by number, or heal them."""

    at_s: float
    heals: bool
    numbers: tuple[int, ...]


def read(text: str) -> tuple[FaultSpec, ...]:
    """Read what --fault takes, none where it is empty; a fault without a length gets its own.

    Raises UsageError on an unknown fault, on a comma without one, and where only some have times.
    """
    parts = [part.strip() for part in text.split(",")] if text else []
    if not all(parts):
        raise UsageError(f"faults {text!r}, expected a name before and after each comma")
    specs = [FaultSpec.parse(part) for part in parts]
    faults = [registry.load("faults", spec.name) for spec in specs]
    untimed = [spec for spec in specs if spec.at_s is None]
    if untimed and len(untimed) < len(specs):
        raise UsageError(f"fault {untimed[0]} of {text!r} has no time, expected one such as {untimed[0]}@2+3, as the others have")
    if untimed:
        return tuple(specs)
    return tuple(_with_length(spec, fault) for spec, fault in zip(specs, faults, strict=True))


def _with_length(spec: FaultSpec, fault: Fault) -> FaultSpec:
    if spec.lasts_s == 0 and fault.lasts_s:
        raise UsageError(f"fault {spec} lasts 0 s, expected a length such as {spec.whom}@{spec.at_s:g}+{fault.lasts_s:g}")
    return spec if spec.lasts_s is not None else FaultSpec(spec.name, spec.target, spec.at_s, fault.lasts_s)


def timeline(specs: Sequence[FaultSpec]) -> Mapping[str, float]:
    """Give the `quiet_s` and `fault_s` that a schedule comes to; nothing without times."""
    starts = [spec.at_s for spec in specs if spec.at_s is not None]
    if not starts:
        return {}
    return {"quiet_s": round(min(starts), 3), "fault_s": round(max(spec.end_s for spec in specs) - min(starts), 3)}


def steps(episode: Episode) -> list[Step]:
    """Give what the nemesis does in a trial, in order: at one instant it heals before it injects, the last fault first."""
    if not episode.scheduled:
        every = tuple(range(len(episode.faults)))
        return [*(Step(0.0, False, (number,)) for number in every), Step(episode.fault_s, True, every)]
    found = []
    for number, spec in enumerate(episode.faults):
        start_s = (spec.at_s or 0.0) - episode.quiet_s
        found.append(Step(start_s, False, (number,)))
        found.append(Step(start_s + max(spec.lasts_s or 0.0, INSTANT_S), True, (number,)))
    return sorted(found, key=lambda step: (step.at_s, not step.heals, -step.numbers[0] if step.heals else step.numbers[0]))


# What cannot be proved at once


@dataclass(frozen=True, slots=True)
class _Planned:
    """A fault of an episode: from step `begin` to step `end` it is on; `alone` if it is healed by itself."""

    spec: FaultSpec
    fault: Fault
    begin: int
    end: int
    alone: bool

    def within(self, other: _Planned) -> bool:
        """Say whether it begins, or is healed by itself, while another is on."""
        return other.begin < self.begin < other.end or (self.alone and other.begin < self.end < other.end)


def overlap_refusal(episode: Episode, faults: Mapping[str, Fault]) -> str | None:
    """Say which two faults of an episode cannot be proved beside one another; None if all can."""
    planned = _planned(episode, faults)
    for one, other in combinations(planned, 2):
        moved = any(each.fault.changes_roles and each.begin < max(one.begin, other.begin) for each in planned)
        may_be_one = moved or one.spec.target == other.spec.target
        if may_be_one and (said := _shared(one, other) or _unseen(one, other) or _unseen(other, one)):
            return said
    return None


def _planned(episode: Episode, faults: Mapping[str, Fault]) -> list[_Planned]:
    begin: dict[int, int] = {}
    end: dict[int, int] = {}
    for place, step in enumerate(steps(episode)):
        (end if step.heals else begin).update(dict.fromkeys(step.numbers, place))
    return [_Planned(spec, faults[spec.name], begin[n], end[n], episode.scheduled) for n, spec in enumerate(episode.faults)]


def _shared(one: _Planned, other: _Planned) -> str | None:
    shared = [part for part in Part if part in one.fault.parts & other.fault.parts]
    if not shared or one.end < other.begin or other.end < one.begin:
        return None
    said = f"faults {one.spec} and {other.spec} both meet the {shared[0]} at one time, where neither can be proved"
    return f"{said}; expected one after the other, such as cut@1+2,pause@4+2"


def _unseen(link: _Planned, down: _Planned) -> str | None:
    """Say that a fault whose probe asks its node begins or is healed while that is down, where it cannot be proved."""
    if not link.fault.parts & ASKED_OF_THE_NODE or Part.PROCESS not in down.fault.parts or not link.within(down):
        return None
    said = f"fault {link.spec} begins or ends while the server's process is stopped or dead by {down.spec}, where it cannot be proved"
    return f"{said}; expected {link.spec.name} to begin before that and to end after it, or not to overlap"
