"""From a run directory to all of its reports, and from there to what a command prints: a result is told also where drawing it failed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from harness import heartbeat, registry
from harness.claims.results import Results, Run, Verify, exit_of
from harness.commands import guard, streams
from harness.errors import Misfit
from harness.record import store
from harness.report import NotDrawn, Report
from harness.shape import held

T = TypeVar("T")
R = TypeVar("R", Run, Verify)


def draw(directory: Path) -> list[Path]:
    """Let every installed report draw a directory, and the experiments in it; give the files.

    What was recorded and judged is on disk already. Raises NotDrawn, once all others are drawn, where a report failed.
    """
    runs = [*store.experiments(directory), directory]
    with heartbeat.doing(f"drawing the pictures of {directory}", first_s=heartbeat.FIRST_S):
        return draw_each([each for each in runs if (each / store.RESULTS).exists()])


def draw_each(directories: Sequence[Path]) -> list[Path]:
    """Let every installed report draw each directory, which has a results.json."""
    failed: dict[str, Exception] = {}
    loaded: list[Report | None] = [_tried(name, partial(registry.load, "reports", name), failed) for name in registry.names("reports")]
    reports = sorted((report for report in loaded if report is not None), key=lambda report: (report.place, report.name))
    drawn = [_tried(report.name, partial(_drawn, report, each), failed) for each in directories for report in reports]
    paths = [path for found in drawn if found is not None for path in found]
    if failed:
        first, *also = failed
        raise NotDrawn(first, also, paths) from failed[first]
    return paths


def _tried(name: str, action: Callable[[], T], failed: dict[str, Exception]) -> T | None:
    """Do something of a report, None where it fails: its first error is put into `failed`, and takes no other report away."""
    try:
        return action()
    except Exception as error:  # noqa: BLE001 - whatever a report of others raises is told once all are drawn
        failed.setdefault(name, error)
        return None


def _drawn(report: Report, directory: Path) -> Sequence[Path]:
    """Let a report draw a directory; raise Misfit where what it gives is no list of files that are there."""
    paths = held(report.draw(directory), list[Path] | tuple[Path, ...], "what draw gave", report.draw)
    for path in paths:
        if not path.is_file():
            raise Misfit(report.draw, f"draw gave {path}, expected only files that are there")
    return paths


def tell(drawing: Callable[[], object], results: R, text: Callable[[R], str] | None) -> int:
    """Draw, and print the result (as JSON without `text`), also where drawing failed: it took long to come by.

    Give the exit code, which is the one that was printed: what was found stands before a picture that is missing.
    """
    failed = guard.attempt(drawing)
    if isinstance(failed, guard.Failure):
        code = min(int(results.exit), failed.code, key=guard.PRECEDENCE.index)
        of_the_machine = failed.line.removeprefix("the machine: ") if failed.code == guard.INFRASTRUCTURE else None
        results = replace(results, exit=exit_of(code), broken=results.broken or of_the_machine)
    streams.show(text(results) if text else as_json(results))
    if isinstance(failed, guard.Failure):
        streams.say(failed.line)
    return int(results.exit)


def as_json(results: Results) -> str:
    """Give results as the JSON that results.json holds."""
    return json.dumps(store.plain(results), indent=2)
