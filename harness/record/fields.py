"""The values of an operation, checked where they are read.

A model compares; a value of the wrong shape would compare as "different" and turn a typo into a
verdict. So every access says what it expects and refuses the rest: a history that does not fit its
vocabulary (docs/history.md) is malformed, never invalid.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from harness.record.history import MalformedHistory, Operation

MOST_SHOWN = 100  # characters

_encode = msgspec.json.Encoder(order="sorted").encode


def canonical(value: Any) -> str:
    """Give a value's JSON text: hashable, and 1, 1.0 and true stay three values, which in Python they are not."""
    return _encode(value).decode()


def shown(value: Any) -> str:
    """Give a value for an error: as its history holds it, the beginning of a long one."""
    try:
        said = canonical(value)
    except (TypeError, ValueError):  # no JSON: made in a program
        said = repr(value)
    return said if len(said) <= MOST_SHOWN else f"{said[:MOST_SHOWN]}..."


def text(operation: Operation, part: str, name: str) -> str | None:
    """Give a string or null from the operation's `argument` or `result`."""
    value = _get(operation, part, name)
    if value is not None and type(value) is not str:
        raise malformed(operation, f"{part} {name} is {shown(value)}, expected a string or null", part)
    return value


def written(operation: Operation) -> str:
    """Give the string that the operation writes: null is no value, it means missing."""
    value = text(operation, "argument", "value")
    if value is None:
        raise malformed(operation, "argument value is null, expected a string")
    return value


def integer(operation: Operation, part: str, name: str) -> int:
    """Give an integer; true and false are none, though Python counts them in."""
    value = _get(operation, part, name)
    if type(value) is not int:
        raise malformed(operation, f"{part} {name} is {shown(value)}, expected an integer", part)
    return value


def flag(operation: Operation, part: str, name: str) -> bool:
    """Give true or false."""
    value = _get(operation, part, name)
    if type(value) is not bool:
        raise malformed(operation, f"{part} {name} is {shown(value)}, expected true or false", part)
    return value


def malformed(operation: Operation, reason: str, part: str = "argument") -> MalformedHistory:
    """Make the error that names the operation, and the event of its `argument` or its `result`."""
    event = operation.index if part == "argument" else operation.end_index
    return MalformedHistory(f"{operation.f} (event {event}, process {operation.process}): {reason}", event=event)


def unknown_function(operation: Operation, model: str, functions: frozenset[str]) -> MalformedHistory:
    """Make the error for an f that the model lacks."""
    return malformed(operation, f"the model {model} knows {', '.join(sorted(functions))} only")


def _get(operation: Operation, part: str, name: str) -> Any:
    holder = operation.argument if part == "argument" else operation.result
    if not isinstance(holder, Mapping) or name not in holder:
        raise malformed(operation, f"its {part} is {shown(holder)}, expected a field {name}", part)
    return holder[name]
