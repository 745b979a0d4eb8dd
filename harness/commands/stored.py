"""What is on disk already: check judges a history, judge a run or a verify again, report draws one again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from harness import heartbeat
from harness.claims import reading
from harness.claims.results import Run, Verify
from harness.commands import drawing, request, screens
from harness.commands.drawing import draw
from harness.commands.guard import INCONCLUSIVE, NOT_VALID, OK
from harness.commands.options import command, gathered, json_option, number, one_of
from harness.commands.streams import say, show
from harness.errors import UsageError
from harness.judging.verdict import Status, Verdict
from harness.record import store
from harness.record.history import History, MalformedHistory
from harness.report import NotDrawn

EXIT_OF_STATUS = {Status.VALID: OK, Status.UNKNOWN: INCONCLUSIVE, Status.INVALID: NOT_VALID}
BUDGET = request.Range(float, "seconds", 0, 86_400, open=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedCheck:
    """What a stored history is to be judged by."""

    history: Path
    model: str | None
    form: str | None
    budget: float
    initial: str | None
    independent: bool | None
    as_json: bool


@command()
@click.argument("history", type=click.Path(path_type=Path))
@click.option("--model", help="judge all of it by one model")
@click.option("--format", "form", **one_of("jsonl", "edn", "porcupine"), help="by the file's name where not given")
@click.option("--budget", **number(BUDGET), default=60.0, show_default=True, help="seconds of searching")
@click.option("--initial", metavar="VALUE", help="what a register holds at first, as the file would say it; null where not given")
@click.option("--independent/--no-independent", default=None, help="whether EDN's values are [key value]; found out where not given")
@json_option
@gathered(AskedCheck)
def check(asked: AskedCheck) -> int:
    """Judge a stored history, of ours or anyone's."""
    history = Path("/dev/stdin") if str(asked.history) == "-" else asked.history
    try:
        with heartbeat.doing(f"judging {history}"):
            found = _judged(history, asked)
    except MalformedHistory as error:
        raise UsageError(str(MalformedHistory(error.reason, error.line, str(history)))) from None
    except OSError as error:
        raise UsageError(f"{history}: {error.strerror}, expected the file of a history") from None
    if asked.as_json:
        show(json.dumps(_told(found), indent=2, default=str))
    else:
        show(screens.terminal().verdict(found, str(history), colour=screens.colour()))
    return EXIT_OF_STATUS[found.status]


def _judged(history: Path, asked: AskedCheck) -> Verdict:
    from harness.judging import checks
    from harness.record import foreign

    form = asked.form or foreign.form_of(history)
    if asked.independent is not None and form != "edn":
        raise UsageError(f"--independent is of the format edn, {history} is read as {form}")
    objects = _objects(asked.initial, form)
    loaded = foreign.read(history, form, independent=asked.independent)
    with loaded.lines_named():
        families = [asked.model] if asked.model else checks.families(loaded, "register")
        if asked.initial is not None and "register" not in families:
            raise UsageError("--initial is of the model register, expected operations of one or --model register")
        return checks.judge(loaded, asked.model, asked.budget, objects)


def _told(verdict: Verdict) -> dict[str, Any]:
    """Give a verdict as JSON has it: its status as a word, its parts by name."""
    parts = {name: _told(part) for name, part in verdict.parts}
    said = {"status": str(verdict.status), "summary": verdict.summary, "numbers": verdict.numbers, "anomalies": verdict.anomalies}
    return dict(store.plain({**said, "parts": parts}))


def _objects(initial: str | None, form: str) -> Mapping[str, Any]:
    """Give the models in their initial states, the register in the one that the user names."""
    from harness.judging.models import MODELS
    from harness.judging.models.register import Register
    from harness.record import foreign
    from harness.record.fields import canonical

    if initial is None:
        return MODELS
    try:
        return {**MODELS, "register": Register(canonical(foreign.value(initial, form)))}
    except MalformedHistory as error:
        raise UsageError(f"--initial {initial!r}: {error.reason}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedJudge:
    """What a directory is to be judged by."""

    directory: Path
    claims_file: Path | None
    rows: tuple[str, ...]
    tables: tuple[str, ...]
    save: bool
    as_json: bool


@command()
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--claims", "claims_file", type=click.Path(path_type=Path), help="another claims file than the one that the verify kept")
@click.option("--backend", "rows", multiple=True, metavar="ROW", help="only this row or backend (list rows); may be repeated")
@click.option("--table", "tables", multiple=True, metavar="TABLE", help="only this table (list tables); may be repeated")
@click.option("--save", is_flag=True, help="replace results.json; the former one is kept beside it. Without it nothing is written")
@json_option
@gathered(AskedJudge)
def judge(asked: AskedJudge) -> int:
    """Judge a run or a verify again, by today's checkers."""
    from harness.claims import stored

    try:
        judged = stored.judge_again(asked.directory, asked.claims_file, asked.rows, asked.tables)
    except MalformedHistory as error:
        raise UsageError(str(error)) from None
    kept = stored.save(judged) if asked.save else []
    show(drawing.as_json(judged.results) if asked.as_json else _outcome(judged.results, judged.history))
    for path in kept:
        say(f"the former results are in {path}")
    if not asked.save:
        say(f"nothing was written; with --save this replaces {asked.directory / store.RESULTS}")
    return judged.results.exit


def _outcome(results: Run | Verify, history: History | None) -> str:
    if isinstance(results, Verify):
        return screens.terminal().table(results, colour=screens.colour())
    return screens.terminal().outcome(results, history, colour=screens.colour())


@command()
@click.argument("directories", nargs=-1, required=True, type=click.Path(path_type=Path))
def report(directories: tuple[Path, ...]) -> int:
    """Draw a run's pictures and texts again."""
    for directory in directories:
        reading.check_results(directory)
    for directory in directories:
        with heartbeat.doing(f"drawing the pictures of {directory}"):
            paths = _draw_again(directory)
        if not paths:
            raise UsageError(f"{directory}: nothing to draw, expected a run or a verify")
        _show(paths)
    return OK


def _draw_again(directory: Path) -> list[Path]:
    try:
        return draw(directory)
    except NotDrawn as error:
        if isinstance(error.__cause__, MalformedHistory):
            raise UsageError(str(error.__cause__)) from None
        _show(error.paths)
        raise


def _show(paths: Sequence[Path]) -> None:
    for path in paths:
        show(store.printable(str(path)))
