"""check_and_set without TTL: at most one winner of a key, and everybody later sees it.

Exact for keys that are only tried and read: valid and invalid are each sound and complete there. A
key that is deleted, set, or given a TTL is not judged here, and unknown. The winner's instant is the
only freedom: with low = the latest start of an absence seen, up = the earliest end of a presence seen,
some winner's interval must reach from low to up. O(n) a key.

Order is by event index, never by nanoseconds. Source: research of this project, section 2.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.history import History, Operation, split
from harness.verdict import Anomaly, Verdict, combine, invalid, unknown, valid

READS = ("get", "get_versioned")
FUNCTIONS = ("check_and_set", *READS)
NO_END = 2**62


@dataclass(frozen=True, slots=True)
class _Key:
    """What was seen of one key."""

    name: str | None
    winners: tuple[Operation, ...]  # answered True
    perhaps: tuple[Operation, ...]  # unanswered
    present: tuple[Operation, ...]  # refused, or read with a value
    absent: tuple[Operation, ...]  # read as missing


def dedup(history: History) -> Verdict:
    """Judge every key on which check_and_set was called; a history without one is unknown."""
    groups = {key: found for key, found in split(history.operations()).items() if any(each.f == "check_and_set" for each in found)}
    if not groups:
        return unknown("no check_and_set was seen")
    anomalies: list[Anomaly] = []
    unjudged = []
    won = read = 0
    for key, operations in groups.items():
        reason = _unfit(operations)
        if reason is not None:
            unjudged.append(f"{key}: {reason}")
            continue
        seen = _seen(key, operations)
        won += bool(seen.winners)
        read += any(each.f in READS for each in (*seen.present, *seen.absent))
        anomalies += _key(seen)
    numbers = {"keys": len(groups), "won": won, "read_back": read}
    summary = f"{len(groups)} keys, {won} won, {read} read back"
    parts = {}
    if unjudged:
        parts["not judged"] = unknown(f"{len(unjudged)} keys not judged; {unjudged[0]}")
    if anomalies:
        parts["single winner"] = invalid(f"{_counts(anomalies)} on {summary}", anomalies, **numbers)
    elif len(unjudged) < len(groups):
        parts["single winner"] = valid(f"no second winner, nothing lost: {summary}", **numbers)
    return next(iter(parts.values())) if len(parts) == 1 else combine(parts)


def _counts(anomalies: Sequence[Anomaly]) -> str:
    kinds = sorted({anomaly.kind for anomaly in anomalies})
    return ", ".join(f"{sum(anomaly.kind == kind for anomaly in anomalies)} {kind}" for kind in kinds)


def _unfit(operations: Sequence[Operation]) -> str | None:
    for operation in operations:
        if operation.f not in FUNCTIONS:
            return f"{operation.f} was called too"
        if operation.f == "check_and_set" and operation.argument.get("ttl_ms") is not None:
            return "a TTL was given"
    return None


def _seen(key: str | None, operations: Sequence[Operation]) -> _Key:
    tries = [each for each in operations if each.f == "check_and_set"]
    reads = [each for each in operations if each.f in READS and each.status == "ok"]
    answered = [each for each in tries if each.status == "ok"]
    return _Key(
        key,
        tuple(each for each in answered if each.result["set"]),
        tuple(each for each in tries if each.status == "info"),
        (*(each for each in answered if not each.result["set"]), *(each for each in reads if each.result["value"] is not None)),
        tuple(each for each in reads if each.result["value"] is None),
    )


def _key(seen: _Key) -> list[Anomaly]:
    found = _two_winners(seen) + _lost(seen)
    if found:
        return found
    return _wrong_value(seen) or _phantom(seen)


def _two_winners(seen: _Key) -> list[Anomaly]:
    if not seen.winners:
        return []
    first, *others = sorted(seen.winners, key=_end_index)
    return [
        Anomaly(
            "dedup-two-winners",
            seen.name,
            (first.index, other.index),
            at=_end(other),
            message=f"{_who(first)} won {seen.name} at {_s(_end(first))}, and {_who(other)} won it again at {_s(_end(other))}",
            live=_end(first),
        )
        for other in others
    ]


def _lost(seen: _Key) -> list[Anomaly]:
    """Find the first absence that began after a presence had ended: a winner acknowledged, a refusal, or a value read."""
    presences = sorted((*seen.winners, *seen.present), key=_end_index)
    if not presences:
        return []
    first = presences[0]
    # A second winner saw the key absent too.
    absences = [each for each in (*seen.absent, *seen.winners) if each.index > _end_index(first)]
    if not absences:
        return []
    absence = min(absences, key=lambda each: each.index)
    winner = next((each for each in seen.winners if _end_index(each) < absence.index), None)
    what = (
        f"{_who(winner)} won {seen.name} at {_s(_end(winner))}"
        if winner
        else f"{seen.name} was there for {_who(first)} at {_s(_end(first))}"
    )
    how = f"read it as missing at {_s(absence.start)}" if absence.f in READS else f"set it anew at {_s(absence.start)}"
    proof = winner or first
    return [
        Anomaly(
            "dedup-lost",
            seen.name,
            (proof.index, absence.index),
            at=_end(absence),
            message=f"{what}, and {_who(absence)} {how}",
            live=_end(proof),
        )
    ]


def _wrong_value(seen: _Key) -> list[Anomaly]:
    reads = sorted((each for each in seen.present if each.f in READS), key=_end_index)
    if not reads:
        return []
    allowed = {each.argument["value"]: each for each in seen.winners} or {each.argument["value"]: each for each in seen.perhaps}
    first = reads[0]
    for each in reads:
        value = each.result["value"]
        if value in allowed and value == first.result["value"]:
            continue
        against = first if value != first.result["value"] else next(iter(seen.winners), first)
        message = f"{_who(each)} read {value!r} from {seen.name} at {_s(_end(each))}, but {_wanted(seen, first)}"
        return [Anomaly("dedup-wrong-value", seen.name, (against.index, each.index), at=_end(each), message=message, live=_end(against))]
    return []


def _wanted(seen: _Key, first: Operation) -> str:
    if seen.winners:
        return f"{seen.winners[0].argument['value']!r} had won"
    return f"{first.result['value']!r} had been read before" if seen.perhaps else "nobody had set it"


def _phantom(seen: _Key) -> list[Anomaly]:
    """Find a presence that no winner explains: it ended before any began, or there was none."""
    if not seen.present and not seen.winners:
        return []
    low = max((each.index for each in seen.absent), default=-1)
    first = min((*seen.present, *seen.winners), key=_end_index)
    up = min((_end_index(each) for each in seen.present), default=NO_END)
    value = next((each.result["value"] for each in seen.present if each.f in READS), None)
    candidates = seen.winners or tuple(each for each in seen.perhaps if value in (None, each.argument["value"]))
    if any(max(low, each.index) <= min(up, _end_index(each)) for each in candidates):
        return []
    message = f"{seen.name} was there for {_who(first)} at {_s(_end(first))}, and nobody can have set it by then"
    return [
        Anomaly("dedup-wrong-value", seen.name, (*(each.index for each in candidates[:1]), first.index), at=_end(first), message=message)
    ]


def _end_index(operation: Operation) -> int:
    return NO_END if operation.end_index is None else operation.end_index


def _end(operation: Operation) -> int:
    return operation.start if operation.end is None else operation.end


def _who(operation: Operation) -> str:
    return f"process {operation.process}" + (f" ({operation.node})" if operation.node else "")


def _s(ns: int) -> str:
    return f"{ns / 1e9:.3f} s"
