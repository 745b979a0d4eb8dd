"""Whether a value has the shape that its type states: what plug-ins of other packages are held to, since nobody checks their types for us.

Read from the annotations of our own frozen values and protocols, so that no list of fields is written twice. A value whose fields
must also fit each other has a property `flaw`, a sentence or None.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from harness.errors import Misfit

T = TypeVar("T")
NUMBERS: Mapping[Any, tuple[type, ...]] = {float: (int, float), int: (int,)}
"""What is a number where one is expected: true is none."""


def held(value: T, shape: Any, what: str, by: object) -> T:
    """Give back what a plug-in gave, `what` that is, where it has this shape; else raise Misfit, a mistake of the author of `by`."""
    if said := misfit(value, shape, what):
        raise Misfit(by, said)
    return value


def misfit(value: Any, shape: Any, what: str) -> str | None:
    """Say what of a value, which is called `what`, has not this shape, and what was expected; None where all has."""
    origin, parts = get_origin(shape), get_args(shape)
    if origin is Annotated:
        return misfit(value, parts[0], what) or (None if value or not parts[1].min_length else f"{what} is empty, expected at least one")
    if origin in (Union, types.UnionType):
        return _of_none(value, shape, parts, what)
    if origin is Callable:
        return _not_called(value, len(parts[0]), what)
    if origin is not None:
        return _of_many(value, shape, what)
    if shape is Any or isinstance(shape, TypeVar) or not isinstance(shape, type):
        return None
    if getattr(shape, "_is_protocol", False):
        return _unkept(value, shape, what)
    if not isinstance(value, NUMBERS.get(shape, shape)) or (isinstance(value, bool) and shape is not bool and shape is not object):
        return f"{what} is {value!r:.100}, expected {_named(shape)}"
    return _of_fields(value, shape, what) if is_dataclass(shape) else None


@cache
def _hints(of: Any) -> Mapping[str, Any]:
    return get_type_hints(of, include_extras=True)


def _of_none(value: Any, shape: Any, parts: tuple[Any, ...], what: str) -> str | None:
    """Say what is wrong with one of several: of one that may be None as of the other."""
    found = [misfit(value, part, what) for part in parts]
    if None in found:
        return None
    others = [said for said, part in zip(found, parts, strict=True) if part is not types.NoneType]
    return others[0] if len(others) == 1 else f"{what} is {value!r:.100}, expected {_named(shape)}"


def _of_many(value: Any, shape: Any, what: str) -> str | None:
    origin, parts = get_origin(shape), get_args(shape)
    if not isinstance(value, origin) or isinstance(value, str):
        return f"{what} is {value!r:.100}, expected {_named(shape)}"
    if isinstance(value, Mapping):
        pairs = [
            each for key, item in value.items() for each in ((key, parts[0], f"a name in {what}"), (item, parts[1], f"{what} {key!r}"))
        ]
        return _first(misfit(*pair) for pair in pairs)
    if origin is tuple and parts[-1] is not Ellipsis:
        if len(value) != len(parts):
            return f"{what} is {value!r:.100}, expected {_named(shape)}"
        return _first(misfit(item, part, f"{what}, number {n},") for n, (item, part) in enumerate(zip(value, parts, strict=True), 1))
    return _first(misfit(item, parts[0], f"one of {what}") for item in value) if isinstance(value, (tuple, frozenset, list)) else None


def _of_fields(value: Any, shape: type, what: str) -> str | None:
    hints = _hints(shape)
    said = _first(misfit(getattr(value, each.name), hints[each.name], each.name) for each in fields(shape))
    said = said or getattr(value, "flaw", None)
    return f"{what}: {said}" if said else None


def _unkept(value: Any, shape: type, what: str) -> str | None:
    """Say which member of a protocol a value lacks, or has in another shape."""
    for name, member in _members(shape):
        if not hasattr(value, name):
            return f"{what} is {value!r:.100} and has no {name}, expected {_named(shape)}"
        if isinstance(member, property):
            said = misfit(getattr(value, name), _hints(member.fget)["return"], f"{name} of {what}")
        else:
            said = _not_called(getattr(value, name), len(inspect.signature(member).parameters) - 1, f"{name} of {what}")
        if said is not None:
            return said
    return None


def _members(shape: type) -> Iterator[tuple[str, Any]]:
    for each in shape.__mro__:
        if getattr(each, "_is_protocol", False):
            yield from ((name, member) for name, member in vars(each).items() if not name.startswith("_"))


def _not_called(value: Any, arguments: int, what: str) -> str | None:
    """Say that a value is no function of so many arguments."""
    expected = f"expected a function of {arguments} argument{'' if arguments == 1 else 's'}"
    if not callable(value):
        return f"{what} is {value!r:.100}, {expected}"
    try:
        inspect.signature(value).bind(*[None] * arguments)
    except ValueError:  # one that Python cannot see into
        return None
    except TypeError as error:
        return f"{what} is called with {arguments} ({error}), {expected}"
    return None


def _first(found: Iterator[str | None]) -> str | None:
    return next((said for said in found if said is not None), None)


def _named(shape: Any) -> str:
    named = (
        f"{shape.__module__}.{shape.__qualname__}".removeprefix("builtins.")
        if isinstance(shape, type) and not get_args(shape)
        else str(shape)
    )
    return named.replace("collections.abc.", "").replace("typing.", "")
