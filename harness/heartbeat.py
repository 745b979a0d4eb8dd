"""Never silent: what takes long says every few seconds what it does, since silence cannot be told from a hang.

Also `python -m harness.heartbeat WHAT COMMAND ...`, with which the Makefile sets up before anything is installed: nothing here
may import more than the standard library. It runs the command, says WHAT and the command's last line meanwhile, passes its
stdout on at the end, and its stderr where it failed. A pipe is read by threads of its own, so that no command waits for us.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import IO, Self

EVERY_S = 2.0
FIRST_S = 0.9  # of what follows on something that may have been silent just as long: together they stay below 3 s
ROLLBACK_S = 10.0  # what pip needs at most to undo an installation that is interrupted
WIDTH = 60  # characters of a command's last line
POLL_S = 0.2
OURS = "holdwater: "

Say = Callable[[str], None]


class Heartbeat:
    """Call `tell` with the seconds that have passed, in a thread of its own, whenever nothing was said for EVERY_S, at first for `first_s`.

    A context manager. `tell` runs beside the caller, must not raise, and counts as something said.
    """

    def __init__(self, tell: Callable[[float], None], first_s: float = EVERY_S, every_s: float = EVERY_S) -> None:
        self._tell, self._every_s = tell, every_s
        self._began = time.monotonic()
        self._next = self._began + first_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def said(self) -> None:
        """Count from now: something else was said."""
        self._next = time.monotonic() + self._every_s

    def _beat(self) -> None:
        while not self._ended.wait(max(0.0, self._next - time.monotonic())):
            now = time.monotonic()
            if now >= self._next:
                self.said()
                self._tell(now - self._began)


def on_stderr(line: str) -> None:
    """Say a line on stderr; a stderr that is gone is told nothing."""
    with suppress(OSError, ValueError):
        print(f"{OURS}{line}", file=sys.stderr, flush=True)


def doing(what: str, say: Say = on_stderr, first_s: float = EVERY_S) -> Heartbeat:
    """Say what is done and for how long, while nothing else is said."""
    return Heartbeat(lambda seconds: say(f"{what}, {seconds:.0f} s"), first_s)


class Child:
    """A command in a session of its own, whose output is kept; `last` is the newest line of it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None, *, stdin: int = subprocess.DEVNULL) -> None:
        """Start it; raises OSError where it cannot be run."""
        self.last = ""
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        self.process = subprocess.Popen(
            command,
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        pipes = ((self.process.stdout, self.stdout), (self.process.stderr, self.stderr))
        self._readers = [threading.Thread(target=self._read, args=pipe, daemon=True) for pipe in pipes]
        for reader in self._readers:
            reader.start()

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for its end; give its exit code. Raises subprocess.TimeoutExpired."""
        code = self.process.wait(timeout_s)
        if self.process.stdin is not None:
            self.process.stdin.close()
        for reader in self._readers:
            reader.join(POLL_S)  # not for ever: what it has started may hold the pipe
        return code

    def end(self, rollback_s: float = ROLLBACK_S) -> None:
        """Interrupt all of its session, so that it can undo what it did, and kill what does not end in time; idempotent."""
        for sent, wait_s in ((signal.SIGINT, rollback_s), (signal.SIGKILL, None)):
            self.send(sent)
            with suppress(subprocess.TimeoutExpired):
                self.wait(wait_s)

    def send(self, number: int) -> None:
        """Send a signal to all of its session."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def _read(self, pipe: IO[str], lines: list[str]) -> None:
        with pipe:
            for line in pipe:
                lines.append(line)
                self.last = line.strip().removeprefix(OURS) or self.last


def told(what: str, seconds: float, child: Child) -> str:
    """Give the line that is said while a command runs."""
    return ": ".join(filter(None, (f"{what}, {seconds:.0f} s", child.last[:WIDTH])))


def run(command: Sequence[str], what: str, say: Say, environment: Mapping[str, str] | None = None, timeout_s: float | None = None) -> Child:
    """Run a command to its end, and say what it does meanwhile; give it, ended. Raises OSError and subprocess.TimeoutExpired."""
    child = Child(command, environment)
    with Heartbeat(lambda seconds: say(told(what, seconds, child))):
        try:
            child.wait(timeout_s)
        except BaseException:
            child.end()
            raise
    return child


def main() -> None:
    """Run what the command line says; exit with its code, 3 where it cannot be run."""
    what, *command = sys.argv[1:]
    on_stderr(what)
    try:
        child = run(command, what, on_stderr)
    except OSError as error:
        on_stderr(f"{what}: cannot run {command[0]}: {error.strerror}")
        sys.exit(3)
    except KeyboardInterrupt:
        on_stderr(f"{what}: interrupted")
        sys.exit(130)
    code = child.process.returncode
    sys.stdout.write("".join(child.stdout))
    if code != 0:
        sys.stderr.write("".join(child.stderr))
        on_stderr(f"{what}: exit {code}")
    sys.exit(code if code >= 0 else 3)


if __name__ == "__main__":
    main()
