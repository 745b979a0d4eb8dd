"""The history: what every process asked and what it was answered, in real-time order.

A history is JSON Lines, one event a line, appended as it happens (`harness.record.journal`); any prefix
of one is a valid history. Index order is real-time order: the journal assigns index and time
under one lock, before the call is made and after it has ended, so that the recorded interval
contains the true one. Checkers order operations by index and never by nanoseconds; lease rules
need real times and use `start` and `end`.

Rejected: open dicts (a typo passes silently), EDN as the native form (20 s to read a million
operations in Python), a binary form (a killed writer loses all of it).

Sources: Herlihy and Wing, Linearizability, TOPLAS 1990, section 2 (invocation, response, history);
Jepsen's history (process, type, f, value), with its rule that an `info` retires the process.
"""

from __future__ import annotations

import codecs
import gzip
import io
import json
import re
import zlib
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import msgspec

EventType = Literal["invoke", "ok", "fail", "info"]
NEMESIS = "nemesis"
CLIENTS = "clients"
"""The target of a fault on clients."""
UNCLASSIFIED, BROKEN = "unclassified: ", "broken: "
"""How the error of an info begins whose driver error no table names, and of one that is a bug of ours."""
FORMAT = 1
MOST_NESTED = 100
LARGEST = 2**63 - 1
GZIP = b"\x1f\x8b"
MOST_BYTES = 4 * 2**30
MOST_OF_AN_END = 100


class MalformedHistory(ValueError):
    """Say which line of a history breaks its format, and why.

    Never a verdict about the system: what cannot be read cannot be judged. Who no longer has the lines
    names the index of the `event` (`History.lines_named`).
    """

    def __init__(self, reason: str, line: int | None = None, source: str = "history", *, event: int | None = None) -> None:
        self.reason, self.line, self.source, self.event = reason, line, source, event
        where = source if line is None else f"{source}:{line}"
        super().__init__(f"{where}: {reason}")


class Event(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One recorded line. `time` is in nanoseconds since the run began, monotonic."""

    index: int
    time: int
    process: int | str
    type: EventType
    f: str
    key: str | None = None
    value: Any
    node: str | None = None
    error: str | None = None


class Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The optional first line: what made this history."""

    holdwater: int = 1
    seed: int | None = None
    deployment: str | None = None
    variant: str | None = None
    workloads: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    concurrency: int | None = None
    sides: dict[str, str] = {}
    clock_bound_ms: int | None = None  # set where client clocks end leases: the largest difference between two of them
    options: dict[str, Any] = {}


class Operation(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An invocation paired with its completion.

    `index` and `end_index` order operations; `start` and `end` are nanoseconds. `end` and
    `end_index` are None where the operation may yet take effect (`info`, or never completed);
    `gave_up` is then the time at which its client stopped waiting, None if it never did.
    """

    index: int
    process: int
    f: str
    key: str | None
    argument: Any
    status: Literal["ok", "fail", "info"]
    result: Any = None
    start: int
    end: int | None = None
    end_index: int | None = None
    gave_up: int | None = None
    node: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """One fault episode: its number, its events, and why it is void (None if it is not)."""

    n: int
    history: History
    void: str | None = None


@dataclass(frozen=True, slots=True)
class Lines:
    """Where the events of a file stand: its name, and the line of each event by index. 16 bytes an event."""

    source: str
    indices: array[int]
    numbers: array[int]

    def number(self, index: int) -> int | None:
        """Give the line of the event with this index, None if the file has none."""
        place = bisect_left(self.indices, index)
        return self.numbers[place] if place < len(self.indices) and self.indices[place] == index else None


@dataclass(frozen=True, slots=True)
class History:
    """Events in index order, validated. `complete` says that the end mark was read; `lines` that a file was."""

    events: tuple[Event, ...]
    header: Header | None = None
    complete: bool = False
    torn: bool = False
    lines: Lines | None = field(default=None, compare=False, repr=False)

    def operations(self) -> list[Operation]:
        """Pair invocations with completions, in order of invocation; O(n)."""
        return pair(self.events)

    def nemesis(self) -> list[Event]:
        """Give the events of the nemesis: faults, roles, clocks, trials. Those of another tool's say nothing to us and are left out."""
        return [event for event in self.events if event.process == NEMESIS and _has_our_shape(event)]

    @contextmanager
    def lines_named(self) -> Iterator[None]:
        """Name file and line in a MalformedHistory that knows the event only."""
        try:
            yield
        except MalformedHistory as error:
            if error.event is None or self.lines is None:
                raise
            raise MalformedHistory(error.reason, self.lines.number(error.event), self.lines.source, event=error.event) from None

    def slot(self, process: int) -> int:
        """Give the slot of a process: a retired process goes on as process + concurrency."""
        concurrency = self.header.concurrency if self.header else None
        return process % concurrency if concurrency else process

    def side(self, process: int) -> str | None:
        """Give the side of the partition that a process is on, None where there are no sides."""
        sides = self.header.sides if self.header else {}
        return sides.get(str(self.slot(process)))

    def trials(self) -> list[Trial]:
        """Split at the nemesis' trial marks; the whole history is trial 0 where there are none.

        A trial lasts from its "begin" to the next one's, final reads after "settled" included.
        Workers are idle between trials, so that no operation crosses a mark. A trial is complete
        if another one began after it, or the end mark was read.
        """
        return list(_trials(self))


def split(operations: Iterable[Operation]) -> dict[str | None, list[Operation]]:
    """Group operations by key, keys in order of first use.

    Sound for linearizability: it is local (Herlihy and Wing 1990, theorem 1).
    """
    groups: dict[str | None, list[Operation]] = {}
    for operation in operations:
        groups.setdefault(operation.key, []).append(operation)
    return groups


def pair(events: Sequence[Event]) -> list[Operation]:
    """Pair client invocations with their completions; raise MalformedHistory where they do not fit."""
    return [_operation(invoke, completion) for invoke, completion in _pairs(events, lambda n: n + 1)]


def _operation(invoke: Event, completion: Event | None) -> Operation:
    status: Literal["ok", "fail", "info"] = "info"
    if completion is not None and completion.type != "invoke":
        status = completion.type
    answered = completion is not None and status != "info"
    return Operation(
        index=invoke.index,
        process=int(invoke.process),
        f=invoke.f,
        key=invoke.key,
        argument=invoke.value,
        status=status,
        result=completion.value if completion is not None and status == "ok" else None,
        start=invoke.time,
        end=completion.time if completion is not None and answered else None,
        end_index=completion.index if completion is not None and answered else None,
        gave_up=completion.time if completion is not None and not answered else None,
        node=completion.node if completion is not None else None,
        error=completion.error if completion is not None else None,
    )


def _pairs(events: Sequence[Event], line_of: Any, source: str = "history") -> list[tuple[Event, Event | None]]:
    open_: dict[int, int] = {}  # process -> place of its pair
    retired: set[int] = set()
    found: list[tuple[Event, Event | None]] = []
    for position, event in enumerate(events):
        if not isinstance(event.process, int):
            continue
        process = event.process
        if event.type == "invoke":
            if process in open_:
                raise MalformedHistory(
                    f"process {process} invokes {event.f} while its {found[open_[process]][0].f} is open", line_of(position), source
                )
            if process in retired:
                raise MalformedHistory(f"process {process} invokes {event.f} after an info retired it", line_of(position), source)
            open_[process] = len(found)
            found.append((event, None))
            continue
        if process not in open_:
            raise MalformedHistory(f"process {process} completes {event.f} without an invocation", line_of(position), source)
        place = open_.pop(process)
        invoke = found[place][0]
        if (invoke.f, invoke.key) != (event.f, event.key):
            raise MalformedHistory(
                f"process {process} completes {event.f} on {event.key!r}, expected {invoke.f} on {invoke.key!r}", line_of(position), source
            )
        if event.type == "info":
            retired.add(process)
        found[place] = (invoke, event)
    return found


def _trials(history: History) -> Iterator[Trial]:
    current: list[Event] = []
    n: int | None = None
    marked, void = False, None
    for event in history.events:
        if event.process == NEMESIS and event.f == "trial" and _has_our_shape(event):
            phase = event.value["phase"]
            if phase == "begin":
                if n is not None:
                    yield Trial(n, replace(history, events=tuple(current), complete=True), void)
                marked, n, current, void = True, event.value["n"], [], None
            elif phase == "void":
                void = event.value.get("reason") or "no reason given"
        if n is not None:
            current.append(event)
    if n is not None:
        yield Trial(n, replace(history, events=tuple(current)), void)
    if not marked:
        yield Trial(0, history)


# What a nemesis records


def _has_our_shape(event: Event) -> bool:
    """Say whether the value of a nemesis' event has the fields that ours always have: the one place that knows them."""
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
_OPTIONAL_FIELDS: Mapping[str, Any] = {"id": int, "targets": list | tuple, "probe": Mapping}


# Reading and writing


_NAME = re.compile(rb'"([^"\\]*)"\s*:')
_SLOT = re.compile(r"0|[1-9][0-9]{0,9}")
_DECODER = msgspec.json.Decoder(Event)
_HEADER = msgspec.json.Decoder(Header)
_ENCODER = msgspec.json.Encoder()
END_MARK = b'{"end":true}\n'


def encode(item: Event | Header) -> bytes:
    """Give one line of JSON, newline included."""
    line = _ENCODER.encode(item)
    if isinstance(item, Header):
        line = b'{"holdwater":1' + (b"," if len(line) > 2 else b"") + line[1:]
    return line + b"\n"


def dump(history: History, path: Path) -> None:
    """Write a history as JSON Lines."""
    lines = [encode(history.header)] if history.header else []
    lines += [encode(event) for event in history.events]
    if history.complete:
        lines.append(END_MARK)
    path.write_bytes(b"".join(lines))


def load(path: Path) -> History:
    """Read JSON Lines; raise MalformedHistory with the line number of what does not fit.

    A torn last line (broken JSON) is dropped: the writer was killed.
    """
    return parse(content(path), str(path))


def content(path: Path, most: int = MOST_BYTES) -> bytes:
    """Read a file, unpacked where it is gzip by its first bytes, without a byte order mark.

    Raises MalformedHistory where it has more than `most` bytes, packed or not: a device has no end, and little gzip can be much.
    """
    with path.open("rb") as file:
        data = file.read(most + 1)
    if data.startswith(GZIP):
        try:
            data = gzip.GzipFile(fileobj=io.BytesIO(data)).read(most + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise MalformedHistory(f"gzip that cannot be unpacked: {error}", None, str(path)) from None
    if len(data) > most:
        raise MalformedHistory(f"more than {most:,} bytes, expected a history", None, str(path))
    return data.removeprefix(codecs.BOM_UTF8)


def decoded(data: bytes, source: str) -> str:
    """Give bytes as text; raise MalformedHistory with the line where they are not UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise MalformedHistory(f"byte 0x{data[error.start]:02x} is not UTF-8", line, source) from None


def parse(data: bytes, source: str = "history") -> History:
    """Read a history from bytes; see `load`."""
    *lines, last = data.split(b"\n")
    decoded(data[: len(data) - len(last)], source)  # the decoder looks into no string that it skips
    torn = last.lstrip().startswith(b"{") and not _is_json(last)
    if not torn:
        lines.append(last)
    header, events, numbers, complete = None, [], [], False
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if complete:
            raise MalformedHistory("a line after the end mark", number, source)
        try:
            if line.startswith(b'{"holdwater"'):
                header = _read_header(line, number, source)
            elif _is_end(line):
                complete = True
            else:
                events.append(_read_event(line, number, source))
                numbers.append(number)
        except msgspec.DecodeError as error:
            if number == len(lines) - 1 and not last and not isinstance(error, msgspec.ValidationError):
                torn = True
                break
            raise MalformedHistory(f"{error}: {_shorten(line)}", number, source) from None
        except RecursionError:
            raise MalformedHistory(f"nested deeper than {MOST_NESTED}: {_shorten(line)}", number, source) from None
    if complete and torn:
        raise MalformedHistory("a line after the end mark", len(lines) + 1, source)
    _validate(events, numbers, source)
    return History(tuple(events), header, complete, torn, lines_of(events, numbers, source))


def lines_of(events: Iterable[Event], numbers: Iterable[int], source: str) -> Lines:
    """Note the line of each event of a file."""
    return Lines(source, array("q", [event.index for event in events]), array("q", numbers))


def _is_end(line: bytes) -> bool:
    return (
        b'"end"' in line[:MOST_OF_AN_END] and len(line) <= MOST_OF_AN_END and _is_json(line) and msgspec.json.decode(line) == {"end": True}
    )


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
        line.decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    except RecursionError:
        return True
    return True


def _read_event(line: bytes, number: int, source: str) -> Event:
    event = _DECODER.decode(line)
    _refuse_twins(line, number, source)
    if line.count(b"{") + line.count(b"[") > MOST_NESTED and depth(event.value) > MOST_NESTED:
        raise MalformedHistory(f"nested deeper than {MOST_NESTED}: {_shorten(line)}", number, source)
    return event


def depth(value: Any) -> int:
    """Give how deep lists and maps stand in one another."""
    depth, level = 0, [value]
    while level:
        holders = [each for each in level if isinstance(each, dict | list)]
        level = [inner for each in holders for inner in (each.values() if isinstance(each, dict) else each)]
        depth += bool(holders)
    return depth


def _refuse_twins(line: bytes, number: int, source: str) -> None:
    """Refuse a field that an object has twice: the decoder would take one of them in silence."""
    names = _NAME.findall(line)
    if len(set(names)) == len(names) and b"\\" not in line:
        return

    def paired(pairs: list[tuple[str, Any]]) -> None:
        for name, count in Counter(name for name, _ in pairs).items():
            if count > 1:
                raise MalformedHistory(f"field {name!r} twice in one object: {_shorten(line)}", number, source)

    json.loads(line, object_pairs_hook=paired, parse_int=str, parse_float=str)


def _read_header(line: bytes, number: int, source: str) -> Header:
    if number > 1:
        raise MalformedHistory("the header stands on the first line only", number, source)
    header = _HEADER.decode(line)
    _refuse_twins(line, number, source)
    for wrong in _out_of_range(header):
        raise MalformedHistory(f"{wrong} in the header", number, source)
    return header


def _out_of_range(header: Header) -> Iterator[str]:
    slots = header.concurrency
    if header.holdwater != FORMAT:
        yield f"format {header.holdwater}, expected {FORMAT}"
    if slots is not None and not 1 <= slots <= LARGEST:
        yield f"concurrency {slots}, expected 1 or more"
    if header.clock_bound_ms is not None and not 0 <= header.clock_bound_ms <= LARGEST:
        yield f"clock_bound_ms {header.clock_bound_ms}, expected milliseconds, 0 or more"
    for slot, side in header.sides.items():
        if not _SLOT.fullmatch(slot) or (slots is not None and int(slot) >= slots):
            yield f"sides of slot {slot!r}, expected a number of a slot" + ("" if slots is None else f" below {slots}")
        if not side:
            yield f"side {side!r} of slot {slot}, expected a name"


def _shorten(line: bytes) -> str:
    text = line.decode("utf-8", "replace")
    return text if len(text) <= 80 else text[:77] + "..."


def _validate(events: list[Event], numbers: list[int], source: str) -> None:
    last_index, last_time = -1, 0
    for position, event in enumerate(events):
        wrong = _wrong(event, last_index, last_time)
        if wrong:
            raise MalformedHistory(wrong, numbers[position], source)
        last_index, last_time = event.index, event.time
    _pairs(events, lambda position: numbers[position], source)


def _wrong(event: Event, last_index: int, last_time: int) -> str | None:
    if event.index <= last_index:
        return f"index {event.index} after {last_index}, expected a rising index"
    if event.time < last_time:
        return f"time {event.time} after {last_time}, expected a time that never falls"
    if event.index > LARGEST or event.time > LARGEST:
        return f"index {event.index} at time {event.time}, expected at most {LARGEST}"
    if isinstance(event.process, str) and event.process != NEMESIS:
        return f'process {event.process!r}, expected an integer or "nemesis"'
    if isinstance(event.process, int) and not 0 <= event.process <= LARGEST:
        return f"process {event.process}, expected 0 or more" + (f", at most {LARGEST}" if event.process > 0 else "")
    return None
