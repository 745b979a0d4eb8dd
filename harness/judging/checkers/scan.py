"""Scans: every key that lives during the whole call is found, none that is missing during the whole call, each once, with a value it had.

What a scan says of a key is a look at it during the call (`harness.judging.checkers.projection`): found with a value = a get with
this answer, not found = a get that found it missing. The key's own operations are events of other keys (`Check.beside`), and
are judged by their own check. A scan finds keys by their names in full (`harness.record.keys`). Classes:

- *scan-lost*: the look that fits no order is a scan without the key.
- *scan-wrong-value*: a scan has the key with a value that it had at no instant of the call; it cannot have been missing either.
- *scan-invented*: a scan has a key that may be missing, never written or removed, with a value that it had at no instant of the call;
  or a key that it did not ask for (a prefix is literal).
- *scan-repeated*: a scan has a key twice.

A class has at most one anomaly a key, of the first such scan; repeated one a scan.

*Exact* key by key, with its versions and its TTLs: invalid and valid are each sound and complete. Not asked: that a scan is one
snapshot of all keys, or an order.

A TTL may count from before its write is seen, at the earliest from its operation's start: PostgreSQL reads its clock, then commits, and a
scan waits for no key's lock (seen: a set that took 38 ms to commit, and a scan 16 ms after its end began to count).

A trial finds what earlier ones left on the server: of keys that no operation names, only those of the trial's own prefix (`t3-`) are
judged, and all where the history has no trials.

Unknown: a key that is not decided within the budget, or that contradicts itself without any scan; with a TTL, where the clock was not
sane; and where nothing was scanned, or no key that a scan asks for was used.
"""

from __future__ import annotations

from collections import Counter as Counted
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import msgspec

from harness.judging.check import Budget, Check, Kind, Terms
from harness.judging.checkers.instants import Clock, clock_of
from harness.judging.checkers.projection import Seen, Timed, Untimed, decide, telling
from harness.judging.checkers.sentence import counted, phrase
from harness.judging.checkers.views import legible, own_names, summed, who
from harness.judging.models.counter import Counter
from harness.judging.models.key import FUNCTIONS as STATE
from harness.judging.models.key import has_ttl
from harness.judging.models.scan import FUNCTIONS, OF_A_KIND, SCAN
from harness.judging.models.versioned_register import VersionedRegister
from harness.judging.verdict import Anomaly, Status, Verdict
from harness.record.clock import clock_sane
from harness.record.fields import malformed, shown, text
from harness.record.history import History, Operation
from harness.record.keys import in_full, in_short, kind_of

FOREIGN = frozenset({"read", "write", "cas"})
"""Functions of foreign keys: no scan of ours finds them, and what one of a stranger's would is not known."""
TRIAL_S = 1.0
"""How long is searched to say in which way a scan is wrong."""
PARTS = ("namespace", "tenant", "kind", "prefix")


@dataclass(frozen=True)
class Scan:
    """A scan that was answered."""

    operation: Operation
    stem: str | None  # what the names in full begin with; None where it is one of a kind
    kind: str | None
    items: tuple[tuple[str, str], ...]

    def asks_for(self, name: str) -> bool:
        """Say whether a key, named in full, is one of those that it asked for."""
        return name.startswith(self.stem) if self.stem is not None else kind_of(name) == self.kind

    @cached_property
    def values(self) -> Mapping[str, str]:
        """Give the value of each key that it has; the first, where it has one twice."""
        return dict(reversed(self.items))

    @property
    def end_index(self) -> int:
        """Give the event at which it ended."""
        return _end(self.operation)


class Places:
    """Scans by what they ask for."""

    def __init__(self, scans: Iterable[Scan]) -> None:
        self._of: dict[tuple[str | None, str | None], list[Scan]] = {}
        for each in scans:
            self._of.setdefault((each.stem, each.kind), []).append(each)

    def asking(self, name: str) -> list[Scan]:
        """Give the scans that ask for a key, named in full."""
        return [each for alike in self._of.values() if alike[0].asks_for(name) for each in alike]


def scan(history: History, terms: Terms) -> Verdict:
    """Judge every scan of a history, with the operations on the keys that they ask for; numbers: scans, keys, items, found."""
    scans, keys = scans_of(history), keys_of(history)
    places = Places(scans)
    asked = {name: operations for name, operations in keys.items() if places.asking(name)}
    clock = replace(clock_of(history), begun=True) if clock_sane(history) else None
    seen = [_seen(name, operations, places.asking(name), clock) for name, operations in asked.items()]
    decide(seen, terms.budget)
    anomalies = [*_of_scans(scans, keys, history), *(anomaly for each in seen for anomaly in _of_key(each, scans))]
    items = sum(len(each.items) for each in scans)
    numbers = {"scans": len(scans), "keys": len(asked), "items": items, "most": max((len(each.items) for each in scans), default=0)}
    nothing = None if scans and asked else f"saw nothing: {len(scans)} scans, {len(asked)} keys of theirs"
    return summed(anomalies, seen, numbers, f"{counted(len(scans), 'scan', 'scans')} of {counted(len(asked), 'key', 'keys')}", nothing)


def scans_of(history: History) -> list[Scan]:
    """Give the scans that were answered, in order of invocation."""
    return [_scan(each) for each in history.operations() if each.f in FUNCTIONS and each.status == "ok"]


def keys_of(history: History) -> dict[str, list[Operation]]:
    """Give the operations that may have had an effect, or were answered, on each key that scans find, by its name in full."""
    found: dict[str, list[Operation]] = {}
    for each in history.operations():
        if each.f in STATE | FOREIGN and each.status != "fail" and each.key is not None:
            found.setdefault(in_full(each.key), []).append(each)
    return found


def _scan(operation: Operation) -> Scan:
    items = operation.result.get("items") if isinstance(operation.result, Mapping) else None
    if not isinstance(items, list) or not all(_is_item(each) for each in items):
        raise malformed(operation, f"its result is {shown(operation.result)}, expected a field items, a list of [key, value]", "result")
    pairs = tuple((str(key), str(value)) for key, value in items)
    if operation.f == OF_A_KIND:
        return Scan(operation, None, _asked(operation, "kind"), pairs)
    return Scan(operation, ":".join(_asked(operation, name) for name in PARTS), None, pairs)


def _is_item(item: Any) -> bool:
    return isinstance(item, list | tuple) and len(item) == 2 and all(type(part) is str for part in item)


def _asked(operation: Operation, name: str) -> str:
    said = text(operation, "argument", name)
    if said is None:
        raise malformed(operation, f"argument {name} is null, expected a string")
    return said


# Keys


def _seen(name: str, operations: Sequence[Operation], asking: Sequence[Scan], clock: Clock | None) -> Seen:
    values = {each.operation.index: each.values.get(name) for each in asking}
    changes = [each for each in operations if each.f not in ("get", "get_versioned")]
    scans = telling(changes, (each.operation for each in asking), lambda each: values[each.index])
    looks = [msgspec.structs.replace(each, f="get", key=name, argument={}, result={"value": values[each.index]}) for each in scans]
    used = {each.f for each in operations}
    model = next((model for model in (VersionedRegister(), Counter()) if used <= model.functions), None)
    if used & FOREIGN:
        return Seen(
            name, Untimed(VersionedRegister()), operations, (), reason=f"{', '.join(sorted(used & FOREIGN))} are of no key that scans find"
        )
    if model is not None and not any(has_ttl(each.argument) for each in operations):
        return Seen(name, Untimed(model), operations, looks)
    if clock is None:
        return Seen(name, Untimed(VersionedRegister()), operations, (), reason="it has a TTL, and the clock was not sane")
    return Seen(name, Timed(clock), operations, looks)


def _of_key(seen: Seen, scans: Iterable[Scan]) -> Iterator[Anomaly]:
    if seen.outcome is not Status.INVALID or seen.culprit is None:
        return
    look, name = seen.culprit.look, in_short(seen.name)
    value = look.result["value"]
    if value is None:
        kind, what = "scan-lost", "is not found although it must be there"
    elif _may_be_missing(seen, look):
        kind, what = "scan-invented", f"is found with {value!r:.80} although it must be missing, or have another value"
    else:
        kind, what = "scan-wrong-value", f"is found with {value!r:.80} although it must have another value"
    scanned = {each.operation.index: each.operation for each in scans}
    said = f"{what}: {_scanned(scanned[look.index])}{_since(seen.culprit.because, scanned)}"
    yield _anomaly(kind, name, scanned[look.index], said, seen.culprit.because)


def _may_be_missing(seen: Seen, look: Operation) -> bool:
    absent = msgspec.structs.replace(look, result={"value": None})
    return seen.rules.search([*seen.until(look), absent]).run(TRIAL_S, Budget()) is Status.VALID


def _removes(operation: Operation) -> bool:
    return operation.f == "delete" and operation.status == "ok"


def _end(operation: Operation) -> int:
    assert operation.end_index is not None
    return operation.end_index


# Scans


def _of_scans(scans: Iterable[Scan], keys: Mapping[str, Sequence[Operation]], history: History) -> Iterator[Anomaly]:
    ours, told = own_names(history), set[str]()
    for each in scans:
        count = Counted(name for name, _ in each.items)
        if twice := [name for name, times in count.items() if times > 1]:
            said = f"is found {count[twice[0]]} times: {_scanned(each.operation)}"
            yield _anomaly("scan-repeated", in_short(twice[0]), each.operation, said)
        for name in (name for name in count if name not in told):
            wrong = "which was not asked for" if not each.asks_for(name) else "and nobody wrote it" if name not in keys else None
            if wrong is not None and (name in keys or ours(in_short(name))):
                told.add(name)
                said = f"is found, {wrong}: {_scanned(each.operation)}"
                yield _anomaly("scan-invented", in_short(name), each.operation, said)


def _anomaly(kind: str, name: str, scanned: Operation, said: str, because: Sequence[Operation] = ()) -> Anomaly:
    shown = tuple(sorted({each.index for each in because} | {scanned.index}))
    live = min((each.end for each in because if each.end is not None), default=None)
    assert scanned.end is not None
    return Anomaly(kind, name, shown, scanned.end, f"{legible(name)} {said}", live=live)


def _scanned(operation: Operation) -> str:
    asked = operation.argument
    of = f"the kind {asked['kind']!r}" if operation.f == OF_A_KIND else repr(":".join(asked[name] for name in PARTS))
    return f"{who(operation)} scanned {of}"


def _since(because: Sequence[Operation], scanned: Mapping[int, Operation]) -> str:
    told = [_act(each, scanned.get(each.index)) for each in because[-2:]]
    return f"; given {' and '.join(told)}" if told else ""


def _act(operation: Operation, scanned: Operation | None) -> str:
    if scanned is None:
        return phrase(operation)
    value = operation.result["value"]
    return f"{_scanned(scanned)}, {'without it' if value is None else f'and found it with {value!r:.80}'}"


# How much was exercised


def together(history: History, terms: Terms) -> int:
    """Count the keys of the scan that has the most."""
    return max((len(each.items) for each in scans_of(history)), default=0)


def in_kib(history: History, terms: Terms) -> int:
    """Count the KiB of the keys and values of the scan that has the most."""
    return max((sum(len(key.encode()) + len(value.encode()) for key, value in each.items) // 1024 for each in scans_of(history)), default=0)


def overlaps(history: History, terms: Terms) -> int:
    """Count the scans during which a write or a removal of a key that they ask for was under way."""
    changes = sorted(
        (each.index, each.end_index, name)
        for name, operations in keys_of(history).items()
        for each in operations
        if each.end_index is not None and each.f not in ("get", "get_versioned")
    )
    return sum(
        any(start < each.end_index and end > each.operation.index and each.asks_for(name) for start, end, name in changes)
        for each in scans_of(history)
    )


def recreated(history: History, terms: Terms) -> int:
    """Count the keys that some scan asks for and that were set anew after a removal that was acknowledged."""
    scans = scans_of(history)
    return sum(_reborn(operations) for name, operations in keys_of(history).items() if any(each.asks_for(name) for each in scans))


def _reborn(operations: Sequence[Operation]) -> bool:
    removed = min((each.end_index for each in operations if _removes(each) and each.result["deleted"] and each.end_index), default=None)
    return removed is not None and any(
        each.f in ("set", "check_and_set") and each.status == "ok" and each.index > removed for each in operations
    )


KINDS = (
    Kind(
        name="scan-lost",
        rule="A key that lives during the whole scan is found.",
        heading="{key} is there, and a scan does not find it",
        one="A scan missed a key that was there",
        many="Scans missed {n} keys that were there",
        rank=44,
        of_a_key=True,
    ),
    Kind(
        name="scan-invented",
        rule="A scan finds only keys that it asks for, and none that is missing during the whole scan.",
        heading="{key} is found by a scan, and must not be",
        one="A scan found a key that was not there",
        many="Scans found {n} keys that were not there",
        rank=45,
        of_a_key=True,
    ),
    Kind(
        name="scan-wrong-value",
        rule="A scan finds each key with a value that it has during the scan.",
        heading="{key} is found with a value that it does not have",
        one="A scan found a key with a value that it did not have",
        many="Scans found {n} keys with values that they did not have",
        rank=46,
        of_a_key=True,
    ),
    Kind(
        name="scan-repeated",
        rule="A scan finds each key once.",
        heading="{key} is found twice by one scan",
        one="A scan found a key twice",
        many="Scans found {n} keys twice",
        rank=47,
        of_a_key=True,
    ),
)

SCANS = Check(
    name="scan",
    sentence="a scan finds every key that is there, once, with a value that it has, and nothing else",
    kinds=KINDS,
    judge=scan,
    families=(SCAN.name,),
    beside=STATE | FOREIGN,
    gates={"scanned_together": together, "scanned_kib": in_kib, "scan_overlaps": overlaps, "scan_recreated": recreated},
)
