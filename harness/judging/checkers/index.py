"""Indexes: every entry whose time has come is listed, until it is taken out; none before its time, none again, in order, each once.

An index is told by the key of its events and by its functions (of timeouts, of chains). Each member of it is an object of its own: here at
a time, or not; entering it again replaces the time, taking it out twice is taking it out. What a list says of a member is a look
at it during the call (`harness.judging.checkers.projection`): listed = there at a time up to `now_ms`, that time included. Classes:

- *index-lost*: the look that fits no order is a list without the member.
- *index-early*: a list has a member that was there, at a later time than `now_ms` only.
- *index-invented*: a list has a member that was not there: never entered, or taken out.
- *index-repeated*: a list has a member twice.
- *index-disorder*: no times that its members may have had during the call rise in the order of the list.

The first three have at most one anomaly a member, of the first such list; the others one a list.

*Exact* member by member: lost, early and invented are sound and complete. Repeated too. Disorder is sound; it takes each member by itself,
at any time that no answered operation had certainly replaced, so that it misses what only several looks together exclude. Not
asked: that a list is one snapshot of all members (SPEC of scans).

A trial finds what earlier ones left in the index: of members that no operation names, only those of the trial's own prefix (`t3-`)
are judged, and all where the history has no trials. A server has one index of timeouts and one of chains: a member that the history names
in another of the same functions is judged there.

Unknown: a member that is not decided within the budget, or nothing was entered, or nothing listed.
"""

from __future__ import annotations

from collections import Counter as Counted
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

import msgspec

from harness.judging.check import Check, Kind, Terms
from harness.judging.checkers.projection import Seen, Untimed, decide, telling
from harness.judging.checkers.sentence import counted
from harness.judging.checkers.views import legible, named, own_names, summed, who
from harness.judging.models.index import ACTS, INDEX, Entry, time_of
from harness.judging.verdict import Anomaly, Status, Verdict
from harness.record.fields import malformed, text
from harness.record.history import History, Operation

Name = tuple[str | None, str]
"""Of an index: the key of its events, and which of the two it is."""


@dataclass(slots=True)
class Index:
    """One index: the operations on each member that may have had an effect, and the lists that were answered."""

    name: Name
    members: dict[str, list[Operation]] = field(default_factory=dict)
    lists: list[Operation] = field(default_factory=list)

    def possible_ms(self, member: str, listing: Operation) -> list[int]:
        """Give the times that a member may have had at some instant of a list: of all that none had certainly replaced, ascending."""
        of_it = self.members[member]
        replaced = max((each.index for each in of_it if each.end_index is not None and each.end_index < listing.index), default=-1)
        begun = [each for each in of_it if each.index < end_of(listing) and not (each.end_index is not None and each.end_index < replaced)]
        return sorted({entered_at(each) for each in begun if is_enter(each)})


def index(history: History, terms: Terms) -> Verdict:
    """Judge every index of a history; numbers: indexes, members, lists, entered."""
    indexes = indexes_of(history)
    seen = {(each.name, one.name): one for each in indexes for one in _members(each)}
    decide(list(seen.values()), terms.budget)
    anomalies = [anomaly for each in indexes for anomaly in (*_of_lists(each, history, indexes), *_of_members(each, seen))]
    members = sum(len(each.members) for each in indexes)
    lists = sum(len(each.lists) for each in indexes)
    entered = sum(is_enter(operation) for each in indexes for of_it in each.members.values() for operation in of_it)
    numbers = {"indexes": len(indexes), "members": members, "lists": lists, "entered": entered}
    nothing = None if entered and lists else f"saw nothing: {entered} entries, {lists} lists"
    if unlisted := [each for each in indexes if not each.lists and any(map(is_enter, chain.from_iterable(each.members.values())))]:
        key, which = unlisted[0].name
        nothing = nothing or f"saw nothing of {len(unlisted)} of {len(indexes)} indexes: {named(key)} ({which}) was entered and not listed"
    return summed(
        anomalies, list(seen.values()), numbers, f"{counted(lists, 'list', 'lists')} of {counted(members, 'member', 'members')}", nothing
    )


def indexes_of(history: History) -> list[Index]:
    """Give the indexes of a history. What failed had no effect, and a list without an answer says nothing."""
    found: dict[Name, Index] = {}
    for operation in history.operations():
        if operation.f not in ACTS or operation.status == "fail":
            continue
        which, act = ACTS[operation.f]
        one = found.setdefault((operation.key, which), Index((operation.key, which)))
        if act != "list":
            Entry().identity(operation)  # raises where a value does not fit
            one.members.setdefault(_member(operation), []).append(operation)
        elif operation.status == "ok":
            time_of(operation, "now_ms")
            keys_of(operation)
            one.lists.append(operation)
    return list(found.values())


def _member(operation: Operation) -> str:
    name = text(operation, "argument", "key")
    if name is None:
        raise malformed(operation, "argument key is null, expected the name of a member")
    return name


def keys_of(listing: Operation) -> list[str]:
    """Give the members that a list has, in its order."""
    names = listing.result.get("keys") if isinstance(listing.result, Mapping) else None
    if not isinstance(names, list) or any(type(name) is not str for name in names):
        raise malformed(listing, f"its result is {listing.result!r:.200}, expected a field keys, a list of strings", "result")
    return names


def is_enter(operation: Operation) -> bool:
    """Say whether an operation on a member enters it."""
    return ACTS[operation.f][1] == "enter"


def entered_at(operation: Operation) -> int:
    """Give the time at which an operation enters a member."""
    return time_of(operation, "time_ms")


def end_of(operation: Operation) -> int:
    """Give the event at which an answered operation ended."""
    assert operation.end_index is not None
    return operation.end_index


# Members


def _members(one: Index) -> Iterator[Seen]:
    has = {listing.index: frozenset(keys_of(listing)) for listing in one.lists}
    for name, operations in one.members.items():
        lists = telling(operations, one.lists, partial(_said, name, has))
        looks = [msgspec.structs.replace(each, result={"listed": name in has[each.index]}) for each in lists]
        yield Seen(name, Untimed(Entry()), operations, looks)


def _said(name: str, has: Mapping[int, frozenset[str]], listing: Operation) -> tuple[bool, int]:
    return name in has[listing.index], time_of(listing, "now_ms")


def _of_members(one: Index, seen: Mapping[tuple[Name, str], Seen]) -> Iterator[Anomaly]:
    for name in one.members:
        found = seen[one.name, name]
        if found.outcome is not Status.INVALID or found.culprit is None:
            continue
        look = found.culprit.look
        now_ms, possible = time_of(look, "now_ms"), one.possible_ms(name, look)
        if not look.result["listed"]:
            kind, what = "index-lost", "is not listed although it must be there by then"
        elif any(each > now_ms for each in possible):
            kind, what = "index-early", f"is listed although its time is {_times(possible)}"
        else:
            kind, what = "index-invented", "is listed although it cannot be there"
        said = f"{legible(name)} {what}: {who(look)} listed up to {now_ms}{_since(found.culprit.because)}"
        yield _anomaly(kind, one, look, said, found.culprit.because)


def _times(possible: Sequence[int]) -> str:
    return " or ".join(str(each) for each in possible[-3:])


def _since(because: Sequence[Operation]) -> str:
    told = [_act(each) for each in because[-2:]]
    return f"; {', and '.join(told)}" if told else ""


def _act(operation: Operation) -> str:
    match ACTS[operation.f][1]:
        case "enter":
            return f"{who(operation)} entered it at {entered_at(operation)}"
        case "leave":
            return f"{who(operation)} took it out"
    there = "with" if operation.result["listed"] else "without"
    return f"{who(operation)} listed up to {operation.argument['now_ms']}, {there} it"


# Lists


def _of_lists(one: Index, history: History, indexes: Sequence[Index]) -> Iterator[Anomaly]:
    elsewhere = {name for each in indexes if each.name[1] == one.name[1] for name in each.members}
    ours, told = own_names(history), set[str]()
    for listing in one.lists:
        names = keys_of(listing)
        count = Counted(names)
        if twice := [name for name, times in count.items() if times > 1]:
            said = f"{legible(twice[0])} is listed {count[twice[0]]} times by {who(listing)}"
            yield _anomaly("index-repeated", one, listing, said, one.members.get(twice[0], [])[-1:])
        yield from _disorder(one, listing, names)
        for name in count:
            if name not in elsewhere and name not in told and ours(name):
                told.add(name)
                yield _anomaly("index-invented", one, listing, f"{legible(name)} is listed by {who(listing)}, and nobody entered it")


def _disorder(one: Index, listing: Operation, names: Iterable[str]) -> Iterator[Anomaly]:
    """Give each member the least time that it may have had and that is not below those before it; find the first without one."""
    now_ms, least, latest = time_of(listing, "now_ms"), -1, ""
    for name in names:
        possible = [each for each in one.possible_ms(name, listing) if each <= now_ms] if name in one.members else []
        if not possible:
            continue  # not ours to place, or an anomaly of its own
        fits = next((each for each in possible if each >= least), None)
        if fits is None:
            said = f"{who(listing)} listed {legible(latest)}, due at {least} or later, before {legible(name)}, due at {_times(possible)}"
            entered = [each for member in (latest, name) for each in one.members[member] if is_enter(each)]
            yield _anomaly("index-disorder", one, listing, said, [each for each in entered if each.index < end_of(listing)])
            return
        if fits > least:
            least, latest = fits, name


def _anomaly(kind: str, one: Index, listing: Operation, said: str, because: Sequence[Operation] = ()) -> Anomaly:
    key, which = one.name
    assert listing.end is not None
    shown = tuple(sorted({each.index for each in because} | {listing.index}))
    live = min((each.end for each in because if each.end is not None), default=None)
    return Anomaly(kind, key, shown, listing.end, f"{named(key)} ({which}): {said}", live=live)


# How much was exercised


def reentered(history: History, terms: Terms) -> int:
    """Count the acknowledged entries of a member that was certainly there by then, at another time."""
    return sum(_moves(of_it, each) for one in indexes_of(history) for of_it in one.members.values() for each in of_it if is_enter(each))


def removed(history: History, terms: Terms) -> int:
    """Count the acknowledged removals of a member that was certainly there by then."""
    return sum(
        _there(of_it, each) is not None
        for one in indexes_of(history)
        for of_it in one.members.values()
        for each in of_it
        if not is_enter(each) and each.status == "ok"
    )


def overlaps(history: History, terms: Terms) -> int:
    """Count the lists during which a member of their index was entered or taken out."""
    return sum(
        any(each.index < end_of(listing) and each.end_index is not None and each.end_index > listing.index for each in changes)
        for one in indexes_of(history)
        for changes in [[each for of_it in one.members.values() for each in of_it]]
        for listing in one.lists
    )


def due_at_now(history: History, terms: Terms) -> int:
    """Count the lists that have a member whose time can only be the very time that they ask for."""
    return sum(
        any(name in one.members and one.possible_ms(name, listing) == [listing.argument["now_ms"]] for name in keys_of(listing))
        for one in indexes_of(history)
        for listing in one.lists
    )


def _moves(of_it: Sequence[Operation], enter: Operation) -> bool:
    before = _there(of_it, enter) if enter.status == "ok" else None
    return before is not None and entered_at(before) != entered_at(enter)


def _there(of_it: Sequence[Operation], then: Operation) -> Operation | None:
    """Give the acknowledged entry that a member certainly had when an operation was asked for; None where nothing is certain."""
    before = [each for each in of_it if each.index < then.index]
    last = before[-1] if before else None
    if last is None or not is_enter(last) or any(each.end_index is None or each.end_index > then.index for each in before):
        return None
    return last if all(end_of(each) < last.index for each in before[:-1]) else None


KINDS = (
    Kind(
        name="index-lost",
        rule="An entry whose time has come is listed until it is taken out.",
        heading="{key}: an entry whose time has come is not listed",
        one="An entry of an index was lost",
        many="{n} entries of indexes were lost",
        rank=41,
    ),
    Kind(
        name="index-invented",
        rule="An entry that is not in an index is not listed.",
        heading="{key}: an entry is listed that is not there",
        one="An entry was listed that was not in the index",
        many="{n} entries were listed that were not in the index",
        rank=42,
    ),
    Kind(
        name="index-early",
        rule="An entry is listed from its time on, and not before.",
        heading="{key}: an entry is listed before its time",
        one="An entry was listed before its time",
        many="{n} entries were listed before their time",
        rank=43,
    ),
    Kind(
        name="index-repeated",
        rule="A list has each entry once.",
        heading="{key}: an entry is listed twice",
        one="A list had an entry twice",
        many="{n} lists had an entry twice",
        rank=48,
    ),
    Kind(
        name="index-disorder",
        rule="A list is in the order of its entries' times.",
        heading="{key}: a list is not in the order of its times",
        one="A list was not in the order of its times",
        many="{n} lists were not in the order of their times",
        rank=49,
    ),
)

ENTRIES = Check(
    name="index",
    sentence="every entry of an index is listed from its time on until it is taken out, once and in order",
    kinds=KINDS,
    judge=index,
    families=(INDEX.name,),
    gates={"reindexed": reentered, "unindexed": removed, "index_overlaps": overlaps, "due_at_now": due_at_now},
)
