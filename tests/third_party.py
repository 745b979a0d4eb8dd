"""A package of somebody else's beside ours: found by its entry points, as one that pip has installed is."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from harness import registry
from harness.judging import checks
from harness.judging.check import every_check, workloads_of
from harness.judging.counts import every_count
from harness.judging.family import answered_here, every_family, nodes_of_ours
from harness.judging.kind import every_kind

PACKAGE, MODULE = "third-party", "third_party_plugins"


@contextmanager
def installed(site: Path, source: str, points: Mapping[str, str]) -> Iterator[None]:
    """Install a package of one module into an empty folder, with an entry point for each group, `NAME = ATTRIBUTE`; take it off again."""
    told = site / f"{PACKAGE.replace('-', '_')}-1.0.dist-info"
    told.mkdir(parents=True)
    (site / f"{MODULE}.py").write_text(source)
    (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n")
    lines = [f"[holdwater.{group}]\n{point.replace('= ', f'= {MODULE}:')}\n" for group, point in points.items()]
    (told / "entry_points.txt").write_text("\n".join(lines))
    sys.path.insert(0, str(site))
    _look_again()
    try:
        yield
    finally:
        sys.path.remove(str(site))
        sys.modules.pop(MODULE, None)
        _look_again()


def _look_again() -> None:
    importlib.invalidate_caches()
    registry._points.cache_clear()
    forget()


def forget() -> None:
    """Forget which checks, models and workloads were found."""
    for each in (every_kind, every_check, every_family, every_count, workloads_of, answered_here, nodes_of_ours, checks._offered):
        each.cache_clear()
