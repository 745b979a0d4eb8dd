"""check_and_set without TTL: at most one winner of a key, and everybody later sees it.

The object is a sticky register: set once, for good. So the winner's instant is the only freedom, and a
key is decided in O(n): with low = the latest invocation of an absence seen, up = the earliest completion
of a presence seen, some winner (the one answered True; without one, any unanswered try of the value that
was read) must have an instant between low and up. Each way to fail is an anomaly of its own:

- *dedup-two-winners*: two tries answered True; one anomaly a pair, up to `PAIRS_LISTED` of a key.
- *dedup-lost*: an absence (read as missing, or set anew) began after a presence had ended that somebody
  can have made: a win, a refusal, a value read; one anomaly a key, of the earliest such presence.
- *dedup-wrong-value*: a read of what is not the winner's, of two values, of a version other than 1; or a
  presence that nobody can have made by its end (a *phantom*).

*Soundness.* On keys that are only tried and read, valid and invalid are each sound and complete (the
tests agree with a search over all orders). A key that is deleted, set otherwise or given a TTL is of
another check, and refused here. Unknown: nothing was tried, or nothing answered. Order is by event index, never
by nanoseconds; widening an interval or withholding an answer never makes a valid history invalid.

Sources: Plotkin, Sticky Bits and Universality of Consensus, PODC 1989; the proof is above and in `_lost`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from harness.judging.check import Check, Kind
from harness.judging.checkers.survival import survival
from harness.judging.models.dedup import Dedup
from harness.judging.verdict import Anomaly, Verdict, first_of, invalid, kinds_of, unknown, valid
from harness.record.fields import malformed
from harness.record.history import History, Operation, split

READS = ("get", "get_versioned")
NEVER = 2**62
ONLY_VERSION = 1

PAIRS_LISTED = 1_000
"""Pairs of winners listed on one key; from there on each further winner is listed once, against the one before."""

PHANTOM = "dedup-wrong-value"
"""The class of a presence that nobody can have made: the claims know no class of its own for it."""


@dataclass(frozen=True, slots=True)
class _Key:
    """What was seen of one key, each in order of invocation."""

    key: str | None
    winners: tuple[Operation, ...]  # tries answered True
    unanswered: tuple[Operation, ...]  # tries that may have won
    refused: tuple[Operation, ...]  # tries answered False
    reads: tuple[Operation, ...]  # answered ones

    @property
    def name(self) -> str:
        return _named(self.key)

    @property
    def found(self) -> list[Operation]:
        return [each for each in self.reads if _read(each) is not None]

    @property
    def missing(self) -> list[Operation]:
        return [each for each in self.reads if _read(each) is None]

    @property
    def tried(self) -> bool:
        return bool(self.winners or self.unanswered or self.refused)

    @property
    def answered(self) -> bool:
        return bool(self.winners or self.refused or self.reads)


def dedup(history: History) -> Verdict:
    """Judge every key, one that is only read too: nobody can have set it. A history without a check_and_set is never valid.

    Raises MalformedHistory where a value is not what check_and_set or a read takes or gives, and where a key is used otherwise.
    """
    keys = [_seen(key, found) for key, found in split(history.operations()).items()]
    anomalies = [anomaly for key in keys for anomaly in _judge(key)]
    numbers = {"keys": len(keys), "won": sum(bool(key.winners) for key in keys), "read_back": sum(bool(key.reads) for key in keys)}
    return _verdict(keys, anomalies, numbers) if keys else unknown("no check_and_set was seen", **numbers)


def _verdict(keys: Sequence[_Key], anomalies: Sequence[Anomaly], numbers: dict[str, int]) -> Verdict:
    summary = f"{len(keys)} keys, {numbers['won']} won, {numbers['read_back']} read back"
    if anomalies:
        wrong = len({anomaly.key for anomaly in anomalies})
        return invalid(f"{kinds_of(anomalies)}, on {wrong} of {summary}; {first_of(anomalies)}", anomalies, **numbers)
    if not any(key.tried for key in keys):
        return unknown(f"no check_and_set was seen that can have had an effect, on {len(keys)} keys", **numbers)
    if not any(key.answered for key in keys):
        return unknown(f"saw nothing: no operation was answered on {len(keys)} keys", **numbers)
    return valid(f"no second winner, nothing lost: {summary}", **numbers)


# What was asked and answered


def _seen(key: str | None, operations: Sequence[Operation]) -> _Key:
    kept = [each for each in operations if each.status != "fail"]
    for operation in kept:
        Dedup().identity(operation)  # raises where a function or a value does not fit
        if isinstance(operation.argument, Mapping) and operation.argument.get("ttl_ms") is not None:
            raise malformed(operation, "it brings a TTL, and this check knows no time; keys that expire are of the check expiry")
    tries = [each for each in kept if each.f == "check_and_set"]
    return _Key(
        key,
        tuple(each for each in tries if each.status == "ok" and each.result["set"]),
        tuple(each for each in tries if each.status == "info"),
        tuple(each for each in tries if each.status == "ok" and not each.result["set"]),
        tuple(each for each in kept if each.f in READS and each.status == "ok"),
    )


def _read(operation: Operation) -> str | None:
    value: str | None = operation.result["value"]
    return value


def _tried(operation: Operation) -> str:
    value: str = operation.argument["value"]
    return value


# The rules


def _judge(key: _Key) -> Iterator[Anomaly]:
    yield from _two_winners(key)
    yield from _lost(key)
    wrong = list(_wrong_value(key))
    yield from wrong or _phantom(key)
    yield from _wrong_version(key)


def _two_winners(key: _Key) -> Iterator[Anomaly]:
    ordered = sorted(key.winners, key=_end_index)
    listed = 0
    for place, later in enumerate(ordered):
        for earlier in ordered[:place] if listed < PAIRS_LISTED else ordered[place - 1 : place]:
            listed += 1
            message = f"{_who(earlier)} won {key.name} at {_s(_end(earlier))}, and {_who(later)} won it again at {_s(_end(later))}"
            yield _anomaly("dedup-two-winners", key, (earlier, later), message)


def _lost(key: _Key) -> Iterator[Anomaly]:
    """Find the absence that began first after the presence that ended first.

    Only presences that somebody can have made count: what was never there was not lost. Complete: were
    low > up, or low > the winner's end, the absence that gives low began after such a presence had ended.
    """
    possible = min((each.index for each in _makers(key)), default=NEVER)
    presences = [each for each in chain(key.winners, key.refused, key.found) if _end_index(each) > possible]
    proof = min(presences, key=_end_index, default=None)
    if proof is None:
        return
    absences = [each for each in chain(key.missing, key.winners) if each.index > _end_index(proof)]  # a winner saw it missing
    absence = min(absences, key=lambda each: each.index, default=None)
    if absence is None:
        return
    winner = min((each for each in key.winners if _end_index(each) < absence.index), key=_end_index, default=None)
    proof = winner or proof
    was = f"{_who(proof)} won {key.name} at {_s(_end(proof))}" if winner else f"{_who(proof)} found {key.name} there at {_s(_end(proof))}"
    then = f"found it missing at {_s(_end(absence))}" if absence.f in READS else f"set it anew at {_s(_end(absence))}"
    yield _anomaly("dedup-lost", key, (proof, absence), f"{was}, and {_who(absence)} {then}, asked at {_s(absence.start)}")


def _makers(key: _Key) -> list[Operation]:
    """Give the tries that can have made a presence: of values that were read, where no winner is known."""
    if key.winners:
        return [*key.winners, *key.unanswered]
    read = {_read(each) for each in key.found}
    return [each for each in key.unanswered if not read or _tried(each) in read]


def _wrong_value(key: _Key) -> Iterator[Anomaly]:
    """Find the read that ended first among those of a value that is not the winner's; without one, of a second value."""
    found = sorted(key.found, key=_end_index)
    if not found:
        return
    against = min(key.winners, key=_end_index, default=found[0])
    allowed: set[str | None] = {_tried(each) for each in key.winners} if key.winners else {_read(against)}
    wrong = next((each for each in found if _read(each) not in allowed), None)
    if wrong is None:
        return
    was = f"{_who(against)} won {key.name} with {_tried(against)!r}" if key.winners else f"{_who(against)} read {_read(against)!r} from it"
    yield _anomaly(
        "dedup-wrong-value",
        key,
        (against, wrong),
        f"{_who(wrong)} read {_read(wrong)!r} from {key.name} at {_s(_end(wrong))}, and {was} at {_s(_end(against))}",
    )


def _phantom(key: _Key) -> Iterator[Anomaly]:
    """Find the presence that ended first, if nobody who can have made it had been invoked by then."""
    first = min(chain(key.refused, key.found), key=_end_index, default=None)
    if first is None or any(each.index < _end_index(first) for each in _makers(key)):
        return
    how = f"read {_read(first)!r} from" if first.f in READS else "was refused"
    value = min(key.found, key=_end_index, default=None) if key.unanswered and not key.winners else None
    who = "nobody" if value is None else f"nobody who tried {_read(value)!r}, which {_who(value)} read,"
    message = f"{_who(first)} {how} {key.name} at {_s(_end(first))}, and {who} can have set it by then"
    yield _anomaly(PHANTOM, key, (first,) if value in (None, first) else (first, value), message)


def _wrong_version(key: _Key) -> Iterator[Anomaly]:
    for each in key.reads:
        due = 0 if _read(each) is None else ONLY_VERSION
        if each.f == "get_versioned" and each.result["version"] != due:
            version = each.result["version"]
            message = f"{_who(each)} read {key.name} at version {version} at {_s(_end(each))}; what is set once has version {due} then"
            yield _anomaly("dedup-wrong-value", key, (each,), message)
            return


# Words


def _anomaly(kind: str, key: _Key, operations: Sequence[Operation], message: str) -> Anomaly:
    """Make the anomaly of answered operations of which the first says what the others contradict: it stands once all have ended."""
    ends = [_end(each) for each in operations]
    return Anomaly(kind, key.key, tuple(sorted(each.index for each in operations)), at=max(ends), message=message, live=ends[0])


def _end_index(operation: Operation) -> int:
    assert operation.end_index is not None
    return operation.end_index


def _end(operation: Operation) -> int:
    assert operation.end is not None
    return operation.end


def _named(key: str | None) -> str:
    return "the object" if key is None else key


def _who(operation: Operation) -> str:
    return f"process {operation.process}" + (f" ({operation.node})" if operation.node else "")


def _s(ns: int) -> str:
    return f"{ns / 1e9:.3f} s"


KINDS = (
    Kind(
        name="dedup-two-winners",
        rule="Of all that try to set a key, one is the first.",
        heading="{key} was set for the first time more than once",
        one="One key had more than one winner",
        many="{n} keys had more than one winner",
        brief="two winners",
        rank=20,
        of_a_key=True,
        each_operation=True,
    ),
    Kind(
        name="dedup-lost",
        rule="What was acknowledged as set must be there afterwards.",
        heading="{key} was acknowledged and then lost",
        one="One acknowledged key was lost",
        many="{n} acknowledged keys were lost",
        brief="key lost",
        rank=30,
        of_a_key=True,
        each_operation=True,
    ),
    Kind(
        name="dedup-wrong-value",
        rule="A key keeps the value of the one that set it first.",
        heading="{key} does not have the value of its winner",
        one="One key was read as nobody had set it",
        many="{n} keys were read as nobody had set them",
        brief="wrong value",
        rank=40,
        of_a_key=True,
        each_operation=True,
    ),
)

DEDUP = Check(
    name="dedup",
    sentence="check_and_set has a single winner, and what was set stays",
    kinds=KINDS,
    judge=lambda history, terms: dedup(history),
    families=("dedup",),
    gates={
        "dedup_acknowledged_before": lambda history, terms: survival(history).dedup_acknowledged,
        "dedup_acknowledged_before_cut": lambda history, terms: survival(history, whole=True).dedup_acknowledged,
    },
)
