"""The history: what every process asked and what it was answered, in real-time order.

A history is JSON Lines, one event a line, appended as it happens (`harness.journal`); any prefix
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

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

EventType = Literal["invoke", "ok", "fail", "info"]
NEMESIS = "nemesis"
FORMAT = 1


class MalformedHistory(ValueError):
    """Say which line of a history breaks its format, and why.

    Never a verdict about the system: what cannot be read cannot be judged.
    """

    def __init__(self, reason: str, line: int | None = None, source: str = "history") -> None:
        self.reason, self.line, self.source = reason, line, source
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
class History:
    """Events in index order, validated. `complete` says that the end mark was read."""

    events: tuple[Event, ...]
    header: Header | None = None
    complete: bool = False
    torn: bool = False

    def operations(self) -> list[Operation]:
        """Pair invocations with completions, in order of invocation; O(n)."""
        return pair(self.events)

    def nemesis(self) -> list[Event]:
        """Give the events of the nemesis: faults, roles, clocks, trials."""
        return [event for event in self.events if event.process == NEMESIS]

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
        if event.process == NEMESIS and event.f == "trial":
            phase = event.value["phase"]
            if phase == "begin":
                if n is not None:
                    yield Trial(n, History(tuple(current), history.header, complete=True), void)
                marked, n, current, void = True, event.value["n"], [], None
            elif phase == "void":
                void = event.value.get("reason") or "no reason given"
        if n is not None:
            current.append(event)
    if n is not None:
        yield Trial(n, History(tuple(current), history.header, history.complete), void)
    if not marked:
        yield Trial(0, history)


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

    A torn last line (no newline at its end, or broken JSON) is dropped: the writer was killed.
    """
    return parse(path.read_bytes(), str(path))


def parse(data: bytes, source: str = "history") -> History:
    """Read a history from bytes; see `load`."""
    lines = data.split(b"\n")
    torn = bool(lines[-1].strip())
    lines = lines[:-1]
    header, events, numbers, complete = None, [], [], False
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if complete:
            raise MalformedHistory("a line after the end mark", number, source)
        try:
            if line.startswith(b'{"holdwater"'):
                if number > 1:
                    raise MalformedHistory("the header stands on the first line only", number, source)
                header = _HEADER.decode(line)
                if header.holdwater != FORMAT:
                    raise MalformedHistory(f"format {header.holdwater}, expected {FORMAT}", number, source)
            elif line.replace(b" ", b"") == END_MARK.strip():
                complete = True
            else:
                events.append(_DECODER.decode(line))
                numbers.append(number)
        except msgspec.DecodeError as error:
            if number == len(lines) and not torn and not isinstance(error, msgspec.ValidationError):
                torn = True
                break
            raise MalformedHistory(f"{error}: {_shorten(line)}", number, source) from None
    _validate(events, numbers, source)
    return History(tuple(events), header, complete, torn)


def _shorten(line: bytes) -> str:
    text = line.decode("utf-8", "replace")
    return text if len(text) <= 80 else text[:77] + "..."


def _validate(events: list[Event], numbers: list[int], source: str) -> None:
    last_index, last_time = -1, 0
    for position, event in enumerate(events):
        if event.index <= last_index:
            raise MalformedHistory(f"index {event.index} after {last_index}, expected a rising index", numbers[position], source)
        if event.time < last_time:
            raise MalformedHistory(f"time {event.time} after {last_time}, expected a time that never falls", numbers[position], source)
        if isinstance(event.process, str) and event.process != NEMESIS:
            raise MalformedHistory(f'process {event.process!r}, expected an integer or "nemesis"', numbers[position], source)
        if isinstance(event.process, int) and event.process < 0:
            raise MalformedHistory(f"process {event.process}, expected 0 or more", numbers[position], source)
        last_index, last_time = event.index, event.time
    _pairs(events, lambda position: numbers[position], source)
