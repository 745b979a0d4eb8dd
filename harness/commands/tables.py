"""The main job and what is made of its results: verify, merge, nightly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from harness import heartbeat, program, registry
from harness.claims import reading
from harness.claims.asked import Settings
from harness.claims.claim import Claims, Experiment
from harness.claims.results import Verify
from harness.commands import request, screens, streams
from harness.commands.drawing import draw, tell
from harness.commands.guard import kept
from harness.commands.options import (
    command,
    gathered,
    given,
    jobs_option,
    json_option,
    number,
    on_option,
    one_of,
    out_option,
    repeating,
    seed,
    seed_option,
)
from harness.errors import UsageError
from harness.record import store
from harness.report import NotDrawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the main job was asked for."""

    claims_file: Path | None
    rows: tuple[str, ...]
    tables: tuple[str, ...]
    profile: str
    trials: int | None
    jobs: int
    strict: bool
    on: str
    seed: int | None
    out: Path
    as_json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedNightly(Asked):
    """What a night was asked for."""

    root: Path
    keep: int
    source: Path | None


def verify_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of the main job."""
    options = (
        click.option("--claims", "claims_file", type=click.Path(path_type=Path), help="your own tables, instead of the documented ones"),
        click.option("--backend", "rows", multiple=True, metavar="ROW", help="only this row or backend (list rows); may be repeated"),
        click.option("--table", "tables", multiple=True, metavar="TABLE", help="only this table (list tables); may be repeated"),
        click.option("--profile", **one_of("quick", "nightly"), default="quick", show_default=True),
        click.option("--trials", **number(request.TRIALS), help="trials an experiment, instead of the profile's"),
        click.option(
            "--strict", is_flag=True, help="exit 1 on what contradicts its document though expected, 2 on what this machine lacks"
        ),
        jobs_option,
        on_option,
        seed_option,
        out_option,
        json_option,
    )
    for option in reversed(options):
        function = option(function)
    return function


@command()
@verify_options
@gathered(Asked)
def verify(asked: Asked) -> int:
    """The main job: the documented tables with a verdict and evidence per cell."""
    directory, results = _verified(asked)
    return tell(lambda: draw(directory, asked.jobs), results, None if asked.as_json else _table)


def _verified(asked: Asked) -> tuple[Path, Verify]:
    """Carry out the main job; give its directory and its results."""
    from harness.claims import asked as main_job
    from harness.claims import file, running
    from harness.claims.claim import choose, of_profile

    with heartbeat.doing("reading the claims"):
        loaded = of_profile(file.load(asked.claims_file) if asked.claims_file else file.shipped(), asked.profile)
        chosen = choose(loaded, asked.rows, asked.tables)
        drawn = seed(asked.seed)
        settings = main_job.Settings(
            asked.profile,
            drawn,
            asked.out,
            asked.on,
            asked.trials,
            asked=bool(asked.rows or asked.claims_file or asked.strict),
            strict=asked.strict,
            command=repeating(drawn),
            jobs=asked.jobs if asked.on == "local" else 1,  # containers' ports and networks are chosen before they are taken
        )
        for each in main_job.experiments_of(chosen, loaded.experiments):
            _check_experiment(each, loaded, settings)
    directory = store.create(asked.out, f"verify-{drawn}")
    settings = replace(settings, out=directory)
    with kept(directory), screens.live(main_job.total_trials(loaded, chosen, settings)) as live:
        return directory, running.carry_out(loaded, chosen, settings, live)


def _check_experiment(experiment: Experiment, claims: Claims, settings: Settings) -> None:
    """Raise UsageError with file, line and name where an experiment of a claims file cannot be run, before anything is written."""
    from harness.claims import file, running

    try:
        request.check_options({name: registry.load("workloads", name) for name in experiment.workloads}, experiment.options)
        running.check_experiment(experiment, settings)
    except UsageError as error:
        raise UsageError(f"{file.place_of(claims, experiment.name)}: experiment {experiment.name}: {error}") from None


@command()
@click.argument("directories", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DIR...")
@out_option
@json_option
def merge(directories: tuple[Path, ...], out: Path, as_json: bool) -> int:
    """Join the results of verify's shards into one table and one exit code."""
    from harness.claims import merging as shards

    found = [shards.read(directory) for directory in directories]
    again = program.command(*given())
    # What does not belong together, or leads elsewhere, is refused before anything is written.
    texts = shards.texts(found, shards.merge(found, directory=out, command=again))
    for shard in found:
        if shard.failure is not None:
            streams.say(shard.failure)
    directory = store.create(out, "merge")
    results = shards.gather(shards.merge(found, directory=directory, command=again), texts, directory)
    store.write(directory / store.RESULTS, results)
    return tell(lambda: draw(directory), results, None if as_json else _table)


@command()
@click.option("--store", "root", required=True, type=click.Path(path_type=Path), help="folder of the nights and their index.html")
@click.option("--keep", **number(request.NIGHTS), default=60, show_default=True, help="nights; older ones are removed")
@click.option("--from", "source", type=click.Path(path_type=Path), metavar="DIR", help="append this verify instead of running one")
@verify_options
@gathered(AskedNightly)
def nightly(asked: AskedNightly) -> int:
    """Run verify, append it to a store of nights, and draw the store's index.html."""
    from harness.claims import nights

    if asked.source is not None:
        _check_that_nothing_is_asked_of_verify(asked.source)
    nights.prepare(asked.root)
    directory, results = _verified(asked) if asked.source is None else (asked.source, reading.read_verify(asked.source))
    told: list[str] = []

    def drawn() -> None:
        told.append(_kept_as_night(directory, asked))

    if asked.source is None or asked.as_json:
        code = tell(drawn, results, None if asked.as_json else _table)
    else:
        drawn()
        code = int(results.exit)
    for line in told:
        streams.say(line)
    return code


def _check_that_nothing_is_asked_of_verify(source: Path) -> None:
    ctx = click.get_current_context()
    for param in ctx.command.params:
        of_verify = param.name in Asked.__dataclass_fields__ and param.name != "as_json"
        if of_verify and ctx.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE:
            raise UsageError(f"--from {source} runs nothing, expected no {param.opts[0]}")


def _kept_as_night(directory: Path, asked: AskedNightly) -> str:
    """Put a verify into the store and draw the store's page, also where a report of the verify failed; give what is said of it."""
    from harness.claims import nights

    failed: NotDrawn | None = None
    try:
        if asked.source is None:
            draw(directory, asked.jobs)
    except NotDrawn as error:
        failed = error
    night = nights.append(asked.root, directory)
    removed = nights.retain(asked.root, asked.keep)
    paths = screens.nights_page()(asked.root)
    if failed is not None:
        raise failed
    return f"night {night.name}, {len(removed)} older ones removed: {', '.join(map(str, paths))}"


def _table(results: Verify) -> str:
    return screens.terminal().table(results, colour=screens.colour())
