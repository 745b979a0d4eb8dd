"""Not a workload. What a lock protects: no update of the record is lost, and nobody writes who has been succeeded.

Each holder reads a value and writes that + 1, so that values count updates. Two classes:

*lost-update*: a value that had been written was written again (both built on one reading: one of the two is
lost), or a read showed less than the number of writes acknowledged before it was invoked.

*stale-write*: a write was taken although a higher fencing token had been presented to the record by an access
that ended before the write was invoked. Tokens rise with the grants (`harness.judging.checkers.fencing`), so that by
then another held the lock, or held it after. Not the end of a lease by the clock: that harms nobody alone.

    A  read 4 .......... asleep .......... write 5    stale, and 5 again: an update is lost
    B             read 4, write 5

*Assumptions*: each process writes what it last read + 1 (else the history is refused), the record is a
register that begins at 0. *Invalid is sound*: with one holder at a time, and reads and writes done while
holding, values rise by one and tokens never fall. A write without an answer condemns nothing by itself: it
may have happened or not. *Valid* is complete for what was acknowledged. *Unknown*: no write was taken,
or a read shows what nobody wrote, so that the record is no register.

`lost` is exact where every write was answered and the record was read at the end: writes taken less what the
record came to. Else it is a lower bound. O(n log n) in operations.

Sources: Kleppmann, How to do distributed locking, 2016; Berenson et al., A Critique of ANSI SQL Isolation
Levels, SIGMOD 1995, section 4.1 (lost update).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from harness.judging.check import Check, Kind
from harness.judging.verdict import Anomaly, Verdict, first_of, invalid, unknown, valid
from harness.record.fields import malformed
from harness.record.history import History, Operation, split
from workloads.resource.record import FUNCTIONS, RECORDS


@dataclass(frozen=True, slots=True)
class Access:
    """An operation on a record that was answered: the token presented (None: only looked), the value read or written.

    `highest` is the highest token that the record is known to have been presented by its end; `taken` is
    False for a write that was refused. `start` and `end` order events.
    """

    operation: Operation
    token: int | None
    value: int
    highest: int | None
    writes: bool
    taken: bool

    @property
    def start(self) -> int:
        return self.operation.index

    @property
    def end(self) -> int:
        assert self.operation.end_index is not None
        return self.operation.end_index


def resource(history: History) -> Verdict:
    """Judge every record of a history; anomalies are lost-update and stale-write.

    Numbers: `written` and `refused` writes, updates `lost`, `stale` writes taken, `records`. Raises
    MalformedHistory where an operation lacks its value or token, or writes another value than read + 1.
    """
    records = {key: _accesses(operations) for key, operations in split(_own(history)).items()}
    anomalies = [anomaly for key, accesses in records.items() for anomaly in _judge(key, accesses)]
    anomalies.sort(key=lambda anomaly: (anomaly.at, anomaly.operations))
    lost = sum(_lost(accesses) for accesses in records.values())
    writes = [access for accesses in records.values() for access in accesses if access.writes]
    numbers = {
        "written": sum(access.taken for access in writes),
        "refused": sum(not access.taken for access in writes),
        "lost": lost,
        "stale": sum(anomaly.kind == "stale-write" for anomaly in anomalies),
        "records": len(records),
    }
    if anomalies:
        stale = f"{numbers['stale']} {'write' if numbers['stale'] == 1 else 'writes'} by holders that had been succeeded"
        what = f"{lost} of {numbers['written']} updates lost, {stale}"
        return invalid(f"{what}; {first_of(anomalies)}", anomalies, **numbers)
    if strange := [read for operations in split(_own(history)).values() for read in _never_written(operations)]:
        read = strange[0]
        said = f"the read invoked at index {read.index} shows {read.result['value']}, which nobody wrote"
        return unknown(f"the record is no register: {said}", **numbers)
    if not numbers["written"]:
        return unknown("no write was taken", **numbers)
    return valid(f"no update lost of {numbers['written']} on {len(records)} records, {numbers['refused']} writes refused", **numbers)


def stale_tried(history: History) -> int:
    """Count the writes tried, taken or refused, with a token below one that the record had been presented before."""
    return sum(len(_stale(_accesses(operations))) for operations in split(_own(history)).values())


def _own(history: History) -> list[Operation]:
    return [operation for operation in history.operations() if operation.f in FUNCTIONS]


def _judge(key: str | None, accesses: Sequence[Access]) -> Iterator[Anomaly]:
    for newer, write in _stale(accesses):
        if write.taken:
            yield _stale_write(key, newer, write)
    first: dict[int, Access] = {}
    twice = False
    for write in _taken(accesses):
        earlier = first.setdefault(write.value, write)
        if earlier is not write:
            twice = True
            yield _written_again(key, earlier, write)
    if not twice and (short := _deficit(accesses)) is not None:  # by a write without an answer: nothing else says it
        yield _read_short(key, *short)


# Reading


def _accesses(operations: Iterable[Operation]) -> list[Access]:
    """Give the answered operations in order of invocation; an unanswered one constrains nothing."""
    found = []
    last: dict[int, int] = {}
    for operation in operations:
        token = _field(operation, "argument", "fencing_token", optional=operation.f == "resource_read")
        if operation.f == "resource_write":
            value = _field(operation, "argument", "value")
            if last.get(operation.process, value - 1) != value - 1:
                raise malformed(operation, f"writes {value} after it read {last[operation.process]}, expected that + 1")
        if operation.status != "ok":
            continue
        if operation.f == "resource_read":
            value = _field(operation, "result", "value")
            last[operation.process] = value
            seen = [each for each in (token, _field(operation, "result", "token", optional=True)) if each is not None]
            found.append(Access(operation, token, value, max(seen, default=None), writes=False, taken=False))
        else:
            taken = operation.result.get("written") if isinstance(operation.result, dict) else None
            if not isinstance(taken, bool):
                raise malformed(operation, f"result {operation.result!r}, expected written of type bool", "result")
            found.append(Access(operation, token, value, token, writes=True, taken=taken))
    return found


def _never_written(operations: Iterable[Operation]) -> Iterator[Operation]:
    """Give the answered reads of a value other than 0 that no write had tried by their end."""
    tried: dict[int, int] = {}  # value -> first invocation
    reads = []
    for operation in operations:
        if operation.f == "resource_write" and operation.status != "fail":
            tried.setdefault(operation.argument["value"], operation.index)
        elif operation.f == "resource_read" and operation.status == "ok" and operation.result["value"]:
            reads.append(operation)
    for read in reads:
        since = tried.get(read.result["value"])
        if since is None or read.end_index is None or since > read.end_index:
            yield read


def _field(operation: Operation, part: str, name: str, *, optional: bool = False) -> Any:
    record = getattr(operation, part)
    value = record.get(name) if isinstance(record, dict) else None
    if (value is None and optional and isinstance(record, dict)) or type(value) is int:
        return value
    raise malformed(operation, f"{part} {record!r}, expected {name} of type int", part)


def _taken(accesses: Iterable[Access]) -> list[Access]:
    return [access for access in accesses if access.writes and access.taken]


# Rules


def _stale(accesses: Sequence[Access]) -> list[tuple[Access, Access]]:
    """Give each write before whose invocation a higher token had been presented, with the first access that showed the highest."""
    done = sorted((access for access in accesses if access.highest is not None), key=lambda access: access.end)
    highest = list(accumulate(done, _higher))
    found, place = [], 0
    for access in accesses:
        while place < len(done) and done[place].end < access.start:
            place += 1
        if access.writes and place and access.token is not None and (highest[place - 1].highest or 0) > access.token:
            found.append((highest[place - 1], access))
    return found


def _higher(one: Access, other: Access) -> Access:
    return other if (other.highest or 0) > (one.highest or 0) else one


def _deficit(accesses: Sequence[Access]) -> tuple[Access, int] | None:
    """Give the read that shows the fewest of the writes acknowledged before it was invoked, and how many those were."""
    ends = sorted(access.end for access in _taken(accesses))
    worst: tuple[Access, int] | None = None
    place = 0
    for access in accesses:
        while place < len(ends) and ends[place] < access.start:
            place += 1
        if not access.writes and place > access.value and (worst is None or place - access.value > worst[1] - worst[0].value):
            worst = access, place
    return worst


def _lost(accesses: Sequence[Access]) -> int:
    """Count the updates lost: values written again, or, if that is more, what a read after all writes lacked.

    Not what an earlier read lacked: a stale write may also bring back the higher value that its writer had read.
    """
    taken = _taken(accesses)
    ended = max((write.end for write in taken), default=-1)
    lacked = [len(taken) - access.value for access in accesses if not access.writes and access.start > ended]
    return max(len(taken) - len({write.value for write in taken}), *lacked[-1:], 0)


# Words


def _stale_write(key: str | None, newer: Access, write: Access) -> Anomaly:
    message = (
        f"{key} took {write.value} from process {write.operation.process} with token {write.token} at {_at(write)}, "
        f"although process {newer.operation.process} had come with token {newer.highest} by {_at(newer)}"
    )
    return _anomaly("stale-write", key, newer, write, message)


def _written_again(key: str | None, earlier: Access, write: Access) -> Anomaly:
    first, second = sorted((earlier, write), key=lambda access: access.end)
    message = (
        f"{key} was set to {write.value} by process {first.operation.process} at {_at(first)} and again by process "
        f"{second.operation.process} at {_at(second)}: both had read {write.value - 1}, and one of the two updates is lost"
    )
    return _anomaly("lost-update", key, first, second, message)


def _read_short(key: str | None, read: Access, written: int) -> Anomaly:
    message = f"{key} was {read.value} for process {read.operation.process} at {_at(read)}, after {written} updates had been acknowledged"
    return Anomaly("lost-update", key, (read.start,), _end(read), message)


def _anomaly(kind: str, key: str | None, first: Access, last: Access, message: str) -> Anomaly:
    return Anomaly(kind, key, tuple(sorted((first.start, last.start))), _end(last), message, live=_end(first))


def _at(access: Access) -> str:
    return f"{_end(access) / 1e9:.3f} s"


def _end(access: Access) -> int:
    assert access.operation.end is not None
    return access.operation.end


UPDATES = Check(
    name="resource",
    sentence="no update of a record under its lock is lost, and nobody writes who has been succeeded",
    kinds=(
        Kind(
            name="lost-update",
            rule="What a lock protects is read and written by one holder at a time: every update counts.",
            heading="{key} lost updates that its lock protected",
            one="One record lost updates under its lock",
            many="{n} records lost updates under their locks",
            rank=90,
            of_a_key=True,
        ),
        Kind(
            name="stale-write",
            rule="Who was succeeded by a later holder must not write any more.",
            heading="{key} was written by a holder that had been succeeded",
            one="A holder that had been succeeded still wrote once",
            many="Holders that had been succeeded still wrote {times}",
            rank=100,
        ),
    ),
    judge=lambda history, terms: resource(history),
    families=(RECORDS.name,),
    gates={"stale_writes_tried": lambda history, terms: stale_tried(history)},
)
