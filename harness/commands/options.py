"""Options that several commands have, and how their values are read; click's own types say less in an error."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from harness import program, registry
from harness.commands import request
from harness.deploy import jobs
from harness.errors import Infrastructure, UsageError

DEFAULT_OUT = Path("runs")
T = TypeVar("T")


class Command(click.Command):
    """A command whose broken pipe is an error like any other: click would exit with 1, which is a verdict."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise Infrastructure(f"a pipe broke: {error}") from error
        except SystemExit as error:  # of a plug-in: an end without a verdict, which must not look like one
            raise RuntimeError(f"a command ended by {error!r}").with_traceback(error.__traceback__) from None


def command(name: str | None = None) -> Callable[[Callable[..., int]], click.Command]:
    """Make a function a command, called as it is or by `name`."""
    return click.command(name, cls=Command)


def gathered(kind: Callable[..., T]) -> Callable[[Callable[[T], int]], Callable[..., int]]:
    """Give a command its options as one value of a kind whose fields are called as they are."""

    def decorate(function: Callable[[T], int]) -> Callable[..., int]:
        @functools.wraps(function)
        def called(**given: Any) -> int:
            return function(kind(**given))

        return called

    return decorate


def number(bounds: request.Range) -> dict[str, Any]:
    """Give what makes an option a number within bounds, which an error names."""

    def read(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
        return None if value is None else bounds.read(param.opts[0], value)

    return {"type": str, "metavar": "N", "callback": read}


def one_of(*words: str) -> dict[str, Any]:
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
seed_option = click.option("--seed", **number(request.SEED), help="fixes the operations drawn and the fault plan; drawn where not given")
on_option = click.option("--on", **one_of("local", "compose"), default="local", show_default=True, help="where the servers run")
jobs_option = click.option(
    "--jobs",
    **number(request.JOBS),
    default=jobs.by_cores,
    show_default="three for two cores",
    help="runs at once, each on servers of its own; one with --on compose",
)


def seed(value: int | None) -> int:
    """Give the seed that was asked for, or draw one."""
    return random.SystemRandom().randrange(1, 1_000_000) if value is None else value


def given() -> list[str]:
    """Give the arguments of the command that is being carried out."""
    return list(click.get_current_context().find_root().obj)


def repeating(seed: int) -> str:
    """Give the command line that does the same again, with the seed where it was drawn."""
    words = given()
    if not any(word == "--seed" or word.startswith("--seed=") for word in words):
        words = [*words, "--seed", str(seed)]
    return program.command(*words)
