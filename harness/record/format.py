"""The history's format: JSON Lines, one event a line, a header before them and an end mark behind; written and read here.

Any prefix of a history is a valid one. What breaks the format is refused with its line: what cannot be read cannot be judged.
"""

from __future__ import annotations

import codecs
import gzip
import io
import json
import re
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from harness.record.event import LARGEST, MOST_NESTED, NEMESIS, Event, Header, MalformedHistory
from harness.record.history import History, Lines
from harness.record.operation import pairs

FORMAT = 1
GZIP = b"\x1f\x8b"
MOST_BYTES = 4 * 2**30
MOST_OF_AN_END = 100

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
    pairs(events, lambda position: numbers[position], source)


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
