"""From a run directory to all of its reports, and from there to what a command prints: a result is told also where drawing it failed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from harness import heartbeat, registry
from harness.claims.results import Results, Run, Verify, exit_of
from harness.commands import guard, streams
from harness.deploy.jobs import Job, SideBySide
from harness.driving.run import Progress, Unheard
from harness.errors import Misfit
from harness.record import store
from harness.report import NotDrawn, Report
from harness.shape import held

FEW = 3  # directories that one process draws as fast as several that begin first
T = TypeVar("T")
R = TypeVar("R", Run, Verify)


def draw(directory: Path, at_once: int = 1) -> list[Path]:
    """Let every installed report draw a directory, and the experiments in it, in so many processes; give the files.

    What was recorded and judged is on disk already. Raises NotDrawn, once all others are drawn, where a report failed.
    """
    runs = [each for each in (*store.experiments(directory), directory) if (each / store.RESULTS).exists()]
    with heartbeat.doing(f"drawing the pictures of {directory}", first_s=heartbeat.FIRST_S):
        if at_once == 1 or len(runs) <= FEW:
            return draw_each(runs)
        shares = [runs[n:-1:at_once] for n in range(at_once)]
        jobs = [Job(f"drawing {n}", partial(_share, share)) for n, share in enumerate(shares)]
        with SideBySide(at_once, lambda job: nullcontext(Unheard())) as lanes:
            drawn = {job.name: paths for job, paths in lanes.carry_out(jobs)}
        # A share in which a report failed is drawn again here, where what it raises is told.
        failed = [each for job, share in zip(jobs, shares, strict=True) if drawn[job.name] is None for each in share]
        return [*(path for job in jobs for path in drawn[job.name] or ()), *draw_each([*failed, runs[-1]])]


def _share(directories: Sequence[Path], progress: Progress) -> list[Path] | None:
    """Draw some directories; None where a report failed."""
    try:
        return draw_each(directories)
    except NotDrawn:
        return None


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
