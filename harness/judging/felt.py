"""Whether clients felt each fault of a trial, from their own answers: what they show must agree with what its probe proved.

A probe is the harness' own word. A cut that does nothing beside a probe that lies would make every claim hold; the answers of the
clients know nothing of either. Each effect (`harness.record.event.Effect`) has its sign:

    cuts-a-side, silences-a-node    nothing that was asked after `active` is answered before `healing`, and something went unanswered
    delays-answers                  no answer came sooner than the fault's delay
    loses-answers                   some answers were lost, and what the history can show of these requests was applied
    ends-connections                something went unanswered
    moves-primary                   another node than the target answers from `active` on
    stops-holders                   some client rested for longer than the lease that it held

Only clients that met the target are asked: those of a link's source, or all, whose last answer before the fault was the target's. A
fault on a replica nobody talks to, on replication or on a clock shows nowhere in an answer, and is asked for nothing.

What is not felt makes no anomaly and takes none away: it forbids to conclude from what was not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.judging.family import nodes_of_ours
from harness.record.history import CLIENTS, Effect, History, Moment, Operation, RecordedFault, split

LINK = " -> "
SURELY_SHOWN = 3  # requests that would have to show that they were applied, and none does
NS_PER_MS = 1_000_000
WRITES = ("check_and_set", "compare_and_swap", "set")


@dataclass(frozen=True, slots=True)
class Place:
    """Where clients meet a fault: a node, or themselves, and the side that is concerned; None for every side but `spared`."""

    node: str
    side: str | None = None
    spared: str | None = None


@dataclass(frozen=True, slots=True)
class Met:
    """A fault at one place, and what the clients that meet it there had asked by the time that it was healed.

    `name` is under what its node answers: None where no answer of the trial names a node.
    """

    fault: RecordedFault
    place: Place
    name: str | None
    begin: Moment
    active: Moment
    healing: Moment
    asked: Sequence[Operation]

    @property
    def within(self) -> list[Operation]:
        """Give what was asked, and answered if it was, while the fault was surely on."""
        return [each for each in self.asked if self.active.index < each.index and not _ends_after(each, self.healing)]

    @property
    def answered(self) -> list[Operation]:
        """Give what the node answered while the fault was surely on."""
        return [each for each in self.within if each.status == "ok" and each.node == self.name]

    @property
    def unanswered(self) -> list[Operation]:
        """Give what ended without an answer since it began."""
        return [each for each in self.asked if each.status != "ok" and _ends_after(each, self.begin)]


def felt(history: History) -> list[tuple[RecordedFault, str | None]]:
    """Give each proved fault of a trial that shows in clients' answers, and what of them contradicts it; None where they agree."""
    found = []
    for fault in history.faults:
        if met := list(_met(history, fault)):
            found.append((fault, next((said for effect, each in met if (said := SIGNS[effect](history, each))), None)))
    return found


def _met(history: History, fault: RecordedFault) -> Iterator[tuple[Effect, Met]]:
    begin, active, healing, healed = fault.begin, fault.active, fault.healing, fault.healed
    if begin is None or active is None or healing is None or healed is None:
        return
    last = _last_answered(history, begin)
    named = any(node is not None for node in last.values())
    for effect in sorted(fault.effects & SIGNS.keys()):
        for place in _places(history, fault, effect):
            name = place.node if named else None
            slots = _holders(history) if place.node == CLIENTS else {slot for slot, node in last.items() if node == name}
            until = history.events[-1].index if effect is Effect.MOVES_PRIMARY else healed.index
            concerned = {slot for slot in slots if _concerned(history, place, slot)}
            asked = [each for each in history.operations() if history.slot(each.process) in concerned and each.index < until]
            if concerned:
                yield effect, Met(fault, place, name, begin, active, healing, asked)


def _places(history: History, fault: RecordedFault, effect: Effect) -> list[Place]:
    found = []
    for target in fault.targets:
        source, link, node = target.rpartition(LINK)
        if link:
            found.append(Place(node, side=source))
        elif effect is Effect.CUTS_A_SIDE:
            first = history.header.sides.get("0") if history.header else None
            found += [Place(target, spared=first)] if first is not None else []
        else:
            found.append(Place(target))
    return found


def _last_answered(history: History, before: Moment) -> dict[int, str | None]:
    """Give the node that answered each slot last before a moment; the records that workloads keep themselves are none."""
    last: dict[int, str | None] = {}
    for each in history.operations():
        if each.status == "ok" and each.end_index is not None and each.end_index < before.index and each.node not in nodes_of_ours():
            last[history.slot(each.process)] = each.node
    return last


def _holders(history: History) -> set[int]:
    return {history.slot(each.process) for each in history.operations() if _granted(each)}


def _concerned(history: History, place: Place, slot: int) -> bool:
    side = history.side(slot)
    if place.side is not None:
        return side == place.side
    return side != place.spared if place.spared is not None else True


def _ends_after(operation: Operation, moment: Moment) -> bool:
    """Say whether an operation was answered, or given up, after a moment; one that never was is."""
    if operation.end_index is not None:
        return operation.end_index > moment.index
    return operation.gave_up is None or operation.gave_up > moment.time


# The signs: what contradicts an effect, None where nothing does


def _silent(history: History, met: Met) -> str | None:
    if answered := met.answered:
        told = f"{len(answered)} operation{'' if len(answered) == 1 else 's'} of {_who(met)}"
        return f"{met.place.node} answered {told} while it was on, first at {_s(answered[0].end)} s"
    return _interrupted(history, met)


def _interrupted(history: History, met: Met) -> str | None:
    return None if met.unanswered else f"nothing that {_who(met)} asked of {met.place.node} went unanswered"


def _delayed(history: History, met: Met) -> str | None:
    least = met.fault.delay_ms * NS_PER_MS
    if least <= 0:
        return "by how much it delays answers is not recorded"
    soon = [each for each in met.answered if each.end is not None and each.end - each.start < least]
    if soon:
        took = min((each.end or 0) - each.start for each in soon) / NS_PER_MS
        return f"{met.place.node} answered {_who(met)} after {took:.1f} ms while it was on, expected {met.fault.delay_ms} ms or more"
    return None if met.within else f"{_who(met)} asked nothing of {met.place.node} while it was on"


def _lost(history: History, met: Met) -> str | None:
    lost = [each for each in met.unanswered if each.status == "info" and each.index > met.begin.index]
    if not lost:
        return f"no answer of {met.place.node} to {_who(met)} was lost"
    by_key = split(history.operations())
    told = [applied for each in lost if (applied := _applied(each, by_key[each.key])) is not None]
    if len(told) >= SURELY_SHOWN and not any(told):
        return f"none of {len(told)} requests of {_who(met)} whose answers were lost was applied"
    return None


def _moved(history: History, met: Met) -> str | None:
    others = [each for each in met.asked if each.status == "ok" and each.index > met.active.index and each.node != met.place.node]
    return None if others else f"no other node than {met.place.node} answered {_who(met)} after it"


def _rested(history: History, met: Met) -> str | None:
    leases: dict[int, int] = {}  # process -> the TTL of the last lease that it was granted, in ns
    answered: dict[int, int] = {}  # process -> when its last answer came
    for each in met.asked:
        rested = each.start - answered.get(each.process, each.start)
        if each.index > met.begin.index and rested > leases.get(each.process, rested):
            return None
        if each.end is not None:
            answered[each.process] = each.end
        if _granted(each):
            leases[each.process] = int(_of(each.argument, "ttl_ms") or 0) * NS_PER_MS
    return "no client rested for longer than the lease that it held"


def _granted(operation: Operation) -> bool:
    return operation.f == "try_acquire" and operation.status == "ok" and _of(operation.result, "granted") is True


SIGNS: Mapping[Effect, Callable[[History, Met], str | None]] = {
    Effect.CUTS_A_SIDE: _silent,
    Effect.SILENCES_A_NODE: _silent,
    Effect.DELAYS_ANSWERS: _delayed,
    Effect.LOSES_ANSWERS: _lost,
    Effect.ENDS_CONNECTIONS: _interrupted,
    Effect.MOVES_PRIMARY: _moved,
    Effect.STOPS_HOLDERS: _rested,
}


def _who(met: Met) -> str:
    if met.place.side is not None:
        return met.place.side
    return "clients" if met.place.spared is None else f"clients other than {met.place.spared}"


def _s(ns: int | None) -> str:
    return f"{(ns or 0) / 1e9:.3f}"


# What a request without an answer did


def _applied(request: Operation, on_key: Iterable[Operation]) -> bool | None:
    """Say whether a write without an answer was applied, as other answers on its key show; None where they do not tell.

    They tell of values that were written once, on keys without TTLs and deletions. A check_and_set of a key that another one set later
    was not applied, nor was a compare_and_swap from a version that was there, and that another one swapped later.
    """
    others = [each for each in on_key if each is not request]
    lasting = not any(each.f == "delete" or _of(each.argument, "ttl_ms") is not None for each in (request, *others))
    value = _of(request.argument, "value")
    if request.f not in WRITES or not lasting or any(_of(each.argument, "value") == value for each in others):
        return None
    answers = [each for each in others if each.status == "ok"]
    if any(_of(each.result, "value") == value for each in answers):
        return True
    later = [each for each in answers if request.gave_up is not None and each.start > request.gave_up and each.f == request.f]
    if request.f == "check_and_set":
        return False if any(_of(each.result, "set") is True for each in later) else None
    expected = _of(request.argument, "expected")
    swapped = any(_of(each.argument, "expected") == expected and _of(each.result, "swapped") is True for each in later)
    return False if request.f == "compare_and_swap" and swapped and _was_there(expected, request, answers) else None


def _was_there(version: int, request: Operation, answers: Iterable[Operation]) -> bool:
    """Say whether a key had come to a version before a request; 0 is how it begins."""
    before = (_of(each.result, "version") for each in answers if each.end is not None and each.end < request.start)
    return version == 0 or any(isinstance(seen, int) and seen >= version for seen in before)


def _of(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None
