"""Whatever a command raises becomes one line and an exit code (README).

Three families: UsageError, the user's (64); Infrastructure, the machine's or a server's (3); everything else
is a bug (70), ours or of the package whose code raised it, its trace in a file. A history that cannot be read
is the user's where the user named it, and ours where we wrote it.
"""

from __future__ import annotations

import errno
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from harness import registry
from harness.errors import Infrastructure, UsageError
from harness.record import store
from harness.report import NotDrawn

OK, NOT_VALID, INCONCLUSIVE, INFRASTRUCTURE, USAGE, BUG, INTERRUPTED = 0, 1, 2, 3, 64, 70, 130
PRECEDENCE = (INTERRUPTED, USAGE, BUG, NOT_VALID, INFRASTRUCTURE, INCONCLUSIVE, OK)
BUG_FILE = "holdwater-bug.txt"
OF_THE_MACHINE = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM),
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN),
    }
)
"""What a system call may fail with at any place, and is nobody's bug: disk full, gone or not ours, no more files, memory or processes."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What an error becomes: the line that is said, and the exit code."""

    line: str
    code: int


def attempt(action: Callable[[], object]) -> int | Failure:
    """Do something; give the exit code that it gives, OK where it gives none, or what its error becomes."""
    try:
        code = action()
    except SystemExit:  # click's way out where nobody reads its help
        return OK
    except BaseException as error:  # noqa: BLE001 - each becomes one line and a code
        return failure(error)
    return code if isinstance(code, int) else OK


def failure(error: BaseException) -> Failure:
    """Give the line and the exit code of an error."""
    match error:
        case click.ClickException():
            return Failure(_usage(error), USAGE)
        case UsageError():
            return Failure(str(error), USAGE)
        case Infrastructure():
            return Failure(f"the machine: {error}", INFRASTRUCTURE)
        case KeyboardInterrupt() | click.Abort():  # click's has ours as its cause
            return Failure(" ".join(["interrupted; what was recorded is kept", *map(str, (error.__cause__ or error).args)]), INTERRUPTED)
        case NotDrawn(__cause__=BaseException() as cause):
            return _not_drawn(error, cause)
        case MemoryError():
            return Failure("the machine: out of memory", INFRASTRUCTURE)
        case RuntimeError() if "can't start new thread" in str(error):
            return Failure("the machine: no more threads, or no memory for them", INFRASTRUCTURE)
        case OSError(errno=errno.ENAMETOOLONG):
            return Failure(f"{_of_the_system(error)}, expected a shorter one", USAGE)
        case OSError() if error.errno in OF_THE_MACHINE:
            return Failure(f"the machine: {_of_the_system(error)}", INFRASTRUCTURE)
        case _:
            return _bug(error)


@contextmanager
def kept(directory: Path) -> Iterator[Path]:
    """Name the run directory where the user, or a full disk, interrupts what is written into it."""
    try:
        yield directory
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"in {directory}") from None
    except OSError as error:
        if error.filename is None and error.errno in OF_THE_MACHINE:
            raise OSError(error.errno, error.strerror, str(directory)) from error
        raise


def _of_the_system(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename is not None else str(error.strerror or error)


def _usage(error: click.ClickException) -> str:
    if isinstance(error, click.NoSuchOption):
        known = [name for each in error.ctx.command.get_params(error.ctx) for name in each.opts] if error.ctx else error.possibilities or []
        return f"unknown option {error.option_name!r}, {registry.nearest(error.option_name, [each for each in known if each[0] == '-'])}"
    path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "holdwater"
    return f"{error.format_message().rstrip('.')}; see {path} --help"


def _not_drawn(error: NotDrawn, cause: BaseException) -> Failure:
    found = failure(cause)
    also = f"; also failed: {', '.join(error.also)}" if error.also else ""
    return Failure(f"{found.line} (report {error.name}{also})", found.code)


def _bug(error: BaseException) -> Failure:
    """Keep the trace in a file, and name it."""
    trace = "".join(traceback.format_exception(error))
    package = registry.author(error)
    said = f"a bug of {'ours' if package == registry.OURS else package}, {type(error).__name__}: {error}"
    for write in (_into_working_directory, _into_temporary_folder):
        try:
            return Failure(f"{said}; its trace is in {write(trace)}", BUG)
        except OSError:
            continue
    return Failure(f"{said}; its trace could not be written", BUG)


def _into_working_directory(trace: str) -> Path:
    path = Path(BUG_FILE)
    store.save(path, trace.encode("utf-8", "backslashreplace"))
    return path


def _into_temporary_folder(trace: str) -> Path:
    file, name = tempfile.mkstemp(prefix="holdwater-bug-", suffix=".txt")
    with open(file, "w", encoding="utf-8", errors="backslashreplace") as opened:
        opened.write(trace)
    return Path(name)
