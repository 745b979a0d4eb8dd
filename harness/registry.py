"""Plug-ins by name, from entry points: backends, workloads, faults, checks, models, reports, servers that backends need, and screens.

A plug-in is loaded when it is first asked for: no driver is imported for a backend that is not run.
"""

from __future__ import annotations

import difflib
import pkgutil
import traceback
from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from harness.errors import Elsewhere, Misfit, UsageError
from harness.shape import misfit

KINDS = ("backends", "workloads", "faults", "checks", "models", "reports", "servers")
"""What a user names."""
SCREENS = ("progress", "terminal", "nights")
"""What a command shows its result with (harness.commands.screens); nobody names them."""
OURS = "holdwater"
SHAPES = {
    "backends": "harness.driving.backend:Backend",
    "workloads": "harness.driving.workload:Workload",
    "faults": "harness.driving.nemesis:Fault",
    "checks": "harness.judging.check:Check",
    "models": "harness.judging.family:Family",
    "reports": "harness.report:Report",
    "servers": "harness.deploy.install:Server",
}
"""What a plug-in of each kind is; imported when one of another package is loaded, since all of these stand above."""
MAY_KEEP = {"backends": "harness.driving.backend:MAY_KEEP"}
"""Protocols that one of a kind keeps or not."""


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
    if kind in KINDS:
        if getattr(found, "name", None) != point.name:
            raise UsageError(f"{whose} is named {getattr(found, 'name', None)!r}, expected an object with the name of its entry point")
        also = pkgutil.resolve_name(MAY_KEEP[kind]) if kind in MAY_KEEP else ()
        for shape in (pkgutil.resolve_name(SHAPES[kind]), *(each for each in also if isinstance(found, each))):
            if said := misfit(found, shape, "it"):
                raise UsageError(f"{whose}: {said}")
    return found


def nearest(name: str, known: Any) -> str:
    """Say what there is, the nearest first: the end of a sentence that began with what is unknown."""
    near = difflib.get_close_matches(name, list(known), 1, cutoff=0.5)
    there_are = f"here are: {', '.join(sorted(known)) or 'none'}"
    return f"did you mean {near[0]!r}? T{there_are}" if near else f"t{there_are}"


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else OURS


@cache
def _points(kind: str) -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=f"holdwater.{kind}"):
        other = found.setdefault(point.name, point)
        if _package(other) != _package(point):
            raise UsageError(_twice(kind, point.name, {_package(other), _package(point)}))
    return found


def _twice(kind: str, name: str, packages: set[str]) -> str:
    if OURS in packages:
        theirs = min(packages - {OURS})
        return f"{kind} {name!r} of package {theirs} has a name that Holdwater has taken; rename it, or uninstall the package"
    return f"{kind} {name!r} is in two packages, {' and '.join(sorted(packages))}; expected one of them installed"


def author(error: BaseException) -> str:
    """Name the package whose bug an error is: of others with plug-ins the one that was called last, else ours."""
    points = [point for kind in (*KINDS, *SCREENS) for point in entry_points(group=f"holdwater.{kind}")]
    theirs = {point.module.partition(".")[0]: _package(point) for point in points}
    called = [theirs.get(module.partition(".")[0], OURS) for module in modules_of(error)]
    return next((package for package in reversed(called) if package != OURS), OURS)


def modules_of(error: BaseException) -> Iterator[str]:
    """Give the modules of the code that an error came through, the one that was called last at the end."""
    if error.__cause__ is not None:
        yield from modules_of(error.__cause__)
    yield from (str(frame.f_globals.get("__name__", "")) for frame, _ in traceback.walk_tb(error.__traceback__))
    if isinstance(error, Misfit):
        yield error.module
    if isinstance(error, Elsewhere):
        yield from error.modules
