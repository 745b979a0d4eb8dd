"""Histories that others recorded: Jepsen's EDN, and the log lines of Jepsen's etcd test as Porcupine keeps them.

Both become histories of ours, so that everything behind `load` is the same. What the sources mean differs in
one word: in EDN `fail` is "did not happen" and tells nothing, whatever f was; in the etcd logs a failed cas is
an answer, "it did not match", and becomes `ok` with false. Read the other way round,
one of Knossos' valid MongoDB histories would be invalid.

Events keep their order in the file, which is real-time order. Times are the file's where every operation has
one and none falls, else event numbers. A completed read of nil is a read of null.

Rejected: an EDN library (hundreds of microseconds an event, and one more dependency for maps, vectors,
keywords, numbers and strings). Not read: `independent` keys, which EDN does not tell from a pair of values.

Sources: the EDN format (github.com/edn-format/edn); Jepsen's and Knossos' histories; Porcupine's jepsen_test.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from harness import history as ours
from harness.history import NEMESIS, Event, EventType, History, MalformedHistory, pair

FORMATS = ("jsonl", "edn", "porcupine")


def read(path: Path, form: str | None = None) -> History:
    """Read a history of this format; not given, by the name: `.edn` is EDN, `.log` is Porcupine's, all else ours."""
    form = form or {".edn": "edn", ".log": "porcupine"}.get(path.suffix, "jsonl")
    readers = {"jsonl": ours.load, "edn": load_edn, "porcupine": load_porcupine}
    if form not in readers:
        raise ValueError(f"unknown format {form!r}, there are: {', '.join(FORMATS)}")
    return readers[form](path)


def load_porcupine(path: Path) -> History:
    """Read log lines `process :type :f value`; lines that are not operations are skipped.

    Raises MalformedHistory with the line number where operations do not fit together, or where there are none.
    """
    events: list[Event] = []
    numbers: list[int] = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not (found := _LINE.fullmatch(line)):
            continue
        process, kind, f, value = found.groups()
        numbers.append(number)
        events.append(_etcd_event(len(events), int(process), kind, f, _etcd_value(value, f"{path}", number)))
    return _history(events, numbers, str(path))


_LINE = re.compile(r".*?\b(\d+)\s+:(invoke|ok|fail|info)\s+:(read|write|cas)\s+(.*?)\s*")


def _etcd_value(text: str, source: str, number: int) -> Any:
    if text == "nil" or text.startswith(":"):
        return None
    if found := re.fullmatch(r"\[(-?\d+) (-?\d+)\]", text):
        return [int(found[1]), int(found[2])]
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    raise MalformedHistory(f"value {text!r}, expected nil, a number or [expected new]", number, source)


def _etcd_event(index: int, process: int, kind: str, f: str, value: Any) -> Event:
    if f == "cas" and kind in ("ok", "fail"):
        kind, value = "ok", kind == "ok"
    return _event(index, index, process, kind, f, value)


def load_edn(path: Path) -> History:
    """Read a Jepsen history: one map a line, or one vector or list of maps.

    Raises MalformedHistory with the line number of what does not fit.
    """
    source = str(path)
    maps = [(number, value) for number, value in _maps(_text(path), source)]
    client = [operation for _, operation in maps if _is_client(operation.get("process"))]
    timed = [operation.get("time") for operation in client]
    use_times = (
        bool(timed) and all(type(each) is int and each >= 0 for each in timed) and timed == sorted(timed, key=lambda each: each or 0)
    )
    events: list[Event] = []
    now = 0
    for number, operation in maps:
        process, kind, f = (operation.get(name) for name in ("process", "type", "f"))
        if (
            not isinstance(process, int | str)
            or (process != NEMESIS and not _is_client(process))
            or kind not in get_args(EventType)
            or not isinstance(f, str)
        ):
            raise MalformedHistory("expected :process, :type and :f of an operation", number, source)
        now = max(now, operation["time"]) if use_times and isinstance(operation.get("time"), int) else now if use_times else len(events)
        value = operation.get("value")
        if isinstance(process, int) and f == "cas" and kind == "ok":
            value = True
        events.append(_event(len(events), now, process, kind, f, value))
    return _history(events, [number for number, _ in maps], source)


def _is_client(process: Any) -> bool:
    return type(process) is int and process >= 0


def _event(index: int, time: int, process: int | str, kind: Any, f: str, value: Any) -> Event:
    unanswered = kind in ("fail", "info") and process != NEMESIS
    return Event(index=index, time=time, process=process, type=kind, f=f, value=None if unanswered else value)


def _history(events: list[Event], numbers: Sequence[int], source: str) -> History:
    if not events:
        raise MalformedHistory("no operation in it", None, source)
    try:
        pair(events)
    except MalformedHistory as error:  # it numbers events from 1; the file has other lines between them
        raise MalformedHistory(error.reason, numbers[(error.line or 1) - 1], source) from None
    return History(tuple(events), complete=True)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedHistory(f"not UTF-8 at byte {error.start}", None, str(path)) from None


def _maps(text: str, source: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    tokens = _Tokens(text, source)
    while tokens.ahead:
        number = tokens.line
        if tokens.ahead in ("[", "("):
            tokens.take()
            while tokens.ahead not in ("]", ")"):
                yield _map(tokens)
            tokens.take()
        else:
            yield _map(tokens)
        assert number <= tokens.line


def _map(tokens: _Tokens) -> tuple[int, Mapping[str, Any]]:
    number = tokens.line
    value = _value(tokens)
    if not isinstance(value, dict):
        raise MalformedHistory(f"{value!r}, expected a map", number, tokens.source)
    return number, value


_TOKEN = re.compile(
    r"""(?P<skip>[\s,]+|;[^\n]*)|(?P<open>\#?\{|\(|\[)|(?P<close>[)\]}])|(?P<string>"(?:[^"\\]|\\.)*")|(?P<tag>\#[^\s,\[\](){}"]+)"""
    r"""|(?P<atom>\\?[^\s,;\[\](){}"]+)""",
    re.DOTALL,
)


class _Tokens:
    """EDN split into tokens, one ahead; "" at the end."""

    def __init__(self, text: str, source: str) -> None:
        self.source = source
        self._text, self._place = text, 0
        self.line, self._next_line = 1, 1
        self.ahead = ""
        self.take()

    def take(self) -> str:
        """Give the token ahead and look at the next one."""
        taken = self.ahead
        self.ahead = ""
        while self._place < len(self._text):
            found = _TOKEN.match(self._text, self._place)
            if not found:
                raise self.malformed(f"{self._text[self._place : self._place + 20]!r} is no EDN")
            self._place = found.end()
            self.line, self._next_line = self._next_line, self._next_line + found[0].count("\n")
            if found.lastgroup != "skip":
                self.ahead = found[0]
                break
        return taken

    def malformed(self, reason: str) -> MalformedHistory:
        return MalformedHistory(reason, self.line, self.source)


_CLOSES = {"{": "}", "#{": "}", "(": ")", "[": "]"}
_WORDS = {"nil": None, "true": True, "false": False}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


def _value(tokens: _Tokens) -> Any:
    """Read one value: keywords and symbols become strings, sets and lists become lists, a tag is dropped."""
    token = tokens.take()
    if token in _CLOSES:
        items = []
        while tokens.ahead != _CLOSES[token]:
            items.append(_value(tokens))
        tokens.take()
        return _mapping(items, tokens) if token == "{" else items
    if token.startswith('"'):
        return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), token[1:-1])
    if token == "" or token in ")]}":
        raise tokens.malformed(f"{token or 'the end'}, expected a value")
    if token.startswith("#"):
        return _value(tokens)
    if token in _WORDS:
        return _WORDS[token]
    if re.fullmatch(r"[+-]?\d+N?", token):
        return int(token.removesuffix("N"))
    if re.fullmatch(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?M?", token):
        return float(token.removesuffix("M"))
    return token.removeprefix(":")


def _mapping(items: list[Any], tokens: _Tokens) -> dict[str, Any]:
    if len(items) % 2:
        raise tokens.malformed("a map with a key and no value")
    return {key if isinstance(key, str) else repr(key): value for key, value in zip(items[::2], items[1::2], strict=True)}
