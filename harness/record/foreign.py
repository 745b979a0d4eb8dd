"""Histories that others recorded: Jepsen's EDN, and the log lines of Jepsen's etcd test as Porcupine keeps them.

Both become histories of ours, so that everything behind `load` is the same. What the sources mean differs in
one word: in EDN `fail` is "did not happen" and tells nothing, whatever f was; in the etcd logs a failed cas is
an answer, "it did not match", and becomes `ok` with false. Read the other way round,
one of Knossos' valid MongoDB histories would be invalid.

Events keep their order in the file, which is real-time order. Times are the file's where every operation has
one and none falls, else event numbers. A completed read of nil is a read of null.

*Keys.* A history of Jepsen's `independent` holds many objects: its values are `[key value]`, which EDN does not tell
from a pair of values. It is read so without being asked where a read shows it: invoked with `[key nil]`, answered with
`[key value]`, and all operations have that shape. It is one object where none can be a tuple. Everything between is
refused: taken for pairs, a valid history of many objects is invalid; taken for tuples, an invalid one can be valid.

Sources: Jepsen's and Knossos' histories, jepsen.independent (a tuple is a map entry, which prints as a vector);
Porcupine's jepsen_test.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import msgspec

from harness.record import edn
from harness.record import format as ours
from harness.record.fields import canonical
from harness.record.history import LARGEST, MOST_NESTED, NEMESIS, Event, EventType, History, MalformedHistory, pair

FORMATS = ("jsonl", "edn", "porcupine")
TYPES = get_args(EventType)
ASK = "say --independent where values are [key value], --no-independent where they are not"
MOST_SHOWN = 80


def read(path: Path, form: str | None = None, *, independent: bool | None = None) -> History:
    """Read a history of this format; not given, by the name (`form_of`).

    `independent` says whether the values of EDN are `[key value]`; not given, it is found out or refused.
    """
    form = form or form_of(path)
    if form not in FORMATS:
        raise ValueError(f"unknown format {form!r}, there are: {', '.join(FORMATS)}")
    if form == "edn":
        return load_edn(path, independent=independent)
    return load_porcupine(path) if form == "porcupine" else ours.load(path)


def form_of(path: Path) -> str:
    """Give the format that a name stands for: `.edn` is EDN, `.log` is Porcupine's, all else ours; `.gz` behind it is left off."""
    name = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return {".edn": "edn", ".log": "porcupine"}.get(name.suffix.lower(), "jsonl")


def value(text: str, form: str) -> Any:
    """Read one value as a history of this format has them; raises MalformedHistory where it is none."""
    try:
        found = edn.value(text, "value") if form == "edn" else msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MalformedHistory(f"{error}, expected JSON", None, "value") from None
    if ours.depth(found) > MOST_NESTED:
        raise MalformedHistory(f"nested deeper than {MOST_NESTED}", None, "value")
    return found


def _event(index: int, time: int, said: _Said) -> Event:
    unanswered = said.kind in ("fail", "info") and said.process != NEMESIS
    value = None if unanswered else said.value
    return Event(index=index, time=time, process=said.process, type=said.kind, f=said.f, key=said.key, value=value)


def _history(events: list[Event], numbers: Sequence[int], source: str) -> History:
    if not events:
        raise MalformedHistory("no operation in it", None, source)
    try:
        pair(events)
    except MalformedHistory as error:  # it numbers events from 1; the file has other lines between them
        raise MalformedHistory(error.reason, numbers[(error.line or 1) - 1], source) from None
    return History(tuple(events), complete=True, lines=ours.lines_of(events, numbers, source))


def _shown(item: Any) -> str:
    text = item.what if isinstance(item, edn.Unread) else item if isinstance(item, str) else canonical(item)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


# Porcupine's log lines


def load_porcupine(path: Path) -> History:
    """Read log lines `process :type :f value`; lines of the nemesis, and lines that are not operations, are skipped.

    Raises MalformedHistory with the line number where one looks like an operation and is none, where operations do
    not fit together, or where there are none.
    """
    source = str(path)
    events: list[Event] = []
    numbers: list[int] = []
    asked: dict[str, str] = {}  # process -> what it swaps
    for number, line in enumerate(ours.decoded(ours.content(path), source).split("\n"), 1):
        if found := _LINE.fullmatch(line):
            _refuse_other_swap(found, asked, number, source)
            events.append(_etcd_event(len(events), found, number, source))
            numbers.append(number)
        elif _looks_like_an_operation(line):
            raise MalformedHistory(f"{_shown(line.strip())!r}, expected process :type :read|:write|:cas value", number, source)
    return _history(events, numbers, source)


_LINE = re.compile(rf"(?:(?!\s:\w).)*?(?<![\w.:-])(\d+)\s+:({'|'.join(TYPES)})\s+:(read|write|cas)\s+(.*?)\s*", re.ASCII)
_NUMBER = r"-?(?:0|[1-9]\d*)"
_WRITTEN, _SWAPPED = (_NUMBER, "a number"), (rf"\[{_NUMBER} {_NUMBER}\]", "[expected new]")
_VALUES = {
    ("invoke", "read"): ("nil", "nil"),
    ("ok", "read"): (f"nil|{_NUMBER}", "nil or a number"),
    ("invoke", "write"): _WRITTEN,
    ("ok", "write"): _WRITTEN,
    ("invoke", "cas"): _SWAPPED,
    ("ok", "cas"): _SWAPPED,
    ("fail", "cas"): _SWAPPED,
}
"""What stands behind an operation, as a pattern and in words; behind any other end stands why."""


def _looks_like_an_operation(line: str) -> bool:
    """Say so of a line whose message begins like one: two keywords behind a word, or a word of operations behind a number."""
    message = re.split(r"\s-\s+", line, maxsplit=1)[-1].split()
    if message and re.fullmatch(r"[\w-]+(\.[\w-]+)+", message[0]):
        del message[0]  # newer logs name the logger here
    first, rest = "".join(message[:1]), message[1:3]
    if first.lower().lstrip(":") == NEMESIS:
        return False
    kind, f = [*(word.lower().lstrip(":") for word in rest), "", ""][:2]
    numbered = first.isdigit() and (kind in TYPES or f in ("read", "write", "cas"))
    return numbered or sum(word.startswith(":") for word in rest) == 2 or first.lower() in {f":{kind}" for kind in TYPES}


def _refuse_other_swap(found: re.Match[str], asked: dict[str, str], number: int, source: str) -> None:
    """Refuse a cas that is answered with other values than it was asked with: of the answer only the word is kept."""
    process, kind, f, text = found.groups()
    if kind == "invoke":
        asked[process] = text
    elif f == "cas" and kind in ("ok", "fail") and text.startswith("[") and text != asked.get(process, text):
        raise MalformedHistory(f"a cas of {_shown(asked[process])} is answered {_shown(text)}, expected the same", number, source)


def _etcd_event(index: int, found: re.Match[str], number: int, source: str) -> Event:
    process, kind, f, text = found.groups()
    if len(process) >= len(str(LARGEST)):
        raise MalformedHistory(f"process {_shown(process)}, expected a smaller number", number, source)
    pattern, expected = _VALUES.get((kind, f), ("", ""))
    if pattern and not re.fullmatch(pattern, text, re.ASCII):
        raise MalformedHistory(f"value {_shown(text)!r} of :{kind} :{f}, expected {expected}", number, source)
    value = edn.value(text, source) if pattern else None
    if f == "cas" and kind in ("ok", "fail"):
        kind, value = "ok", kind == "ok"
    return _event(index, index, _Said(number, int(process), kind, f, value))


# Jepsen's EDN


@dataclass(frozen=True, slots=True)
class _Said:
    """An operation as the file says it, and its line; a nemesis' value is None where it cannot be read."""

    line: int
    process: int | str
    kind: Any  # one of TYPES
    f: str
    value: Any
    key: Any = None
    time: Any = None
    index: Any = None


def load_edn(path: Path, *, independent: bool | None = None) -> History:
    """Read a Jepsen history: one map a line, or one vector or list of maps; for `independent` see `read`.

    Raises MalformedHistory with the line number of what does not fit.
    """
    source = str(path)
    said = [_said(form, source) for form in edn.forms(ours.decoded(ours.content(path), source), source)]
    _refuse_falling_indices(said, source)
    said = _keyed(said, independent, source)
    _refuse_other_answers(said, source)
    if not _are_timed(said):
        _refuse_spans(said, source)
    events = [_edn_event(index, time, each) for index, (time, each) in enumerate(zip(_times(said), said, strict=True))]
    return _history(events, [each.line for each in said], source)


def _said(form: edn.Form, source: str) -> _Said:
    if not isinstance(form.value, dict) or (form.tag is not None and not form.tag.endswith(".Op")):
        raise MalformedHistory(f"{f'#{form.tag}' if form.tag else _shown(form.value)}, expected a map", form.line, source)
    process, kind, f, key, held = (form.value.get(name) for name in ("process", "type", "f", "key", "value"))
    if process != f":{NEMESIS}" and not (type(process) is int and 0 <= process <= LARGEST):
        raise MalformedHistory(f":process {_shown(process)}, expected a number from 0, or :nemesis", form.line, source)
    if kind not in [f":{each}" for each in TYPES]:
        raise MalformedHistory(f":type {_shown(kind)}, expected :{', :'.join(TYPES)}", form.line, source)
    if not isinstance(f, str) or not f.startswith(":"):
        raise MalformedHistory(f":f {_shown(f)}, expected a keyword", form.line, source)
    nemesis, used = isinstance(process, str), kind in (":invoke", ":ok")
    for each in (held if used else None, key):
        if isinstance(each, edn.Unread) and not nemesis:
            raise MalformedHistory(f"{each.what}, expected a value that can be compared", each.line, source)
    if isinstance(held, edn.Unread) or not (used or nemesis):
        held = None
    process = NEMESIS if nemesis else process
    return _Said(form.line, process, kind[1:], f[1:], held, None if nemesis else key, form.value.get("time"), form.value.get("index"))


def _refuse_falling_indices(said: Iterable[_Said], source: str) -> None:
    last = -1
    for each in said:
        if type(each.index) is int and each.index >= 0:  # Jepsen writes -1 where it gave none
            if each.index <= last:
                raise MalformedHistory(f":index {each.index} after {last}, expected a rising :index", each.line, source)
            last = each.index


def _refuse_other_answers(said: Iterable[_Said], source: str) -> None:
    """Refuse what would be dropped in silence: what a read was asked with, and what a write or a cas was answered."""
    for asked, answer in _calls(said):
        if asked.f in ("acquire", "release") and asked.value is not None:
            raise MalformedHistory(f"value {_shown(asked.value)} of :{asked.f}, expected nil; a lock is named by :key", asked.line, source)
        if answer is None:
            continue
        if asked.f == "read" and asked.value is not None and not _same(asked.value, answer.value):
            reason = f"a read of {_shown(asked.value)} is answered {_shown(answer.value)}, expected to be asked with nil"
            raise MalformedHistory(reason, answer.line, source)
        acknowledged = answer.value is None or (asked.f == "cas" and answer.value is True)
        if asked.f in ("write", "cas") and not acknowledged and not _same(asked.value, answer.value):
            reason = f"a {asked.f} of {_shown(asked.value)} is answered {_shown(answer.value)}, expected the same"
            raise MalformedHistory(reason, answer.line, source)


def _calls(said: Iterable[_Said]) -> Iterator[tuple[_Said, _Said | None]]:
    """Give each invocation of a client with its `ok`, None where there is none."""
    open_: dict[int | str, _Said] = {}
    for each in said:
        if each.process == NEMESIS:
            continue
        asked = open_.pop(each.process, None)
        if asked is not None:
            yield asked, each if each.kind == "ok" and each.f == asked.f else None
        if each.kind == "invoke":
            open_[each.process] = each
    yield from ((asked, None) for asked in open_.values())


def _same(one: Any, other: Any) -> bool:
    return canonical(one) == canonical(other)


def _are_timed(said: Iterable[_Said]) -> bool:
    times = [each.time for each in said if each.process != NEMESIS]
    return bool(times) and all(map(_is_time, times)) and times == sorted(times)


def _refuse_spans(said: Iterable[_Said], source: str) -> None:
    """Refuse what is judged by times where there are none."""
    for each in said:
        span = next((name for name in SPANS if isinstance(each.value, dict) and each.value.get(name) is not None), None)
        if span and each.process != NEMESIS:
            raise MalformedHistory(f"{each.f} with {span}, expected a :time with every operation that never falls", each.line, source)


SPANS = ("ttl_ms", "duration_ms", "timeout_ms")


def _times(said: Sequence[_Said]) -> Iterator[int]:
    """Give each event its time: its own, or that of the one before; event numbers where a client's is missing or falls."""
    if not _are_timed(said):
        yield from range(len(said))
        return
    now = 0
    for each in said:
        now = max(now, each.time) if _is_time(each.time) else now
        yield now


def _is_time(time: Any) -> bool:
    return type(time) is int and 0 <= time <= LARGEST


def _edn_event(index: int, time: int, said: _Said) -> Event:
    swapped = said.f == "cas" and said.kind == "ok" and said.process != NEMESIS
    return _event(index, time, replace(said, value=True) if swapped else said)


# Keys


def _keyed(said: list[_Said], independent: bool | None, source: str) -> list[_Said]:
    """Name the object of each operation: by :key, by `[key value]`, or none where all are on one."""
    clients = [each for each in said if each.process != NEMESIS]
    if any(each.key is not None for each in clients):
        return [each if each.process == NEMESIS else replace(each, key=_key_of(each, independent, source)) for each in said]
    calls = list(_calls(clients))
    misfit = next((wrong for call in calls if (wrong := _misfit(*call)) is not None), None)
    if independent is None:
        independent = _are_tuples(calls, misfit, source)
    if independent and misfit is not None:
        raise MalformedHistory(f"value {_shown(misfit.value)} of :{misfit.f}, expected [key value]; {ASK}", misfit.line, source)
    return list(_untupled(said)) if independent else said


def _key_of(said: _Said, independent: bool | None, source: str) -> str:
    if independent:
        raise MalformedHistory("an operation with a :key, expected none with --independent", said.line, source)
    if said.key is None:
        raise MalformedHistory("an operation without a :key, where others have one", said.line, source)
    return _name(said.key)


def _are_tuples(calls: Sequence[tuple[_Said, _Said | None]], misfit: _Said | None, source: str) -> bool:
    """Decide whether values are `[key value]`; raises MalformedHistory where they may be, and may be not."""
    if misfit is None and any(_shows_a_tuple(*call) for call in calls):
        return True
    carried = [_may_be_a_tuple(*call) for call in calls]
    asked_with_one = [asked.f in ASKS_NOTHING and _is_pair(asked.value) for asked, _ in calls]
    if not any(asked_with_one) and (True not in carried or False in carried):
        return False
    doubtful, _ = calls[asked_with_one.index(True) if any(asked_with_one) else carried.index(True)]
    reason = f"the values of :{doubtful.f} and all others may be [key value], or pairs; {ASK}"
    raise MalformedHistory(reason, doubtful.line, source)


ASKS_NOTHING = frozenset({"read", "acquire", "release"})


def _may_be_a_tuple(asked: _Said, answer: _Said | None) -> bool | None:
    """Say whether what a call carries may be `[key value]`, None where it carries nothing."""
    carried = asked.value
    if asked.f in ASKS_NOTHING:
        carried = answer.value if answer is not None else None
    if asked.f == "cas":
        return _is_pair(carried) and _is_pair(carried[1])
    return None if carried is None else _is_pair(carried)


def _misfit(asked: _Said, answer: _Said | None) -> _Said | None:
    """Give the invocation or the answer that cannot carry `[key value]`."""
    if not _is_pair(asked.value) or asked.value[0] is None:
        return asked
    if (asked.f == "read" and asked.value[1] is not None) or (asked.f == "cas" and not _is_pair(asked.value[1])):
        return asked
    if answer is not None and not (_is_pair(answer.value) and _same(answer.value[0], asked.value[0])):
        return answer
    return None


def _shows_a_tuple(asked: _Said, answer: _Said | None) -> bool:
    """Say whether a read is answered with more than it was asked with, which a read of a pair never is."""
    return asked.f == "read" and answer is not None and answer.value[1] is not None


def _untupled(said: Iterable[_Said]) -> Iterator[_Said]:
    keys: dict[int | str, str] = {}
    for each in said:
        if each.process != NEMESIS and _is_pair(each.value):
            keys[each.process] = _name(each.value[0])
            yield replace(each, key=keys[each.process], value=each.value[1])
        else:  # of a failed or unanswered one the invocation named the key
            yield replace(each, key=keys.get(each.process))


def _is_pair(item: Any) -> bool:
    return isinstance(item, list) and len(item) == 2


def _name(key: Any) -> str:
    """Give a key as text: a string as it is, all else as JSON; a string that reads as JSON is quoted, so that "1" is not 1."""
    if not isinstance(key, str):
        return canonical(key)
    try:
        msgspec.json.decode(key)
    except msgspec.DecodeError:
        return key
    return canonical(key)
