"""Plug-ins by name, from entry points: backends, workloads, faults, checks, models, reports, servers that backends need, and screens.

A plug-in is loaded when it is first asked for: no driver is imported for a backend that is not run.
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from harness.errors import UsageError

KINDS = ("backends", "workloads", "faults", "checks", "models", "reports", "servers")
"""What a user names."""
SCREENS = ("progress", "terminal", "nights")
"""What a command shows its result with (harness.commands.screens); nobody names them."""
OURS = "holdwater"


def names(kind: str) -> list[str]:
    """Give the names of all plug-ins of a kind, sorted."""
    return sorted(_points(kind))


def load(kind: str, name: str) -> Any:
    """Give a plug-in; raise UsageError with the nearest match where there is none of this name, or where another's package is broken."""
    points = _points(kind)
    if name not in points:
        raise UsageError(f"unknown {kind.removesuffix('s')} {name!r}, {nearest(name, points)}")
    point = points[name]
    return point.load() if _package(point) == OURS else _of_others(kind, point)


def _of_others(kind: str, point: EntryPoint) -> Any:
    """Load a plug-in of another package: a mistake in it is not ours, and its package is named."""
    whose = f"{kind} {point.name!r} of package {_package(point)} ({point.value})"
    try:
        found = point.load()
    except (Exception, SystemExit) as error:  # of any kind: somebody else's module raises it
        raise UsageError(f"{whose} cannot be loaded: {type(error).__name__}: {error}; repair the package, or uninstall it") from error
    if kind in KINDS and getattr(found, "name", None) != point.name:
        raise UsageError(f"{whose} is named {getattr(found, 'name', None)!r}, expected an object with the name of its entry point")
    return found


def nearest(name: str, known: Any) -> str:
    """Say what there is, the nearest first: the end of a sentence that began with what is unknown."""
    near = difflib.get_close_matches(name, list(known), 1, cutoff=0.5)
    there_are = f"here are: {', '.join(sorted(known)) or 'none'}"
    return f"did you mean {near[0]!r}? T{there_are}" if near else f"t{there_are}"


def package(kind: str, name: str) -> str:
    """Name the package that a plug-in comes from."""
    return _package(_points(kind)[name])


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else OURS


@cache
def _points(kind: str) -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=f"holdwater.{kind}"):
        other = found.setdefault(point.name, point)
        if _package(other) != _package(point):
            raise UsageError(
                f"{kind} {point.name!r} is in two packages, {_package(other)} and {_package(point)}; expected one of them installed"
            )
    return found
