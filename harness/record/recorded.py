"""What the nemesis, the watcher and the meters recorded, as typed values: the one place that reads the values of their events.

Events of another tool's nemesis say nothing to us. Where the value of one does not have the shape that ours always have, it is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness import registry
from harness.record.event import LARGEST, SPLIT_BRAIN, Effect, Event

NO_ANSWER = "silent"
"""The role of a node that did not answer in time: nothing was seen, so nothing changed."""
NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Moment:
    """When something was recorded: `index` orders it among all events, `time` is in nanoseconds since the run began."""

    index: int
    time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedFault:
    """A fault, from its events; a phase that was not reached, or not proved, has no moment.

    `probe` is what proved it active, `reason` why it `failed`, `delay_ms` what an answer takes at least while it is on.
    """

    name: str
    id: int
    targets: tuple[str, ...]
    changes_roles: bool
    effects: frozenset[Effect]
    moments: Mapping[str, Moment]
    probe: Mapping[str, Any]
    reason: str | None
    delay_ms: int = 0

    @property
    def first(self) -> Moment:
        """Give when it was first heard of: its begin, unless the history lacks it."""
        return next(iter(self.moments.values()))

    @property
    def begin(self) -> Moment | None:
        return self.moments.get("begin")

    @property
    def active(self) -> Moment | None:
        """Give when its probe proved that it bites."""
        return self.moments.get("active")

    @property
    def healing(self) -> Moment | None:
        return self.moments.get("healing")

    @property
    def healed(self) -> Moment | None:
        """Give when its probe proved that it is gone."""
        return self.moments.get("healed")

    @property
    def failed(self) -> Moment | None:
        return self.moments.get("failed")

    @property
    def proved(self) -> bool:
        """Say whether it was proved active, and later proved healed."""
        return self.active is not None and self.healed is not None

    @property
    def node(self) -> str:
        """Give the node it met: a link is called "source -> node"."""
        return self.targets[0].rpartition(" -> ")[2] if self.targets else "?"

    @property
    def splits_brain(self) -> bool:
        return self.effects >= SPLIT_BRAIN


@dataclass(frozen=True, slots=True)
class RoleSeen:
    """A node's role as the watcher saw it; a node that is dead or silent tells neither epoch nor run id."""

    moment: Moment
    node: str
    role: str
    epoch: int | None
    run_id: str | None

    @property
    def answered(self) -> bool:
        return self.role != NO_ANSWER


@dataclass(frozen=True, slots=True)
class OwnersSeen:
    """Whom each node named as the owner of a key, past the proxies; None for nobody."""

    moment: Moment
    key: object
    owners: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class ClockSample:
    """A pair of monotonic and wall time, in nanoseconds."""

    monotonic: int
    wall: int


@dataclass(frozen=True, slots=True)
class Overslept:
    """By how much a meter's thread woke too late, in nanoseconds; `moment` is when it woke."""

    moment: Moment
    ns: int


@dataclass(frozen=True, slots=True)
class TrialMark:
    """Where a trial stands: begin, steady, settled, or void with its reason."""

    moment: Moment
    n: int
    phase: str
    reason: str | None


def readable(events: Iterable[Event]) -> list[Event]:
    """Keep of the nemesis' events those that have our shape."""
    return [event for event in events if _has_our_shape(event)]


def is_fault(event: Event) -> bool:
    """Say whether an event of the nemesis, of any shape, is none of the harness' own notes."""
    return event.f not in _FIELDS


def faults(events: Iterable[Event], effects_of: Callable[[str], frozenset[Effect]]) -> Iterator[RecordedFault]:
    """Give the faults in order of their first event; of two events of one phase the first counts."""
    found: dict[tuple[str, int], dict[str, Event]] = {}
    for event in events:
        if is_fault(event):
            found.setdefault((event.f, event.value.get("id") or 0), {}).setdefault(event.value["phase"], event)
    for (name, number), phases in found.items():
        yield _fault(name, number, phases, effects_of(name))


def _fault(name: str, number: int, phases: Mapping[str, Event], effects: frozenset[Effect]) -> RecordedFault:
    said = phases.get("begin", next(iter(phases.values()))).value
    active, failed = phases.get("active"), phases.get("failed")
    return RecordedFault(
        name=name,
        id=number,
        targets=tuple(said.get("targets") or ()),
        changes_roles=bool(said.get("changes_roles")),
        effects=effects,
        moments={phase: moment(event) for phase, event in phases.items()},
        probe=active.value.get("probe") or {} if active is not None else {},
        reason=str(failed.value.get("reason") or "no reason given") if failed is not None else None,
        delay_ms=int(said.get("delay_ms") or _installed_delay_ms(name)),
    )


def together(seen: Iterable[RecordedFault], events: Iterable[Event]) -> Iterator[tuple[RecordedFault, ...]]:
    """Part faults by what was healed at once: a fault and what followed it, or all of a trial whose faults have no times of their own.

    Of one part the healings stand side by side: nothing of any fault was recorded between them.
    """
    phases = {event.index: event.value["phase"] for event in events if is_fault(event)}
    ordered = sorted(seen, key=lambda fault: fault.healing.index if fault.healing is not None else LARGEST)
    part: list[RecordedFault] = []
    for fault in ordered:
        if part and not _side_by_side(part[-1].healing, fault.healing, phases):
            yield _in_order(part)
            part = []
        part.append(fault)
    if part:
        yield _in_order(part)


def _in_order(part: Iterable[RecordedFault]) -> tuple[RecordedFault, ...]:
    return tuple(sorted(part, key=lambda fault: fault.first.index))


def _side_by_side(one: Moment | None, other: Moment | None, phases: Mapping[int, str]) -> bool:
    if one is None or other is None:
        return one is other
    return not any(one.index < index < other.index and phase != "healing" for index, phase in phases.items())


def roles(events: Iterable[Event]) -> Iterator[RoleSeen]:
    """Give what the watcher saw of roles, in order."""
    for event in _of("role", events):
        value = event.value
        yield RoleSeen(moment(event), value["node"], value["role"], value.get("epoch"), value.get("run_id"))


def owners(events: Iterable[Event]) -> Iterator[OwnersSeen]:
    """Give what the observer saw of locks, in order."""
    for event in _of("observer", events):
        yield OwnersSeen(moment(event), event.value["key"], event.value["owners"])


def clocks(events: Iterable[Event]) -> Iterator[ClockSample]:
    """Give the samples of the clock, in order."""
    for event in _of("clock", events):
        yield ClockSample(event.value["monotonic"], event.value["wall"])


def overslept(events: Iterable[Event]) -> Iterator[Overslept]:
    """Give what the lag meter overslept, in order."""
    for event in _of("lag", events):
        yield Overslept(moment(event), round(event.value["late_ms"] * NS_PER_MS))


def marks(events: Iterable[Event]) -> Iterator[TrialMark]:
    """Give the marks of the trials, in order."""
    for event in _of("trial", events):
        value = event.value
        reason = str(value.get("reason") or "no reason given") if value["phase"] == "void" else None
        yield TrialMark(moment(event), value["n"], value["phase"], reason)


def moment(event: Event) -> Moment:
    """Give when an event was recorded."""
    return Moment(event.index, event.time)


def installed_effects(name: str) -> frozenset[Effect]:
    """Give the effects of the fault of this name that is installed here, none where there is none."""
    return frozenset(registry.load("faults", name).effects) if name in registry.names("faults") else frozenset()


def _installed_delay_ms(name: str) -> int:
    return int(registry.load("faults", name).delay_ms) if name in registry.names("faults") else 0


def _of(f: str, events: Iterable[Event]) -> Iterator[Event]:
    return (event for event in events if event.f == f)


# The shape of what is recorded


def _has_our_shape(event: Event) -> bool:
    """Say whether the value of a nemesis' event has the fields that ours always have."""
    value = event.value
    if not isinstance(value, Mapping):
        return False
    needed = _FIELDS.get(event.f, _FIELDS_OF_A_FAULT)
    given = {name: kind for name, kind in _OPTIONAL_FIELDS.items() if value.get(name) is not None}
    if not all(name in value and _is(value[name], kind) for name, kind in {**given, **needed}.items()):
        return False
    return all(isinstance(target, str) for target in value.get("targets") or ())


def _is(value: Any, kind: Any) -> bool:
    number = kind in (int, int | float)
    return isinstance(value, kind) and not (number and (isinstance(value, bool) or abs(value) > LARGEST))


_FIELDS: Mapping[str, Mapping[str, Any]] = {
    "trial": {"n": int, "phase": str},
    "role": {"node": str, "role": str},
    "clock": {"monotonic": int, "wall": int},
    "observer": {"key": object, "owners": Mapping},
    "lag": {"late_ms": int | float},
}
_FIELDS_OF_A_FAULT: Mapping[str, Any] = {"phase": str}
_OPTIONAL_FIELDS: Mapping[str, Any] = {"id": int, "targets": list | tuple, "probe": Mapping, "delay_ms": int}
