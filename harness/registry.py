"""Plug-ins by name, from entry points: backends, workloads, faults, checks, models, reports, and the servers that backends need.

A plug-in is loaded when it is first asked for: no driver is imported for a backend that is not run.
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from harness.errors import UsageError

KINDS = ("backends", "workloads", "faults", "checks", "models", "reports", "servers")


def names(kind: str) -> list[str]:
    """Give the names of all plug-ins of a kind, sorted."""
    return sorted(_points(kind))


def load(kind: str, name: str) -> Any:
    """Give a plug-in; raise UsageError with the nearest match where there is none of this name."""
    points = _points(kind)
    if name not in points:
        raise UsageError(f"unknown {kind.removesuffix('s')} {name!r}, {nearest(name, points)}")
    return points[name].load()


def nearest(name: str, known: Any) -> str:
    """Say what there is, the nearest first: the end of a sentence that began with what is unknown."""
    near = difflib.get_close_matches(name, list(known), 1, cutoff=0.5)
    there_are = f"here are: {', '.join(sorted(known)) or 'none'}"
    return f"did you mean {near[0]!r}? T{there_are}" if near else f"t{there_are}"


@cache
def _points(kind: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"holdwater.{kind}")}
