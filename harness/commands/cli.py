"""The command line: `holdwater` and its commands (README). Progress on stderr, results on stdout, its exit codes and nothing else.

Plug-ins are reached by name only, so that a command loads no driver and no plotting library that it does not use.
"""

from __future__ import annotations

import importlib.util
import signal
import sys
from pathlib import Path
from typing import Any

import click

from harness import registry
from harness.commands import streams
from harness.commands.contract import contract
from harness.commands.guard import Failure, attempt
from harness.commands.machine import doctor, install, list_
from harness.commands.options import Command
from harness.commands.runs import run, selftest
from harness.commands.stored import check, judge, report
from harness.commands.tables import merge, nightly, verify
from harness.errors import UsageError

COMMANDS = (verify, merge, nightly, run, selftest, contract, check, judge, report, list_, doctor, install)
PACKAGES = ("backends", "faults", "reports", "workloads")


class _Group(click.Group):
    """A group that names the nearest command, and keeps the arguments that it was given for what repeats them."""

    command_class = Command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.obj = tuple(args)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            raise UsageError(f"unknown command {name!r}, {registry.nearest(name, self.commands)}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Group,
    commands={str(each.name): each for each in COMMANDS},
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="holdwater", prog_name="holdwater")
def cli() -> None:
    """Does your state backend hold water? Checks documented lock, CAS and dedup guarantees under real faults."""


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit with its code; every error is one line on stderr."""
    streams.open_what_is_closed()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    code = guarded(sys.argv[1:] if arguments is None else arguments)
    streams.flush()
    sys.exit(code)


def guarded(arguments: list[str]) -> int:
    """Run a command; give its exit code, and say in one line what it raised."""
    found = attempt(lambda: _called(arguments))
    if isinstance(found, Failure):
        streams.say(found.line)
        return found.code
    return found


def _called(arguments: list[str]) -> Any:
    _check_packages()
    _check_words(arguments)
    return cli.main(args=arguments or ["--help"], prog_name="holdwater", standalone_mode=False)


def _interrupted(number: int, frame: object) -> None:
    """End as Ctrl-C does: faults healed, servers ended, the history kept and named."""
    raise KeyboardInterrupt


def _check_words(arguments: list[str]) -> None:
    """Raise UsageError on an argument that is no text: what is recorded of a run is."""
    for word in arguments:
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
