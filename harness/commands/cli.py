"""The commands of SPEC 9. Progress on stderr, results on stdout; exit codes of SPEC 8 and nothing else.

Three families of errors, each one line on stderr: UsageError, the user's (64); Infrastructure, the machine's or a
server's (3); everything else, ours (70), its trace in a file. A history that cannot be read is the user's where
the user named it, and ours where we wrote it. A stdout that is closed early changes no exit code: 1 says that
something was found, and must be earned.

Plug-ins and reports are reached by name only, so that a command loads no driver and no plotting
library that it does not use.
"""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import random
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import click
from click.core import ParameterSource

from harness import heartbeat, program, registry
from harness.claims import shapes
from harness.commands import request
from harness.errors import Infrastructure, UsageError
from harness.judging.verdict import Status, Verdict
from harness.record import store
from harness.record.history import MalformedHistory

OK, NOT_VALID, INCONCLUSIVE, INFRASTRUCTURE, USAGE, BUG, INTERRUPTED = 0, 1, 2, 3, 64, 70, 130
EXIT_OF_STATUS = {Status.VALID: OK, Status.UNKNOWN: INCONCLUSIVE, Status.INVALID: NOT_VALID}
DEFAULT_OUT = Path("runs")
DRAWN = ("anomalies", "timeline", "latency", "rate", "junit", "summary")
BUDGET = request.Range(float, "seconds", 0, 86_400, open=True)
PACKAGES = ("backends", "faults", "reports", "workloads")
BUG_FILE = "holdwater-bug.txt"
MOST_SAID = 2000  # characters of an error
PRECEDENCE = (INTERRUPTED, USAGE, BUG, NOT_VALID, INFRASTRUCTURE, INCONCLUSIVE, OK)
OF_THE_MACHINE = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM),
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN),
    }
)
"""What a system call may fail with at any place, and is nobody's bug: disk full, gone or not ours, no more files, memory or processes."""


class _Command(click.Command):
    """A command whose broken pipe is an error like any other: click would exit with 1, which is a verdict."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise Infrastructure(f"a pipe broke: {error}") from error


class _Group(click.Group):
    """A group that names the nearest command."""

    command_class = _Command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            raise UsageError(f"unknown command {name!r}, {registry.nearest(name, self.commands)}")
        return super().resolve_command(ctx, args)


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit with its code; every error is one line on stderr."""
    _open_what_is_closed()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    code = _guarded(arguments)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _empty(stream)
    sys.exit(code)


def _interrupted(number: int, frame: object) -> None:
    """End as Ctrl-C does: faults healed, servers ended, the history kept and named."""
    raise KeyboardInterrupt


def _open_what_is_closed() -> None:
    """Open a standard stream that the caller closed: no file of ours may get its number, nor a server write into that file."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest number that is free
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - open until the process ends
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115 - open until the process ends


def _guarded(arguments: list[str] | None) -> int:
    given = sys.argv[1:] if arguments is None else arguments

    def called() -> Any:
        _check_packages()
        _check_words(given)
        return cli.main(args=given or ["--help"], prog_name="holdwater", standalone_mode=False)

    code, failed = _attempt(called)
    return _said(*failed) if failed is not None else code if isinstance(code, int) else OK


def _attempt(action: Callable[[], Any]) -> tuple[Any, tuple[str, int] | None]:
    """Do something; give what it gives, and the line and the exit code of what it raises."""
    try:
        return action(), None
    except SystemExit:  # click's way out where nobody reads its help
        return OK, None
    except BaseException as error:  # noqa: BLE001 - each becomes one line and a code
        return None, _failure(error)


def _failure(error: BaseException) -> tuple[str, int]:
    """Give the line and the exit code of an error."""
    match error:
        case click.ClickException():
            return _usage(error), USAGE
        case UsageError():
            return str(error), USAGE
        case Infrastructure():
            return f"the machine: {error}", INFRASTRUCTURE
        case KeyboardInterrupt() | click.Abort():  # click's has ours as its cause
            return " ".join(["interrupted; what was recorded is kept", *map(str, (error.__cause__ or error).args)]), INTERRUPTED
        case MemoryError():
            return "the machine: out of memory", INFRASTRUCTURE
        case RuntimeError() if "can't start new thread" in str(error):
            return "the machine: no more threads, or no memory for them", INFRASTRUCTURE
        case OSError(errno=errno.ENAMETOOLONG):
            return f"{_of_the_system(error)}, expected a shorter one", USAGE
        case OSError() if error.errno in OF_THE_MACHINE:
            return f"the machine: {_of_the_system(error)}", INFRASTRUCTURE
        case _:  # a bug of ours: one line, the trace in a file
            return _bug(error), BUG


def _of_the_system(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename is not None else str(error.strerror or error)


@contextmanager
def _kept(directory: Path) -> Iterator[Path]:
    """Name the run directory where the user, or a full disk, interrupts what is written into it."""
    try:
        yield directory
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"in {directory}") from None
    except OSError as error:
        if error.filename is None and error.errno in OF_THE_MACHINE:
            raise OSError(error.errno, error.strerror, str(directory)) from error
        raise


def _check_words(given: list[str]) -> None:
    """Raise UsageError on an argument that is no text: what is recorded of a run is."""
    for word in given:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise UsageError(f"argument {word!r} is not UTF-8") from None


def _check_packages() -> None:
    """Raise UsageError where another folder of the same name stands in front of one of ours on the import path."""
    ours = Path(__file__).resolve().parents[2]
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        places = [Path(place).resolve() for place in (spec.submodule_search_locations or [])] if spec else []
        if ours / name not in places[:1]:
            found = places[0] if places else "nothing"
            raise UsageError(f"package {name!r} is {found}, expected {ours / name}; start from another folder or take it off PYTHONPATH")


def _usage(error: click.ClickException) -> str:
    if isinstance(error, click.NoSuchOption):
        known = [name for each in error.ctx.command.get_params(error.ctx) for name in each.opts] if error.ctx else error.possibilities or []
        return f"unknown option {error.option_name!r}, {registry.nearest(error.option_name, [each for each in known if each[0] == '-'])}"
    path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "holdwater"
    return f"{error.format_message().rstrip('.')}; see {path} --help"


def _said(text: str, code: int) -> int:
    """Print one line on stderr, whatever is in the text; give the code."""
    line = store.printable(" ".join(text.split()))
    if sys.stderr is not None:
        try:
            print(f"holdwater: {line if len(line) <= MOST_SAID else line[:MOST_SAID] + ' ...'}", file=sys.stderr, flush=True)
        except OSError:  # nobody reads it: the code says enough
            _empty(sys.stderr)
    return code


def _empty(stream: TextIO) -> None:
    """Let what is left in a buffer go nowhere: at exit it would be written again, and its failure be the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _print(text: object) -> None:
    """Print a result. Where its reader went away it is on disk all the same, and the exit code stays that of the verdict."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        click.echo(str(text).encode(encoding, "replace").decode(encoding))
    except BrokenPipeError:
        _empty(sys.stdout)
    except OSError as error:
        _empty(sys.stdout)
        raise Infrastructure(f"cannot write the result to stdout: {error.strerror}") from error


def _bug(error: BaseException) -> str:
    trace = "".join(traceback.format_exception(error))
    said = f"a bug of ours, {type(error).__name__}: {error}"
    for write in (_into_working_directory, _into_temporary_folder):
        try:
            return f"{said}; its trace is in {write(trace)}"
        except OSError:
            continue
    return f"{said}; its trace could not be written"


def _into_working_directory(trace: str) -> Path:
    path = Path(BUG_FILE)
    store.save(path, trace.encode("utf-8", "backslashreplace"))
    return path


def _into_temporary_folder(trace: str) -> Path:
    file, name = tempfile.mkstemp(prefix="holdwater-bug-", suffix=".txt")
    with open(file, "w", encoding="utf-8", errors="backslashreplace") as opened:
        opened.write(trace)
    return Path(name)


@click.group(cls=_Group, no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="holdwater", prog_name="holdwater")
def cli() -> None:
    """Does your state backend hold water? Checks documented lock, CAS and dedup guarantees under real faults."""


def _seed(value: int | None) -> int:
    return random.SystemRandom().randrange(1, 1_000_000) if value is None else value


def _number(bounds: request.Range) -> dict[str, Any]:
    """Give what makes an option a number within bounds, which an error names; click's own types say less."""

    def read(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
        return None if value is None else bounds.read(param.opts[0], value)

    return {"type": str, "metavar": "N", "callback": read}


def _one_of(*words: str) -> dict[str, Any]:
    """Give what makes a parameter one of a few words; an error names the nearest."""

    def read(ctx: click.Context, param: click.Parameter, word: str | None) -> str | None:
        if word is not None and word not in words:
            where = param.opts[0] if isinstance(param, click.Option) else str(ctx.info_name)
            raise UsageError(f"{where}: unknown {word!r}, {registry.nearest(word, words)}")
        return word

    return {"type": str, "metavar": "|".join(words), "callback": read}


out_option = click.option(
    "--out", type=click.Path(path_type=Path), default=DEFAULT_OUT, show_default=True, help="folder for run directories"
)
json_option = click.option("--json", "as_json", is_flag=True, help="print the result as JSON")
seed_option = click.option("--seed", **_number(request.SEED), help="fixes the operations drawn and the fault plan; drawn where not given")
on_option = click.option("--on", **_one_of("local", "compose"), default="local", show_default=True, help="where the servers run")


def verify_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of the main job."""
    options = (
        click.option("--claims", "claims_file", type=click.Path(path_type=Path), help="your own table; the documented one where not given"),
        click.option("--backend", "rows", multiple=True, metavar="ROW", help="only this row of the table (list rows); may be repeated"),
        click.option("--profile", **_one_of("quick", "nightly"), default="quick", show_default=True),
        click.option("--trials", **_number(request.TRIALS), help="trials an experiment, instead of the profile's"),
        click.option(
            "--strict", is_flag=True, help="exit 1 on what contradicts its document though expected, 2 on what this machine lacks"
        ),
        on_option,
        seed_option,
        out_option,
        json_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


@cli.command()
@verify_options
def verify(as_json: bool, **asked: Any) -> int:
    """The main job: the documented table with a verdict and evidence per cell."""
    directory, results = _verified(**asked)
    return _tell(lambda: _draw(directory), results, None if as_json else _table)


def _verified(
    claims_file: Path | None,
    rows: tuple[str, ...],
    profile: str,
    trials: int | None,
    strict: bool,
    on: str,
    seed: int | None,
    out: Path,
) -> tuple[Path, dict[str, Any]]:
    """Carry out the main job; give its directory and its results."""
    from harness.claims import file as claims
    from harness.claims import running as documented
    from harness.claims.claim import of_profile

    with heartbeat.doing("reading the claims"):
        loaded = of_profile(claims.load(claims_file) if claims_file else claims.shipped(), profile)
        chosen = documented.choose(loaded, rows)
        seed = _seed(seed)
        settings = documented.Settings(profile, seed, out, on, trials, asked=bool(rows or claims_file or strict))
        for each in documented.experiments_of(chosen, loaded.experiments):
            _check_experiment(each, loaded.source, settings)
    directory = store.create(out, f"verify-{seed}")
    settings = replace(settings, out=directory)
    with _kept(directory), _live(documented.total_trials(loaded, chosen, settings)) as live:
        return directory, documented.carry_out(loaded, chosen, settings, live, strict=strict, command=_command_line(seed))


def _check_experiment(experiment: Any, source: str, settings: Any) -> None:
    """Raise UsageError with file and name where an experiment of a claims file cannot be run, before anything is written."""
    from harness.claims import running as documented

    try:
        request.check_options({name: registry.load("workloads", name) for name in experiment.workloads}, experiment.options)
        documented.check_experiment(experiment, settings)
    except UsageError as error:
        raise UsageError(f"{source}: experiment {experiment.name}: {error}") from None


@cli.command()
@click.argument("directories", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DIR...")
@out_option
@json_option
def merge(directories: tuple[Path, ...], out: Path, as_json: bool) -> int:
    """Join the results of verify's shards into one table and one exit code."""
    from harness.claims import merging as shards

    found = [shards.read(directory) for directory in directories]
    command = program.command(*sys.argv[1:])
    # What does not belong together, or leads elsewhere, is refused before anything is written.
    texts = shards.texts(found, shards.merge(found, directory=out, command=command))
    directory = store.create(out, "merge")
    results = shards.gather(shards.merge(found, directory=directory, command=command), texts, directory)
    store.write(directory / store.RESULTS, results)
    return _tell(lambda: _draw(directory), results, None if as_json else _table)


@cli.command()
@click.option("--store", "root", required=True, type=click.Path(path_type=Path), help="folder of the nights and their index.html")
@click.option("--keep", **_number(request.NIGHTS), default=60, show_default=True, help="nights; older ones are removed")
@click.option("--from", "source", type=click.Path(path_type=Path), metavar="DIR", help="append this verify instead of running one")
@verify_options
def nightly(root: Path, keep: int, source: Path | None, as_json: bool, **asked: Any) -> int:
    """Run verify, append it to a store of nights, and draw the store's index.html."""
    from harness.commands import nights

    if source is not None:
        ctx = click.get_current_context()
        for param in ctx.command.params:
            if param.name in asked and ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE:
                raise UsageError(f"--from {source} runs nothing, expected no {param.opts[0]}")
    nights.prepare(root)
    directory, results = _verified(**asked) if source is None else (source, shapes.read_verify(source))
    told: list[str] = []

    def keep_it() -> None:
        if source is None:
            _draw(directory)
        night = nights.append(root, directory)
        removed = nights.retain(root, keep)
        paths = registry.load("reports", "nightly")(root)
        told.append(f"night {night.name}, {len(removed)} older ones removed: {', '.join(map(str, paths))}")

    if source is None or as_json:
        code = _tell(keep_it, results, None if as_json else _table)
    else:
        keep_it()
        code = int(results["exit"])
    return _said(told[0], code) if told else code


@cli.command()
@click.argument("workload")
@click.option("--backend", required=True)
@click.option("--fault", "faults", default="", help="NAME[:primary|replica][,NAME...]; all of them in each trial")
@click.option("--time-limit", **_number(request.TIME_LIMIT), help="seconds a trial")
@click.option("--rate", **_number(request.RATE), default=15.0, show_default=True, help="operations a second and slot")
@click.option("--concurrency", **_number(request.CONCURRENCY), default=8, show_default=True)
@click.option("--repeat", **_number(request.TRIALS), default=1, show_default=True, help="trials")
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="K=V",
    help="variant, mutant, quiet_s, fault_s, after_s, grants, deadline_s, or one of the workload's (list options)",
)
@click.option("--dry-run", is_flag=True, help="check and print the plan, start nothing")
@on_option
@click.option(
    "--attach", metavar="PROJECT", help="with --on compose: drive a project that is up, and leave it up; our own keys in it are removed"
)
@seed_option
@out_option
@json_option
def run(workload: str, backend: str, faults: str, **given: Any) -> int:
    """One experiment: a run directory, a verdict, and the command that repeats it."""
    with heartbeat.doing("reading the plan"):
        from harness.claims import experiment

        names = ("time_limit", "rate", "concurrency", "repeat", "options", "on", "attach")
        asked = request.Request(workload, backend, _seed(given["seed"]), faults, **{name: given[name] for name in names})
        plan = request.plan(asked)
        experiment.check(plan)
    if given["dry_run"]:
        _print(json.dumps(store.plain(plan), indent=2))
        return OK
    experiment.require_servers(plan, heartbeat.on_stderr)
    directory = store.create(given["out"], f"{'-'.join(plan.workloads)}-{plan.backend}-{plan.seed}")
    with _kept(directory), _live(len(plan.episodes)) as live:
        live.experiment(f"{workload} on {backend}", 1, 1, len(plan.episodes))
        results = experiment.carry_out_and_judge(plan, directory, live, _command_line(plan.seed))

    def outcome(told: Any) -> str:
        return str(_terminal().outcome(told, experiment.load_if_there(directory / store.HISTORY), colour=_colour()))

    return _tell(lambda: _draw(directory), results, None if given["as_json"] else outcome)


@cli.command()
@click.argument("history", type=click.Path(path_type=Path))
@click.option("--model", help="judge all of it by one model")
@click.option("--format", "form", **_one_of("jsonl", "edn", "porcupine"), help="by the file's name where not given")
@click.option("--budget", **_number(BUDGET), default=60.0, show_default=True, help="seconds of searching")
@click.option("--initial", metavar="VALUE", help="what a register holds at first, as the file would say it; null where not given")
@click.option("--independent/--no-independent", default=None, help="whether EDN's values are [key value]; found out where not given")
@json_option
def check(history: Path, model: str | None, form: str | None, budget: float, as_json: bool, **told: Any) -> int:
    """Judge a stored history, of ours or anyone's."""
    from harness.judging import checks
    from harness.record import foreign

    history = Path("/dev/stdin") if str(history) == "-" else history
    form = form or foreign.form_of(history)
    if told["independent"] is not None and form != "edn":
        raise UsageError(f"--independent is of the format edn, {history} is read as {form}")
    objects = _objects(told["initial"], form)
    try:
        with heartbeat.doing(f"judging {history}"):
            loaded = foreign.read(history, form, independent=told["independent"])
            with loaded.lines_named():
                if told["initial"] is not None and "register" not in ([model] if model else checks.families(loaded, "register")):
                    raise UsageError("--initial is of the model register, expected operations of one or --model register")
                found = checks.judge(loaded, model, budget, objects)
    except MalformedHistory as error:
        raise UsageError(str(MalformedHistory(error.reason, error.line, str(history)))) from None
    except OSError as error:
        raise UsageError(f"{history}: {error.strerror}, expected the file of a history") from None
    if as_json:
        _print(json.dumps(_told(found), indent=2, default=str))
    else:
        _print(_terminal().verdict(found, str(history), colour=_colour()))
    return EXIT_OF_STATUS[found.status]


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


@cli.command()
@click.argument("directories", nargs=-1, required=True, type=click.Path(path_type=Path))
def report(directories: tuple[Path, ...]) -> int:
    """Draw a run's pictures and texts again."""
    for directory in directories:
        shapes.check_results(directory)
    for directory in directories:
        with heartbeat.doing(f"drawing the pictures of {directory}"):
            paths = _draw_again(directory)
        if not paths:
            raise UsageError(f"{directory}: nothing to draw, expected a run or a verify")
        for path in paths:
            _print(store.printable(str(path)))
    return OK


def _draw_again(directory: Path) -> list[Path]:
    try:
        return _draw(directory)
    except MalformedHistory as error:
        raise UsageError(str(error)) from None


@cli.command("list")
@click.argument("what", **_one_of("backends", "rows", "workloads", "options", "faults", "models", "claims", "mutants"))
@json_option
def list_(what: str, as_json: bool) -> int:
    """What there is."""
    from harness.commands import inventory

    rows = inventory.rows(what)
    _print(json.dumps([list(row) for row in rows], indent=2) if as_json else _terminal().listing(what, rows, colour=_colour()))
    return OK


@cli.command()
@json_option
def doctor(as_json: bool) -> int:
    """What this machine can run, and the remedy where it cannot; ends what crashed runs have left."""
    from harness.commands import inventory

    with heartbeat.doing("looking at this machine"):
        found = inventory.machine(DEFAULT_OUT)
    _print(json.dumps(found, indent=2) if as_json else _terminal().doctor(found, colour=_colour()))
    return int(found["exit"])


@cli.command()
@click.argument("names", nargs=-1)
def install(names: tuple[str, ...]) -> int:
    """Bring the pinned servers that the local deployment needs."""
    from harness.deploy import install as installer

    for name in names:
        registry.load("servers", name)
    installer.install(names or None, _print)
    return OK


@cli.command()
@click.option("--mutant", "mutants", multiple=True, help="only this one; may be repeated")
@click.option(
    "--backend", "backends", multiple=True, default=("memory", "redis", "postgres", "dynamodb"), show_default=True, help="may be repeated"
)
@click.option("--trials", **_number(request.TRIALS), default=3, show_default=True, help="of 4 s, for each mutant")
@seed_option
@out_option
@json_option
def selftest(mutants: tuple[str, ...], backends: tuple[str, ...], trials: int, seed: int | None, out: Path, as_json: bool) -> int:
    """The planted bugs against the checkers: the detection matrix."""
    from harness.commands import selftest as matrix

    plans = matrix.plans([request.backend_of(name) for name in backends], mutants, trials, _seed(seed))
    directory = store.create(out, "selftest")
    with _kept(directory), _live(len(plans) * trials) as live:
        live.experiment("planted bugs", 1, 1, len(plans) * trials)
        found = list(matrix.carry_out_all(plans, directory, live))
    store.write(directory / store.RESULTS, {"holdwater": 1, "kind": "selftest", "detections": found})
    rows = [(f"{each.mutant or 'reference'}, {each.backend}", _detected(each)) for each in found]
    _print(json.dumps(store.plain(found), indent=2) if as_json else _terminal().listing("selftest", rows, colour=_colour()))
    return OK if all(each.good for each in found) else NOT_VALID


def _detected(found: Any) -> str:
    if found.mutant is None:
        return f"condemned in {found.detected} of {found.trials} trials"
    after = f", after {found.first_s:g} s (median), by {', '.join(found.checks)}" if found.detected else ": missed"
    return f"detected in {found.detected} of {found.trials} trials{after}"


def _live(trials: int) -> Any:
    return registry.load("reports", "progress")(trials)


def _terminal() -> Any:
    return registry.load("reports", "terminal")


def _colour() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _draw(directory: Path) -> list[Path]:
    """Let every report that writes files do so; what was recorded and judged is on disk already."""
    runs = [*sorted((directory / "experiments").glob("*/")), directory]
    with heartbeat.doing(f"drawing the pictures of {directory}", first_s=heartbeat.FIRST_S):
        return [path for each in runs if (each / store.RESULTS).exists() for name in DRAWN for path in registry.load("reports", name)(each)]


def _tell(draw: Callable[[], object], results: Any, text: Callable[[Any], str] | None) -> int:
    """Draw, and print the result (as JSON without `text`), also where drawing failed: it took long to come by.

    Give the exit code, which is the one that was printed: what was found stands before a picture that is missing.
    """
    _, failed = _attempt(draw)
    if failed is not None:
        code = min(int(results["exit"]), failed[1], key=PRECEDENCE.index)
        results = {**results, "exit": code, "broken": results.get("broken") or failed[0].removeprefix("the machine: ")}
    _print(text(results) if text else json.dumps(results, indent=2, default=str))
    return int(results["exit"]) if failed is None else _said(failed[0], int(results["exit"]))


def _table(results: Any) -> str:
    return str(_terminal().table(results, colour=_colour()))


def _command_line(seed: int) -> str:
    words = sys.argv[1:]
    if not any(word == "--seed" or word.startswith("--seed=") for word in words):
        words = [*words, "--seed", str(seed)]
    return program.command(*words)
