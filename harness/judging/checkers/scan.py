"""Scans: every key that lives during the whole call is found, none that is missing during the whole call, each once, with a value it had.

What a scan says of a key is a look at it during the call (`harness.judging.checkers.projection`): found with a value = a get with
this answer, not found = a get that found it missing. The key's own operations are events of other keys (`Check.beside`), and
are judged by their own check. A scan finds keys by their names in full (`harness.record.keys`). Classes:

- *scan-lost*: the look that fits no order is a scan without the key.
- *scan-wrong-value*: a scan has the key with a value that it had at no instant of the call.
- *scan-invented*: a scan has a key that was missing: never written, or removed; or one that it did not ask for (a prefix is literal).
- *scan-repeated*: a scan has a key twice.

A class has at most one anomaly a key, of the first such scan; repeated one a scan.

*Exact* key by key: invalid and valid are each sound and complete. Not asked: that a scan is one snapshot of all keys, or an order.

A trial finds what earlier ones left on the server: of keys that no operation names, only those of the trial's own prefix (`t3-`) are
judged, and all where the history has no trials.

Unknown: a key that is not decided within the budget, whose functions no model knows together, or that contradicts itself without any scan;
and nothing was scanned, or no key that a scan asks for was written.
"""

from __future__ import annotations

from collections import Counter as Counted
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from harness.judging.check import Check, Kind, Terms
from harness.judging.checkers.projection import Seen, decide
from harness.judging.checkers.sentence import phrase
from harness.judging.checkers.views import own_names, summed, who
from harness.judging.model import Model
from harness.judging.models import Object
from harness.judging.models.counter import Counter
from harness.judging.models.scan import FUNCTIONS, OF_A_KIND, SCAN
from harness.judging.models.versioned_register import VersionedRegister
from harness.judging.verdict import Anomaly, Status, Verdict
from harness.record.fields import malformed, text
from harness.record.history import History, Operation
from harness.record.keys import in_full, in_short, kind_of

STATE = VersionedRegister.functions | Counter.functions
"""The functions of the keys that scans find."""
FOREIGN = frozenset({"read", "write", "cas"})
"""Functions of foreign keys: no scan of ours finds them, and what one of a stranger's would is not known."""
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
        assert self.operation.end_index is not None
        return self.operation.end_index


def scan(history: History, terms: Terms) -> Verdict:
    """Judge every scan of a history, with the operations on the keys that they ask for; numbers: scans, keys, items, found."""
    scans, keys = scans_of(history), keys_of(history)
    asked = {name: operations for name, operations in keys.items() if any(each.asks_for(name) for each in scans)}
    seen = [_seen(name, operations, scans) for name, operations in asked.items()]
    decide(seen, terms.budget)
    anomalies = [*_of_scans(scans, keys, history), *(anomaly for each in seen for anomaly in _of_key(each, scans))]
    items = sum(len(each.items) for each in scans)
    numbers = {"scans": len(scans), "keys": len(asked), "items": items, "most": max((len(each.items) for each in scans), default=0)}
    nothing = None if scans and asked else f"saw nothing: {len(scans)} scans, {len(asked)} keys of theirs"
    return summed(anomalies, seen, numbers, f"{len(asked)} keys in {len(scans)} scans", nothing)


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
        raise malformed(operation, f"its result is {operation.result!r:.200}, expected a field items, a list of [key, value]", "result")
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


def _seen(name: str, operations: Sequence[Operation], scans: Iterable[Scan]) -> Seen:
    model = _model(operations)
    if model is None:
        used = ", ".join(sorted({each.f for each in operations}))
        return Seen(name, VersionedRegister(), operations, (), reason=f"no model knows {used} together")
    first = min(each.index for each in operations)
    looks = [_look(each, name) for each in scans if each.asks_for(name) and (each.end_index > first or name in each.values)]
    return Seen(name, model, operations, looks)


def _model(operations: Iterable[Operation]) -> Model | None:
    used = {each.f for each in operations}
    if any(isinstance(each.argument, Mapping) and each.argument.get("ttl_ms") is not None for each in operations):
        return None
    return next((model for model in (VersionedRegister(), Counter()) if used <= model.functions), None)


def _look(scan: Scan, name: str) -> Operation:
    return msgspec.structs.replace(scan.operation, f="get", key=name, argument={}, result={"value": scan.values.get(name)})


def _of_key(seen: Seen, scans: Iterable[Scan]) -> Iterator[Anomaly]:
    if seen.outcome is not Status.INVALID or seen.culprit is None:
        return
    look, name = seen.culprit.look, in_short(seen.name)
    value = look.result["value"]
    if value is None:
        kind, what = "scan-lost", "is not found although it must be there"
    elif _may_live(seen, look):
        kind, what = "scan-wrong-value", f"is found with {value!r:.80}, which it cannot have by then"
    else:
        kind, what = "scan-invented", f"is found with {value!r:.80} although it must be missing"
    original = next(each.operation for each in scans if each.operation.index == look.index)
    yield _anomaly(kind, name, original, what, seen.culprit.because)


def _may_live(seen: Seen, look: Operation) -> bool:
    """Say whether the key may live at some instant of a scan: somebody can have written it, and no removal certainly followed."""
    assert look.end_index is not None
    removed = max((each.index for each in seen.own if _removes(each) and _before(each, look)), default=-1)
    writers = (each for each in seen.own if not _only_looks(seen.model, each))
    return any(each.index < look.end_index and not (each.end_index is not None and each.end_index < removed) for each in writers)


def _only_looks(model: Model, operation: Operation) -> bool:
    return operation.f == "delete" or (isinstance(model, Object) and model.observes(operation))


def _removes(operation: Operation) -> bool:
    return operation.f == "delete" and operation.status == "ok"


def _before(operation: Operation, look: Operation) -> bool:
    return operation.end_index is not None and operation.end_index < look.index


# Scans


def _of_scans(scans: Iterable[Scan], keys: Mapping[str, Sequence[Operation]], history: History) -> Iterator[Anomaly]:
    ours, told = own_names(history), set[str]()
    for each in scans:
        count = Counted(name for name, _ in each.items)
        if twice := [name for name, times in count.items() if times > 1]:
            yield _anomaly("scan-repeated", in_short(twice[0]), each.operation, f"is found {count[twice[0]]} times", ())
        for name in (name for name in count if name not in told):
            wrong = "which was not asked for" if not each.asks_for(name) else "and nobody wrote it" if name not in keys else None
            if wrong is not None and (name in keys or ours(in_short(name))):
                told.add(name)
                yield _anomaly("scan-invented", in_short(name), each.operation, f"is found, {wrong}", ())


def _anomaly(kind: str, name: str, scanned: Operation, said: str, because: Sequence[Operation]) -> Anomaly:
    shown = tuple(sorted({each.index for each in because} | {scanned.index}))
    live = min((each.end for each in because if each.end is not None), default=None)
    assert scanned.end is not None
    message = f"{name} {said}: {who(scanned)} scanned {_place(scanned)}{_since(because)}"
    return Anomaly(kind, name, shown, scanned.end, message, live=live)


def _place(scanned: Operation) -> str:
    asked = scanned.argument
    if scanned.f == OF_A_KIND:
        return f"kind {asked['kind']!r}"
    return repr(":".join(asked[name] for name in PARTS))


def _since(because: Iterable[Operation]) -> str:
    told = [phrase(each) for each in because if each.f not in FUNCTIONS][-2:]
    return f"; given {' and '.join(told)}" if told else ""


# How much was exercised


def together(history: History, terms: Terms) -> int:
    """Count the keys of the scan that has the most."""
    return max((len(each.items) for each in scans_of(history)), default=0)


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
    gates={"scanned_together": together, "scan_overlaps": overlaps, "scan_recreated": recreated},
)
