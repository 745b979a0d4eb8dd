"""The standard streams of a command: results on stdout, errors and progress on stderr.

Either may be closed, full, or a pipe whose reader went away. None of these changes an exit code: 1 says that
something was found, and must be earned.
"""

from __future__ import annotations

import os
import sys
from typing import TextIO

import click

from harness.errors import Infrastructure
from harness.record.store import printable

MOST_SAID = 2000  # characters of an error


def open_what_is_closed() -> None:
    """Open a standard stream that the caller closed: no file of ours may get its number, nor a server write into that file."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest number that is free
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - open until the process ends
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115 - open until the process ends


def flush() -> None:
    """Write what is left in the buffers; where that fails, nowhere."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _empty(stream)


def say(text: str) -> None:
    """Print one line on stderr, whatever is in the text."""
    line = printable(" ".join(text.split()))
    if sys.stderr is not None:
        try:
            print(f"holdwater: {line if len(line) <= MOST_SAID else line[:MOST_SAID] + ' ...'}", file=sys.stderr, flush=True)
        except OSError:  # nobody reads it: the code says enough
            _empty(sys.stderr)


def show(text: object) -> None:
    """Print a result. Where its reader went away it is on disk all the same, and the exit code stays that of the verdict."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        click.echo(str(text).encode(encoding, "replace").decode(encoding))
    except BrokenPipeError:
        _empty(sys.stdout)
    except OSError as error:
        _empty(sys.stdout)
        raise Infrastructure(f"cannot write the result to stdout: {error.strerror}") from error


def _empty(stream: TextIO) -> None:
    """Let what is left in a buffer go nowhere: at exit it would be written again, and its failure be the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
